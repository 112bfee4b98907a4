"""`pagoda bench serve` against an address that answers every request with two tokens and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Invoke = Callable[..., Result]
PIECES = [{"choices": [{"text": text, "delta": {"content": text}}]} for text in ("a", "b")]
USAGE = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
STREAM = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*PIECES, USAGE]) + "data: [DONE]\n\n"


class Asked:
    """Where the server is, and the requests that came: (path, authorization, body)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.requests]


@pytest.fixture
def asked() -> Iterator[Asked]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(json.dumps({"data": [{"id": "small"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.requests.append((self.path, self.headers.get("authorization"), body))
            self._reply(STREAM.encode())

        def _reply(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Asked(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


def test_what_is_not_said_is_left_to_the_server_or_has_its_default(invoke: Invoke, asked: Asked) -> None:
    result = invoke("bench", "serve", asked.url, "--json", "--num-requests", "3")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["model"], report["load"], report["completed"]) == ("small", "all at once", 3)
    assert report["total_output_tokens"] == 6
    warm_up, *sent = asked.bodies
    assert warm_up in sent
    for body in sent:
        assert (body["model"], body["max_tokens"], body["ignore_eos"]) == ("small", 128, True)
        assert (len(body["prompt"]), max(body["prompt"]) < 1000, "temperature" in body) == (128, True, False)


def test_every_option_arrives(invoke: Invoke, asked: Asked, tmp_path: Path) -> None:
    picture = tmp_path / "plot.png"
    result = invoke(
        "bench", "serve", asked.url, "--json", "--model", "mine", "--endpoint", "chat", "--rate", "500",
        "--burstiness", "inf", "--concurrency", "2", "--num-requests", "4", "--input-len", "5", "--output-len", "7-9",
        "--goodput", "ttft:60000", "--no-ignore-eos", "--temperature", "0.5", "--num-warmups", "0", "--timeout-s", "30",
        "--api-key-env", "MY_KEY", "--seed", "3", "--plot", str(picture), MY_KEY="secret",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["load"] == "500 requests/s offered, at most 2 at once"
    assert report["request_goodput"] == pytest.approx(report["request_throughput"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {(path, key) for path, key, _ in asked.requests} == {("/v1/chat/completions", "Bearer secret")}
    assert len(asked.requests) == 4
    for body in asked.bodies:
        assert (body["model"], body["temperature"], "ignore_eos" in body) == ("mine", 0.5, False)
        assert 7 <= body["max_tokens"] <= 9
        assert len(body["messages"][0]["content"].split()) == 5


def test_a_trace_is_sent_at_its_own_times_and_to_its_own_lengths(invoke: Invoke, asked: Asked, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    lines = [{"timestamp": 5.02, "prompt": "b", "output_length": 2}, {"timestamp": 5.0, "input_length": 3}]
    trace.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    result = invoke("bench", "serve", asked.url, "--trace", str(trace), "--output-len", "9", "--num-warmups", "0")
    assert result.exit_code == 0, result.stderr
    first, second = asked.bodies
    assert (len(first["prompt"]), first["max_tokens"]) == (3, 9)
    assert (second["prompt"], second["max_tokens"]) == ("b", 2)


def test_a_closed_loop_says_how_many_are_under_way(invoke: Invoke, asked: Asked) -> None:
    result = invoke("bench", "serve", asked.url, "--concurrency", "2", "--num-requests", "3", "--json")
    assert json.loads(result.stdout)["load"] == "2 at a time"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--endpoint", "embeddings"), "one of completions, chat"),
        (("--num-requests", "0"), "num_requests is 0, but at least 1"),
        (("--concurrency", "0"), "concurrency is 0, but at least 1"),
        (("--rate", "0"), "rate is 0.0"),
        (("--rate", "5", "--burstiness", "0"), "burstiness is 0.0"),
        (("--input-len", "many"), "input_len is 'many'"),
        (("--vocab-size", "2"), "vocab_size is 2"),
        (("--goodput", "speed:3"), "speed"),
        (("--trace", "nowhere.jsonl"), "cannot read the trace"),
        (("--num-warmups", "-1"), "num-warmups"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_sent(
    invoke: Invoke, asked: Asked, arguments: tuple[str, ...], words: str
) -> None:
    result = invoke("bench", "serve", asked.url, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert asked.requests == []
