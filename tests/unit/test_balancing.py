"""Routing policies: pure functions of what is known of the replicas."""

from __future__ import annotations

import math

import pytest

from pagoda.balancing import (
    AffinityConfig,
    Arrival,
    ReplicaState,
    least_loaded,
    policy_named,
    prefix_affinity,
    round_robin,
)
from pagoda.errors import ConfigError

AFFINITY = AffinityConfig(token_s=1e-4, decode_s=1e-3, imbalance=1.2, queue_weight=1.0)
IDLE = ReplicaState(0, 0, 0, 10.0)


def test_round_robin_gives_each_its_turn() -> None:
    assert [round_robin(Arrival(number, 10, 1.0), [IDLE] * 3) for number in range(6)] == [0, 1, 2, 0, 1, 2]


def test_least_loaded_counts_requests_then_tokens_and_spreads_ties() -> None:
    states = [ReplicaState(0, 5, 2, 0.0), ReplicaState(0, 900, 1, 0.0), ReplicaState(0, 300, 1, 0.0)]
    assert least_loaded(Arrival(0, 10, 1.0), states) == 2
    assert [least_loaded(Arrival(number, 10, 1.0), [IDLE] * 3) for number in range(3)] == [0, 1, 2]


def test_affinity_weighs_cached_blocks_against_the_queue() -> None:
    route = prefix_affinity(AFFINITY)
    arrival = Arrival(0, 4096, 0.4)
    assert route(arrival, [IDLE, ReplicaState(2048, 1000, 2, 10.0)]) == 1
    assert route(arrival, [IDLE, ReplicaState(2048, 3000, 2, 10.0)]) == 0
    assert route(arrival, [IDLE, ReplicaState(16, 0, 1, 10.0)]) in (0, 1)


def test_affinity_never_goes_beyond_its_bound() -> None:
    """However popular one prefix is: all of it is cached on one replica, and still the others get their share."""
    route = prefix_affinity(AFFINITY)
    load = [0.0] * 4
    for number in range(400):
        states = [ReplicaState(4000 if place == 0 else 0, 0, 0, load[place]) for place in range(4)]
        load[route(Arrival(number, 4096, 1.0), states)] += 1.0
    assert load[0] == max(load)
    assert max(load) * 4 / sum(load) <= 1.2 + 4 / 400
    assert min(load) > 0


def test_policies_have_names() -> None:
    assert policy_named("round-robin", AFFINITY) is round_robin
    with pytest.raises(ConfigError, match='did you mean "prefix-affinity"'):
        policy_named("prefix-afinity", AFFINITY)
    with pytest.raises(ConfigError, match="imbalance is 0"):
        AffinityConfig(1e-4, 1e-3, 0)
    with pytest.raises(ConfigError, match="imbalance is nan"):
        AffinityConfig(1e-4, 1e-3, math.nan)
