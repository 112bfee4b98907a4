"""All layers of a plain Llama network in one call of the library (`csrc/decoder.cpp`).

On the token's path in place of the layers, where `models/joined.py` found them plain: between two operations of a small
model Python takes longer than the operations do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch

from pagoda.kernels.interface import DecoderLayerParts, DecoderShape, Linear, Rotation, StepPlan
from pagoda.kernels.native import library
from pagoda.kernels.native.packed_weight import PackedWeight, dtype_number

_NORMS = ("input_layernorm", "post_attention_layernorm", "q_norm", "k_norm")
_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class NativeDecoder:
    """`interface.Decoder` over packed weights; keeps alive what it is made of."""

    def __init__(self, kernels: library.Kernels, shape: DecoderShape, layers: Sequence[DecoderLayerParts]) -> None:
        assert {field.name for field in fields(DecoderLayerParts)} == {*_NORMS, *_LINEARS}
        self._layers = layers
        self._dtype = layers[0].input_layernorm.dtype
        self.group = shape.num_heads // shape.num_kv_heads
        self._hidden_size = shape.hidden_size
        sizes = (shape.hidden_size, shape.intermediate_size, shape.num_heads, shape.num_kv_heads, shape.head_dim)
        numbers = (shape.norm_eps, shape.scores.scale, shape.scores.softcap or 0.0)
        given = [_addresses(layer) for layer in layers]
        self._decoder = library.Decoder(kernels, sizes, numbers, dtype_number(self._dtype), given)

    def __call__(
        self,
        hidden_states: torch.Tensor,
        rotations: Sequence[Rotation | None],
        plans: Sequence[StepPlan],
        kv_cache: torch.Tensor,
    ) -> torch.Tensor:
        hidden_states = hidden_states.contiguous()
        if hidden_states.shape[1:] != (self._hidden_size,) or hidden_states.dtype != self._dtype:
            raise ValueError(
                f"hidden states {list(hidden_states.shape)} {hidden_states.dtype} came, but [T, {self._hidden_size}] "
                f"{self._dtype} are expected"
            )
        # Contiguous copies must live until the call returns.
        placed = {id(rotation): _contiguous(rotation) for rotation in rotations if rotation is not None}
        turns = [(0, 0, 0) if rotation is None else _turn(placed[id(rotation)]) for rotation in rotations]
        layer_stride, value_stride, block_stride = kv_cache.stride()[:3]
        size = kv_cache.element_size()
        self._decoder.forward(
            hidden_states.data_ptr(),
            len(hidden_states),
            plans,
            turns,
            kv_cache.data_ptr(),
            layer_stride * size,
            value_stride * size,
            block_stride,
        )
        return hidden_states


def is_packed(layer: DecoderLayerParts) -> bool:
    """Whether all of a layer's matrices are ours, and all it holds is of one dtype."""
    linears: list[Linear] = [getattr(layer, name) for name in _LINEARS]
    if not all(isinstance(weight, PackedWeight) for weight, _ in linears):
        return False
    given = [layer.input_layernorm, layer.post_attention_layernorm, layer.q_norm, layer.k_norm]
    given += [bias for _, bias in linears]
    dtypes = {weight.dtype for weight, _ in linears} | {tensor.dtype for tensor in given if tensor is not None}
    return len(dtypes) == 1


def _addresses(layer: DecoderLayerParts) -> tuple[list[int], list[tuple[int, int, int]]]:
    return (
        [_address(getattr(layer, name)) for name in _NORMS],
        [
            (weight.data.data_ptr(), _address(bias), weight.out_features)
            for weight, bias in (getattr(layer, name) for name in _LINEARS)
        ],
    )


def _address(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _contiguous(rotation: Rotation) -> Rotation:
    cosine, sine = rotation
    return cosine.float().contiguous(), sine.float().contiguous()


def _turn(rotation: Rotation) -> tuple[int, int, int]:
    cosine, sine = rotation
    return cosine.data_ptr(), sine.data_ptr(), 2 * cosine.shape[-1]
