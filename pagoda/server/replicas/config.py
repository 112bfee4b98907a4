"""What the operator decides about replicas: how many engines stand behind one address, and who gets a request.

Beside `server/config`, which decides about each of them. Names are vLLM's (`data_parallel_size`) and Ray Serve's
(`max_replicas`, `target_ongoing_requests`). Imports neither Ray nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pagoda.balancing import POLICIES
from pagoda.errors import ConfigError, nearest


@dataclass(frozen=True, kw_only=True)
class ReplicasConfig:
    """Settings of a deployment of replicas. Raises ConfigError for a value that cannot work.

    data_parallel_size: replicas, each a whole engine; where there may be more, the fewest
    max_replicas: as many as may be started while requests queue; None: always data_parallel_size
    target_ongoing_requests: under way on a replica, above which another is started and below which one is ended
    num_cpus_per_replica: that Ray sets aside for each, and so its threads; None: an equal share of the cluster
    routing: who gets a request, see `pagoda/balancing`
    imbalance: most work of one replica over the mean of all
    """

    data_parallel_size: int = 1
    max_replicas: int | None = None
    target_ongoing_requests: float = 32.0
    num_cpus_per_replica: float | None = None
    routing: str = "prefix-affinity"
    imbalance: float = 1.2

    def __post_init__(self) -> None:
        if self.data_parallel_size < 1:
            raise ConfigError(f"data_parallel_size is {self.data_parallel_size}, but at least 1 is expected")
        if self.max_replicas is not None and self.max_replicas < self.data_parallel_size:
            raise ConfigError(
                f"max_replicas is {self.max_replicas}, but data_parallel_size, the fewest, is {self.data_parallel_size}"
            )
        if not self.target_ongoing_requests > 0:
            raise ConfigError(f"target_ongoing_requests is {self.target_ongoing_requests}, but more than 0 is expected")
        if self.num_cpus_per_replica is not None and not self.num_cpus_per_replica >= 0:
            raise ConfigError(f"num_cpus_per_replica is {self.num_cpus_per_replica}, but at least 0 is expected")
        if self.routing not in POLICIES:
            raise ConfigError(f"routing {self.routing!r} is not known: {nearest(self.routing, POLICIES)}")
        if not self.imbalance >= 1:  # nor nan
            raise ConfigError(f"imbalance is {self.imbalance}, but at least 1 is expected: a load over the mean")

    @property
    def are_several(self) -> bool:
        """Whether there is anything to route."""
        return self.data_parallel_size > 1 or self.max_replicas is not None

    @classmethod
    def take(cls, settings: dict[str, Any]) -> ReplicasConfig:
        """Its fields out of others, which stay in `settings`."""
        return cls(**{each.name: settings.pop(each.name) for each in fields(cls) if each.name in settings})


def check_one_server_only(server: Mapping[str, Any]) -> None:
    """Raises ConfigError for what one process alone can hold. server: settings of ServerConfig that were given."""
    held = next((name for name in ("rag", "collections", "dialogue", "service") if server.get(name)), None)
    if held is not None:
        raise ConfigError(
            f"{held} is a folder that one server holds, but replicas are several: serve it by a server without "
            f"data_parallel_size, beside them"
        )
