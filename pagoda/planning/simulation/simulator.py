"""Requests through replicas on a virtual clock: who is sent where, and what each request saw.

Beside the token's path; `pagoda simulate` and the benchmarks ask. Events are arrivals; between two of them each replica
takes its own steps (`replica`). Nothing is drawn at random: a load gives the same result each time. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.balancing import Arrival, ReplicaState, Route
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.request import Request
from pagoda.errors import InvalidRequestError
from pagoda.planning.costs import CostModel, prompt_load
from pagoda.planning.simulation.replica import Replica, RequestTimes, StepRecord
from pagoda.planning.simulation.workload import SimulatedRequest

_TYPICAL_PROMPT = 4096
"""Tokens; over a prompt of so many a token's time is taken."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What is simulated: replicas of one kind behind a route."""

    scheduler_config: SchedulerConfig
    cache_config: CacheConfig
    cost: CostModel
    route: Route
    num_replicas: int = 1
    async_scheduling: bool = False
    overhead_s: float = 0.0
    jumps: bool = True


@dataclass
class Simulation:
    """What came out. Of each replica: seconds it worked, tokens it computed, requests it got, and its steps if kept.

    refused: requests that could never finish, by message
    """

    times: RequestTimes
    busy_s: list[float]
    num_computed_tokens: list[int]
    num_routed: list[int]
    num_preemptions: int
    num_queried_tokens: int
    num_hit_tokens: int
    duration_s: float
    records: list[list[StepRecord]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens that the prefix caches had."""
        return self.num_hit_tokens / self.num_queried_tokens if self.num_queried_tokens else 0.0

    @property
    def load_imbalance(self) -> float:
        """Tokens that the busiest replica computed, over the mean."""
        total = sum(self.num_computed_tokens)
        return max(self.num_computed_tokens) * len(self.num_computed_tokens) / total if total else 1.0


def simulate(
    requests: Iterable[SimulatedRequest], installation: Installation, *, keep_steps: bool = False
) -> Simulation:
    """Runs until all have ended. Requests come in order of arrival."""
    times = RequestTimes()
    records: list[list[StepRecord]] = [[] for _ in range(installation.num_replicas * keep_steps)]
    replicas = [
        Replica(
            installation.scheduler_config,
            installation.cache_config,
            installation.cost,
            times,
            async_scheduling=installation.async_scheduling,
            overhead_s=installation.overhead_s,
            jumps=installation.jumps,
            records=records[place] if keep_steps else None,
        )
        for place in range(installation.num_replicas)
    ]
    num_routed = [0] * len(replicas)
    refused: dict[str, int] = {}
    for number, simulated in enumerate(requests):
        for replica in replicas:
            replica.run_until(simulated.arrival_s)
        request = replicas[0].request(number, simulated)
        place, work_s = _place(number, request, replicas, installation)
        _open(times, simulated)
        try:
            replicas[place].add(request)
            num_routed[place] += 1
            replicas[place].sent_s += work_s
        except InvalidRequestError as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
    for replica in replicas:
        replica.run_until(None)
    return _result(replicas, times, num_routed, records, refused)


def _open(times: RequestTimes, simulated: SimulatedRequest) -> None:
    times.arrival_s.append(simulated.arrival_s)
    times.first_s.append(math.nan)
    times.end_s.append(math.nan)
    times.num_output_tokens.append(simulated.num_output_tokens)


def _place(number: int, request: Request, replicas: Sequence[Replica], installation: Installation) -> tuple[int, float]:
    """Where it goes, by the route, and the seconds of computing prompts that it will take there."""
    if len(replicas) == 1:
        return 0, 0.0
    states = _States(request, replicas)
    token_s = installation.cost.seconds(prompt_load(_TYPICAL_PROMPT)) / _TYPICAL_PROMPT
    arrival = Arrival(number, request.num_prompt_tokens, token_s * request.num_prompt_tokens)
    place = installation.route(arrival, states)
    return place, token_s * (request.num_prompt_tokens - states[place].cached_tokens)


class _States(Sequence[ReplicaState]):
    """Of each replica when a request arrives, looked at where the route asks."""

    def __init__(self, request: Request, replicas: Sequence[Replica]) -> None:
        self._request, self._replicas = request, replicas
        self._found: dict[int, ReplicaState] = {}

    def __len__(self) -> int:
        return len(self._replicas)

    def __getitem__(self, place: Any) -> Any:
        if place not in self._found:
            self._found[place] = self._replicas[place].state(self._request)
        return self._found[place]


def _result(
    replicas: Sequence[Replica],
    times: RequestTimes,
    num_routed: list[int],
    records: list[list[StepRecord]],
    refused: dict[str, int],
) -> Simulation:
    stats = [replica.scheduler.stats for replica in replicas]
    return Simulation(
        times=times,
        busy_s=[replica.busy_s for replica in replicas],
        num_computed_tokens=[each.num_scheduled_tokens for each in stats],
        num_routed=num_routed,
        num_preemptions=sum(each.num_preemptions for each in stats),
        num_queried_tokens=sum(each.prefix_cache_queries for each in stats),
        num_hit_tokens=sum(each.prefix_cache_hits for each in stats),
        duration_s=max(replica.clock_s for replica in replicas),
        records=records,
        refused=refused,
    )
