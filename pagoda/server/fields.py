"""Fields of a request that are not served here, or that nobody knows.

Between validation and every endpoint, OpenAI's and the applications' alike.
"""

from __future__ import annotations

from pagoda.chat.openai_types import OpenAIRequest
from pagoda.errors import InvalidParameterError, nearest


def check_fields(body: OpenAIRequest, *, strict: bool) -> None:
    """Raises InvalidParameterError for a field that is not supported, and if strict for one that is not known."""
    for name, reason in body.refused.items():
        if getattr(body, name, None) not in (None, "", [], {}):
            raise InvalidParameterError(f"{name} is not supported: {reason}", param=name)
    unknown = sorted(set(body.model_extra or {}) - body.ignored - set(body.refused))
    if strict and unknown:
        known = [*type(body).model_fields, *body.ignored]
        raise InvalidParameterError(
            f"{unknown[0]} is no field of this request: {nearest(unknown[0], known)}", param=unknown[0]
        )
