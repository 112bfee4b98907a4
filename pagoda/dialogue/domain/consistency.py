"""What a domain file says against itself: settings that contradict one another, and what nothing can ever reach.

Stands before the turn's path, between `file`, which reads one entry at a time and stops at the first that cannot be
read, and `cypher.domain_check`, which asks the graph. Here the records are whole, and all problems are told at once.
The kinds are those of any schema language: domains of fields, keys, references, and dead parts (Fagin 1981, "A Normal
Form for Relational Databases That Is Based on Domains and Keys").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from pagoda.dialogue.domain.model import (
    MOST_ROWS,
    NUMBER_TYPES,
    Booking,
    Column,
    Filter,
    GraphQuery,
    Intent,
    Label,
    Slot,
    Words,
)
from pagoda.errors import nearest

Problem = tuple[str, str]
"""(dotted path of the entry, what is wrong with it)."""
# What `FastUnderstanding` takes for the class of none of the intents.
RESERVED_INTENTS = ("out_of_scope", "oos", "out-of-scope")
# Every row of a statement has these beside its columns.
RESERVED_COLUMNS = ("key", "name", "name_zh", "name_en", "distance", "aliases", "num")
_MANY_TYPES = ("name", "choice", "text")
# Signs that a mark in an example, [words](slot), cannot hold.
_UNMARKABLE = "()[]"
_OPERATOR_TYPES: Mapping[str, tuple[str, ...]] = {
    "node": ("name",),
    "near": ("name",),
    "has": ("boolean",),
    "range": (*NUMBER_TYPES, "time"),
    "<=": (*NUMBER_TYPES, "time"),
    ">=": (*NUMBER_TYPES, "time"),
    "contains": ("name", "choice", "text", "person"),
}
"""Types of slots whose values an operator can take; one that is not listed takes them all."""


def problems(
    labels: Mapping[str, Label], slots: Mapping[str, Slot], intents: Mapping[str, Intent]
) -> Iterator[Problem]:
    """Everything that is wrong between the entries of a file that were read, in the order of the file."""
    for slot in slots.values():
        yield from _of_slot(slot, labels)
    for intent in intents.values():
        yield from _of_intent(intent, intents, labels, slots)
    yield from _shared_acts(intents)
    yield from _dead(labels, slots, intents)


def _of_slot(slot: Slot, labels: Mapping[str, Label]) -> Iterator[Problem]:
    place = f"slots.{slot.name}"
    if any(sign in _UNMARKABLE or sign.isspace() or not sign.isprintable() for sign in slot.name):
        yield place, "has a bracket or a space in its name, which no mark [words](slot) can hold: use letters, _ or -"
    yield from _misplaced(slot, place)
    yield from _limits(slot, place)
    if slot.many and slot.type not in _MANY_TYPES:
        yield f"{place}.many", f"is for slots of type {', '.join(_MANY_TYPES)}; this one is of type {slot.type}"
    if slot.type == "choice" and not slot.choices:
        yield f"{place}.choices", "is missing: a slot of type choice lists its values with the words for each"
    for part, held in (("choices", slot.choices), ("bands", slot.bands)):
        yield from _spellings(f"{place}.{part}", held)
    for label in _repeated(slot.labels):
        yield f"{place}.labels", f'names "{label}" twice: once is enough'
    for label in dict.fromkeys(slot.labels):
        if label in labels and not labels[label].names:
            yield f"{place}.labels", f'names "{label}", whose names are empty: say under labels which property is one'


def _misplaced(slot: Slot, place: str) -> Iterator[Problem]:
    """Entries that say nothing about a slot of this type."""
    for given, part, types in (
        (slot.labels, "labels", ("name",)),
        (slot.choices, "choices", ("choice",)),
        (slot.bands, "bands", NUMBER_TYPES),
        (slot.low is not None, "low", NUMBER_TYPES),
        (slot.high is not None, "high", NUMBER_TYPES),
        (slot.plain != "exact", "plain", (*NUMBER_TYPES, "time")),
        (slot.units, "units", NUMBER_TYPES),
    ):
        if given and slot.type not in types:
            yield f"{place}.{part}", f"belongs to slots of type {', '.join(types)}; this one is of type {slot.type}"


def _limits(slot: Slot, place: str) -> Iterator[Problem]:
    if slot.low is not None and slot.high is not None and slot.low > slot.high:
        yield f"{place}.low", f"is {slot.low:g}, above high, which is {slot.high:g}: no value lies between them"
    if slot.type == "people" and slot.low is not None and slot.low < 0:
        yield f"{place}.low", f"is {slot.low:g}: people are counted from 0 on"
    if slot.expires_after < 0:
        yield f"{place}.expires_after", f"is {slot.expires_after}, expected turns: 1 or more, or 0 for never"


def _spellings(place: str, held: Mapping[str, Words]) -> Iterator[Problem]:
    """Each value has words, and no word means two values."""
    for name, words in held.items():
        if not any(words.values()):
            yield f"{place}.{name}", "has no words: say how people call it, {zh: [...], en: [...]}"
    for (one, first), (other, second) in combinations(held.items(), 2):
        for language in first.keys() & second.keys():
            shared = {word.lower() for word in first[language]} & {word.lower() for word in second[language]}
            if shared:
                yield f"{place}.{other}", f'has "{min(shared)}", which "{one}" has too: a word means one of them'


def _of_intent(
    intent: Intent, intents: Mapping[str, Intent], labels: Mapping[str, Label], slots: Mapping[str, Slot]
) -> Iterator[Problem]:
    place = f"intents.{intent.name}"
    if intent.name in RESERVED_INTENTS:
        yield (
            place,
            "is a reserved name: sentences that fit no intent stand under examples.out_of_scope, with no intent",
        )
    if intent.act and intent.kind != "meta":
        yield f"{place}.act", f"belongs to an intent of kind meta; this one is of kind {intent.kind}"
    if intent.kind in ("chitchat", "meta", "elsewhere"):
        for part in ("required", "optional", "instead", "exact", "carry_over", "from_result", "questions"):
            if getattr(intent, part):
                yield f"{place}.{part}", f"belongs to intents of kind find or book; this one is of kind {intent.kind}"
    yield from _own_slots(intent, place, slots)
    yield from _sources(intent, place, intents, slots)
    if intent.query is not None:
        yield from _of_query(intent.query, f"{place}.query", slots)
    if intent.booking is not None:
        yield from _of_booking(intent, intent.booking, f"{place}.booking", labels, slots)


def _own_slots(intent: Intent, place: str, slots: Mapping[str, Slot]) -> Iterator[Problem]:
    for part, given in (("required", intent.required), ("optional", intent.optional), ("exact", intent.exact)):
        for name in _repeated(given):
            yield f"{place}.{part}", f'names "{name}" twice: once is enough'
    for name in intent.optional:
        if name in intent.required:
            yield f"{place}.optional", f'names "{name}", which is required as well: keep it in one of the two'
    for name in intent.exact:
        if name not in intent.slots:
            yield f"{place}.exact", f'names "{name}", which this intent lacks: {nearest(name, intent.slots)}'
        elif slots[name].type != "time":
            yield f"{place}.exact", f'names "{name}", of type {slots[name].type}: only a time can be a moment'
    for name, others in intent.instead.items():
        if name in others:
            yield f"{place}.instead.{name}", "stands for itself: name another slot that makes it needless"


def _sources(intent: Intent, place: str, intents: Mapping[str, Intent], slots: Mapping[str, Slot]) -> Iterator[Problem]:
    """Where values come from without being asked for."""
    for name, sources in intent.carry_over.items():
        for source in sources:
            if source == intent.name:
                yield f"{place}.carry_over.{name}", "names the intent itself: name others that know the slot"
            elif name not in intents[source].slots:
                told = f'names "{source}", which has no slot "{name}" to carry over'
                yield f"{place}.carry_over.{name}", told
    for name, sources in intent.from_result.items():
        for source in sources:
            query = intents[source].query
            if query is None:
                yield f"{place}.from_result.{name}", f'names "{source}", which finds nothing: name one of kind find'
            elif query.label not in slots[name].labels:
                told = f'names "{source}", which finds {query.label}; slot "{name}" holds {_listed(slots[name].labels)}'
                yield f"{place}.from_result.{name}", told


def _of_query(query: GraphQuery, place: str, slots: Mapping[str, Slot]) -> Iterator[Problem]:
    if not 1 <= query.limit <= MOST_ROWS:
        yield f"{place}.limit", f"is {query.limit}, expected 1 to {MOST_ROWS} rows"
    ends: set[tuple[str, str]] = set()
    for row, chosen in enumerate(query.filters):
        here = f"{place}.filters.{row}"
        yield from _of_filter(chosen, slots[chosen.slot], here)
        end = (chosen.slot, chosen.path[-1].label if chosen.path else query.label)
        if end in ends:
            yield here, f'is a second filter for slot "{chosen.slot}" that ends at {end[1]}: keep one of them'
        ends.add(end)
    for name in _repeated(query.relax):
        yield f"{place}.relax", f'names "{name}" twice: once is enough'
    for column in query.columns:
        yield from _of_column(column, f"{place}.columns.{column.name}")
    for name in _repeated([order.column for order in query.order]):
        yield f"{place}.order", f'sorts by "{name}" twice: once is enough'
    for row, order in enumerate(query.order):
        yield from _of_order(query.column(order.column), f"{place}.order.{row}")


def _of_filter(chosen: Filter, slot: Slot, place: str) -> Iterator[Problem]:
    types = _OPERATOR_TYPES.get(chosen.operator)
    if types is not None and slot.type not in types:
        told = f'is "{chosen.operator}", which slot "{slot.name}" of type {slot.type} cannot be compared with: '
        yield f"{place}.operator", told + f"it is for slots of type {', '.join(types)}"
    if chosen.operator in ("node", "near") and slot.labels and chosen.path:
        end = chosen.path[-1].label
        if end not in slot.labels:
            yield f"{place}.path", f'ends at {end}; slot "{slot.name}" holds nodes of {_listed(slot.labels)}'
    if chosen.clock and slot.type != "time":
        yield f"{place}.clock", f'is for slots of type time; "{slot.name}" is of type {slot.type}'
    for part, given, operator in (
        ("within", chosen.within is not None, "near"),
        ("distance", bool(chosen.distance), "near"),
        ("node", bool(chosen.node), "has"),
        ("bands", bool(chosen.bands), "range"),
    ):
        if given and chosen.operator != operator:
            yield f"{place}.{part}", f"belongs to operator {operator}; this filter has operator {chosen.operator}"
    if chosen.within is not None and chosen.within <= 0:
        yield f"{place}.within", f"is {chosen.within:g}, expected a distance above 0"
    yield from _of_bands(chosen, slot, place)


def _of_bands(chosen: Filter, slot: Slot, place: str) -> Iterator[Problem]:
    if slot.bands and chosen.operator != "range":
        yield f"{place}.operator", f'is "{chosen.operator}", but slot "{slot.name}" has bands: they need operator range'
    for name, (low, high) in chosen.bands.items():
        if name not in slot.bands:
            yield f"{place}.bands.{name}", f'is no band of slot "{slot.name}": {nearest(name, slot.bands)}'
        if low is None and high is None:
            yield f"{place}.bands.{name}", "has two open ends, so that it holds everything: give one of them"
        if low is not None and high is not None and low > high:
            yield f"{place}.bands.{name}", f"begins at {low:g}, above its end {high:g}: nothing lies between them"


def _of_column(column: Column, place: str) -> Iterator[Problem]:
    if column.name in RESERVED_COLUMNS:
        yield place, "is a reserved name, which every row has already: call the column something else"
    if not column.property:
        yield f"{place}.property", "is empty: name the property that is told"
    if not 1 <= column.limit <= MOST_ROWS:
        yield f"{place}.limit", f"is {column.limit}, expected 1 to {MOST_ROWS} values"


def _of_order(column: Column | None, place: str) -> Iterator[Problem]:
    if column is None:
        return
    if column.path:
        yield f"{place}.by", f'is "{column.name}", which stands at the end of a path: sort by a property of its own'
    elif "" not in column.property:
        yield f"{place}.by", f'is "{column.name}", whose property goes by language: sort by one that does not'
    elif not column.in_list:
        yield f"{place}.by", f'is "{column.name}", which is not told in a list (in_list: false): sort by one that is'


def _of_booking(
    intent: Intent, booking: Booking, place: str, labels: Mapping[str, Label], slots: Mapping[str, Slot]
) -> Iterator[Problem]:
    if booking.target not in intent.required:
        yield f"{place}.target", f'is "{booking.target}", which is not required: nothing can be booked without it'
    if booking.label == booking.target_label:
        yield f"{place}.label", f'is "{booking.label}", what is booked: a booking is a node of a label of its own'
    declared = labels[booking.label].key
    if booking.key != declared:
        yield f"{place}.key", f'is "{booking.key}", but labels.{booking.label}.key is "{declared}": make them the same'
    if booking.key in booking.properties:
        yield (
            f"{place}.properties.{booking.key}",
            "is the key, which the booking writes itself: write the slot elsewhere",
        )
    if booking.created and booking.created in (booking.key, *booking.properties):
        yield f"{place}.created", f'is "{booking.created}", which the booking writes already: name another property'
    if booking.cancelled and booking.cancelled in (booking.key, booking.created, *booking.properties):
        yield f"{place}.cancelled", f'is "{booking.cancelled}", which the booking writes already: name another property'
    kept = {booking.target, *booking.properties.values(), *([booking.hours.slot] if booking.hours else [])}
    for name in intent.required:
        if name not in kept:
            yield (
                f"{place}.properties",
                f'lack slot "{name}", which is asked for and would be lost: say where it is kept',
            )
    for name, slot in booking.properties.items():
        if slots[slot].many:
            yield f"{place}.properties.{name}", f'is slot "{slot}", which holds several values: a booking keeps one'


def _shared_acts(intents: Mapping[str, Intent]) -> Iterator[Problem]:
    """An act is one intent's, or nobody could say which of them is meant."""
    first: dict[str, str] = {}
    for intent in intents.values():
        if not intent.act or intent.kind != "meta":
            continue
        if intent.act in first:
            told = (
                f'is "{intent.act}", which intent {first[intent.act]} stands for already: put their examples together'
            )
            yield f"intents.{intent.name}.act", told
        first.setdefault(intent.act, intent.name)


def _dead(labels: Mapping[str, Label], slots: Mapping[str, Slot], intents: Mapping[str, Intent]) -> Iterator[Problem]:
    """What no intent can reach: most often the other half of a slip."""
    used = {name for intent in intents.values() for name in intent.slots}
    for name in slots:
        if name not in used:
            yield f"slots.{name}", "is in no intent: name it under required or optional of one, or leave it out"
    reached = {label for slot in slots.values() for label in slot.labels} | set(_walked(intents.values()))
    for name in labels:
        if name not in reached:
            yield f"labels.{name}", "is in no slot, path, query or booking: use it or leave it out"


def _walked(intents: Iterable[Intent]) -> Iterator[str]:
    for intent in intents:
        if intent.booking is not None:
            yield from (intent.booking.label, intent.booking.target_label)
        if intent.query is not None:
            yield intent.query.label
            for path in (part.path for held in (intent.query.filters, intent.query.columns) for part in held):
                yield from (step.label for step in path)


def _repeated(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for row, name in enumerate(names) if name in names[:row]))


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names) or "no nodes"
