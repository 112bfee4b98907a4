"""The requests that every engine gets: lengths of prompts and answers, and a rule for the tokens.

The lengths are read from a file (`{"b8": [{"prompt_len": …, "output_len": …}, …], "b32": …}`), or drawn from a seed
within the same bounds. An answer's end is not looked for: all engines produce exactly as many tokens.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

PROMPT_LENGTHS, OUTPUT_LENGTHS, SEED = (32, 256), (16, 256), 20260


@dataclass(frozen=True)
class Request:
    """index: its place in the list, from which its tokens follow."""

    index: int
    prompt_len: int
    output_len: int

    def tokens(self) -> list[int]:
        return [token_of(self.index, position) for position in range(self.prompt_len)]


def token_of(index: int, position: int) -> int:
    """Below 7,100, so that every vocabulary has it; all requests differ from their first token on."""
    return 100 + (index * 7919 + position * 104729 + position * position % 977) % 7000


def read_lists(path: Path) -> dict[str, list[Request]]:
    """The lists of a file by name."""
    content = json.loads(path.read_text(encoding="utf-8"))
    lists = {name: value for name, value in content.items() if isinstance(value, list)}
    return {
        name: [Request(index, row["prompt_len"], row["output_len"]) for index, row in enumerate(rows)]
        for name, rows in lists.items()
    }


def drawn_lists(seed: int = SEED) -> dict[str, list[Request]]:
    """Lists of 8 and of 32 requests, the same for the same seed."""
    draw = random.Random(seed)
    return {
        f"b{count}": [
            Request(index, draw.randint(*PROMPT_LENGTHS), draw.randint(*OUTPUT_LENGTHS)) for index in range(count)
        ]
        for count in (8, 32)
    }
