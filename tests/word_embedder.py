"""An embedder that counts words, for tests that need an index and no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np


class WordEmbedder:
    """A vector per word, by its hash."""

    name, dimension, max_tokens = "words", 16, 256

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def unknown_share(self, text: str) -> float:
        return 0.0

    def embed(self, texts: Sequence[str], on_progress: Any = None) -> np.ndarray:
        vectors = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"[\u4e00-\u9fff]|\w+", text.lower()):
                vectors[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
