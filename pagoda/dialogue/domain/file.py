"""A domain file becomes records: what each entry means, and what is refused, with file and line.

Stands before the turn's path; `domain.Domain.load` is the door. Everything that can be told without the graph is told
here; what the graph must confirm is `cypher.domain_check`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_args

from pagoda.dialogue.domain.examples import has_broken_marks, parse_marked
from pagoda.dialogue.domain.model import (
    EARLIEST,
    Booking,
    Column,
    Filter,
    GraphQuery,
    Hours,
    Intent,
    IntentKind,
    Label,
    MetaAct,
    Operator,
    Order,
    Slot,
    SlotType,
    Step,
    Words,
)
from pagoda.errors import nearest
from pagoda.files.yaml_lines import LANGUAGES, Section
from pagoda.nlu.understanding import OUT_OF_SCOPE


def read_labels(root: Section) -> dict[str, Label]:
    """Labels by name."""
    return {name: _label(name, entry) for name, entry in _each(root, "labels")}


def read_slots(root: Section, labels: Iterable[str]) -> dict[str, Slot]:
    """Slots by name. labels: those that a slot may look in."""
    known = list(labels)
    return {name: _slot(name, entry, known) for name, entry in _each(root, "slots")}


def read_intents(root: Section, labels: Iterable[str], slots: dict[str, Slot]) -> dict[str, Intent]:
    """Intents by name. Raises DomainError for names that stand nowhere else in the file."""
    known = list(labels)
    intents = {name: _intent(name, entry, known, slots) for name, entry in _each(root, "intents")}
    for name, entry in _each(root, "intents"):
        for part in ("carry_over", "from_result"):
            _named_lists(entry, part, intents[name].slots, list(intents))
    return intents


def read_templates(root: Section) -> dict[str, Words]:
    """Sentences by template and language."""
    section = root.section("templates")
    return {name: section.words(name) for name in section}


def read_examples(root: Section, intents: dict[str, Intent]) -> list[dict[str, Any]]:
    """{"text", "intent", "slots", "language", "place"} of every marked sentence. place: its entry's dotted path"""
    section = root.section("examples")
    section.only([*intents, OUT_OF_SCOPE])
    found = []
    for intent in section:
        for language, sentences in section.words(intent).items():
            for row, marked in enumerate(sentences):
                found.append(_example(section.section(intent), intents, language, row, marked))
    return found


def _example(section: Section, intents: dict[str, Intent], language: str, row: int, marked: str) -> dict[str, Any]:
    intent, key = section.path.rsplit(".", 1)[-1], f"{language}.{row}"
    text, slots = parse_marked(marked)
    if has_broken_marks(marked):
        raise section.fail(key, f"has a bracket too many or too few: {marked!r}; write [words](slot)")
    allowed = intents[intent].slots if intent in intents else ()
    if any(not slot["value"].strip() for slot in slots):
        raise section.fail(key, f"marks nothing as a slot: {marked!r}; write the words between the brackets")
    for slot in slots:
        if slot["slot"] not in allowed:
            raise section.fail(
                key, f'marks slot "{slot["slot"]}", which {intent} lacks: {nearest(slot["slot"], allowed)}'
            )
    place = f"{section.path}.{key}"
    return {"text": text, "intent": intent, "slots": slots, "language": language, "place": place}


def _each(root: Section, key: str) -> list[tuple[str, Section]]:
    section = root.section(key)
    return [(name, section.section(name)) for name in section]


def _label(name: str, entry: Section) -> Label:
    entry.only(names_of(Label))
    names = {"zh": entry.text("names")} if entry.is_text("names") else entry.by_language("names")
    return Label(
        name, entry.text("key"), names, entry.text("aliases", ""), entry.by_language("title"), entry.words("words")
    )


def _slot(name: str, entry: Section, labels: list[str]) -> Slot:
    entry.only(names_of(Slot))
    kind: Any = entry.one_of("type", get_args(SlotType))
    plain: Any = entry.one_of("plain", ("exact", "around", "at_most", "at_least"), "exact")
    looked_in = entry.texts("labels")
    _check_names(entry, "labels", looked_in, labels)
    if kind == "name" and not looked_in:
        raise entry.fail("labels", "is missing: a slot of type name says which labels it names")
    return Slot(
        name,
        kind,
        entry.by_language("title") or dict.fromkeys(LANGUAGES, name),
        looked_in,
        {band: entry.section("bands").words(band) for band in entry.section("bands")},
        {choice: entry.section("choices").words(choice) for choice in entry.section("choices")},
        entry.words("words"),
        plain,
        entry.number("low"),
        entry.number("high"),
        entry.flag("many", False),
        entry.flag("may_be_any", True),
        entry.integer("expires_after", 0),
        entry.words("offers"),
        entry.words("questions"),
        entry.words("units"),
        _earliest(entry, kind),
        entry.flag("together", False),
    )


def _earliest(entry: Section, kind: str) -> int:
    """An hour of the day, of slots of time alone."""
    hour = entry.integer("earliest", EARLIEST)
    if "earliest" in entry and kind != "time":
        raise entry.fail("earliest", f"is for slots of type time, and this one is of type {kind}")
    if not 0 <= hour <= 12:
        raise entry.fail("earliest", f"is {hour}, not an hour from 0 to 12: the first that a bare hour can mean")
    return hour


def _intent(name: str, entry: Section, labels: list[str], slots: dict[str, Slot]) -> Intent:
    entry.only(names_of(Intent))
    kind: Any = entry.one_of("kind", get_args(IntentKind))
    act: Any = entry.one_of("act", get_args(MetaAct), "")
    required, optional = entry.texts("required"), entry.texts("optional")
    for key, given in (("required", required), ("optional", optional), ("exact", entry.texts("exact"))):
        _check_names(entry, key, given, slots)
    _check_kind(entry, kind, act)
    own = (*required, *optional)
    asked = {slot: entry.section("questions").words(slot) for slot in entry.section("questions")}
    _check_names(entry, "questions", asked, own)
    return Intent(
        name,
        kind,
        entry.by_language("title") or dict.fromkeys(LANGUAGES, name),
        required,
        optional,
        _named_lists(entry, "instead", own, own),
        entry.texts("exact"),
        _named_lists(entry, "carry_over", own, None),
        _named_lists(entry, "from_result", own, None),
        asked,
        act,
        _query(entry.section("query"), labels, slots, own) if kind == "find" else None,
        _booking(entry.section("booking"), labels, slots, own) if kind == "book" else None,
    )


def _check_kind(entry: Section, kind: str, act: str) -> None:
    """What each kind of intent must and must not have."""
    if kind == "meta" and not act:
        raise entry.fail("act", f"is missing: an intent of kind meta has one of {', '.join(get_args(MetaAct)[1:])}")
    for part, owner in (("query", "find"), ("booking", "book")):
        if kind == owner and part not in entry:
            raise entry.fail(part, f"is missing: an intent of kind {owner} has one")
        if kind != owner and part in entry:
            raise entry.fail(part, f"belongs to an intent of kind {owner}, not {kind}")


def _query(entry: Section, labels: list[str], slots: dict[str, Slot], own: Iterable[str]) -> GraphQuery:
    entry.only(names_of(GraphQuery))
    columns = tuple(_column(name, column, labels) for name, column in _each(entry, "columns"))
    known = [column.name for column in columns]
    order = []
    for item in entry.items("order"):
        item.only(("by", "descending"))
        order.append(Order(item.one_of("by", known), item.flag("descending", False)))
    relax = entry.texts("relax")
    _check_names(entry, "relax", relax, own)
    filters = tuple(_filter(item, labels, slots, own) for item in entry.items("filters"))
    label = entry.one_of("label", labels)
    for slot in own:
        if slot not in {chosen.slot for chosen in filters}:
            raise entry.fail("filters", f'has none for slot "{slot}" of this intent')
        _check_ends(entry, slots[slot], filters, label)
    return GraphQuery(label, filters, columns, tuple(order), relax, entry.integer("limit", 5))


def _check_ends(entry: Section, slot: Slot, filters: tuple[Filter, ...], label: str) -> None:
    """Each label that a slot names must be where one of its filters ends."""
    ends = {chosen.path[-1].label if chosen.path else label for chosen in filters if chosen.slot == slot.name}
    for wanted in slot.labels:
        if wanted not in ends:
            raise entry.fail(
                "filters", f'has none for slot "{slot.name}" that ends at {wanted}: they end at {sorted(ends)}'
            )


def _filter(entry: Section, labels: list[str], slots: dict[str, Slot], own: Iterable[str]) -> Filter:
    entry.only(names_of(Filter))
    slot = entry.one_of("slot", own)
    operator: Any = entry.one_of("operator", get_args(Operator))
    path = _path(entry, labels)
    if operator in ("near", "has") and not path:
        raise entry.fail("path", f"is missing: operator {operator} follows a relation")
    bands = {band: entry.section("bands").ends(band) for band in entry.section("bands")}
    for band in slots[slot].bands:
        if band not in bands and operator == "range":
            raise entry.fail("bands", f'does not say what "{band}" of slot {slot} means here: {band}: [low, high]')
    needs_property = operator not in ("node", "near") and not slots[slot].labels
    return Filter(
        slot,
        operator,
        entry.text("property", None if needs_property else ""),
        path,
        entry.text("distance", None if operator == "near" else ""),
        entry.number("within"),
        entry.text("node", None if operator == "has" else ""),
        entry.flag("clock", False),
        bands,
    )


def _path(entry: Section, labels: list[str]) -> tuple[Step, ...]:
    """Steps {out: RELATION, to: Label} or {in: RELATION, from: Label}."""
    steps = []
    for item in entry.items("path"):
        is_outward = "out" in item
        item.only(("out", "to") if is_outward else ("in", "from"))
        relation, end = ("out", "to") if is_outward else ("in", "from")
        steps.append(Step(item.text(relation), item.one_of(end, labels), is_outward))
    return tuple(steps)


def _column(name: str, entry: Section, labels: list[str]) -> Column:
    entry.only(names_of(Column))
    given = {"": entry.text("property")} if entry.is_text("property") else entry.by_language("property")
    of: Any = entry.one_of("of", ("node", "relation"), "node")
    column = Column(
        name,
        given,
        entry.by_language("title") or dict.fromkeys(LANGUAGES, name),
        _path(entry, labels),
        entry.flag("many", False),
        entry.integer("limit", 5),
        entry.by_language("phrase"),
        entry.words("words"),
        entry.flag("in_list", True),
        of,
        entry.words("lowest"),
        entry.words("highest"),
    )
    if of == "relation" and not column.path:
        raise entry.fail("path", "is missing: a property of a relation is told with the path that ends with it")
    for end in ("lowest", "highest"):
        if end in entry and not column.can_sort():
            raise entry.fail(
                end, "needs a property of the results themselves, the same for both languages, and no path"
            )
    return column


def _booking(entry: Section, labels: list[str], slots: dict[str, Slot], own: Iterable[str]) -> Booking:
    entry.only(names_of(Booking))
    target = entry.one_of("target", own)
    if not slots[target].labels:
        named = [name for name in own if slots[name].labels]
        told = f'is "{target}", of type {slots[target].type}: what is booked is a slot of type name'
        raise entry.fail("target", f"{told}: {nearest(target, named)}")
    written = entry.section("properties")
    properties = {name: written.one_of(name, own) for name in written}
    return Booking(
        entry.one_of("label", labels),
        entry.text("key"),
        entry.text("relation"),
        target,
        entry.one_of("target_label", slots[target].labels),
        properties,
        entry.text("created", ""),
        _hours(entry.section("hours"), slots, own) if "hours" in entry else None,
        entry.words("words"),
        _minutes(entry, "confirm_within", Booking.confirm_within),
        entry.text("cancelled", ""),
    )


def _minutes(entry: Section, key: str, default: int) -> int:
    value = entry.integer(key, default)
    if value < 0:
        raise entry.fail(key, f"is {value}, expected minutes from 1, or 0 for no limit")
    return value


def _hours(entry: Section, slots: dict[str, Slot], own: Iterable[str]) -> Hours:
    entry.only(["slot", *names_of(Hours)])
    slot = entry.one_of("slot", own)
    if slots[slot].type != "time":
        raise entry.fail("slot", f'is "{slot}", of type {slots[slot].type}: opening hours are held against a time')
    return Hours(slot, entry.text("opens"), entry.text("closes"))


def _named_lists(
    entry: Section, key: str, names: Iterable[str], allowed: Iterable[str] | None
) -> dict[str, tuple[str, ...]]:
    """{name: texts}, both known. allowed: None where the texts are checked later."""
    section = entry.section(key)
    section.only(names)
    found = {name: section.texts(name) for name in section}
    for name, given in found.items():
        if allowed is not None:
            _check_names(section, name, given, allowed)
    return found


def _check_names(entry: Section, key: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            raise entry.fail(key, f'names "{name}": {nearest(name, names)}')


def names_of(record: type[Any]) -> list[str]:
    """The entries that a record is read from."""
    return [field.name for field in fields(record) if field.name != "name"]
