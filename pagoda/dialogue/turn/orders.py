"""Orders of what cannot be booked: a hotel where only tables are. It is said so, and the rest of the sentence is done.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. Which
labels can be booked is the domain's to say; what an order is about is the node that it names, what it calls it, the
search that it is read as, or what was talked of last.
"""

from __future__ import annotations

import re

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.closed.wishes import BOOKS, things_of, wish_about_bookings
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import Understanding

_BUYS = re.compile(r"购票|买票|买[\d一二两三四五六七八九十]*张|\b(?:buy|purchase|rent)\b", re.IGNORECASE)


class Orders:
    """Finds orders that nothing can be done about."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        intents = domain.intents.values()
        self._bookable = {each.booking.target_label for each in intents if each.booking is not None}
        self._searched = {each.query.label: each.name for each in intents if each.query is not None}

    def unbookable(self, read: Understanding, state: State) -> list[ev.Event]:
        """That what is ordered cannot be booked, and what was asked to be booked by name is told instead."""
        if not (BOOKS.search(read.text) or _BUYS.search(read.text)) or wish_about_bookings(read.text, self._domain):
            return []
        named = [node for _, _, node in self._values.nodes_named(read.text, [*self._searched])]
        label = named[0].label if named else self._label(read, state)
        if not label or label in self._bookable:
            return []
        told: list[ev.Event] = [ev.Unbookable(label)]
        return [*told, ev.Requested(ev.EVERYTHING, None, named[0])] if len(set(named)) == 1 else told

    def _label(self, read: Understanding, state: State) -> str:
        """What is ordered, "" where nothing tells."""
        called = [label for label in self._searched if self._is_called(read.text, label)]
        if called or any(mentions(read.text, thing) for thing in things_of(self._domain)):
            return next((label for label in called if label not in self._bookable), "")
        intent = self._domain.intents.get(read.intent)
        if intent is not None and intent.query is not None:
            return intent.query.label
        is_under_way = state.task is not None and self._domain.intents[state.task.intent].kind == "book"
        if intent is not None and intent.kind == "book" and (is_under_way or self._takes_named(read, intent)):
            return ""
        source = state.task_with_results
        query = self._domain.intents[source.intent].query if source is not None else None
        return state.topic.label if state.topic is not None else query.label if query is not None else ""

    def _takes_named(self, read: Understanding, intent: Intent) -> bool:
        """Whether a booking is told what it is for by a name, of the graph or not."""
        return intent.booking is not None and any(slot.slot == intent.booking.target for slot in read.slots)

    def _is_called(self, text: str, label: str) -> bool:
        titles = self._domain.labels[label].title.values()
        return any(mentions(text, word) for title in titles for word in (title, f"{title}s"))
