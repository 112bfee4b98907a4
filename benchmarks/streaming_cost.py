"""What a streamed token costs beside its arithmetic: processor time of the server's process and of the engine's.

    python benchmarks/streaming_cost.py [--model NAME] [--clients 1 32] [--chunks-per-s 500] [--against CHECKOUT]

Greedy chats over bare sockets, at once, some rounds of them; the least of the rounds counts, as processor time only
grows by what else the machine does. `--against` runs another checkout's server in interleaved rounds. A server sends at
most so many chunks a second, so an event may hold several tokens; a large number shows what an event costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from machine import provenance
from served import Server, post, serving


@dataclass(frozen=True)
class Cost:
    """Microseconds of processor time for each token, and events for each."""

    server_us: float
    engine_us: float
    events: float


def processor_us(pid: int) -> float:
    """Of all threads of a process that are there."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3


async def _answers(server: Server, num_clients: int, max_tokens: int) -> int:
    """Events of as many chats at once."""
    shared = {"max_tokens": max_tokens, "ignore_eos": True, "temperature": 0, "stream": True}
    asked = [f"Tell me story number {number} about the sea and the wind." for number in range(num_clients)]
    bodies = [{**shared, "messages": [{"role": "user", "content": content}]} for content in asked]
    answers = await asyncio.gather(*(post(server.url, "/v1/chat/completions", body) for body in bodies))
    return sum(answer.num_events for answer in answers)


def measure(server: Server, num_clients: int, max_tokens: int) -> Cost:
    """Of one round."""
    pids = server.process.pid, server.engine_pid()
    before = [processor_us(pid) for pid in pids]
    num_events = asyncio.run(_answers(server, num_clients, max_tokens))
    num_tokens = num_clients * max_tokens
    server_us, engine_us = ((processor_us(pid) - b) / num_tokens for pid, b in zip(pids, before, strict=True))
    return Cost(server_us, engine_us, num_events / num_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="directory, hub id or short name; by default the built-in model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--chunks-per-s", type=float, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout, to be measured beside this one")
    arguments = parser.parse_args()
    given = [*filter(None, [arguments.model]), "--max-chunks-per-s", str(arguments.chunks_per_s)]
    checkouts = {"this": None} if arguments.against is None else {"other": arguments.against, "this": None}
    print("| clients | checkout | server, us/token | engine, us/token | events/token |\n|---|---|---|---|---|")
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(*given, code=code)) for name, code in checkouts.items()}
        for num_clients in arguments.clients:
            costs: dict[str, list[Cost]] = {name: [] for name in servers}
            for number in range(arguments.rounds + 1):
                for name, server in servers.items():
                    cost = measure(server, num_clients, arguments.max_tokens)
                    if number:  # the first round of a process is slow
                        costs[name].append(cost)
            for name, rounds in costs.items():
                server_us, engine_us = min(c.server_us for c in rounds), min(c.engine_us for c in rounds)
                print(f"| {num_clients} | {name} | {server_us:.1f} | {engine_us:.1f} | {rounds[-1].events:.2f} |")
    print(f"\n{json.dumps(vars(arguments), default=str)}; {provenance()}")


if __name__ == "__main__":
    main()
