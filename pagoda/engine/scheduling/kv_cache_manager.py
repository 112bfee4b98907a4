"""Who holds which block: a block table per running request, sharing between them, and copies before writes.

Between `scheduler`, which asks for room, and `block_pool`, which counts. After PagedAttention (Kwon et al. 2023,
arXiv 2309.06180): block tables in section 4.2, copy on write in section 4.4.

Invariant that everything here serves: a request writes only at positions from `num_computed_tokens` on, and
only into blocks that it alone holds and that the prefix cache does not know. So what others read never changes.
Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from pagoda.engine.scheduling.block_pool import BlockPool, chain_hash, root_hash
from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.scheduling.request import Request


class ComputedPrefix(NamedTuple):
    """Blocks that already hold the first `num_tokens` tokens of a request; the last may hold more than those."""

    block_ids: tuple[int, ...]
    num_tokens: int


NOTHING_COMPUTED = ComputedPrefix((), 0)


class BlockTable:
    """The blocks of one request in order of position, and the same as a tuple that is rebuilt only on change."""

    __slots__ = ("_frozen", "block_ids")

    def __init__(self, block_ids: tuple[int, ...]) -> None:
        self.block_ids = list(block_ids)
        """To be read; changed by the methods alone."""
        self._frozen: tuple[int, ...] | None = block_ids

    def extend(self, block_ids: list[int]) -> None:
        self.block_ids += block_ids
        self._frozen = None

    def cut(self, num_kept: int) -> list[int]:
        """Keeps the first ones; the others."""
        self.block_ids, others = self.block_ids[:num_kept], self.block_ids[num_kept:]
        self._frozen = None
        return others

    def replace(self, index: int, block_id: int) -> None:
        self.block_ids[index] = block_id
        self._frozen = None

    def freeze(self) -> tuple[int, ...]:
        if self._frozen is None:
            self._frozen = tuple(self.block_ids)
        return self._frozen


class KVCacheManager:
    """Block tables of the running requests over one pool. Tokens are counted, never read from the cache.

    `num_queried_tokens` and `num_hit_tokens` count the tokens of requests that were admitted and may read the prefix
    cache, and those of them that were there; a return from preemption is not counted again.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.pool = BlockPool(config.num_blocks)
        self.num_queried_tokens = 0
        self.num_hit_tokens = 0
        self._block_size = config.block_size
        self._tables: dict[str, BlockTable] = {}
        self._copies: dict[int, int] = {}  # destination -> source, since the last take_copies()

    @property
    def usage(self) -> float:
        """Share of the pool that requests hold, in [0, 1]; cached blocks that nobody holds count as free."""
        return 1.0 - self.pool.num_free_blocks / self.pool.num_blocks

    def num_blocks_for(self, num_tokens: int) -> int:
        """Blocks that hold so many tokens of one sequence."""
        return -(-num_tokens // self._block_size)

    def block_ids(self, request: Request) -> tuple[int, ...]:
        """The whole block table of a running request."""
        return self._tables[request.request_id].freeze()

    def num_blocks_held(self, request: Request) -> int:
        """Of a running request: the length of its block table."""
        return len(self._tables[request.request_id].block_ids)

    def get_computed_blocks(self, request: Request) -> ComputedPrefix:
        """The longest run of cached full blocks that the request opens with; changes nothing.

        At least one known token is left to compute, since the next one is sampled from its logits: a hit on the whole
        sequence gives up its last block rather than write into it.
        """
        if not (self.config.enable_prefix_caching and request.read_prefix_cache):
            return NOTHING_COMPUTED
        block_ids: list[int] = []
        for index in range((request.num_tokens - 1) // self._block_size):
            block_id = self.pool.lookup(self._block_hash(request, index))
            if block_id is None:
                break
            block_ids.append(block_id)
        return ComputedPrefix(tuple(block_ids), len(block_ids) * self._block_size)

    def _block_hash(self, request: Request, index: int) -> bytes:
        hashes = request.block_hashes
        while len(hashes) <= index:
            start = len(hashes) * self._block_size
            parent = hashes[-1] if hashes else root_hash(request.cache_salt)
            hashes.append(chain_hash(parent, request.tokens_between(start, start + self._block_size)))
        return hashes[index]

    def fork(self, sibling: Request) -> ComputedPrefix:
        """What a request with the prompt of `sibling` can share of its blocks: all of the prompt but its last token.

        The last token is computed again for its logits. The block it falls into may be partly filled, or full and
        cached, and in either case `admit` gives the newcomer a copy. Needs `sibling.num_computed_tokens` to have got
        that far.
        """
        num_tokens = sibling.num_prompt_tokens - 1
        assert sibling.num_computed_tokens >= num_tokens, f"{sibling.request_id} is forked before it is computed"
        return ComputedPrefix(self.block_ids(sibling)[: self.num_blocks_for(num_tokens)], num_tokens)

    def admit(self, request: Request, prefix: ComputedPrefix, num_spare_blocks: int = 0) -> bool:
        """Opens a block table with room for every known token, sharing the blocks of `prefix`; all or nothing.

        Room is taken for the whole prompt even if it will be computed in chunks, so a prompt half computed is
        never thrown out for want of its other half. False, and nothing changed, if fewer than `num_spare_blocks`
        would stay free.
        """
        num_needed = self.num_blocks_for(request.num_tokens) - len(prefix.block_ids)
        num_needed += prefix.num_tokens % self._block_size > 0  # the copy of a block shared in part
        num_needed += self.pool.count_free(prefix.block_ids)
        if num_needed + num_spare_blocks > self.pool.num_free_blocks:
            return False
        self.pool.acquire(prefix.block_ids)
        self._tables[request.request_id] = BlockTable(prefix.block_ids)
        has_room = self._make_writable(request, prefix.num_tokens)
        assert has_room, f"{request.request_id} was promised blocks that are not there"
        self._count_hits(request, prefix)
        return True

    def _count_hits(self, request: Request, prefix: ComputedPrefix) -> None:
        reads = self.config.enable_prefix_caching and request.read_prefix_cache
        if reads and request.num_preemptions == 0:
            self.num_queried_tokens += request.num_tokens
            self.num_hit_tokens += prefix.num_tokens

    def allocate(self, request: Request) -> bool:
        """Makes every known but not yet computed token of a running request writable; all or nothing."""
        return self._make_writable(request, request.num_computed_tokens)

    def reserve(self, request: Request, num_tokens: int) -> int:
        """Makes room behind the known tokens of a running request, out of free blocks; how many tokens get some."""
        table, num_known = self._tables[request.request_id], request.num_tokens
        num_held = len(table.block_ids)
        num_missing = min(-(-(num_known + num_tokens) // self._block_size) - num_held, self.pool.num_free_blocks)
        if num_missing > 0:
            table.extend(self.pool.allocate(num_missing))
            num_held += num_missing
        return min(num_tokens, num_held * self._block_size - num_known)

    def give_back(self, request: Request) -> None:
        """Frees what was reserved and not used: the blocks behind the known tokens."""
        table = self._tables[request.request_id]
        num_kept = self.num_blocks_for(request.num_tokens)
        if num_kept < len(table.block_ids):
            self.pool.release(reversed(table.cut(num_kept)))

    def _make_writable(self, request: Request, start: int) -> bool:
        # Asked for every request in every step, and mostly there is nothing to do: so no calls on the way there.
        table = self._tables[request.request_id]
        num_held = len(table.block_ids)
        num_new = -(-request.num_tokens // self._block_size) - num_held
        # Only computed positions are ever shared, so only the block in which writing starts can be.
        first = start // self._block_size
        must_copy = first < num_held and not self.pool.is_writable(table.block_ids[first])
        if num_new <= 0 and not must_copy:
            return True
        if num_new + must_copy > self.pool.num_free_blocks:
            return False
        if must_copy:
            self._copy_block(table, first)
        if num_new:
            table.extend(self.pool.allocate(num_new))
        return True

    def _copy_block(self, table: BlockTable, index: int) -> None:
        source = table.block_ids[index]
        [destination] = self.pool.allocate(1)
        # A source that is itself filled by a copy of this step stands for that copy's source: no copy then
        # depends on another.
        self._copies[destination] = self._copies.get(source, source)
        table.replace(index, destination)
        self.pool.release([source])

    def take_copies(self) -> tuple[tuple[int, int], ...]:
        """(source, destination) blocks to copy before the step writes anything; the list starts anew.

        No destination occurs twice. Applied in this order, or all sources read before any destination is written,
        the result is the same.
        """
        copies = tuple((source, destination) for destination, source in self._copies.items())
        self._copies.clear()
        return copies

    def cache_blocks(self, request: Request, num_computed_before: int) -> None:
        """Lets the prefix cache find the blocks that have become full since `num_computed_before` tokens."""
        if not self.config.enable_prefix_caching:
            return
        table = self._tables[request.request_id]
        for index in range(num_computed_before // self._block_size, request.num_computed_tokens // self._block_size):
            self.pool.cache(table.block_ids[index], self._block_hash(request, index))

    def free(self, request: Request) -> None:
        """Closes the block table of a request, if it has one; what is cached stays findable while it lies free."""
        table = self._tables.pop(request.request_id, None)
        if table is None:
            return
        block_ids = table.freeze()
        self.pool.release(reversed(block_ids))
        if self._copies:
            self._drop_copies_into_free_blocks(block_ids)

    def _drop_copies_into_free_blocks(self, block_ids: tuple[int, ...]) -> None:
        for block_id in block_ids:
            if self.pool.ref_count(block_id) == 0:
                self._copies.pop(block_id, None)

    def check_invariants(self) -> None:
        """Raises AssertionError if tables and pool disagree; for tests, it walks everything."""
        self.pool.check_invariants()
        holders: Counter[int] = Counter()
        for request_id, table in self._tables.items():
            block_ids = table.freeze()
            assert len(set(block_ids)) == len(block_ids), f"{request_id} holds a block twice: {block_ids}"
            holders.update(block_ids)
        for block_id in range(self.pool.num_blocks):
            ref_count = self.pool.ref_count(block_id)
            assert ref_count == holders[block_id], f"block {block_id}: {ref_count} counted, {holders[block_id]} hold it"
