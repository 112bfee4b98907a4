"""From a fresh `pagoda serve` process to the first streamed token of the built-in model, in seconds.

python benchmarks/start_to_first_token.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from machine import provenance
from served import post, serving

TARGET_S = 3.0


def measure() -> float:
    """Seconds of one start."""
    began = time.perf_counter()
    with serving() as server:
        body = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True, "max_tokens": 1}
        answer = asyncio.run(post(server.url, "/v1/chat/completions", body))
    # The first event is the role; the token comes in the second.
    return answer.times[1] - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    line = provenance()
    seconds = [measure() for _ in range(parser.parse_args().rounds)]
    shown = ", ".join(f"{value:.2f}" for value in seconds)
    print(f"start to first token: median {statistics.median(seconds):.2f} s ({shown}; target: under {TARGET_S:.0f} s)")
    print(line)


if __name__ == "__main__":
    main()
