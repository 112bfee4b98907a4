"""MiniLM as a reader: question and passage side by side through its layers, a score for each piece to begin or end.

On a question's path: question -> Hits -> pieces and features -> *network* -> span. In numpy, so that a question need
not wait for torch; `reader_network` is the same for training. Papers: Devlin et al. 2019, "BERT" (arXiv 1810.04805),
section 4.3, where the first piece, [CLS], stands for "no answer"; Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.shape import NUM_LAYERS
from pagoda.rag.extractive.english.reader_input import ReaderInput
from pagoda.rag.extractive.english.reader_weights import FROZEN, HEADS, upper_names


@dataclass(frozen=True, eq=False)
class Read:
    """logits: float32 [T, 2] of each piece being the first and the last of the answer; piece 0 means "none".

    meaning: float32 [2 * HIDDEN], what the last layer says of the question's pieces and of the passage's, their means
    """

    logits: np.ndarray
    meaning: np.ndarray


class ReadingNetwork:
    """MiniLM with features added on the way, and two scores a piece. Threads may share it.

    minilm: its weights; trained: layers and heads by the names of the file that ships
    """

    def __init__(self, minilm: Mapping[str, np.ndarray], trained: Mapping[str, np.ndarray]) -> None:
        upper = {theirs: trained[ours] for ours, theirs in upper_names().items()}
        self._encoder = NumpyEncoder({**minilm, **upper})
        self._heads = {name: trained[name] for name in HEADS}

    def read(self, window: ReaderInput) -> Read:
        """A question beside one window of its passage."""
        hidden = self._encoder.run(self._encoder.embed(window.ids[None], window.types[None]), range(FROZEN))
        # What the vocabulary does not tell, capitals and words in common, enters below the first trained layer.
        hidden += self._linear("features", window.features)
        (hidden,) = self._encoder.run(hidden, range(FROZEN, NUM_LAYERS))
        asked, told = hidden[1 : window.first - 1], hidden[window.first : window.first + len(window.offsets)]
        # No words of either have no mean.
        meaning = np.concatenate(
            [part.mean(axis=0) if len(part) else np.zeros_like(hidden[0]) for part in (asked, told)]
        )
        return Read(self._linear("edges", np.concatenate([hidden, window.features], axis=1)), meaning)

    def _linear(self, name: str, values: np.ndarray) -> np.ndarray:
        mapped: np.ndarray = values @ self._heads[name + ".weight"].T + self._heads[name + ".bias"]
        return mapped
