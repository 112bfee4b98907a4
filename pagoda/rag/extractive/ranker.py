"""The learned part of the extractive answerer: which candidate span answers, and whether any does.

On a question's path: question -> Hits -> candidate spans -> features -> *ranker* -> answer. What the rankers of both
languages share: a network over hashed words in English (`hashed_ranker`), trees in Chinese (`chinese/tree_ranker`).
Evaluated in numpy: no torch at run time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.rag.extractive.choice import expected_best
from pagoda.rag.extractive.passage import Passage

DECISION_FEATURES = 14
MAX_COMPARED = 64
FOLDER = Path(__file__).parent / "data"
"""Where the packaged weights lie."""


class SpanRanker(ABC):
    """Scores the candidates of a passage, chooses among them, and says how likely the passage holds the answer.

    decision: [DECISION_FEATURES + 1], logistic weights and bias of "the passage holds the answer"
    """

    decision: np.ndarray

    @abstractmethod
    def scores(self, passage: Passage) -> np.ndarray:
        """[num_candidates] float32; comparable within one passage."""

    @abstractmethod
    def arrays(self) -> dict[str, Any]:
        """What is saved: one array a name."""

    def best(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate to answer with: of the largest expected F1."""
        return expected_best(passage.spans, scores, passage.sizes(), MAX_COMPARED)

    def deciding(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate by which to decide whether the passage answers."""
        return self.best(passage, scores)

    def probability(self, features: np.ndarray) -> float:
        """That the passage holds the answer, 0 to 1."""
        logit = float(features @ self.decision[:-1] + self.decision[-1])
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def save(self, language: str, folder: Path = FOLDER) -> Path:
        """Write the weights; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"span_ranker_{language}.npz"
        np.savez_compressed(path, **self.arrays())
        return path


def decision_features(passage: Passage, scores: np.ndarray, best: int) -> np.ndarray:
    """[DECISION_FEATURES] float32: how sure the ranker is, and what of the question the passage does not hold."""
    odds = np.exp(scores - scores.max())
    share = odds / odds.sum()
    first, last = passage.spans[best]
    near = (passage.spans[:, 0] <= last) & (passage.spans[:, 1] >= first)
    rest = scores[~near].max() if (~near).any() else scores.min()
    dense = passage.dense[best]
    chosen = [
        float(scores.max()), float(np.log(share.max())), float(share[near].sum()), float(scores.max() - rest),
        float(dense[0]), float(dense[2]), float(dense[1]), float(dense[19]), *passage.coverage.tolist(),
    ]  # fmt: skip
    return np.array(chosen, dtype=np.float32)
