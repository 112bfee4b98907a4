"""Which replica a request goes to: pure functions of what is known of the replicas, for the simulator and for a router.

Foundation room, beside the token's path; the router is in `server/replicas`. Round robin and least loaded look at no
prompt. Prefix affinity weighs, for each replica, the prompt tokens that it need not compute, as their blocks are cached
there, against the tokens that it has still to compute for others: what Preble (Srivatsa et al. 2024, arXiv 2407.00023)
and the routers of production systems do with blocks that an index remembers. It never sends more to a replica than a
bound over the mean, so that a popular prefix cannot drown one. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pagoda.errors import ConfigError, nearest


class ReplicaState(NamedTuple):
    """What a router knows of a replica.

    cached_tokens: of this request's prompt, that its cache holds from the start
    queued_tokens: of prompts that it has still to compute; num_requests: that are under way on it
    load: work that was ever sent to it, in seconds of computing prompts
    """

    cached_tokens: int
    queued_tokens: int
    num_requests: int
    load: float


class Arrival(NamedTuple):
    """What a router knows of a request. number: how many came before it; work_s: seconds that it will take."""

    number: int
    num_prompt_tokens: int
    work_s: float


@dataclass(frozen=True)
class AffinityConfig:
    """Of prefix affinity.

    token_s: seconds that a token of a prompt takes; decode_s: that a request under way delays another's first token
    imbalance: most work of one replica over the mean of all, as a share; a replica beyond it gets nothing
    queue_weight: of what waits at a replica, against what is cached there: below 1 keeps what is alike together, which
        later requests gain from
    """

    token_s: float
    decode_s: float
    imbalance: float = 1.2
    queue_weight: float = 0.2

    def __post_init__(self) -> None:
        if not self.imbalance >= 1:  # nor nan
            raise ConfigError(f"imbalance is {self.imbalance}, but at least 1 is expected: a load over the mean")


Route = Callable[[Arrival, Sequence[ReplicaState]], int]
"""The place of the replica that a request goes to."""


def round_robin(arrival: Arrival, replicas: Sequence[ReplicaState]) -> int:
    """Each in its turn."""
    return arrival.number % len(replicas)


def least_loaded(arrival: Arrival, replicas: Sequence[ReplicaState]) -> int:
    """The fewest requests under way, then the fewest tokens to compute; ties go in turns."""
    count = len(replicas)

    def rank(place: int) -> tuple[int, int, int]:
        state = replicas[place]
        return state.num_requests, state.queued_tokens, (place - arrival.number) % count

    return min(range(count), key=rank)


def prefix_affinity(config: AffinityConfig) -> Route:
    """The replica where the first token comes soonest, as far as the bound on imbalance lets it.

    >>> route = prefix_affinity(AffinityConfig(token_s=1e-4, decode_s=1e-3))
    >>> cold, warm = ReplicaState(0, 0, 0, 5.0), ReplicaState(2048, 1024, 3, 5.0)
    >>> route(Arrival(0, 4096, 1.0), [cold, warm])
    1
    """

    def route(arrival: Arrival, replicas: Sequence[ReplicaState]) -> int:
        count = len(replicas)
        # Work that is under way for nobody yet counts for all: the first requests find no mean to exceed.
        bound = config.imbalance * (sum(state.load for state in replicas) + count * arrival.work_s) / count
        allowed = [place for place in range(count) if replicas[place].load <= bound]

        def seconds(place: int) -> tuple[float, float, int]:
            state = replicas[place]
            own_s = config.token_s * (arrival.num_prompt_tokens - state.cached_tokens)
            queue_s = config.token_s * state.queued_tokens + config.decode_s * state.num_requests
            return own_s + config.queue_weight * queue_s, state.load, (place - arrival.number) % count

        return min(allowed, key=seconds)

    return route


POLICIES = ("round-robin", "least-loaded", "prefix-affinity")


def policy_named(name: str, affinity: AffinityConfig) -> Route:
    """Raises ConfigError for a name that is not known."""
    known: dict[str, Route] = {
        "round-robin": round_robin,
        "least-loaded": least_loaded,
        "prefix-affinity": prefix_affinity(affinity),
    }
    if name not in known:
        raise ConfigError(f"routing {name!r} is not known: {nearest(name, POLICIES)}")
    return known[name]
