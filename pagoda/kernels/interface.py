"""The few tensor operations that cost the time, as one protocol with several implementations.

On the token's path: every layer calls these, and nothing else touches tensors in bulk. `reference.py`
defines what each must compute; another implementation must agree with it. Chosen once, at start, by
`select.py`, and handed to the layers as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pagoda.distributed import ParallelGroup
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.window import LayerWindow

Matrix = Any
"""A tensor `[out, in]`, or what `pack` or `pack_codes` made of it: only the same implementation looks inside."""

StepPlan = Any
"""What one implementation's `plan_attention` made: only the same implementation looks inside."""


@dataclass(frozen=True)
class AttentionMetadata:
    """Where the tokens of one step stand. Requests lie back to back; T tokens of R requests.

    query_start_loc: R + 1 offsets into the T rows; request r owns rows [r] to [r + 1]
    seq_lens:        R lengths of the sequences, this step's tokens included
    block_tables:    [R, max_num_blocks] int64, ids of the blocks that hold a request's KV, in order
    slot_mapping:    [T] int64, `block * block_size + offset` that a row's K and V are written to; -1: nowhere
    """

    query_start_loc: tuple[int, ...]
    seq_lens: tuple[int, ...]
    block_tables: torch.Tensor
    slot_mapping: torch.Tensor


@dataclass(frozen=True)
class AttentionShape:
    """What a plan has to know of a layer: heads, how many of them share one KV head, and how far back it sees."""

    num_kv_heads: int
    group: int
    block_size: int
    window: LayerWindow


@dataclass(frozen=True)
class AttentionScores:
    """How the product of a query and a key becomes a score: `softcap * tanh(product * scale / softcap)`.

    softcap: the bound of a score, or None for `product * scale` alone
    """

    scale: float
    softcap: float | None = None


Rotation = tuple[torch.Tensor, torch.Tensor]
"""cos and sin, each `[T, rotary_dim / 2]` in fp32: of tokens, or of positions from 0 on."""

Linear = tuple[Matrix, torch.Tensor | None]
"""A matrix as `pack` made it, and its bias `[out]`."""


@dataclass(frozen=True)
class DecoderLayerParts:
    """What a plain Llama layer computes with, by the names of its modules.

    q_norm, k_norm: gains `[head_dim]`; window: as in AttentionShape; rope: name of its rotation, None for none
    """

    input_layernorm: torch.Tensor
    post_attention_layernorm: torch.Tensor
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    q_proj: Linear
    k_proj: Linear
    v_proj: Linear
    o_proj: Linear
    gate_proj: Linear
    up_proj: Linear
    down_proj: Linear
    window: LayerWindow
    rope: str | None


@dataclass(frozen=True)
class DecoderParts:
    """A plain Llama network below its head, or what a rank has of it.

    embedding: `[vocab_size, hidden_size]`, or a head that `pack` made of the same weights; None: rows come embedded
    norm: the last gain; None where it is another's business
    group: the ranks that the layers are divided over
    """

    embedding: Matrix | None
    layers: Sequence[DecoderLayerParts]
    norm: torch.Tensor | None
    group: ParallelGroup


@dataclass(frozen=True)
class DecoderShape:
    """What all layers of a plain Llama network have in common; inner width and heads are a rank's own."""

    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    norm_eps: float
    scores: AttentionScores


class Decoder(Protocol):
    """A network below its head in one call, bit for bit what the operations of its kernels give one by one.

    group: heads that share one KV head; windows: those that layers have, of each of which a call wants a plan
    embeds: whether it takes tokens, and not rows that are embedded
    """

    group: int
    embeds: bool
    windows: Sequence[LayerWindow]

    def __call__(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor | None,
        rotations: Mapping[str, Rotation],
        plans: Mapping[LayerWindow, StepPlan],
        kv_cache: torch.Tensor,
        hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`input_ids [T]` (int64) -> hidden states `[T, hidden_size]` after the last norm, if it has one.

        hidden_states: rows to go on from, where it does not embed; they are written over
        positions: `[T]` (int64), the rows of `rotations` that tokens turn by; None: row by row
        kv_cache: `[layers, 2, num_blocks, kv_heads, block_size, head_dim]`
        """
        ...


class Kernels(Protocol):
    """One implementation of every operation. All are pure but `store_kv` and `copy_blocks`.

    Caches are `[num_blocks, kv_heads, block_size, head_dim]`, for keys and values each; in int8 they are
    `[..., head_dim + SCALE_BYTES]`, as `kv_codes` says. The rows of a step come in
    multiples of `row_multiple`: the runner pads, and what comes back for the padding is thrown away. `keeps_codes` is
    whether `pack_codes` keeps a matrix in its few bits.
    """

    name: str
    row_multiple: int
    keeps_codes: bool

    def computes(self, dtype: torch.dtype, device: torch.device) -> bool:
        """Whether tensors of that kind may be handed to it."""
        ...

    def pack(self, weight: torch.Tensor) -> Matrix:
        """`weight [out, in]` in the order in which `linear` reads it fastest: itself, or a copy that replaces it."""
        ...

    def pack_codes(self, codes: GroupedCodes, dtype: torch.dtype) -> Matrix:
        """The same of a matrix in codes, which kernels without an arithmetic for them widen to `[out, in]`.

        dtype: of the tensors that it will be multiplied with
        """
        ...

    def linear(self, x: torch.Tensor, weight: Matrix, bias: torch.Tensor | None) -> torch.Tensor:
        """`x [T, in] @ weight [out, in]^T + bias [out] -> [T, out]`; `weight` as it is or as `pack` made it."""
        ...

    def linear_argmax(self, x: torch.Tensor, weight: Matrix) -> torch.Tensor:
        """`linear(x [T, in], weight, None).argmax(-1)` -> `[T]` int64: the lowest of equal outputs, NaN above all."""
        ...

    def take_rows(self, weight: Matrix, indices: torch.Tensor) -> torch.Tensor:
        """Rows `indices [T]` (int64) of `weight [out, in]`, as it is or as `pack` made it -> `[T, in]`."""
        ...

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """`x [..., size] / sqrt(mean(x^2) + eps) * weight [size]` over the last dimension, computed in fp32."""
        ...

    def layer_norm(
        self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        """`(x - mean) / sqrt(var + eps) * weight + bias` over the last dimension of `x [..., size]`, in fp32."""
        ...

    def silu_and_mul(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """`silu(gate) * up`, each `[T, size]` (SwiGLU, Shazeer 2020, arXiv 2002.05202, eq. 6)."""
        ...

    def activate(self, x: torch.Tensor, activation: str) -> torch.Tensor:
        """One of `activations` by its name, of each element of `x [T, size]`, computed in fp32."""
        ...

    def apply_rotary(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Rotate `x [T, heads, head_dim]` by cos and sin `[T, rotary_dim / 2]`, halves paired.

        Where rotary_dim is less than head_dim, the rest of each head stays as it is. Heads that turn by angles of their
        own bring cos and sin `[T, heads, rotary_dim / 2]`.
        """
        ...

    def plan_attention(self, metadata: AttentionMetadata, shape: AttentionShape) -> StepPlan:
        """Whatever this implementation works out once for all layers of one shape; goes into the next two methods."""
        ...

    def store_kv(
        self, key: torch.Tensor, value: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, plan: StepPlan
    ) -> None:
        """Write K and V `[T, kv_heads, head_dim]` into the slots of this step."""
        ...

    def copy_blocks(self, cache: torch.Tensor, pairs: torch.Tensor) -> None:
        """Copy whole blocks, `pairs [n, 2]` of (source, destination), within `[layers, 2, blocks, ...]`."""
        ...

    def paged_attention(
        self,
        query: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        plan: StepPlan,
        scores: AttentionScores,
    ) -> torch.Tensor:
        """Causal attention of `query [T, heads, head_dim]` over the paged cache -> `[T, heads, head_dim]`."""
        ...

    def decoder(self, shape: DecoderShape, parts: DecoderParts) -> Decoder | None:
        """A network joined into one call, or None where this implementation joins none."""
        ...
