"""Ranks on a cluster of several nodes: the answers of one rank, and what becomes of them when one ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pagoda.engine.args import EngineArgs
from pagoda.errors import ConfigError, EngineDeadError
from pagoda.kernels.select import native_is_built
from pagoda.llm import LLM
from pagoda.sampling_params import RequestOutputKind, SamplingParams
from patience import until
from ray_cluster import add_node, cluster_of, kill_node

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
PROMPTS = ["Once upon a time there was", "She put 17 apples " * 12]
GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
MakeLLM = Callable[..., LLM]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Nodes of 1, 2 and 1 CPUs: two ranks of a stage share memory on the second, everything else crosses nodes."""
    with cluster_of([1, 2, 1]) as nodes:
        yield nodes


def _expected(make_llm: MakeLLM) -> list[Sequence[int]]:
    return [each.outputs[0].token_ids for each in make_llm(dtype="float32").generate(PROMPTS, GREEDY)]


def _nodes(llm: LLM) -> list[str]:
    return [each.node for each in llm.llm_engine.core.executor.actors.whereabouts]  # type: ignore[attr-defined]


def _are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in pids)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _all_is_free() -> bool:
    import ray

    return ray.available_resources().get("CPU") == ray.cluster_resources().get("CPU")


def test_answers_over_three_nodes_are_those_of_one_rank(cluster: Any, make_llm: MakeLLM) -> None:
    from pagoda.engine.cluster.rank_actors import placed

    divided = {"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "distributed_executor_backend": "ray"}
    llm = make_llm(dtype="float32", **divided)
    executor: Any = llm.llm_engine.core.executor
    assert len(set(_nodes(llm))) == 3
    assert [each.outputs[0].token_ids for each in llm.generate(PROMPTS, GREEDY)] == _expected(make_llm)
    executor.close()
    until(lambda: _are_gone(executor.pids) and _all_is_free())
    with pytest.raises(EngineDeadError, match="the engine was closed"):
        llm.generate(PROMPTS[0], GREEDY)
    with pytest.raises(ConfigError, match=r"the ranks need 64 CPUs, .* lower tensor_parallel_size"):
        placed(64, 0.1)


def test_a_request_goes_on_where_a_rank_is_killed(cluster: Any, make_llm: MakeLLM) -> None:
    llm = make_llm(dtype="float32", tensor_parallel_size=2, distributed_executor_backend="ray")
    executor: Any = llm.llm_engine.core.executor
    pids = executor.pids
    assert len(set(_nodes(llm))) == 1
    stream = llm.stream(PROMPTS[0], GREEDY)
    next(stream)
    os.kill(pids[1], signal.SIGKILL)
    *_, last = stream
    assert last.outputs[0].token_ids == _expected(make_llm)[0]
    until(lambda: _are_gone(pids))
    executor.close()
    until(lambda: _are_gone(executor.pids) and _all_is_free())


@pytest.mark.parametrize("has_room", [True, False])
def test_requests_go_on_where_a_node_is_killed(cluster: Any, make_llm: MakeLLM, has_room: bool) -> None:
    """What had ended, what had begun and what waited. Without room elsewhere, as soon as another node has joined."""
    params = [GREEDY.clone(max_tokens=count) for count in (4, 40, 24, 4)]
    prompts = [PROMPTS[number % 2] + str(number) for number in range(4)]
    expected = [each.outputs[0].token_ids for each in make_llm(dtype="float32").generate(prompts, params)]
    llm = make_llm(dtype="float32", tensor_parallel_size=2, distributed_executor_backend="ray", max_num_seqs=3)
    executor: Any = llm.llm_engine.core.executor
    pids, nodes = executor.pids, set(_nodes(llm))
    assert len(nodes) == 1 if has_room else 2
    stream = llm.stream(prompts[1], params[1].clone(output_kind=RequestOutputKind.CUMULATIVE))
    llm.enqueue([prompts[0], *prompts[2:]], [params[0], *params[2:]])
    for _ in range(8):
        next(stream)
    killed = next(each for each in cluster.worker_nodes if each.node_id in nodes)
    lost = [pid for pid, node in zip(pids, _nodes(llm), strict=True) if node == killed.node_id]
    kill_node(cluster, killed)
    until(lambda: _are_gone(lost))  # a node's workers outlive it by a moment, in which they could end all requests
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: ([*stream][-1], llm.wait_for_completion()))
        if not has_room:
            add_node(cluster, 1)  # in this thread: Ray sets signal handlers
        last, ended = waiting.result()
    others = [each.outputs[0].token_ids for each in ended]
    assert [others[0], last.outputs[0].token_ids, *others[1:]] == expected
    assert set(_nodes(llm)) != nodes
    until(lambda: _are_gone(pids))
    executor.close()
    until(lambda: _are_gone(executor.pids) and _all_is_free())


def test_an_address_where_nobody_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from pagoda.engine.cluster import rank_actors

    monkeypatch.setattr(rank_actors.ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS=127\.0\.0\.1:1 .*start one with `ray start --head`"):
        rank_actors.connect()


def test_one_rank_may_be_an_actor_too() -> None:
    assert EngineArgs(distributed_executor_backend="ray").is_parallel
