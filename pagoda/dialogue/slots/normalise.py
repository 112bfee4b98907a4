"""The words of a slot become its value: one normaliser for each type of slot, in Chinese and English.

Stands between *understanding* and *events* on the turn's path. Names of nodes are `linking`'s; everything else is read
here by rules, so that what enters a query is a number, a time or a word that the domain lists, and nothing otherwise.
What could be read in part, or lies beyond the slot's limits, comes as a `ValueReading` that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from pagoda.dialogue.domain.model import Slot, Words
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import ANY, Band, Range, Value, When
from pagoda.dialogue.slots.numbers import around_of, bounds, is_of_another_kind
from pagoda.dialogue.slots.people import read_people
from pagoda.dialogue.slots.readings import NOTHING, ValueReading
from pagoda.dialogue.slots.said import Said
from pagoda.dialogue.slots.times.moments import read_time

_YES = re.compile(r"^(?:是|有|要|需要|必须|提供|可以|对)|\b(?:yes|yeah|with|need|must|true)\b", re.IGNORECASE)
_NO = re.compile(r"否|没有|不|无|\b(?:no|not|without|false|n't)\b", re.IGNORECASE)
_NAME_LEADS = re.compile(
    r"^(?:我叫|我的名字[是叫]|名字[是叫]|就?叫|用|写|姓名[:：是]?"
    r"|under(?: the name(?: of)?)?|(?:my|the) name(?: is|'s)|i am|i'm|it's|for)\s*",
    re.IGNORECASE,
)
_NAME_TAILS = re.compile(r"(?:的名字|订|预订|吧|就行|please|[。.!！])+$", re.IGNORECASE)
# A value is a few words; what is longer is no value, and not worth the rules' time.
_MAX_WORDS = 300
# 一 is no number in these.
_VAGUE = re.compile(r"一点儿?|一些|一下|一家|一个|一间|一部")
# Answers to other questions, which are nobody's name.
_NO_NAME = re.compile(
    r"^(?:是的?|对的?|好的?|行|可以|嗯+|不|不是|不要|不用|没有|没错|确认|取消|yes|yeah|yep|no|nope|ok(?:ay)?|sure"
    r"|right|correct|true|false)"
    r"[\s.!。！]*$",
    re.IGNORECASE,
)


def normalise(slot: Slot, surface: str, now: datetime, *, previous: Value | None = None) -> Value | None:
    """`value_of` of words that nobody has looked at yet."""
    return value_of(slot, Said.of(surface), now, previous)


def value_of(slot: Slot, said: Said, now: datetime, previous: Value | None = None) -> Value | None:
    """The value of `reading_of`, None where there is none."""
    return reading_of(slot, said, now, previous).value


def reading_of(slot: Slot, said: Said, now: datetime, previous: Value | None = None) -> ValueReading:
    """What the words of a slot mean, or why they are no valid value of it; NOTHING for names of nodes.

    now: local time without a zone; previous: the slot's value before, which completes a time that is told in parts and
    which "one more" adds to. now matters to times alone.
    """
    if not said.words or len(said.words) > _MAX_WORDS:
        return NOTHING
    found = _READERS[slot.type](slot, said, now, previous) if slot.type in _READERS else NOTHING
    if not found.is_meant and slot.may_be_any and said.is_any:
        found = ValueReading(ANY)
    if found.value is not None and not accepts(slot, found.value):
        return _out_of_limits(slot, found.value)
    return found if found.instead is None or accepts(slot, found.instead) else replace(found, instead=None)


def _out_of_limits(slot: Slot, value: Value) -> ValueReading:
    """A number beyond the slot's limits, with the limit; what is no value of the slot at all is nothing."""
    ends = [value.low, value.high] if isinstance(value, Range) else [value]
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if any(slot.high is not None and number > slot.high for number in numbers):
        return ValueReading(why="limits", instead=slot.high)
    if any(slot.low is not None and number < slot.low for number in numbers):
        return ValueReading(why="limits", instead=slot.low)
    return NOTHING


def offers(slot: Slot, language: str, now: datetime) -> tuple[Value, ...]:
    """The answers that the domain proposes where the graph has none, as values; bands where it proposes nothing."""
    found = (normalise(slot, words, now) for words in slot.offers.get(language, ()))
    return tuple(value for value in found if value is not None) or tuple(Band(name) for name in slot.bands)


def _spelled(spellings: Mapping[str, Words], said: Said) -> str | None:
    """The name with the longest spelling that stands in the words, None for none; English ones as whole words."""
    plain, best, name = said.plain.lower(), 0, None
    for candidate, words in spellings.items():
        for word in (each for held in words.values() for each in held):
            if len(word) > best and _stands_in(word.lower(), plain):
                best, name = len(word), candidate
    return name


def _stands_in(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text) is not None if word.isascii() else word in text


def _number(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    """A bound or a number, read as the slot reads a bare one; else one of the slot's bands."""
    if slot.type != "number" and is_of_another_kind(said.plain):
        return NOTHING
    found = bounds(_VAGUE.sub("", said.plain))
    if found is None:
        band = _spelled(slot.bands, said)
        return ValueReading(Band(band)) if band is not None else NOTHING
    if isinstance(found, Range):
        return ValueReading(found)
    return ValueReading(_plain(slot, found))


def _plain(slot: Slot, number: float) -> Value:
    """What the slot makes of a bare number."""
    if slot.plain == "exact":
        return number
    if slot.plain == "around":
        return around_of(number)
    return Range(None, number) if slot.plain == "at_most" else Range(number, None)


def _people(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    before = previous if isinstance(previous, int) else None
    return read_people(said.plain, before, [word for words in slot.units.values() for word in words])


def _time(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    return read_time(said.plain, now, previous if isinstance(previous, When) else None, slot.earliest)


def _boolean(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    if _NO.search(said.words):
        return ValueReading(value=False)
    return ValueReading(value=True) if _YES.search(said.words) else NOTHING


def _choice(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    return ValueReading(said.words if said.words in slot.choices else _spelled(slot.choices, said))


def _person(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    """The name in "under the name of Smith" and 我叫王芳."""
    return _text(slot, Said.of(_NAME_TAILS.sub("", _NAME_LEADS.sub("", said.words))), now, previous)


def _text(slot: Slot, said: Said, now: datetime, previous: Value | None) -> ValueReading:
    """The words as they stand; a yes or no is an answer to something else."""
    return NOTHING if _NO_NAME.match(said.words) else ValueReading(said.words.strip() or None)


_READERS: Mapping[str, Callable[[Slot, Said, datetime, Value | None], ValueReading]] = {
    "time": _time,
    "people": _people,
    "price": _number,
    "rating": _number,
    "stars": _number,
    "number": _number,
    "boolean": _boolean,
    "choice": _choice,
    "person": _person,
    "text": _text,
}
