"""What a domain declares, as frozen records: slots, intents, queries, bookings, templates.

Stands beside the whole turn's path; every station reads from here what restaurants, films or hotels are, and none knows
it by itself. `file` reads these records from YAML, `cypher.domain_check` holds them against the graph, `domain.Domain`
is the door. Frames with slots: Bobrow et al. 1977, "GUS, a frame-driven dialog system".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Text = Mapping[str, str]
"""The same words by language: {"zh": ..., "en": ...}."""
Words = Mapping[str, tuple[str, ...]]
"""Spellings by language."""

EARLIEST = 7
"""The first hour that a bare hour can mean, where a slot says nothing else: "at 7" is 07:00, "at 6" 18:00."""

SlotType = Literal[
    "name", "time", "people", "price", "rating", "stars", "number", "boolean", "choice", "person", "text"
]
Operator = Literal["=", "in", "contains", "<=", ">=", "range", "node", "near", "has"]
IntentKind = Literal["find", "book", "chitchat", "meta", "elsewhere"]
AMOUNT_TYPES: tuple[SlotType, ...] = ("price", "rating", "stars", "number")
"""Types whose values are numbers of something that is measured or paid."""
NUMBER_TYPES: tuple[SlotType, ...] = (*AMOUNT_TYPES, "people")
"""Types whose values are numbers."""
MOST_ROWS = 1000
"""Rows that a statement may give at most."""
MetaAct = Literal["", "cancel", "choose", "request", "confirm", "deny", "help", "hand_off"]


@dataclass(frozen=True)
class Label:
    """A node label. key: the property that names one node; names: property of its name by language.

    title, words: what people call such a node, and what they call it besides
    """

    name: str
    key: str
    names: Text
    aliases: str = ""
    title: Text = field(default_factory=dict)
    words: Words = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """A slot and how its words are read.

    labels: where a "name" looks; bands: words by name of band; choices: spellings by value of a "choice"
    plain: what a bare number means; low, high: limits of a number; many: holds several values
    together: values of one sentence are all to fit, as in many, and take the place of those before
    offers: answers to propose where the graph has none, as a person would say them
    may_be_any: "I don't mind" fills it; expires_after: turns after which it is not carried over any more, 0 for never
    units: words that stand beside its numbers, such as tickets or 张; earliest: of a time, the first hour of the day
        that "at 7" can mean: 10 makes it 19:00, 7 makes it 07:00
    """

    name: str
    type: SlotType
    title: Text
    labels: tuple[str, ...] = ()
    bands: Mapping[str, Words] = field(default_factory=dict)
    choices: Mapping[str, Words] = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    plain: Literal["exact", "around", "at_most", "at_least"] = "exact"
    low: float | None = None
    high: float | None = None
    many: bool = False
    may_be_any: bool = True
    expires_after: int = 0
    offers: Words = field(default_factory=dict)
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Words = field(default_factory=dict)
    earliest: int = EARLIEST
    together: bool = False


@dataclass(frozen=True)
class Step:
    """One relation on a path from what is looked for; outward or against its direction."""

    relation: str
    label: str
    is_outward: bool = True


@dataclass(frozen=True)
class Filter:
    """What a slot asks of the graph.

    property: of the path's last node (of what is looked for, where there is no path)
    distance: for "near", property of the path's last relation; within: its limit; node: the one that "has" wants
    clock: compare only the time of day, "HH:MM"; bands: what each band of the slot means here
    """

    slot: str
    operator: Operator
    property: str = ""
    path: tuple[Step, ...] = ()
    distance: str = ""
    within: float | None = None
    node: str = ""
    clock: bool = False
    bands: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """Something that is told of a result. property: by language, or under "" the same for both.

    path: to the node that has it; many: up to `limit` different values; phrase: how it is told in a list
    of: "relation" where the property is the path's last relation's, not its last node's
    words: how a person asks for it; in_list: told in a list, not only when asked for
    lowest, highest: how a person asks for the results that have the least or most of it: "cheapest", 评分最高
    """

    name: str
    property: Text
    title: Text
    path: tuple[Step, ...] = ()
    many: bool = False
    limit: int = 5
    phrase: Text = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    in_list: bool = True
    of: Literal["node", "relation"] = "node"
    lowest: Words = field(default_factory=dict)
    highest: Words = field(default_factory=dict)

    def can_sort(self) -> bool:
        """Whether results can be sorted by it: a property of their own, the same for both languages."""
        return not self.path and "" in self.property


@dataclass(frozen=True)
class Order:
    """A column to sort by; rows without a value come last in both directions."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class GraphQuery:
    """How an intent of kind "find" asks the graph. relax: optional slots, the first to be given up first."""

    label: str
    filters: tuple[Filter, ...]
    columns: tuple[Column, ...]
    order: tuple[Order, ...] = ()
    relax: tuple[str, ...] = ()
    limit: int = 5

    def column(self, name: str) -> Column | None:
        """By its name."""
        return next((column for column in self.columns if column.name == name), None)

    def column_of(self, slot: str) -> Column | None:
        """The column that tells what a slot's filters test, None where none does."""
        told = (column for column in self.columns if any(each.slot == slot for each in self.filters_of(column)))
        return next(told, None)

    def filters_of(self, column: Column) -> tuple[Filter, ...]:
        """The filters that test what a column tells."""
        return tuple(
            each
            for each in self.filters
            if each.path == column.path
            and column.of == "node"
            and (each.operator == "node" or each.property in column.property.values())
        )


@dataclass(frozen=True)
class Hours:
    """When a place can be booked for: the time in a slot lies between two properties of it, "HH:MM" each.

    Whoever closes before they open closes on the next day.
    """

    slot: str
    opens: str
    closes: str


@dataclass(frozen=True)
class Booking:
    """What an intent of kind "book" writes: one node, joined to the node that a slot names.

    properties: {property: slot}; created: property that takes the time of writing, "" for none
    hours: opening hours of that node, None where every time will do
    words: what people call it, such as "reservation"; confirm_within: minutes after which a yes to what was read out is
    asked for again, 0 for never; cancelled: property that takes the time of a cancellation, "" where the node goes
    """

    label: str
    key: str
    relation: str
    target: str
    target_label: str
    properties: Mapping[str, str]
    created: str = ""
    hours: Hours | None = None
    words: Words = field(default_factory=dict)
    confirm_within: int = 30
    cancelled: str = ""


@dataclass(frozen=True)
class Intent:
    """Something that a person may want.

    instead: {slot: others}: where one of the others is filled, the slot is not asked for
    exact: time slots that need a moment, not a stretch; carry_over: {slot: intents it may come from}
    from_result: {slot: intents whose chosen result fills it}; act: of kind "meta"
    """

    name: str
    kind: IntentKind
    title: Text
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    carry_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    from_result: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    questions: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    act: MetaAct = ""
    query: GraphQuery | None = None
    booking: Booking | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        """Required ones first."""
        return self.required + self.optional

    @property
    def sought(self) -> str:
        """Label of what is looked for or booked, "" for an intent of neither."""
        if self.query is not None:
            return self.query.label
        return self.booking.target_label if self.booking is not None else ""
