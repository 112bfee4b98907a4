"""The state that a session is in, folded from what is new in its log alone: a turn costs the same in a long session.

Before a turn: sentence -> understanding -> *events -> state* -> policy -> Cypher -> rows -> reply. States are pure
values of their logs, so a state that is remembered beside the number of its events is right as long as the log begins
with these; what other processes have written since is folded on top. A log that begins otherwise, since the session
was forgotten and begun anew, is read from its start. Snapshots as in Fowler's "Event Sourcing" (2005), kept in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.state.model import State

MAX_KEPT = 2048
"""Sessions whose states are remembered; a state has some kilobytes."""


@dataclass(frozen=True)
class Known:
    """A session's state after `num_events` events and `num_turns` turns. first: the event that its log begins with."""

    state: State
    num_events: int = 0
    num_turns: int = 0
    first: Mapping[str, Any] | None = None


class States:
    """States of sessions, the latest used ones remembered. Threads may share it; a session's turns hold it in turn."""

    def __init__(self, domain: Domain, sessions: SessionStore, max_kept: int = MAX_KEPT) -> None:
        self._domain, self._sessions, self._max_kept = domain, sessions, max_kept
        self._mutex = threading.Lock()
        self._kept: OrderedDict[str, Known] = OrderedDict()

    def of(self, session_id: str) -> Known:
        """The state of a session as it is stored now. Raises SessionError."""
        with self._mutex:
            held = self._kept.get(session_id, Known(State()))
        log = self._sessions.log(session_id, held.num_events)
        if log.num_before != held.num_events or (held.num_events and log.first != held.first):
            held, log = Known(State()), self._sessions.log(session_id)
        state = fold((ev.from_json(event) for event in log.events), self._domain, held.state)
        known = Known(state, log.num_events, log.num_turns, log.first)
        self._keep(session_id, known)
        return known

    def after(self, session_id: str, known: Known, events: Sequence[Mapping[str, Any]], state: State) -> None:
        """A turn was stored: these events came to what was known, and `state` is their fold."""
        first = known.first if known.num_events else next(iter(events), None)
        self._keep(session_id, Known(state, known.num_events + len(events), known.num_turns + 1, first))

    def _keep(self, session_id: str, known: Known) -> None:
        with self._mutex:
            self._kept[session_id] = known
            self._kept.move_to_end(session_id)
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
