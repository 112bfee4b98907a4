"""The loop of the engine's process, driven by hand: when departures and arrivals take effect."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from pagoda.engine.execution.frames import LENGTH, frame, revive
from pagoda.engine.process.engine_process import EngineProcess
from pagoda.engine.process.messages import (
    Abort,
    Accepted,
    Add,
    Refused,
    Stepped,
    StepStats,
    pack,
    refusal,
    unpack,
)
from pagoda.errors import EngineDeadError, InvalidParameterError, MissingExtraError, PagodaError
from pagoda.llm import LLM
from pagoda.sampling_params import RequestOutputKind, SamplingParams

PARAMS = SamplingParams(max_tokens=20, ignore_eos=True, output_kind=RequestOutputKind.DELTA)


def _add(request_id: str, token_ids: list[int] | None = None) -> Add:
    return Add(request_id, token_ids or [5, 6, 7], PARAMS, 0, None)


class Script:
    """A server that answers each message of the engine's by the next of its own."""

    def __init__(self, llm: LLM, *first: Any) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.heard: list[Any] = []
        self.on_step: Callable[[Stepped], None] = lambda message: None
        self.process = EngineProcess(llm.llm_engine, self.inbox, self._hear)
        for message in first:
            self.send(message)

    def send(self, message: Any) -> None:
        self.inbox.put(self.process.prepared(message))

    def _hear(self, data: bytes) -> None:
        message = pickle.loads(data[LENGTH.size :])
        self.heard.append(message)
        if isinstance(message, Stepped):
            self.on_step(message)

    def steps(self) -> list[Stepped]:
        return [message for message in self.heard if isinstance(message, Stepped)]

    def figures(self) -> list[StepStats]:
        return [step for message in self.steps() for step in message.steps]


def test_a_departure_takes_effect_before_the_next_step(llm: LLM, assert_idle: Callable[[LLM], None]) -> None:
    script = Script(llm, _add("a"), _add("b"))

    def leave(message: Stepped) -> None:
        if len(script.steps()) == 3:
            script.send(Abort("a"))
        if len(script.steps()) == 5:
            script.send(Abort("b"))
        if message.steps[-1].stats.num_running == 0:
            script.send(None)

    script.on_step = leave
    script.process.run()
    assert [step.stats.num_running for step in script.figures()] == [2, 2, 2, 1, 1, 0]
    assert script.figures()[-1].stats.kv_cache_usage == 0.0
    assert_idle(llm)


def test_a_request_that_leaves_before_it_is_looked_at_never_runs(llm: LLM) -> None:
    script = Script(llm, _add("a"), Abort("a"), None)
    script.process.run()
    assert not [message for message in script.heard if isinstance(message, Accepted)]


def test_each_arrival_is_answered_and_a_bad_one_alone_is_refused(llm: LLM, assert_idle: Callable[[LLM], None]) -> None:
    script = Script(llm, _add("a"), _add("bad", [10**6]), _add("b"))
    script.on_step = lambda message: script.send(None) if message.steps[-1].stats.num_running == 0 else None
    script.process.run()
    assert [m.request_id for m in script.heard if isinstance(m, Accepted)] == ["a", "b"]
    (refused,) = [message for message in script.heard if isinstance(message, Refused)]
    assert (refused.request_id, refused.kind, refused.param) == ("bad", "InvalidParameterError", "prompt_token_ids")
    assert sum(step.num_tokens for step in script.figures()) == 2 * (3 + 19)
    assert_idle(llm)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidParameterError("n is 0", param="n"), InvalidParameterError),
        (MissingExtraError("x", "server"), MissingExtraError),
        (PagodaError("plain"), PagodaError),
    ],
)
def test_an_error_is_the_same_on_the_other_side(error: PagodaError, kind: type[PagodaError]) -> None:
    sent = pickle.loads(frame(refusal("a", error))[LENGTH.size :])
    revived = revive(sent.kind, sent.message, sent.param)
    assert type(revived) is kind
    assert (str(revived), getattr(revived, "param", None)) == (str(error), getattr(error, "param", None))


def test_an_error_that_is_not_ours_becomes_a_dead_engine() -> None:
    assert isinstance(revive("RuntimeError", "out of memory"), EngineDeadError)
    assert isinstance(revive("nearest", "a function, not an error"), EngineDeadError)


def test_outputs_survive_the_way(llm: LLM) -> None:
    (output,) = llm.generate("Once", SamplingParams(max_tokens=5, logprobs=2, prompt_logprobs=1, n=2), use_tqdm=False)
    assert unpack(pickle.loads(pickle.dumps(pack(output))), output.prompt, output.prompt_token_ids) == output


def test_a_step_with_nothing_but_figures_waits_for_company_and_no_figure_is_lost(make_llm: Callable[..., LLM]) -> None:
    llm = make_llm(max_outputs_per_s=0.001)  # so that only the first and the last output are due
    script = Script(llm, _add("a"))
    script.on_step = lambda message: script.send(None) if message.steps[-1].stats.num_running == 0 else None
    script.process.run()
    told = [unpack(packed, None, []) for message in script.steps() for packed in message.outputs]
    assert [len(output.outputs[0].token_ids) for output in told] == [1, 19]
    assert sum(step.num_tokens for step in script.figures()) == 3 + 19
    assert len(script.steps()) < len(script.figures())
