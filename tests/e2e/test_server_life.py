"""A real server process: what it answers, and how it takes departures, floods, kills and signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from pagoda.llm import LLM
from pagoda.sampling_params import SamplingParams
from patience import HANG_S, until

Serving = Callable[..., AbstractContextManager[Any]]
STORY = {"prompt": "Once upon a time", "max_tokens": 300, "ignore_eos": True, "seed": 1}


def events(response: httpx.Response) -> Iterator[Any]:
    """The data of a stream's events, until [DONE]."""
    for line in response.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without [DONE]")


def is_idle(server: Any) -> bool:
    names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    return all(server.metric(name) == 0 for name in names)


def test_it_gives_what_the_offline_engine_gives_streamed_or_not(server: Any) -> None:
    prompts = ["Once upon a time", "明月", "The little fox 🦊"]
    params = SamplingParams(max_tokens=60, temperature=0.9, top_p=0.95, seed=3)
    expected = [output.outputs[0].text for output in LLM(disable_log_stats=True).generate(prompts, params)]
    body = {"prompt": prompts, "max_tokens": 60, "temperature": 0.9, "top_p": 0.95, "seed": 3}
    whole = server.client.post("/v1/completions", json=body).json()
    assert [choice["text"] for choice in whole["choices"]] == expected
    streamed = ["", "", ""]
    with server.client.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        for chunk in events(response):
            streamed[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert streamed == expected


def test_a_client_that_leaves_frees_its_blocks(server: Any) -> None:
    with server.client.stream("POST", "/v1/completions", json={**STORY, "stream": True}) as response:
        next(events(response))
    until(lambda: is_idle(server))
    # Without a stream nothing is sent that could fail, and the server must see it all the same.
    impatient = httpx.Timeout(HANG_S, read=0.3)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/completions", json={**STORY, "n": 32, "max_tokens": 900}, timeout=impatient)
    until(lambda: is_idle(server))
    assert server.metric("request_success_total") >= 0


def test_a_bad_request_among_good_ones_leaves_them_alone(server: Any) -> None:
    bad = [{"prompt": 5}, {"prompt": "a", "max_tokens": -1}, {"prompt": "a " * 5000}, {"model": "x", "prompt": "a"}]

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=HANG_S) as client:
            bodies = [{**STORY, "max_tokens": 40} if i % 2 else bad[i // 2 % 4] for i in range(16)]
            answers = await asyncio.gather(*(client.post("/v1/completions", json=body) for body in bodies))
        good, refused = answers[1::2], answers[::2]
        assert len({answer.json()["choices"][0]["text"] for answer in good}) == 1
        assert [answer.status_code for answer in refused] == [400, 400, 400, 404] * 2
        assert all(set(answer.json()["error"]) == {"message", "type", "param", "code"} for answer in refused)

    asyncio.run(scenario())
    until(lambda: is_idle(server))


def test_keys_open_the_api_and_never_reach_the_log(serving: Serving) -> None:
    with serving(environment={"PAGODA_API_KEY": "secret-one,secret-two"}) as server:
        body = {"prompt": "Once", "max_tokens": 2}
        refused = server.client.post("/v1/completions", json=body, headers={"Authorization": "Bearer secret-three"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.json()["error"]["code"] == "invalid_api_key"
        for key in ("secret-one", "secret-two"):
            headers = {"Authorization": f"Bearer {key}"}
            assert server.client.post("/v1/completions", json=body, headers=headers).status_code == 200
        assert server.client.get("/metrics").status_code == 401
        assert server.client.get("/health").status_code == 200
        assert server.stop() == 0
        assert not any("secret" in line for line in server.log)
        logged = [json.loads(line) for line in server.log if line.startswith("{")]
        assert [line["status"] for line in logged] == [401, 200, 200, 401, 200]
        assert len({line["key_id"] for line in logged[1:3]}) == 2


def test_a_full_queue_answers_503_and_says_when_to_come_back(serving: Serving) -> None:
    brief = {**STORY, "max_tokens": 20}
    with serving("--max-num-seqs", "1", "--max-num-waiting", "1", "--no-access-log") as server:

        async def scenario() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=server.url, timeout=HANG_S) as client:
                calls = [asyncio.create_task(client.post("/v1/completions", json=brief)) for _ in range(6)]
                with server.standing_still():
                    for refused in islice(asyncio.as_completed(calls), 4):
                        await refused
                return await asyncio.gather(*calls)

        answers = asyncio.run(scenario())
        assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503, 503]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        assert {answer.json()["error"]["code"] for answer in refused} == {"overloaded"}


def test_when_the_engine_is_killed_all_who_wait_hear_of_it_and_it_comes_back(serving: Serving) -> None:
    with serving("--no-access-log") as server:
        pid = server.engine_pid()
        with server.client.stream("POST", "/v1/completions", json={**STORY, "stream": True}) as response:
            stream = events(response)
            next(stream)
            os.kill(pid, signal.SIGKILL)
            last = list(stream)[-1]
        assert last["error"]["code"] == "engine_dead"
        assert "killed by signal 9" in last["error"]["message"]
        until(lambda: server.client.get("/health").status_code == 200)
        assert server.engine_pid() != pid
        answer = server.client.post("/v1/completions", json={**STORY, "max_tokens": 3}).json()
        assert answer["usage"]["completion_tokens"] == 3
        assert server.stop() == 0


def test_an_engine_that_keeps_dying_ends_the_server_with_an_error(serving: Serving) -> None:
    with serving("--no-access-log") as server:
        killed: set[int] = set()

        def kill_the_next() -> bool:
            if server.process.poll() is not None:
                return True
            children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
            for pid in {int(child) for child in children} - killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
            return False

        until(kill_the_next)
        assert server.ended() == 1
        assert len(killed) == 4


def test_a_signal_lets_running_answers_finish_and_refuses_new_ones(serving: Serving) -> None:
    with serving("--no-access-log", "--drain-timeout-s", str(HANG_S)) as server:
        with server.client.stream("POST", "/v1/completions", json={**STORY, "stream": True}) as response:
            stream = events(response)
            next(stream)
            with server.standing_still():
                server.process.send_signal(signal.SIGTERM)
                until(lambda: any("shutting down" in line for line in server.log))
                ready = server.client.get("/ready")
                assert (ready.status_code, "retry-after" in ready.headers) == (503, True)
                assert server.client.post("/v1/completions", json=STORY).status_code == 503
            assert list(stream)[-1]["choices"][0]["finish_reason"] == "length"
        assert server.ended() == 0


def test_a_second_signal_stops_at_once(serving: Serving) -> None:
    with (
        serving("--no-access-log") as server,
        server.client.stream("POST", "/v1/completions", json={**STORY, "max_tokens": 900, "n": 64, "stream": True}),
    ):
        server.process.send_signal(signal.SIGTERM)
        until(lambda: any("shutting down" in line for line in server.log))
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == 0
        assert any("cut off" in line for line in server.log)


def test_a_server_in_the_background_of_a_script_stops_too(serving: Serving) -> None:
    """A shell without job control starts what stands before `&` with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with serving("--no-access-log") as server:
            assert server.stop() == 0
            assert any("shutting down" in line for line in server.log)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_cannot_be_served_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    pagoda = str(Path(sys.executable).with_name("pagoda"))
    for arguments, words in (
        ([str(tmp_path)], "config.json"),
        (["--ssl-keyfile", "key.pem"], "go together"),
        (["--api-key-file", str(tmp_path / "none")], "cannot read API keys"),
        (["--port", "99999"], "port is 99999"),
        (["--max-decode-slowdown", "0.5"], "max_decode_slowdown"),
    ):
        command = [pagoda, "serve", "--port", "0", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert ended.returncode == 2, ended.stderr
        assert words in ended.stderr
