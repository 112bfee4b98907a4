"""Where a fault lies, as the client wrote it.

Between a request's readers and its errors: pydantic gives a location in its own terms, and the Responses API is
answered by way of a chat request, whose names its client has never seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TYPE_NAMES = frozenset({"str", "int", "float", "bool", "dict", "none"})
_CHAT_NAME = re.compile(
    r"messages\[\d+\](\.tool_calls\[\d+\](\.function)?|\.tool_call_id)?|tools\[\d+\](\.function)?|tool_choice\.function"
    r"|\bmax_(completion_)?tokens\b|response_format(\.json_schema)?|^(messages|prompt)\b"
)


def dotted(location: tuple[int | str, ...]) -> str:
    """Where pydantic found fault, as a client would write it.

    >>> dotted(("body", "messages", 0, "content", "str"))
    'messages[0].content'
    """
    path = ""
    for part in location[1:] if location and location[0] in ("body", "query", "path") else location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _names_a_type(part):
            path += f".{part}" if path else part
    return path


def blamed(errors: Sequence[Any]) -> Any:
    """The error to tell, of those that pydantic found: the first, or where that is a member of a union, the deepest.

    A list that has one bad item is also no string; what helps is where the item stands. And one that was only too long
    was meant.
    """
    too_long = next((error for error in errors if error["type"] == "too_long"), None)
    if too_long is not None:
        return too_long
    first = errors[0]
    beside = [error for error in errors if error["loc"][:2] == first["loc"][:2]]
    return max(beside, key=lambda error: dotted(error["loc"]).count("."))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text that speaks of parts of a chat request, with the names that they have in the client's own.

    >>> renamed("messages[1].content[0] is no text", {"messages[1]": "input[0]"})
    'input[0].content[0] is no text'
    """
    return _CHAT_NAME.sub(lambda found: names.get(found[0], found[0]), text)


def _names_a_type(part: str) -> bool:
    """Pydantic puts the member of a union that it tried into the location; fields are written in lower case."""
    return part in _TYPE_NAMES or not part.replace("_", "").islower() or not part.isidentifier()
