"""The core: a step is a plan, its execution, and its record; what goes wrong with one request stays with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from pagoda.engine.core import EngineCore
from pagoda.engine.execution.model_runner import ModelOutput
from pagoda.engine.execution.worker import Worker
from pagoda.engine.outputs import SampledToken
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.sampling.token_lists import BadWords, TokenLists
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import RequestUpdate, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import FinishReason, Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.errors import EngineDeadError, InvalidRequestError, PromptTooLongError, StructuredOutputError
from pagoda.llm import LLM
from pagoda.sampling_params import PoolingParams, SamplingParams

VOCAB_SIZE = 50


class CountingRunner:
    """A model whose next token is always its last plus one; keeps the plans that it was sent."""

    def __init__(self) -> None:
        self.plans: list[SchedulerOutput] = []
        self.failure: BaseException | None = None

    def execute(self, plan: SchedulerOutput, *, best_only: bool = False) -> ModelOutput:
        self.plans.append(plan)
        if self.failure is not None:
            raise self.failure
        fed = [token_id for entry in plan.scheduled for token_id in entry.token_ids]
        wanted = [i for entry in plan.scheduled for i in entry.token_ids[len(entry.token_ids) - entry.num_logits :]]
        logits = torch.zeros(len(wanted), VOCAB_SIZE)
        for row, token_id in enumerate(wanted):
            logits[row, (token_id + 1) % VOCAB_SIZE] = 10.0
        hidden_states = torch.tensor(fed, dtype=torch.float32)[:, None]
        return ModelOutput(hidden_states, None, logits.argmax(-1)) if best_only else ModelOutput(hidden_states, logits)


class HastyExecutor:
    """Gives three tokens a request and step, each its predecessor plus one, and looks at nothing else."""

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        last = {entry.request_id: entry.token_ids[-1] for entry in plan.scheduled}
        return StepOutput(
            {row.request_id: tuple(SampledToken(last[row.request_id] + i) for i in (1, 2, 3)) for row in rows.samples}
        )


@pytest.fixture
def runner() -> CountingRunner:
    return CountingRunner()


@pytest.fixture
def scheduler() -> Scheduler:
    settings = SchedulerConfig(max_model_len=64, max_num_seqs=4, max_num_batched_tokens=8)
    return Scheduler(settings, CacheConfig(num_blocks=8, block_size=4))


@pytest.fixture
def core(scheduler: Scheduler, runner: CountingRunner) -> EngineCore:
    return EngineCore(scheduler, Worker(runner))  # type: ignore[arg-type]


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
    core_request = CoreRequest(request, seed=0, lists=TokenLists.of(params, prompt))
    core.add_request(core_request)
    return core_request


def _ids(update: RequestUpdate) -> list[int]:
    return [token.token_id for token in update.tokens]


def _run(core: EngineCore) -> list[RequestUpdate]:
    outputs = []
    while core.has_unfinished_requests():
        outputs += core.step()
    return outputs


def test_a_request_gets_its_tokens_one_a_step_and_its_reason_with_the_last(core: EngineCore) -> None:
    _add(core, "a", [5, 6, 7])
    outputs = _run(core)
    assert [(output.request_id, *_ids(output)) for output in outputs] == [("a", 8), ("a", 9), ("a", 10)]
    assert [output.finish_reason for output in outputs] == [None, None, FinishReason.LENGTH]
    assert core.scheduler.kv_cache_usage == 0.0


def test_a_step_without_work_runs_nothing(core: EngineCore, runner: CountingRunner) -> None:
    assert core.step() == []
    assert runner.plans == []


def test_a_prompt_longer_than_a_step_brings_nothing_until_it_is_computed(core: EngineCore) -> None:
    _add(core, "a", list(range(20)))
    assert [len(core.step()) for _ in range(3)] == [0, 0, 1]


def test_requests_advance_side_by_side_and_keep_their_own_tokens(core: EngineCore) -> None:
    for request_id, start in (("a", 0), ("b", 20), ("c", 40)):
        _add(core, request_id, [start, start + 1])
    told: dict[str, list[int]] = {}
    for output in _run(core):
        told.setdefault(output.request_id, []).extend(_ids(output))
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
    impossible = _add(core, "impossible", [5], allowed_token_ids=[9], bad_words=["nine"])
    impossible.lists = replace(impossible.lists, bad_words=BadWords([[9]]))
    _add(core, "fine", [20])
    outputs = _run(core)
    [failed] = [output for output in outputs if output.request_id == "impossible"]
    assert failed.finish_reason is FinishReason.ERROR
    assert failed.tokens == ()
    assert "allowed_token_ids and bad_words of this request allow no token" in str(failed.stop_reason)
    assert [_ids(output) for output in outputs if output.request_id == "fine"] == [[21], [22], [23]]
    assert core.scheduler.kv_cache_usage == 0.0


class FailingMatcher:
    """A grammar that cannot go on after some tokens."""

    def __init__(self, num_tokens: int) -> None:
        self.num_left = num_tokens

    def bitmask(self) -> np.ndarray:
        if self.num_left == 0:
            raise StructuredOutputError("it grew too large")
        return np.full(2, -1, dtype=np.int32)

    def advance(self, token_id: int) -> None:
        self.num_left -= 1


@pytest.mark.parametrize("num_tokens", [0, 2])
def test_a_grammar_that_cannot_go_on_ends_its_request_with_an_error_and_alone(
    core: EngineCore, num_tokens: int
) -> None:
    _add(core, "large", [5]).matcher = FailingMatcher(num_tokens)  # type: ignore[assignment]
    _add(core, "fine", [20])
    outputs = _run(core)
    *before, failed = [output for output in outputs if output.request_id == "large"]
    assert [_ids(output) for output in before] == [[6], [7]][:num_tokens]
    assert (failed.finish_reason, failed.tokens, failed.stop_reason) == (FinishReason.ERROR, (), "it grew too large")
    assert [_ids(output) for output in outputs if output.request_id == "fine"] == [[21], [22], [23]]
    assert core.scheduler.kv_cache_usage == 0.0


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_a_step_that_breaks_off_costs_no_request_anything_but_time(
    failure: BaseException, core: EngineCore, runner: CountingRunner
) -> None:
    for request_id, start in (("a", 0), ("b", 20)):
        _add(core, request_id, list(range(start, start + 6)))
    outputs = core.step()
    runner.failure = failure
    with pytest.raises(type(failure)):
        core.step()
    assert core.scheduler.kv_cache_usage == 0.0
    runner.failure = None
    core.finish_request("b", FinishReason.ABORT)
    outputs += _run(core)
    assert [_ids(output) for output in outputs if output.request_id == "a"] == [[6], [7], [8]]
    core.scheduler.kv_cache_manager.check_invariants()


def test_prompt_logprobs_come_once_each_however_the_prompt_is_cut(core: EngineCore) -> None:
    _add(core, "a", list(range(20)), prompt_logprobs=0)
    told = [entry for output in _run(core) for entry in output.prompt_logprobs]
    assert [next(iter(entry)) for entry in told] == list(range(1, 20))
    assert all(entry[token_id].rank == 1 for token_id, entry in enumerate(told, start=1))


def test_a_pooling_request_gets_the_hidden_state_of_its_last_token(core: EngineCore) -> None:
    request = Request(request_id="p", prompt_token_ids=list(range(17)), sampling_params=None, max_tokens=0)
    core.add_request(CoreRequest(request, pooling_params=PoolingParams(normalize=False)))
    _add(core, "a", [30])
    [pooled] = [output for output in _run(core) if output.request_id == "p"]
    assert pooled.pooled == (16.0,)
    assert pooled.tokens == ()


def test_several_tokens_of_a_step_are_taken_up_to_the_one_that_ends_the_request(scheduler: Scheduler) -> None:
    core = EngineCore(scheduler, HastyExecutor())
    _add(core, "length", [10, 11], max_tokens=5)
    _add(core, "stop", [20, 21], max_tokens=9, stop_token_ids=[26])
    told: dict[str, list[RequestUpdate]] = {"length": [], "stop": []}
    for update in _run(core):
        told[update.request_id].append(update)
    assert [_ids(update) for update in told["length"]] == [[12, 13, 14], [15, 16]]
    assert told["length"][-1].finish_reason is FinishReason.LENGTH
    assert [_ids(update) for update in told["stop"]] == [[22, 23, 24], [25, 26]]
    assert told["stop"][-1][2:4] == (FinishReason.STOP, 26)
    assert scheduler.kv_cache_usage == 0.0


def test_of_several_tokens_the_last_is_fed_with_those_that_are_not_computed_yet(scheduler: Scheduler) -> None:
    core = EngineCore(scheduler, HastyExecutor())
    request = _add(core, "a", [10, 11], max_tokens=9).request
    core.step()
    assert (request.num_computed_tokens, request.num_tokens) == (2, 5)
    core.step()
    assert (request.num_computed_tokens, request.num_tokens) == (5, 8)


def test_a_request_whose_token_its_grammar_refuses_ends_alone_and_says_why(core: EngineCore) -> None:
    class Refusing:
        """A grammar that lets anything be sampled and takes nothing."""

        def bitmask(self) -> np.ndarray:
            return np.full(2, -1, dtype=np.int32)

        def advance(self, token_id: int) -> None:
            raise StructuredOutputError(f"token {token_id} does not fit")

    _add(core, "odd", [5]).matcher = Refusing()  # type: ignore[assignment]
    _add(core, "fine", [20])
    outputs = _run(core)
    [failed] = [output for output in outputs if output.request_id == "odd"]
    assert failed == RequestUpdate("odd", (), FinishReason.ERROR, "token 6 does not fit")
    assert [_ids(output) for output in outputs if output.request_id == "fine"] == [[21], [22], [23]]


def test_a_mask_decides_what_is_sampled(core: EngineCore) -> None:
    class Only:
        """A grammar of one token, again and again."""

        def bitmask(self) -> np.ndarray:
            return np.array([1 << 9, 0], dtype=np.int32)

        def advance(self, token_id: int) -> None:
            assert token_id == 9

    _add(core, "a", [5]).matcher = Only()  # type: ignore[assignment]
    assert [_ids(output) for output in _run(core)] == [[9], [9], [9]]


def test_the_first_step_of_a_request_is_noted_by_the_clock_that_was_given(scheduler: Scheduler) -> None:
    ticks = iter(range(100, 200))
    core = EngineCore(scheduler, HastyExecutor(), clock=lambda: float(next(ticks)))
    first = _add(core, "a", [10], max_tokens=9)
    core.step()
    second = _add(core, "b", [10])
    core.step()
    assert (first.first_scheduled_time, second.first_scheduled_time) == (100.0, 101.0)


def test_recorded_plans_replay_on_a_fresh_runner_to_the_same_logits(make_llm: Callable[..., LLM]) -> None:
    """The runner needs to know nothing that is not in the message."""
    engine = make_llm().llm_engine
    runner = engine.core.executor.runner  # type: ignore[attr-defined]
    plans, outputs = [], []
    execute = runner.execute

    def record(plan: SchedulerOutput, *, best_only: bool) -> ModelOutput:
        assert not best_only, "these draw"
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


class FailingRanks:
    """Behind a worker: ranks that end in the steps with these numbers."""

    def __init__(self, worker: Worker, *broken: int) -> None:
        self._worker, self._broken = worker, broken
        self.num_steps = self.num_restarts = 0
        self.has_ended = self.is_closed = False

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        self.num_steps += 1
        self.has_ended = self.has_ended or self.num_steps in self._broken
        if self.has_ended:
            raise EngineDeadError("a rank has ended")
        return self._worker.execute(plan, rows)

    def restart(self) -> None:
        self.num_restarts, self.has_ended = self.num_restarts + 1, False

    def watch(self, told: Callable[[Exception], None]) -> None:
        raise NotImplementedError

    def close(self, reason: str = "") -> None:
        self.is_closed = True


def _run_with_recovery(core: EngineCore) -> tuple[list[RequestUpdate], list[str]]:
    outputs, lost = [], []
    while core.has_unfinished_requests():
        try:
            outputs += core.step()
        except EngineDeadError as error:
            lost += core.give_up()
            core.recover(error)
    return outputs, lost


def test_what_ranks_held_is_computed_anew_and_told_once(scheduler: Scheduler, runner: CountingRunner) -> None:
    ranks = FailingRanks(Worker(runner), 3)  # type: ignore[arg-type]
    core = EngineCore(scheduler, ranks)
    first = _add(core, "a", [5, 6, 7, 8, 9], max_tokens=4)
    outputs, lost = _run_with_recovery(core)
    assert [token for update in outputs for token in _ids(update)] == [10, 11, 12, 13]
    assert (lost, ranks.num_restarts, first.request.num_preemptions) == ([], 1, 1)
    ranks.has_ended = True  # nothing runs
    core.recover(EngineDeadError("a rank has ended"))
    again = _add(core, "b", [5, 6, 7, 8, 9], max_tokens=4)
    _run(core)
    assert again.request.num_cached_tokens == 0, "new ranks have computed nothing yet"
    core.close()
    assert ranks.is_closed


def test_requests_in_two_broken_steps_without_a_token_between_are_given_up(
    scheduler: Scheduler, runner: CountingRunner
) -> None:
    core = EngineCore(scheduler, FailingRanks(Worker(runner), 2, 4, 5))  # type: ignore[arg-type]
    _add(core, "a", [5, 6, 7], max_tokens=8)
    told = []
    for is_broken in (False, True, False, True):
        if is_broken:
            with pytest.raises(EngineDeadError) as raised:
                core.step()
            assert core.give_up() == []
            core.recover(raised.value)
        else:
            told += [token for update in core.step() for token in _ids(update)]
    assert told == [8, 9]
    _add(core, "b", [15, 16, 17])
    outputs, lost = _run_with_recovery(core)
    assert lost == ["a"]
    assert [(update.request_id, *_ids(update)) for update in outputs] == [("b", 18), ("b", 19), ("b", 20)]
    scheduler.kv_cache_manager.check_invariants()


def test_whoever_was_only_in_the_same_steps_is_not_given_up(scheduler: Scheduler, runner: CountingRunner) -> None:
    """Ranks end in every step with "poison"; the others were in the first of these with it."""
    ranks = FailingRanks(Worker(runner))  # type: ignore[arg-type]
    execute = ranks.execute

    def poisoned(plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        ranks.has_ended = any(entry.request_id == "poison" for entry in plan.scheduled)
        return execute(plan, rows)

    ranks.execute = poisoned  # type: ignore[method-assign]
    core = EngineCore(scheduler, ranks)
    for name, prompt in (("a", [5, 6, 7]), ("poison", [8, 9]), ("b", [15, 16, 17])):
        _add(core, name, prompt)
    outputs, lost = _run_with_recovery(core)
    assert lost == ["poison"]
    assert ranks.num_restarts == 2
    told = {name: [t for each in outputs if each.request_id == name for t in _ids(each)] for name in ("a", "b")}
    assert told == {"a": [8, 9, 10], "b": [18, 19, 20]}
    scheduler.kv_cache_manager.check_invariants()


def test_an_executor_without_ranks_cannot_be_brought_back(core: EngineCore) -> None:
    error = EngineDeadError("it broke")
    with pytest.raises(EngineDeadError) as raised:
        core.recover(error)
    assert raised.value is error
