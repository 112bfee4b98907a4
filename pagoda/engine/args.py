"""Everything an operator can set about an engine, in one record: vLLM's names where vLLM has the setting.

Read once at start: `LLM(...)`, the server and the command line all build this, and `engine.engine` resolves it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pagoda.errors import ConfigError, nearest
from pagoda.parameter_rules import FLAG, STRING, Rule, is_number, optional, positive, whole_number

DTYPES = ("auto", "float32", "bfloat16", "float16", "half", "float")
BLOCK_SIZES = (8, 16, 32, 64, 128)
_DTYPE_ALIASES = {"half": "float16", "float": "float32"}
BUILTIN_MODEL = Path(__file__).parent.parent / "builtin"


def _is_slowdown(value: object) -> bool:
    return is_number(value) and cast(float, value) > 1


_RULES: dict[str, Rule] = {
    "revision": optional(STRING),
    "device": STRING,
    "kernels": STRING,
    "max_model_len": optional(whole_number(1)),
    "gpu_memory_utilization": positive(1),
    "kv_cache_memory_fraction": positive(1),
    "kv_cache_memory_bytes": optional(whole_number(1)),
    "num_gpu_blocks_override": optional(whole_number(1)),
    "enable_prefix_caching": FLAG,
    "max_num_seqs": whole_number(1),
    "max_num_batched_tokens": optional(whole_number(1)),
    "enable_chunked_prefill": FLAG,
    "long_prefill_token_threshold": whole_number(0),
    "max_decode_slowdown": optional(Rule(_is_slowdown, "a number above 1")),
    "max_outputs_per_s": optional(positive()),
    "max_logprobs": whole_number(-1),
    "seed": whole_number(-(2**63), 2**63 - 1),
    "trust_remote_code": FLAG,
    "disable_log_stats": FLAG,
}
"""What each setting accepts, of those that are not looked up in a table of their own."""


@dataclass(frozen=True, kw_only=True)
class EngineArgs:
    """Settings of one engine. Raises ConfigError for a value that cannot work.

    model: directory, llama2.c `.bin` file, hub id or short name; None is the model that ships with pagoda
    tokenizer: another directory or file to take the tokenizer from
    revision: branch, tag or commit on the hub
    dtype: of weights and KV cache; "auto" is the checkpoint's, or float32 on a CPU without bf16 hardware
    device: "auto", "cpu" or "cuda"
    kernels: "auto" or the name of an implementation
    max_model_len: tokens of the longest sequence; None is the checkpoint's limit
    gpu_memory_utilization: share of a GPU's memory for weights and KV cache together
    kv_cache_memory_fraction: on CPU, share of the free memory for weights and KV cache together
    kv_cache_memory_bytes: bytes for the KV cache, instead of either share
    num_gpu_blocks_override: KV blocks, instead of any of these
    block_size: tokens of a KV block
    enable_prefix_caching: share KV blocks between requests that open alike
    max_num_seqs, max_num_batched_tokens: requests that run at once, and tokens of one step; None for the
        second picks 2048, or more where unchunked prefill or max_num_seqs need it
    enable_chunked_prefill, long_prefill_token_threshold: see SchedulerConfig
    max_decode_slowdown: how many times longer than otherwise a step of running answers may take because of prompts
        computed beside them, above 1; None sets no limit, which gives the highest throughput
    max_outputs_per_s: outputs of all streams together; beyond it each gets its tokens in fewer and larger pieces; None
        tells of every token at once
    scheduling_policy: "fcfs" or "priority"
    max_logprobs: most logprobs a request may ask for; -1 for no limit
    seed: where the seeds of unseeded requests start
    tensor_parallel_size, pipeline_parallel_size: ranks; this version runs one
    quantization: this version runs dense weights only
    trust_remote_code: accepted for vLLM's sake; code in a checkpoint is never run, and none is needed
    disable_log_stats: say nothing at start
    """

    model: str | Path | None = None
    tokenizer: str | Path | None = None
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    kernels: str = "auto"
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    kv_cache_memory_fraction: float = 0.4
    kv_cache_memory_bytes: int | None = None
    num_gpu_blocks_override: int | None = None
    block_size: int = 16
    enable_prefix_caching: bool = True
    max_num_seqs: int = 256
    max_num_batched_tokens: int | None = None
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    max_decode_slowdown: float | None = None
    max_outputs_per_s: float | None = None
    scheduling_policy: str = "fcfs"
    max_logprobs: int = 20
    seed: int = 0
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    quantization: str | None = None
    trust_remote_code: bool = False
    disable_log_stats: bool = False

    def __post_init__(self) -> None:
        dtype = str(self.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            raise ConfigError(f"dtype={self.dtype!r} is not known: {nearest(dtype, DTYPES)}")
        object.__setattr__(self, "dtype", _DTYPE_ALIASES.get(dtype, dtype))
        for name, rule in _RULES.items():
            if not rule.accepts(getattr(self, name)):
                raise ConfigError(f"{name}={getattr(self, name)!r}, but {rule.expected} is expected")
        if self.block_size not in BLOCK_SIZES:
            raise ConfigError(f"block_size={self.block_size!r}, but one of {BLOCK_SIZES} is expected")
        if self.tensor_parallel_size != 1 or self.pipeline_parallel_size != 1:
            raise ConfigError(
                f"tensor_parallel_size={self.tensor_parallel_size} and pipeline_parallel_size="
                f"{self.pipeline_parallel_size} ask for several ranks, but this version runs one: leave both at 1"
            )
        if self.quantization is not None:
            raise ConfigError(
                f"quantization={self.quantization!r}, but this version runs dense weights only: leave it out"
            )

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> EngineArgs:
        """Build from loose keywords. Raises ConfigError for an unknown one, with the nearest name."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in keywords:
            if name not in known:
                raise ConfigError(f"the engine has no setting {name!r}: {nearest(name, known)}")
        return cls(**keywords)

    def resolve_max_num_batched_tokens(self, max_model_len: int) -> int:
        """The token budget of a step, where the operator left it open."""
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        whole_prompt = 0 if self.enable_chunked_prefill else max_model_len
        return max(2048, self.max_num_seqs, whole_prompt)
