"""What crosses the border between a server's process and the engine's, framed as `execution/frames` does it.

On the token's path: `async_engine` sends `Add`, `engine_process` answers with `Accepted` or `Refused` and then, after
every step, one `Stepped` with the news of all requests. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pagoda.engine.outputs import CompletionOutput, EmbeddingRequestOutput, RequestMetrics, RequestOutput
from pagoda.engine.scheduling.plan import SchedulerStats
from pagoda.errors import PagodaError
from pagoda.models.embedder import EmbedderConfig
from pagoda.models.model_card import ModelCard
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, SamplingParams


@dataclass(frozen=True)
class EngineInfo:
    """Facts of a loaded engine that its callers need; sent once, when it is ready.

    model: name to show; path: what was loaded; max_model_len: tokens of the longest sequence; num_blocks blocks of
    block_size tokens; max_logprobs: most that a request may ask for, -1 for no limit; default_sampling_params:
    from generation_config.json; startup_s: seconds by phase; pid: of the engine's process; embedder: how the
    checkpoint makes vectors; card: what its authors tell people of it.
    """

    model: str
    path: str
    max_model_len: int
    vocab_size: int
    hidden_size: int
    num_parameters: int
    dtype: str
    device: str
    kernels: str
    block_size: int
    num_blocks: int
    max_num_seqs: int
    max_logprobs: int
    eos_token_ids: tuple[int, ...]
    default_sampling_params: dict[str, Any]
    startup_s: dict[str, float]
    pid: int
    embedder: EmbedderConfig = field(default_factory=EmbedderConfig)
    card: ModelCard = field(default_factory=ModelCard)


class StepStats(NamedTuple):
    """The engine after a step, and how many tokens that step computed, of prompts and outputs together."""

    stats: SchedulerStats
    num_tokens: int


class Add(NamedTuple):
    """Queue a request, to generate or to embed. is_again: an engine has ended with it before."""

    request_id: str
    prompt_token_ids: Sequence[int]
    params: SamplingParams | PoolingParams
    priority: int
    cache_salt: str | None
    is_again: bool = False


class Abort(NamedTuple):
    """The caller of a request has left."""

    request_id: str


class Loaded(NamedTuple):
    """The engine is ready. The tokenizer is an equal copy of its own, for callers to encode and decode with."""

    info: EngineInfo
    tokenizer: Tokenizer | None


class Failed(NamedTuple):
    """The engine did not start, or cannot go on; its process ends."""

    kind: str
    message: str


class RanksEnded(NamedTuple):
    """The model's ranks have ended, in `reason`'s words, and are started again; requests go on afterwards."""

    reason: str


class RanksBack(NamedTuple):
    """They have loaded the model."""


class Accepted(NamedTuple):
    """A request is queued."""

    request_id: str


class Refused(NamedTuple):
    """A request was turned away at the door, or is given up."""

    request_id: str
    kind: str
    message: str
    param: str | None


class Stepped(NamedTuple):
    """What a step brought."""

    outputs: Sequence[tuple[Any, ...]]
    """Packed RequestOutputs: see `pack`."""
    embeddings: Sequence[tuple[str, tuple[float, ...]]]
    steps: Sequence[StepStats]
    """Of every step since the last message, at least one."""


def refusal(request_id: str, error: PagodaError) -> Refused:
    """An error of one request, to be raised again on the other side."""
    return Refused(request_id, type(error).__name__, str(error), getattr(error, "param", None))


def pack(output: RequestOutput) -> tuple[Any, ...]:
    """A RequestOutput without its prompt, as tuples: those pickle several times faster than dataclasses."""
    completions = tuple(
        (c.index, c.text, c.token_ids, c.cumulative_logprob, c.logprobs, c.finish_reason, c.stop_reason)
        for c in output.outputs
    )
    metrics = None if output.metrics is None else tuple(vars(output.metrics).values())  # astuple would copy each deeply
    return (
        output.request_id,
        completions,
        output.prompt_logprobs,
        output.finished,
        metrics,
        output.num_cached_tokens,
    )


def id_and_end(packed: tuple[Any, ...]) -> tuple[str, bool]:
    """Whose a packed output is, and whether no more will come."""
    return packed[0], packed[3]


def unpack(packed: tuple[Any, ...], prompt: str | None, prompt_token_ids: Sequence[int]) -> RequestOutput:
    """The RequestOutput again, with the prompt that this side kept."""
    request_id, completions, prompt_logprobs, finished, metrics, num_cached_tokens = packed
    return RequestOutput(
        request_id=request_id,
        prompt=prompt,
        prompt_token_ids=prompt_token_ids,
        prompt_logprobs=prompt_logprobs,
        outputs=tuple(CompletionOutput(*completion) for completion in completions),
        finished=finished,
        metrics=None if metrics is None else RequestMetrics(*metrics),
        num_cached_tokens=num_cached_tokens,
    )


def stepped(outputs: Sequence[RequestOutput | EmbeddingRequestOutput], steps: Sequence[StepStats]) -> Stepped:
    """The message for the outputs of one step and the figures of all that were not told yet."""
    return Stepped(
        [pack(output) for output in outputs if isinstance(output, RequestOutput)],
        [(o.request_id, o.outputs.embedding) for o in outputs if isinstance(o, EmbeddingRequestOutput)],
        steps,
    )
