"""One passage as the extractive answerer sees it for one question: candidate spans and what is known of each.

On a question's path: question -> Hits -> candidate spans -> features -> ranker -> answer. The *passage* goes from the
features to the ranker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pagoda.rag.extractive.spans import Token


@dataclass(frozen=True)
class Passage:
    """The candidates of one passage for one question.

    spans: [num_candidates, 2] first and last token; sentence_of: [num_candidates]
    dense: [num_candidates, num_features] float32; in Chinese other features than in English
    starts, ends: [num_tokens, names] int32, buckets of what stands at a span's left and right edge
    coverage: [6] share of the question's weighted words in the best sentence, in the passage, and what is missing
    names: [num_candidates, names] int32, buckets of whole spans; content: [num_tokens] bool, no mark. Chinese only
    numberless: [num_candidates] bool, the span has no number though the question asks for one. Chinese only
    """

    tokens: list[Token]
    sentences: list[tuple[int, int]]
    spans: np.ndarray
    sentence_of: np.ndarray
    dense: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    coverage: np.ndarray
    names: np.ndarray | None = None
    content: np.ndarray | None = None
    numberless: np.ndarray | None = None

    def sizes(self) -> np.ndarray:
        """[num_tokens + 1]: how many tokens count towards F1 before each place; marks do not in Chinese."""
        counted = np.ones(len(self.tokens), dtype=bool) if self.content is None else self.content
        return np.concatenate([[0], np.cumsum(counted)])
