"""The words of a slot become its value: one normaliser for each type of slot, in Chinese and English.

Stands between *understanding* and *events* on the turn's path. Names of nodes are `linking`'s; everything else is read
here by rules, so that what enters a query is a number, a time or a word that the domain lists, and None otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from pagoda.dialogue.domain.model import Slot, Words
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import ANY, Band, Range, Value, When
from pagoda.dialogue.slots.numbers import around_of, bounds, numbers_in
from pagoda.dialogue.slots.said import Said
from pagoda.dialogue.slots.times import parse_time

_YES = re.compile(r"^(?:是|有|要|需要|必须|提供|可以|对)|\b(?:yes|yeah|with|need|must|true)\b", re.IGNORECASE)
_NO = re.compile(r"否|没有|不|无|\b(?:no|not|without|false|n't)\b", re.IGNORECASE)
_NAME_LEADS = re.compile(
    r"^(?:我叫|我的名字[是叫]|名字[是叫]|就?叫|用|写|姓名[:：是]?"
    r"|under(?: the name(?: of)?)?|(?:my|the) name(?: is|'s)|i am|i'm|it's|for)\s*",
    re.IGNORECASE,
)
_NAME_TAILS = re.compile(r"(?:的名字|订|预订|吧|就行|please|[。.!！])+$", re.IGNORECASE)
_ALONE = re.compile(
    r"就我(?:自己|一个|一人)?$|我自己|自己一个|独自|\b(?:just me|only me|myself|alone|solo)\b", re.IGNORECASE
)
_PAIR = re.compile(
    r"我(?:和|跟|与|同)(?:我)?(?:的)?"
    r"(?:老婆|老公|太太|先生|妻子|丈夫|女朋友|男朋友|女友|男友|爱人|妈妈?|爸爸?|朋友|同事|同学|他|她)"
    r"|俩人?|夫妻|情侣|小两口"
    r"|\b(?:me and (?:my|a) \w+|my \w+ and (?:i|me)|(?:a|the) couple|both of us|the two of us)\b",
    re.IGNORECASE,
)
_WITH_ME = re.compile(
    r"(?:我|我自己)(?:和|跟|与|带|加)(?:我的?)?(?P<zh>[\d一二两三四五六七八九十]+)(?:个|位|名)"
    r"|\b(?:me|myself|i) (?:and|plus|with) (?:my )?(?P<en>\d+|\w+)"
    r" (?:friends|colleagues|others|kids|children|people|guests)",
    re.IGNORECASE,
)
_FAMILY = re.compile(
    r"一家(?P<zh>[\d一二两三四五六七八九十]+)口|\b(?:family|party|group) of (?P<en>\d+|\w+)", re.IGNORECASE
)
_ADULTS = re.compile(
    r"(?P<a>[\d一二两三四五六七八九]+)(?:个|位)?(?:大人|成人|大)[^\d一二两三四五六七八九]{0,2}"
    r"(?P<b>[\d一二两三四五六七八九]+)(?:个|位)?(?:小孩|孩子|儿童|小|娃)"
    r"|(?P<c>\d+|\w+) adults?,? (?:and |plus |\+ ?)?(?P<d>\d+|\w+) (?:kids?|child(?:ren)?|babies|baby|toddlers?)",
    re.IGNORECASE,
)
# 一 is no number in these.
_VAGUE = re.compile(r"一点儿?|一些|一下|一家|一个|一间|一部")
_HALF_DOZEN = re.compile(r"\bhalf a dozen\b", re.IGNORECASE)


def normalise(slot: Slot, surface: str, now: datetime, *, previous: Value | None = None) -> Value | None:
    """`value_of` of words that nobody has looked at yet."""
    return value_of(slot, Said.of(surface), now, previous)


def value_of(slot: Slot, said: Said, now: datetime, previous: Value | None = None) -> Value | None:
    """What the words of a slot mean; None where they are no valid value of it, and for names of nodes.

    now: local time without a zone; previous: the slot's value before, which completes a time that is told in parts.
    Both matter to times alone.
    """
    if not said.words:
        return None
    value = _NORMALISERS[slot.type](slot, said, now, previous) if slot.type in _NORMALISERS else None
    if value is None and slot.may_be_any and said.is_any:
        value = ANY
    return value if accepts(slot, value) else None


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


def _number(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    """A bound or a number, read as the slot reads a bare one; else one of the slot's bands."""
    found = bounds(_VAGUE.sub("", said.plain))
    if found is None:
        band = _spelled(slot.bands, said)
        return Band(band) if band is not None else None
    if isinstance(found, Range):
        return found
    return _plain(slot, found)


def _plain(slot: Slot, number: float) -> Value:
    """What the slot makes of a bare number."""
    if slot.plain == "exact":
        return number
    if slot.plain == "around":
        return around_of(number)
    return Range(None, number) if slot.plain == "at_most" else Range(number, None)


def _people(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    """Adults and children are added, whoever speaks is counted, of "three or four" the more."""
    plain = said.plain
    if match := _ADULTS.search(plain):
        parts = [_count(part) for part in match.groups() if part]
        if all(parts):
            return sum(parts)
    if match := _WITH_ME.search(plain):
        others = _count(match["zh"] or match["en"])
        return others + 1 if others else None
    if match := _FAMILY.search(plain):
        return _count(match["zh"] or match["en"]) or None
    if _HALF_DOZEN.search(plain):
        return 6
    return _plain_count(plain)


def _plain_count(plain: str) -> int | None:
    found = bounds(plain)
    if isinstance(found, Range):
        high = found.high if found.high is not None else found.low
        return int(high) if high is not None and high == int(high) else None
    if found is not None:
        return int(found) if found == int(found) else None
    if _ALONE.search(plain):
        return 1
    return 2 if _PAIR.search(plain) else None


def _count(word: str) -> int:
    found = numbers_in(word)
    return int(found[0].value) if found else 0


def _time(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    return parse_time(said.plain, now, previous if isinstance(previous, When) else None)


def _boolean(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    if _NO.search(said.words):
        return False
    return True if _YES.search(said.words) else None


def _choice(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    return said.words if said.words in slot.choices else _spelled(slot.choices, said)


def _person(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    """The name in "under the name of Smith" and 我叫王芳."""
    return _NAME_TAILS.sub("", _NAME_LEADS.sub("", said.words)).strip() or None


def _text(slot: Slot, said: Said, now: datetime, previous: Value | None) -> Value | None:
    return said.words


_NORMALISERS: Mapping[str, Callable[[Slot, Said, datetime, Value | None], Value | None]] = {
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
