"""The scheduler on made-up token ids: how a request ends, and what is refused at the door."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pagoda.engine.scheduling.plan import RequestUpdate, StepOutput
from pagoda.engine.scheduling.request import FinishReason, Request
from pagoda.errors import ConfigError, InvalidRequestError, PromptTooLongError
from pagoda.sampling_params import SamplingParams


@pytest.fixture
def run_tokens(make_scheduler):
    """`run_tokens(tokens, **fields)`: the request that was given these tokens, one a step."""

    def run(tokens: list[int], **fields) -> Request:
        scheduler = make_scheduler(max_model_len=fields.pop("max_model_len", 100))
        request = scheduler.add("a", 3, **fields)
        for token_id in tokens:
            scheduler.step(token_id)
        assert scheduler.has_unfinished_requests() != request.is_finished
        return request

    return run


def test_a_stop_token_of_the_caller_is_the_stop_reason_and_stays_in_the_output(run_tokens):
    request = run_tokens([7, 8], stop_token_ids=frozenset({8, 2}), eos_token_ids=frozenset({2}))
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, 8)
    assert request.output_token_ids == [7, 8]


def test_the_models_own_end_token_has_no_stop_reason(run_tokens):
    request = run_tokens([7, 2], stop_token_ids=frozenset({8, 2}), eos_token_ids=frozenset({2}))
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, None)


def test_no_token_stops_a_request_before_min_tokens(run_tokens):
    assert not run_tokens([8, 8], stop_token_ids=frozenset({8}), min_tokens=3).is_finished
    assert run_tokens([8, 8, 8], stop_token_ids=frozenset({8}), min_tokens=3).finish_reason is FinishReason.STOP


def test_a_stop_token_in_the_last_place_is_a_stop_and_not_a_length(run_tokens):
    assert run_tokens([7, 8], stop_token_ids=frozenset({8}), max_tokens=2).finish_reason is FinishReason.STOP


def test_the_context_window_ends_a_request_even_before_min_tokens(run_tokens):
    request = run_tokens([7, 7], max_model_len=5, min_tokens=9)
    assert request.finish_reason is FinishReason.LENGTH
    assert request.num_tokens == 5


def test_pooling_ends_with_the_prompt_and_samples_nothing(make_scheduler):
    scheduler = make_scheduler(max_num_batched_tokens=8)
    request = scheduler.add("a", 10, max_tokens=0, sampling_params=None)
    assert scheduler.record(scheduler.schedule()) == []
    output = scheduler.schedule()
    assert output.scheduled[0].samples
    assert scheduler.update(output, StepOutput()) == [RequestUpdate("a", (), FinishReason.STOP, None)]
    assert request.output_token_ids == []


def test_scoring_with_no_new_tokens_ends_with_the_prompt(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", 3, max_tokens=0)
    assert scheduler.update(scheduler.schedule(), StepOutput()) == [RequestUpdate("a", (), FinishReason.LENGTH, None)]


def test_an_abort_between_planning_and_recording_is_respected(make_scheduler):
    scheduler = make_scheduler()
    request = scheduler.add("a", 3)
    scheduler.add("b", 3)
    output = scheduler.schedule()
    assert scheduler.abort("a")
    assert [news.request_id for news in scheduler.record(output)] == ["b"]
    assert (request.finish_reason, request.output_token_ids) == (FinishReason.ABORT, [])
    assert scheduler.schedule().finished_request_ids == ("a",)


def test_a_newcomer_is_not_given_the_token_of_an_aborted_request_of_the_same_id(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", 3)
    output = scheduler.schedule()
    scheduler.abort("a")
    newcomer = scheduler.add("a", 4)
    assert scheduler.record(output) == []
    assert newcomer.num_computed_tokens == 0
    assert scheduler.step() == {"a": 4}


def test_a_waiting_request_can_be_aborted(make_scheduler):
    scheduler = make_scheduler(max_num_seqs=1)
    for name in "abc":
        scheduler.add(name, 3, max_tokens=2)
    scheduler.step()
    scheduler.abort("b")
    assert scheduler.num_waiting == 1
    scheduler.step()
    assert scheduler.step() == {"c": 3}


def test_finishing_from_outside_frees_blocks_and_keeps_the_reason(make_scheduler):
    scheduler = make_scheduler()
    request = scheduler.add("a", 3)
    scheduler.step()
    assert scheduler.finish("a", FinishReason.STOP, "\n\n")
    assert (request.finish_reason, request.stop_reason) == (FinishReason.STOP, "\n\n")
    assert scheduler.kv_cache_usage == 0
    assert not scheduler.finish("a", FinishReason.STOP), "it has ended before"
    assert not scheduler.abort("unknown")


def test_stats_tell_what_stands_where(make_scheduler):
    scheduler = make_scheduler(num_blocks=8, max_num_seqs=1)
    scheduler.add("a", 5)
    scheduler.add("b", 5)
    scheduler.step()
    stats = scheduler.stats
    assert (stats.num_running, stats.num_waiting, stats.kv_cache_usage) == (1, 1, 0.25)


# What is refused at the door


def test_a_request_that_could_never_finish_is_refused_with_the_numbers(make_scheduler):
    scheduler = make_scheduler(num_blocks=4)
    with pytest.raises(InvalidRequestError, match=r"10 tokens with max_tokens 8 takes 5 blocks of 4 tokens.* has 4: "):
        scheduler.add("a", 10, max_tokens=8)
    scheduler.add("b", 10, max_tokens=7)  # 16 tokens are fed: the last is sampled only
    scheduler.run_to_end()


def test_max_tokens_beyond_the_context_window_takes_no_blocks(make_scheduler):
    scheduler = make_scheduler(num_blocks=4, max_model_len=17)
    scheduler.add("a", 10, max_tokens=1000)
    scheduler.run_to_end()


@pytest.mark.parametrize("num_tokens", [20, 21, 300])
def test_a_prompt_that_leaves_no_room_in_the_context_window_is_refused_in_one_wording(make_scheduler, num_tokens):
    words = f"maximum context length is 20 tokens. However, your prompt contains {num_tokens} tokens"
    with pytest.raises(PromptTooLongError, match=re.escape(words)) as refusal:
        make_scheduler(max_model_len=20).add("a", num_tokens)
    assert refusal.value.param == "prompt"


@pytest.mark.parametrize(("num_tokens", "param"), [(16, "max_tokens"), (17, "prompt"), (40, "prompt")])
def test_a_prompt_beyond_the_kv_cache_is_refused_in_the_words_of_a_context_that_is_too_short(
    make_scheduler, num_tokens, param
):
    words = r"maximum context length is 17 tokens.*the KV cache has 4"
    with pytest.raises(PromptTooLongError, match=words) as refusal:
        make_scheduler(num_blocks=4).add("a", num_tokens, max_tokens=8)
    assert refusal.value.param == param


def test_a_pooling_prompt_may_fill_the_context_window(make_scheduler):
    make_scheduler(max_model_len=20).add("a", 20, max_tokens=0, sampling_params=None)


def test_an_empty_prompt_is_refused(make_scheduler):
    with pytest.raises(InvalidRequestError, match="prompt has 0 tokens"):
        make_scheduler().add("a", [])


def test_an_id_in_use_is_refused_and_the_first_request_lives_on(make_scheduler):
    scheduler = make_scheduler()
    scheduler.add("a", 3, max_tokens=1)
    with pytest.raises(InvalidRequestError, match="'a' is in use"):
        scheduler.add("a", 3)
    assert scheduler.step() == {"a": 3}
    scheduler.add("a", 4)


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
def test_settings_that_cannot_work_are_refused(make_scheduler, fields, message):
    with pytest.raises(ConfigError, match=message):
        make_scheduler(**fields)


def test_the_scheduling_room_loads_without_torch():
    code = "import sys, pagoda.engine.scheduling.scheduler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tokens_between_crosses_the_border_of_prompt_and_output():
    request = Request(request_id="a", prompt_token_ids=[1, 2, 3], sampling_params=SamplingParams(), max_tokens=9)
    request.output_token_ids += [4, 5]
    assert request.tokens_between(0, 2) == (1, 2)
    assert request.tokens_between(1, 4) == (2, 3, 4)
    assert request.tokens_between(3, 5) == (4, 5)
    assert request.token_ids == [1, 2, 3, 4, 5]
