"""The scheduler on made-up token ids: what each step holds, who waits, who is preempted, who shares blocks."""

from __future__ import annotations

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.plan import RequestUpdate
from pagoda.engine.scheduling.request import FinishReason, RequestStatus
from pagoda.errors import InvalidRequestError

# One case for everything


def test_a_prompt_is_one_step_and_each_new_token_another(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", [5, 6, 7], max_tokens=2)
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.token_ids, entry.num_computed_tokens, entry.samples) == ((5, 6, 7), 0, True)
    assert scheduler.record(output, 9) == [RequestUpdate("a", (SampledToken(9),), None, None)]
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.token_ids, entry.num_computed_tokens, entry.samples) == ((9,), 3, True)
    assert scheduler.record(output, 9) == [RequestUpdate("a", (SampledToken(9),), FinishReason.LENGTH, None)]
    assert scheduler.schedule().finished_request_ids == ("a",)


def test_a_prompt_over_the_budget_is_computed_in_chunks_and_samples_only_at_its_end(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=8)
    request = scheduler.add("a", 20)
    chunks = []
    for _ in range(3):
        output = scheduler.schedule()
        [entry] = output.scheduled
        chunks.append((entry.num_computed_tokens, len(entry.token_ids), entry.samples))
        assert bool(scheduler.record(output)) == entry.samples
    assert chunks == [(0, 8, False), (8, 8, False), (16, 4, True)]
    assert request.output_token_ids == [7]


def test_running_requests_come_first_and_waiting_ones_fill_the_budget(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=10)
    scheduler.add("a", 4)
    scheduler.add("b", 12)
    assert scheduler.step() == {"a": 4, "b": 6}
    scheduler.add("c", 5)
    assert scheduler.step() == {"a": 1, "b": 6, "c": 3}


def test_no_more_than_max_num_seqs_run_at_once(make_scheduler):
    scheduler = make_scheduler(max_num_seqs=2)
    for name in "abc":
        scheduler.add(name, 2, max_tokens=2)
    assert scheduler.step() == {"a": 2, "b": 2}
    assert (scheduler.num_running, scheduler.num_waiting) == (2, 1)
    assert scheduler.step() == {"a": 1, "b": 1}
    assert scheduler.step() == {"c": 2}


def test_a_long_prompt_is_capped_so_that_others_join_beside_it(make_scheduler):
    scheduler = make_scheduler(long_prefill_token_threshold=6, max_num_batched_tokens=10)
    scheduler.add("a", 30)
    scheduler.add("b", 3)
    assert scheduler.step() == {"a": 6, "b": 3}
    assert scheduler.step() == {"a": 6, "b": 1}


def test_an_urgent_long_prompt_leaves_a_token_to_every_decode(make_scheduler):
    scheduler = make_scheduler(policy="priority", max_num_batched_tokens=10)
    for name in "abc":
        scheduler.add(name, 2, priority=5)
    scheduler.step()
    scheduler.add("urgent", 40, priority=0)
    assert scheduler.step() == {"a": 1, "b": 1, "c": 1, "urgent": 7}
    assert scheduler.step() == {"urgent": 7, "a": 1, "b": 1, "c": 1}


def test_without_chunked_prefill_a_prompt_is_scheduled_whole_or_not_at_all(make_scheduler):
    scheduler = make_scheduler(enable_chunked_prefill=False, max_model_len=30, max_num_batched_tokens=30)
    scheduler.add("a", 20, max_tokens=2)
    scheduler.add("b", 11)
    scheduler.add("c", 2)
    assert scheduler.step() == {"a": 20}
    assert scheduler.step() == {"a": 1, "b": 11, "c": 2}


def test_a_request_without_room_holds_back_those_behind_it(make_scheduler):
    scheduler = make_scheduler(num_blocks=4)
    scheduler.add("a", 8, max_tokens=5)
    scheduler.add("b", 12, max_tokens=1)
    scheduler.add("c", 2, max_tokens=1)
    assert scheduler.step() == {"a": 8}
    scheduler.run_to_end()


def test_an_admission_beside_others_leaves_the_watermark_free(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, watermark=0.5)
    scheduler.add("a", 4, max_tokens=2)
    scheduler.add("b", 8, max_tokens=2)
    assert scheduler.step() == {"a": 4}
    assert scheduler.step() == {"a": 1}
    assert scheduler.step() == {"b": 8}


def test_a_request_that_is_alone_may_take_the_last_block(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, watermark=0.5)
    scheduler.add("a", 16, max_tokens=1)
    assert scheduler.step() == {"a": 16}


def test_a_step_without_requests_is_empty(make_scheduler):
    output = make_scheduler().schedule()
    assert output.scheduled == ()
    assert output.total_num_scheduled_tokens == 0


def test_steps_are_numbered_and_must_be_recorded_before_the_next(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", 2)
    first = scheduler.schedule()
    with pytest.raises(AssertionError, match="before the last one is updated"):
        scheduler.schedule()
    scheduler.record(first)
    second = scheduler.schedule()
    assert second.step == first.step + 1
    with pytest.raises(AssertionError, match="step 0 is updated, but step 1 is due"):
        scheduler.record(first)


# Policies


def test_fcfs_serves_in_order_of_arrival_whatever_the_priority(make_scheduler):
    scheduler = make_scheduler(max_num_seqs=1)
    scheduler.add("a", 2, priority=9, max_tokens=1)
    scheduler.add("b", 2, priority=0, max_tokens=1)
    assert [*scheduler.step(), *scheduler.step()] == ["a", "b"]


def test_priority_serves_the_smaller_number_first_and_then_the_earlier(make_scheduler):
    scheduler = make_scheduler(max_num_seqs=1, policy="priority")
    scheduler.add("a", 2, priority=1, max_tokens=1, arrival_time=2.0)
    scheduler.add("b", 2, priority=0, max_tokens=1, arrival_time=3.0)
    scheduler.add("c", 2, priority=1, max_tokens=1, arrival_time=1.0)
    assert [*scheduler.step(), *scheduler.step(), *scheduler.step()] == ["b", "c", "a"]


# Preemption


def test_the_latest_is_preempted_keeps_its_outputs_and_recomputes_them(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, caching=False)
    first, second = scheduler.add("a", 7, max_tokens=6), scheduler.add("b", 7, max_tokens=6)
    scheduler.step()
    scheduler.step()
    output = scheduler.schedule()
    assert output.preempted_request_ids == ("b",)
    assert output.num_scheduled_tokens == {"a": 1}
    assert (second.status, second.num_computed_tokens, second.num_preemptions) == (RequestStatus.PREEMPTED, 0, 1)
    assert second.output_token_ids == [7, 7]
    scheduler.record(output)
    while not first.is_finished:
        scheduler.step()
    [entry] = (output := scheduler.schedule()).scheduled
    assert entry.token_ids == (*second.prompt_token_ids, 7, 7)
    scheduler.record(output)
    scheduler.run_to_end()
    assert second.output_token_ids == [7] * 6
    assert scheduler.stats.num_preemptions == 1
    assert scheduler.kv_cache_usage == 0


def test_a_preempted_request_is_served_before_those_that_never_ran(make_scheduler):
    scheduler = make_scheduler(num_blocks=4)
    scheduler.add("a", 7, max_tokens=6)
    scheduler.add("b", 7, max_tokens=6)
    scheduler.step()
    scheduler.add("c", 1, max_tokens=1)
    order: list[str] = []
    while scheduler.has_unfinished_requests():
        order += [request_id for request_id in scheduler.step() if request_id not in order[-2:]]
    assert order == ["a", "b", "c"]


def test_the_least_urgent_is_preempted_though_it_came_first(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, policy="priority")
    late = scheduler.add("a", 7, priority=1)
    scheduler.step()
    scheduler.add("b", 7, priority=0)
    preempted: list[str] = []
    while not preempted:
        output = scheduler.schedule()
        scheduler.record(output)
        preempted += output.preempted_request_ids
    assert preempted == ["a"]
    assert late.status is RequestStatus.PREEMPTED


def test_the_first_request_finishes_in_a_pool_that_holds_just_it(make_scheduler):
    scheduler = make_scheduler(num_blocks=5)
    requests = [scheduler.add(name, 4, max_tokens=17) for name in "abcd"]
    scheduler.run_to_end()
    assert all(len(request.output_token_ids) == 17 for request in requests)
    assert scheduler.stats.num_preemptions > 0


def test_a_return_from_preemption_finds_its_own_cached_blocks(make_scheduler):
    scheduler = make_scheduler(num_blocks=5)
    scheduler.add("a", 7, max_tokens=8)
    second = scheduler.add("b", 7, max_tokens=8)
    scheduler.run_to_end()
    assert second.num_preemptions == 1
    assert second.num_cached_tokens == 0, "counted at the first admission only"
    assert scheduler.stats.prefix_cache_queries == 14


# Prefix cache


def test_a_prefix_hit_is_not_computed_again(make_scheduler):
    scheduler = make_scheduler()
    prompt = list(range(10))
    scheduler.add("a", prompt, max_tokens=1)
    scheduler.step()
    second = scheduler.add("b", prompt, max_tokens=1)
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.num_computed_tokens, entry.token_ids) == (8, (8, 9))
    scheduler.record(output)
    assert second.num_cached_tokens == 8
    assert scheduler.stats.prefix_cache_hits == 8


def test_a_request_that_needs_all_logits_computes_its_whole_prompt(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", list(range(10)), max_tokens=5)
    scheduler.step()
    scheduler.add("b", list(range(10)), read_prefix_cache=False)
    scheduler.add("c", list(range(10)), read_prefix_cache=False, fork_of="a")
    assert scheduler.step() == {"a": 1, "b": 10, "c": 10}


# Forks, for n > 1


def test_forks_wait_for_the_prompt_and_then_compute_one_token(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=8)
    prompt = list(range(10))
    scheduler.add("a", prompt)
    scheduler.add("b", prompt, fork_of="a")
    scheduler.add("c", prompt, fork_of="a")
    scheduler.add("other", 3)
    assert scheduler.step() == {"a": 8}
    assert scheduler.step() == {"a": 2, "other": 3}, "forks do not block others"
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {"a": 1, "other": 1, "b": 1, "c": 1}
    entries = {entry.request_id: entry for entry in output.scheduled}
    assert entries["b"].token_ids == (9,)
    assert entries["b"].block_ids[:2] == entries["a"].block_ids[:2]
    last = {name: entries[name].block_ids[2] for name in "abc"}
    assert len(set(last.values())) == 3
    assert output.blocks_to_copy == ((last["a"], last["b"]), (last["a"], last["c"]))


def test_a_fork_of_a_full_cached_last_block_writes_into_a_copy(make_scheduler):
    scheduler = make_scheduler()
    prompt = list(range(8))
    scheduler.add("a", prompt)
    scheduler.step()
    scheduler.add("b", prompt, fork_of="a")
    output = scheduler.schedule()
    first, fork = output.scheduled
    assert fork.num_computed_tokens == 7
    assert fork.block_ids[0] == first.block_ids[0]
    assert output.blocks_to_copy == ((first.block_ids[1], fork.block_ids[1]),)


def test_a_fork_that_returns_from_preemption_shares_the_prompt_again(make_scheduler):
    scheduler = make_scheduler(num_blocks=6, caching=False)
    prompt = list(range(10))
    scheduler.add("a", prompt, max_tokens=7)
    scheduler.add("c", 1, max_tokens=6)
    fork = scheduler.add("b", prompt, max_tokens=4, fork_of="a")
    plans = [scheduler.step() for _ in range(7)]
    assert fork.num_preemptions == 1
    assert [plan.get("b") for plan in plans] == [None, 1, 1, 1, None, None, 4], "4 of its 13 tokens are recomputed"
    assert fork.output_token_ids == [7] * 4


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_a_fork_whose_sibling_is_gone_runs_like_any_other(make_scheduler, end):
    scheduler = make_scheduler(caching=False)
    prompt = list(range(10))
    scheduler.add("a", prompt, max_tokens=1)
    if end == "finish":
        scheduler.step()
    else:
        scheduler.abort("a")
    scheduler.add("b", prompt, fork_of="a")
    assert scheduler.step() == {"b": 10}


def test_a_fork_does_not_wait_for_a_newcomer_that_took_over_the_id_of_its_sibling(make_scheduler):
    scheduler = make_scheduler(max_num_seqs=2, policy="priority")
    scheduler.add("b", 10, fork_of="a")
    scheduler.add("a", 10, priority=-1)
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {"a": 10, "b": 10}
    assert output.blocks_to_copy == ()


@pytest.mark.parametrize("fields", [{"prompt": [1, 2, 4]}, {"prompt": [1, 2, 3], "cache_salt": "bob"}])
def test_a_fork_with_another_prompt_or_salt_is_refused(make_scheduler, fields):
    scheduler = make_scheduler()
    scheduler.add("a", [1, 2, 3])
    with pytest.raises(InvalidRequestError, match="fork only for another answer to the same prompt"):
        scheduler.add("b", fork_of="a", **fields)
