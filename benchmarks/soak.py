"""Thousands of requests of all kinds, some by clients that leave and some that are nonsense; then nothing may be left.

    python benchmarks/soak.py [--requests 20000] [--clients 32]

One request in ten is left half way, one in twenty is bad. Afterwards no request runs or waits, no block is in use, and
neither process has more threads or open files than before. Resident memory of both processes is sampled; the slope is
that of the second half, when every buffer has its size. Exits with 1 if anything is left or any answer is not what it
should be.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from machine import provenance
from rich.progress import Progress
from served import Server, post, serving

BAD: tuple[tuple[dict[str, Any] | bytes, int], ...] = (
    (b'{"prompt": "a"', 400),
    ({"prompt": 5}, 400),
    ({"prompt": "a", "max_tokens": -3}, 400),
    ({"prompt": "a", "model": "none"}, 404),
    ({"prompt": "a " * 3000}, 400),
    ({"prompt": "a", "structured_outputs": {"regex": "("}}, 400),
)
GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")


def facts(pid: int) -> tuple[float, int, int]:
    """Resident MiB, threads and open files of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), files


def gauges(server: Server) -> dict[str, float]:
    """What the server says is under way."""
    with urllib.request.urlopen(f"{server.url}/metrics") as page:
        lines = page.read().decode().splitlines()
    return {
        name: sum(float(line.split()[-1]) for line in lines if line.startswith(f"pagoda:{name}{{")) for name in GAUGES
    }


def request(draw: random.Random) -> tuple[str, dict[str, Any]]:
    """A sound request: path and body."""
    body: dict[str, Any] = {
        "max_tokens": draw.choice([1, 8, 24, 64]),
        "stream": draw.random() < 0.5,
        "temperature": draw.choice([0, 0.7, 1.0]),
        "n": draw.choice([1, 1, 1, 2]),
    }
    text = " ".join(
        draw.choice(["the", "fox", "moon", "river", "old", "月", "山"]) for _ in range(draw.choice([3, 40, 300]))
    )
    kind = draw.random()
    if kind < 0.45:
        return "/v1/completions", {**body, "prompt": text, "logprobs": draw.choice([None, None, 2])}
    if kind < 0.9:
        return "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": text}]}
    return "/v1/embeddings", {"input": [text, text[:20]]}


async def client(server: Server, draw: random.Random, work: asyncio.Queue[int], seen: Counter[str]) -> None:
    """Send requests one after the other until there is no more work."""
    while not work.empty():
        work.get_nowait()
        kind = draw.random()
        if kind < 0.05:
            bad, status = draw.choice(BAD)
            answer = await post(server.url, "/v1/completions", bad)
            seen["bad, refused as it should be" if answer.status == status else f"bad, but {answer.status}"] += 1
        elif kind < 0.15:
            body = {"prompt": "Once", "max_tokens": 500, "ignore_eos": True, "stream": True}
            answer = await post(server.url, "/v1/completions", body, leave_after=draw.randrange(1, 20))
            seen["left"] += 1
        else:
            path, body = request(draw)
            answer = await post(server.url, path, body)
            whole = not body.get("stream") or answer.body.rstrip().endswith((b"data: [DONE]", b"0"))
            seen[
                "answered"
                if answer.status == 200 and whole and b'"error"' not in answer.body
                else f"{answer.status}: {answer.body[-300:]!r}"
            ] += 1


async def run(server: Server, num_requests: int, num_clients: int) -> tuple[Counter[str], np.ndarray]:
    """All requests; how they ended, and samples of (requests done, MiB of the server, MiB of the engine)."""
    work: asyncio.Queue[int] = asyncio.Queue()
    for number in range(num_requests):
        work.put_nowait(number)
    seen: Counter[str] = Counter()
    samples = []
    clients = [asyncio.create_task(client(server, random.Random(i), work, seen)) for i in range(num_clients)]
    with Progress() as progress:
        task = progress.add_task("requests", total=num_requests)
        while not all(each.done() for each in clients):
            await asyncio.wait(clients, timeout=1.0)
            progress.update(task, completed=seen.total())
            samples.append((seen.total(), facts(server.process.pid)[0], facts(server.engine_pid())[0]))
    for each in clients:
        each.result()
    return seen, np.array(samples)


def main() -> int:
    """Run, look at what is left, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=32)
    arguments = parser.parse_args()
    line = provenance()
    # A small cache: the pages of a large one are touched for the first time for minutes, which looks like a leak.
    with serving("--max-num-seqs", "64", "--kv-cache-memory-bytes", str(64 * 2**20)) as server:
        asyncio.run(run(server, 200, arguments.clients))
        pids = {"server": server.process.pid, "engine": server.engine_pid()}
        time.sleep(2)
        before = {name: facts(pid) for name, pid in pids.items()}
        began = time.perf_counter()
        seen, samples = asyncio.run(run(server, arguments.requests, arguments.clients))
        elapsed_s = time.perf_counter() - began
        time.sleep(2)
        left = gauges(server)
        after = {name: facts(pid) for name, pid in pids.items()}
    print(f"{seen.total():,} requests by {arguments.clients} clients in {elapsed_s:,.0f} s")
    for outcome, count in seen.most_common():
        print(f"  {count:6,}  {outcome}")
    print("left:", ", ".join(f"{name} {value:g}" for name, value in left.items()))
    second_half = samples[len(samples) // 2 :]
    for column, name in enumerate(pids, start=1):
        slope = np.polyfit(second_half[:, 0] / 1000, second_half[:, column], 1)[0]
        print(
            f"{name}: {before[name][0]:.0f} -> {after[name][0]:.0f} MiB, {slope:+.2f} MiB per 1,000 requests in the "
            f"second half; threads {before[name][1]} -> {after[name][1]}, files {before[name][2]} -> {after[name][2]}"
        )
    print(line)
    expected = {"answered", "left", "bad, refused as it should be"}
    grown = [name for name in pids if after[name][1] > before[name][1] or after[name][2] > before[name][2]]
    return int(bool(set(seen) - expected or any(left.values()) or grown))


if __name__ == "__main__":
    sys.exit(main())
