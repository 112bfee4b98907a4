"""What both servers of the headline comparison are measured by: the same clock, the same account of KV memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from traces import Job


class Clock:
    """Seconds since it was made. A test puts one in its place that ticks with the steps."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._began

    def wait_until(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds - self.now()))


@dataclass
class Usage:
    """KV slots and requests, integrated over the seconds in which a step ran.

    A slot is room for the keys and values of one token. Reserved: nobody else can have it. Used: it holds a token
    of a request that still runs.
    """

    seconds: float = 0.0
    reserved_slot_seconds: float = 0.0
    used_slot_seconds: float = 0.0
    request_seconds: float = 0.0
    peak_reserved: int = 0
    peak_running: int = 0

    def add(self, seconds: float, *, reserved: int, used: int, running: int) -> None:
        """Account for a step: what it found reserved, and used and running in its end."""
        self.seconds += seconds
        self.reserved_slot_seconds += seconds * reserved
        self.used_slot_seconds += seconds * used
        self.request_seconds += seconds * running
        self.peak_reserved = max(self.peak_reserved, reserved)
        self.peak_running = max(self.peak_running, running)

    @property
    def waste(self) -> float:
        """Share of the reserved slots, over time, that held no token."""
        return 1 - self.used_slot_seconds / self.reserved_slot_seconds

    @property
    def mean_reserved(self) -> float:
        return self.reserved_slot_seconds / self.seconds

    @property
    def mean_running(self) -> float:
        return self.request_seconds / self.seconds


@dataclass(frozen=True)
class Result:
    """One server's run over one trace."""

    seconds: float
    jobs: Sequence[Job]
    usage: Usage
    num_preemptions: int = 0

    @property
    def tokens_per_s(self) -> float:
        return sum(len(job.output_token_ids) for job in self.jobs) / self.seconds

    @property
    def mean_latency_s(self) -> float:
        return statistics.fmean(job.latency_s for job in self.jobs)

    @property
    def p99_latency_s(self) -> float:
        return float(np.percentile([job.latency_s for job in self.jobs], 99))

    def summary(self) -> dict[str, float]:
        """The figures, for JSON."""
        return {
            "seconds": self.seconds,
            "tokens_per_s": self.tokens_per_s,
            "mean_latency_s": self.mean_latency_s,
            "p99_latency_s": self.p99_latency_s,
            "kv_waste": self.usage.waste,
            "mean_reserved_slots": self.usage.mean_reserved,
            "peak_reserved_slots": self.usage.peak_reserved,
            "mean_running": self.usage.mean_running,
            "peak_running": self.usage.peak_running,
            "num_preemptions": self.num_preemptions,
        }
