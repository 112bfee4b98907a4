"""The English span ranker: a small network over hashed edge words and dense features.

On a question's path: question -> Hits -> candidate spans -> features -> *ranker* -> answer.
`benchmarks/train_extractive.py` fits it; evaluated in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.ranker import SpanRanker


@dataclass(frozen=True)
class HashedRanker(SpanRanker):
    """Weights of one language.

    table: [num_buckets, width] int8, times `scale`; hidden: [num_dense + 2 width, hidden]; out: [hidden]
    """

    table: np.ndarray
    scale: float
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    out_bias: float
    decision: np.ndarray

    def scores(self, passage: Passage) -> np.ndarray:
        """[num_candidates] float32; comparable within one passage."""
        starts, ends = self._edges(passage.starts), self._edges(passage.ends)
        first, last = passage.spans[:, 0], passage.spans[:, 1]
        num_dense, width = passage.dense.shape[1], starts.shape[1]
        # A span's hidden layer is a sum of three parts; the edges' parts are computed once a token, not once a span.
        from_start = starts @ self.hidden[num_dense : num_dense + width]
        from_end = ends @ self.hidden[num_dense + width :]
        inner = passage.dense @ self.hidden[:num_dense] + from_start[first] + from_end[last] + self.hidden_bias
        edge = starts[first, 0] + ends[last, 0]
        return np.asarray(np.maximum(inner, 0) @ self.out + self.out_bias + edge, dtype=np.float32)

    def with_decision(self, decision: np.ndarray) -> HashedRanker:
        """The same ranker with other weights for the decision to answer."""
        return replace(self, decision=decision)

    def arrays(self) -> dict[str, Any]:
        """What is saved: one array a name."""
        return {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Any) -> HashedRanker:
        """From what `arrays` gave. Raises KeyError where one is missing."""
        values = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "scale": float(values["scale"]), "out_bias": float(values["out_bias"])})

    def _edges(self, buckets: np.ndarray) -> np.ndarray:
        return self.table[buckets].sum(axis=1, dtype=np.int32).astype(np.float32) * np.float32(self.scale)
