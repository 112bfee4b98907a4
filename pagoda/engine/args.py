"""Everything an operator can set about an engine, in one record: vLLM's names where vLLM has the setting.

Read once at start: `LLM(...)`, the server and the command line all build this, and `engine.build` resolves it. vLLM's
settings that are no field here stand in `vllm_names`.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from pagoda.engine.execution.memory_plan import KV_CACHE_DTYPES
from pagoda.engine.speculative_config import SpeculativeConfig
from pagoda.errors import ConfigError, InvalidParameterError, nearest
from pagoda.models.checkpoint.hub import public_name
from pagoda.models.quantise.scheme import PRESETS
from pagoda.models.quantization_config import METHODS
from pagoda.parameter_rules import FLAG, STRING, Rule, instance_of, is_number, optional, positive, whole_number
from pagoda.vllm_names import ENGINE_SETTINGS

DTYPES = ("auto", "float32", "bfloat16", "float16", "half", "float")
BLOCK_SIZES = (1, 8, 16, 32, 64, 128)
_PLAIN_KERNELS = "torch-reference"
"""The only kernels that lay out blocks of one token right, with which a prefix is shared to the last of its tokens."""
QUANTIZATIONS = (*PRESETS, "gguf", *METHODS)
_BACKENDS = ("mp", "uni", "ray")
_DTYPE_ALIASES = {"half": "float16", "float": "float32"}
BUILTIN_MODEL = Path(__file__).parent.parent / "builtin"
BUILTIN_NAME = "pagoda-builtin"
BUILTIN_NAMES = ("builtin", BUILTIN_NAME)
"""Under which the model that ships with pagoda can be asked for, where no path is called so."""


def _is_slowdown(value: object) -> bool:
    return is_number(value) and cast(float, value) > 1


def _is_model(value: object) -> bool:
    return isinstance(value, (str, Path)) and str(value) != ""


_MODEL = Rule(_is_model, "a path or a name")
_RULES: dict[str, Rule] = {
    "model": optional(_MODEL),
    "tokenizer": optional(_MODEL),
    "skip_tokenizer_init": FLAG,
    "revision": optional(STRING),
    "tokenizer_revision": optional(STRING),
    "download_dir": optional(_MODEL),
    "hf_token": optional(instance_of((str, bool), "a token, or True for the one that is stored")),
    "generation_config": _MODEL,
    "override_generation_config": instance_of(dict, "a dict of generation_config.json's keys"),
    "hf_overrides": instance_of(dict, "a dict of config.json's keys"),
    "quantization": optional(Rule(lambda value: value in QUANTIZATIONS, f"one of {', '.join(QUANTIZATIONS)}")),
    "kv_cache_dtype": Rule(lambda value: value in KV_CACHE_DTYPES, f"one of {', '.join(KV_CACHE_DTYPES)}"),
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
    "tensor_parallel_size": whole_number(1),
    "pipeline_parallel_size": whole_number(1),
    "distributed_executor_backend": optional(
        Rule(lambda value: value in _BACKENDS, "mp, uni or ray (external_launcher is not built)")
    ),
    "distributed_timeout_seconds": optional(positive()),
    "fixed_reduction_tree": FLAG,
    "max_logprobs": whole_number(-1),
    "seed": whole_number(-(2**63), 2**63 - 1),
    "disable_log_stats": FLAG,
}
"""What each setting accepts, of those that are not looked up in a table of their own."""
_NONE_IS_DEFAULT = ("block_size", "enable_prefix_caching", "max_num_seqs", "enable_chunked_prefill", "seed")
"""vLLM gives these as None where its program says nothing."""
_NONE_IS_EMPTY = ("hf_overrides", "override_generation_config", "served_model_name")


def _take_vllm_names(cls: type[EngineArgs]) -> type[EngineArgs]:
    """Let the constructor meet vLLM's other settings as `vllm_names` says. Raises ConfigError."""
    generated_init: Callable[..., None] = cls.__init__
    names = {field.name for field in fields(cls)}

    @functools.wraps(generated_init)
    def init(self: EngineArgs, model: Any = None, **values: Any) -> None:
        try:
            known, ignored = ENGINE_SETTINGS.sort("the engine", {"model": model, **values}, names)
        except InvalidParameterError as error:
            raise ConfigError(str(error)) from None
        for name in (*_NONE_IS_DEFAULT, *_NONE_IS_EMPTY):
            if known.get(name, "") is None:
                del known[name]
        ignored = tuple(dict.fromkeys((*known.pop("without_effect", ()), *ignored)))
        generated_init(self, **known, without_effect=ignored)

    setattr(cls, "__init__", init)  # noqa: B010 - a plain assignment is an error to mypy
    return cls


@_take_vllm_names
@dataclass(frozen=True, kw_only=True)
class EngineArgs:
    """Settings of one engine. Raises ConfigError for a value that cannot work.

    model: directory, llama2.c `.bin` file, hub id or short name; None or "builtin" is the model that ships with pagoda
    served_model_name: name or names under which the model answers, the first of them shown; otherwise its own
    tokenizer: another directory, file or hub id to take the tokenizer from
    skip_tokenizer_init: load no tokenizer; requests bring token ids and get token ids (detokenize=False)
    revision, tokenizer_revision: branch, tag or commit on the hub
    download_dir: folder for what is downloaded, in place of the hub library's own
    hf_token: token for the hub; True takes the one that is stored
    hf_overrides: keys of config.json and values in place of the checkpoint's
    generation_config: "auto" takes sampling defaults from the checkpoint's generation_config.json, "vllm" takes
        SamplingParams' own, and a folder's name those of the file in it
    override_generation_config: keys of generation_config.json and values in place of the file's
    dtype: of weights and KV cache; "auto" is the checkpoint's, or float32 on a CPU without bf16 hardware
    quantization: "int8" or "int4" rounds a checkpoint of floats while it is loaded; the name of the method that it was
        quantised by says what is so anyway; None takes it as it is
    kv_cache_dtype: "int8" keeps keys and values in bytes with a scale for every token and head, half of the memory of
        16 bits; "auto" in the dtype of the weights
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
    speculative_config: how to propose tokens ahead of the model; a mapping of SpeculativeConfig's fields. The text is
        the same without
    tensor_parallel_size, pipeline_parallel_size: processes that share each layer, and stages that share the layers
    distributed_executor_backend: "mp" runs these as processes of this host, "ray" as actors on a cluster of Ray, "uni"
        is one rank in the engine's own process; None is uni for one rank, mp for more
    distributed_timeout_seconds: of a step, after which ranks that do not answer are ended; None is 300
    fixed_reduction_tree: sums over inputs are added in one order for any number of ranks, so that logits have the same
        bits on 1, 2 and 4; some more work for one
    max_logprobs: most logprobs a request may ask for; -1 for no limit
    seed: where the seeds of unseeded requests start
    disable_log_stats: say nothing at start
    without_effect: vLLM's settings that were given and change nothing here; filled in, and told once at start
    """

    model: str | Path | None = None
    served_model_name: str | Sequence[str] = ()
    tokenizer: str | Path | None = None
    skip_tokenizer_init: bool = False
    revision: str | None = None
    tokenizer_revision: str | None = None
    download_dir: str | Path | None = None
    hf_token: str | bool | None = None
    hf_overrides: dict[str, Any] = field(default_factory=dict)
    generation_config: str | Path = "auto"
    override_generation_config: dict[str, Any] = field(default_factory=dict)
    dtype: str = "auto"
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
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
    speculative_config: dict[str, Any] | SpeculativeConfig | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    distributed_executor_backend: str | None = None
    distributed_timeout_seconds: float | None = None
    fixed_reduction_tree: bool = False
    max_logprobs: int = 20
    seed: int = 0
    disable_log_stats: bool = False
    without_effect: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "served_model_name", _names(self.served_model_name))
        if self.model in BUILTIN_NAMES and not Path(self.model).exists():
            object.__setattr__(self, "model", None)
        if not isinstance(self.hf_overrides, dict):
            raise ConfigError(
                f"hf_overrides={self.hf_overrides!r}, but a dict of config.json's keys is expected: say what the "
                f"function would change"
            )
        if self.max_model_len is None and "max_model_len" in self.hf_overrides:
            # Where vLLM's own example of a longer context has it.
            object.__setattr__(self, "max_model_len", self.hf_overrides["max_model_len"])
        dtype = str(self.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            raise ConfigError(f"dtype={self.dtype!r} is not known: {nearest(dtype, DTYPES)}")
        object.__setattr__(self, "dtype", _DTYPE_ALIASES.get(dtype, dtype))
        for name, rule in _RULES.items():
            if not rule.accepts(getattr(self, name)):
                raise ConfigError(f"{name}={getattr(self, name)!r}, but {rule.expected} is expected")
        if self.speculative_config is not None and not isinstance(self.speculative_config, SpeculativeConfig):
            object.__setattr__(self, "speculative_config", SpeculativeConfig.of(self.speculative_config))
        if self.block_size not in BLOCK_SIZES:
            raise ConfigError(f"block_size={self.block_size!r}, but one of {BLOCK_SIZES} is expected")
        if self.block_size == 1 and self.kernels != _PLAIN_KERNELS:
            raise ConfigError(
                f"block_size=1 with kernels={self.kernels!r}, but {_PLAIN_KERNELS!r} is expected: name these, or take 8"
            )

        if self.distributed_executor_backend == "uni" and self.is_parallel:
            raise ConfigError(
                f"distributed_executor_backend='uni' runs one rank, but tensor_parallel_size="
                f"{self.tensor_parallel_size} and pipeline_parallel_size={self.pipeline_parallel_size} ask for more: "
                f"leave it out, or take 'mp' or 'ray'"
            )

    @property
    def is_parallel(self) -> bool:
        """Whether the model runs in ranks that are processes of their own."""
        several = self.tensor_parallel_size * self.pipeline_parallel_size > 1
        return several or self.distributed_executor_backend in ("mp", "ray")

    @property
    def public_name(self) -> str:
        """The model's own name, as it was asked for."""
        return BUILTIN_NAME if self.model is None else public_name(self.model)

    @property
    def served_names(self) -> tuple[str, ...]:
        """Names under which the model answers; the first is shown. At least one."""
        return tuple(self.served_model_name) or (self.public_name,)

    @property
    def accepted_names(self) -> tuple[str, ...]:
        """Names that a request may ask for: those served, and a model without other names also as it was given."""
        given = () if self.model is None or self.served_model_name else (str(self.model),)
        return (*self.served_names, *given)

    @staticmethod
    def add_cli_args(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Give a program's parser a flag for each setting, vLLM's others among them; what is not given stays out."""
        known = {field.name: field for field in fields(EngineArgs) if field.name != "without_effect"}
        for name in (*known, *ENGINE_SETTINGS.without_effect, *ENGINE_SETTINGS.refused):
            is_flag = name in known and known[name].type == "bool"
            how: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if is_flag else {"type": plain_value}
            how |= {} if is_flag or name in known else {"nargs": "?", "const": True}
            parser.add_argument(f"--{name.replace('_', '-')}", dest=name, default=argparse.SUPPRESS, **how)
        return parser

    @classmethod
    def from_cli_args(cls, args: argparse.Namespace) -> EngineArgs:
        """The settings among a program's parsed arguments, whose others are the program's own. Raises ConfigError."""
        names = {field.name for field in fields(cls)} | {*ENGINE_SETTINGS.without_effect, *ENGINE_SETTINGS.refused}
        return cls(**{name: value for name, value in vars(args).items() if name in names})

    def resolve_max_num_batched_tokens(self, max_model_len: int) -> int:
        """The token budget of a step, where the operator left it open."""
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        whole_prompt = 0 if self.enable_chunked_prefill else max_model_len
        return max(2048, self.max_num_seqs, whole_prompt)


AsyncEngineArgs = EngineArgs
"""vLLM's name for the settings of an AsyncLLM."""


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of `served_model_name`, each once. Raises ConfigError for an empty one."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or any(not isinstance(name, str) or not name.strip() for name in names):
        raise ConfigError(f"served_model_name={given!r}, but a name or a list of names is expected, none of them empty")
    return tuple(dict.fromkeys(names))


def plain_value(text: str) -> Any:
    """A value from a command line: numbers, lists and mappings as JSON writes them, anything else as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return None if text == "None" else text
