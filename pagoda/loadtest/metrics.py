"""What a load test found: latencies as distributions, throughput, and goodput under targets.

After the request's path. Every latency counts from when the request was due, not from when the client got around to
sending it. TTFT: to the first piece of text. ITL: between pieces; a piece may hold several tokens. TPOT: mean time of a
token after the first. E2EL: to the end. Goodput is the rate of requests that met all targets (DistServe, Zhong et al.
2024, arXiv 2401.09670); a failed request meets none. Names are those of vLLM's `bench serve`.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pagoda.errors import ConfigError, nearest
from pagoda.loadtest.client import Outcome

PERCENTS = (50, 90, 95, 99)
TARGETS = ("ttft", "tpot", "e2el")


@dataclass(frozen=True)
class Distribution:
    """Mean and percentiles, in milliseconds. Of no values at all, everything is not a number."""

    mean: float
    percentiles: Mapping[int, float]

    @classmethod
    def of(cls, values_s: Sequence[float]) -> Distribution:
        """From seconds."""
        if not values_s:
            return cls(math.nan, dict.fromkeys(PERCENTS, math.nan))
        ordered = sorted(1000 * value for value in values_s)
        return cls(statistics.fmean(ordered), {percent: percentile(ordered, percent) for percent in PERCENTS})


@dataclass(frozen=True)
class Summary:
    """One load test. Rates are per second of `duration_s`: from the first request's due time to the last one's end.

    completed, failed: requests; errors: failed ones by kind, with one message of each kind in `messages`
    num_unfinished: requests that were planned and have no outcome, since the test was stopped
    goodput: requests a second that met all targets; None where there are none
    send_delay: sent later than due; more than some milliseconds means that client or concurrency limit held back
    """

    completed: int
    failed: int
    num_unfinished: int
    duration_s: float
    num_prompt_tokens: int
    num_output_tokens: int
    errors: Mapping[str, int]
    messages: Mapping[str, str]
    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    e2el: Distribution
    send_delay: Distribution
    goodput: float | None

    @property
    def requests_per_s(self) -> float:
        return self._per_s(self.completed)

    @property
    def output_tokens_per_s(self) -> float:
        return self._per_s(self.num_output_tokens)

    @property
    def total_tokens_per_s(self) -> float:
        return self._per_s(self.num_prompt_tokens + self.num_output_tokens)

    def _per_s(self, count: float) -> float:
        return count / self.duration_s if self.duration_s > 0 else math.nan


def summarize(outcomes: Sequence[Outcome], targets: Mapping[str, float], *, num_planned: int | None = None) -> Summary:
    """Account for all outcomes; latencies and tokens are those of completed requests.

    targets: from `parse_goodput`; num_planned: how many outcomes there were to be
    """
    done = [outcome for outcome in outcomes if outcome.error is None]
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    duration_s = max((o.finished_s for o in outcomes), default=0.0) - min((o.due_s for o in outcomes), default=0.0)
    num_good = sum(_meets(outcome, targets) for outcome in done)
    return Summary(
        completed=len(done),
        failed=len(failed),
        num_unfinished=(len(outcomes) if num_planned is None else num_planned) - len(outcomes),
        duration_s=duration_s,
        num_prompt_tokens=sum(outcome.num_prompt_tokens for outcome in done),
        num_output_tokens=sum(outcome.num_output_tokens for outcome in done),
        errors=Counter(str(outcome.error) for outcome in failed),
        messages={str(outcome.error): outcome.message for outcome in reversed(failed)},
        ttft=Distribution.of([s for s in map(first_token_s, done) if s is not None]),
        tpot=Distribution.of([s for s in map(per_token_s, done) if s is not None]),
        itl=Distribution.of([s for outcome in done for s in inter_token_s(outcome)]),
        e2el=Distribution.of([end_to_end_s(outcome) for outcome in done]),
        send_delay=Distribution.of([outcome.sent_s - outcome.due_s for outcome in outcomes]),
        goodput=num_good / duration_s if targets and duration_s > 0 else None,
    )


def parse_goodput(given: Sequence[str]) -> dict[str, float]:
    """Targets in milliseconds from `ttft:200`, `tpot:50`, `e2el:5000`. Raises ConfigError.

    >>> parse_goodput(["ttft:200", "tpot:50"])
    {'ttft': 200.0, 'tpot': 50.0}
    """
    targets: dict[str, float] = {}
    for item in given:
        name, _, limit = item.partition(":")
        if name not in TARGETS:
            raise ConfigError(f"goodput {item!r} names no latency that has a target: {nearest(name, TARGETS)}")
        try:
            milliseconds = float(limit)
        except ValueError:
            milliseconds = math.nan
        if not milliseconds > 0:
            raise ConfigError(f"goodput {item!r}: a number of milliseconds above 0 is expected, as in {name}:200")
        targets[name] = milliseconds
    return targets


def first_token_s(outcome: Outcome) -> float | None:
    """From due to the first piece of text; None where none came."""
    return outcome.chunk_times_s[0] - outcome.due_s if outcome.chunk_times_s else None


def per_token_s(outcome: Outcome) -> float | None:
    """Mean seconds of a token after the first; None where there was no second."""
    if outcome.num_output_tokens < 2 or not outcome.chunk_times_s:
        return None
    return (outcome.chunk_times_s[-1] - outcome.chunk_times_s[0]) / (outcome.num_output_tokens - 1)


def inter_token_s(outcome: Outcome) -> list[float]:
    """Between each piece and the next."""
    return [later - earlier for earlier, later in itertools.pairwise(outcome.chunk_times_s)]


def end_to_end_s(outcome: Outcome) -> float:
    """From due to the end of the answer."""
    return outcome.finished_s - outcome.due_s


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the ascending values lie, interpolated.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50)
    2.5
    """
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _meets(outcome: Outcome, targets: Mapping[str, float]) -> bool:
    """Whether all targets were met; what never came to be, such as a second token, was not late."""
    measured = {"ttft": first_token_s(outcome), "tpot": per_token_s(outcome), "e2el": end_to_end_s(outcome)}
    return all(measured[name] is None or 1000 * (measured[name] or 0.0) <= limit for name, limit in targets.items())
