"""Which lines of a text are code: those between fences, as CommonMark has them.

First station of a document's path, and asked again where an answer is shown: file -> *is it code?* -> Document ->
Chunks -> Hits -> answer. A fence is three backticks or tildes or more; what opened with some of them closes with as
many of the same or more, and without a word behind them, so that one block may show another.
"""

from __future__ import annotations

import re
from typing import Literal

_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})\s*(.*)")
_ANY = "?"


class Fences:
    """Takes lines, one after the other. begins_in_code: whether the first stands in a block that began before it.

    >>> fences = Fences()
    >>> [fences.told(line) for line in ("````md", "```", "a", "````", "b")]
    ['fence', 'code', 'code', 'fence', '']
    """

    def __init__(self, begins_in_code: bool = False) -> None:
        # Of a block that began before the text any fence without a word is the last.
        self._opened = _ANY if begins_in_code else ""

    @property
    def in_code(self) -> bool:
        """Whether what follows stands in a block."""
        return bool(self._opened)

    def told(self, line: str) -> Literal["fence", "code", ""]:
        """What the next line is; "" where it is no code."""
        fence = _FENCE.fullmatch(line)
        if fence is None or (self._opened and fence[2]):
            return "code" if self._opened else ""
        if not self._opened:
            self._opened = fence[1]
        elif self._opened == _ANY or fence[1].startswith(self._opened):
            self._opened = ""
        else:
            return "code"
        return "fence"
