"""An engine whose ranks are processes: the same answers as one, and what becomes of requests when a rank ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch

from pagoda.engine.args import EngineArgs
from pagoda.engine.build_executor import build_executor
from pagoda.engine.execution import multiprocess, rank_processes
from pagoda.engine.execution.frames import frame
from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.execution.multiprocess import MultiprocessExecutor
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.errors import CheckpointError, EngineDeadError
from pagoda.kernels.select import native_is_built, select_kernels
from pagoda.llm import LLM
from pagoda.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from patience import HANG_S, until
from thread_ranks import plan_of

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
PROMPTS = ["Once upon a time there was", "The old man", "从前有一只", "She put 17 apples"]
ASKED = [
    SamplingParams(temperature=0, max_tokens=12, ignore_eos=True),
    SamplingParams(temperature=0.8, top_p=0.9, seed=7, max_tokens=12, ignore_eos=True, logprobs=2),
    SamplingParams(temperature=0, max_tokens=8, repetition_penalty=1.3, bad_words=["fox"], prompt_logprobs=1),
    SamplingParams(temperature=0, max_tokens=12, structured_outputs=StructuredOutputsParams(choice=["fox", "moon"])),
]


def _executor(llm: LLM) -> MultiprocessExecutor:
    executor = llm.llm_engine.core.executor
    assert isinstance(executor, MultiprocessExecutor)
    return executor


def _are_gone(pids: list[int]) -> bool:
    """Ended; one whose parent is gone may wait for a while until somebody reaps it."""
    return not any(_is_running(pid) for pid in pids)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.is_file() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


IN_BYTES = {"quantization": "int8", "kv_cache_dtype": "int8", "fixed_reduction_tree": True}
DIVIDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "2 ranks": ({"tensor_parallel_size": 2}, {}),
    "2 stages": ({"pipeline_parallel_size": 2}, {}),
    "2 x 2, in bytes": ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, IN_BYTES),
}
"""How a model is divided, and what else is set, on one rank as well."""


@pytest.fixture(scope="module", params=DIVIDED)
def divided(request: pytest.FixtureRequest, make_llm: Callable[..., LLM]) -> Iterator[LLM]:
    ranks, others = DIVIDED[request.param]
    speculative = {"method": "ngram", "num_speculative_tokens": 3}
    llm = make_llm(dtype="float32", **ranks, **others, speculative_config=speculative)
    pids = _executor(llm).pids
    yield llm
    _executor(llm).close()
    assert _are_gone(pids)


def test_answers_are_those_of_one_rank(divided: LLM, make_llm: Callable[..., LLM]) -> None:
    others = IN_BYTES if divided.llm_engine.parts.args.fixed_reduction_tree else {}
    one = make_llm(dtype="float32", **others)
    for told, expected in zip(divided.generate(PROMPTS, ASKED), one.generate(PROMPTS, ASKED), strict=True):
        assert told.outputs[0].token_ids == expected.outputs[0].token_ids
        assert told.outputs[0].text == expected.outputs[0].text
        assert [*map(set, told.outputs[0].logprobs or [])] == [*map(set, expected.outputs[0].logprobs or [])]
    vectors = [llm.embed(PROMPTS[0])[0].outputs.embedding for llm in (divided, one)]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)


def test_ctrl_c_leaves_the_ranks_ready_for_more(divided: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = _executor(divided)
    wait, calls = executor._wait_for, []

    def interrupted(*args: object) -> list[object]:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return wait(*args)  # type: ignore[arg-type]

    expected = divided.generate(PROMPTS[0], ASKED[0])[0].outputs[0].token_ids
    monkeypatch.setattr(executor, "_wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        divided.generate(PROMPTS[1], ASKED[0])
    assert divided.generate(PROMPTS[0], ASKED[0])[0].outputs[0].token_ids == expected


def test_ctrl_c_between_two_ranks_ends_them_all(make_llm: Callable[..., LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    executor = _executor(make_llm(dtype="float32", pipeline_parallel_size=2))
    send = executor._send

    def interrupted(index: int, data: bytes) -> None:
        if index == 1:
            raise KeyboardInterrupt
        send(index, data)

    with monkeypatch.context() as patched:
        patched.setattr(executor, "_send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.execute(plan_of([([1, 2, 3], 0)]), StepRows())
    with pytest.raises(EngineDeadError, match="sent to some of the ranks"):
        executor.execute(plan_of([([4, 5, 6], 0)]), StepRows())
    assert _are_gone(executor.pids)


@pytest.fixture(scope="module")
def restarted(make_llm: Callable[..., LLM]) -> Iterator[LLM]:
    """Two ranks, whose end the tests cause again and again."""
    with make_llm(dtype="float32", tensor_parallel_size=2) as llm:
        yield llm


class _Huge:
    """More than there is memory for, once it has arrived."""

    def __reduce__(self) -> tuple[type[bytes], tuple[int]]:
        return bytes, (1 << 62,)


FAULTS: dict[str, tuple[Callable[[MultiprocessExecutor], object], str]] = {
    "the first is killed": (lambda ranks: os.kill(ranks.pids[0], signal.SIGKILL), "rank 0 was killed by signal 9"),
    "the second is killed": (lambda ranks: os.kill(ranks.pids[1], signal.SIGKILL), "rank 1 was killed by signal 9"),
    "one is stopped": (lambda ranks: os.kill(ranks.pids[1], signal.SIGSTOP), "rank 1 was stopped"),
    "an exception": (lambda ranks: ranks._send(1, frame("no step")), "'str' object has no attribute 'rows'"),
    "out of memory": (lambda ranks: ranks._send(0, frame(_Huge())), "MemoryError"),
}
"""What happens to a rank, and what of it is in the log."""


@pytest.mark.parametrize("fault", FAULTS)
def test_requests_go_on_with_new_ranks(fault: str, restarted: LLM, caplog: pytest.LogCaptureFixture) -> None:
    """Those that have told something, those that wait, and those that come when ranks have ended in silence."""
    executor = _executor(restarted)
    params = [ASKED[1].clone(max_tokens=40), ASKED[0]]
    expected = [restarted.generate(PROMPTS[0], each)[0].outputs[0] for each in params]
    vector = restarted.embed(PROMPTS[2])[0].outputs.embedding
    pids, (cause, words) = executor.pids, FAULTS[fault]
    stream = restarted.stream(PROMPTS[0], params[0].clone(output_kind=RequestOutputKind.CUMULATIVE))
    restarted.enqueue(PROMPTS[0], params[1])
    next(stream)
    cause(executor)
    *_, last = stream
    assert last.outputs[0].token_ids == expected[0].token_ids
    assert last.outputs[0].text == expected[0].text
    assert restarted.wait_for_completion()[0].outputs[0].token_ids == expected[1].token_ids
    assert restarted.embed(PROMPTS[2])[0].outputs.embedding == vector
    assert _are_gone(pids)
    assert words in caplog.text


def test_a_request_under_which_ranks_end_twice_is_given_up(restarted: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = _executor(restarted)
    execute, calls = executor.execute, []

    def killed(plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        calls.append(plan)
        if len(calls) <= 2:
            os.kill(executor.pids[0], signal.SIGKILL)
        return execute(plan, rows)

    expected = [restarted.generate(prompt, ASKED[0])[0].outputs[0].token_ids for prompt in PROMPTS[:2]]
    monkeypatch.setattr(executor, "execute", killed)
    streams = [restarted.stream(prompt, ASKED[0]) for prompt in PROMPTS[:2]]
    with pytest.raises(EngineDeadError, match="rank 0 was killed by signal 9"):
        next(streams[0])
    assert [*streams[1]][-1].outputs[0].token_ids == expected[1]  # it was in the first of these steps alone
    assert restarted.generate(PROMPTS[0], ASKED[0])[0].outputs[0].token_ids == expected[0]


def test_ranks_that_end_are_told_to_who_watches_also_the_second_ones(restarted: LLM) -> None:
    executor, told = _executor(restarted), SimpleQueue[Exception]()
    executor.watch(told.put)
    for victim in (0, 1):
        os.kill(executor.pids[victim], signal.SIGKILL)
        assert f"rank {victim} was killed by signal 9" in str(told.get(timeout=HANG_S))
        executor.restart()
    executor.watch(lambda error: None)


def test_a_closed_llm_has_no_ranks_and_says_so(make_llm: Callable[..., LLM]) -> None:
    with make_llm(dtype="float32", pipeline_parallel_size=2) as llm:
        executor = _executor(llm)
        stream = llm.stream(PROMPTS[0], ASKED[0])
        next(stream)
    assert _are_gone(executor.pids)
    for call in (lambda: llm.generate(PROMPTS[0]), lambda: llm.embed(PROMPTS[0]), lambda: next(stream)):
        with pytest.raises(EngineDeadError, match="the engine was closed: make a new one"):
            call()
    llm.close()
    with pytest.raises(EngineDeadError, match="the engine was closed"):
        executor.restart()


def test_an_exception_in_a_rank_is_told_with_its_text(make_llm: Callable[..., LLM]) -> None:
    executor = _executor(make_llm(dtype="float32", tensor_parallel_size=2))
    plan = plan_of([([1, 2, 3], 0)])
    broken = plan.scheduled[0]._replace(block_ids=None)  # type: ignore[arg-type]
    with pytest.raises(EngineDeadError, match=r"rank [01] failed: \w+Error: "):
        executor.execute(plan.__class__(**{**vars(plan), "scheduled": (broken,)}), StepRows())
    assert _are_gone(executor.pids)


def test_a_rank_that_does_not_answer_is_noticed(make_llm: Callable[..., LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_processes, "_is_stopped", lambda pid: False)  # as where the system does not tell
    executor = _executor(make_llm(dtype="float32", tensor_parallel_size=2, distributed_timeout_seconds=0.3))
    os.kill(executor.pids[1], signal.SIGSTOP)
    with pytest.raises(EngineDeadError, match=r"no answer came within 0\.3 s"):
        executor.execute(plan_of([([1, 2, 3], 0)]), StepRows())
    assert _are_gone(executor.pids)


def test_what_a_rank_cannot_load_is_told_as_by_one(changed_checkpoint: Callable[..., object]) -> None:
    directory = changed_checkpoint(tie_word_embeddings=False, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"does not fit the model"):
        LLM(directory, tensor_parallel_size=2, device="cpu", num_gpu_blocks_override=64, disable_log_stats=True)  # type: ignore[arg-type]


def test_ranks_get_a_checkpoint_under_the_name_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's cache has links to files of other names, and of parts of a GGUF file the names count."""
    (tmp_path / "blob").touch()
    link = tmp_path / "model-00001-of-00002.gguf"
    link.symlink_to("blob")
    monkeypatch.setattr(multiprocess, "MultiprocessExecutor", lambda model, timeout_s: model)
    plan, kernels = MemoryPlan(0, 0, 16, 48, 192), select_kernels("native")
    args = EngineArgs(tensor_parallel_size=2)
    model: Any = build_executor(args, link, None, plan, "float32", torch.device("cpu"), kernels, None)  # type: ignore[arg-type]
    assert model.checkpoint == str(link)


def test_ranks_that_still_import_end_with_an_engine_that_is_killed() -> None:
    script = (
        "import os, time\nfrom pagoda.engine.execution.rank_processes import RankProcesses\n"
        "ranks = RankProcesses(2, os.open(os.devnull, os.O_RDWR))\n"
        "print(*[process.pid for process in ranks.processes], flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        pids = [int(pid) for pid in engine.stdout.readline().split()]
        engine.kill()
    assert len(pids) == 2
    until(lambda: _are_gone(pids))


def test_ranks_end_with_an_engine_that_is_killed_even_where_one_is_stopped(checkpoint: Callable[..., Path]) -> None:
    script = (
        "import sys, time\nfrom pagoda import LLM\n"
        f"llm = LLM({str(checkpoint())!r}, tensor_parallel_size=2, device='cpu', num_gpu_blocks_override=64)\n"
        "print(*llm.llm_engine.core.executor.pids, flush=True)\ntime.sleep(600)\n"
    )
    engine = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout is not None
        pids = [int(pid) for pid in engine.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(pids[1], signal.SIGSTOP)
    finally:
        engine.kill()
        engine.wait()
    until(lambda: _are_gone(pids))  # whoever inherits them reaps them
