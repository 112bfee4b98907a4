"""What carrying out one action gives: words to say, events to keep, and what the graph answered.

Middle of a turn: sentence -> understanding -> events -> *state -> policy -> Cypher -> rows -> reply*. Made by
`performing` and, where something is booked, by `booking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.dialogue.slots.kinds import NodeKey
from pagoda.dialogue.state import actions
from pagoda.dialogue.state import events as ev
from pagoda.graph.statement import Statement

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Done:
    """One action carried out. text: what it says; found: keys of the nodes that it is about.

    instead: what was done in the end, where the graph spoke against the action
    """

    text: str
    events: tuple[ev.Event, ...] = ()
    statement: Statement | None = None
    rows: Rows = ()
    found: tuple[NodeKey, ...] = ()
    instead: actions.Action | None = None
