"""When requests are sent: at times set in advance (open loop), or each when another has ended (closed loop).

Around the client. Real users do not wait for each other, so an open loop shows what they meet; a closed loop shows what
the server can do. In an open loop a request that goes out late, because client or server fell behind, is still timed
from when it should have gone out: leaving that wait out is coordinated omission (Tene, "How NOT to Measure Latency").
Schroeder et al. 2006, "Open Versus Closed: A Cautionary Tale".
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from pagoda.errors import ConfigError
from pagoda.loadtest.workload import PlannedRequest

Send = Callable[[PlannedRequest, float], Awaitable[None]]
"""Carries out one request that was due at so many seconds of the clock."""


class Clock(Protocol):
    """Seconds, and waiting for some; a test's own one need not take any."""

    def now(self) -> float:
        """Seconds since some beginning."""
        ...

    async def sleep_until(self, seconds: float) -> None:
        """Return at that time, or at once if it has passed."""
        ...


class WallClock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._began

    async def sleep_until(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds - self.now()))


def arrival_times(num_requests: int, rate: float, *, burstiness: float = 1.0, seed: int = 0) -> list[float]:
    """Seconds at which requests are due, the first at 0. Raises ConfigError.

    rate: requests a second on average; infinite sends all at once
    burstiness: shape of the gamma distribution of the gaps: 1 is a Poisson process, less is burstier, more is steadier,
        infinite is one gap for all
    """
    if not rate > 0:
        raise ConfigError(f"rate is {rate}, but a number of requests a second above 0 is expected")
    if not burstiness > 0:
        raise ConfigError(f"burstiness is {burstiness}, but a number above 0 is expected; 1 is a Poisson process")
    if math.isinf(rate):
        return [0.0] * num_requests
    source = random.Random(seed)
    times = [0.0]
    for _ in range(num_requests - 1):
        gap = 1 / rate if math.isinf(burstiness) else source.gammavariate(burstiness, 1 / (rate * burstiness))
        times.append(times[-1] + gap)
    return times[:num_requests]


async def open_loop(
    requests: Sequence[PlannedRequest],
    times: Sequence[float],
    send: Send,
    clock: Clock,
    *,
    max_concurrency: int | None = None,
) -> None:
    """Send each request at its time, counted from now. max_concurrency: more wait, and their wait is measured."""
    began = clock.now()
    free = asyncio.Semaphore(max_concurrency or len(requests) or 1)

    async def send_when_free(request: PlannedRequest, due: float) -> None:
        async with free:
            await send(request, due)

    async with asyncio.TaskGroup() as group:
        for request, offset in zip(requests, times, strict=True):
            await clock.sleep_until(began + offset)
            group.create_task(send_when_free(request, began + offset))


async def closed_loop(requests: Iterable[PlannedRequest], concurrency: int, send: Send, clock: Clock) -> None:
    """Keep `concurrency` requests under way; each is due when it is sent. Raises ConfigError."""
    if concurrency < 1:
        raise ConfigError(f"concurrency is {concurrency}, but at least 1 is expected")
    left = iter(requests)

    async def one_client() -> None:
        for request in left:
            await send(request, clock.now())

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one_client())
