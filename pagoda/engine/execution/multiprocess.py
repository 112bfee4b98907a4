"""Ranks that are processes, behind the one method of an Executor.

On the token's path, where a model is divided: a plan goes to every rank, its rows to the one that tells, and plain
tokens come back. What holds the tensors are the ranks; they meet without this process, those of one host in memory
that they share (`kernels/native/shared_memory`). Whoever starts ranks and watches over them has the face of `Ranks`:
`rank_processes` for this host, actors of Ray in `cluster`. Should one of them end, fail or stop, all of them are ended,
as what they had computed is lost; `restart` brings new ones.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, cast

from pagoda.engine.execution.frames import frame, receive, revive
from pagoda.engine.execution.rank_messages import Brought, LoadPart, ModelToLoad, RankFailed, RankStep, Ready
from pagoda.engine.execution.rank_processes import RankProcesses
from pagoda.engine.execution.worker import wants_best_only
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.errors import EngineDeadError
from pagoda.kernels.native.shared_memory import SharedLayout, unnamed_memory

logger = logging.getLogger(__name__)

STEP_TIMEOUT_S = 300.0
"""For a step, where the operator says nothing: a rank that is stopped, not ended, is noticed after it."""
LOAD_TIMEOUT_S = 3600.0
_SLICE_S = 0.5
"""Time is counted in slices that this process ran itself: where all were stopped together, nobody is late."""


class Ranks(Protocol):
    """Processes that were started together, are watched, and end together; `RankProcesses` says more."""

    connections: list[socket.socket]
    """To each of them, in the order of `places`."""
    fault: str | None
    """Why they have ended, once they have."""

    def watch(self, told: Callable[[str], None]) -> None:
        """Tell when one has ended by itself."""
        ...

    def end(self, fault: str) -> str:
        """End them all; returns why they ended."""
        ...

    def why_ended(self, otherwise: str) -> str:
        """The reason, where one has just ended; ends them all."""
        ...


def places(layout: SharedLayout) -> list[tuple[int, int]]:
    """(stage, rank) of every rank, in the order in which they are counted."""
    return [(stage, rank) for stage in range(layout.num_stages) for rank in range(layout.num_tensor)]


class RanksExecutor(ABC):
    """Runs steps on `model.layout`'s ranks. step_timeout_s: after which a step counts as failed.

    Raises what keeps the model from loading: CheckpointError, EngineDeadError.
    """

    def __init__(self, model: ModelToLoad, step_timeout_s: float = STEP_TIMEOUT_S) -> None:
        self.layout, self.step_timeout_s = model.layout, step_timeout_s
        self._model = model
        self._places = places(model.layout)
        self._teller = self._places.index((model.layout.num_stages - 1, 0))
        self._number = 0
        self._told: Callable[[Exception], None] | None = None
        self._is_closed = False
        self._start()

    @abstractmethod
    def _started(self) -> tuple[Ranks, ModelToLoad]:
        """New ranks, and what they are to load."""

    def _start(self) -> None:
        """Ranks with the model loaded."""
        self._ranks, model = self._started()
        self._end = weakref.finalize(self, self._ranks.end, "the engine has ended")
        self._selector = selectors.DefaultSelector()
        for index, connection in enumerate(self._ranks.connections):
            connection.settimeout(self.step_timeout_s)
            self._selector.register(connection, selectors.EVENT_READ, index)
        try:
            for index, place in enumerate(self._places):
                self._send(index, frame(LoadPart(model, *place)))
            self._wait_for(len(self._places), Ready, LOAD_TIMEOUT_S)
        except BaseException:
            self._end()
            raise

    @property
    def has_ended(self) -> bool:
        """Whether the ranks have ended, or are being ended."""
        return self._ranks.fault is not None

    def restart(self) -> None:
        """Load the model into new ranks where the old ones have ended. Raises as the constructor, and after `close`."""
        if self._is_closed:
            raise _dead(self._ranks.end("the engine was closed"))
        self._end()
        logger.error("the ranks of the model have ended (%s): starting them again", self._ranks.fault)
        self._selector.close()
        for connection in self._ranks.connections:
            connection.close()
        self._start()
        if self._told is not None:
            self.watch(self._told)

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        """Run one step. Raises EngineDeadError where a rank ends, fails or takes too long: then there are none left."""
        self._number += 1
        best_only = wants_best_only(rows)
        following = frame(RankStep(self._number, plan, None, best_only))
        telling = frame(RankStep(self._number, plan, rows, best_only))
        try:
            for index in range(len(self._ranks.connections)):
                self._send(index, telling if index == self._teller else following)
        except BaseException:
            # From here on those that have it and those that do not would meet in different steps.
            self._ranks.end("a step was sent to some of the ranks")
            raise
        # Of a step that Ctrl-C broke off the ranks tell later, in front of the next.
        while (brought := self._wait_for(1, Brought, self.step_timeout_s)[0]).number != self._number:
            pass
        return brought.output

    def watch(self, told: Callable[[Exception], None]) -> None:
        """`told` gets the error when a rank ends between two steps or in one; it is called in another thread."""
        self._told = told
        self._ranks.watch(lambda fault: told(_dead(fault)))

    def close(self, reason: str = "the engine was closed") -> None:
        """End the ranks for good."""
        self._is_closed = True
        self._ranks.end(reason)

    def _send(self, index: int, data: bytes) -> None:
        try:
            self._ranks.connections[index].sendall(data)
        except OSError as error:
            raise _dead(self._ranks.why_ended(f"rank {index} takes no messages ({error})")) from error

    def _wait_for(self, count: int, kind: type, timeout_s: float) -> list[Any]:
        """So many messages of a kind, from whichever ranks."""
        found: list[Any] = []
        left = timeout_s
        while len(found) < count:
            began = time.monotonic()
            ready = self._selector.select(min(_SLICE_S, left))
            left -= min(_SLICE_S, time.monotonic() - began)
            found += [self._received(cast(socket.socket, key.fileobj), key.data, kind) for key, _ in ready]
            if not ready and left <= 0:
                raise _dead(self._ranks.end(f"no answer came within {timeout_s:g} s"))
        return found

    def _received(self, connection: socket.socket, index: int, kind: type) -> object:
        try:
            message = receive(connection)
        except (EOFError, OSError) as error:
            raise _dead(self._ranks.why_ended(f"rank {index} closed its connection")) from error
        except BaseException:
            self._ranks.end("half of a message was read")
            raise
        if isinstance(message, RankFailed):
            logger.error("rank %d failed:\n%s", index, message.told)
            self._ranks.end(f"rank {index} failed: {message.kind}: {message.message}")
            if kind is Ready:
                raise revive(message.kind, message.message)
            raise _dead(f"rank {index} failed: {message.kind}: {message.message}")
        assert isinstance(message, kind), message
        return message


class MultiprocessExecutor(RanksExecutor):
    """The same, on processes of this host that meet in memory without a name."""

    def _started(self) -> tuple[Ranks, ModelToLoad]:
        descriptor = unnamed_memory(self.layout.num_bytes)
        try:
            self._processes = RankProcesses(len(self._places), descriptor)
        finally:
            os.close(descriptor)  # the ranks have it: with the last of them the memory is gone
        return self._processes, self._model

    @property
    def pids(self) -> list[int]:
        """Of the ranks: stage by stage."""
        return [process.pid for process in self._processes.processes]


def _dead(fault: str) -> EngineDeadError:
    return EngineDeadError(f"the ranks of the model have ended ({fault}): what they were computing is lost")
