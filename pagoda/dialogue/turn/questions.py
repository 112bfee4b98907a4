"""Questions about what is on the table, or about a node that is named: by themselves, or beside a wish.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. A value in
a question is what is asked about ("do they have parking?"), where a column tells what its slot tests, and no new wish.
Whatever is asked is answered: what no column holds is asked for as UNKNOWN, and said to be so. Questions under
discussion, as in Ginzburg 2012, "The Interactive Stance".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import GraphQuery, Intent
from pagoda.dialogue.reading.acts import mentions_node
from pagoda.dialogue.reading.closed.wishes import BOOKS, is_changing, is_undoing, things_of
from pagoda.dialogue.reading.declared import declared_in
from pagoda.dialogue.reading.places import mentions, overlap
from pagoda.dialogue.reading.questions import forms
from pagoda.dialogue.reading.questions.columns import clauses_of, columns_in, names_another_kind, without_columns
from pagoda.dialogue.slots.kinds import NodeValue, Value
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.tasks import index_of_rank
from pagoda.dialogue.turn.values import ValueReader
from pagoda.nlu.understanding import SlotValue, Understanding

_OTHER_ACTS = frozenset({"confirm", "deny", "bookings", "more", "any", "unset", "correct", "order"})


@dataclass(frozen=True)
class _Subject:
    """What is asked about. query: that tells of it; index, node: which, None twice for what is talked of anyway.

    is_one: one node, and no list
    """

    query: GraphQuery
    index: int | None = None
    node: NodeValue | None = None
    is_one: bool = False


class Questions:
    """Finds what a sentence asks after."""

    def __init__(self, domain: Domain, values: ValueReader) -> None:
        self._domain, self._values = domain, values
        self._bookable = {each.booking.target_label for each in domain.intents.values() if each.booking is not None}
        self._queries = {each.query.label: each.query for each in domain.intents.values() if each.query is not None}

    def whole(self, read: Understanding, state: State) -> list[ev.Event]:
        """What is asked, where the sentence is a question and no wish besides; [] for another sentence."""
        if (named := self._named(read.text)) is not None:
            return [] if self._is_order(read, named[2].label) else self._of_named(read, state, *named)
        subject = self._on_table(read, state)
        if subject is None or self._is_order(read, subject.query.label):
            return []
        return self._of_table(read, state, subject)

    def beside(self, read: Understanding, state: State, declared: Intent | None) -> Iterator[ev.Event]:
        """What a sentence with a wish asks besides: of a node that it names, of what it books, of all that is found."""
        if declared is None or declared.kind not in ("find", "book"):
            return
        named = self._named(read.text)
        if named is not None and named[2].label in self._queries:
            columns = self._asked_aside(read, self._queries[named[2].label], _blanked(read.text, named))
            yield from (ev.Requested(column, None, named[2]) for column in columns)
        elif declared.query is not None:
            yield from (ev.AskedAlong(column) for column in self._asked_aside(read, declared.query, read.text))
        elif declared.booking is not None and declared.booking.target_label in self._queries:
            index, query = index_of(read, state), self._queries[declared.booking.target_label]
            asked = self._asked_aside(read, query, read.text)
            yield from (ev.Requested(column, index) for column in asked)

    def _is_order(self, read: Understanding, label: str) -> bool:
        """Whether something is to be booked; of what cannot be, the rest of the sentence may ask."""
        return BOOKS.search(read.text) is not None and label in self._bookable

    # A node that is named

    def _named(self, text: str) -> tuple[int, int, NodeValue] | None:
        """(start, end, node) of the one node that searches tell of and the text names."""
        named = self._values.nodes_named(text, [*self._queries])
        return named[0] if len({node for _, _, node in named}) == 1 else None

    def _of_named(self, read: Understanding, state: State, start: int, end: int, node: NodeValue) -> list[ev.Event]:
        query, text = self._queries[node.label], _blanked(read.text, (start, end, node))
        others = [slot for slot in read.slots if not (start <= slot.start and slot.end <= end)]
        columns, asked = self._columns(text, query, others if forms.is_question(text) else ())
        rest = [slot for slot in others if slot not in asked and self._is_value(slot)]
        if columns:
            return [] if self._is_wish(read, rest) else _requests(columns, asked, None, node)
        if rest or any(act.kind in _OTHER_ACTS for act in read.acts):
            return []
        if forms.asks_a_fact(text) and not forms.wants_all(text) and not forms.looks_up(text):
            return [ev.Requested(ev.UNKNOWN, None, node)]
        if forms.wants_all(text) or self._is_to_be_told(read, state, text, node):
            return [ev.Requested(ev.EVERYTHING, None, node)]
        return [ev.Requested(ev.UNKNOWN, None, node)] if forms.is_subject_of_question(text, start, end) else []

    def _is_to_be_told(self, read: Understanding, state: State, text: str, node: NodeValue) -> bool:
        """Whether a place is looked for by its name; what can only be told of, where it is named and that is all."""
        if BOOKS.search(text) or any(mentions(text, thing) for thing in things_of(self._domain)):
            return False
        is_pick = node.label not in self._bookable and index_of(read, state) is None
        return forms.looks_up(text) or (is_pick and not forms.is_question(text))

    def _is_wish(self, read: Understanding, rest: Sequence[SlotValue]) -> bool:
        """Whether values beside a question make a wish; the day alone is why somebody asks."""
        intent = self._domain.intents.get(read.intent)
        own = [slot for slot in rest if intent is not None and slot.slot in intent.slots]
        if intent is None or intent.kind != "book":
            return bool(own)
        return any(self._domain.slots[slot.slot].type != "time" for slot in own)

    # What is on the table

    def _on_table(self, read: Understanding, state: State) -> _Subject | None:
        """What is meant by "it" now: of a row, of another kind that is named, of what was talked of, of the list."""
        source, index = state.task_with_results, index_of(read, state)
        own = self._domain.intents[source.intent].query if source is not None else None
        if index is not None and own is not None:
            return _Subject(own, index, is_one=True)
        if (other := self._other_topic(read.text, state)) is not None:
            return _Subject(self._queries[other.label], node=other, is_one=True)
        if state.topic is not None:
            return _Subject(self._queries[state.topic.label], is_one=True)
        return _Subject(own) if own is not None else self._booked_last(state)

    def _booked_last(self, state: State) -> _Subject | None:
        booking = self._domain.intents[state.bookings[-1].intent].booking if state.bookings else None
        query = self._queries.get(booking.target_label) if booking is not None else None
        return _Subject(query, is_one=True) if query is not None else None

    def _other_topic(self, text: str, state: State) -> NodeValue | None:
        """A node that was talked of before the last one, where the sentence says what kind of thing it means."""
        of_kind = [node for node in state.talked_of if self._is_called(text, node.label)]
        if not of_kind:
            known = state.topic is None or columns_in(text, self._queries[state.topic.label])
            of_kind = [] if known else [n for n in state.talked_of if columns_in(text, self._queries[n.label])]
        return of_kind[-1] if of_kind and of_kind[-1] != state.topic else None

    def _is_called(self, text: str, label: str) -> bool:
        return any(mentions(text, title) for title in self._titles(label))

    def _titles(self, label: str) -> list[str]:
        return [*self._domain.labels[label].title.values()]

    def _of_table(self, read: Understanding, state: State, subject: _Subject) -> list[ev.Event]:
        query = subject.query
        columns, asked = self._columns(read.text, query, [*read.slots, *self._passed_over(read, query)])
        if any(slot not in asked and self._is_value(slot) for slot in read.slots) or self._is_other(read):
            return []
        text, titles = _asking_clauses(read.text, query, [*asked]), self._titles(query.label)
        is_back = subject.index is not None or forms.points_back(read.text, titles)
        is_sought = subject.index is None and forms.seeks(without_columns(text, query), titles)
        if not asked:
            is_asked = self._asks_for(read, state, is_back=is_back, is_sought=is_sought)
            if columns:
                return _requests(columns, asked, subject.index, subject.node) if is_asked else []
            is_other_kind = forms.wants_told(text) and names_another_kind(text, query)
            if is_other_kind:
                return [ev.Requested(ev.UNKNOWN, subject.index, subject.node)]
            return self._without_column(read, state, subject) if is_back and not is_sought else []
        is_about = is_back or (subject.is_one and forms.asks_what_there_is(text))
        is_yes_no = forms.is_question(text) and is_about and not is_sought
        return _requests(columns, asked, subject.index, subject.node) if is_yes_no else []

    def _asks_for(self, read: Understanding, state: State, *, is_back: bool, is_sought: bool) -> bool:
        """Whether the columns that a sentence without values names are asked for."""
        intent = self._domain.intents.get(read.intent)
        if intent is not None and intent.act == "request":
            return True
        # While a search asks what it lacks, its slots are talked of, and no results.
        is_collecting = state.task is not None and state.task.stage == "collecting" and state.topic is None
        return forms.wants_told(read.text) and (is_back or not (is_sought or is_collecting))

    def _without_column(self, read: Understanding, state: State, subject: _Subject) -> list[ev.Event]:
        """All of it, or something that no column holds; not while a yes is waited for, which is told as that."""
        waits = state.is_confirming
        if read.slots or waits or state.withdrawal is not None or forms.is_elliptic(read.text):
            return []
        is_known = subject.is_one and forms.wants_all(read.text)
        if not is_known and not forms.is_question(read.text):
            return []
        column = ev.EVERYTHING if is_known else ev.UNKNOWN
        return [ev.Requested(column, subject.index, subject.node)]

    def _is_other(self, read: Understanding) -> bool:
        """Whether a sentence does something else than ask, by its small words or by what it is read as."""
        intent = self._domain.intents.get(read.intent)
        if any(act.kind in _OTHER_ACTS - {"confirm", "deny"} for act in read.acts):
            return True
        asks = any(act.kind == "request" for act in read.acts)
        if asks or intent is None:
            return False
        is_talk = intent.kind == "chitchat" or intent.act in ("cancel", "hand_off", "help", "confirm", "deny", "choose")
        wants = is_changing(read.text) or is_undoing(read.text)
        return is_talk or wants or any(mentions(read.text, thing) for thing in things_of(self._domain))

    # Values and columns

    def _columns(
        self, text: str, query: GraphQuery, slots: Sequence[SlotValue]
    ) -> tuple[list[str], Mapping[SlotValue, tuple[str, Value]]]:
        """Columns that are named or asked about, in the order of the text; (column, value) of the values among them."""
        asked: dict[SlotValue, tuple[str, Value]] = {}
        for slot in slots:
            column, value = query.column_of(slot.slot), self._value(slot)
            if column is not None and value is not None:
                asked[slot] = (column.name, value)
        named = sorted(columns_in(text, query) + [(slot.start, column) for slot, (column, _) in asked.items()])
        return list(dict.fromkeys(column for _, column in named)), asked

    def _asked_aside(self, read: Understanding, query: GraphQuery, text: str) -> list[str]:
        """Columns of clauses that ask, and do not tell a value of them or of something to book."""
        found: list[str] = []
        for start, end in clauses_of(text):
            within = [slot for slot in read.slots if start <= slot.start < end and self._is_value(slot)]
            told = {column.name for slot in within if (column := query.column_of(slot.slot)) is not None}
            if BOOKS.search(text[start:end]) and within:
                continue
            if forms.wants_told(text[start:end]):
                found += [column for _, column in columns_in(text[start:end], query) if column not in told]
        return list(dict.fromkeys(found))

    def _passed_over(self, read: Understanding, query: GraphQuery) -> Iterator[SlotValue]:
        """Names and declared words that only the subject's search has a slot for, whatever the sentence is read as."""
        plain, intents = folded(read.text).lower(), self._domain.intents.values()
        names = dict.fromkeys(slot for intent in intents if intent.query is query for slot in intent.slots)
        for slot in (self._domain.slots[name] for name in names):
            places = [*declared_in(slot, plain)]
            places += [(start, end) for start, end, _ in self._values.nodes_named(read.text, slot.labels)]
            for start, end in places:
                new = SlotValue(slot.name, read.text[start:end], start, end)
                if not any(overlap(new, other) for other in read.slots):
                    yield new

    def _is_value(self, slot: SlotValue) -> bool:
        """Whether words were understood, if as something that cannot be or may be several things."""
        told = self._event(slot)
        return (
            isinstance(told, ev.Doubted)
            or self._value(slot) is not None
            or (isinstance(told, ev.Declined) and told.why != "partial")
        )

    def _value(self, slot: SlotValue) -> Value | None:
        told = self._event(slot)
        return told.value if isinstance(told, ev.Informed) else None

    def _event(self, slot: SlotValue) -> ev.Event | None:
        is_known = slot.slot in self._domain.slots
        return self._values.event(slot, None, is_correction=False) if is_known else None


def index_of(read: Understanding, state: State) -> int | None:
    """Which result, from 0, -1 the last: by its number or by its name."""
    numbers = [int(act.value) for act in read.acts if act.kind == "choose"]
    if numbers:
        return index_of_rank(numbers[0])
    source = state.task_with_results
    named = (row for row, node in enumerate(source.results if source else ()) if mentions_node(read.text, node))
    return next(named, None)


def _requests(
    columns: Sequence[str],
    asked: Mapping[SlotValue, tuple[str, Value]],
    index: int | None,
    node: NodeValue | None,
) -> list[ev.Event]:
    """One request for each column, or for each value that is asked about."""
    found: list[ev.Event] = []
    for column in columns:
        values: list[Value | None] = [value for name, value in asked.values() if name == column]
        found += [ev.Requested(column, index, node, value) for value in values or [None]]
    return found


def _asking_clauses(text: str, query: GraphQuery, slots: Sequence[SlotValue]) -> str:
    """The clauses that name columns or the values that are asked about; the whole text where none does."""
    held = [
        text[start:end]
        for start, end in clauses_of(text)
        if columns_in(text[start:end], query) or any(start <= slot.start < end for slot in slots)
    ]
    return " ".join(held) or text


def _blanked(text: str, named: tuple[int, int, NodeValue]) -> str:
    """The text without a name, whose words ask for nothing; everything else stays at its place."""
    start, end, _ = named
    return text[:start] + " " * (end - start) + text[end:]
