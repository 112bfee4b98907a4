"""A few vectors that stand for each intent, to tell how near a sentence is to anything known.

On the path *sentence -> Understanding*. Nearest-neighbour distance finds out-of-scope sentences as well as any score
does (Sun et al. 2022, arXiv 2204.06507); means of clusters keep the model small.
"""

from __future__ import annotations

import numpy as np

_MOST = 10
"""Prototypes of an intent."""
_ROUNDS = 8


def prototypes(vectors: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """float16 [n, width], unit length: k-means within each label. vectors: [m, width], unit length; labels: [m]."""
    rng = np.random.default_rng(seed)
    parts = [_centres(vectors[labels == label], rng) for label in np.unique(labels)]
    return np.concatenate(parts).astype(np.float16) if parts else np.zeros((0, vectors.shape[1]), np.float16)


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """[m] cosine with the nearest of the centres; 0 where there is none."""
    if not len(centres):
        return np.zeros(len(vectors), np.float32)
    return np.asarray((vectors @ centres.astype(np.float32).T).max(1))


def _centres(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(vectors) <= _MOST:
        return vectors
    centres = vectors[rng.choice(len(vectors), _MOST, replace=False)]
    for _ in range(_ROUNDS):
        owner = (vectors @ centres.T).argmax(1)
        sums = np.stack([vectors[owner == k].sum(0) if (owner == k).any() else centres[k] for k in range(len(centres))])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres
