"""What is wanted near to what is on the table: 这家附近的酒店, "something around there", "near Green Tile Kitchen".

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. Which
place that is the graph has to say, when the turn is performed; here it is found out what the words point at.
"""

from __future__ import annotations

import re

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.follow_ups import has_remainder
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.reading.questions.forms import near_what
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.tasks import row_of
from pagoda.dialogue.turn.questions import index_of
from pagoda.dialogue.turn.standing import LEAST_SURE
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import Understanding

_BEFORE_NAME = re.compile(r"\b(?:near|close to|around|next to|by|not far from)\s+(?:the\s+)?$", re.IGNORECASE)
_BEHIND_NAME = re.compile(r"的?(?:附近|周边|周围|旁边|边上|不远)")


class Nearness:
    """Finds nodes that something is wanted near to."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._labels = [each.query.label for each in domain.intents.values() if each.query is not None]

    def wanted(self, read: Understanding, state: State) -> tuple[str, ev.WantsNear] | None:
        """The search near something, and near what; None where nothing is meant, or a place is told in other words."""
        intent = self._search(read, state)
        if intent is None or self._has_place(read, intent):
            return None
        for start, end, node in self._values.nodes_named(read.text, self._labels):
            if _BEFORE_NAME.search(read.text[:start]) or _BEHIND_NAME.match(read.text[end:]):
                return intent.name, ev.WantsNear(node, read.text[start:end])
        words = near_what(read.text)
        meant = self._meant(read, state) if words else None
        return (intent.name, ev.WantsNear(meant, words)) if meant is not None else None

    def _search(self, read: Understanding, state: State) -> Intent | None:
        """What it is read as, the one whose results it names, or the one under way, where nothing else is said."""
        searches = {each.name: each for each in self._domain.intents.values() if each.query is not None}
        rest = read.text.replace(near_what(read.text), " ")
        called = [each for each in searches.values() if each.query and self._is_called(rest, each.query.label)]
        if len(called) == 1:
            return called[0]
        if read.intent in searches and read.confidence >= LEAST_SURE:
            return searches[read.intent]
        is_fragment = state.task is not None and not has_remainder(rest, is_question=True)
        return searches.get(state.task.intent) if state.task is not None and is_fragment else None

    def _has_place(self, read: Understanding, intent: Intent) -> bool:
        near = {each.slot for each in intent.query.filters if each.operator == "near"} if intent.query else set()
        return any(slot.slot in near for slot in read.slots)

    def _meant(self, read: Understanding, state: State) -> NodeValue | None:
        """A result by its number, the kind that is called by its name, or what was talked of last."""
        source, index = state.task_with_results, index_of(read, state)
        row = row_of(index, len(source.results)) if source is not None and index is not None else None
        if source is not None and row is not None:
            return source.results[row]
        called = [node for node in state.talked_of if self._is_called(near_what(read.text), node.label)]
        return next(reversed(called), state.topic or next(reversed(state.talked_of), None))

    def _is_called(self, text: str, label: str) -> bool:
        titles = self._domain.labels[label].title.values()
        return any(mentions(text, word) for title in titles for word in (title, f"{title}s"))
