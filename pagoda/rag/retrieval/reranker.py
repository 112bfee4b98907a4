"""A second look at the best chunks: a cross-encoder reads question and chunk together.

On a question's path: question -> words and vectors -> *reranked* Hits -> answer. Optional: none ships, because none
is small; any that sentence-transformers loads will do. Paper: Nogueira and Cho 2019, "Passage Re-ranking with BERT"
(arXiv 1901.04085).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError


class Reranker(Protocol):
    """What scores chunks for a question."""

    name: str

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts)], higher is better."""
        ...


def load_reranker(name_or_path: str) -> Reranker:
    """A cross-encoder by its folder, which uses no network, or by its name. Raises MissingExtraError, ConfigError."""
    return CrossEncoderReranker(name_or_path)


class CrossEncoderReranker:
    """A cross-encoder of the sentence-transformers library. Threads may share it."""

    def __init__(self, name_or_path: str, batch_size: int = 16) -> None:
        path = Path(name_or_path).expanduser()
        self.name = path.resolve().name if path.is_dir() else name_or_path
        self._model = _load(str(path) if path.is_dir() else name_or_path, is_folder=path.is_dir())
        self._batch_size = batch_size
        self._mutex = threading.Lock()

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts)], higher is better. Raises ConfigError for a model that gives more than one score."""
        if not texts:
            return np.zeros(0, dtype=np.float32)
        pairs = [(question, text) for text in texts]
        with self._mutex:
            found = np.asarray(self._model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False))
        if found.shape != (len(texts),):
            raise ConfigError(
                f"the reranker {self.name} gives {list(found.shape)} scores for {len(texts)} texts, expected one each: "
                "use a cross-encoder with a single label"
            )
        return found.astype(np.float32)


def _load(model: str, *, is_folder: bool) -> Any:
    try:
        from sentence_transformers import CrossEncoder
    except ModuleNotFoundError as error:
        raise MissingExtraError("the reranker (sentence-transformers)", "embedders") from error
    try:
        return CrossEncoder(model, local_files_only=is_folder)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ConfigError(
            f"no cross-encoder can be loaded from {model!r} ({str(error).splitlines()[0]}): name a folder that holds "
            "one, or a model of the Hugging Face hub that this machine can reach"
        ) from error
