"""The ranks of an engine as actors of Ray: placed together, watched, and ended together.

Beside the token's path. The engine makes a placement group of one bundle a rank and hands it to the actors that it
makes; nothing is looked up by name. A call that lasts as long as the rank is how its end, its host's among the
causes, becomes an event here; all others are ended then. What is said between engine and rank goes over a socket of
their own (`connections`). Imports no torch.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pagoda.engine.cluster.connections import Doorkeeper
from pagoda.engine.cluster.rank_actor import RankActor
from pagoda.errors import ConfigError, EngineDeadError

if TYPE_CHECKING:
    from pagoda.engine.cluster.meeting import Whereabouts
    from pagoda.kernels.native.shared_memory import SharedLayout

logger = logging.getLogger(__name__)

PLACING_TIMEOUT_S = 300.0
"""For the cluster to have room: where it grows by itself, a host takes minutes to come."""
_START_TIMEOUT_S = 300.0
"""For actors to be there, which import torch, and to connect."""
_NOTE_S = 5.0
_A_MOMENT_S = 1.0
"""Between the end of a socket and what Ray says of the actor behind it."""
_GONE_S = 30.0
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Of a cluster that is made here: nothing is reported, and its workers, which do the work, do not stand back."""
_OBJECTS_BYTES = 80 * 2**20
"""Of Ray's object store, through which nothing goes here."""


class RankActors:
    """An actor for each rank of a layout; `execution/multiprocess.Ranks` is its face."""

    def __init__(self, layout: SharedLayout, placing_timeout_s: float = PLACING_TIMEOUT_S) -> None:
        count = layout.num_tensor * layout.num_stages
        self.fault: str | None = None
        self.connections: list[socket.socket] = []
        self.whereabouts: Sequence[Whereabouts] = ()
        self._lock = threading.Lock()
        self._told: Callable[[str], None] | None = None
        self._ended, self._closing = threading.Event(), threading.Event()
        self._actors: list[Any] = []
        self._runs: list[Any] = []
        connect()
        self._group = placed(count, placing_timeout_s)
        try:
            self._start(layout, count)
        except BaseException:
            self._end_all()
            raise
        threading.Thread(target=self._watch, name="pagoda-rank-actors", daemon=True).start()

    def watch(self, told: Callable[[str], None]) -> None:
        """`told` is called with the reason when one ends by itself, in another thread; at once where one has."""
        with self._lock:
            self._told = told
            fault = self.fault
        if fault is not None:
            told(fault)

    def end(self, fault: str) -> str:
        """End them all and wait until they are gone. Returns why they ended: `fault`, or what was known before."""
        with self._lock:
            self.fault = self.fault or fault
            first = not self._closing.is_set()
            self._closing.set()
        if first:
            try:
                self._end_all()
            finally:  # Ctrl-C comes out of it; whoever waits is not to wait for ever
                self._ended.set()
        else:
            self._ended.wait()
        return self.fault

    def why_ended(self, otherwise: str) -> str:
        """The reason, where one has just ended by itself; `otherwise` where that is not seen, and then they end now."""
        self._ended.wait(_A_MOMENT_S)
        return self.end(otherwise)

    def _start(self, layout: SharedLayout, count: int) -> None:
        for index in range(count):
            bundle = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=index)
            options = {"num_cpus": 1, "max_restarts": 0, "scheduling_strategy": bundle}
            self._actors.append(ray.remote(RankActor).options(**options).remote())
        try:
            found = ray.get([actor.where.remote(layout) for actor in self._actors], timeout=_START_TIMEOUT_S)
        except GetTimeoutError as error:
            raise EngineDeadError(f"the ranks' actors did not start within {_START_TIMEOUT_S:g} s") from error
        except RayError as error:
            raise EngineDeadError(f"an actor of a rank could not start: {last_line(error)}") from error
        self.whereabouts = found
        keeper = Doorkeeper(ray.util.get_node_ip_address())
        try:
            self._runs = [
                actor.run.remote(keeper.door, layout, found, index) for index, actor in enumerate(self._actors)
            ]
            self.connections = self._entered(keeper, count)
        finally:
            keeper.close()

    def _entered(self, keeper: Doorkeeper, count: int) -> list[socket.socket]:
        entered: dict[int, socket.socket] = {}
        deadline = time.monotonic() + _START_TIMEOUT_S
        while len(entered) < count:
            if (came := keeper.accept(1.0)) is not None:
                entered[came[0]] = came[1]
            elif fault := self._first_fault(0):
                raise EngineDeadError(f"a rank did not connect: {fault}")
            elif time.monotonic() > deadline:
                raise EngineDeadError(f"{count - len(entered)} of {count} ranks did not connect to {keeper.door.host}")
        return [entered[index] for index in range(count)]

    def _watch(self) -> None:
        """Until one ends, or all are to."""
        with contextlib.suppress(Exception):  # Ray itself is being ended: whoever does that ends the ranks
            while not self._closing.is_set():
                if (fault := self._first_fault(_NOTE_S)) is not None:
                    self._note(fault)
                    return

    def _note(self, fault: str) -> None:
        with self._lock:
            was_asked, told = self._closing.is_set(), self._told
        if not was_asked:
            self.end(fault)
            if told is not None:
                told(fault)

    def _first_fault(self, timeout_s: float) -> str | None:
        """Why a rank is gone, where one goes within this time."""
        gone, _ = ray.wait(self._runs, num_returns=1, timeout=timeout_s)
        if not gone:
            return None
        index = self._runs.index(gone[0])
        try:
            code = ray.get(gone[0])
        except RayError as error:
            return f"rank {index} has ended: {last_line(error)}"
        return f"rank {index} ended with exit code {code}"

    def _end_all(self) -> None:
        """Their sockets first, at which those that can end by themselves."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if not ray.is_initialized():
            return  # with which all actors have ended
        with contextlib.suppress(Exception):
            for actor in self._actors:
                ray.kill(actor)
            ray.wait(self._runs, num_returns=len(self._runs), timeout=_GONE_S) if self._runs else None
            remove_placement_group(self._group)


def connect() -> bool:
    """Be a driver of the cluster that RAY_ADDRESS names, else of a small one on this host: whether that was made here.

    Raises ConfigError.
    """
    if ray.is_initialized():
        return False
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        host: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        ray.init(address="local", object_store_memory=_OBJECTS_BYTES, **host, **quiet)
        return True
    _check_reachable(address)
    try:
        ray.init(address=address, **quiet)
    except ConnectionError as error:
        raise _no_cluster(address, error) from error
    return False


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in address:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_NOTE_S).close()
        except OSError as error:
            raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"no cluster of Ray answers at RAY_ADDRESS={address} ({last_line(error)}): start one with `ray start --head`, "
        f"or take the variable away for a small one on this host"
    )


def placed(count: int, timeout_s: float) -> PlacementGroup:
    """A placement group of a bundle for each rank, on as few hosts as it fits. Raises ConfigError without room."""
    group = placement_group([{"CPU": 1.0}] * count, strategy="PACK")
    for waited_s in (_NOTE_S, timeout_s - _NOTE_S):
        if group.wait(max(0.0, waited_s)):
            return group
        free = ray.available_resources().get("CPU", 0.0)
        logger.warning("ranks wait for %d CPUs of the cluster, of which %g are free", count, free)
    remove_placement_group(group)
    total = ray.cluster_resources().get("CPU", 0.0)
    raise ConfigError(
        f"the ranks need {count} CPUs, and the cluster had no room for them within {timeout_s:g} s ({free:g} of "
        f"{total:g} are free): lower tensor_parallel_size or pipeline_parallel_size, or add nodes"
    )


def last_line(error: Exception) -> str:
    """What Ray says of an actor's end, without the list of facts around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
