"""The core: a step is a plan, its execution, and its record; what goes wrong with one request stays with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pagoda.engine.core import CoreOutput, CoreRequest, EngineCore
from pagoda.engine.execution.model_runner import ModelOutput
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import SchedulerOutput
from pagoda.engine.scheduling.request import FinishReason, Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.errors import InvalidRequestError, PromptTooLongError
from pagoda.llm import LLM
from pagoda.sampling_params import SamplingParams

VOCAB_SIZE = 50


class CountingExecutor:
    """A model whose next token is always its last plus one; keeps the plans that it was sent."""

    def __init__(self) -> None:
        self.plans: list[SchedulerOutput] = []
        self.failure: BaseException | None = None

    def execute(self, plan: SchedulerOutput) -> ModelOutput:
        self.plans.append(plan)
        if self.failure is not None:
            raise self.failure
        fed = [token_id for entry in plan.scheduled for token_id in entry.token_ids]
        wanted = [i for entry in plan.scheduled for i in entry.token_ids[len(entry.token_ids) - entry.num_logits :]]
        logits = torch.zeros(len(wanted), VOCAB_SIZE)
        for row, token_id in enumerate(wanted):
            logits[row, (token_id + 1) % VOCAB_SIZE] = 10.0
        return ModelOutput(torch.tensor(fed, dtype=torch.float32)[:, None], logits)


@pytest.fixture
def executor() -> CountingExecutor:
    return CountingExecutor()


@pytest.fixture
def core(executor: CountingExecutor) -> EngineCore:
    settings = SchedulerConfig(max_model_len=64, max_num_seqs=4, max_num_batched_tokens=8)
    return EngineCore(Scheduler(settings, CacheConfig(num_blocks=8, block_size=4)), executor)


def _add(core: EngineCore, request_id: str, prompt: list[int], max_tokens: int = 3, **fields: object) -> CoreRequest:
    params = SamplingParams(temperature=0, max_tokens=max_tokens, **fields)
    stops = frozenset(params.stop_token_ids or ())
    request = Request(
        request_id=request_id,
        prompt_token_ids=prompt,
        sampling_params=params,
        max_tokens=max_tokens,
        stop_token_ids=stops,
        read_prefix_cache=params.prompt_logprobs is None,
    )
    core_request = CoreRequest(request, seed=0)
    core.add_request(core_request)
    return core_request


def _run(core: EngineCore) -> list[CoreOutput]:
    outputs = []
    while core.has_unfinished_requests():
        outputs += core.step()
    return outputs


def test_a_request_gets_its_tokens_one_a_step_and_its_reason_with_the_last(core: EngineCore) -> None:
    _add(core, "a", [5, 6, 7])
    outputs = _run(core)
    assert [(output.request_id, output.new_token_id) for output in outputs] == [("a", 8), ("a", 9), ("a", 10)]
    assert [output.finish_reason for output in outputs] == [None, None, FinishReason.LENGTH]
    assert core.scheduler.kv_cache_usage == 0.0


def test_a_step_without_work_runs_nothing(core: EngineCore, executor: CountingExecutor) -> None:
    assert core.step() == []
    assert executor.plans == []


def test_a_prompt_longer_than_a_step_brings_nothing_until_it_is_computed(core: EngineCore) -> None:
    _add(core, "a", list(range(20)))
    assert [len(core.step()) for _ in range(3)] == [0, 0, 1]


def test_requests_advance_side_by_side_and_keep_their_own_tokens(core: EngineCore) -> None:
    for request_id, start in (("a", 0), ("b", 20), ("c", 40)):
        _add(core, request_id, [start, start + 1])
    told: dict[str, list[int | None]] = {}
    for output in _run(core):
        told.setdefault(output.request_id, []).append(output.new_token_id)
    assert told == {"a": [2, 3, 4], "b": [22, 23, 24], "c": [42, 43, 44]}


def test_a_request_that_could_never_finish_is_refused_and_leaves_no_trace(core: EngineCore) -> None:
    with pytest.raises(InvalidRequestError, match="takes 9 blocks of 4 tokens, but the KV cache has 8"):
        _add(core, "a", list(range(20)), max_tokens=16)
    with pytest.raises(PromptTooLongError):
        _add(core, "a", [1] * 65)
    assert not core.has_unfinished_requests()
    assert core.step() == []
    _add(core, "a", [5])
    assert len(_run(core)) == 3


def test_finishing_from_outside_frees_the_blocks_at_once(core: EngineCore) -> None:
    _add(core, "a", list(range(10)), max_tokens=10)
    core.step()
    assert core.scheduler.kv_cache_usage > 0
    core.finish_request("a", FinishReason.ABORT)
    assert core.scheduler.kv_cache_usage == 0.0
    assert not core.has_unfinished_requests()
    core.finish_request("a", FinishReason.ABORT)
    core.finish_request("unknown", FinishReason.ABORT)


def test_a_request_that_may_sample_nothing_ends_with_an_error_and_alone(core: EngineCore) -> None:
    _add(core, "impossible", [5], allowed_token_ids=[9], bad_words=["x"]).bad_words_ids = [[9]]
    _add(core, "fine", [20])
    outputs = _run(core)
    [failed] = [output for output in outputs if output.request_id == "impossible"]
    assert failed.finish_reason is FinishReason.ERROR
    assert failed.new_token_id is None
    assert "its constraints allow no token" in str(failed.stop_reason)
    assert [output.new_token_id for output in outputs if output.request_id == "fine"] == [21, 22, 23]
    assert core.scheduler.kv_cache_usage == 0.0


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_a_step_that_breaks_off_costs_no_request_anything_but_time(
    failure: BaseException, core: EngineCore, executor: CountingExecutor
) -> None:
    for request_id, start in (("a", 0), ("b", 20)):
        _add(core, request_id, list(range(start, start + 6)))
    outputs = core.step()
    executor.failure = failure
    with pytest.raises(type(failure)):
        core.step()
    assert core.scheduler.kv_cache_usage == 0.0
    executor.failure = None
    core.finish_request("b", FinishReason.ABORT)
    outputs += _run(core)
    assert [output.new_token_id for output in outputs if output.request_id == "a"] == [6, 7, 8]
    core.scheduler.kv_cache_manager.check_invariants()


def test_prompt_logprobs_come_once_each_however_the_prompt_is_cut(core: EngineCore) -> None:
    _add(core, "a", list(range(20)), prompt_logprobs=0)
    told = [entry for output in _run(core) for entry in output.prompt_logprobs]
    assert [next(iter(entry)) for entry in told] == list(range(1, 20))
    assert all(entry[token_id].rank == 1 for token_id, entry in enumerate(told, start=1))


def test_a_pooling_request_gets_the_hidden_state_of_its_last_token(core: EngineCore) -> None:
    request = Request(request_id="p", prompt_token_ids=list(range(17)), sampling_params=None, max_tokens=0)
    core.add_request(CoreRequest(request, seed=0))
    _add(core, "a", [30])
    [pooled] = [output for output in _run(core) if output.request_id == "p"]
    assert pooled.hidden_state is not None
    assert pooled.hidden_state.tolist() == [16.0]
    assert pooled.new_token_id is None


def test_recorded_plans_replay_on_a_fresh_runner_to_the_same_logits(make_llm: Callable[..., LLM]) -> None:
    """The runner needs to know nothing that is not in the message."""
    engine = make_llm().llm_engine
    runner = engine.core.executor.runner  # type: ignore[attr-defined]
    plans, outputs = [], []
    execute = runner.execute

    def record(plan: SchedulerOutput) -> ModelOutput:
        plans.append(plan)
        outputs.append(execute(plan))
        return outputs[-1]

    runner.execute = record
    for request_id in ("a", "b"):
        params = SamplingParams(temperature=1, n=2, seed=3, max_tokens=6)
        engine.add_request(request_id, {"prompt_token_ids": list(range(5, 30))}, params)
    while engine.has_unfinished_requests():
        engine.step()
    fresh = make_llm().llm_engine.core.executor.runner  # type: ignore[attr-defined]
    for plan, output in zip(plans, outputs, strict=True):
        assert torch.equal(fresh.execute(plan).logits, output.logits)
