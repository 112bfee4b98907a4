"""What every classifier of texts here can do: scores, and which words they came from.

On the path *item -> opinion of a company*: behind it stand the tuned MiniLM (English), characters (Chinese) and word
lists (where nothing was trained).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.story import OpinionWord


@dataclass(frozen=True, slots=True)
class TextReading:
    """What a model made of texts. scores: float32 [n, num_labels], to be turned into probabilities by a softmax.

    carried: of a text's number and a label, the words that spoke for it, the heaviest first
    """

    scores: np.ndarray
    carried: Callable[[int, int], tuple[OpinionWord, ...]]


class TextModel(Protocol):
    """A classifier whose labels are numbered; never changes once trained, threads may share it."""

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Scores; words are looked for where somebody asks."""

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """The same, alone."""
