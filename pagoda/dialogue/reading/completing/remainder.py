"""What a sentence wishes for and cannot have here: it is said back, so that nothing is lost in silence.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Told is
a value that only another task has a slot for, an amount that no slot took, an order that no column gives, a name that
nobody knows, and new words where a wish stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pagoda.dialogue.domain.model import AMOUNT_TYPES, Intent
from pagoda.dialogue.reading.completing.clauses_en import new_in_english
from pagoda.dialogue.reading.completing.clauses_zh import new_in_chinese
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.completing.leftovers import unknown_names, unread_superlatives
from pagoda.dialogue.reading.completing.vocabulary import Vocabulary
from pagoda.dialogue.reading.declared import ONE_NIGHT, amounts_in, declared_in, is_wished, measured_in
from pagoda.dialogue.reading.places import Place, Placed, overlap
from pagoda.dialogue.reading.superlatives import Superlative
from pagoda.dialogue.slots.quantities import quantities_in
from pagoda.dialogue.slots.said import folded
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, Understanding

_OPENING = re.compile(r"\b(?:open|opens|opening|closes?|closing|closed)\b|营业|开门|关门|打烊|开着|开到", re.IGNORECASE)
_BESIDE = 12
_PEOPLE = re.compile(
    r"(?:\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[两二三四五六七八九十]{1,2}) ?"
    r"(?:people|persons|guests|adults|of us|个人|位|人|口人?)",
    re.IGNORECASE,
)
_NO_TIME = ("一点", "一点儿", *ONE_NIGHT)


class Remainder:
    """Finds what a reading leaves unsaid."""

    def __init__(self, known: Known, vocabulary: Vocabulary) -> None:
        self._known, self._domain, self._vocabulary = known, known.domain, vocabulary
        told = (each["text"] for each in known.domain.examples() if each["intent"] != OUT_OF_SCOPE)
        self._told = "\n".join((known.domain.name, *told)).lower()
        self._labels = frozenset(label for slot in known.domain.slots.values() for label in slot.labels)

    def of(self, read: Understanding, plain: str, best: Sequence[Superlative]) -> Understanding:
        """The reading with what is left over in it."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or intent.kind not in ("find", "book"):
            return read
        query = intent.query
        used: list[Placed] = [found for found in read.slots if found.slot in intent.slots]
        used += [each for each in best if query is not None and query.column(each.column) is not None]
        unused = _apart(self._unusable(read, intent, plain), used)
        unused += _apart(self._when_and_for_whom(read, intent), [*used, *unused])
        places = unknown_names(read.text, self._is_seen, is_booking=intent.kind == "book")
        unknown = _apart((_words(read.text, place) for place in places), [*used, *unused])
        taken = [*used, *unused, *unknown, *self._told_otherwise(read, intent)]
        unused += _apart((_words(read.text, place) for place in self._new(read, intent, taken)), taken)
        unused = _joined(sorted(unused, key=lambda found: found.start), read.text)
        names = tuple(dict.fromkeys(found.value for found in unknown))
        return replace(read, unused=tuple(unused), unknown=names)

    def _new(self, read: Understanding, intent: Intent, taken: Sequence[Placed]) -> Iterator[Place]:
        """Wishes of words that the domain's own sentences do not have."""
        words, nouns = self._vocabulary, self._nouns(intent)
        if read.text.isascii() or read.language == "en":
            yield from new_in_english(read.text, taken, words.is_known, frozenset(noun.lower() for noun in nouns))
        else:
            is_booking = intent.kind == "book"
            yield from new_in_chinese(read.text, taken, words.has_new, nouns, is_booking=is_booking)

    def _nouns(self, intent: Intent) -> tuple[str, ...]:
        """What people call that which is looked for or booked, and a booking of it."""
        booked = (word for held in intent.booking.words.values() for word in held) if intent.booking else ()
        return (*self._domain.called(intent), *booked)

    def _told_otherwise(self, read: Understanding, intent: Intent) -> Iterator[Placed]:
        """Words that a slot of another intent takes, or that say when and for how many: not new, whatever they are."""
        yield from (found for found in read.slots if found.slot not in intent.slots)
        slots = list(self._domain.slots.values())
        # 一点 of 安静一点 is no hour.
        yield from (found for found in quantities_in(folded(read.text), slots) if found.words not in _NO_TIME)

    def _when_and_for_whom(self, read: Understanding, intent: Intent) -> Iterator[SlotValue]:
        """Times and numbers of people: of their slot where a booking of what is found will take it, else of none."""
        later = self._domain.slots_booked_later(intent)
        slots = [slot for slot in self._domain.slots.values() if slot.type in ("time", "people")]
        for found in quantities_in(folded(read.text), [slot for slot in slots if slot.name not in intent.slots]):
            value = SlotValue(found.slot, found.words, found.start, found.end)
            if not self._is_plain(value, read.text):
                continue
            if (hours := self._hours(read.text, value)) is not None:
                yield hours
            elif found.slot in later:
                yield value
            else:
                yield _words(read.text, (found.start, found.end))

    def _is_plain(self, found: SlotValue, text: str) -> bool:
        """Whether a moment or a number of people is told in so many words: 一个 of 找一个餐馆 is nobody."""
        if self._domain.slots[found.slot].type == "people":
            return _PEOPLE.fullmatch(found.value) is not None and not text[found.end :].startswith("均")
        return found.value not in _NO_TIME and self._known.values.heard(found.slot, found.value).value is not None

    def _hours(self, text: str, found: SlotValue) -> SlotValue | None:
        """A time that a place is to be open at, "open after 10pm", and no time to come."""
        if self._domain.slots[found.slot].type != "time":
            return None
        before, after = text[max(0, found.start - _BESIDE) : found.start], text[found.end : found.end + _BESIDE]
        if opening := _OPENING.search(before):
            return _words(text, (found.start - len(before) + opening.start(), found.end))
        if opening := _OPENING.search(after):
            return _words(text, (found.start, found.end + opening.end()))
        return None

    def _unusable(self, read: Understanding, intent: Intent, plain: str) -> Iterator[SlotValue]:
        """What a search may be unable to use, the most certain first."""
        yield from self._foreign_names(intent, read.text, plain)
        yield from amounts_in(read.text)
        yield from measured_in(read.text)
        if intent.query is not None:
            yield from (found for found in read.slots if self._is_foreign_number(found, intent))
            yield from self._foreign_bands(intent, read.text, plain)
            yield from (_words(read.text, place) for place in unread_superlatives(read.text))

    def _is_seen(self, words: str) -> bool:
        """Whether words stand in an example or are part of a name that the graph has by now."""
        return words.lower() in self._told or self._known.linker.has_part(words, self._labels)

    def _foreign_names(self, intent: Intent, text: str, plain: str) -> Iterator[SlotValue]:
        """Names of labels that only slots of other intents look in."""
        own = {label for name in intent.slots for label in self._domain.slots[name].labels}
        for slot in self._domain.slots.values():
            labels = [label for label in slot.labels if label not in own]
            for start, end, _ in self._known.linker.find(plain, labels):
                if end - start > 1 and is_wished(text, start, end):
                    yield SlotValue(slot.name, text[start:end], start, end)

    def _foreign_bands(self, intent: Intent, text: str, plain: str) -> Iterator[SlotValue]:
        """Words such as "cheap", of slots that only other searches have."""
        for slot in self._domain.slots.values():
            if slot.name not in intent.slots and slot.bands:
                places = declared_in(slot, plain)
                yield from (SlotValue(slot.name, text[start:end], start, end) for start, end in places)

    def _is_foreign_number(self, found: SlotValue, intent: Intent) -> bool:
        """A price, a rating and the like that only other searches take; a booking may still take the rest."""
        slot = self._known.slot_of(found)
        is_number = slot is not None and slot.type in (*AMOUNT_TYPES, "choice")
        return is_number and found.slot not in intent.slots and self._known.is_value(found)


def _words(text: str, place: Place) -> SlotValue:
    """Words at a place, as a value of no slot."""
    return SlotValue("", text[slice(*place)], *place)


def _apart(found: Iterable[SlotValue], taken: Sequence[Placed]) -> list[SlotValue]:
    """Those that overlap nothing before them."""
    kept: list[SlotValue] = []
    for each in found:
        if not any(overlap(each, other) for other in (*taken, *kept)):
            kept.append(each)
    return kept


def _joined(found: Sequence[SlotValue], text: str) -> list[SlotValue]:
    """What stands side by side is one wish: 24小时 and 热水 are 24小时热水."""
    kept: list[SlotValue] = []
    for each in found:
        if kept and not (kept[-1].slot or each.slot) and not text[kept[-1].end : each.start].strip(" 的"):
            each = _words(text, (kept.pop().start, each.end))
        kept.append(each)
    return kept
