"""How long a server of vectors is waited for, and what is said when it does not answer.

Below the third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. A network forgets
a call now and then, and a server that is being restarted comes back: it is asked again, with growing pauses, until a
deadline. What another try cannot mend is told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pagoda.errors import PagodaError
from pagoda.rag.errors import StoreError

_T = TypeVar("_T")


@dataclass(frozen=True)
class StorePatience:
    """How long a server is waited for, in seconds: one request; all tries of a call; the first pause between tries."""

    timeout_s: float = 30.0
    deadline_s: float = 20.0
    first_pause_s: float = 0.2

    def call(
        self,
        attempt: Callable[[], _T],
        *,
        may_pass: Callable[[Exception], bool],
        told: Callable[[Exception], Exception],
    ) -> _T:
        """What `attempt` gives; an error that may pass is tried again until the deadline, all others are raised.

        may_pass: whether a second try may help; told: the error in our words. Our own errors are raised as they are.
        """
        end = time.monotonic() + self.deadline_s
        pause = self.first_pause_s
        while True:
            try:
                return attempt()
            except PagodaError:
                raise
            except Exception as error:
                if not may_pass(error) or time.monotonic() + pause > end:
                    raise told(error) from error
            time.sleep(pause)
            pause *= 2


def unreachable(where: str, reason: str) -> StoreError:
    """What to do about a server that does not answer. where: its address without secrets."""
    return StoreError(
        f"the vector store at {where} does not answer ({reason}): start it, check the address, "
        "or leave the address out to use the embedded store; the index is as it was"
    )
