"""What a request gives back: text, token ids, log-probabilities, why it ended, how long it took.

Last stop on the token's path: `output_processor` fills these, the server and `LLM.generate` hand them on.
The shapes and names are vLLM's, so code that reads its results reads these. Plain values, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar


class Logprob(NamedTuple):
    """One candidate for one position, under the model's unmodified distribution."""

    logprob: float
    """Natural logarithm of its probability, before any penalty, mask or temperature."""
    rank: int
    """1 + the number of tokens that are likelier."""
    decoded_token: str | None = None
    """Its text; U+FFFD where the token is only part of a character. None without detokenisation."""


class SampledToken(NamedTuple):
    """One new token of a request, from the sampler to the text."""

    token_id: int
    logprobs: dict[int, Logprob] | None = None
    """The sampled token first, then the likeliest ones; None unless asked for."""


@dataclass  # not frozen, nor is RequestOutput: that takes five times as long to make, and each token makes two of each
class CompletionOutput:
    """One of the n completions of a request."""

    index: int
    """Which of the n, from 0."""
    text: str
    """All text so far, or what is new, according to `output_kind`."""
    token_ids: tuple[int, ...]
    """Likewise all ids or the new ones. The stop token counts among them."""
    cumulative_logprob: float | None = None
    """Sum of the sampled tokens' log-probabilities; None unless `logprobs` was asked for."""
    logprobs: tuple[dict[int, Logprob], ...] | None = None
    """Per token of `token_ids`: token id -> Logprob, the sampled one first."""
    finish_reason: str | None = None
    """"stop", "length", "abort" or "error"; None while it runs."""
    stop_reason: int | str | None = None
    """The stop token id or stop string that ended it; of an error, what went wrong. None for the model's own end."""
    lora_request: ClassVar[None] = None
    routed_experts: ClassVar[None] = None
    sampling_mask: ClassVar[None] = None
    spec_decode_metrics: ClassVar[None] = None
    weight_versions: ClassVar[None] = None
    """vLLM's names for what this engine does not have."""

    def finished(self) -> bool:
        """Whether no more will come."""
        return self.finish_reason is not None


@dataclass
class RequestMetrics:
    """When things happened to one request, in seconds of the engine's clock; None until they have."""

    arrival_time: float
    first_scheduled_time: float | None = None
    first_token_time: float | None = None
    last_token_time: float | None = None
    finished_time: float | None = None
    num_preemptions: int = 0
    """How often its blocks were taken away and computed again, over all n completions."""
    num_generation_tokens: int = 0
    """Of all n completions so far."""

    @property
    def queued_ts(self) -> float:
        """vLLM's name for the time of arrival; the three below are those of the times above."""
        return self.arrival_time

    @property
    def scheduled_ts(self) -> float:
        return self.first_scheduled_time or 0.0

    @property
    def first_token_ts(self) -> float:
        return self.first_token_time or 0.0

    @property
    def last_token_ts(self) -> float:
        return self.last_token_time or 0.0

    @property
    def first_token_latency(self) -> float:
        """vLLM's name for `time_to_first_token_s`, 0.0 before there is one."""
        return self.time_to_first_token_s or 0.0

    @property
    def time_in_queue_s(self) -> float | None:
        """Seconds between arrival and the first step that worked on it."""
        return _elapsed(self.arrival_time, self.first_scheduled_time)

    @property
    def time_to_first_token_s(self) -> float | None:
        """Seconds between arrival and the first token of any completion."""
        return _elapsed(self.arrival_time, self.first_token_time)

    @property
    def e2e_latency_s(self) -> float | None:
        """Seconds between arrival and the end of the last completion."""
        return _elapsed(self.arrival_time, self.finished_time)


@dataclass
class RequestOutput:
    """The state of one request, or what is new of it, according to `output_kind`."""

    request_id: str
    prompt: str | None
    """The prompt's text, where the caller gave text."""
    prompt_token_ids: Sequence[int]
    prompt_logprobs: tuple[dict[int, Logprob] | None, ...] | None
    """Per prompt token, the first None; None unless `prompt_logprobs` was asked for."""
    outputs: tuple[CompletionOutput, ...]
    """By index: all n, but with DELTA only those that have something new."""
    finished: bool
    """Whether all n completions have ended."""
    metrics: RequestMetrics | None = None
    num_cached_tokens: int = 0
    """Prompt tokens whose keys and values came from the prefix cache."""
    lora_request: ClassVar[None] = None
    encoder_prompt: ClassVar[None] = None
    encoder_prompt_token_ids: ClassVar[None] = None
    num_cache_creation_tokens: ClassVar[None] = None
    prompt_token_id_logprobs: ClassVar[None] = None
    kv_transfer_params: ClassVar[None] = None
    ec_transfer_params: ClassVar[None] = None
    """vLLM's names for what this engine does not have."""


def merge_outputs(outputs: Sequence[RequestOutput]) -> RequestOutput:
    """Successive deltas of one request as one, at least one of them given; the n completions stay apart."""
    by_index: dict[int, list[CompletionOutput]] = {}
    for output in outputs:
        for completion in output.outputs:
            by_index.setdefault(completion.index, []).append(completion)
    return replace(
        outputs[-1],
        prompt_logprobs=next((o.prompt_logprobs for o in outputs if o.prompt_logprobs is not None), None),
        outputs=tuple(_merge_completions(parts) for _, parts in sorted(by_index.items())),
    )


def _merge_completions(parts: Sequence[CompletionOutput]) -> CompletionOutput:
    last = parts[-1]
    return replace(
        last,
        text="".join(part.text for part in parts),
        token_ids=tuple(token_id for part in parts for token_id in part.token_ids),
        logprobs=None if last.logprobs is None else tuple(entry for part in parts for entry in part.logprobs or ()),
    )


@dataclass(frozen=True)
class EmbeddingOutput:
    """One embedding."""

    embedding: tuple[float, ...]

    @property
    def hidden_size(self) -> int:
        """Its number of dimensions."""
        return len(self.embedding)


@dataclass(frozen=True)
class ScoringOutput:
    """How alike two texts are: the cosine of their embeddings, in [-1, 1]."""

    score: float


@dataclass(frozen=True)
class PoolingOutput:
    """What `LLM.encode` gives: a tensor [hidden_size], float32."""

    data: Any


_Pooled = TypeVar("_Pooled")


@dataclass(frozen=True)
class PoolingRequestOutput(Generic[_Pooled]):
    """The result of a pooling request, which comes in one piece."""

    request_id: str
    outputs: _Pooled
    prompt_token_ids: Sequence[int] = ()
    finished: bool = True
    error: ClassVar[None] = None
    num_cached_tokens: ClassVar[None] = None
    """vLLM's names for what this engine does not tell."""


class EmbeddingRequestOutput(PoolingRequestOutput[EmbeddingOutput]):
    """Of `LLM.embed`."""


class ScoringRequestOutput(PoolingRequestOutput[ScoringOutput]):
    """Of `LLM.score`; prompt_token_ids are those of both texts, one behind the other."""


@dataclass(frozen=True)
class BeamSearchSequence:
    """One beam. tokens: the prompt's ids and those found; logprobs: one entry for each of the latter.

    An end token is the last of `tokens`; finish_reason is then "stop" and stop_reason its id, else "length" and None.
    """

    tokens: list[int]
    logprobs: list[dict[int, Logprob]]
    cum_logprob: float = 0.0
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: int | None = None
    lora_request: ClassVar[None] = None


@dataclass(frozen=True)
class BeamSearchOutput:
    """The best beams of one prompt, the best first."""

    sequences: list[BeamSearchSequence]


def _elapsed(start: float, end: float | None) -> float | None:
    return None if end is None else end - start
