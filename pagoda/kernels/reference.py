"""The kernels in plain torch: the definition that every other implementation must agree with.

Runs on CPU and CUDA, and trains (every operation is differentiable but the cache writes). It is also
exact: a row's result is the same bits whatever else is in the step. Two rules make it so. Matrix products
see only row counts that are multiples of ROW_TILE (the runner pads), because BLAS switches to other
kernels, with another order of summation, for a handful of rows. And attention walks the keys in partitions
of a fixed size, from position 0, as flash decoding does with a fixed split (Dao et al. 2022, arXiv
2205.14135, algorithm 1): a partition is the same shape for every request, and one that is masked out
leaves the running sums untouched.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pagoda.kernels.interface import AttentionMetadata

ROW_TILE = 16  # rows of a matrix product come in multiples of this
PARTITION = 256  # keys that one pass of attention looks at
QUERY_TILE = 64  # query tokens of a prompt that go through attention together
MAX_TILE_ELEMENTS = 1 << 24  # scores held at once, which bounds the working memory to about 64 MiB
_MASKED = -1e30  # finite, so that a row with every key masked stays free of NaN


class ReferenceKernels:
    """Kernels in torch; see `interface.Kernels` for what each promises."""

    name = "torch-reference"

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return F.linear(x, weight, bias)

    def rms_norm(self, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        return weight * normed.to(x.dtype)

    def silu_and_mul(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return F.silu(gate) * up

    def apply_rotary(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    def store_kv(
        self, key: torch.Tensor, value: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor
    ) -> None:
        is_real = slots >= 0
        if not bool(is_real.all()):
            key, value, slots = key[is_real], value[is_real], slots[is_real]
        k_cache.flatten(0, 1)[slots] = key.to(k_cache.dtype)
        v_cache.flatten(0, 1)[slots] = value.to(v_cache.dtype)

    def copy_blocks(self, cache: torch.Tensor, pairs: torch.Tensor) -> None:
        cache[:, :, pairs[:, 1]] = cache[:, :, pairs[:, 0]]

    def paged_attention(
        self,
        query: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        metadata: AttentionMetadata,
        *,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        output = torch.zeros_like(query)
        group = query.shape[1] // k_cache.shape[2]
        for tiles in _batches_of_tiles(metadata, group, query.shape[1]):
            rows = tiles.rows.to(query.device)
            tile_query = _pack(query[rows], group)
            attended = _attend_tiles(tile_query, k_cache, v_cache, tiles, group, scale, window)
            is_real = tiles.is_real.to(query.device)
            output[rows[is_real]] = _unpack(attended, rows.shape[1], group)[is_real].to(query.dtype)
        return output


@dataclass(frozen=True)
class _Tiles:
    """N tiles of up to S query tokens each, of one width, taken through attention together.

    rows, positions, is_real: [N, S], where a token stands in the step, in its sequence, and whether it exists
    block_tables: [N, max_num_blocks]; key_ends: [N], one past the last key that any token of the tile sees
    """

    rows: torch.Tensor
    positions: torch.Tensor
    is_real: torch.Tensor
    block_tables: torch.Tensor
    first_positions: list[int]
    key_ends: list[int]


def _batches_of_tiles(metadata: AttentionMetadata, group: int, num_heads: int) -> Iterator[_Tiles]:
    """Cut every request's query tokens into tiles: single tokens among themselves, longer runs by QUERY_TILE."""
    narrow: list[tuple[int, int, int]] = []  # (request, first row, number of tokens)
    wide: list[tuple[int, int, int]] = []
    starts = metadata.query_start_loc
    for request, (begin, end) in enumerate(itertools.pairwise(starts)):
        if end - begin == 1:
            narrow.append((request, begin, 1))
        else:
            wide.extend((request, row, min(QUERY_TILE, end - row)) for row in range(begin, end, QUERY_TILE))
    for width, tiles in ((1, narrow), (QUERY_TILE, wide)):
        per_batch = max(1, MAX_TILE_ELEMENTS // (num_heads * max(width, 8 // group) * PARTITION))
        for i in range(0, len(tiles), per_batch):
            yield _build_tiles(metadata, tiles[i : i + per_batch], width)


def _build_tiles(metadata: AttentionMetadata, tiles: list[tuple[int, int, int]], width: int) -> _Tiles:
    requests = [request for request, _, _ in tiles]
    first_rows = [row for _, row, _ in tiles]
    counts = torch.tensor([count for _, _, count in tiles])
    ends, seq_lens = metadata.query_start_loc, metadata.seq_lens
    # The last query row of a request stands at seq_len - 1, which places every other row of it.
    first_positions = [seq_lens[r] - (ends[r + 1] - row) for r, row, _ in tiles]
    steps = torch.arange(width)
    is_real = steps < counts[:, None]
    offsets = torch.where(is_real, steps, 0)
    return _Tiles(
        rows=torch.tensor(first_rows)[:, None] + offsets,
        positions=torch.tensor(first_positions)[:, None] + offsets,
        is_real=is_real,
        block_tables=metadata.block_tables[requests],
        first_positions=first_positions,
        key_ends=[first + count for first, (_, _, count) in zip(first_positions, tiles, strict=True)],
    )


def _pack(query: torch.Tensor, group: int) -> torch.Tensor:
    """`[N, S, heads, D] -> [N, kv_heads, rows, D]` in fp32, rows = S * group rounded up to a multiple of 8."""
    num_tiles, width, num_heads, head_dim = query.shape
    packed = query.float().view(num_tiles, width, num_heads // group, group, head_dim)
    packed = packed.transpose(1, 2).reshape(num_tiles, num_heads // group, width * group, head_dim)
    return F.pad(packed, (0, 0, 0, -width * group % 8))


def _unpack(attended: torch.Tensor, width: int, group: int) -> torch.Tensor:
    """The inverse of `_pack`, padding dropped."""
    num_tiles, num_kv_heads, _, head_dim = attended.shape
    real = attended[:, :, : width * group].view(num_tiles, num_kv_heads, width, group, head_dim)
    return real.transpose(1, 2).reshape(num_tiles, width, num_kv_heads * group, head_dim)


def _attend_tiles(
    query: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    tiles: _Tiles,
    group: int,
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """Online softmax over the partitions; `query [N, kv_heads, rows, D]` -> the same shape in fp32."""
    positions = tiles.positions.to(query.device).repeat_interleave(group, dim=1)
    positions = F.pad(positions, (0, query.shape[2] - positions.shape[1]))[:, None, :, None]
    maximum = query.new_full((*query.shape[:3], 1), _MASKED)
    total = torch.zeros_like(maximum)
    output = torch.zeros_like(query)
    for start in range(0, max(tiles.key_ends), PARTITION):
        active = _tiles_that_see(tiles, start, window)
        if not active:
            continue
        # `slice` keeps the usual case, in which every tile takes part, free of copies.
        pick = slice(None) if len(active) == len(tiles.key_ends) else torch.tensor(active, device=query.device)
        key, value = _gather_partition(k_cache, v_cache, tiles.block_tables[pick], start)
        seen = torch.arange(start, start + PARTITION, device=query.device)
        mask = seen <= positions[pick]
        if window is not None:
            mask &= seen > positions[pick] - window
        # A slot past the sequence's end holds what an earlier owner left: 0 * NaN must not reach the sum.
        key_ends = torch.tensor(tiles.key_ends, device=query.device)[pick]
        value = value.masked_fill((seen >= key_ends[:, None])[:, None, :, None], 0.0)
        scores = torch.matmul(query[pick], key).mul_(scale).masked_fill_(~mask, _MASKED)
        new_maximum = torch.maximum(maximum[pick], scores.amax(-1, keepdim=True))
        weights = scores.sub_(new_maximum).exp_().masked_fill_(~mask, 0.0)
        rescale = (maximum[pick] - new_maximum).exp()
        total[pick] = total[pick] * rescale + weights.sum(-1, keepdim=True)
        output[pick] = output[pick] * rescale + torch.matmul(weights, value)
        maximum[pick] = new_maximum
    return output / total


def _tiles_that_see(tiles: _Tiles, start: int, window: int | None) -> list[int]:
    """Tiles with at least one key in `[start, start + PARTITION)`."""
    reach = -1 if window is None else window
    return [
        i
        for i, (first, end) in enumerate(zip(tiles.first_positions, tiles.key_ends, strict=True))
        if end > start and (reach < 0 or first - reach < start + PARTITION - 1)
    ]


def _gather_partition(
    k_cache: torch.Tensor, v_cache: torch.Tensor, block_tables: torch.Tensor, start: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys `[N, kv_heads, D, PARTITION]` and values `[N, kv_heads, PARTITION, D]` in fp32."""
    block_size = k_cache.shape[1]
    blocks = block_tables[:, start // block_size : (start + PARTITION) // block_size]
    blocks = F.pad(blocks, (0, PARTITION // block_size - blocks.shape[1]))
    key = k_cache[blocks].flatten(1, 2).float()
    value = v_cache[blocks].flatten(1, 2).float()
    return key.permute(0, 2, 3, 1), value.permute(0, 2, 1, 3)
