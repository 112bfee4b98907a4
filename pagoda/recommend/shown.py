"""What people were shown, written behind the answers: nobody waits for it, and no answer fails of it.

Beside `desk`. One thread takes what has gathered and writes it at once. What cannot be written is let go with a line in
the log, and so is what comes while too much waits. Reasons are read from here: where they were let go, none is known,
and that a thing was recommended must be kept by whoever recommended it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pagoda.recommend.recommendation import Recommendation

logger = logging.getLogger(__name__)
_MOST = 1000
"""Lists that wait at most."""


@dataclass(frozen=True)
class ShownList:
    """A list, whose it was, which model made it and when, in Unix seconds."""

    user: str
    found: Sequence[Recommendation]
    model: str
    at: float = field(default_factory=time.time)


class ShownWriter:
    """write: gets lists that gathered; what it raises is told in the log"""

    def __init__(self, write: Callable[[Sequence[ShownList]], None]) -> None:
        self._write = write
        self._waiting: queue.Queue[ShownList | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._run, name="pagoda-recommend-shown", daemon=True)
        self._thread.start()

    def put(self, one: ShownList) -> None:
        """Have a list written some time; never waits."""
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            logger.warning("what was shown is not written: %d lists are waiting", _MOST)

    def flush(self) -> None:
        """Wait until all of it has been tried."""
        self._waiting.join()

    def close(self) -> None:
        """Write what waits, and end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                self._write([one for one in batch if one is not None])
            except Exception as error:  # whatever it is, answers go on
                logger.warning("what was shown is not written: %s", error)
            is_open = None not in batch
            for _ in batch:
                self._waiting.task_done()
