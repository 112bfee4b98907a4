"""A plain Llama network below its head in one call of the library (`csrc/decoder.cpp`).

On the token's path in place of the modules, where `models/joined.py` found them plain. A step reads all weights, so
that nothing of Python and torch is in the cache when it ends: each operation called from there costs a tenth of a
millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from pagoda.kernels.interface import DecoderLayerParts, DecoderParts, DecoderShape, Rotation, StepPlan
from pagoda.kernels.native import library
from pagoda.kernels.native.packed_weight import PackedWeight, address_of, dtype_number
from pagoda.kernels.native.shared_memory import SharedGroup
from pagoda.kernels.window import LayerWindow

_NORMS = ("input_layernorm", "post_attention_layernorm", "q_norm", "k_norm")
_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_JOBS = (_LINEARS[:3], _LINEARS[4:6])


@dataclass(frozen=True)
class _Turn:
    """A rotation as the library takes it; holds the tensors that the addresses are of."""

    given: Rotation
    used: Rotation
    addresses: tuple[int, int, int]

    @classmethod
    def of(cls, rotation: Rotation) -> _Turn:
        cosine, sine = (part.float().contiguous() for part in rotation)
        return cls(rotation, (cosine, sine), (cosine.data_ptr(), sine.data_ptr(), 2 * cosine.shape[-1]))


class NativeDecoder:
    """`interface.Decoder` over packed weights; keeps alive what it is made of."""

    def __init__(self, kernels: library.Kernels, shape: DecoderShape, parts: DecoderParts) -> None:
        self._parts = parts
        self._dtype = parts.layers[0].input_layernorm.dtype
        self.embeds = parts.embedding is not None
        self._hidden_size = shape.hidden_size
        self.group = shape.num_heads // shape.num_kv_heads
        self.windows: Sequence[LayerWindow] = list(dict.fromkeys(layer.window for layer in parts.layers))
        self._ropes = list(dict.fromkeys(layer.rope for layer in parts.layers if layer.rope is not None))
        self._turns: dict[str, _Turn] = {}
        sizes = (shape.hidden_size, shape.intermediate_size, shape.num_heads, shape.num_kv_heads, shape.head_dim)
        numbers = (shape.norm_eps, shape.scores.scale, shape.scores.softcap or 0.0)
        layers = [self._given(layer) for layer in parts.layers]
        embedding, norm = _table(parts.embedding), address_of(parts.norm)
        ranks = parts.group.address if isinstance(parts.group, SharedGroup) and parts.group.size > 1 else 0
        dtype = dtype_number(self._dtype)
        self._decoder = library.Decoder(kernels, sizes, numbers, dtype, embedding, layers, norm, ranks)

    def __call__(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor | None,
        rotations: Mapping[str, Rotation],
        plans: Mapping[LayerWindow, StepPlan],
        kv_cache: torch.Tensor,
        hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if hidden_states is None:
            assert self.embeds, "rows that are embedded"
            hidden_states = torch.empty(len(input_ids), self._hidden_size, dtype=self._dtype)
        layer_stride, value_stride, block_stride = kv_cache.stride()[:3]
        size = kv_cache.element_size()
        self._decoder.forward(
            input_ids.data_ptr() if self.embeds else 0,
            address_of(positions),
            len(input_ids),
            [plans[window] for window in self.windows],
            [self._turn(name, rotations[name]).addresses for name in self._ropes],
            kv_cache.data_ptr(),
            layer_stride * size,
            value_stride * size,
            block_stride,
            kv_cache.dtype == torch.int8,
            hidden_states.data_ptr(),
        )
        return hidden_states

    def _turn(self, name: str, rotation: Rotation) -> _Turn:
        """Kept until another rotation comes under the name: tables come again and again."""
        turn = self._turns.get(name)
        if turn is None or turn.given is not rotation:
            turn = self._turns[name] = _Turn.of(rotation)
        return turn

    def _given(self, layer: DecoderLayerParts) -> tuple[list[int], list[tuple[int, int, int, int]], int, int]:
        norms = [address_of(getattr(layer, name)) for name in _NORMS]
        linears = [
            (weight.data.data_ptr(), address_of(bias), weight.out_features, weight.format_address)
            for weight, bias in (getattr(layer, name) for name in _LINEARS)
        ]
        rope = -1 if layer.rope is None else self._ropes.index(layer.rope)
        return norms, linears, self.windows.index(layer.window), rope


def are_packed(parts: DecoderParts) -> bool:
    """Whether all matrices of the layers are ours, all tensors of one dtype, and its ranks ours too."""
    if parts.group.size > 1 and not isinstance(parts.group, SharedGroup):
        return False
    tensors = [parts.embedding, parts.norm]
    for layer in parts.layers:
        linears = [getattr(layer, name) for name in _LINEARS]
        if not all(isinstance(weight, PackedWeight) and weight.order is None for weight, _ in linears):
            return False
        # Those that are multiplied as one job share their rows, be these floats or whole numbers.
        if any(len({getattr(layer, name)[0].format is None for name in job}) > 1 for job in _JOBS):
            return False
        tensors += [part for linear in linears for part in linear]
        tensors += [getattr(layer, name) for name in _NORMS]
    return len({tensor.dtype for tensor in tensors if tensor is not None}) == 1


def _table(embedding: PackedWeight | torch.Tensor | None) -> tuple[int, int, bool, int]:
    if embedding is None:
        return 0, 0, False, 0
    if isinstance(embedding, PackedWeight):
        return embedding.data.data_ptr(), embedding.out_features, True, embedding.format_address
    assert embedding.is_contiguous()
    return embedding.data_ptr(), len(embedding), False, 0
