"""The scheduler on made-up token ids: what each step holds, who waits, who is preempted, how a request ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pagoda.engine.config import CacheConfig, SchedulerConfig
from pagoda.engine.request import FinishReason, Request, RequestStatus
from pagoda.engine.scheduler import RequestUpdate, Scheduler, SchedulerOutput
from pagoda.errors import ConfigError, InvalidRequestError, PromptTooLongError
from pagoda.sampling_params import SamplingParams


def make_scheduler(*, num_blocks: int = 64, block_size: int = 4, caching: bool = True, watermark=0.0, **fields):
    settings = {"max_model_len": 100, "max_num_seqs": 8, "max_num_batched_tokens": 32} | fields
    cache = CacheConfig(
        num_blocks=num_blocks, block_size=block_size, enable_prefix_caching=caching, watermark=watermark
    )
    return Scheduler(SchedulerConfig(**settings), cache)


def add(scheduler: Scheduler, request_id: str, prompt: int | list[int], max_tokens: int = 10, **fields) -> Request:
    """Adds a request; an int stands for a prompt of that length which nobody else has."""
    if isinstance(prompt, int):
        first = 1000 * (1 + ord(request_id[0]))
        prompt = list(range(first, first + prompt))
    fields = {"sampling_params": SamplingParams()} | fields
    request = Request(request_id=request_id, prompt_token_ids=prompt, max_tokens=max_tokens, **fields)
    scheduler.add_request(request)
    return request


def update(scheduler: Scheduler, output: SchedulerOutput, token_id: int = 7) -> list[RequestUpdate]:
    return scheduler.update(output, {entry.request_id: token_id for entry in output.scheduled if entry.samples})


def step(scheduler: Scheduler, token_id: int = 7) -> dict[str, int]:
    """Plans and records one step; returns request id -> tokens."""
    output = scheduler.schedule()
    update(scheduler, output, token_id)
    return output.num_scheduled_tokens


def run_to_end(scheduler: Scheduler, max_steps: int = 500) -> None:
    for _ in range(max_steps):
        if not scheduler.has_unfinished_requests():
            return
        assert step(scheduler)
    raise AssertionError("requests did not end")


# One case for everything


def test_a_prompt_is_one_step_and_each_new_token_another():
    scheduler = make_scheduler()
    add(scheduler, "a", [5, 6, 7], max_tokens=2)
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.token_ids, entry.num_computed_tokens, entry.samples) == ((5, 6, 7), 0, True)
    assert update(scheduler, output, 9) == [RequestUpdate("a", 9, None, None)]
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.token_ids, entry.num_computed_tokens, entry.samples) == ((9,), 3, True)
    assert update(scheduler, output, 9) == [RequestUpdate("a", 9, FinishReason.LENGTH, None)]
    assert scheduler.schedule().finished_request_ids == ("a",)


def test_a_prompt_over_the_budget_is_computed_in_chunks_and_samples_only_at_its_end():
    scheduler = make_scheduler(max_num_batched_tokens=8)
    request = add(scheduler, "a", 20)
    chunks = []
    for _ in range(3):
        output = scheduler.schedule()
        [entry] = output.scheduled
        chunks.append((entry.num_computed_tokens, len(entry.token_ids), entry.samples))
        assert bool(update(scheduler, output)) == entry.samples
    assert chunks == [(0, 8, False), (8, 8, False), (16, 4, True)]
    assert request.output_token_ids == [7]


def test_running_requests_come_first_and_waiting_ones_fill_the_budget():
    scheduler = make_scheduler(max_num_batched_tokens=10)
    add(scheduler, "a", 4)
    add(scheduler, "b", 12)
    assert step(scheduler) == {"a": 4, "b": 6}
    add(scheduler, "c", 5)
    assert step(scheduler) == {"a": 1, "b": 6, "c": 3}


def test_no_more_than_max_num_seqs_run_at_once():
    scheduler = make_scheduler(max_num_seqs=2)
    for name in "abc":
        add(scheduler, name, 2, max_tokens=2)
    assert step(scheduler) == {"a": 2, "b": 2}
    assert (scheduler.num_running, scheduler.num_waiting) == (2, 1)
    assert step(scheduler) == {"a": 1, "b": 1}
    assert step(scheduler) == {"c": 2}


def test_a_long_prompt_is_capped_so_that_others_join_beside_it():
    scheduler = make_scheduler(long_prefill_token_threshold=6, max_num_batched_tokens=10)
    add(scheduler, "a", 30)
    add(scheduler, "b", 3)
    assert step(scheduler) == {"a": 6, "b": 3}
    assert step(scheduler) == {"a": 6, "b": 1}


def test_an_urgent_long_prompt_leaves_a_token_to_every_decode():
    scheduler = make_scheduler(policy="priority", max_num_batched_tokens=10)
    for name in "abc":
        add(scheduler, name, 2, priority=5)
    step(scheduler)
    add(scheduler, "urgent", 40, priority=0)
    assert step(scheduler) == {"a": 1, "b": 1, "c": 1, "urgent": 7}
    assert step(scheduler) == {"urgent": 7, "a": 1, "b": 1, "c": 1}


def test_without_chunked_prefill_a_prompt_is_scheduled_whole_or_not_at_all():
    scheduler = make_scheduler(enable_chunked_prefill=False, max_model_len=30, max_num_batched_tokens=30)
    add(scheduler, "a", 20, max_tokens=2)
    add(scheduler, "b", 11)
    add(scheduler, "c", 2)
    assert step(scheduler) == {"a": 20}
    assert step(scheduler) == {"a": 1, "b": 11, "c": 2}


def test_a_request_without_room_holds_back_those_behind_it():
    scheduler = make_scheduler(num_blocks=4)
    add(scheduler, "a", 8, max_tokens=5)
    add(scheduler, "b", 12, max_tokens=1)
    add(scheduler, "c", 2, max_tokens=1)
    assert step(scheduler) == {"a": 8}
    run_to_end(scheduler)


def test_an_admission_beside_others_leaves_the_watermark_free():
    scheduler = make_scheduler(num_blocks=4, watermark=0.5)
    add(scheduler, "a", 4, max_tokens=2)
    add(scheduler, "b", 8, max_tokens=2)
    assert step(scheduler) == {"a": 4}
    assert step(scheduler) == {"a": 1}
    assert step(scheduler) == {"b": 8}


def test_a_request_that_is_alone_may_take_the_last_block():
    scheduler = make_scheduler(num_blocks=4, watermark=0.5)
    add(scheduler, "a", 16, max_tokens=1)
    assert step(scheduler) == {"a": 16}


def test_a_step_without_requests_is_empty():
    output = make_scheduler().schedule()
    assert output.scheduled == ()
    assert output.total_num_scheduled_tokens == 0


def test_steps_are_numbered_and_must_be_recorded_before_the_next():
    scheduler = make_scheduler()
    add(scheduler, "a", 2)
    first = scheduler.schedule()
    with pytest.raises(AssertionError, match="before the last one is updated"):
        scheduler.schedule()
    update(scheduler, first)
    second = scheduler.schedule()
    assert second.step == first.step + 1
    with pytest.raises(AssertionError, match="step 0 is updated, but step 1 is due"):
        update(scheduler, first)


# Policies


def test_fcfs_serves_in_order_of_arrival_whatever_the_priority():
    scheduler = make_scheduler(max_num_seqs=1)
    add(scheduler, "a", 2, priority=9, max_tokens=1)
    add(scheduler, "b", 2, priority=0, max_tokens=1)
    assert [*step(scheduler), *step(scheduler)] == ["a", "b"]


def test_priority_serves_the_smaller_number_first_and_then_the_earlier():
    scheduler = make_scheduler(max_num_seqs=1, policy="priority")
    add(scheduler, "a", 2, priority=1, max_tokens=1, arrival_time=2.0)
    add(scheduler, "b", 2, priority=0, max_tokens=1, arrival_time=3.0)
    add(scheduler, "c", 2, priority=1, max_tokens=1, arrival_time=1.0)
    assert [*step(scheduler), *step(scheduler), *step(scheduler)] == ["b", "c", "a"]


# Preemption


def test_the_latest_is_preempted_keeps_its_outputs_and_recomputes_them():
    scheduler = make_scheduler(num_blocks=4, caching=False)
    first, second = add(scheduler, "a", 7, max_tokens=6), add(scheduler, "b", 7, max_tokens=6)
    step(scheduler)
    step(scheduler)
    output = scheduler.schedule()
    assert output.preempted_request_ids == ("b",)
    assert output.num_scheduled_tokens == {"a": 1}
    assert (second.status, second.num_computed_tokens, second.num_preemptions) == (RequestStatus.PREEMPTED, 0, 1)
    assert second.output_token_ids == [7, 7]
    update(scheduler, output)
    while not first.is_finished:
        step(scheduler)
    [entry] = (output := scheduler.schedule()).scheduled
    assert entry.token_ids == (*second.prompt_token_ids, 7, 7)
    update(scheduler, output)
    run_to_end(scheduler)
    assert second.output_token_ids == [7] * 6
    assert scheduler.stats.num_preemptions == 1
    assert scheduler.kv_cache_usage == 0


def test_a_preempted_request_is_served_before_those_that_never_ran():
    scheduler = make_scheduler(num_blocks=4)
    add(scheduler, "a", 7, max_tokens=6)
    add(scheduler, "b", 7, max_tokens=6)
    step(scheduler)
    add(scheduler, "c", 1, max_tokens=1)
    order: list[str] = []
    while scheduler.has_unfinished_requests():
        order += [request_id for request_id in step(scheduler) if request_id not in order[-2:]]
    assert order == ["a", "b", "c"]


def test_the_least_urgent_is_preempted_though_it_came_first():
    scheduler = make_scheduler(num_blocks=4, policy="priority")
    late = add(scheduler, "a", 7, priority=1)
    step(scheduler)
    add(scheduler, "b", 7, priority=0)
    preempted: list[str] = []
    while not preempted:
        output = scheduler.schedule()
        update(scheduler, output)
        preempted += output.preempted_request_ids
    assert preempted == ["a"]
    assert late.status is RequestStatus.PREEMPTED


def test_the_first_request_finishes_in_a_pool_that_holds_just_it():
    scheduler = make_scheduler(num_blocks=5)
    requests = [add(scheduler, name, 4, max_tokens=17) for name in "abcd"]
    run_to_end(scheduler)
    assert all(len(request.output_token_ids) == 17 for request in requests)
    assert scheduler.stats.num_preemptions > 0


def test_a_return_from_preemption_finds_its_own_cached_blocks():
    scheduler = make_scheduler(num_blocks=5)
    add(scheduler, "a", 7, max_tokens=8)
    second = add(scheduler, "b", 7, max_tokens=8)
    run_to_end(scheduler)
    assert second.num_preemptions == 1
    assert second.num_cached_tokens == 0, "counted at the first admission only"
    assert scheduler.stats.prefix_cache_queries == 14


# Prefix cache


def test_a_prefix_hit_is_not_computed_again():
    scheduler = make_scheduler()
    prompt = list(range(10))
    add(scheduler, "a", prompt, max_tokens=1)
    step(scheduler)
    second = add(scheduler, "b", prompt, max_tokens=1)
    output = scheduler.schedule()
    [entry] = output.scheduled
    assert (entry.num_computed_tokens, entry.token_ids) == (8, (8, 9))
    update(scheduler, output)
    assert second.num_cached_tokens == 8
    assert scheduler.stats.prefix_cache_hits == 8


def test_a_request_that_needs_all_logits_computes_its_whole_prompt():
    scheduler = make_scheduler()
    add(scheduler, "a", list(range(10)), max_tokens=5)
    step(scheduler)
    add(scheduler, "b", list(range(10)), read_prefix_cache=False)
    add(scheduler, "c", list(range(10)), read_prefix_cache=False, fork_of="a")
    assert step(scheduler) == {"a": 1, "b": 10, "c": 10}


# Forks, for n > 1


def test_forks_wait_for_the_prompt_and_then_compute_one_token():
    scheduler = make_scheduler(max_num_batched_tokens=8)
    prompt = list(range(10))
    add(scheduler, "a", prompt)
    add(scheduler, "b", prompt, fork_of="a")
    add(scheduler, "c", prompt, fork_of="a")
    add(scheduler, "other", 3)
    assert step(scheduler) == {"a": 8}
    assert step(scheduler) == {"a": 2, "other": 3}, "forks do not block others"
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {"a": 1, "other": 1, "b": 1, "c": 1}
    entries = {entry.request_id: entry for entry in output.scheduled}
    assert entries["b"].token_ids == (9,)
    assert entries["b"].block_ids[:2] == entries["a"].block_ids[:2]
    last = {name: entries[name].block_ids[2] for name in "abc"}
    assert len(set(last.values())) == 3
    assert output.blocks_to_copy == ((last["a"], last["b"]), (last["a"], last["c"]))


def test_a_fork_of_a_full_cached_last_block_writes_into_a_copy():
    scheduler = make_scheduler()
    prompt = list(range(8))
    add(scheduler, "a", prompt)
    step(scheduler)
    add(scheduler, "b", prompt, fork_of="a")
    output = scheduler.schedule()
    first, fork = output.scheduled
    assert fork.num_computed_tokens == 7
    assert fork.block_ids[0] == first.block_ids[0]
    assert output.blocks_to_copy == ((first.block_ids[1], fork.block_ids[1]),)


def test_a_fork_that_returns_from_preemption_shares_the_prompt_again():
    scheduler = make_scheduler(num_blocks=6, caching=False)
    prompt = list(range(10))
    add(scheduler, "a", prompt, max_tokens=7)
    add(scheduler, "c", 1, max_tokens=6)
    fork = add(scheduler, "b", prompt, max_tokens=4, fork_of="a")
    plans = [step(scheduler) for _ in range(7)]
    assert fork.num_preemptions == 1
    assert [plan.get("b") for plan in plans] == [None, 1, 1, 1, None, None, 4], "4 of its 13 tokens are recomputed"
    assert fork.output_token_ids == [7] * 4


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_a_fork_whose_sibling_is_gone_runs_like_any_other(end):
    scheduler = make_scheduler(caching=False)
    prompt = list(range(10))
    add(scheduler, "a", prompt, max_tokens=1)
    if end == "finish":
        step(scheduler)
    else:
        scheduler.abort("a")
    add(scheduler, "b", prompt, fork_of="a")
    assert step(scheduler) == {"b": 10}


def test_a_fork_does_not_wait_for_a_newcomer_that_took_over_the_id_of_its_sibling():
    scheduler = make_scheduler(max_num_seqs=2, policy="priority")
    add(scheduler, "b", 10, fork_of="a")
    add(scheduler, "a", 10, priority=-1)
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {"a": 10, "b": 10}
    assert output.blocks_to_copy == ()


@pytest.mark.parametrize("fields", [{"prompt": [1, 2, 4]}, {"prompt": [1, 2, 3], "cache_salt": "bob"}])
def test_a_fork_with_another_prompt_or_salt_is_refused(fields):
    scheduler = make_scheduler()
    add(scheduler, "a", [1, 2, 3])
    with pytest.raises(InvalidRequestError, match="fork only for another answer to the same prompt"):
        add(scheduler, "b", fork_of="a", **fields)


# Ends


def run_tokens(tokens: list[int], **fields) -> Request:
    scheduler = make_scheduler(max_model_len=fields.pop("max_model_len", 100))
    request = add(scheduler, "a", 3, **fields)
    for token_id in tokens:
        step(scheduler, token_id)
    assert scheduler.has_unfinished_requests() != request.is_finished
    return request


def test_a_stop_token_of_the_caller_is_the_stop_reason_and_stays_in_the_output():
    request = run_tokens([7, 8], stop_token_ids=frozenset({8, 2}), eos_token_ids=frozenset({2}))
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, 8)
    assert request.output_token_ids == [7, 8]


def test_the_models_own_end_token_has_no_stop_reason():
    request = run_tokens([7, 2], stop_token_ids=frozenset({8, 2}), eos_token_ids=frozenset({2}))
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, None)


def test_no_token_stops_a_request_before_min_tokens():
    assert not run_tokens([8, 8], stop_token_ids=frozenset({8}), min_tokens=3).is_finished
    assert run_tokens([8, 8, 8], stop_token_ids=frozenset({8}), min_tokens=3).finish_reason is FinishReason.STOP


def test_a_stop_token_in_the_last_place_is_a_stop_and_not_a_length():
    assert run_tokens([7, 8], stop_token_ids=frozenset({8}), max_tokens=2).finish_reason is FinishReason.STOP


def test_the_context_window_ends_a_request_even_before_min_tokens():
    request = run_tokens([7, 7], max_model_len=5, min_tokens=9)
    assert request.finish_reason is FinishReason.LENGTH
    assert request.num_tokens == 5


def test_pooling_ends_with_the_prompt_and_samples_nothing():
    scheduler = make_scheduler(max_num_batched_tokens=8)
    request = add(scheduler, "a", 10, max_tokens=0, sampling_params=None)
    assert update(scheduler, scheduler.schedule()) == []
    output = scheduler.schedule()
    assert output.scheduled[0].samples
    assert scheduler.update(output, {}) == [RequestUpdate("a", None, FinishReason.STOP, None)]
    assert request.output_token_ids == []


def test_scoring_with_no_new_tokens_ends_with_the_prompt():
    scheduler = make_scheduler()
    add(scheduler, "a", 3, max_tokens=0)
    assert scheduler.update(scheduler.schedule(), {}) == [RequestUpdate("a", None, FinishReason.LENGTH, None)]


def test_an_abort_between_planning_and_recording_is_respected():
    scheduler = make_scheduler()
    request = add(scheduler, "a", 3)
    add(scheduler, "b", 3)
    output = scheduler.schedule()
    assert scheduler.abort("a")
    assert [news.request_id for news in update(scheduler, output)] == ["b"]
    assert (request.finish_reason, request.output_token_ids) == (FinishReason.ABORT, [])
    assert scheduler.schedule().finished_request_ids == ("a",)


def test_a_newcomer_is_not_given_the_token_of_an_aborted_request_of_the_same_id():
    scheduler = make_scheduler()
    add(scheduler, "a", 3)
    output = scheduler.schedule()
    scheduler.abort("a")
    newcomer = add(scheduler, "a", 4)
    assert update(scheduler, output) == []
    assert newcomer.num_computed_tokens == 0
    assert step(scheduler) == {"a": 4}


def test_a_waiting_request_can_be_aborted():
    scheduler = make_scheduler(max_num_seqs=1)
    for name in "abc":
        add(scheduler, name, 3, max_tokens=2)
    step(scheduler)
    scheduler.abort("b")
    assert scheduler.num_waiting == 1
    step(scheduler)
    assert step(scheduler) == {"c": 3}


def test_finishing_from_outside_frees_blocks_and_keeps_the_reason():
    scheduler = make_scheduler()
    request = add(scheduler, "a", 3)
    step(scheduler)
    assert scheduler.finish("a", FinishReason.STOP, "\n\n")
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, "\n\n")
    assert scheduler.kv_cache_usage == 0
    assert not scheduler.finish("a", FinishReason.STOP), "it has ended before"
    assert not scheduler.abort("unknown")


def test_stats_tell_what_stands_where():
    scheduler = make_scheduler(num_blocks=8, max_num_seqs=1)
    add(scheduler, "a", 5)
    add(scheduler, "b", 5)
    step(scheduler)
    stats = scheduler.stats
    assert (stats.num_running, stats.num_waiting, stats.kv_cache_usage) == (1, 1, 0.25)


# What is refused at the door


def test_a_request_that_could_never_finish_is_refused_with_the_numbers():
    scheduler = make_scheduler(num_blocks=4)
    with pytest.raises(InvalidRequestError, match=r"10 tokens with max_tokens 8 takes 5 blocks of 4 tokens.* has 4: "):
        add(scheduler, "a", 10, max_tokens=8)
    add(scheduler, "b", 10, max_tokens=7)  # 16 tokens are fed: the last is sampled only
    run_to_end(scheduler)


def test_max_tokens_beyond_the_context_window_takes_no_blocks():
    scheduler = make_scheduler(num_blocks=4, max_model_len=17)
    add(scheduler, "a", 10, max_tokens=1000)
    run_to_end(scheduler)


@pytest.mark.parametrize(
    ("num_tokens", "message"),
    [(21, "prompt has 21 tokens, but max_model_len is 20: shorten"), (20, "which leaves no room for a new token")],
)
def test_a_prompt_over_the_context_window_is_refused(num_tokens, message):
    with pytest.raises(PromptTooLongError, match=message):
        add(make_scheduler(max_model_len=20), "a", num_tokens)


def test_a_pooling_prompt_may_fill_the_context_window():
    add(make_scheduler(max_model_len=20), "a", 20, max_tokens=0, sampling_params=None)


def test_an_empty_prompt_is_refused():
    with pytest.raises(InvalidRequestError, match="prompt has 0 tokens"):
        add(make_scheduler(), "a", [])


def test_an_id_in_use_is_refused_and_the_first_request_lives_on():
    scheduler = make_scheduler()
    add(scheduler, "a", 3, max_tokens=1)
    with pytest.raises(InvalidRequestError, match="'a' is in use"):
        add(scheduler, "a", 3)
    assert step(scheduler) == {"a": 3}
    add(scheduler, "a", 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "fcsf"}, 'did you mean "fcfs"'),
        ({"max_num_seqs": 0}, "max_num_seqs is 0, but it must be a whole number of at least 1"),
        ({"max_model_len": 2.5}, "max_model_len is 2.5"),
        ({"max_num_seqs": 64}, "each of max_num_seqs 64 requests needs one token a step"),
        ({"enable_chunked_prefill": False}, "must hold a sequence of max_model_len 100"),
        (
            {"enable_chunked_prefill": False, "max_model_len": 32, "long_prefill_token_threshold": 4},
            "cuts prompts into chunks",
        ),
        ({"num_blocks": 0}, "num_blocks is 0"),
        ({"watermark": 1.0}, r"watermark is 1.0.* \[0, 1\)"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        make_scheduler(**fields)


def test_the_scheduling_room_loads_without_torch():
    code = "import sys, pagoda.engine.scheduler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tokens_between_crosses_the_border_of_prompt_and_output():
    request = Request(request_id="a", prompt_token_ids=[1, 2, 3], sampling_params=SamplingParams(), max_tokens=9)
    request.output_token_ids += [4, 5]
    assert request.tokens_between(0, 2) == (1, 2)
    assert request.tokens_between(1, 4) == (2, 3, 4)
    assert request.tokens_between(3, 5) == (4, 5)
    assert request.token_ids == [1, 2, 3, 4, 5]
