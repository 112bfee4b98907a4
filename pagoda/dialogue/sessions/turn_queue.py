"""Whose turn it is: threads that want the same session go in the order in which they asked.

Stands before the turn's path, inside this process; `store` adds the lock among processes. Python's own locks
promise no order, and two sentences of one person must not change places.
"""

from __future__ import annotations

import threading
from collections import deque


class Ticket:
    """A place in the queue of one key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._is_served = threading.Event()

    def wait(self) -> None:
        """Until it is this one's turn."""
        self._is_served.wait()

    def serve(self) -> None:
        """Wake up whoever waits."""
        self._is_served.set()


class TurnQueue:
    """A queue for each key, which exists as long as somebody stands in it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queues: dict[str, deque[Ticket]] = {}

    def join(self, key: str) -> Ticket:
        """A place at the end; the first is served at once."""
        ticket = Ticket(key)
        with self._mutex:
            queue = self._queues.setdefault(key, deque())
            queue.append(ticket)
            queue[0].serve()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place back, served or not; a second time changes nothing."""
        with self._mutex:
            queue = self._queues.get(ticket.key)
            if queue is None or ticket not in queue:
                return
            queue.remove(ticket)
            if queue:
                queue[0].serve()
            else:
                del self._queues[ticket.key]

    def __len__(self) -> int:
        """How many stand in all queues."""
        with self._mutex:
            return sum(map(len, self._queues.values()))
