"""What a sentence wishes for and cannot have here: it is said back, so that nothing is lost in silence.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Told is
what is certain: a value that only another search has a slot for, an amount of money that no slot took, an order that no
column gives, a name that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pagoda.dialogue.domain.model import AMOUNT_TYPES, Intent
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.completing.leftovers import unknown_names, unread_superlatives
from pagoda.dialogue.reading.declared import amounts_in, is_wished, measured_in
from pagoda.dialogue.reading.places import Placed, overlap
from pagoda.dialogue.reading.superlatives import Superlative
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, Understanding


class Remainder:
    """Finds what a reading leaves unsaid."""

    def __init__(self, known: Known) -> None:
        self._known, self._domain = known, known.domain
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
        unused: list[SlotValue] = []
        for found in self._unusable(read, intent, plain) if query is not None else ():
            if not any(overlap(found, other) for other in (*used, *unused)):
                unused.append(found)
        places = unknown_names(read.text, self._is_seen, is_booking=intent.kind == "book")
        names = [SlotValue("", read.text[start:end], start, end) for start, end in places]
        unknown = [name.value for name in names if not any(overlap(name, other) for other in (*used, *unused))]
        unused.sort(key=lambda found: found.start)
        return replace(read, unused=tuple(unused), unknown=tuple(dict.fromkeys(unknown)))

    def _unusable(self, read: Understanding, intent: Intent, plain: str) -> Iterator[SlotValue]:
        """What a search may be unable to use, the most certain first."""
        yield from (found for found in read.slots if self._is_foreign_number(found, intent))
        yield from self._foreign_names(intent, read.text, plain)
        yield from amounts_in(read.text)
        yield from measured_in(read.text)
        yield from (SlotValue("", read.text[a:b], a, b) for a, b in unread_superlatives(read.text))

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

    def _is_foreign_number(self, found: SlotValue, intent: Intent) -> bool:
        """A price, a rating and the like that only other searches take; a booking may still take the rest."""
        slot = self._known.slot_of(found)
        is_number = slot is not None and slot.type in (*AMOUNT_TYPES, "choice")
        return is_number and found.slot not in intent.slots and self._known.is_value(found)
