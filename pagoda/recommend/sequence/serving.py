"""The engine serves the sequence model: a history is a prompt, and what comes next is read from its last hidden state.

Last station of the sequence model. Keys and values of a history stay in the engine's prefix cache, in blocks of one
token, so that a new event costs the computation of one token, whatever came before; many people at once are continuous
batching. The hidden state times the matrix of all things is the score of each, which the recommender adds to the
scores of its other models. A history that outgrows the length loses its oldest half at once, so that the prefix changes
once in as many events and not with each.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pagoda.engine.args import EngineArgs
from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import EmbeddingRequestOutput
from pagoda.errors import ConfigError
from pagoda.recommend.sequence.curriculum import History
from pagoda.recommend.sequence.network import (
    OF_TRAINING,
    centred,
    log_chances,
    newest_checkpoint,
    read_catalogue,
    read_head,
    read_settings,
    recent,
)
from pagoda.sampling_params import PoolingParams

_AS_IT_IS = PoolingParams(normalize=False)


@dataclass(frozen=True)
class NextThing:
    """An item that may come next, and the logarithm of its chance among all."""

    item: str
    logprob: float


class SequenceServer:
    """One engine over a checkpoint. Threads may share it: one is in the engine at a time.

    length: things of a history that are looked at, None for as many as in training; memory_mb: of the cache of all
        histories
    Raises CheckpointError for a folder without a model, ConfigError for one whose places are times: the engine counts
    places, and such a model has to be asked by `SequenceModel.scores`.
    """

    def __init__(
        self, folder: Path, length: int | None = None, *, memory_mb: int = 256, max_num_seqs: int = 64
    ) -> None:
        self.directory = directory = newest_checkpoint(folder)
        self.catalogue = read_catalogue(directory)
        self._numbers = {item: number for number, item in enumerate(self.catalogue)}
        settings = read_settings(directory)
        if settings.positions != "ordinary":
            raise ConfigError(
                f"{directory} was trained with positions={settings.positions!r}, but the engine serves 'ordinary': "
                "train with these, or ask SequenceModel.scores"
            )
        self.length = length if length is not None else settings.length
        self._head = read_head(directory, len(self.catalogue))
        self.engine = LLMEngine.from_args(
            EngineArgs(
                model=directory,
                skip_tokenizer_init=True,
                dtype="float32",
                kernels="torch-reference",
                block_size=1,
                max_num_seqs=max_num_seqs,
                kv_cache_memory_bytes=memory_mb << 20,
                disable_log_stats=True,
            )
        )
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the model."""
        with self._lock:
            self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """`history [n]` of numbers -> `[items]` fp64, as `SequenceModel` answers."""
        return centred(self.scores([history])[0])

    def write(self, directory: Path) -> None:
        """Copy the checkpoint: weights, shape and the catalogue."""
        shutil.copytree(self.directory, directory, ignore=shutil.ignore_patterns(*OF_TRAINING), dirs_exist_ok=True)

    def scores(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """Logarithms of chances `[histories, items]` fp32 of what comes next after each history of numbers."""
        if not histories:
            return np.zeros((0, len(self.catalogue)), np.float32)
        with self._lock:
            for name, history in enumerate(histories):
                self.engine.add_request(str(name), {"prompt_token_ids": self.prompt(history)}, _AS_IT_IS)
            found = self._finished()
        return log_chances(np.array([found[str(name)] for name in range(len(histories))], np.float32) @ self._head.T)

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int = 10, blocked: Sequence[Collection[str]] = ()
    ) -> list[list[NextThing]]:
        """For each history (ids, oldest first) the `k` likeliest next items, none of it and none of its `blocked`."""
        known = [self._known(history) for history in histories]
        answers = []
        for row, (history, scores) in enumerate(zip(known, self.scores(known), strict=True)):
            scores[history] = -np.inf
            scores[self._known(list(blocked[row]) if blocked else [])] = -np.inf
            order = [item for item in np.argsort(-scores, kind="stable")[:k] if np.isfinite(scores[item])]
            answers.append([NextThing(self.catalogue[item], float(scores[item])) for item in order])
        return answers

    def prompt(self, history: np.ndarray) -> list[int]:
        """Tokens of a history: all of it, or what is left when its oldest half was let go, again and again."""
        tokens: list[int] = recent(History(history), self.length)[0].tolist()
        return tokens

    def _known(self, history: Sequence[str]) -> np.ndarray:
        return np.array([self._numbers[item] for item in history if item in self._numbers], dtype=np.int64)

    def _finished(self) -> dict[str, tuple[float, ...]]:
        """Hidden states of all requests, by their ids."""
        found: dict[str, tuple[float, ...]] = {}
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                if isinstance(output, EmbeddingRequestOutput):
                    found[output.request_id] = output.outputs.embedding
        return found

    @property
    def prefix_cache(self) -> tuple[int, int]:
        """Tokens of all prompts that were looked up in the prefix cache, and those found there: the engine's count."""
        manager = self.engine.core.scheduler.kv_cache_manager
        return manager.num_queried_tokens, manager.num_hit_tokens
