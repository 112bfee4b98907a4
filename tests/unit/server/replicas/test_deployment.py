"""Replicas on a cluster of several nodes behind one address: routing, figures, a restart and a lost node under load."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from patience import HANG_S, until
from ray_cluster import add_node, cluster_of, kill_node

PROMPTS = [f"{opening} there lived a {who} who" for opening in ("Once", "Long ago") for who in ("fox", "king", "girl")]
NUM_CLIENTS = 3
STORY = "The little fox looked at the moon and the moon looked back at the little fox. " * 3


@dataclass
class Deployment:
    """What was deployed, and where it answers."""

    cluster: Any
    url: str
    restart: Callable[[], None]
    expected: dict[str, str] = field(default_factory=dict)

    @property
    def replicas(self) -> dict[str, float]:
        """Name of each that answers -> completions that it has ended."""
        page = httpx.get(f"{self.url}/metrics", timeout=HANG_S).text
        families = {family.name: family for family in text_string_to_metric_families(page)}
        ended: dict[str, float] = {}
        for each in families["pagoda:request_success"].samples:
            if each.name.endswith("_total"):
                ended[each.labels["replica"]] = ended.get(each.labels["replica"], 0) + each.value
        return ended


@pytest.fixture(scope="module")
def deployment(checkpoint: Callable[..., Path]) -> Iterator[Deployment]:
    """Two replicas, each on a node of its own; the head has room for neither."""
    with cluster_of([0, 1, 1]) as cluster:
        from pagoda.engine.args import EngineArgs
        from pagoda.server.config import ServerConfig
        from pagoda.server.replicas import run
        from pagoda.server.replicas.config import ReplicasConfig

        args = EngineArgs(checkpoint(), dtype="float32", device="cpu", num_gpu_blocks_override=256)
        config = ServerConfig(port=run.free_port("127.0.0.1"), access_log=False)
        wanted = ReplicasConfig(data_parallel_size=2, num_cpus_per_replica=1)
        run.connect()
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        try:
            url = run.start(args, config, wanted, lambda event, facts: None)
            deployed = Deployment(cluster, url, lambda: run.restart(args, config, wanted))
            deployed.expected = {prompt: _asked(url, prompt, stream=False) for prompt in PROMPTS}
            yield deployed
        finally:
            run.end(is_ours=False)


def _asked(url: str, prompt: str, *, stream: bool) -> str:
    """The text of an answer; for one that is none, what was told instead. A broken stream is no answer."""
    body = {"prompt": prompt, "max_tokens": 8, "temperature": 0, "ignore_eos": True, "stream": stream}
    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=HANG_S)
    if not stream or answer.status_code != 200:
        told = answer.json()
        return told["choices"][0]["text"] if answer.status_code == 200 else f"error: {told['error']['code']}"
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert events.count("[DONE]") == 1
    chunks = [json.loads(event) for event in events[:-1]]
    errors = [chunk["error"]["code"] for chunk in chunks if "error" in chunk]
    return f"error: {errors}" if errors else "".join(chunk["choices"][0]["text"] for chunk in chunks)


@contextmanager
def _load(deployment: Deployment) -> Iterator[list[tuple[str, str]]]:
    """Clients that ask again and again, every second time for a stream; (prompt, text) of all answers."""
    told: list[tuple[str, str]] = []
    over = threading.Event()

    def client(number: int) -> None:
        while not over.is_set():
            prompt = PROMPTS[(number := number + 1) % len(PROMPTS)]
            told.append((prompt, _asked(deployment.url, prompt, stream=number % 2 == 1)))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(NUM_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(told) > 10)
        yield told
        count = len(told)
        until(lambda: len(told) > count + 10)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_two_replicas_answer_as_one_server_does(deployment: Deployment) -> None:
    url = deployment.url
    assert _asked(url, PROMPTS[0], stream=True) == deployment.expected[PROMPTS[0]]
    assert httpx.get(f"{url}/health", timeout=HANG_S).json() == {"status": "ok"}
    assert httpx.get(f"{url}/v1/models", timeout=HANG_S).json()["data"][0]["object"] == "model"
    refused = httpx.post(f"{url}/v1/completions", json={"prompt": "x", "temperature": 9}, timeout=HANG_S)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")
    assert httpx.get(f"{url}/nothing", timeout=HANG_S).status_code == 404


def test_requests_that_begin_alike_meet_on_one_replica(deployment: Deployment) -> None:
    before = deployment.replicas
    assert len(before) == 2
    for _ in range(6):
        _asked(deployment.url, STORY, stream=False)
    after = deployment.replicas
    assert sorted(after[name] - before[name] for name in before) == [0, 6]


def test_a_rolling_restart_under_load_loses_repeats_and_alters_nothing(deployment: Deployment) -> None:
    before = set(deployment.replicas)
    with _load(deployment) as told:
        deployment.restart()
    assert [each for each in told if each[1] != deployment.expected[each[0]]] == []
    until(lambda: len(deployment.replicas) == 2)
    assert not before & set(deployment.replicas)


def test_a_node_killed_under_load_loses_no_request_that_was_not_being_told(deployment: Deployment) -> None:
    """Last here: what is left is a cluster of one worker, and another that joined it."""
    before = deployment.replicas
    victim = next(iter(deployment.cluster.worker_nodes))
    with _load(deployment) as told:
        kill_node(deployment.cluster, victim)
    wrong = [each for each in told if each[1] != deployment.expected[each[0]]]
    assert all(text == "error: ['engine_dead']" for _, text in wrong)
    assert len(wrong) <= NUM_CLIENTS  # streams that had begun: a client has one at a time
    add_node(deployment.cluster, 1)
    until(lambda: len(deployment.replicas) == 2)
    assert len(set(before) & set(deployment.replicas)) == 1
    with _load(deployment) as told:
        pass
    assert [each for each in told if each[1] != deployment.expected[each[0]]] == []
