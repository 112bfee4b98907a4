"""Times, numbers of people, prices and ratings in a sentence, found by their units and their slots' words.

Stands beside *understanding* on the turn's path: a tagger learns where values stand from examples, and what it passed
over or cut in two is found here by rule: 人均50-100元, "at 11:30 for 6 people on Tuesday". All pieces of one kind are
one expression. The answer to a question may be bare: a number is of the slot that was asked for. Local grammars in the
manner of Gross 1997, "The Construction of Local Grammars".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from pagoda.dialogue.domain.model import AMOUNT_TYPES, Slot
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import Range
from pagoda.dialogue.slots.numbers import Phrase, bounds, phrases_in
from pagoda.dialogue.slots.people import find_people
from pagoda.dialogue.slots.times.moments import time_places

_UNITS = {
    "price": re.compile(
        r"元|块|圆|￥|¥|\$|€|£|人民币|\b(?:rmb|cny|usd|yuan|kuai|dollars?|bucks|euros?|pounds?|quid)\b"
        r"|\b(?:a|per) (?:head|person|night)\b|/人|每人|一晚|一位"
    ),
    "rating": re.compile(r"分(?![钟之店别享])|\b(?:points?|out of (?:5|10|five|ten))\b|/(?:5|10)\b"),
    "stars": re.compile(r"星级?|[ -]?\bstars?\b"),
}
# Words that every slot of the type goes by, whatever its domain calls it.
_WORDS = {
    "price": (
        "人均",
        "消费",
        "价格",
        "价位",
        "价钱",
        "预算",
        "花费",
        "房价",
        "房费",
        "budget",
        "price",
        "cost",
        "spend",
        "pay",
    ),
    "rating": ("评分", "打分", "得分", "分数", "评价", "rating", "rated", "score", "scored"),
    "stars": ("星级",),
    "number": (),
}
_CLAUSE = re.compile(r"[，。,;；!?！？、]|\band\b|而且|并且|\d")
_CLOCK = re.compile(r"\d|点|noon|midnight|clock|past")
_MAX_GAP = 14
# Nobody says a quantity so late, and the patterns' time grows with the square of the length.
_MAX_LENGTH = 500
_SMALL_NUMBER = r"(?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_HOUR = r"(?:\d{1,2}(?:[:.]\d\d)?(?:点半?)?|[一二两三四五六七八九十]{1,3}点?半?)"
_NO_HOUR = r"(?!\d|\s*(?:people|persons|of us|guests|个|位|人|[/月号日-]))"
_EITHER_AFTER = re.compile(rf"\s*(?:\bor\b|或者?|还是)\s*(?:at\s+)?{_HOUR}{_NO_HOUR}")
_PART_OF_DAY = re.compile(r"(?:morning|afternoon|evening|night)\b")
_HOUR_IN = re.compile(rf"(?<!table for )(?<!party of )(?<!seat )\b(?P<n>{_SMALL_NUMBER}(?:[:.]\d\d)?) (?:in the|at) ?$")
_EITHER_BEFORE = re.compile(rf"(?<![\d/:.-])(?P<n>(?:\bat\s+)?{_HOUR})\s*(?:\bor\b|或者?|还是)\s*$")
_FOR_PEOPLE = re.compile(
    rf"\b(?:for(?: us)?|seat|fit|book|reserve) (?:just |only |about |around )?(?P<n>{_SMALL_NUMBER})"
    r"(?=\s*(?:$|[,.!?·]|(?:on|at|in|for|this|next|please|there|thanks?|and|tomorrow|tonight|today|i|if|with|around"
    r"|from"
    r"|instead|now)\b))"
)


@dataclass(frozen=True)
class Quantity:
    """Words of a slot in a sentence. words: of all their pieces; start, end: of the first piece, by characters."""

    slot: str
    words: str
    start: int
    end: int


def quantities_in(
    text: str, slots: Sequence[Slot], asked: str = "", known: Container[str] = (), names: Sequence[tuple[int, int]] = ()
) -> list[Quantity]:
    """What a folded sentence says of these slots, the one that was asked for first among them.

    asked: the slot that a question is open for; known: slots that have a value, which "one more" may be added to
    names: places of names, in which no number counts
    """
    sentence = _Sentence(text[:_MAX_LENGTH], slots, asked, known)
    for start, end in names:
        sentence.hide(start, end)
    return [*sentence.times(), *sentence.people(), *sentence.numbers(), *sentence.bare_hours()]


class _Sentence:
    """A sentence while its quantities are taken out of it, kind by kind."""

    def __init__(self, text: str, slots: Sequence[Slot], asked: str, known: Container[str]) -> None:
        lower = text.lower()
        self._text = text
        self._plain = lower if len(lower) == len(text) else text
        self._slots, self._asked, self._known = slots, asked, known
        self._has_time = self._has_clock = False

    def hide(self, start: int, end: int) -> None:
        """What is there is of another kind."""
        self._plain = self._plain[:start] + "·" * (end - start) + self._plain[end:]

    def times(self) -> Iterator[Quantity]:
        slot, asked = self._of_type("time"), self._named(self._asked)
        places = time_places(self._plain, is_loose=asked is None or asked.type != "people")
        if places and slot is not None:
            places = [self._with_hours(place) for place in places]
            yield self._pieces(slot, places)
            self._has_time = True
            self._has_clock = any(_CLOCK.search(self._plain[start:end]) for start, end in places)
        for start, end in places:
            self.hide(start, end)

    def _with_hours(self, place: tuple[int, int]) -> tuple[int, int]:
        """With the other hour of "8 or 9 tonight", of which none is taken, and the hour of "one in the afternoon"."""
        start, end = place
        before, after = _EITHER_BEFORE.search(self._plain[:start]), _EITHER_AFTER.match(self._plain[end:])
        if before is None and _PART_OF_DAY.match(self._plain[start:end]):
            before = _HOUR_IN.search(self._plain[:start])
        return start if before is None else before.start("n"), end if after is None else end + after.end()

    def people(self) -> Iterator[Quantity]:
        slot = self._of_type("people")
        if slot is None:
            return
        nouns = [word for words in slot.units.values() for word in words]
        previous = 0 if slot.name in self._known else None
        found = find_people(self._plain, previous, nouns, is_asked=slot.name == self._asked)
        place = (found.start, found.end) if found is not None else self._for_people()
        if place is not None:
            yield self._pieces(slot, [place])
            self.hide(*place)

    def _for_people(self) -> tuple[int, int] | None:
        """ "For 4" is of people, unless an hour was asked for and not told."""
        asked = next((slot.type for slot in self._slots if slot.name == self._asked), "")
        found = [*_FOR_PEOPLE.finditer(self._plain)]
        is_free = asked != "time" or self._has_clock
        return (found[0].start("n"), found[0].end("n")) if len(found) == 1 and is_free else None

    def numbers(self) -> Iterator[Quantity]:
        taken: set[str] = set()
        phrases = phrases_in(self._plain)
        for phrase in phrases:
            slot = self._slot_of(phrase)
            if slot is not None and slot.name not in taken:
                taken.add(slot.name)
                yield self._pieces(slot, [(phrase.start, phrase.end)])
        asked = self._named(self._asked)
        is_bare = len(phrases) == 1 and not phrases[0].is_measured
        if asked is not None and asked.type in AMOUNT_TYPES and not taken and is_bare:
            yield self._pieces(asked, [(phrases[0].start, phrases[0].end)])

    def bare_hours(self) -> Iterator[Quantity]:
        slot = self._named(self._asked)
        if slot is None or slot.type != "time" or self._has_time:
            return
        if places := time_places(self._plain, is_asked=True):
            yield self._pieces(slot, places)

    def _slot_of(self, phrase: Phrase) -> Slot | None:
        """By the unit inside the phrase, else by the nearest word of a slot before it."""
        words = self._plain[phrase.start : phrase.end]
        numeric = [slot for slot in self._slots if slot.type in AMOUNT_TYPES]
        by_unit = [slot for slot in numeric if _has_unit(slot, words)]
        if by_unit:
            return by_unit[0]
        if phrase.is_foreign or any(pattern.search(words) for pattern in _UNITS.values()):
            return None
        before = self._plain[max(0, phrase.start - _MAX_GAP - 12) : phrase.start]
        near = [(_gap(before, slot), row) for row, slot in enumerate(numeric)]
        near = [(gap, row) for gap, row in near if gap is not None]
        if near:
            return numeric[min(near)[1]]
        return self._only_one_for(numeric, words)

    def _only_one_for(self, numeric: Sequence[Slot], words: str) -> Slot | None:
        """The one slot within whose limits a bound lies that names no unit, such as 一百五以内."""
        found = bounds(words)
        if not isinstance(found, Range):
            return None
        fitting = [slot for slot in numeric if accepts(slot, found)]
        return fitting[0] if len(fitting) == 1 and fitting[0].low is not None else None

    def _of_type(self, kind: str) -> Slot | None:
        """The slot of a type: that which was asked for, else the first."""
        own = [slot for slot in self._slots if slot.type == kind]
        return next((slot for slot in own if slot.name == self._asked), own[0] if own else None)

    def _named(self, name: str) -> Slot | None:
        return next((slot for slot in self._slots if slot.name == name), None)

    def _pieces(self, slot: Slot, places: Sequence[tuple[int, int]]) -> Quantity:
        """Pieces with nothing but small words between them are told with these, others one after the other."""
        first, last = places[0][0], places[-1][1]
        joined = " ".join(self._text[start:end].strip() for start, end in places)
        between = [self._plain[one[1] : other[0]] for one, other in itertools.pairwise(places)]
        if all(_SMALL.fullmatch(gap) for gap in between):
            return Quantity(slot.name, self._text[first:last].strip(), first, last)
        return Quantity(slot.name, joined, *places[0])


_SMALL = re.compile(r"[\s,，。.、]*(?:(?:at|on|in|the|around|about|for|of|by|的|就|在)\s*)*[\s,，]*")


def _has_unit(slot: Slot, words: str) -> bool:
    own = [word.lower() for held in slot.units.values() for word in held]
    if any(re.search(rf"{re.escape(word)}\b" if word.isascii() else re.escape(word), words) for word in own):
        return True
    pattern = _UNITS.get(slot.type)
    return pattern is not None and pattern.search(words) is not None


def _gap(before: str, slot: Slot) -> int | None:
    """How far before a number one of the slot's words ends, in the same clause; None where none does."""
    words = {*slot.title.values(), *(word for held in slot.words.values() for word in held), *_WORDS[slot.type]}
    ends = [match.end() for word in words if word for match in _word(word).finditer(before)]
    gaps = [len(before) - end for end in ends if not _CLAUSE.search(before[end:])]
    return min((gap for gap in gaps if gap <= _MAX_GAP), default=None)


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(word.lower())}\b" if word.isascii() else re.escape(word))
