"""The engine in its own process: streams, refusals, departures, overload, and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import RequestOutput
from pagoda.engine.process.async_engine import AsyncEngine, EngineState, RequestStream
from pagoda.errors import (
    CheckpointError,
    EngineDeadError,
    EngineOverloadedError,
    InvalidParameterError,
    InvalidRequestError,
    PromptTooLongError,
)
from pagoda.kernels.select import native_is_built
from pagoda.llm import LLM
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams
from patience import HANG_S

PROMPT = "Once upon a time there was"
LONG = SamplingParams(max_tokens=250, ignore_eos=True, seed=1)
Scenario = Callable[[AsyncEngine], Awaitable[None]]


@pytest.fixture
def run(checkpoint: Callable[..., Path]) -> Callable[..., None]:
    """`run(scenario, **settings)`: a scenario against an engine process of its own."""

    def run_one(scenario: Scenario, **settings: Any) -> None:
        async def main() -> None:
            async with _engine(checkpoint(), **settings) as engine:
                await scenario(engine)

        asyncio.run(asyncio.wait_for(main(), HANG_S))

    return run_one


@asynccontextmanager
async def _engine(
    path: Path, *, max_num_seqs: int = 8, num_ranks: int = 1, **settings: Any
) -> AsyncIterator[AsyncEngine]:
    args = EngineArgs(
        model=path,
        num_gpu_blocks_override=256,
        max_num_seqs=max_num_seqs,
        tensor_parallel_size=num_ranks,
        device="cpu",
        disable_log_stats=True,
    )
    engine = AsyncEngine(args, **settings)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


async def _all(stream: RequestStream) -> list[RequestOutput]:
    return [output async for output in stream]


def _text(outputs: list[RequestOutput], index: int = 0) -> str:
    return "".join(part.text for output in outputs for part in output.outputs if part.index == index)


def _num_tokens(outputs: list[RequestOutput]) -> int:
    return sum(len(part.token_ids) for output in outputs for part in output.outputs)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_its_streams_join_to_what_the_offline_engine_gives(run: Callable[..., None], llm: LLM) -> None:
    params = [SamplingParams(max_tokens=40, seed=seed, temperature=1.0, ignore_eos=True) for seed in range(4)]
    expected = [output.outputs[0].text for output in llm.generate([PROMPT] * 4, params, use_tqdm=False)]

    async def scenario(engine: AsyncEngine) -> None:
        streams = [await engine.add_request(str(i), PROMPT, p) for i, p in enumerate(params)]
        outputs = await asyncio.gather(*map(_all, streams))
        assert [_text(each) for each in outputs] == expected
        assert all(each[-1].finished and each[-1].outputs[-1].finish_reason == "length" for each in outputs)
        assert all(each[0].metrics is not None and each[0].metrics.first_scheduled_time for each in outputs)
        assert engine.num_live_requests == 0

    run(scenario)


def test_a_slow_reader_gets_everything_merged_and_one_at_the_end_gets_all(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        params = SamplingParams(max_tokens=30, temperature=0, ignore_eos=True, logprobs=2, n=2)
        whole = await _all(
            await engine.add_request("w", PROMPT, params.clone(output_kind=RequestOutputKind.FINAL_ONLY))
        )
        slow = await engine.add_request("s", PROMPT, params)
        await _until(lambda: engine.num_live_requests == 0)
        outputs = await _all(slow)
        assert len(outputs) == len(whole) == 1
        assert outputs[0].outputs == whole[0].outputs
        assert [part.index for part in outputs[0].outputs] == [0, 1]
        assert len(outputs[0].outputs[1].logprobs or ()) == 30

    run(scenario)


def test_what_cannot_be_served_is_refused_and_leaves_the_others_alone(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        running = await engine.add_request("running", PROMPT, LONG)
        with pytest.raises(InvalidRequestError, match="in use"):  # at once: it may end while others are refused
            await engine.add_request("running", PROMPT, SamplingParams())
        with pytest.raises(InvalidParameterError, match="prompt_token_ids holds 99999") as refused:
            await engine.add_request("a", {"prompt_token_ids": [99999]}, SamplingParams())
        assert refused.value.param == "prompt_token_ids"
        with pytest.raises(PromptTooLongError, match="maximum context length is 320 tokens"):
            await engine.add_request("b", {"prompt_token_ids": [5] * 400}, SamplingParams())
        with pytest.raises(InvalidRequestError, match="the prompt is empty"):
            await engine.add_request("c", "", SamplingParams())
        with pytest.raises(InvalidParameterError, match="dimensions is 4000"):
            await engine.embed("d", PROMPT, PoolingParams(dimensions=4000))
        assert len((await _all(running))[-1].outputs) == 1
        assert engine.num_live_requests == 0

    run(scenario)


def test_leaving_a_stream_frees_its_blocks_and_leaves_the_others_alone(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        left = await engine.add_request("left", PROMPT, LONG)
        stayed = await engine.add_request("stayed", PROMPT, LONG)
        async with left:
            await anext(left)
        assert _num_tokens(await _all(stayed)) == 250
        await _until(lambda: engine.stats.kv_cache_usage == 0.0)
        with pytest.raises(StopAsyncIteration):
            await anext(left)

    run(scenario)


def test_leaving_while_waiting_takes_the_request_out_of_the_queue(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        running = await engine.add_request("running", PROMPT, LONG)
        waiting = await engine.add_request("waiting", PROMPT, LONG)
        await anext(running)
        await _until(lambda: engine.stats.num_waiting == 1)
        waiting.abort()
        await _until(lambda: engine.stats.num_waiting == 0)
        assert engine.stats.num_running == 1
        running.abort()
        await _until(lambda: engine.stats.num_running == 0)

    run(scenario, max_num_seqs=1)


def test_a_full_queue_refuses_and_says_when_to_come_back(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        streams = [await engine.add_request(str(i), PROMPT, LONG) for i in range(3)]
        with pytest.raises(EngineOverloadedError, match="3 sequences run or wait and at most 3 may") as refused:
            await engine.add_request("more", PROMPT, LONG)
        assert 1.0 <= refused.value.retry_after_s <= 60.0
        streams[0].abort()
        await _all(await engine.add_request("now", PROMPT, SamplingParams(max_tokens=2)))

    run(scenario, max_num_seqs=1, max_num_waiting=2)


def test_when_the_process_is_killed_it_comes_back_for_those_whose_answers_had_not_begun(
    run: Callable[..., None], llm: LLM
) -> None:
    whole = LONG.clone(output_kind=RequestOutputKind.FINAL_ONLY)
    expected = llm.generate(PROMPT, LONG, use_tqdm=False)[0].outputs[0].text
    vector = llm.embed(PROMPT, use_tqdm=False)[0].outputs.embedding

    async def scenario(engine: AsyncEngine) -> None:
        streams = [await engine.add_request(str(i), PROMPT, LONG) for i in range(2)]
        for stream in streams:
            await anext(stream)
        silent = await engine.add_request("silent", PROMPT, whole)
        lost = engine.info.pid
        os.kill(lost, signal.SIGSTOP)  # so that it has no time for what comes now
        left = asyncio.create_task(engine.embed("left", PROMPT, PoolingParams()))
        embedded = asyncio.create_task(engine.embed("embedded", PROMPT, PoolingParams()))
        new = asyncio.create_task(engine.add_request("new", PROMPT, LONG))
        await asyncio.sleep(0)
        left.cancel()
        os.kill(lost, signal.SIGKILL)
        results = await asyncio.gather(*map(_all, streams), return_exceptions=True)
        assert all(isinstance(result, EngineDeadError) for result in results)
        assert "killed by signal 9" in str(results[0])
        assert [_text(await _all(each)) for each in (silent, await new)] == [expected] * 2
        assert (await embedded).outputs.embedding == vector
        assert engine.state is EngineState.READY
        assert engine.num_live_requests == 0
        assert engine.info.pid != lost
        assert engine.num_restarts == 1
        assert len(await _all(await engine.add_request("again", PROMPT, SamplingParams(max_tokens=3)))) >= 1

    run(scenario)


def test_a_request_with_which_two_processes_died_is_given_up(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        silent = await engine.add_request("a", PROMPT, LONG.clone(output_kind=RequestOutputKind.FINAL_ONLY))
        for num_restarts in range(2):
            await _until(lambda: engine.num_restarts == num_restarts and engine.state is EngineState.READY)  # noqa: B023
            os.kill(engine.info.pid, signal.SIGKILL)
        with pytest.raises(EngineDeadError, match="killed by signal 9"):
            await _all(silent)
        await _until(lambda: engine.state is EngineState.READY)

    run(scenario)


def _children(pid: int) -> list[int]:
    """Of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.skipif(not native_is_built() or not Path("/proc/self/task").is_dir(), reason="no library, or no /proc")
def test_when_a_rank_is_killed_the_process_brings_it_back_and_all_answers_go_on(
    run: Callable[..., None], llm: LLM
) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        process, ranks = engine.info.pid, _children(engine.info.pid)
        assert len(ranks) == 2
        expected = _text(await _all(await engine.add_request("undisturbed", PROMPT, LONG)))
        stream = await engine.add_request("told", PROMPT, LONG)
        first = await anext(stream)
        os.kill(ranks[1], signal.SIGKILL)
        assert _text([first, *await _all(stream)]) == expected
        assert (engine.num_restarts, engine.state, engine.info.pid) == (1, EngineState.READY, process)
        assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
        os.kill(_children(process)[0], signal.SIGKILL)  # nothing runs
        await _until(lambda: engine.state is EngineState.RESTARTING)
        with pytest.raises(EngineDeadError, match="restarting"):
            await engine.add_request("too early", PROMPT, LONG)
        await _until(lambda: engine.state is EngineState.READY)
        assert _text(await _all(await engine.add_request("again", PROMPT, LONG))) == expected
        assert engine.num_restarts == 2

    run(scenario, num_ranks=2)


@pytest.mark.skipif(not native_is_built() or not Path("/proc/self/task").is_dir(), reason="no library, or no /proc")
def test_ranks_that_end_too_often_are_given_up_with_their_process(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        stream = await engine.add_request("a", PROMPT, LONG)
        os.kill(_children(engine.info.pid)[1], signal.SIGKILL)
        with pytest.raises(EngineDeadError, match="rank 1 was killed by signal 9"):
            await _all(stream)
        assert engine.state is EngineState.DEAD

    run(scenario, num_ranks=2, max_restarts=0)


def test_a_process_that_dies_too_often_is_given_up(run: Callable[..., None]) -> None:
    async def scenario(engine: AsyncEngine) -> None:
        os.kill(engine.info.pid, signal.SIGKILL)
        await asyncio.wait_for(engine.dead.wait(), HANG_S)
        assert engine.state is EngineState.DEAD
        with pytest.raises(EngineDeadError, match="the engine is dead"):
            await engine.add_request("a", PROMPT, LONG)

    run(scenario, max_restarts=0)


def test_what_keeps_the_model_from_loading_is_raised_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        engine = AsyncEngine(EngineArgs(model=tmp_path, disable_log_stats=True))
        with pytest.raises(CheckpointError, match=r"config\.json"):
            await engine.start()
        assert engine.state is EngineState.DEAD

    asyncio.run(main())


def test_the_process_ends_when_the_server_is_gone(checkpoint: Callable[..., Path]) -> None:
    async def main() -> None:
        async with _engine(checkpoint()) as engine:
            process = engine._process
            assert process is not None
            stream = await engine.add_request("a", PROMPT, LONG)
            await anext(stream)
        assert process.poll() == 0
        with pytest.raises(EngineDeadError, match="stopped"):
            await _all(stream)

    asyncio.run(main())


def test_scoring_a_prompt_needs_no_new_token_and_embeddings_come_as_offline(run: Callable[..., None], llm: LLM) -> None:
    vector = llm.embed(PROMPT, use_tqdm=False)[0].outputs.embedding

    async def scenario(engine: AsyncEngine) -> None:
        (output,) = await _all(await engine.add_request("a", PROMPT, SamplingParams(max_tokens=0, prompt_logprobs=1)))
        assert output.outputs[0].token_ids == ()
        assert output.prompt_logprobs is not None
        assert len(output.prompt_logprobs) == len(output.prompt_token_ids)
        assert (await engine.embed("e", PROMPT, PoolingParams())).outputs.embedding == vector

    run(scenario)
