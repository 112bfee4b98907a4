"""Where a fault lies, as the client wrote it.

Between a request's readers and its errors: pydantic gives a location in its own terms, and the Responses API is
answered by way of a chat request, whose names its client has never seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TYPE_NAMES = frozenset({"str", "int", "float", "bool", "dict", "none"})
_EXPECTED = "Input should be "
_CHAT_NAME = re.compile(
    r"messages\[\d+\](\.tool_calls\[\d+\](\.function)?|\.tool_call_id)?|tools\[\d+\](\.function)?|file_search\[\d+\]"
    r"|tool_choice\.function|\bmax_(completion_)?tokens\b|response_format(\.json_schema)?|^(messages|prompt)\b"
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
    """The error to tell, of those that pydantic found: the first, or of a union's members the farthest.

    A list that has one bad item is also no string; what helps is where the item stands. And one that was only too long
    was meant.
    """
    too_long = next((error for error in errors if error["type"] == "too_long"), None)
    if too_long is not None:
        return too_long
    first = errors[0]
    beside = [error for error in errors if error["loc"][:2] == first["loc"][:2]]
    return max(beside, key=lambda error: _progress(error["loc"]))


def expectation(errors: Sequence[Any], told: Any) -> str:
    """What was expected at the place of one error: whatever the members of a union would have taken there.

    >>> int_, float_ = ({"loc": ("t", kind), "msg": f"Input should be a valid {kind}"} for kind in ("int", "float"))
    >>> expectation([int_, float_], int_)
    'Input should be a valid int or a valid float'
    """
    here = [error["msg"] for error in errors if dotted(error["loc"]) == dotted(told["loc"])]
    others = [told["msg"], *dict.fromkeys(message for message in here if message != told["msg"])]
    if not all(message.startswith(_EXPECTED) for message in others):
        return str(told["msg"])
    return _EXPECTED + " or ".join(message.removeprefix(_EXPECTED) for message in others)


def _progress(location: Sequence[int | str]) -> tuple[int, int, int]:
    """How far a reader came before it found fault: how deep, and how far along the list where it stopped."""
    place = dotted(tuple(location))
    last = next((part for part in reversed(location) if isinstance(part, int)), 0)
    return place.count("."), place.count("["), last


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text that speaks of parts of a chat request, with the names that they have in the client's own.

    >>> renamed("messages[1].content[0] is no text", {"messages[1]": "input[0]"})
    'input[0].content[0] is no text'
    """
    return _CHAT_NAME.sub(lambda found: names.get(found[0], found[0]), text)


def _names_a_type(part: str) -> bool:
    """Pydantic puts the member of a union that it tried into the location; fields are written in lower case."""
    return part in _TYPE_NAMES or not part.replace("_", "").islower() or not part.isidentifier()
