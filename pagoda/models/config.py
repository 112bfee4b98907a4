"""Facts of a checkpoint: what `config.json` says about a model.

First station of loading: everything that follows (network, KV cache, plan) is sized from this one frozen record.
Families differ from Llama by switches alone, and `families` says which each of them sets.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError, nearest
from pagoda.kernels.activations import ACTIVATIONS
from pagoda.kernels.kv_codes import SCALE_BYTES
from pagoda.kernels.window import LayerWindow
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.layers.rope_scaling import Rope
from pagoda.models.coded_weights import ALL_FLOATS, CodedWeights
from pagoda.models.embedder import MODULES_FILE
from pagoda.models.families.experts import ExpertsConfig
from pagoda.models.families.family import Family
from pagoda.models.families.own import OWN_KEYS
from pagoda.models.families.table import BY_TYPE, family_of, is_headless
from pagoda.models.families.windows import SLIDING, layer_windows, usual_layer_type
from pagoda.models.keys import unknown_keys
from pagoda.models.positions import read_positions
from pagoda.models.quantization_config import quantization_beside, quantization_in
from pagoda.models.refusals import check_facts, check_names, check_own_keys, check_rope, check_values
from pagoda.parameter_rules import is_number

logger = logging.getLogger(__name__)

_AS_THEY_STAND = (
    "vocab_size",
    "intermediate_size",
    "num_hidden_layers",
    "rms_norm_eps",
    "max_position_embeddings",
    "initializer_range",
)


@dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture, in transformers' names where they have one.

    Attention
        layer_types:        for each layer one of `families.windows`; `sliding_window` counts the positions that a
                            sliding layer sees, its own included, `attention_chunk_size` those of a segment
        attention_bias:     of q, k and v; `attention_output_bias` is that of the output
        qk_norm:            q and k are normed; `qk_norm_span` says over what: "head" is each head with one gain for
                            all, "per_head" each with its own, "width" all heads as one row
        attention_scale:    what products of q and k are multiplied by; None is head_dim ** -0.5
        attn_logit_softcapping, clip_qkv: bounds of scores and of q, k and v
    Positions
        rope_scaling:       parameters of a RoPE variant under `rope_type` and its own keys; None is plain RoPE
        rotary_dim:         how many dimensions of a head rotate; None is all
        sliding_rope_theta, sliding_rope_scaling: RoPE of the layers that slide, where it is another
        rotating_layers:    which layers have RoPE at all; empty is all
    Between the layers
        norm:               one of `norm_kinds`; `norm_placement` is "pre" (on what goes into a block), "post" (on
                            what comes out), "sandwich" (both) or "parallel" (one norm, attention and MLP side by side)
        embedding_multiplier, residual_multiplier: on embeddings, and on what blocks add to the stream
        logits_scaling:     what logits are divided by, before `final_logit_softcapping` bounds them
        normed_head:        rows of the output head are brought to length 1 while it is loaded

    Experts
        experts:            of the layers that have a mixture of experts for an MLP; None where none has

    `has_head` is whether logits are computed at all: an embedder ends with its hidden states. `coded` is what of the
    weights is held in codes of few bits; all others are floats in `dtype`. `source` is the `config.json` that was read,
    so that it is written again as its makers had it.
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
    attention_chunk_size: int | None = None
    layer_types: tuple[str, ...] = ()
    attention_bias: bool = False
    attention_output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    qk_norm_span: str = "head"
    qk_norm_after_rope: bool = False
    attention_scale: float | None = None
    attn_logit_softcapping: float | None = None
    clip_qkv: float | None = None
    rotary_dim: int | None = None
    rotating_layers: tuple[bool, ...] = ()
    sliding_rope_theta: float | None = None
    sliding_rope_scaling: dict[str, Any] | None = None
    hidden_act: str = "silu"
    mlp_gated: bool = True
    norm: str = "rms_norm"
    norm_placement: str = "pre"
    embedding_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    logits_scaling: float = 1.0
    final_logit_softcapping: float | None = None
    experts: ExpertsConfig | None = None
    has_head: bool = True
    normed_head: bool = False
    tie_word_embeddings: bool = False
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    dtype: str = "float32"
    initializer_range: float = 0.02
    # No part of what is computed, nor of the repr by which a training knows its recipe.
    coded: CodedWeights = field(default=ALL_FLOATS, repr=False, compare=False)
    source: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.layer_types:
            kind = usual_layer_type(self.sliding_window, self.attention_chunk_size)
            object.__setattr__(self, "layer_types", (kind,) * self.num_hidden_layers)
        layer_windows(self.layer_types, self.sliding_window, self.attention_chunk_size)  # or it raises
        _check_shapes(self)
        _check_switches(self)
        for scaling in filter(None, (self.rope_scaling, self.sliding_rope_scaling)):
            check_rope(scaling)

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
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is not valid JSON ({error}): download the file again") from error
        if not isinstance(raw, dict):
            raise CheckpointError(f"{path} holds a {type(raw).__name__}, but a JSON object is expected")
        config = cls.from_dict({**quantization_beside(path.parent), **raw, **(overrides or {})})
        if unknown := unknown_keys(raw, config.family):
            logger.warning("%s has keys that pagoda does not know and leaves out: %s", path, ", ".join(unknown))
        # What says itself that it is an embedder may have a head, but no one trained it.
        return dataclasses.replace(config, has_head=False) if (path.parent / MODULES_FILE).is_file() else config

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ModelConfig:
        """Translate a transformers `config.json`, of version 4 (`rope_scaling`) or 5 (`rope_parameters`).

        Raises UnknownArchitectureError, or CheckpointError where a key is missing, or says something about the
        computation that this network does not do: it is never read as something else.
        """
        check_names(raw)
        family = family_of(raw)
        check_values(raw, family)
        try:
            return cls._translate(raw, family)
        except KeyError as error:
            key = family.spelling(error.args[0], dict.fromkeys(family.aliases))
            raise CheckpointError(f"config.json has no {key!r}, which a {family.architecture} needs") from error
        # What no rule has foreseen: a switch of the family was given nothing, a text or a zero to reckon with.
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"config.json has a value of the wrong kind for a {family.architecture} ({error}): compare it with the "
                f"one that the model was published with"
            ) from error

    @classmethod
    def _translate(cls, raw: Mapping[str, Any], family: Family) -> ModelConfig:
        facts = family.facts(raw)
        has_head = not is_headless(raw)
        num_heads, hidden_size = facts["num_attention_heads"], facts["hidden_size"]
        head_dim = facts.get("head_dim") or hidden_size // num_heads
        sliding_window, layer_types = family.windows(facts)
        switches = family.switches(facts)
        check_facts(raw, family, head_dim, slides=sliding_window is not None, qk_norm=switches.get("qk_norm", False))
        fields = {
            "architecture": family.architecture if has_head else family.base_architecture,
            "has_head": has_head,
            "model_type": family.model_type,
            "num_attention_heads": num_heads,
            "hidden_size": hidden_size,
            **{key: facts[key] for key in _AS_THEY_STAND},
            "num_key_value_heads": facts.get("num_key_value_heads") or num_heads,
            "head_dim": head_dim,
            "hidden_act": "silu" if facts["hidden_act"] in (None, "swish") else facts["hidden_act"],
            "sliding_window": sliding_window,
            "layer_types": layer_types,
            **read_positions(facts, family, head_dim),
            **{key: bool(facts[key]) for key in ("attention_bias", "mlp_bias", "tie_word_embeddings")},
            "attention_output_bias": bool(facts["attention_bias"]),
            "bos_token_id": facts.get("bos_token_id"),
            "eos_token_ids": _as_ids(facts.get("eos_token_id")),
            "dtype": str(facts.get("dtype") or facts.get("torch_dtype") or "float32").removeprefix("torch."),
            "source": dict(raw),
        }
        config = cls(**{**fields, **switches})
        check_own_keys(raw, family, {key: getattr(config, key) for key in OWN_KEYS})
        quantization = quantization_in(raw)
        return config if quantization is None else dataclasses.replace(config, coded=quantization.coded(config))

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` of this model, as transformers 4 and 5 both read it.

        Raises CheckpointError where the switches are not those of the architecture, so that none could say it.
        """
        raw = {**self.source, "torch_dtype": self.dtype} if self.source is not None else self._as_llama()
        raw.pop("dtype", None)
        if (lost := self._lost(raw)) is not None:
            raise CheckpointError(
                f"a config.json of {self.architecture} cannot say what this model computes ({lost}): leave these as "
                f"that architecture has them, or name another architecture and model_type"
            )
        return raw

    def _lost(self, raw: dict[str, Any]) -> str | None:
        """The fields that would not be read again from `raw`; None where all would."""
        try:
            read = type(self).from_dict(raw)
        except CheckpointError as error:
            return str(error)
        names = [field.name for field in dataclasses.fields(self) if field.compare]
        return ", ".join(name for name in names if getattr(read, name) != getattr(self, name)) or None

    def _as_llama(self) -> dict[str, Any]:
        """The keys that Llama, Mistral and Qwen share."""
        raw = dataclasses.asdict(self)
        for ours in _OUR_OWN:
            if ours not in self.family.computes:
                raw.pop(ours)
        raw["architectures"] = [self.architecture]
        raw["attention_bias"] = self.attention_bias and self.model_type != "qwen2"
        raw["eos_token_id"] = _from_ids(self.eos_token_ids)
        raw["torch_dtype"] = raw.pop("dtype")
        if self.model_type == "mistral" and len({*self.layer_types}) > 1:
            raw["layer_types"] = list(self.layer_types)
        if self.model_type in ("qwen2", "qwen3"):
            raw["use_sliding_window"] = self.sliding_window is not None
            raw["layer_types"] = list(self.layer_types)
        return raw

    @property
    def family(self) -> Family:
        """What is particular to the checkpoint's family."""
        return BY_TYPE[self.model_type]

    @property
    def rope(self) -> Rope:
        """The model's rotary positions, for `layers/rotary`; of the layers of full attention where they differ."""
        return self._rope(self.rope_theta, self.rope_scaling)

    @property
    def sliding_rope(self) -> Rope | None:
        """Those of the layers that slide, where they are others."""
        if self.sliding_rope_theta is None:
            return None
        return self._rope(self.sliding_rope_theta, self.sliding_rope_scaling)

    def _rope(self, theta: float, scaling: dict[str, Any] | None) -> Rope:
        return Rope(self.rotary_dim or self.head_dim, theta, self.max_position_embeddings, scaling or {})

    @property
    def layer_windows(self) -> tuple[LayerWindow, ...]:
        """What tokens of each layer see, or None for all before them."""
        return layer_windows(self.layer_types, self.sliding_window, self.attention_chunk_size)

    @property
    def layer_ropes(self) -> tuple[str | None, ...]:
        """The RoPE of each layer: "rope", "sliding_rope", or None where a layer has none."""
        rotating = self.rotating_layers or (True,) * self.num_hidden_layers
        sliding = "rope" if self.sliding_rope_theta is None else "sliding_rope"
        names = [sliding if kind == SLIDING else "rope" for kind in self.layer_types]
        return tuple(name if rotates else None for name, rotates in zip(names, rotating, strict=True))

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """(in_features, out_features) of each matrix of a layer, by the name of its module."""
        hidden, inner = self.hidden_size, self.intermediate_size
        query, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        attention = {
            "q_proj": (hidden, query),
            "k_proj": (hidden, kv),
            "v_proj": (hidden, kv),
            "o_proj": (query, hidden),
        }
        gate = {"gate_proj": (hidden, inner)} if self.mlp_gated else {}
        mlp = {**gate, "up_proj": (hidden, inner), "down_proj": (inner, hidden)}
        return {f"self_attn.{name}": size for name, size in attention.items()} | {
            f"mlp.{name}": size for name, size in mlp.items()
        }

    @property
    def named_matrices(self) -> dict[str, tuple[int, int]]:
        """(in_features, out_features) of every matrix of every layer, by the name of its module in the network."""
        dense, experts = self.matrices, self.experts
        sparse_layers = (False,) * self.num_hidden_layers if experts is None else experts.sparse_layers
        sparse = {name: size for name, size in dense.items() if name.startswith("self_attn.")}
        sparse |= {} if experts is None else experts.named_matrices(self.hidden_size)
        return {
            f"model.layers.{layer_idx}.{name}": size
            for layer_idx, is_sparse in enumerate(sparse_layers)
            for name, size in (sparse if is_sparse else dense).items()
        }

    @property
    def all_matrices(self) -> list[tuple[int, int]]:
        """(in_features, out_features) of every matrix of every layer."""
        return list(self.named_matrices.values())

    @property
    def num_parameters(self) -> int:
        """Weights of the network; tied embeddings count once."""
        return sum(inputs * outputs for inputs, outputs in self.all_matrices) + self._num_other_parameters

    @property
    def num_active_parameters(self) -> int:
        """Weights that one token goes through: all but those of experts that it is not sent to."""
        if self.experts is None:
            return self.num_parameters
        num_idle = self.experts.num_experts - self.experts.num_experts_per_tok
        idle = self.experts.matrices(self.hidden_size, num_idle)[: 3 * num_idle]
        return self.num_parameters - sum(self.experts.sparse_layers) * sum(rows * columns for rows, columns in idle)

    @property
    def _num_other_parameters(self) -> int:
        """Embedding, head, norms and biases."""
        norm = NORM_KINDS[self.norm].num_parameters(self.hidden_size)
        layer = {"pre": 2, "post": 2, "sandwich": 4, "parallel": 1}[self.norm_placement] * norm
        layer += self._num_qk_gains * self.qk_norm
        layer += self.head_dim * (self.num_attention_heads + 2 * self.num_key_value_heads) * self.attention_bias
        layer += self.hidden_size * self.attention_output_bias
        layer += ((1 + self.mlp_gated) * self.intermediate_size + self.hidden_size) * self.mlp_bias
        embeddings = self.vocab_size * self.hidden_size * (2 if self.has_head and not self.tie_word_embeddings else 1)
        gates = 0 if self.experts is None else self.experts.num_gates * sum(self.experts.sparse_layers)
        return embeddings + self.num_hidden_layers * layer + norm + gates * self.hidden_size

    @property
    def _num_qk_gains(self) -> int:
        heads = 2 if self.qk_norm_span == "head" else self.num_attention_heads + self.num_key_value_heads
        return heads * self.head_dim

    def weight_bytes(self, dtype_bytes: int) -> int:
        """Bytes of the weights where a float takes `dtype_bytes`: codes take what they take."""
        return self.coded.num_bytes + (self.num_parameters - self.coded.num_weights) * dtype_bytes

    def kv_bytes_per_token(self, dtype_bytes: int) -> int:
        """Bytes of KV cache that one token takes over all layers; of 1 byte, with the scale that goes with it."""
        of_head = self.head_dim * dtype_bytes + (SCALE_BYTES if dtype_bytes == 1 else 0)
        return 2 * self.num_hidden_layers * self.num_key_value_heads * of_head


_OUR_OWN = (
    "architecture",
    "qk_norm",
    "qk_norm_span",
    "qk_norm_after_rope",
    "attention_output_bias",
    "attention_scale",
    "rotary_dim",
    "rotating_layers",
    "sliding_rope_theta",
    "sliding_rope_scaling",
    "mlp_gated",
    "experts",
    "has_head",
    "norm",
    "norm_placement",
    "normed_head",
    "attention_chunk_size",
    "layer_types",
    "eos_token_ids",
    "coded",
    "source",
)
"""Fields that no `config.json` has under this name."""


def _as_ids(value: int | list[int] | None) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else () if value is None else (value,)


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
    for key, values in (("layer_types", config.layer_types), ("no_rope_layers", config.rotating_layers)):
        if len(values) not in (config.num_hidden_layers, 0):
            raise CheckpointError(f"config.json has {len(values)} {key} for {config.num_hidden_layers} layers")


_SCALES = (
    "attention_scale",
    "attn_logit_softcapping",
    "clip_qkv",
    "embedding_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "final_logit_softcapping",
)


def _check_switches(config: ModelConfig) -> None:
    """What has a name must have one that is known, and what scales or bounds must be a number above zero."""
    for name in _SCALES:
        value = getattr(config, name)
        if value is not None and not (is_number(value) and value > 0):
            raise CheckpointError(f"config.json makes {name} {value!r}, but a finite number above 0 is expected")
    choices: dict[str, Iterable[str]] = {
        "hidden_act": ACTIVATIONS,
        "norm": NORM_KINDS,
        "norm_placement": ("pre", "post", "sandwich", "parallel"),
        "qk_norm_span": ("head", "per_head", "width"),
    }
    for name, known in choices.items():
        value = getattr(config, name)
        if value not in known:
            raise CheckpointError(
                f"config.json has {name}={value!r}, which is not computed; {nearest(str(value), known)}"
            )
    sliding = config.sliding_rope
    if sliding is not None and sliding.kind.at_lengths is not None:
        kind = sliding.scaling["rope_type"]
        raise CheckpointError(f"config.json has the RoPE type {kind!r} for layers that slide, which pagoda does not do")
