"""What a router knows of the replicas, and by that who gets a request: the books around a policy of `pagoda/balancing`.

Beside the token's path. Two threads write here: Ray Serve's router, which asks who is to get a request and tells who
got it, and the front, which sees answers begin and end. What a replica has cached is what was sent to it last; work
counts in prompt tokens and fades, as what a replica did an hour ago is no reason to spare it now. Imports neither Ray
nor torch.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pagoda.balancing import AffinityConfig, Arrival, ReplicaState, policy_named
from pagoda.server.replicas.prefixes import Beginning

_REMEMBERED = 1 << 16
"""Pieces of a replica, a million tokens of cache."""
_HALF_LIFE_S = 60.0
_NO_IMBALANCE = 4096.0
"""Tokens of work that each counts as having: so little more on one replica than on another is no imbalance."""
_DECODE_TOKENS = 32.0
"""Tokens of a prompt that take as long as another's answer delays a first token."""


@dataclass(eq=False)
class RoutedRequest:
    """One request on its way. to: the replica that is meant, if one is; avoid: those that failed at it.

    replica: who got it, told by the router. A replica gets it as nothing.
    """

    beginning: Beginning = field(default_factory=Beginning)
    to: str | None = None
    avoid: frozenset[str] = frozenset()
    replica: str | None = None
    table: ReplicaTable | None = None
    num_computed: int = 0
    is_queued: bool = False
    is_under_way: bool = False

    def __reduce__(self) -> tuple[type[RoutedRequest], tuple[()]]:
        return RoutedRequest, ()

    def began(self) -> None:
        """The first of its answer has come."""
        if self.table is not None:
            self.table.began(self)

    def ended(self) -> None:
        """It is over, however. May be called again."""
        if self.table is not None:
            self.table.ended(self)


@dataclass
class _Replica:
    load: float
    pieces: OrderedDict[int, None] = field(default_factory=OrderedDict)
    queued_tokens: int = 0
    num_requests: int = 0

    def remember(self, beginning: Beginning) -> None:
        for piece in beginning.pieces:
            self.pieces[piece] = None
            self.pieces.move_to_end(piece)
        while len(self.pieces) > _REMEMBERED:
            self.pieces.popitem(last=False)


class ReplicaTable:
    """Books of one router. routing, imbalance: see ReplicasConfig; clock: seconds."""

    def __init__(self, routing: str, imbalance: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._route = policy_named(routing, AffinityConfig(1.0, _DECODE_TOKENS, imbalance))
        self._clock = clock
        self._faded_at = clock()
        self._replicas: dict[str, _Replica] = {}
        self._num_arrived = 0
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Of the replicas that there are."""
        with self._lock:
            return sorted(self._replicas)

    def choose(self, ticket: RoutedRequest, names: Sequence[str]) -> list[str]:
        """Who should get a request, of those that are there now; behind that, the others by what runs on them."""
        with self._lock:
            self._keep(names)
            self._fade()
            ticket.table = self
            if ticket.to in names:
                return [str(ticket.to)]
            allowed = [name for name in names if name not in ticket.avoid] or list(names)
            states = [self._state(self._replicas[name], ticket.beginning) for name in allowed]
            arrival = Arrival(self._num_arrived, ticket.beginning.num_tokens, float(ticket.beginning.num_tokens))
            best = allowed[self._route(arrival, states)]
            others = sorted(
                set(names) - {best}, key=lambda name: (name in ticket.avoid, self._replicas[name].num_requests)
            )
            return [best, *others]

    def sent(self, ticket: RoutedRequest, name: str) -> None:
        """A replica got a request."""
        with self._lock:
            if ticket.is_under_way:
                return
            ticket.replica = name
            if ticket.to is not None or name not in self._replicas:
                return
            replica = self._replicas[name]
            ticket.num_computed = ticket.beginning.num_tokens - ticket.beginning.num_shared(replica.pieces)
            ticket.is_queued = ticket.is_under_way = True
            replica.remember(ticket.beginning)
            replica.queued_tokens += ticket.num_computed
            replica.num_requests += 1
            replica.load += ticket.num_computed
            self._num_arrived += 1

    def began(self, ticket: RoutedRequest) -> None:
        """See `RoutedRequest.began`."""
        with self._lock:
            replica = self._replicas.get(ticket.replica or "")
            if ticket.is_queued and replica is not None:
                replica.queued_tokens -= ticket.num_computed
            ticket.is_queued = False

    def ended(self, ticket: RoutedRequest) -> None:
        """See `RoutedRequest.ended`."""
        self.began(ticket)
        with self._lock:
            replica = self._replicas.get(ticket.replica or "")
            if ticket.is_under_way and replica is not None:
                replica.num_requests -= 1
            ticket.is_under_way = False

    def _keep(self, names: Sequence[str]) -> None:
        """Forget who is gone; who is new counts as having worked as the others have."""
        for gone in self._replicas.keys() - set(names):
            del self._replicas[gone]
        for new in [name for name in names if name not in self._replicas]:
            loads = [replica.load for replica in self._replicas.values()]
            self._replicas[new] = _Replica(sum(loads) / len(loads) if loads else 0.0)

    def _fade(self) -> None:
        now = self._clock()
        share = 0.5 ** ((now - self._faded_at) / _HALF_LIFE_S)
        self._faded_at = now
        for replica in self._replicas.values():
            replica.load *= share

    def _state(self, replica: _Replica, beginning: Beginning) -> ReplicaState:
        cached = beginning.num_shared(replica.pieces)
        return ReplicaState(cached, replica.queued_tokens, replica.num_requests, replica.load + _NO_IMBALANCE)
