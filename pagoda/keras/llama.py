"""Llama in Keras 3, on torch, JAX or TensorFlow: the network of `models/llama`, for programs that are written in Keras.

Computes what our checkpoints of Llama's kind do (Touvron et al. 2023, arXiv 2302.13971), with the switches that
`UNSUPPORTED` leaves open: biases, norms of q and k, tied embeddings, windows, layers without RoPE, every scaling type.
Serving is `pagoda.LLM`'s business: `generate` here computes the whole text for each token, and is meant for a look.

Shapes: batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pagoda.errors import ConfigError
from pagoda.keras.norm import RMSNormalization
from pagoda.keras.precision import as_given
from pagoda.keras.rotary import RotaryEmbedding, check_tokens, rotated
from pagoda.kernels.window import LayerWindow
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.layers.rope_scaling import Rope
from pagoda.models.config import ModelConfig

UNSUPPORTED: Mapping[str, Any] = {
    "norm_placement": "pre",
    "hidden_act": "silu",
    "mlp_gated": True,
    "experts": None,
    "has_head": True,
    "embedding_multiplier": 1.0,
    "residual_multiplier": 1.0,
    "logits_scaling": 1.0,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
    "clip_qkv": None,
    "qk_norm_span": "head",
    "qk_norm_after_rope": False,
    "sliding_rope_theta": None,
}
"""Fields of ModelConfig that have one value here; other families set others."""
_NEVER = -1e30  # a score whose weight is 0, and no NaN where a whole row is so


def rotary_of(rope: Rope, **kwargs: Any) -> RotaryEmbedding:
    """The Keras layer that computes `rope`, a model's RoPE, for inputs of any number of features."""
    said = {"rope_type": "default", **rope.scaling}
    said = {
        **said,
        "scaling_factor": said.pop("factor", None) or (rope.factor if "factor" in rope.kind.optional else 1.0),
    }
    return RotaryEmbedding(
        rope.theta,
        rotary_dim=rope.head_dim,
        max_position_embeddings=rope.max_position_embeddings,
        **{key: value for key, value in said.items() if value is not None and key not in rope.kind.ignored},
        **kwargs,
    )


class _Attention(keras.layers.Layer):
    """Grouped-query attention, `[batch, T, hidden_size]` -> the same."""

    def __init__(self, config: ModelConfig, layer_idx: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        own = _naming(self)
        self.num_heads, self.num_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, self.window = config.head_dim, config.layer_windows[layer_idx]
        scale = config.attention_scale
        self.scale = config.head_dim**-0.5 if scale is None else scale
        sizes = {"q_proj": self.num_heads, "k_proj": self.num_kv_heads, "v_proj": self.num_kv_heads}
        for name, heads in sizes.items():
            dense = keras.layers.Dense(heads * config.head_dim, use_bias=config.attention_bias, **own(name))
            setattr(self, name, dense)
        self.o_proj = keras.layers.Dense(config.hidden_size, use_bias=config.attention_output_bias, **own("o_proj"))
        self.q_norm = _norm(config, **own("q_norm")) if config.qk_norm else None
        self.k_norm = _norm(config, **own("k_norm")) if config.qk_norm else None
        self.rotates = config.layer_ropes[layer_idx] is not None

    def build(self, input_shape: Any) -> None:
        for projection in (self.q_proj, self.k_proj, self.v_proj):
            projection.build(input_shape)
        self.o_proj.build((None, None, self.num_heads * self.head_dim))
        for norm in (self.q_norm, self.k_norm):
            if norm is not None:
                norm.build((None, None, None, self.head_dim))

    def call(self, x: Any, cos: Any, sin: Any) -> Any:
        query = self._placed(self.q_proj(x), self.q_norm, cos, sin)
        key = self._placed(self.k_proj(x), self.k_norm, cos, sin)
        value = self._heads(self.v_proj(x))  # [batch, T, kv_heads, head_dim]
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        query = ops.reshape(query, (batch, length, self.num_kv_heads, -1, self.head_dim))  # query heads of a KV head
        scores = ops.einsum("btkgd,bskd->bkgts", query, key) * self.scale
        scores = ops.where(_visible(length, self.window), ops.cast(scores, "float32"), _NEVER)
        weights = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
        attended = ops.einsum("bkgts,bskd->btkgd", weights, value)
        return self.o_proj(ops.reshape(attended, (batch, length, self.num_heads * self.head_dim)))

    def _heads(self, projected: Any) -> Any:
        shape = ops.shape(projected)
        return ops.reshape(projected, (shape[0], shape[1], -1, self.head_dim))

    def _placed(self, projected: Any, norm: Any, cos: Any, sin: Any) -> Any:
        heads = self._heads(projected)
        heads = heads if norm is None else norm(heads)
        return rotated(heads, cos, sin) if self.rotates else heads


class _DecoderLayer(keras.layers.Layer):
    """Attention and SwiGLU (Shazeer 2020, arXiv 2002.05202), each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer_idx: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        own = _naming(self)
        self.intermediate_size = config.intermediate_size
        self.input_layernorm = _norm(config, **own("input_layernorm"))
        self.self_attn = _Attention(config, layer_idx, **own("self_attn"))
        self.post_attention_layernorm = _norm(config, **own("post_attention_layernorm"))
        for name in ("gate_proj", "up_proj"):
            setattr(self, name, keras.layers.Dense(config.intermediate_size, use_bias=config.mlp_bias, **own(name)))
        self.down_proj = keras.layers.Dense(config.hidden_size, use_bias=config.mlp_bias, **own("down_proj"))

    def build(self, input_shape: Any) -> None:
        for layer in (
            self.input_layernorm,
            self.self_attn,
            self.post_attention_layernorm,
            self.gate_proj,
            self.up_proj,
        ):
            layer.build(input_shape)
        self.down_proj.build((None, None, self.intermediate_size))

    def call(self, x: Any, cos: Any, sin: Any) -> Any:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        normed = self.post_attention_layernorm(x)
        return x + self.down_proj(ops.silu(self.gate_proj(normed)) * self.up_proj(normed))


@keras.saving.register_keras_serializable(package="pagoda")
class LlamaCausalLM(keras.Model):
    """Token ids `[batch, T]` -> logits `[batch, T, vocab_size]`.

    config: the model's, as pagoda reads it, or the `config.json` that says it
    Raises ConfigError for a model that is another network than this.
    """

    def __init__(self, config: ModelConfig | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False})  # positions are more than the network's dtype holds
        self.model_config = config if isinstance(config, ModelConfig) else ModelConfig.from_dict(dict(config))
        check_network(self.model_config)
        config, own = self.model_config, _naming(self)
        self.embed_tokens = keras.layers.Embedding(config.vocab_size, config.hidden_size, **own("embed_tokens"))
        self.decoder_layers = [
            _DecoderLayer(config, idx, **own(f"layers_{idx}")) for idx in range(config.num_hidden_layers)
        ]
        self.rotary = rotary_of(config.rope, name="rotary")
        self.norm = _norm(config, **own("norm"))
        is_tied = config.tie_word_embeddings
        self.lm_head = None if is_tied else keras.layers.Dense(config.vocab_size, use_bias=False, **own("lm_head"))

    def call(self, token_ids: Any, positions: Any = None, sequence_lengths: Any = None) -> Any:
        """positions, sequence_lengths: `[T]` or `[batch, T]`, as the layer `RotaryEmbedding` has them.

        All of them may be one mapping with these names, as Keras's `predict` passes it; that makes float32 of float64
        first, so that large real positions are for a call of the model itself.
        """
        if isinstance(token_ids, Mapping):
            return self.call(**token_ids)
        said = {"positions": positions, "sequence_lengths": sequence_lengths}
        check_tokens("LlamaCausalLM", token_ids.shape, said)
        x = self.embed_tokens(token_ids)
        cos, sin = self._rotation(ops.shape(token_ids)[1], positions, sequence_lengths)
        for layer in self.decoder_layers:
            x = layer(x, cos, sin)
        x = self.norm(x)
        if self.lm_head is not None:
            return self.lm_head(x)
        return ops.matmul(x, ops.transpose(ops.cast(self.embed_tokens.embeddings, x.dtype)))

    def _rotation(self, length: Any, positions: Any, sequence_lengths: Any) -> tuple[Any, Any]:
        """Once for all layers: cos and sin `[1 or batch, T, 1, rotary_dim / 2]`."""
        if positions is None:
            positions = ops.arange(length)
        elif self.model_config.rope.kind.at_lengths is None:
            # Only distances count, and counted from the first token they have most digits.
            positions = positions - positions[..., :1]
        parts = self.rotary.rotation(positions, sequence_lengths)
        cos, sin = (part[None] if len(part.shape) == 2 else part for part in parts)
        return cos[:, :, None], sin[:, :, None]

    def __call__(self, token_ids: Any, *args: Any, **kwargs: Any) -> Any:
        _check_ids(token_ids["token_ids"] if isinstance(token_ids, Mapping) else token_ids, self.model_config)
        return super().__call__(token_ids, *args, **{key: as_given(value) for key, value in kwargs.items()})

    def build(self, input_shape: Any = (None, None)) -> None:
        """Every weight comes into being, before the first call."""
        states = (None, None, self.model_config.hidden_size)
        self.embed_tokens.build(input_shape)
        self.rotary.build((None, None, None, self.model_config.head_dim))
        for layer in (*self.decoder_layers, self.norm, *([] if self.lm_head is None else [self.lm_head])):
            layer.build(states)

    def generate(self, token_ids: Sequence[int], max_tokens: int, stop_ids: Sequence[int] | None = None) -> list[int]:
        """The most likely tokens after `token_ids`, up to and without one of `stop_ids`, by default the model's own.

        Raises ConfigError where there is no token to begin with, for several texts, and ids that are no token's.
        """
        if (shape := np.shape(token_ids)) == () or len(shape) > 1 or shape[0] == 0:
            raise ConfigError(
                f"LlamaCausalLM.generate was given token ids of the shape {list(shape)}, but the ids of one text are "
                f"expected, one or more, to go on from: give several texts one after the other, or all to pagoda.LLM"
            )
        _check_ids(token_ids, self.model_config)
        stop = self.model_config.eos_token_ids if stop_ids is None else stop_ids
        text = np.zeros((1, len(token_ids) + max_tokens), "int32")  # of one length, so that what compiles does so once
        text[0, : len(token_ids)] = token_ids
        lengths = np.maximum(np.arange(text.shape[1]) + 1, len(token_ids))[None]
        for index in range(len(token_ids), text.shape[1]):
            logits = self.predict_on_batch({"token_ids": text, "sequence_lengths": lengths})
            text[0, index] = np.argmax(logits[0, index - 1])
            if text[0, index] in stop:
                return text[0, len(token_ids) : index].tolist()
        return text[0, len(token_ids) :].tolist()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.model_config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LlamaCausalLM:
        return cls(**config)


def _check_ids(token_ids: Any, config: ModelConfig) -> None:
    """Raises ConfigError for ids that are no token's: JAX would take the last one for them, without a word.

    Of numbers that are no tensor yet; to look into tensors would wait for the device.
    """
    if keras.utils.is_keras_tensor(token_ids) or keras.ops.is_tensor(token_ids):
        return
    ids = np.asarray(token_ids)
    if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < config.vocab_size):
        found = f"from {ids.min()} to {ids.max()}" if ids.size else "none"
        raise ConfigError(
            f"LlamaCausalLM was given token ids {found} of the type {ids.dtype}, but whole numbers from 0 to "
            f"{config.vocab_size - 1} are expected: was the text made into ids by another model's tokenizer?"
        )


def check_network(config: ModelConfig) -> None:
    """Raises ConfigError where `config` is of another network: the field, its value and what is computed here."""
    for name, value in UNSUPPORTED.items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"LlamaCausalLM computes {name}={value!r} only, but this {config.architecture} has "
                f"{name}={getattr(config, name)!r}: load it with pagoda.LLM"
            )
    kind = NORM_KINDS[config.norm]
    if kind.centred or kind.follows or not kind.has_scale:
        raise ConfigError(
            f"LlamaCausalLM computes RMSNorm only, but this {config.architecture} has norm={config.norm!r}"
        )


def _norm(config: ModelConfig, **kwargs: Any) -> RMSNormalization:
    kind = NORM_KINDS[config.norm]
    return RMSNormalization(-1, config.rms_norm_eps, unit_offset=kind.offset == 1.0, share=kind.share, **kwargs)


def _naming(parent: keras.layers.Layer) -> Callable[[str], dict[str, Any]]:
    """What a part of `parent` is made with: its name, and the parent's dtype policy."""
    return lambda name: {"name": name, "dtype": parent.dtype_policy}


def _visible(length: Any, window: LayerWindow) -> Any:
    """`[T, T]`: which token (column) each one (row) sees, of itself and those before it."""
    index = ops.arange(length)
    query, key = index[:, None], index[None, :]
    seen = key <= query
    return seen if window is None else ops.logical_and(seen, window.sees(query, key))
