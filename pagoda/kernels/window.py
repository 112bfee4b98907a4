"""How far back a token sees: one rule, which dense attention, paged attention and the kernels in C++ all follow.

On the token's path, inside attention: every mask and every plan asks this. A window slides along with the token
(Beltagy et al. 2020, arXiv 2004.05150); a chunk stands still, so that a token sees those before it in its own segment
of the sequence (chunked attention of Llama 4, Meta 2025). With both a token sees what either of the two sees: right
behind a segment's border the window still reaches over it. Chunks are counted from position 0 of the sequence, in
tokens. Since RoPE sees distances alone, counting positions anew in each chunk would change nothing where no token sees
another chunk.

Imports no torch: positions may be numbers, or tensors of any library.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pagoda.errors import ConfigError


@dataclass(frozen=True)
class AttentionWindow:
    """What a token sees of the tokens up to its own.

    size:  so many, its own included
    chunk: those of its own segment of so many positions
    At least one of the two; with both, what either sees. Raises ConfigError for sizes below 1.
    """

    size: int | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        given = [each for each in (self.size, self.chunk) if each is not None]
        if not given or min(given) < 1:
            raise ConfigError(
                f"AttentionWindow was given size={self.size} and chunk={self.chunk}, but at least one of them is "
                f"expected, and whole numbers of at least 1: a token that sees everything has no window"
            )

    def first(self, position: int) -> int:
        """The first position that the token at `position` sees; it sees all from there to its own.

        >>> AttentionWindow(chunk=8).first(17), AttentionWindow(size=4, chunk=8).first(17)
        (16, 14)
        """
        return max(0, min(self._firsts(position)))

    def sees(self, query: Any, key: Any) -> Any:
        """Whether a token at `query` sees one at `key`, which is not behind it: of numbers, or tensors of them."""
        return reduce(operator.or_, (key >= first for first in self._firsts(query)))

    def _firsts(self, position: Any) -> list[Any]:
        """Of each of the two that is set, the first position that it lets a token see."""
        sliding = [] if self.size is None else [position - self.size + 1]
        return sliding if self.chunk is None else [*sliding, position // self.chunk * self.chunk]


LayerWindow = AttentionWindow | None
"""What a token of a layer sees; None for all before it."""
