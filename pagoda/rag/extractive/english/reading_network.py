"""MiniLM as a reader: question and passage side by side through its layers, a score for each piece to begin or end.

On a question's path: question -> Hits -> pieces and features -> *network* -> span. In numpy, so that a question need
not wait for torch; `reader_network` is the same for training. Papers: Devlin et al. 2019, "BERT" (arXiv 1810.04805),
section 4.3, where the first piece, [CLS], stands for "no answer"; Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.shape import NUM_LAYERS
from pagoda.rag.extractive.english.reader_input import ReaderInput
from pagoda.rag.extractive.english.reader_weights import FROZEN, upper_names


class TunedEncoder:
    """MiniLM with its upper layers tuned, and features added on the way. Threads may share it.

    minilm: its weights; trained: layers and a way in for the features, by the names of the file that ships
    """

    def __init__(self, minilm: Mapping[str, np.ndarray], trained: Mapping[str, np.ndarray]) -> None:
        upper = {theirs: trained[ours] for ours, theirs in upper_names().items()}
        self._encoder = NumpyEncoder({**minilm, **upper})
        self._weight, self._bias = trained["features.weight"].T, trained["features.bias"]

    def hidden(self, window: ReaderInput) -> np.ndarray:
        """float32 [T, HIDDEN], a question beside one window of its passage."""
        hidden = self._encoder.run(self._encoder.embed(window.ids[None], window.types[None]), range(FROZEN))
        # What the vocabulary does not tell, capitals and words in common, enters below the first trained layer.
        hidden += window.features @ self._weight + self._bias
        (hidden,) = self._encoder.run(hidden, range(FROZEN, NUM_LAYERS))
        return hidden


class ReadingNetwork:
    """The tuned MiniLM with two scores a piece. Threads may share it.

    minilm: its weights; trained: layers and heads by the names of the file that ships
    """

    def __init__(self, minilm: Mapping[str, np.ndarray], trained: Mapping[str, np.ndarray]) -> None:
        self._encoder = TunedEncoder(minilm, trained)
        self._weight, self._bias = trained["edges.weight"].T, trained["edges.bias"]

    def logits(self, window: ReaderInput) -> np.ndarray:
        """float32 [T, 2] of each piece being the first and the last of the answer; piece 0 means "none"."""
        hidden = self._encoder.hidden(window)
        logits: np.ndarray = np.concatenate([hidden, window.features], axis=1) @ self._weight + self._bias
        return logits
