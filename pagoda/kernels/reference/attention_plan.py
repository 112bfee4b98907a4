"""Where one step's attention reads and writes, worked out once and used by every layer.

Beside the token's path: PagedAttention asks for a plan before the first layer. Every request's query tokens are
cut into tiles of a few fixed widths, and every tile's keys into partitions of a fixed size from position 0, as flash
decoding splits them (Dao et al. 2022, arXiv 2205.14135). A pair of both is a work item: one small matrix product of a
shape that does not depend on the request. Integers only; the arithmetic is in `reference`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pagoda.kernels.interface import AttentionMetadata, AttentionShape
from pagoda.kernels.window import LayerWindow

PARTITION = 128  # keys of a work item
ROW_PAD = 4  # rows of a work item come in multiples of this
TILE_WIDTHS = (64, 16, 1)  # query tokens of a tile
MAX_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 24}
"""Of a batch's keys, values or scores, each. On a CPU these 2 MiB stay in the cache, and below the size for which the
C library asks the system for fresh pages every time; a GPU wants few and large batches."""
_USUAL_HEAD_DIM = 64


@dataclass(frozen=True)
class TileBatch:
    """N tiles of up to S query tokens, and their W work items, sorted by partition, then by tile.

    rows: [N, S], the step's rows of a tile's tokens; the first again where it has fewer
    is_real: [N, S] bool, which of them exist; None if all
    item_tiles: [W], the tile of an item; None where tile i has the one item i
    cache_rows: [W * kv_heads * blocks], where an item's keys and values lie in the cache seen as
        `[num_blocks * kv_heads, block_size, head_dim]`
    hidden: [W, 1, 1 or R, PARTITION] bool, keys that a row does not see; R rows = S * group, padded
    counts: how many tiles have a first, a second, ... item; tiles with more items stand first
    """

    rows: torch.Tensor
    is_real: torch.Tensor | None
    item_tiles: torch.Tensor | None
    cache_rows: torch.Tensor
    hidden: torch.Tensor
    counts: tuple[int, ...]


@dataclass(frozen=True)
class AttentionPlan:
    """All tiles of a step, and the flat cache rows `[T * kv_heads]` that its keys and values are written to."""

    batches: tuple[TileBatch, ...]
    store_rows: torch.Tensor
    num_real_rows: int


@dataclass(frozen=True)
class _Tile:
    """Query tokens [row, row + count) of a request, the first at `position`; keys from `first_key` on are seen."""

    request: int
    row: int
    count: int
    position: int
    first_key: int

    @property
    def num_items(self) -> int:
        return (self.position + self.count - 1) // PARTITION - self.first_key // PARTITION + 1


def plan_attention(
    metadata: AttentionMetadata, shape: AttentionShape, widths: Sequence[int] = TILE_WIDTHS
) -> AttentionPlan:
    """The plan of a step for layers of one shape; `widths` descending."""
    batches = []
    max_elements = MAX_ELEMENTS[metadata.block_tables.device.type]
    for width, tiles in _cut(metadata, shape.window, widths):
        bounded = _bounded(tiles, shape, width, max_elements)
        batches += [_batch(metadata, shape, group, width) for group in bounded]
    return AttentionPlan(tuple(batches), _store_rows(metadata, shape), metadata.query_start_loc[-1])


def _cut(metadata: AttentionMetadata, window: LayerWindow, widths: Sequence[int]) -> Iterator[tuple[int, list[_Tile]]]:
    """Tiles by width: as many of the widest as fit, the rest in one tile that holds it."""
    tiles: dict[int, list[_Tile]] = {width: [] for width in widths}
    for request, (begin, end) in enumerate(itertools.pairwise(metadata.query_start_loc)):
        # The last query row of a request stands at seq_len - 1, which places every other row: position = row + shift.
        shift = metadata.seq_lens[request] - end
        for row in range(begin, end, widths[0]):
            count = min(widths[0], end - row)  # a decode has one row, a chunk of a prompt some hundreds
            width = min(width for width in widths if width >= count)
            # The tile's first row sees furthest back; keys before that no row of it sees.
            first_key = 0 if window is None else window.first(row + shift)
            tiles[width].append(_Tile(request, row, count, row + shift, first_key))
    return ((width, of_width) for width, of_width in tiles.items() if of_width)


def _bounded(tiles: list[_Tile], shape: AttentionShape, width: int, max_elements: int) -> Iterator[list[_Tile]]:
    """Tiles with more items first, in batches of at most `max_elements`, but of one tile at least."""
    per_item = shape.num_kv_heads * max(_padded_rows(width, shape.group), _USUAL_HEAD_DIM) * PARTITION
    batch: list[_Tile] = []
    num_items = 0
    for tile in sorted(tiles, key=lambda tile: -tile.num_items):
        if batch and (num_items + tile.num_items) * per_item > max_elements:
            yield batch
            batch, num_items = [], 0
        batch.append(tile)
        num_items += tile.num_items
    yield batch


def _batch(metadata: AttentionMetadata, shape: AttentionShape, tiles: list[_Tile], width: int) -> TileBatch:
    device = metadata.block_tables.device
    most = tiles[0].num_items
    counts = tuple(sum(tile.num_items > index for tile in tiles) for index in range(most))
    items = [(tile, index) for index in range(most) for tile in range(counts[index])]
    # [W] partitions: a tile's item `index` is the index-th from the one that holds its first visible key.
    starts = torch.tensor([tiles[tile].first_key // PARTITION + index for tile, index in items])
    steps = torch.arange(width)
    is_real = steps < torch.tensor([tile.count for tile in tiles])[:, None]
    offsets = torch.where(is_real, steps, 0)  # [N, S]; what a tile lacks repeats its first token
    positions = torch.tensor([tile.position for tile in tiles])[:, None] + offsets
    item_tiles = torch.tensor([tile for tile, _ in items])
    requests = torch.tensor([tiles[tile].request for tile, _ in items])
    return TileBatch(
        rows=(torch.tensor([tile.row for tile in tiles])[:, None] + offsets).to(device),
        is_real=None if bool(is_real.all()) else is_real.to(device),
        item_tiles=None if most == 1 else item_tiles.to(device),
        cache_rows=_cache_rows(metadata, shape, requests.to(device), starts.to(device)),
        hidden=_hidden(positions[item_tiles], starts, shape).to(device),
        counts=counts,
    )


def _cache_rows(
    metadata: AttentionMetadata, shape: AttentionShape, requests: torch.Tensor, partitions: torch.Tensor
) -> torch.Tensor:
    """Blocks past a table's end read block 0, whose keys are hidden."""
    per_partition = PARTITION // shape.block_size  # blocks of a partition
    tables = F.pad(metadata.block_tables, (0, -metadata.block_tables.shape[1] % per_partition))
    blocks = tables.unflatten(1, (-1, per_partition))[requests, partitions]  # [W, per_partition] block ids
    heads = torch.arange(shape.num_kv_heads, device=blocks.device)
    return (blocks[:, None, :] * shape.num_kv_heads + heads[:, None]).flatten()


def _hidden(positions: torch.Tensor, partitions: torch.Tensor, shape: AttentionShape) -> torch.Tensor:
    """`positions [W, S]` of the query tokens -> `[W, 1, 1 or R, PARTITION]`; one row where all rows are one token's."""
    # A key's position against each token's, [W, S, PARTITION].
    keys = partitions[:, None, None] * PARTITION + torch.arange(PARTITION)
    hidden = keys > positions[:, :, None]
    if shape.window is not None:
        hidden |= ~shape.window.sees(positions[:, :, None], keys)
    if positions.shape[1] > 1:
        # The heads of a group see alike: a row for each, [W, S * group, PARTITION], and rows that pad to R.
        hidden = hidden.repeat_interleave(shape.group, dim=1)
        missing = _padded_rows(positions.shape[1], shape.group) - hidden.shape[1]
        hidden = torch.cat((hidden, hidden[:, :1].expand(-1, missing, -1)), dim=1)
    return hidden[:, None]  # the same for every KV head


def _padded_rows(width: int, group: int) -> int:
    return -(-width * group // ROW_PAD) * ROW_PAD


def _store_rows(metadata: AttentionMetadata, shape: AttentionShape) -> torch.Tensor:
    """Rows of the cache seen as `[num_blocks * kv_heads * block_size, head_dim]`, for each token and head."""
    slots = metadata.slot_mapping[: metadata.query_start_loc[-1]]  # [T], without the padding
    blocks, offsets = slots // shape.block_size, slots % shape.block_size
    heads = torch.arange(shape.num_kv_heads, device=slots.device)
    return ((blocks[:, None] * shape.num_kv_heads + heads) * shape.block_size + offsets[:, None]).flatten()
