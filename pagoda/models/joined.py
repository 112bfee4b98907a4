"""Which networks are one call of the kernels below their head, and what those are handed for it.

Beside the token's path: once, behind loading. Most checkpoints are plain Llama networks, which kernels may have as one
operation (`interface.Decoder`); every other goes layer by layer, as `llama` says it. Both ways give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pagoda.kernels.interface import AttentionScores, DecoderLayerParts, DecoderParts, DecoderShape, Kernels, Linear
from pagoda.layers.attention import LayerWindows
from pagoda.layers.linear import ParallelLinear
from pagoda.layers.norm import RMSNorm
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaDecoderLayer, LlamaForCausalLM, LlamaModel

_PLAIN = {
    "norm": "rms_norm",
    "norm_placement": "pre",
    "hidden_act": "silu",
    "mlp_gated": True,
    "experts": None,
    "embedding_multiplier": 1.0,
    "residual_multiplier": 1.0,
    "clip_qkv": None,
    "qk_norm_span": "head",
    "qk_norm_after_rope": False,
}


def join_layers(network: LlamaForCausalLM, kernels: Kernels) -> None:
    """Let the kernels take a loaded `network` below its head at once, where it is plain and they can."""
    if not is_plain(network.config):
        return
    layers = [cast(LlamaDecoderLayer, layer) for layer in network.model.layers]
    attention = layers[0].self_attn
    if attention.q_proj.group.size == 1:
        shape = _shape(network.config, attention.scores)
        network.model.decoder = kernels.decoder(shape, _parts(network.model, network.config.layer_windows, layers))


def is_plain(config: ModelConfig) -> bool:
    """Whether the layers are Llama's own, biases and norms of heads allowed."""
    return all(getattr(config, name) == value for name, value in _PLAIN.items())


def _shape(config: ModelConfig, scores: AttentionScores) -> DecoderShape:
    return DecoderShape(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        norm_eps=config.rms_norm_eps,
        scores=scores,
    )


def _parts(model: LlamaModel, windows: LayerWindows, layers: Sequence[LlamaDecoderLayer]) -> DecoderParts:
    embedding = model.embed_tokens
    return DecoderParts(
        embedding=embedding.matrix,
        layers=[_layer_parts(*each) for each in zip(layers, windows, model.layer_ropes, strict=True)],
        norm=cast(RMSNorm, model.norm).weight,
    )


def _layer_parts(layer: LlamaDecoderLayer, window: int | None, rope: str | None) -> DecoderLayerParts:
    attention, mlp = layer.self_attn, layer.mlp
    return DecoderLayerParts(
        input_layernorm=cast(RMSNorm, layer.input_layernorm).weight,
        post_attention_layernorm=cast(RMSNorm, layer.post_attention_layernorm).weight,
        q_norm=getattr(attention.q_norm, "weight", None),
        k_norm=getattr(attention.k_norm, "weight", None),
        **{name: _linear(getattr(attention, name)) for name in ("q_proj", "k_proj", "v_proj", "o_proj")},
        **{name: _linear(getattr(mlp, name)) for name in ("gate_proj", "up_proj", "down_proj")},
        window=window,
        rope=rope,
    )


def _linear(layer: ParallelLinear) -> Linear:
    return layer.matrix, layer.bias
