"""One request on its way: what was asked, what came out so far, how far the KV cache has got.

The door (`core`) fills the upper fields, with every default resolved; the scheduler alone changes the lower
ones. A request is *computed* up to `num_computed_tokens`: keys and values of that many of its tokens are in the
cache. Whatever lies between there and `num_tokens` still has to be fed to the model. Imports no torch.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pagoda.sampling_params import SamplingParams


class RequestStatus(enum.Enum):
    """Where a request stands. PREEMPTED is a WAITING that has already been RUNNING."""

    WAITING = "waiting"
    RUNNING = "running"
    PREEMPTED = "preempted"
    FINISHED = "finished"


class FinishReason(enum.StrEnum):
    """Why a request ended; the values are those of the OpenAI and vLLM interfaces."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


class Progress(Protocol):
    """How far a sequence has got: a Request's own, or what a plan says of it."""

    @property
    def num_computed_tokens(self) -> int: ...

    @property
    def num_prompt_tokens(self) -> int: ...


def is_decode(progress: Progress) -> bool:
    """Whether the next step belongs to the answer: the whole prompt is computed."""
    return progress.num_computed_tokens >= progress.num_prompt_tokens


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """A sequence of token ids that grows at its end, never elsewhere.

    request_id: unique among the unfinished requests of a scheduler.
    prompt_token_ids: at least one token; never changed, so that the n copies of a prompt may hold one list.
    sampling_params: the caller's wishes; None asks for pooling (an embedding) and no new token.
    max_tokens: most tokens to sample; 0 computes the prompt and ends, for scoring and pooling.
    arrival_time: seconds on any clock that all requests share; the earlier is served first.
    priority: smaller is served first, under the "priority" policy.
    cache_salt: only requests of equal salt share prefix-cached blocks.
    fork_of: an id of a request with the same prompt; its prompt blocks are shared once they are computed.
    stop_token_ids: every token that ends the request, those of `eos_token_ids` included.
    eos_token_ids: the model's own end tokens; when one ends the request, `stop_reason` stays None.
    min_tokens: sampled tokens before which no token stops the request.
    read_prefix_cache: False computes every prompt token itself, neither looking into the prefix cache nor
        sharing a sibling's blocks: the logits of the whole prompt are wanted.
    """

    request_id: str
    prompt_token_ids: list[int]
    sampling_params: SamplingParams | None
    max_tokens: int
    arrival_time: float = 0.0
    priority: int = 0
    cache_salt: str | None = None
    fork_of: str | None = None
    stop_token_ids: frozenset[int] = frozenset()
    eos_token_ids: frozenset[int] = frozenset()
    min_tokens: int = 0
    read_prefix_cache: bool = True

    output_token_ids: list[int] = field(default_factory=list, init=False)
    num_computed_tokens: int = field(default=0, init=False)
    num_cached_tokens: int = field(default=0, init=False)
    """Tokens that were there already, by prefix cache or sibling, when the request was first admitted."""
    num_preemptions: int = field(default=0, init=False)
    status: RequestStatus = field(default=RequestStatus.WAITING, init=False)
    finish_reason: FinishReason | None = field(default=None, init=False)
    stop_reason: int | str | None = field(default=None, init=False)
    """The stop token id or stop string that ended the request, when the caller had given it."""
    is_suspect: bool = field(default=False, init=False)
    """It was in a step that broke, and has got nothing since: of such requests one at a time runs."""
    rank: tuple[int, float, int] = field(default=(0, 0.0, 0), init=False)
    """The scheduler's order of service: smaller is served earlier and preempted later."""
    block_hashes: list[bytes] = field(default_factory=list, init=False, repr=False)
    """Hash chain of the leading full blocks; tokens are only appended, so an entry never goes stale."""

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.prompt_token_ids)

    @property
    def num_tokens(self) -> int:
        """Known tokens: the prompt and what was sampled so far."""
        return len(self.prompt_token_ids) + len(self.output_token_ids)

    @property
    def token_ids(self) -> list[int]:
        """All known tokens, copied; `tokens_between` is cheaper for a part of them."""
        return self.prompt_token_ids + self.output_token_ids

    @property
    def is_finished(self) -> bool:
        return self.status is RequestStatus.FINISHED

    @property
    def is_pooling(self) -> bool:
        return self.sampling_params is None

    @property
    def wants_tokens(self) -> bool:
        """False for pooling and scoring: such a request ends as soon as its prompt is computed."""
        return self.sampling_params is not None and self.max_tokens > 0

    def num_logits(self, start: int, end: int) -> int:
        """How many of the tokens at positions [start, end) need logits, counted from the last."""
        if self.sampling_params is None:
            return 0
        if self.sampling_params.prompt_logprobs is not None and start < len(self.prompt_token_ids):
            return end - start
        return int(end == self.num_tokens)

    def shares_prompt_with(self, other: Request) -> bool:
        """True if keys and values of one's prompt may serve the other."""
        same_prompt = self.prompt_token_ids is other.prompt_token_ids or self.prompt_token_ids == other.prompt_token_ids
        return same_prompt and self.cache_salt == other.cache_salt

    def tokens_between(self, start: int, end: int) -> tuple[int, ...]:
        """Known tokens at positions [start, end), across the border of prompt and output."""
        border = len(self.prompt_token_ids)
        if start >= border:
            return tuple(self.output_token_ids[start - border : end - border])
        if end <= border:
            return tuple(self.prompt_token_ids[start:end])
        return (*self.prompt_token_ids[start:], *self.output_token_ids[: end - border])

    def check_stop(self, max_model_len: int) -> tuple[FinishReason | None, int | None]:
        """(finish_reason, stop_reason) once every known token but the last sampled is computed; (None, None) to go on.

        Decides by token ids alone; stop strings are found after detokenization.
        """
        if not self.wants_tokens:
            return (FinishReason.STOP if self.is_pooling else FinishReason.LENGTH), None
        return self.check_last_token(max_model_len)

    def check_last_token(self, max_model_len: int) -> tuple[FinishReason | None, int | None]:
        """The same where a token has been sampled."""
        token_id, num_output_tokens = self.output_token_ids[-1], len(self.output_token_ids)
        if token_id in self.stop_token_ids and num_output_tokens >= self.min_tokens:
            return FinishReason.STOP, None if token_id in self.eos_token_ids else token_id
        if num_output_tokens >= self.max_tokens or len(self.prompt_token_ids) + num_output_tokens >= max_model_len:
            return FinishReason.LENGTH, None
        return None, None
