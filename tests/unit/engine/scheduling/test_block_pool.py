"""The block pool on its own: counting, order of reuse, and the prefix-cache map."""

from __future__ import annotations

import pytest

from pagoda.engine.scheduling.block_pool import BlockPool, chain_hash, root_hash


def test_every_block_can_be_allocated_once():
    pool = BlockPool(4)
    assert sorted(pool.allocate(4)) == [0, 1, 2, 3]
    assert pool.num_free_blocks == 0
    with pytest.raises(AssertionError, match="1 blocks asked for, 0 free"):
        pool.allocate(1)


def test_a_block_becomes_free_when_its_last_holder_lets_go():
    pool = BlockPool(2)
    [block] = pool.allocate(1)
    pool.acquire([block])
    pool.release([block])
    assert pool.num_free_blocks == 1
    pool.release([block])
    assert pool.num_free_blocks == 2
    pool.check_invariants()


def test_releasing_a_free_block_is_refused():
    with pytest.raises(AssertionError, match="nobody holds it"):
        BlockPool(1).release([0])


def test_a_cached_block_is_found_while_held_and_after_it_was_freed():
    pool = BlockPool(3)
    [block] = pool.allocate(1)
    pool.cache(block, b"content")
    assert pool.lookup(b"content") == block
    pool.release([block])
    assert pool.lookup(b"content") == block
    assert pool.num_free_blocks == 3


def test_a_free_cached_block_is_revived_by_acquiring_it():
    pool = BlockPool(3)
    [block] = pool.allocate(1)
    pool.cache(block, b"content")
    pool.release([block])
    assert pool.count_free([block]) == 1
    pool.acquire([block])
    assert pool.count_free([block]) == 0
    assert block not in pool.allocate(2)
    pool.check_invariants()


def test_a_reallocated_block_is_forgotten_by_the_cache():
    pool = BlockPool(1)
    [block] = pool.allocate(1)
    pool.cache(block, b"content")
    pool.release([block])
    pool.allocate(1)
    assert pool.lookup(b"content") is None
    pool.check_invariants()


def test_the_least_recently_freed_cached_block_is_evicted_first():
    pool = BlockPool(3)
    blocks = pool.allocate(3)
    for block, block_hash in zip(blocks, (b"a", b"b", b"c"), strict=True):
        pool.cache(block, block_hash)
    pool.release([blocks[2], blocks[0], blocks[1]])
    assert pool.allocate(2) == [blocks[2], blocks[0]]
    assert pool.lookup(b"b") == blocks[1]


def test_blocks_that_remember_nothing_are_reused_before_cached_ones():
    pool = BlockPool(2)
    cached, plain = pool.allocate(2)
    pool.cache(cached, b"content")
    pool.release([cached])
    pool.release([plain])
    assert pool.allocate(1) == [plain]
    assert pool.lookup(b"content") == cached


def test_the_first_of_two_blocks_with_equal_content_stays_in_the_cache():
    pool = BlockPool(2)
    first, second = pool.allocate(2)
    pool.cache(first, b"content")
    pool.cache(second, b"content")
    assert pool.lookup(b"content") == first
    pool.release([second])
    assert pool.lookup(b"content") == first
    pool.check_invariants()


def test_a_block_is_writable_only_while_nobody_else_can_read_it():
    pool = BlockPool(2)
    block, cached = pool.allocate(2)
    assert pool.is_writable(block)
    pool.acquire([block])
    assert not pool.is_writable(block)
    pool.cache(cached, b"content")
    assert not pool.is_writable(cached)


def test_a_block_hash_depends_on_tokens_their_order_their_past_and_the_salt():
    root = root_hash()
    hashes = [
        chain_hash(root, [1, 2]),
        chain_hash(root, [2, 1]),
        chain_hash(root, [1, 2, 0]),
        chain_hash(chain_hash(root, [1, 2]), [1, 2]),
        chain_hash(root_hash(""), [1, 2]),
        chain_hash(root_hash("alice"), [1, 2]),
    ]
    assert len(set(hashes)) == len(hashes)
    assert chain_hash(root_hash("alice"), (1, 2)) == hashes[-1]


def test_the_books_are_found_wrong_if_a_held_block_is_also_free():
    pool = BlockPool(2)
    pool._blank += pool.allocate(1)
    with pytest.raises(AssertionError, match="free or not"):
        pool.check_invariants()
