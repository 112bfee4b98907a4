"""Which networks are one call of the kernels below their head, and what those are handed for it.

Beside the token's path: once, behind loading. Most checkpoints are plain Llama networks, which kernels may have as one
operation (`interface.Decoder`); every other goes layer by layer, as `llama` says it. Both ways give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pagoda.kernels.interface import DecoderLayerParts, DecoderParts, DecoderShape, Kernels, Linear
from pagoda.kernels.window import LayerWindow
from pagoda.layers.linear import ParallelLinear
from pagoda.layers.mlp import GatedMLP
from pagoda.layers.norm import RMSNorm
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaDecoderLayer, LlamaForCausalLM

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
    layers = [cast(LlamaDecoderLayer, network.model.layers[index]) for index in network.model.own_layers]
    rows = [row for layer in layers for row in (layer.self_attn.o_proj, cast(GatedMLP, layer.mlp).down_proj)]
    if any(row.shares.is_fixed or row.gathers_inputs for row in rows):
        return  # sums of blocks are taken apart, or ranks meet in front of a product as well
    shape = _shape(network.config, layers[0])
    network.model.decoder = kernels.decoder(shape, _parts(network, layers))


def is_plain(config: ModelConfig) -> bool:
    """Whether the layers are Llama's own, biases and norms of heads allowed."""
    return all(getattr(config, name) == value for name, value in _PLAIN.items())


def _shape(config: ModelConfig, layer: LlamaDecoderLayer) -> DecoderShape:
    return DecoderShape(
        hidden_size=config.hidden_size,
        intermediate_size=cast(GatedMLP, layer.mlp).down_proj.shares.length,
        num_heads=layer.self_attn.num_heads,
        num_kv_heads=layer.self_attn.num_kv_heads,
        head_dim=config.head_dim,
        norm_eps=config.rms_norm_eps,
        scores=layer.self_attn.scores,
    )


def _parts(network: LlamaForCausalLM, layers: Sequence[LlamaDecoderLayer]) -> DecoderParts:
    model, stage = network.model, network.stage
    windows, own = network.config.layer_windows, model.own_layers
    # Tokens of other ranks' entries are embedded together, before.
    embeds = stage.is_first and network.group.size == 1
    return DecoderParts(
        embedding=model.embed_tokens.matrix if embeds else None,
        layers=[
            _layer_parts(layer, windows[index], model.layer_ropes[index])
            for index, layer in zip(own, layers, strict=True)
        ],
        norm=cast(RMSNorm, model.norm).weight if stage.is_last else None,
        group=network.group,
    )


def _layer_parts(layer: LlamaDecoderLayer, window: LayerWindow, rope: str | None) -> DecoderLayerParts:
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
