"""MiniLM's sizes, which both forms of its layers share: `encoder` in torch, `numpy_encoder` without.

Below `rag` and `dialogue`. Paper: Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from collections.abc import Iterable

HIDDEN, NUM_LAYERS, NUM_HEADS = 384, 6, 12
EPSILON = 1e-12
"""Added to a variance before its root is taken."""


def layers_of(names: Iterable[str]) -> int:
    """How many layers weights of BERT's names have."""
    return len({name.split(".")[2] for name in names if name.startswith("encoder.layer.")})
