"""What the operator decides: how much memory the KV cache has and how a step is filled.

Read once, when the engine starts; nothing here changes while tokens flow. Facts of the checkpoint live in
`models/config`, the caller's wishes in `sampling_params`. Imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pagoda.errors import ConfigError, nearest

POLICIES = ("fcfs", "priority")


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Size and manners of the paged KV cache. Raises ConfigError on a value that cannot work.

    num_blocks: blocks in the pool; one block holds keys and values of `block_size` tokens, for all layers.
    block_size: tokens in a block.
    enable_prefix_caching: keep full blocks of past tokens and reuse them for requests that open alike.
    watermark: share of the pool, in [0, 1), that stays free when a request joins running ones, so that
        those can grow for a while before anyone must be preempted.
    """

    num_blocks: int
    block_size: int
    enable_prefix_caching: bool = True
    watermark: float = 0.01

    def __post_init__(self) -> None:
        _require_at_least("num_blocks", self.num_blocks, 1)
        _require_at_least("block_size", self.block_size, 1)
        if not 0.0 <= self.watermark < 1.0:
            raise ConfigError(f"watermark is {self.watermark}, but it is a share of the pool: give a number in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """How many requests and tokens a step may hold. Raises ConfigError on a contradiction.

    max_model_len: tokens of the longest sequence, prompt and output together.
    reach: tokens that the operator may raise it to, as far as the checkpoint's positions go; told to whoever asks for
        more.
    max_num_seqs: requests that run at once.
    max_num_batched_tokens: tokens of one step, over all its requests; at least `max_num_seqs`, so that every
        running request advances in every step.
    policy: "fcfs" serves in order of arrival; "priority" smaller `priority` first, then arrival.
    enable_chunked_prefill: a prompt may be computed over several steps; if False it is computed whole, and
        `max_num_batched_tokens` must then hold the longest sequence.
    long_prefill_token_threshold: most tokens that one request advances in a step; 0 sets no such limit.
    """

    max_model_len: int
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    policy: str = "fcfs"
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    reach: float = math.inf

    def __post_init__(self) -> None:
        _require_at_least("max_model_len", self.max_model_len, 1)
        _require_at_least("max_num_seqs", self.max_num_seqs, 1)
        _require_at_least("max_num_batched_tokens", self.max_num_batched_tokens, 1)
        _require_at_least("long_prefill_token_threshold", self.long_prefill_token_threshold, 0)
        if self.policy not in POLICIES:
            raise ConfigError(f'policy "{self.policy}" is unknown: {nearest(str(self.policy), POLICIES)}')
        self._check_step_holds_every_sequence()
        if not self.enable_chunked_prefill:
            self._check_whole_prompts()

    def _check_step_holds_every_sequence(self) -> None:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ConfigError(
                f"max_num_batched_tokens is {self.max_num_batched_tokens}, but each of max_num_seqs "
                f"{self.max_num_seqs} requests needs one token a step: raise the first or lower the second"
            )

    def _check_whole_prompts(self) -> None:
        if self.max_num_batched_tokens < self.max_model_len:
            raise ConfigError(
                f"max_num_batched_tokens is {self.max_num_batched_tokens}, but without chunked prefill a step must "
                f"hold a sequence of max_model_len {self.max_model_len} tokens: raise it or enable chunked prefill"
            )
        if self.long_prefill_token_threshold:
            raise ConfigError(
                f"long_prefill_token_threshold is {self.long_prefill_token_threshold}, but it cuts prompts into "
                "chunks and enable_chunked_prefill is False: set it to 0 or enable chunked prefill"
            )


def _require_at_least(name: str, value: object, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ConfigError(f"{name} is {value!r}, but it must be a whole number of at least {minimum}")
