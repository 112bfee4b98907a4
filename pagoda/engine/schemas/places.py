"""Where in a JSON schema something stands, and what of a schema is left to the model.

Beside the token's path: the other files of this folder find places, the door and the server tell them to a client, in
the client's own schema and never in the grammar that was made of it. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

Place = tuple[str | int, ...]
"""Keys and indices from the root of a schema to a keyword of it."""


class Unenforced(NamedTuple):
    """A keyword that no grammar holds an answer to. reason: why, as the end of a sentence."""

    place: Place
    reason: str


def path(place: Sequence[str | int], root: str = "") -> str:
    """A place as a client writes it.

    >>> path(("properties", "a", "anyOf", 1, "not"), "parameters")
    'parameters.properties.a.anyOf[1].not'
    >>> path(("properties", "a b"))
    'properties["a b"]'
    """
    written = root
    for part in place:
        if isinstance(part, int):
            written += f"[{part}]"
        elif part.removeprefix("$").isidentifier():
            written += f".{part}" if written else part
        else:
            written += f"[{json.dumps(part, ensure_ascii=False)}]"
    return written
