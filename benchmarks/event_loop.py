"""What one large request costs everyone else: /health of `pagoda serve` while it is read, refused or answered.

    python benchmarks/event_loop.py [--against CHECKOUT] [--rounds 3] [--only WORDS]

A second client asks for /health on one connection, a hundred times a second, from before the large request until its
answer is there. Where there is none to answer it at once, the event loop was busy, or Python's lock was kept. With
--against, the same is done to a server of another checkout, and the rounds of both are interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machine import provenance
from served import Server, post, serving

TARGET_MS = 100.0
PAUSE_S = 0.01
TEXT = "hello world " * 580_000
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def _tools(count: int) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"tool_{i}", "parameters": TOOL}} for i in range(count)]


def _chat(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, **fields}


def _completion(prompt: Any, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/completions", {"prompt": prompt, "max_tokens": 2, **fields}


CASES: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "a short prompt": lambda: _completion("hi"),
    "a prompt of 7 MB": lambda: _completion(TEXT),
    "a message of 7 MB": lambda: _chat(messages=[{"role": "user", "content": TEXT}]),
    "40,000 messages": lambda: _chat(messages=[{"role": "tool", "content": f"x{i}"} for i in range(40_000)]),
    "1,000,000 token ids": lambda: _completion([i % 8000 for i in range(1_000_000)]),
    "20,000 bad words": lambda: _completion("hi", bad_words=[f"word{i}" for i in range(20_000)]),
    "a bias for 8,000 tokens": lambda: _completion("hi", logit_bias={str(i): 1 for i in range(8_000)}),
    "1,000 tools": lambda: _chat(tools=_tools(1000)),
    "2,048 texts to embed": lambda: ("/v1/embeddings", {"input": ["some words to embed"] * 2048}),
    "/tokenize of 7 MB": lambda: ("/tokenize", {"prompt": TEXT}),
    "/detokenize of 1,000,000 ids": lambda: ("/detokenize", {"tokens": [i % 8000 for i in range(1_000_000)]}),
    "log-probabilities of 64 prompts": lambda: _completion(
        [[i % 8000 for i in range(400)]] * 64, logprobs=20, echo=True, max_tokens=1
    ),
    "1,000,000 faults": lambda: _completion([True] * 1_000_000),
}


class Watch:
    """Asks for /health until it is told to stop; `waits` are seconds of each answer."""

    def __init__(self, server: Server) -> None:
        self.waits: list[float] = []
        self._address = urlsplit(server.url)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        assert self._address.hostname is not None, "a server has an address"
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port)
        while not self._stopped.wait(PAUSE_S):
            began = time.perf_counter()
            connection.request("GET", "/health")
            connection.getresponse().read()
            self.waits.append(time.perf_counter() - began)


def measure(server: Server, path: str, body: bytes) -> tuple[int, float, list[float]]:
    """Status of the answer, its seconds, and those of the /health beside it."""
    with Watch(server) as watch:
        time.sleep(0.1)
        began = time.perf_counter()
        answer = asyncio.run(post(server.url, path, body))
        took_s = time.perf_counter() - began
        time.sleep(0.1)
    return answer.status, took_s, watch.waits


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="a checkout whose server is measured beside this one's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name holds these words")
    arguments = parser.parse_args()
    line = provenance()
    print("| request | code | status | seconds | /health: median | 99 % | longest |\n|---|---|---|---|---|---|---|")
    with ExitStack() as stack:
        checkouts = {"here": None} | ({} if arguments.against is None else {"before": arguments.against})
        servers = {name: stack.enter_context(serving(code=code)) for name, code in checkouts.items()}
        for case, make in CASES.items():
            if arguments.only not in case:
                continue
            path, body = make()
            data = json.dumps(body).encode()
            waits, took = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
            status = {}
            for _ in range(arguments.rounds):
                for name, server in servers.items():
                    status[name], took_s, beside = measure(server, path, data)
                    waits[name] += beside
                    took[name].append(took_s)
            for name in servers:
                middle, most, longest = (1000 * percentile(waits[name], share) for share in (0.5, 0.99, 1.0))
                print(
                    f"| {case} | {name} | {status[name]} | {statistics.median(took[name]):.2f} "
                    f"| {middle:.1f} ms | {most:.0f} ms | {longest:.0f} ms |",
                    flush=True,
                )
    print(f"\nTarget: 99 % under {TARGET_MS:g} ms. {line}")


if __name__ == "__main__":
    main()
