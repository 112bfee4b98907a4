"""Proposed tokens in a plan: fed along where there is room, kept where they were right, and no trace of the others."""

from __future__ import annotations

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.plan import StepOutput
from pagoda.engine.scheduling.request import FinishReason


def _started(scheduler, request_id="a", prompt=5, max_tokens=20, **fields):
    """A request whose prompt is computed and whose first token is known."""
    request = scheduler.add(request_id, prompt, max_tokens=max_tokens, **fields)
    scheduler.step()
    return request


def _sampled(**tokens):
    return StepOutput({name: tuple(map(SampledToken, token_ids)) for name, token_ids in tokens.items()})


def test_proposals_are_fed_behind_the_last_token(make_scheduler):
    scheduler = make_scheduler()
    _started(scheduler)
    [entry] = scheduler.schedule(None, {"a": [11, 12, 13]}).scheduled
    assert (entry.token_ids, entry.num_computed_tokens, entry.samples) == ((7, 11, 12, 13), 5, True)
    assert (entry.num_logits, entry.num_proposed, entry.proposed) == (4, 3, (11, 12, 13))
    assert len(entry.block_ids) == 3  # of four tokens each, for nine


@pytest.mark.parametrize("num_right", [0, 1, 2, 3])
def test_what_was_right_is_computed_and_the_rest_forgotten(make_scheduler, num_right):
    scheduler = make_scheduler()
    request = _started(scheduler)
    plan = scheduler.schedule(None, {"a": [11, 12, 13]})
    said = [*range(11, 11 + num_right), 99]
    [update] = scheduler.update(plan, _sampled(a=said))
    assert [token.token_id for token in update.tokens] == said
    assert request.output_token_ids == [7, *said]
    assert request.num_computed_tokens == request.num_tokens - 1
    assert len(scheduler.kv_cache_manager.block_ids(request)) == -(-request.num_tokens // 4), "more is held than used"
    scheduler.kv_cache_manager.check_invariants()
    [entry] = scheduler.schedule().scheduled
    assert (entry.token_ids, entry.num_computed_tokens) == ((99,), request.num_tokens - 1)
    stats = scheduler.stats
    assert (stats.spec_decode_num_drafts, stats.spec_decode_num_draft_tokens) == (1, 3)
    assert stats.spec_decode_num_accepted_tokens == num_right


def test_blocks_of_accepted_tokens_are_found_by_others_and_those_of_rejected_ones_are_not(make_scheduler):
    scheduler = make_scheduler()
    _started(scheduler, prompt=[1, 2, 3], max_tokens=6)  # then 7
    plan = scheduler.schedule(None, {"a": [4, 5, 6, 8]})
    scheduler.update(plan, _sampled(a=[4, 5, 6, 8, 9]))
    scheduler.abort("a")
    said = scheduler.add("b", [1, 2, 3, 7, 4, 5, 6, 8, 50])
    other = scheduler.add("c", [1, 2, 3, 7, 4, 5, 0, 8, 50])
    scheduler.schedule()
    assert (said.num_cached_tokens, other.num_cached_tokens) == (8, 4)


def test_a_stop_token_ends_the_request_and_what_was_accepted_behind_it_is_dropped(make_scheduler):
    scheduler = make_scheduler()
    request = _started(scheduler, stop_token_ids=frozenset({12}))
    plan = scheduler.schedule(None, {"a": [11, 12, 13]})
    [update] = scheduler.update(plan, _sampled(a=[11, 12, 13, 14]))
    assert ([token.token_id for token in update.tokens], update.finish_reason) == ([11, 12], FinishReason.STOP)
    assert request.output_token_ids == [7, 11, 12]
    assert scheduler.kv_cache_usage == 0.0


def test_the_last_token_is_never_a_proposal(make_scheduler):
    scheduler = make_scheduler(max_model_len=12)
    scheduler.add("a", 5, max_tokens=4)
    scheduler.add("b", 6)  # has room for six tokens
    scheduler.step()
    plan = scheduler.schedule(None, {"a": [1] * 9, "b": [1] * 9})
    assert [entry.num_proposed for entry in plan.scheduled] == [2, 4]


def test_proposals_take_the_tokens_of_a_step_that_all_others_left(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=8)
    _started(scheduler, "a")
    _started(scheduler, "b", prompt=3)
    scheduler.add("c", 4)
    plan = scheduler.schedule(None, {"a": [1] * 5, "b": [1] * 5})
    assert plan.num_scheduled_tokens == {"a": 3, "b": 1, "c": 4}
    assert plan.total_num_scheduled_tokens == 8


def test_proposals_take_free_blocks_and_nobodys_else(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, caching=False)
    a = scheduler.add("a", 6, max_tokens=10)  # two blocks, with room for a token behind the first sampled one
    scheduler.add("b", 3, max_tokens=5)  # one block, full with the first sampled one
    scheduler.step()
    plan = scheduler.schedule(None, {"a": [1] * 9, "b": [1] * 3})
    # One block is free and goes to the first.
    assert {entry.request_id: entry.num_proposed for entry in plan.scheduled} == {"a": 5, "b": 0}
    assert scheduler.kv_cache_usage == 1.0
    scheduler.update(plan, _sampled(a=[2], b=[2]))
    assert len(scheduler.kv_cache_manager.block_ids(a)) == 2
    assert scheduler.kv_cache_usage == 0.75


def test_where_somebody_is_preempted_nothing_is_proposed(make_scheduler):
    scheduler = make_scheduler(num_blocks=2, caching=False)
    scheduler.add("a", 4, max_tokens=4)
    scheduler.add("b", 2, max_tokens=4)
    scheduler.step()
    plan = scheduler.schedule(None, {"a": [1, 1], "b": [1]})
    assert plan.preempted_request_ids == ("b",)
    assert [entry.num_proposed for entry in plan.scheduled] == [0]


def test_an_abort_between_plan_and_record_frees_what_was_reserved(make_scheduler):
    scheduler = make_scheduler()
    _started(scheduler)
    plan = scheduler.schedule(None, {"a": [1] * 10})
    scheduler.abort("a")
    assert scheduler.update(plan, _sampled(a=[1, 1])) == []
    assert scheduler.kv_cache_usage == 0.0
    scheduler.kv_cache_manager.check_invariants()


def test_a_broken_step_with_proposals_is_taken_back(make_scheduler):
    scheduler = make_scheduler()
    request = _started(scheduler)
    scheduler.schedule(None, {"a": [1] * 10})
    scheduler.revoke()
    assert (request.num_computed_tokens, request.output_token_ids) == (0, [7])
    assert scheduler.kv_cache_usage == 0.0
    scheduler.run_to_end()


def test_only_answers_whose_last_token_alone_is_left_are_offered(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=8)
    a = _started(scheduler, "a")
    scheduler.add("long", 20)
    scheduler.step()
    assert scheduler.decoding_requests == [a]
