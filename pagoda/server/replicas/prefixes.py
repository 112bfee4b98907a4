"""What of a request tells a router where its beginning is cached: hashes of the text's pieces, each over all before.

Beside the token's path, in front of the replicas. The router has no tokenizer and no template, so a piece is so many
characters as a block's tokens mostly are; whoever shares pieces from the start shares blocks. Keys are among what is
hashed, as replicas share no blocks between them. Imports neither Ray nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

PIECE = 64
"""Characters: some 16 tokens of English."""
_PER_TOKEN = 4
_MOST_PIECES = 4096
"""What lies further back in a prompt decides nothing any more."""


class Beginning(NamedTuple):
    """pieces: a hash of the text up to the end of each; num_tokens: of all of it, roughly."""

    pieces: tuple[int, ...] = ()
    num_tokens: int = 1

    def num_shared(self, known: Any) -> int:
        """Tokens that lie in pieces which are all in `known`, roughly."""
        count = 0
        for piece in self.pieces:
            if piece not in known:
                break
            count += 1
        return min(count * PIECE // _PER_TOKEN, self.num_tokens)


def beginning_of(body: bytes, key: str = "") -> Beginning:
    """Of a request's body. What is no JSON of ours has nothing in common with others: a replica will refuse it."""
    try:
        fields = json.loads(body)
        text = "".join(_texts(fields)) if isinstance(fields, dict) else None
    except (ValueError, RecursionError):
        return Beginning()
    if text is None:
        return Beginning()
    pieces, so_far = [], hash((key, fields.get("cache_salt") if isinstance(fields.get("cache_salt"), str) else None))
    for start in range(0, min(len(text), _MOST_PIECES * PIECE) - PIECE + 1, PIECE):
        so_far = hash((so_far, text[start : start + PIECE]))
        pieces.append(so_far)
    return Beginning(tuple(pieces), max(1, len(text) // _PER_TOKEN))


def _texts(fields: dict[str, Any]) -> Iterator[str]:
    """In the order in which templates have them: tools, messages."""
    for name in ("tools", "instructions", "messages", "prompt", "input"):
        value = fields.get(name)
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            yield each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
