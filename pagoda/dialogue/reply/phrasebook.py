"""The reply: templates of the domain filled from rows and state, in the language of the person.

Last station of a turn: sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> *reply*. Whatever is
said about the world comes from the rows. A language model may rephrase the reply, but `check`
rejects a text with a number or name that neither the rows nor the template hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.dialogue.cypher.filters import DISTANCE
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column
from pagoda.dialogue.slots.kinds import NodeValue, Value, name_text
from pagoda.dialogue.slots.showing import show_value
from pagoda.dialogue.state.policy import Ask
from pagoda.graph.statement import KEY, NAME

Row = Mapping[str, Any]
_FIELD = re.compile(r"\{(\w+)\}")
_COMMA, _STOP = {"zh": "，", "en": ", "}, {"zh": "；", "en": "; "}
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
        question = self._question(intent, ask.slot, ask.attempt, language)
        if ask.reason == "past":
            return self.say("past", language, question=question)
        if ask.reason == "invalid" and ask.surface:
            question = self.say("invalid", language, surface=ask.surface, question=question)
        return self.say("ask_choices", language, question=question, choices=shown) if offered else question

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
    ) -> str:
        """What a query found, as a numbered list. relaxed: slots given up for it; has_more: these are not all."""
        if not rows:
            return self.say("nothing_found", language)
        first = self.say("relaxed", language, slots=self._titles(relaxed, language)) if relaxed else ""
        if len(rows) == 1 and not has_more:
            head, row = self.say("found_one", language), rows[0]
            return _joined(first, head + _space(language) + self._row("single", intent, row, 1, filters, language))
        head = self.say("found_more" if has_more else "found_many", language, num=str(len(rows)))
        listed = [self._row("row", intent, row, rank, filters, language) for rank, row in enumerate(rows, 1)]
        return _joined(first, "\n".join([head, *listed]))

    def chosen(self, intent: str, row: Row, language: str) -> str:
        """All that is told of one result; the row is that of `compile_result`."""
        query = self._domain.intents[intent].query
        told = [self._cell(column, row, language, is_titled=True) for column in query.columns] if query else []
        return self.say("chosen", language, name=name_of(row, language), details=self._details(told, language))

    def property(self, intent: str, column: str, row: Row | None, language: str) -> str:
        """The answer to a question about a result; the row is that of `compile_property`, None where there is none."""
        query = self._domain.intents[intent].query
        wanted = query.column(column) if query else None
        value = cell(wanted, row, language) if wanted and row else ""
        if wanted is None or row is None or not value:
            return self.say("property_unknown", language)
        title = wanted.title.get(language, column)
        if wanted.phrase:
            phrase = self._cell(wanted, row, language)
            return self.say("property_phrase", language, name=name_of(row, language), phrase=phrase)
        return self.say("property", language, name=name_of(row, language), title=title, value=value)

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
        return self.say("resume", language, title=self._domain.intents[intent].title.get(language, intent))

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

    def _titles(self, slots: Sequence[str], language: str) -> str:
        return _LIST[language].join(self._domain.slots[slot].title.get(language, slot) for slot in slots)

    def _row(
        self, template: str, intent: str, row: Row, rank: int, filters: Mapping[str, Value] | None, language: str
    ) -> str:
        query = self._domain.intents[intent].query
        told = [self._cell(column, row, language) for column in query.columns if column.in_list] if query else []
        told.append(self._distance(row, filters or {}, language))
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

    def _distance(self, row: Row, filters: Mapping[str, Value], language: str) -> str:
        node = next(
            (value for value in filters.values() if isinstance(value, NodeValue) and self._is_near(value)), None
        )
        if row.get(DISTANCE) is None or node is None:
            return ""
        return self.say("distance", language, node=node.name(language), value=_shown(row[DISTANCE], language))

    def _is_near(self, value: NodeValue) -> bool:
        return any(
            chosen.operator == "near" and chosen.path[-1].label == value.label
            for intent in self._domain.intents.values()
            for chosen in (intent.query.filters if intent.query else ())
        )


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


def _space(language: str) -> str:
    return "" if language == "zh" else " "


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
