"""Restarts replicas under load and counts what clients noticed: failed, repeated, altered answers.

    python benchmarks/rolling_restart.py --num-requests 5000 --replicas 3

Starts `pagoda serve --data-parallel-size N` with the built-in model on a cluster of Ray of its own, asks every prompt
once before for the answer that is expected, then keeps clients asking, every second request a stream, and sends SIGHUP
again as soon as a restart is over, until all requests have been sent. An answer is altered when its text is another
one, repeated when a stream tells a piece twice or ends twice.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PROGRAM = Path(sys.executable).with_name("pagoda")
OPENINGS = ("Once upon a time", "The old man", "One day, a small bird", "In the deep wood there was a house, and")
PEOPLE = ("Lily", "Tom", "a fox", "the queen", "a girl named Anna", "the farmer", "a wise owl", "two brothers")


def main() -> None:
    """Run, print, and end with exit code 1 where a client noticed anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-requests", type=int, default=5000)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=16)
    wanted = parser.parse_args()
    with deployment(wanted.replicas) as (process, events, url):
        began = time.monotonic()
        counts = asyncio.run(measure(url, process, events, wanted))
        seconds = time.monotonic() - began
    num_requests, num_restarts = wanted.num_requests, events.num_restarts
    print(f"{num_requests} requests to {wanted.replicas} replicas in {seconds:.0f} s, {num_restarts} restarts")
    print(", ".join(f"{counts[name]} {name}" for name in ("right", "failed", "repeated", "altered")))
    sys.exit(int(counts["right"] != wanted.num_requests))


class Events:
    """What the deployment says on its standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.ready, self.restarted = threading.Event(), threading.Event()
        self.num_restarts, self.url = 0, ""
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            print(line, end="", file=sys.stderr)
            if "ready after" in line:
                self.url = next(word for word in line.split() if word.startswith("http"))
                self.ready.set()
            if "all replicas are new" in line:
                self.num_restarts += 1
                self.restarted.set()


@contextmanager
def deployment(replicas: int) -> Iterator[tuple[subprocess.Popen[str], Events, str]]:
    """The server, from its readiness to its end."""
    options = ["--port", "0", "--no-access-log", "--num-gpu-blocks-override", "1024", "--dtype", "float32"]
    command = [str(PROGRAM), "serve", "builtin", "--data-parallel-size", str(replicas), *options]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {"LANG": "C.UTF-8"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        events = Events(process)
        if not events.ready.wait(600):
            raise SystemExit("the deployment was not ready within ten minutes")
        yield process, events, events.url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


async def measure(url: str, process: subprocess.Popen[str], events: Events, wanted: argparse.Namespace) -> Counter[str]:
    """Counts of right, failed, repeated and altered answers."""
    prompts = [f"{opening} {person}" for opening, person in itertools.product(OPENINGS, PEOPLE)]
    counts: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=wanted.concurrency)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        expected = {prompt: (await asked(client, prompt, wanted.max_tokens, False))[1] for prompt in prompts}
        numbers = iter(range(wanted.num_requests))
        restarting = asyncio.create_task(asyncio.to_thread(restart_again_and_again, process, events))

        async def one_client() -> None:
            for number in numbers:
                prompt = prompts[number % len(prompts)]
                verdict, text = await asked(client, prompt, wanted.max_tokens, number % 2 == 1)
                counts["altered" if verdict == "right" and text != expected[prompt] else verdict] += 1

        await asyncio.gather(*(one_client() for _ in range(wanted.concurrency)))
        events.ready.clear()
        events.restarted.set()
        await restarting
    return counts


def restart_again_and_again(process: subprocess.Popen[str], events: Events) -> None:
    """Until all requests are answered, which `ready` being cleared tells."""
    while events.ready.is_set():
        events.restarted.clear()
        process.send_signal(signal.SIGHUP)
        events.restarted.wait()


async def asked(client: httpx.AsyncClient, prompt: str, max_tokens: int, stream: bool) -> tuple[str, str]:
    """What became of a request, and its text."""
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True, "stream": stream}
    try:
        answer = await client.post("/v1/completions", json=body)
    except httpx.HTTPError as error:
        print(f"failed: {error!r}", file=sys.stderr)
        return "failed", ""
    if answer.status_code != 200:
        print(f"failed: {answer.status_code} {answer.text[:300]}", file=sys.stderr)
        return "failed", ""
    if not stream:
        return "right", answer.json()["choices"][0]["text"]
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    if any("error" in chunk for chunk in chunks) or not events or events[-1] != "[DONE]":
        print(f"failed: {answer.text[-300:]}", file=sys.stderr)
        return "failed", ""
    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    if events.count("[DONE]") != 1 or sum(end is not None for end in ends) != 1 or len({c["id"] for c in chunks}) != 1:
        return "repeated", ""
    return "right", "".join(chunk["choices"][0]["text"] for chunk in chunks)


if __name__ == "__main__":
    main()
