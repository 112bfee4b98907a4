"""Block tables over a small pool: room, sharing, copies before writes, prefix hits."""

from __future__ import annotations

import pytest

from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.scheduling.kv_cache_manager import NOTHING_COMPUTED, KVCacheManager
from pagoda.engine.scheduling.request import Request
from pagoda.sampling_params import SamplingParams


def make_manager(num_blocks: int = 8, block_size: int = 4, enable_prefix_caching: bool = True) -> KVCacheManager:
    return KVCacheManager(
        CacheConfig(num_blocks=num_blocks, block_size=block_size, enable_prefix_caching=enable_prefix_caching)
    )


def make_request(request_id: str, prompt: list[int], **fields) -> Request:
    return Request(
        request_id=request_id, prompt_token_ids=prompt, sampling_params=SamplingParams(), max_tokens=16, **fields
    )


def compute(manager: KVCacheManager, request: Request, num_computed_tokens: int) -> None:
    """What a step does to a request that has its blocks."""
    before, request.num_computed_tokens = request.num_computed_tokens, num_computed_tokens
    manager.cache_blocks(request, before)


def admit_and_compute(manager: KVCacheManager, request: Request) -> None:
    prefix = manager.get_computed_blocks(request)
    assert manager.admit(request, prefix)
    request.num_computed_tokens = prefix.num_tokens
    compute(manager, request, request.num_tokens)


def test_admission_takes_room_for_every_known_token():
    manager = make_manager()
    request = make_request("a", list(range(9)))
    assert manager.admit(request, NOTHING_COMPUTED)
    assert len(manager.block_ids(request)) == 3
    assert manager.usage == pytest.approx(3 / 8)


def test_admission_without_room_changes_nothing():
    manager = make_manager(num_blocks=2)
    request = make_request("a", list(range(9)))
    assert not manager.admit(request, NOTHING_COMPUTED)
    assert manager.pool.num_free_blocks == 2
    manager.check_invariants()


def test_admission_leaves_the_spare_blocks_free():
    manager = make_manager(num_blocks=3)
    assert not manager.admit(make_request("a", list(range(8))), NOTHING_COMPUTED, num_spare_blocks=2)
    assert manager.admit(make_request("b", list(range(8))), NOTHING_COMPUTED, num_spare_blocks=1)


def test_a_decode_takes_a_block_only_at_a_border():
    manager = make_manager()
    request = make_request("a", [1, 2, 3])
    admit_and_compute(manager, request)
    request.output_token_ids.append(4)
    assert manager.allocate(request)
    assert len(manager.block_ids(request)) == 1
    compute(manager, request, 4)
    request.output_token_ids.append(5)
    assert manager.allocate(request)
    assert len(manager.block_ids(request)) == 2


def test_a_table_is_frozen_anew_only_when_it_changes():
    manager = make_manager()
    request = make_request("a", [1, 2, 3])
    admit_and_compute(manager, request)
    before = manager.block_ids(request)
    assert manager.block_ids(request) is before
    request.output_token_ids += [4, 5]
    assert manager.allocate(request)
    assert manager.block_ids(request)[:1] == before
    assert len(manager.block_ids(request)) == 2


def test_a_prompt_that_opens_like_an_earlier_one_finds_its_full_blocks():
    manager = make_manager()
    first = make_request("a", [1, 2, 3, 4, 5, 6, 7, 8, 9])
    admit_and_compute(manager, first)
    second = make_request("b", [1, 2, 3, 4, 5, 6, 7, 8, 10, 11])
    assert manager.get_computed_blocks(second) == (manager.block_ids(first)[:2], 8)


def test_cached_blocks_are_found_after_their_request_has_ended():
    manager = make_manager()
    first = make_request("a", [1, 2, 3, 4, 5])
    admit_and_compute(manager, first)
    blocks = manager.block_ids(first)
    manager.free(first)
    assert manager.usage == 0
    second = make_request("b", [1, 2, 3, 4, 6])
    admit_and_compute(manager, second)
    assert manager.block_ids(second)[0] == blocks[0]
    manager.check_invariants()


def test_outputs_are_cached_like_prompts():
    manager = make_manager()
    first = make_request("a", [1, 2, 3])
    admit_and_compute(manager, first)
    first.output_token_ids += [4, 5]
    assert manager.allocate(first)
    compute(manager, first, 4)
    assert manager.get_computed_blocks(make_request("b", [1, 2, 3, 4, 9])).num_tokens == 4


def test_a_hit_on_the_whole_prompt_drops_its_last_block():
    manager = make_manager()
    admit_and_compute(manager, make_request("a", list(range(8))))
    assert manager.get_computed_blocks(make_request("b", list(range(8)))).num_tokens == 4


def test_a_partly_filled_block_is_never_found():
    manager = make_manager()
    admit_and_compute(manager, make_request("a", [1, 2, 3]))
    assert manager.get_computed_blocks(make_request("b", [1, 2, 3, 4, 5])) == NOTHING_COMPUTED


def test_blocks_are_not_found_before_they_are_computed():
    manager = make_manager()
    assert manager.admit(make_request("a", list(range(8))), NOTHING_COMPUTED)
    assert manager.get_computed_blocks(make_request("b", list(range(9)))) == NOTHING_COMPUTED


def test_requests_of_different_salt_share_nothing():
    manager = make_manager()
    admit_and_compute(manager, make_request("a", list(range(9)), cache_salt="alice"))
    assert manager.get_computed_blocks(make_request("b", list(range(9)), cache_salt="bob")) == NOTHING_COMPUTED
    assert manager.get_computed_blocks(make_request("c", list(range(9)))) == NOTHING_COMPUTED
    assert manager.get_computed_blocks(make_request("d", list(range(9)), cache_salt="alice")).num_tokens == 8


@pytest.mark.parametrize("enable_prefix_caching", [True, False])
def test_the_cache_is_not_read_when_the_operator_or_the_request_says_so(enable_prefix_caching):
    manager = make_manager(enable_prefix_caching=enable_prefix_caching)
    admit_and_compute(manager, make_request("a", list(range(9))))
    reader = make_request("b", list(range(9)), read_prefix_cache=not enable_prefix_caching)
    assert manager.get_computed_blocks(reader) == NOTHING_COMPUTED


def test_the_tail_of_a_chain_is_evicted_before_its_head():
    manager = make_manager(num_blocks=3)
    first = make_request("a", list(range(12)))
    admit_and_compute(manager, first)
    manager.free(first)
    assert manager.admit(make_request("b", [50, 51]), NOTHING_COMPUTED)
    assert manager.get_computed_blocks(make_request("c", list(range(13)))).num_tokens == 8


def test_a_revived_prefix_counts_against_the_free_blocks():
    manager = make_manager(num_blocks=4)
    first = make_request("a", list(range(9)))
    admit_and_compute(manager, first)
    manager.free(first)
    assert manager.admit(make_request("b", [70]), NOTHING_COMPUTED)
    longer = make_request("c", list(range(13)))
    prefix = manager.get_computed_blocks(longer)
    assert prefix.num_tokens == 8
    assert not manager.admit(longer, prefix)
    manager.check_invariants()


@pytest.mark.parametrize(
    ("prompt_len", "num_shared", "num_copies"),
    [(7, 1, 1), (8, 1, 1), (9, 2, 0), (6, 1, 1), (1, 0, 0)],
    ids=["partial", "full", "last token alone", "two in the block", "one token"],
)
def test_a_fork_shares_the_prompt_and_copies_only_the_block_it_writes(prompt_len, num_shared, num_copies):
    manager = make_manager()
    prompt = list(range(prompt_len))
    parent, child = make_request("a", prompt), make_request("b", prompt)
    admit_and_compute(manager, parent)
    prefix = manager.fork(parent)
    assert prefix.num_tokens == prompt_len - 1
    assert manager.admit(child, prefix)
    ours, theirs = manager.block_ids(child), manager.block_ids(parent)
    assert ours[:num_shared] == theirs[:num_shared]
    assert not set(ours[num_shared:]) & set(theirs)
    expected = ((theirs[num_shared], ours[num_shared]),) if num_copies else ()
    assert manager.take_copies() == expected
    assert manager.take_copies() == ()
    manager.check_invariants()


def test_a_write_into_a_shared_block_goes_into_a_copy():
    manager = make_manager()
    parent = make_request("a", [1, 2])
    admit_and_compute(manager, parent)
    [shared] = manager.block_ids(parent)
    manager.pool.acquire([shared])
    parent.output_token_ids.append(3)
    assert manager.allocate(parent)
    [own] = manager.block_ids(parent)
    assert own != shared
    assert manager.take_copies() == ((shared, own),)
    assert manager.pool.ref_count(shared) == 1


def test_a_copy_without_a_free_block_is_refused_and_changes_nothing():
    manager = make_manager(num_blocks=1)
    parent = make_request("a", [1, 2])
    admit_and_compute(manager, parent)
    manager.pool.acquire([0])
    parent.output_token_ids.append(3)
    assert not manager.allocate(parent)
    assert manager.block_ids(parent) == (0,)
    assert manager.take_copies() == ()


def test_a_fork_of_a_fork_in_one_step_copies_from_the_first_source():
    manager = make_manager()
    prompt = [1, 2, 3]
    parent, child, grandchild = (make_request(name, prompt) for name in "abc")
    admit_and_compute(manager, parent)
    assert manager.admit(child, manager.fork(parent))
    child.num_computed_tokens = 2
    assert manager.admit(grandchild, manager.fork(child))
    [source] = manager.block_ids(parent)
    assert manager.take_copies() == (
        (source, manager.block_ids(child)[0]),
        (source, manager.block_ids(grandchild)[0]),
    )


def test_a_copy_for_a_request_that_is_gone_is_dropped():
    manager = make_manager()
    parent, child = make_request("a", [1, 2, 3]), make_request("b", [1, 2, 3])
    admit_and_compute(manager, parent)
    assert manager.admit(child, manager.fork(parent))
    manager.free(child)
    assert manager.take_copies() == ()


def test_hits_are_counted_in_tokens_once_per_admission():
    manager = make_manager()
    admit_and_compute(manager, make_request("a", list(range(9))))
    admit_and_compute(manager, make_request("b", list(range(9))))
    assert (manager.num_queried_tokens, manager.num_hit_tokens) == (18, 8)


def test_freeing_a_request_that_holds_nothing_does_nothing():
    manager = make_manager()
    manager.free(make_request("a", [1]))
    assert manager.pool.num_free_blocks == 8
