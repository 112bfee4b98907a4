"""The kernels in C++ (`csrc/`): every operation over raw pointers, checked here before it is called.

On the token's path, chosen by `select.py` where the library was built. On one machine a row's bits are the same
whatever else is in the step, for any block size and any number of threads: every sum is one chain in one order
(`csrc/product.inl`, `csrc/attention.inl`). Between machines they may differ, as their vectors do.
"""

from __future__ import annotations

import torch

from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.interface import (
    AttentionMetadata,
    AttentionScores,
    AttentionShape,
    Decoder,
    DecoderParts,
    DecoderShape,
    Matrix,
    StepPlan,
)
from pagoda.kernels.native import library
from pagoda.kernels.native.decoder import NativeDecoder, are_packed
from pagoda.kernels.native.packed_weight import Arena, PackedWeight, address_of, dtype_number, is_computed
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.kernels.window import LayerWindow

_EVERYTHING = 1 << 40  # positions that a token without a window sees; one with a chunk alone sees itself at least


class NativeKernels(ReferenceKernels):
    """Kernels in C++ for fp32 and bf16 on CPUs; what few models ask for (other norms, other activations) is torch's.

    instruction_set: one of `library.instruction_sets()`, or "" for the best of this machine
    """

    name = "native"
    row_multiple = 1
    keeps_codes = True

    def __init__(self, num_threads: int | None = None, instruction_set: str = "") -> None:
        chosen = instruction_set or library.instruction_sets()[0]
        self._library = library.Kernels(chosen, num_threads or torch.get_num_threads())
        self.instruction_set = self._library.instruction_set
        self._arena = Arena()

    def computes(self, dtype: torch.dtype, device: torch.device) -> bool:
        return is_computed(dtype) and device.type == "cpu"

    def pack(self, weight: torch.Tensor) -> Matrix:
        return PackedWeight.of(weight, self._library, self._arena)

    def pack_codes(self, codes: GroupedCodes, dtype: torch.dtype) -> Matrix:
        packed = PackedWeight.of_codes(codes, dtype, self._library, self._arena)
        return self.pack(codes.dense().to(dtype)) if packed is None else packed

    def take_rows(self, weight: Matrix, indices: torch.Tensor) -> torch.Tensor:
        if not isinstance(weight, PackedWeight):
            return super().take_rows(weight, indices)
        indices = indices.contiguous()
        output = torch.empty(len(indices), weight.in_features, dtype=weight.dtype)
        self._library.take_rows(
            weight.data.data_ptr(),
            weight.out_features,
            weight.in_features,
            weight.format_address,
            indices.data_ptr(),
            len(indices),
            output.data_ptr(),
            dtype_number(weight.dtype),
        )
        return output

    def linear(self, x: torch.Tensor, weight: Matrix, bias: torch.Tensor | None) -> torch.Tensor:
        x, packed = self._factors(x, weight)
        output = x.new_empty(len(x), packed.out_features)
        self._library.linear(*_given(x, packed), address_of(bias), output.data_ptr(), dtype_number(x.dtype))
        return output

    def linear_argmax(self, x: torch.Tensor, weight: Matrix) -> torch.Tensor:
        x, packed = self._factors(x, weight)
        indices = torch.empty(len(x), dtype=torch.int64)
        self._library.largest(*_given(x, packed), indices.data_ptr(), dtype_number(x.dtype))
        return indices

    def _factors(self, x: torch.Tensor, weight: Matrix) -> tuple[torch.Tensor, PackedWeight]:
        # What a layer holds was packed when it was loaded.
        packed = weight if isinstance(weight, PackedWeight) else self.pack(weight)
        if x.shape[-1] != packed.in_features or x.dtype != packed.dtype:
            wanted = f"[T, {packed.in_features}] {packed.dtype}"
            raise ValueError(f"a product with x {list(x.shape)} {x.dtype}, expected {wanted}")
        return _rows(x if packed.order is None else x[..., packed.order]), packed

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        x = x.contiguous()
        output = torch.empty_like(x)
        size = x.shape[-1]
        self._library.rms_norm(
            x.data_ptr(), weight.data_ptr(), output.data_ptr(), x.numel() // size, size, eps, dtype_number(x.dtype)
        )
        return output

    def silu_and_mul(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        output = gate.new_empty(gate.shape)
        gate, up = _rows(gate), _rows(up)
        strides = gate.stride(0), up.stride(0)
        addresses = gate.data_ptr(), up.data_ptr(), output.data_ptr()
        self._library.silu_and_mul(*addresses, len(gate), gate.shape[1], *strides, dtype_number(gate.dtype))
        return output

    def apply_rotary(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        if cos.dim() == x.dim():  # every head as a token of its own
            heads = self.apply_rotary(x.flatten(0, 1)[:, None], cos.flatten(0, 1), sin.flatten(0, 1))
            return heads.view(x.shape)
        x, cos, sin = _heads(x), cos.float().contiguous(), sin.float().contiguous()
        output = x.new_empty(x.shape)
        self._library.rotate(
            x.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            output.data_ptr(),
            len(x),
            x.stride(0),
            x.shape[1],
            x.shape[2],
            2 * cos.shape[-1],
            dtype_number(x.dtype),
        )
        return output

    def plan_attention(self, metadata: AttentionMetadata, shape: AttentionShape) -> StepPlan:
        tables, slots = metadata.block_tables.contiguous(), metadata.slot_mapping.contiguous()
        return library.plan_attention(
            metadata.query_start_loc,
            metadata.seq_lens,
            tables.data_ptr(),
            tables.shape[1],
            slots.data_ptr(),
            metadata.query_start_loc[-1],
            shape.group,
            shape.block_size,
            *_reach(shape.window),
        )

    def store_kv(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        plan: StepPlan,
    ) -> None:
        in_bytes = k_cache.dtype == torch.int8
        if not in_bytes:
            key, value = key.to(k_cache.dtype), value.to(v_cache.dtype)
        key, value = _heads(key), _heads(value)
        self._library.store_kv(
            key.data_ptr(),
            value.data_ptr(),
            key.stride(0),
            value.stride(0),
            k_cache.data_ptr(),
            v_cache.data_ptr(),
            k_cache.stride(0),
            key.shape[1],
            key.shape[2],
            plan,
            dtype_number(key.dtype),
            in_bytes,
        )

    def paged_attention(
        self,
        query: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        plan: StepPlan,
        scores: AttentionScores,
    ) -> torch.Tensor:
        query = _heads(query)
        output = torch.zeros_like(query)
        self._library.attend(
            query.data_ptr(),
            query.stride(0),
            k_cache.data_ptr(),
            v_cache.data_ptr(),
            k_cache.stride(0),
            output.data_ptr(),
            output.stride(0),
            k_cache.shape[1],
            query.shape[1] // k_cache.shape[1],
            query.shape[2],
            scores.scale,
            scores.softcap or 0.0,
            plan,
            dtype_number(query.dtype),
            k_cache.dtype == torch.int8,
        )
        return output

    def decoder(self, shape: DecoderShape, parts: DecoderParts) -> Decoder | None:
        return NativeDecoder(self._library, shape, parts) if are_packed(parts) else None


def _given(x: torch.Tensor, packed: PackedWeight) -> tuple[int, int, int, int, int, int, int]:
    """A product's factors as the library takes them."""
    return (
        x.data_ptr(),
        x.stride(0),
        len(x),
        packed.in_features,
        packed.out_features,
        packed.data.data_ptr(),
        packed.format_address,
    )


def _reach(window: LayerWindow) -> tuple[int, ...]:
    """The window, and the chunk where there is one, as the library takes them: of what either sees, the wider."""
    if window is None:
        return (_EVERYTHING,)
    return (window.size,) if window.chunk is None and window.size is not None else (window.size or 1, window.chunk or 0)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """`[..., n]` as rows whose elements lie side by side."""
    x = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
    return x if x.stride(-1) == 1 else x.contiguous()


def _heads(x: torch.Tensor) -> torch.Tensor:
    """`[T, heads, head_dim]` whose heads lie side by side; tokens may lie further apart."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()
