"""The reply: templates of the domain filled from rows and state, in the language of the person.

Last station of a turn: sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> *reply*. Whatever is
said about the world comes from the rows. A language model may rephrase the reply, but `check`
rejects a text with a number or name that neither the rows nor the template hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.dialogue.cypher.filters import DISTANCE
from pagoda.dialogue.cypher.queries import listed
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column, GraphQuery, Order
from pagoda.dialogue.reply.yes_no import is_so
from pagoda.dialogue.slots.kinds import Except, NodeValue, Range, Value, name_text, plain_values
from pagoda.dialogue.slots.showing import show_value
from pagoda.dialogue.state.actions import Ask, LookUp
from pagoda.graph.statement import KEY, NAME

Row = Mapping[str, Any]
_FIELD = re.compile(r"\{(\w+)\}")
_COMMA = {"zh": "，", "en": ", "}
_LIST = {"zh": "、", "en": ", "}


class Phrasebook:
    """What a domain says, filled in. Every method takes the language, "zh" or "en"."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def say(self, template: str, language: str, **fields: str) -> str:
        """A template; {tasks} is what the domain can do. A field that nobody gave stays empty.

        Fields are put in once and never read again, so that braces in a name do nothing.
        """
        known = {"tasks": self.tasks(language), **fields}
        return _FIELD.sub(lambda match: known.get(match[1], ""), self._domain.template(template, language)[0])

    def tasks(self, language: str) -> str:
        """What the domain can do, in words."""
        titles = [
            intent.title.get(language, intent.name)
            for intent in self._domain.intents.values()
            if intent.kind in ("find", "book")
        ]
        if language == "zh" or len(titles) < 2:
            return _LIST[language].join(titles)
        return f"{', '.join(titles[:-1])} or {titles[-1]}"

    def question(self, intent: str, ask: Ask, language: str, choices: Sequence[Value] = ()) -> str:
        """A question for a slot. choices: answers to offer, those of the action where there are none."""
        offered = choices or ask.choices
        shown = self._numbered(ask.slot, offered, language)
        if ask.reason == "ambiguous":
            return self.say("ambiguous", language, choices=shown)
        if ask.reason == "over" and ask.choices:
            instead = show_value(self._domain.slots[ask.slot], ask.choices[0], language)
            return self.say("over_instead", language, surface=ask.surface, instead=instead)
        question = self._reasoned(ask, self._question(intent, ask.slot, ask.attempt, language), language)
        return self.say("ask_choices", language, question=question, choices=shown) if offered else question

    def _reasoned(self, ask: Ask, question: str, language: str) -> str:
        """The question behind what was wrong with the last answer."""
        slot, template = self._domain.slots[ask.slot], ask.reason
        if ask.reason == "missing" or (ask.reason != "past" and not ask.surface):
            return question
        if ask.reason == "invalid" and slot.type == "name" and (told := self.unknown([ask.surface], language)):
            return told + _space(language) + question
        if ask.reason in ("partial", "limits") and ask.instead is None:
            template = "invalid"
        instead = "" if ask.instead is None else show_value(slot, ask.instead, language)
        return self.say(template, language, surface=ask.surface, instead=instead, question=question)

    def closed(self, intent: str, ask: Ask, place: NodeValue, language: str) -> str:
        """A place is closed at the time that was said; ask: for another, its surface the opening hours."""
        question = self._question(intent, ask.slot, ask.attempt, language)
        return self.say("closed", language, name=place.name(language), hours=ask.surface, question=question)

    def found(
        self,
        intent: str,
        rows: Sequence[Row],
        language: str,
        *,
        filters: Mapping[str, Value] | None = None,
        relaxed: Sequence[str] = (),
        has_more: bool = False,
        asked: LookUp | None = None,
        given: Mapping[str, Value] | None = None,
    ) -> str:
        """What a query found, as a numbered list, and what for.

        relaxed: slots given up for it; given: what of them was given up; has_more: these are not all
        asked: what was looked for with these, what was to come first, and what is told besides what lists tell
        """
        asked = asked or LookUp(intent, {})
        wishes = self.wishes(intent, filters or {}, language, asked.order)
        if not rows:
            return self.say("nothing_found", language, wishes=wishes)
        first = self._given_up(intent, relaxed, asked.filters, given or {}, language) if relaxed else ""
        shown = _Shown(filters or {}, asked.order, language, asked.columns)
        if len(rows) == 1 and not has_more:
            head = self.say("found_one", language, wishes=wishes)
            return _joined(first, head + _space(language) + self._row("single", intent, rows[0], 1, shown))
        name = "found_more" if has_more else "found_many"
        head = self.say(name, language, num=str(len(rows)), wishes=wishes)
        listed = [self._row("row", intent, row, rank, shown) for rank, row in enumerate(rows, 1)]
        return _joined(first, "\n".join([head, *listed]))

    def wishes(self, intent: str, filters: Mapping[str, Value], language: str, order: Order | None = None) -> str:
        """What is looked for, as it is put behind "I found 3": " (Sichuan, at most ¥60, Luming)"; "" for everything."""
        told = [
            self._wish(intent, slot, filters[slot], language)
            for slot in self._domain.intents[intent].slots
            if slot in filters
        ]
        told += [self._first(intent, order, language)] if order is not None else []
        return self.say("wishes", language, wishes=_COMMA[language].join(told)) if told else ""

    def ignored(self, intent: str, words: Sequence[str], language: str) -> str:
        """Words that the task can make no use of."""
        return self.say("ignored", language, words=_quoted(words, language), title=self._title(intent, language))

    def not_bookable(self, label: str, language: str) -> str:
        """Nothing is booked of a label; what can be done instead."""
        return self.say("not_bookable", language, title=self._domain.labels[label].title.get(language, label))

    def deferred(self, words: Sequence[str], language: str) -> str:
        """Words that are kept for a booking."""
        return self.say("deferred", language, words=_quoted(words, language))

    def unknown(self, words: Sequence[str], language: str) -> str:
        """Names that the graph does not have."""
        return self.say("unknown", language, words=_quoted(words, language))

    def _given_up(
        self, intent: str, slots: Sequence[str], asked: Mapping[str, Value], given: Mapping[str, Value], language: str
    ) -> str:
        """What emptied the result, by its value where that is known."""
        told = [self._wish(intent, slot, given[slot], language) for slot in slots if slot in given]
        titles = [self._domain.slots[slot].title.get(language, slot) for slot in slots]
        values = self.say("wishes", language, wishes=_COMMA[language].join(told)) if told else ""
        all_of_it = self.wishes(intent, asked, language)
        return self.say("relaxed", language, slots=_LIST[language].join(titles) + values, wishes=all_of_it)

    def _wish(self, intent: str, slot: str, value: Value, language: str) -> str:
        """A slot's value; with the title where a bare number or a yes would not tell what it is about."""
        spec = self._domain.slots[slot]
        if isinstance(value, tuple):
            return _LIST[language].join(self._wish(intent, slot, each, language) for each in value)
        words = show_value(spec, value, language)
        if any(isinstance(each, NodeValue) and self._is_near(intent, slot, each) for each in plain_values(value)):
            return self.say("near", language, place=words)
        is_bare = any(isinstance(each, Range | int | float) for each in _all_values(value))
        if spec.type in ("rating", "number", "boolean") and is_bare:
            return spec.title.get(language, slot) + _space(language) + words
        return words

    def _first(self, intent: str, order: Order, language: str) -> str:
        """What is to come first: "cheapest first"."""
        query = self._domain.intents[intent].query
        column = query.column(order.column) if query is not None else None
        declared = (column.highest if order.descending else column.lowest) if column is not None else {}
        if words := declared.get(language):
            return self.say("first", language, words=words[0])
        title = column.title.get(language, order.column) if column is not None else order.column
        return self.say("highest_first" if order.descending else "lowest_first", language, title=title)

    def chosen(self, intent: str, row: Row, language: str) -> str:
        """All that is told of one result; the row is that of `compile_result`."""
        query = self._domain.intents[intent].query
        told = [self._cell(column, row, language, is_titled=True) for column in query.columns] if query else []
        return self.say("chosen", language, name=name_of(row, language), details=self._details(told, language))

    def property(self, intent: str, column: str, row: Row | None, language: str, *, asked: Sequence[Value] = ()) -> str:
        """The answer to a question about a result; the row is that of `compile_property`, None where there is none.

        asked: values that were asked about: whether it is so comes first
        """
        query = self._domain.intents[intent].query
        wanted = query.column(column) if query else None
        value = cell(wanted, row, language) if wanted and row else ""
        if wanted is None or row is None or not value:
            return self.say("property_unknown", language)
        first = "".join(self._whether(query, wanted, each, row, language) for each in asked) if query else ""
        title = wanted.title.get(language, column)
        if wanted.phrase:
            phrase = self._cell(wanted, row, language)
            return first + self.say("property_phrase", language, name=name_of(row, language), phrase=phrase)
        return first + self.say("property", language, name=name_of(row, language), title=title, value=value)

    def _whether(self, query: GraphQuery, column: Column, value: Value, row: Row, language: str) -> str:
        """Whether what was asked about is so, "" where the row does not tell."""
        found = is_so(query, column, value, row)
        if found is None:
            return ""
        slot = self._domain.slots[query.filters_of(column)[0].slot]
        words = show_value(slot, value, language)
        return self.say("is_so" if found else "is_not_so", language, value=words) + _space(language)

    def confirmation(self, intent: str, values: Mapping[str, Value], language: str, *, is_change: bool = False) -> str:
        """A booking, read out before it is written, or before it replaces another one."""
        title = self._domain.intents[intent].title.get(language, intent)
        template = "confirm_change" if is_change else "confirm"
        return self.say(template, language, title=title, values=self.values(values, language))

    def booked(
        self, intent: str, values: Mapping[str, Value], booking_id: str, language: str, *, is_change: bool = False
    ) -> str:
        """A booking was written. booking_id: its key, of which the first eight characters are told."""
        template = "changed" if is_change else "booked"
        return self.say(template, language, values=self.values(values, language), id=booking_id[:8])

    def bookings(self, template: str, booked: Sequence[tuple[str, Mapping[str, Value]]], language: str) -> str:
        """Bookings (id, values) as a numbered list under a template."""
        told = [
            self.say("booking", language, rank=str(rank), values=self.values(values, language), id=key[:8])
            for rank, (key, values) in enumerate(booked, 1)
        ]
        return "\n".join([self.say(template, language), *told])

    def joined(self, sentences: Sequence[str], language: str) -> str:
        """Sentences in one line."""
        return _space(language).join(sentences)

    def resume(self, intent: str, language: str) -> str:
        """Back to a task that was left open."""
        return self.say("resume", language, title=self._title(intent, language))

    def waiting(self, template: str, intent: str, words: str, language: str) -> str:
        """A wish that is put off, in the person's words, by the template that tells of it."""
        return self.say(template, language, title=self._title(intent, language), words=_quoted([words], language))

    def _title(self, intent: str, language: str) -> str:
        return self._domain.intents[intent].title.get(language, intent)

    def values(self, values: Mapping[str, Value], language: str) -> str:
        """Slots and their values in words, in the order of the domain's slots."""
        colon = "：" if language == "zh" else " "
        told = [
            f"{slot.title.get(language, name)}{colon}{show_value(slot, values[name], language)}"
            for name, slot in self._domain.slots.items()
            if name in values
        ]
        return _COMMA[language].join(told)

    def _question(self, intent: str, slot: str, attempt: int, language: str) -> str:
        asked = self._domain.intents[intent].questions.get(slot) or self._domain.slots[slot].questions
        sentences = asked.get(language) or ()
        if sentences:
            return sentences[min(attempt, len(sentences)) - 1]
        return self.say("ask", language, title=self._domain.slots[slot].title.get(language, slot))

    def _numbered(self, slot: str, choices: Sequence[Value], language: str) -> str:
        spec = self._domain.slots[slot]
        return _LIST[language].join(
            f"{rank}. {show_value(spec, value, language)}" for rank, value in enumerate(choices, 1)
        )

    def _row(self, template: str, intent: str, row: Row, rank: int, shown: _Shown) -> str:
        query, language = self._domain.intents[intent].query, shown.language
        columns = listed(query, shown.order, shown.columns) if query else []
        told = [self._cell(column, row, language, is_titled=not column.in_list) for column in columns]
        told.append(self._distance(intent, row, shown.filters, language))
        details = self._details(told, language)
        return self.say(template, language, rank=str(rank), name=name_of(row, language), details=details)

    def _details(self, told: Sequence[str], language: str) -> str:
        held = [each for each in told if each]
        return self.say("details", language, details=_COMMA[language].join(held)) if held else ""

    def _cell(self, column: Column, row: Row, language: str, *, is_titled: bool = False) -> str:
        value = cell(column, row, language)
        if not value:
            return ""
        phrase = column.phrase.get(language, "")
        if not phrase and is_titled:
            phrase = "{title}：{value}" if language == "zh" else "{title}: {value}"
        fields = {"value": value, "title": column.title.get(language, column.name)}
        return _FIELD.sub(lambda match: fields.get(match[1], ""), phrase) if phrase else value

    def _distance(self, intent: str, row: Row, filters: Mapping[str, Value], language: str) -> str:
        near = [
            value
            for slot, held in filters.items()
            for value in plain_values(held)
            if isinstance(value, NodeValue) and self._is_near(intent, slot, value)
        ]
        # Of several places it is the nearest, and the row does not say which.
        if row.get(DISTANCE) is None or len(near) != 1:
            return ""
        return self.say("distance", language, node=near[0].name(language), value=_shown(row[DISTANCE], language))

    def _is_near(self, intent: str, slot: str, value: NodeValue) -> bool:
        query = self._domain.intents[intent].query
        return any(
            chosen.slot == slot and chosen.operator == "near" and chosen.path[-1].label == value.label
            for chosen in (query.filters if query else ())
        )


@dataclass(frozen=True)
class _Shown:
    """How rows are told: what they were found by, and what they are sorted by."""

    filters: Mapping[str, Value]
    order: Order | None
    language: str
    columns: Sequence[str] = ()


def name_of(row: Row, language: str) -> str:
    """The name of a row's node, in that language where it has one, else its key."""
    first, second = (("zh", "en"), ("en", "zh"))[language == "en"]
    held = (name_text(row.get(column)) for column in (f"{NAME}_{first}", f"{NAME}_{second}", KEY))
    return next((name for name in held if name), "-")


def cell(column: Column, row: Row, language: str) -> str:
    """A column of a row in words, "" where the graph has nothing there."""
    if "" in column.property:
        return _shown(row.get(column.name), language)
    other = "en" if language == "zh" else "zh"
    return _shown(row.get(f"{column.name}_{language}") or row.get(f"{column.name}_{other}"), language)


def _shown(value: Any, language: str) -> str:
    if isinstance(value, list | tuple):
        return _LIST[language].join(_shown(each, language) for each in value if each is not None)
    if isinstance(value, bool):
        return ("是" if value else "否") if language == "zh" else ("yes" if value else "no")
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(words: Sequence[str], language: str) -> str:
    return _LIST[language].join(f"“{each}”" for each in words)


def _all_values(value: Value) -> tuple[Value, ...]:
    """What is wanted and what is excluded."""
    return (*plain_values(value), *(value.values if isinstance(value, Except) else ()))


def _space(language: str) -> str:
    return "" if language == "zh" else " "


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
