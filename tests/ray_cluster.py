"""A cluster of Ray on this host, of several nodes, for tests: on loopback, without dashboard and reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from patience import HANG_S

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what keeps a cluster on loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}
_NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
_MOST_TRIES = 4


@contextmanager
def cluster_of(num_cpus: Sequence[int]) -> Iterator[Any]:
    """Nodes of so many CPUs, the head first; RAY_ADDRESS leads there. Skips the test where there is no Ray."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ENVIRONMENT.items():
            patched.setenv(name, value)
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            for count in num_cpus:
                add_node(cluster, count)
            cluster.wait_for_nodes(timeout=HANG_S)
            patched.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def kill_node(cluster: Any, node: Any) -> None:
    """End a worker node as a host's power does for its processes: kill -9, and nobody is told."""
    cluster.remove_node(node, allow_graceful=False)


def add_node(cluster: Any, num_cpus: int) -> None:
    """Ray gives its own processes 15 s to start, without a setting; where that is never enough the test is skipped."""
    for _ in range(_MOST_TRIES):
        try:
            cluster.add_node(wait=False, num_cpus=num_cpus, **_NODE)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
        else:
            return
    pytest.skip(f"this machine is too busy for Ray: a node did not start within its 15 s, {_MOST_TRIES} times")
