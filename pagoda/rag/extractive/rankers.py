"""The packaged span rankers: the weights of a language, read once.

On a question's path: question -> Hits -> candidate spans -> features -> *ranker* -> answer. Stands above both kinds of
ranker, so that neither knows the other.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.extractive.chinese.tree_ranker import TreeRanker
from pagoda.rag.extractive.hashed_ranker import HashedRanker
from pagoda.rag.extractive.ranker import FOLDER, SpanRanker


@lru_cache(maxsize=4)
def load_ranker(language: str, folder: Path = FOLDER) -> SpanRanker:
    """The packaged weights of "en" or "zh". Raises ConfigError where the file is missing or broken."""
    path = folder / f"span_ranker_{language}.npz"
    kind = TreeRanker if language == "zh" else HashedRanker
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return kind.from_arrays(arrays)
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights for the extractive answerer ({error}): reinstall pagoda") from error
