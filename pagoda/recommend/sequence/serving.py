"""The engine serves the sequence model: a history is a prompt, and what comes next is one token with its rivals.

Last station of the sequence model. Keys and values of a history stay in the engine's prefix cache, in blocks of one
token, so that a new event costs the computation of one token, whatever came before; many people at once are continuous
batching. What may not be shown is struck from the rivals, of which as many more are asked for: the engine's
log-probabilities are those of the network, before any mask, and so are the scores. A history that outgrows the length
loses its oldest half at once, so that the prefix changes once in as many events and not with each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pagoda.engine.args import EngineArgs
from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import RequestOutput
from pagoda.errors import ConfigError
from pagoda.recommend.sequence.curriculum import START
from pagoda.recommend.sequence.network import dropped, newest_checkpoint, read_catalogue, read_settings
from pagoda.sampling_params import SamplingParams


@dataclass(frozen=True)
class NextThing:
    """An item that may come next, and the logarithm of its chance among all."""

    item: str
    logprob: float


class SequenceServer:
    """One engine over a checkpoint. Not thread-safe, as the engine is not.

    length: things of a history that are looked at, None for as many as in training; memory_mb: of the cache of all
        histories
    Raises CheckpointError for a folder without a model, ConfigError for one whose places are times: the engine counts
    places, and such a model has to be asked by `SequenceModel.scores`.
    """

    def __init__(
        self, folder: Path, length: int | None = None, *, memory_mb: int = 256, max_num_seqs: int = 64
    ) -> None:
        directory = newest_checkpoint(folder)
        self.catalogue = read_catalogue(directory)
        self._tokens = {item: token for token, item in enumerate(self.catalogue, start=1)}
        settings = read_settings(directory)
        if settings.positions != "ordinary":
            raise ConfigError(
                f"{directory} was trained with positions={settings.positions!r}, but the engine serves 'ordinary': "
                "train with these, or ask SequenceModel.scores"
            )
        self.length = length if length is not None else settings.length
        self.engine = LLMEngine.from_args(
            EngineArgs(
                model=directory,
                skip_tokenizer_init=True,
                dtype="float32",
                kernels="torch-reference",
                block_size=1,
                max_logprobs=-1,
                max_num_seqs=max_num_seqs,
                kv_cache_memory_bytes=memory_mb << 20,
                disable_log_stats=True,
            )
        )
        self._number = 0

    def close(self) -> None:
        """Let go of the model."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int = 10, blocked: Sequence[Collection[str]] = ()
    ) -> list[list[NextThing]]:
        """For each history (ids, oldest first) the `k` likeliest next items, none of it and none of its `blocked`."""
        closed = [
            {self._tokens[item] for item in {*history, *(blocked[row] if blocked else ())} if item in self._tokens}
            for row, history in enumerate(histories)
        ]
        names = []
        for history, shut in zip(histories, closed, strict=True):
            self._number += 1
            names.append(f"next-{self._number}")
            params = SamplingParams(max_tokens=1, temperature=0, detokenize=False, logprobs=self._rivals(k, shut))
            self.engine.add_request(names[-1], {"prompt_token_ids": self.prompt(history)}, params)
        outputs = self._finished()
        return [self._read(outputs[name], shut, k) for name, shut in zip(names, closed, strict=True)]

    def prompt(self, history: Sequence[str]) -> list[int]:
        """Tokens of a history: all of it, or what is left when its oldest half was let go, again and again."""
        tokens = [START, *(self._tokens[item] for item in history if item in self._tokens)]
        return tokens[dropped(len(tokens), self.length) :]

    def _rivals(self, k: int, shut: Collection[int]) -> int:
        """Log-probabilities to ask for: everything that is shut, the start and the padding may stand in front."""
        vocabulary: int = self.engine.config.vocab_size
        return min(vocabulary, k + len(shut) + vocabulary - len(self.catalogue))

    def _finished(self) -> dict[str, RequestOutput]:
        outputs: dict[str, RequestOutput] = {}
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                if output.finished and isinstance(output, RequestOutput):
                    outputs[output.request_id] = output
        return outputs

    def _read(self, output: RequestOutput, shut: Collection[int], k: int) -> list[NextThing]:
        logprobs = output.outputs[0].logprobs
        assert logprobs is not None
        ranked = sorted(logprobs[0].items(), key=lambda pair: (-pair[1].logprob, pair[0]))
        known = range(1, len(self.catalogue) + 1)
        found = [
            NextThing(self.catalogue[token - 1], rival.logprob)
            for token, rival in ranked
            if token in known and token not in shut
        ]
        return found[:k]

    @property
    def prefix_cache(self) -> tuple[int, int]:
        """Tokens of all prompts that were looked up in the prefix cache, and those found there: the engine's count."""
        manager = self.engine.core.scheduler.kv_cache_manager
        return manager.num_queried_tokens, manager.num_hit_tokens
