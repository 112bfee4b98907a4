"""What every classifier of texts here can do: scores, and which words they came from.

On the path *item -> opinion of a company*: behind it stand the tuned MiniLM (English), characters (Chinese) and word
lists (where nothing was trained).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.story import OpinionWord


class TextModel(Protocol):
    """A classifier whose labels are numbered; never changes once trained, threads may share it."""

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels], to be turned into probabilities by a softmax."""

    def carried(self, text: Marked, label: int) -> tuple[OpinionWord, ...]:
        """The words that spoke for a label, the heaviest first."""
