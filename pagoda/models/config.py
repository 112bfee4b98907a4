"""Facts of a checkpoint: what `config.json` says about a Llama-architecture model.

First station of loading: everything that follows (network, KV cache, plan) is sized from this one
frozen record. Families differ from Llama (arXiv 2302.13971, 2307.09288, 2407.21783) only by switches:

    mistral  sliding window           (arXiv 2310.06825)
    qwen2    biases on q, k and v     (arXiv 2407.10671)
    qwen3    RMSNorm on q and k heads (arXiv 2505.09388)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError, UnknownArchitectureError, nearest
from pagoda.layers.rope_scaling import ROPE_KINDS, Rope
from pagoda.layers.weights.dense import DENSE
from pagoda.layers.weights.format import WeightFormat
from pagoda.models.refusals import check_facts, check_files, check_rope, check_values, rope_settings, weight_format_of
from pagoda.parameter_rules import is_number

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
_DEFAULT_LENGTH = {"llama": 2048, "mistral": 131072, "qwen2": 32768, "qwen3": 32768}
_DEFAULT_WINDOW = 4096
"""Of transformers, where `config.json` has no such key; a window of null is none."""


@dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture, in transformers' names.

    `rope_scaling` holds the parameters of a RoPE variant under the key `rope_type` and its own keys, or is
    None for plain RoPE. `layer_types[i]` is "full_attention" or "sliding_attention"; `sliding_window` counts
    the positions that a sliding layer sees, its own included. `weight_format` is how the matrices of the layers
    are stored; embedding, head, norms and biases are floats in `dtype` always.
    """

    architecture: str = "LlamaForCausalLM"
    model_type: str = "llama"
    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 2048
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None
    sliding_window: int | None = None
    layer_types: tuple[str, ...] = ()
    attention_bias: bool = False
    attention_output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    tie_word_embeddings: bool = False
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    dtype: str = "float32"
    initializer_range: float = 0.02
    # Not in the repr: a training knows its own recipe by that, and trains dense weights always.
    weight_format: WeightFormat = field(default=DENSE, repr=False)

    def __post_init__(self) -> None:
        if not self.layer_types:
            kind = "full_attention" if self.sliding_window is None else "sliding_attention"
            object.__setattr__(self, "layer_types", (kind,) * self.num_hidden_layers)
        _check_shapes(self)
        if self.rope_scaling is not None:
            check_rope(self.rope_scaling)

    @classmethod
    def from_directory(cls, directory: str | Path, overrides: Mapping[str, Any] | None = None) -> ModelConfig:
        """Read `config.json`; overrides: keys and values in place of the file's.

        Raises CheckpointError when it is missing, broken or names an unknown architecture.
        """
        path = Path(directory) / "config.json"
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist: a checkpoint directory needs a config.json")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} is not valid JSON ({error}): download the file again") from error
        if not isinstance(raw, dict):
            raise CheckpointError(f"{path} holds a {type(raw).__name__}, but a JSON object is expected")
        config = cls.from_dict({**raw, **(overrides or {})})
        check_files(path.parent)
        return config

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ModelConfig:
        """Translate a transformers `config.json`, of version 4 (`rope_scaling`) or 5 (`rope_parameters`).

        Raises UnknownArchitectureError, or CheckpointError where a key is missing, or says something about the
        computation that this network does not do: it is never read as something else.
        """
        architecture = _architecture(raw)
        model_type = ARCHITECTURES[architecture]
        check_values(raw)
        try:
            return cls._translate(raw, architecture, model_type)
        except KeyError as error:
            raise CheckpointError(f"config.json has no {error}, which a {architecture} needs") from error

    @classmethod
    def _translate(cls, raw: dict[str, Any], architecture: str, model_type: str) -> ModelConfig:
        num_heads, hidden_size = raw["num_attention_heads"], raw["hidden_size"]
        head_dim = raw.get("head_dim") or (128 if model_type == "qwen3" else hidden_size // num_heads)
        check_facts(raw, model_type, head_dim)
        rope_theta, rope_scaling = _rope(raw)
        sliding_window, layer_types = _attention_layout(raw, model_type)
        is_qwen2 = model_type == "qwen2"
        return cls(
            architecture=architecture,
            model_type=model_type,
            vocab_size=raw["vocab_size"],
            hidden_size=hidden_size,
            intermediate_size=raw["intermediate_size"],
            num_hidden_layers=raw["num_hidden_layers"],
            num_attention_heads=num_heads,
            num_key_value_heads=raw.get("num_key_value_heads") or num_heads,
            head_dim=head_dim,
            rms_norm_eps=raw.get("rms_norm_eps", 1e-6),
            max_position_embeddings=raw.get("max_position_embeddings", _DEFAULT_LENGTH[model_type]),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            sliding_window=sliding_window,
            layer_types=layer_types,
            attention_bias=is_qwen2 or bool(raw.get("attention_bias", False)),
            attention_output_bias=not is_qwen2 and bool(raw.get("attention_bias", False)),
            mlp_bias=bool(raw.get("mlp_bias", False)),
            qk_norm=model_type == "qwen3",
            tie_word_embeddings=bool(raw.get("tie_word_embeddings", False)),
            bos_token_id=raw.get("bos_token_id"),
            eos_token_ids=_as_ids(raw.get("eos_token_id")),
            dtype=str(raw.get("dtype") or raw.get("torch_dtype") or "float32").removeprefix("torch."),
            initializer_range=raw.get("initializer_range", 0.02),
            weight_format=weight_format_of(raw),
        )

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` of this model, as transformers 4 and 5 both read it."""
        raw = dataclasses.asdict(self)
        for ours in (
            "architecture",
            "qk_norm",
            "attention_output_bias",
            "layer_types",
            "eos_token_ids",
            "weight_format",
        ):
            raw.pop(ours)
        raw["architectures"] = [self.architecture]
        raw["attention_bias"] = self.attention_bias and self.model_type != "qwen2"
        raw["eos_token_id"] = _from_ids(self.eos_token_ids)
        raw["torch_dtype"] = raw.pop("dtype")
        raw["hidden_act"] = "silu"
        if self.model_type == "mistral" and len({*self.layer_types}) > 1:
            raw["layer_types"] = list(self.layer_types)
        if self.model_type in ("qwen2", "qwen3"):
            raw["use_sliding_window"] = self.sliding_window is not None
            raw["layer_types"] = list(self.layer_types)
        return raw

    @property
    def rope(self) -> Rope:
        """The model's rotary positions, for `layers/rotary`."""
        return Rope(self.head_dim, self.rope_theta, self.max_position_embeddings, self.rope_scaling or {})

    @property
    def layer_windows(self) -> tuple[int | None, ...]:
        """Positions that each layer sees, or None for all."""
        return tuple(self.sliding_window if kind == "sliding_attention" else None for kind in self.layer_types)

    @property
    def layer_matrices(self) -> list[tuple[int, int]]:
        """(in_features, out_features) of the seven matrices of a layer: q, k, v, o, gate, up and down."""
        hidden, inner = self.hidden_size, self.intermediate_size
        query, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        attention = [(hidden, query), (hidden, kv), (hidden, kv), (query, hidden)]
        return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]

    @property
    def num_parameters(self) -> int:
        """Weights of the network; tied embeddings count once."""
        in_matrices = sum(inputs * outputs for inputs, outputs in self.layer_matrices)
        return self.num_hidden_layers * in_matrices + self._num_other_parameters

    @property
    def _num_other_parameters(self) -> int:
        """Embedding, head, norms and biases."""
        layer = 2 * self.hidden_size + 2 * self.head_dim * self.qk_norm
        layer += self.head_dim * (self.num_attention_heads + 2 * self.num_key_value_heads) * self.attention_bias
        layer += self.hidden_size * self.attention_output_bias
        layer += (2 * self.intermediate_size + self.hidden_size) * self.mlp_bias
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return embeddings + self.num_hidden_layers * layer + self.hidden_size

    def weight_bytes(self, dtype_bytes: int) -> int:
        """Bytes of the weights where a float takes `dtype_bytes`: the format says what its matrices take."""
        in_matrices = sum(self.weight_format.num_bytes(*shape, dtype_bytes) for shape in self.layer_matrices)
        return self.num_hidden_layers * in_matrices + self._num_other_parameters * dtype_bytes

    def kv_bytes_per_token(self, dtype_bytes: int) -> int:
        """Bytes of KV cache that one token takes over all layers."""
        return 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim * dtype_bytes


def _architecture(raw: dict[str, Any]) -> str:
    named = raw.get("architectures") or []
    named = [named] if isinstance(named, str) else named
    by_type = {model_type: name for name, model_type in ARCHITECTURES.items()}
    architecture = named[0] if named else by_type.get(raw.get("model_type", ""), raw.get("model_type", "(none)"))
    if architecture in ARCHITECTURES and raw.get("model_type") not in (None, *by_type):
        # transformers goes by the model_type, whatever class the checkpoint was trained as.
        architecture = raw["model_type"]
    if architecture not in ARCHITECTURES:
        hint = nearest(str(architecture), ARCHITECTURES)
        raise UnknownArchitectureError(
            f"config.json names the architecture {architecture!r}, which pagoda does not implement; "
            f"it reads {', '.join(ARCHITECTURES)} ({hint})"
        )
    return architecture


def _rope(raw: dict[str, Any]) -> tuple[float, dict[str, Any] | None]:
    parameters = rope_settings(raw)
    theta = parameters.pop("rope_theta", None) or raw.get("rope_theta") or 10000.0
    if not is_number(theta) or theta <= 0:
        raise CheckpointError(f"config.json has rope_theta={theta!r}, but a number above 0 is expected")
    parameters.pop("partial_rotary_factor", None)  # the whole head, or `check_facts` has refused it
    rope_type = parameters.pop("rope_type", None) or "default"
    check_rope({"rope_type": rope_type, **parameters})
    if rope_type == "default":
        return float(theta), None
    original = parameters.get("original_max_position_embeddings") or raw.get("original_max_position_embeddings")
    if ROPE_KINDS[rope_type].extends_original:
        parameters["original_max_position_embeddings"] = original or raw["max_position_embeddings"]
    return float(theta), {"rope_type": rope_type, **parameters}


def _attention_layout(raw: dict[str, Any], model_type: str) -> tuple[int | None, tuple[str, ...]]:
    """`(sliding_window, layer_types)`; Qwen's windows are off unless `use_sliding_window` says otherwise."""
    window, num_layers = raw.get("sliding_window", _DEFAULT_WINDOW), raw["num_hidden_layers"]
    if model_type == "llama" or (model_type != "mistral" and not raw.get("use_sliding_window", False)):
        return None, ()
    if window is None:
        return None, ()
    if model_type == "mistral":
        return window, tuple(raw.get("layer_types") or ())
    first_sliding = raw.get("max_window_layers", 28)
    derived = ["sliding_attention" if i >= first_sliding else "full_attention" for i in range(num_layers)]
    return window, tuple(raw.get("layer_types") or derived)


def _as_ids(value: int | list[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def _from_ids(token_ids: tuple[int, ...]) -> int | list[int] | None:
    return (token_ids[0] if len(token_ids) == 1 else list(token_ids)) if token_ids else None


def _check_shapes(config: ModelConfig) -> None:
    for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim"):
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(f"config.json has {name}={value!r}, but a positive integer is expected")
    if config.num_attention_heads % config.num_key_value_heads:
        raise CheckpointError(
            f"config.json has {config.num_attention_heads} attention heads and {config.num_key_value_heads} KV heads: "
            "the first must be a multiple of the second"
        )
    if config.head_dim % 2:
        raise CheckpointError(f"config.json has head_dim={config.head_dim}, but RoPE rotates pairs: it must be even")
    if len(config.layer_types) != config.num_hidden_layers:
        raise CheckpointError(
            f"config.json has {len(config.layer_types)} layer_types for {config.num_hidden_layers} layers"
        )
