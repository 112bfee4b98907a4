"""One rank as an actor of Ray, in a process that Ray started on whatever host has room.

On the token's path, where a model is divided over a cluster: it says where it is, connects to the engine, and from
then on is what a rank's process is on one host (`execution/rank_process`): the messages are the same, over the socket,
past Ray. It ends with the engine, whose end closes the socket.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ray

from pagoda.engine.cluster.connections import Door, enter
from pagoda.engine.execution.rank_process import serve_engine
from pagoda.hardware import usable_cores

if TYPE_CHECKING:
    from pagoda.engine.cluster.meeting import Whereabouts
    from pagoda.engine.execution.rank_messages import LoadPart
    from pagoda.engine.execution.worker import Worker
    from pagoda.kernels.native.shared_memory import SharedLayout


class RankActor:
    """Ray makes one for each rank, one a device."""

    def where(self, layout: SharedLayout) -> Whereabouts:
        """Where this process is, with memory for all ranks of the layout."""
        from pagoda.engine.cluster.meeting import Whereabouts
        from pagoda.kernels.native.shared_memory import unnamed_memory

        host = ray.util.get_node_ip_address()
        self._memory = unnamed_memory(layout.num_bytes)
        self._listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        node, port = ray.get_runtime_context().get_node_id(), self._listening.getsockname()[1]
        return Whereabouts(node, host, os.getpid(), self._memory, port, usable_cores())

    def run(self, door: Door, layout: SharedLayout, ranks: Sequence[Whereabouts], index: int) -> int:
        """Serve the engine as rank `index` of these until it is gone."""

        def loaded(load: LoadPart) -> Worker:
            from pagoda.engine.cluster.meeting import Meeting
            from pagoda.engine.execution.rank_worker import load_worker

            meeting = Meeting(layout, ranks, index, self._listening.detach())
            meeting.open_store()
            return load_worker(load, meeting.place_of(load))

        with enter(door, index) as connection:
            return serve_engine(connection, loaded)
