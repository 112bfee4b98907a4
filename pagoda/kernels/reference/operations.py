"""The kernels in plain torch: the definition that every other implementation must agree with.

Runs on CPU and CUDA, and trains (every operation is differentiable but the cache writes). It is also
exact: on a CPU, a row's result is the same bits whatever else is in the step. Three rules make it so.
Matrix products see only multiples of ROW_TILE rows (the runner pads) up to ROW_SPAN, and of COLUMN_TILE
columns, because BLAS switches to other kernels, with another order of summation, for a handful of either and
again for many rows. Functions are only
those that torch computes alike at every place of a tensor. And attention is made of work items of one shape,
the same for every request (`attention_plan`), whose sums are added in the order of the keys.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from pagoda.kernels import kv_codes
from pagoda.kernels.activations import ACTIVATIONS
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
from pagoda.kernels.reference.attention_plan import (
    PARTITION,
    ROW_PAD,
    TILE_WIDTHS,
    TileBatch,
    plan_attention,
)

ROW_TILE = 16  # rows of a matrix product come in multiples of this
ROW_SPAN = 128  # more rows than this are several products: so many heights, and no more, `select.py` can try
COLUMN_TILE = 16  # and so do its columns
_MASKED = float("-inf")  # safe, since every row sees a key in some item; exp is faster at it than at large numbers


class ReferenceKernels:
    """Kernels in torch; see `interface.Kernels` for what each promises."""

    name = "torch-reference"
    row_multiple = ROW_TILE
    keeps_codes = False
    row_span = ROW_SPAN
    tile_widths: tuple[int, ...] = TILE_WIDTHS

    def computes(self, dtype: torch.dtype, device: torch.device) -> bool:
        return True

    def pack(self, weight: torch.Tensor) -> Matrix:
        return weight  # BLAS reads a matrix as checkpoints store it

    def pack_codes(self, codes: GroupedCodes, dtype: torch.dtype) -> Matrix:
        return codes.dense().to(dtype)

    def linear(self, x: torch.Tensor, weight: Matrix, bias: torch.Tensor | None) -> torch.Tensor:
        # A trainer compares no bits, and a device is promised none: both get the one large product.
        if len(x) <= self.row_span or torch.is_grad_enabled() or x.device.type != "cpu":
            return self._product(x, weight, bias)
        return torch.cat([self._product(rows, weight, bias) for rows in x.split(self.row_span)])

    def _product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        num_left = weight.shape[0] % COLUMN_TILE
        if num_left == 0:
            return F.linear(x, weight, bias)
        # The left-over columns take a product of their own, so that no more than these are copied to be padded:
        # the last rows of `weight [out, in]`, filled with zeros up to a tile, whose results are cut off again.
        bulk = F.linear(x, weight[:-num_left], None if bias is None else bias[:-num_left])
        padding = COLUMN_TILE - num_left
        rest = F.pad(weight[-num_left:], (0, 0, 0, padding))
        rest_bias = None if bias is None else F.pad(bias[-num_left:], (0, padding))
        return torch.cat((bulk, F.linear(x, rest, rest_bias)[..., :num_left]), dim=-1)

    def linear_argmax(self, x: torch.Tensor, weight: Matrix) -> torch.Tensor:
        return self.linear(x, weight, None).argmax(-1)

    def take_rows(self, weight: Matrix, indices: torch.Tensor) -> torch.Tensor:
        return F.embedding(indices, weight)

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.float()  # bf16 keeps 8 bits of a square, and the scale of the whole row hangs on their mean
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)  # one scale a row, [..., 1]
        return weight * normed.to(x.dtype)  # rounded before the gain, as transformers rounds

    def layer_norm(
        self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)

    def silu_and_mul(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        if gate.requires_grad:
            return F.silu(gate) * up  # in training one rounding is as good as another, and this has a fused gradient
        # F.silu rounds otherwise where a thread's share does not fill a vector: an element's bits would depend on
        # where it stands. torch.exp has no such remainder.
        wide = gate.float()
        # silu(x) = x / (1 + e^-x); where e^-x overflows to infinity the quotient is the right zero.
        return (wide / torch.exp(-wide).add_(1.0)).to(gate.dtype) * up

    def activate(self, x: torch.Tensor, activation: str) -> torch.Tensor:
        return ACTIVATIONS[activation](x.float()).to(x.dtype)

    def apply_rotary(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        rotary_dim = 2 * cos.shape[-1]
        if rotary_dim < x.shape[-1]:
            return torch.cat((self.apply_rotary(x[..., :rotary_dim], cos, sin), x[..., rotary_dim:]), dim=-1)
        if cos.dim() < x.dim():
            cos, sin = cos[:, None], sin[:, None]  # [T, 1, head_dim / 2]: the same for all heads
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        # Pair i is (i, i + head_dim / 2), as Hugging Face stores q and k; the paper's neighbours (2i, 2i + 1) are the
        # same rotation of reordered rows.
        first, second = x.chunk(2, dim=-1)  # [T, heads, head_dim / 2] each
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    def plan_attention(self, metadata: AttentionMetadata, shape: AttentionShape) -> StepPlan:
        return plan_attention(metadata, shape, self.tile_widths)

    def store_kv(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        plan: StepPlan,
    ) -> None:
        # Attention gives a hidden key the weight 0, and 0 * inf is NaN: what a broken request leaves in a block
        # must not reach the block's next owner.
        value = torch.nan_to_num(value[: plan.num_real_rows])  # padding has no slot
        # Blocks, heads and offsets flattened into rows of head_dim: one index per token and head, from the plan.
        key = key[: plan.num_real_rows]
        if k_cache.dtype == torch.int8:
            key, value = kv_codes.to_codes(kv_codes.turned(key)), kv_codes.to_codes(value)
        for cache, x in ((k_cache, key), (v_cache, value)):
            stored = x.to(cache.dtype)
            cache.flatten(0, 2).index_copy_(0, plan.store_rows, stored.flatten(0, 1))

    def copy_blocks(self, cache: torch.Tensor, pairs: torch.Tensor) -> None:
        # The right side is gathered whole before anything is written: a block may be source and destination at once.
        cache[:, :, pairs[:, 1]] = cache[:, :, pairs[:, 0]]

    def paged_attention(
        self,
        query: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        plan: StepPlan,
        scores: AttentionScores,
    ) -> torch.Tensor:
        output = torch.zeros_like(query)  # rows of padding stay zero
        for batch in plan.batches:
            attended = _attend(query, k_cache, v_cache, batch, scores).to(query.dtype)
            if batch.is_real is None:
                output[batch.rows.flatten()] = attended.flatten(0, 1)
            else:
                # A tile with fewer tokens repeats its first row: of each row one result is written.
                output[batch.rows[batch.is_real]] = attended[batch.is_real]
        return output

    def decoder(self, shape: DecoderShape, parts: DecoderParts) -> Decoder | None:
        return None  # each operation by itself


def _attend(
    query: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, batch: TileBatch, score: AttentionScores
) -> torch.Tensor:
    """Softmax attention of one batch of tiles -> `[N, S, heads, D]` in fp32.

    The maximum over all partitions comes first: it is the same number in whatever order it is found. Then the
    partitions' sums are added one after the other, from the first on; a partition that is hidden adds exact zeros.
    """
    num_kv_heads, head_dim = k_cache.shape[1], query.shape[2]  # of [num_blocks, kv_heads, block_size, D]
    width, group = batch.rows.shape[1], query.shape[1] // num_kv_heads
    if k_cache.dtype == torch.int8:
        query = kv_codes.turned(query)
    tiles = _pack(
        query[batch.rows].float() * score.scale, num_kv_heads
    )  # [N, kv_heads, R, D], R rows = S * group, padded
    items = tiles if batch.item_tiles is None else tiles[batch.item_tiles]  # [W, kv_heads, R, D]
    # Gathered block by block into [W * kv_heads, PARTITION, D]: one copy, after which every item has the same shape.
    key = _gathered(k_cache, batch.cache_rows).view(-1, PARTITION, head_dim)
    value = _widen(_gathered(v_cache, batch.cache_rows).view(-1, PARTITION, head_dim))
    # The heads of a group share keys and values: as rows of one product they read them once.
    scores = torch.bmm(items.flatten(0, 1), key.transpose(1, 2)).unflatten(0, (-1, num_kv_heads))
    if score.softcap is not None:
        scores.div_(score.softcap).tanh_().mul_(score.softcap)
    # [W, kv_heads, R, PARTITION]; hidden is the future, what a window has left behind, and what lies past the end
    scores.masked_fill_(batch.hidden, _MASKED)
    # A tile's largest score over all its items, [N, kv_heads, R, 1]; each item then takes its tile's.
    maximum = _fold(torch.maximum, scores.amax(-1, keepdim=True), batch.counts)
    weights = scores.sub_(maximum if batch.item_tiles is None else maximum[batch.item_tiles]).exp_()
    # Sums of weights and of weighted values, folded apart: [N, kv_heads, R, 1] and [N, kv_heads, R, D].
    total = _fold(torch.add, weights.sum(-1, keepdim=True), batch.counts)
    partial = torch.bmm(weights.flatten(0, 1), value).unflatten(0, (-1, num_kv_heads))
    # Divided once at the end, as flash attention does; then the padding of rows and of head_dim goes.
    attended = (_fold(torch.add, partial, batch.counts) / total)[..., : width * group, :head_dim]
    # [N, kv_heads, S * group, D] -> [N, S, kv_heads * group, D]: back to the order of the query's heads
    return attended.unflatten(2, (width, group)).transpose(1, 2).flatten(2, 3)


def _gathered(cache: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Heads of blocks, fp32 `[len(rows), block_size, D]`."""
    found = cache.flatten(0, 1).index_select(0, rows)
    return kv_codes.to_floats(found) if cache.dtype == torch.int8 else found.float()


def _pack(query: torch.Tensor, num_kv_heads: int) -> torch.Tensor:
    """`[N, S, heads, D] -> [N, kv_heads, R, D]`: the rows that share a KV head together, padded to ROW_PAD."""
    # Heads stand KV head by KV head: [N, S, kv_heads, group, D] -> [N, kv_heads, S * group, D]
    rows = query.unflatten(2, (num_kv_heads, -1)).transpose(1, 2).flatten(2, 3)
    return F.pad(rows, (0, 0, 0, -rows.shape[2] % ROW_PAD))


def _fold(combine: Callable[..., torch.Tensor], items: torch.Tensor, counts: tuple[int, ...]) -> torch.Tensor:
    """`[W, ...]` items -> `[N, ...]` tiles: a tile's items one after the other, in the order of the keys.

    combine: torch.add or torch.maximum. `items` is written over.
    """
    folded, *others = items.split(counts)  # items stand by partition: first all firsts, then all seconds, ...
    for other in others:
        some = folded[: len(other)]  # tiles with more items stand first, so these are the ones that have another
        combine(some, other, out=some)
    return folded


def _widen(x: torch.Tensor) -> torch.Tensor:
    """The last dimension filled with zeros up to a multiple of COLUMN_TILE; `x` itself where it is one."""
    missing = -x.shape[-1] % COLUMN_TILE
    return F.pad(x, (0, missing)) if missing else x


class TiledReferenceKernels(ReferenceKernels):
    """The reference with every product of one height, attention's too: exact on any BLAS, slower on a good one."""

    name = "torch-reference-tiled"
    row_span = ROW_TILE
    tile_widths = TILE_WIDTHS[:1]
