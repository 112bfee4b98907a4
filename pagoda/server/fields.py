"""Fields of a request that are not served here, or that nobody knows, at whatever depth.

Between validation and every endpoint, OpenAI's and the applications' alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from pagoda.chat.openai_types import ApiObject, OpenAIRequest
from pagoda.errors import InvalidParameterError, nearest

_CONVERSATION = ("messages", "input")
"""Thousands of objects, perhaps; what cannot be read of them is refused where they are read."""
_ASKS_FOR_NOTHING: tuple[Any, ...] = (None, "", [], {}, 0, False)


def check_fields(body: OpenAIRequest, *, strict: bool) -> None:
    """Raises InvalidParameterError for a field that is not supported, and if strict for one that is not known.

    It is named with its place, as in "messages[0].foo" or "stream_options.bar".
    """
    for place, part in _parts(body, deep=strict):
        for name in part.model_fields_set & part.refused.keys():
            if getattr(part, name) not in (*_ASKS_FOR_NOTHING, part.neutral.get(name)):
                param = f"{place}{name}"
                raise InvalidParameterError(f"{param} is not supported: {part.refused[name]}", param=param)
        unknown = sorted(set(part.model_extra or {}) - part.ignored - part.refused.keys()) if strict else None
        if unknown:
            names = [field.alias or name for name, field in type(part).model_fields.items()]
            raise InvalidParameterError(
                f"{place}{unknown[0]} is no field of this request: {nearest(unknown[0], [*names, *part.ignored])}",
                param=f"{place}{unknown[0]}",
            )


def _parts(body: BaseModel, place: str = "", *, deep: bool) -> Iterator[tuple[str, ApiObject]]:
    """The request and every object in it, with what its fields' names begin with. deep: into the conversation, too."""
    if isinstance(body, ApiObject):
        yield place, body
    for name, value in body:
        found = value if isinstance(value, list) else [value]
        if not found or not isinstance(found[0], BaseModel) or (name in _CONVERSATION and not deep):
            continue
        field = type(body).model_fields.get(name)
        dotted = f"{place}{field.alias or name}" if field is not None else f"{place}{name}"
        for index, item in enumerate(found):
            if isinstance(item, BaseModel):
                yield from _parts(item, f"{dotted}[{index}]." if value is found else f"{dotted}.", deep=deep)
