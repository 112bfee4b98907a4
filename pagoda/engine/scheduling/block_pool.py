"""The memory of past tokens as ids: which blocks of the KV cache are free, held, or free but still remembered.

Under `kv_cache_manager` on a token's path; the tensors that the ids index live in `layers/kv_cache`. Blocks of
fixed size and reference counts are those of PagedAttention (Kwon et al. 2023, arXiv 2309.06180, section 4.3); keeping
freed blocks for prompts that open alike follows RadixAttention (Zheng et al. 2023, arXiv 2312.07104, section 3),
with a hash chain in place of the tree: a block is found by the hash of its tokens and of everything before them.

The hash is SHA-256, so two different prefixes never meet in the map: a collision would hand one caller the
context of another, and a 64-bit hash that callers can steer makes that a matter of patience.
Imports no torch.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256


def root_hash(cache_salt: str | None = None) -> bytes:
    """What the chain hangs on: the parent of a sequence's first block. Different salts never share a block.

    >>> root_hash() != root_hash("") != root_hash("alice")
    True
    """
    return sha256(b"none" if cache_salt is None else b"salt" + cache_salt.encode()).digest()


def chain_hash(parent: bytes, token_ids: Sequence[int]) -> bytes:
    """Name of a full block that holds `token_ids` and follows the block (or root) named `parent`.

    >>> chain_hash(root_hash(), [1, 2]) == chain_hash(root_hash(), (1, 2)) != chain_hash(root_hash(), [2, 1])
    True
    """
    return sha256(parent + array("q", token_ids).tobytes()).digest()


class BlockPool:
    """Blocks 0 .. num_blocks-1. Each is either free or held by `ref_count` holders, never both.

    A free block may still be *cached*: its content is intact and `lookup` finds it, until it is allocated anew.
    Free blocks wait in the order in which they will be taken: first those with nothing worth keeping, then the
    cached ones, least recently freed first.
    """

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._ref_counts = [0] * num_blocks
        self._blank = list(range(num_blocks - 1, -1, -1))  # free, with nothing worth keeping; taken from the end
        self._kept: OrderedDict[int, None] = OrderedDict()  # free and cached, least recently freed first
        self._hash_of: list[bytes | None] = [None] * num_blocks
        self._block_of: dict[bytes, int] = {}

    @property
    def num_free_blocks(self) -> int:
        return len(self._blank) + len(self._kept)

    def ref_count(self, block_id: int) -> int:
        return self._ref_counts[block_id]

    def is_writable(self, block_id: int) -> bool:
        """True if nobody but its one holder can ever read the block: not shared, and not in the cache."""
        return self._ref_counts[block_id] == 1 and self._hash_of[block_id] is None

    def allocate(self, num_blocks: int) -> list[int]:
        """Takes free blocks, each with one holder; what they remembered is forgotten.

        The caller has looked at `num_free_blocks` before: asking for more is a broken invariant.
        """
        assert num_blocks <= self.num_free_blocks, f"{num_blocks} blocks asked for, {self.num_free_blocks} free"
        blank = self._blank
        taken = blank[: -num_blocks - 1 : -1]
        del blank[len(blank) - len(taken) :]
        while len(taken) < num_blocks:
            block_id, _ = self._kept.popitem(last=False)
            self._forget(block_id)
            taken.append(block_id)
        for block_id in taken:
            self._ref_counts[block_id] = 1
        return taken

    def _forget(self, block_id: int) -> None:
        block_hash = self._hash_of[block_id]
        if block_hash is not None:
            del self._block_of[block_hash]
            self._hash_of[block_id] = None

    def forget_all(self) -> bool:
        """Forgets what free blocks remember; False, and nothing happens, while any block is held."""
        if self.num_free_blocks < self.num_blocks:
            return False
        for block_id in self._kept:
            self._forget(block_id)
        self._blank[:0] = reversed(self._kept)
        self._kept.clear()
        return True

    def acquire(self, block_ids: Iterable[int]) -> None:
        """Adds a holder to each block; a free cached block is revived."""
        for block_id in block_ids:
            if self._ref_counts[block_id] == 0:
                del self._kept[block_id]
            self._ref_counts[block_id] += 1

    def release(self, block_ids: Iterable[int]) -> None:
        """Takes one holder from each block, in the order in which they should be reused.

        Give a sequence's last block first: the head of a chain serves more prompts than its tail, and
        without its head a tail cannot be found.
        """
        ref_counts, hash_of = self._ref_counts, self._hash_of
        for block_id in block_ids:
            left = ref_counts[block_id] - 1
            assert left >= 0, f"block {block_id} is released, but nobody holds it"
            ref_counts[block_id] = left
            if left:
                continue
            if hash_of[block_id] is None:
                self._blank.append(block_id)
            else:
                self._kept[block_id] = None

    def cache(self, block_id: int, block_hash: bytes) -> None:
        """Lets `lookup` find a full, computed block. If another holds the same content already, that one stays."""
        if block_hash not in self._block_of:
            assert self._hash_of[block_id] is None, f"block {block_id} is cached under another hash"
            self._block_of[block_hash] = block_id
            self._hash_of[block_id] = block_hash

    def lookup(self, block_hash: bytes) -> int | None:
        """The block with this content, held or free, or None."""
        return self._block_of.get(block_hash)

    def count_free(self, block_ids: Iterable[int]) -> int:
        """How many of these blocks `acquire` would take out of the free ones."""
        return sum(self._ref_counts[block_id] == 0 for block_id in block_ids)

    def check_invariants(self) -> None:
        """Raises AssertionError if the books do not balance; for tests, it walks the whole pool."""
        blank = set(self._blank)
        for block_id, ref_count in enumerate(self._ref_counts):
            assert ref_count >= 0, f"block {block_id} has {ref_count} holders"
            block_hash = self._hash_of[block_id]
            is_free = (block_id in blank) if block_hash is None else (block_id in self._kept)
            assert (ref_count == 0) == is_free, f"block {block_id}: {ref_count} holders, free or not?"
            assert block_hash is None or self._block_of.get(block_hash) == block_id, f"block {block_id} is mislaid"
        num_hashed = sum(block_hash is not None for block_hash in self._hash_of)
        assert num_hashed == len(self._block_of), f"{num_hashed} blocks cached, {len(self._block_of)} findable"
        assert self.num_free_blocks <= self.num_blocks, "free blocks that do not exist"
