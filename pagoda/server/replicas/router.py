"""Ray Serve's door to the table: the class that its handles ask which replica a request goes to.

On the token's path behind several replicas: between the front and `replica`. It lives in the front's process.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from pagoda.server.replicas.table import ReplicaTable, RoutedRequest


class TableRouter(RequestRouter):
    """Does as a ReplicaTable says. A request's last argument is its RoutedRequest."""

    def initialize_state(self, *, routing: str, imbalance: float) -> None:  # type: ignore[override]
        """Ray Serve's constructor for our own part of it."""
        self._table = ReplicaTable(routing, imbalance)

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """One replica a rank, the best first."""
        by_name = {_name(each.replica_id): each for each in candidate_replicas}
        ticket = _ticket(pending_request) or RoutedRequest()
        return [[by_name[name]] for name in self._table.choose(ticket, sorted(by_name))] if by_name else []

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """A replica has taken a request."""
        if (ticket := _ticket(pending_request)) is not None:
            self._table.sent(ticket, _name(replica_id))


def _ticket(pending: PendingRequest | None) -> RoutedRequest | None:
    given = pending.args[-1] if pending is not None and pending.args else None
    return given if isinstance(given, RoutedRequest) else None


def _name(replica_id: ReplicaID) -> str:
    return str(replica_id.unique_id)
