"""Names of the graph and declared words that a trained reader passed over, cut short or took for something else.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A trained
reader generalises; names and words that the domain declares need not be learned, they are looked up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pagoda.dialogue.reading.acts import is_named
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.declared import declared_in, is_one_more
from pagoda.dialogue.reading.follow_ups import is_small
from pagoda.dialogue.reading.places import overlap
from pagoda.dialogue.reading.superlatives import Superlative
from pagoda.dialogue.slots.said import folded
from pagoda.nlu.understanding import SlotValue, TurnContext, Understanding

_OWN = re.compile(r"(?:my|our|your|his|her|their)\b|我的|我们的", re.IGNORECASE)

_DOES = re.compile(r"\b(?:will|would|might|may|could|should|can|won['’]t|doesn['’]t)\s+$", re.IGNORECASE)
_FOR_ME = re.compile(r"^s?\s+for (?:me|us)\b", re.IGNORECASE)


class Names:
    """Names and declared words in a reading."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def without_titles(self, read: Understanding, best: Sequence[Superlative]) -> tuple[SlotValue, ...]:
        """Without what only names a slot, as in "what is its rating", is part of a superlative or a name by chance."""
        known = self._known
        return tuple(
            found
            for value in read.slots
            if not any(overlap(value, each) for each in best) and not self._is_chance(value, read.text)
            for found in self._names_in(value)
            if found.slot not in known.domain.slots
            or known.values.heard(found.slot, found.value).said.is_any
            or known.is_value(found)
            or not is_named(found.value, found.slot, known.domain)
        )

    def with_names(self, read: Understanding, context: TurnContext, plain: str) -> tuple[SlotValue, ...]:
        """Names of the graph that the base passed over, for slots of the intent, or of the task under way."""
        slots = list(read.slots)
        for slot in self._known.open_slots(read, context):
            for start, end, _ in self._known.linker.find(plain, slot.labels) if slot.labels else ():
                new = SlotValue(slot.name, read.text[start:end], start, end)
                taken = any(overlap(new, other) for other in slots)
                if not taken and not self._is_chance(new, read.text) and (slot.many or is_one_more(plain, new, slots)):
                    slots.append(new)
        return tuple(sorted(slots, key=lambda found: found.start))

    def with_declared(
        self, slots: tuple[SlotValue, ...], read: Understanding, plain: str, best: Sequence[Superlative]
    ) -> tuple[SlotValue, ...]:
        """Words of bands and choices that the base passed over or cut short, for slots of the intent."""
        intent = self._known.domain.intents.get(read.intent)
        found = list(slots)
        for slot in (self._known.domain.slots[name] for name in intent.slots) if intent is not None else ():
            for start, end in declared_in(slot, plain):
                new = SlotValue(slot.name, read.text[start:end], start, end)
                cut = [other for other in found if overlap(new, other)]
                is_longer = all(self._gives_way(other, new) for other in cut)
                others = [other for other in found if other not in cut]
                if is_longer and not any(overlap(new, each) for each in best) and is_one_more(plain, new, others):
                    found = [*others, new]
        return tuple(sorted(found, key=lambda each: each.start))

    def _is_chance(self, found: SlotValue, text: str) -> bool:
        """Whether small words are taken for a name, as a dish may be called 没有, or what somebody has or does."""
        slot = self._known.slot_of(found)
        if slot is None or not slot.labels:
            return False
        is_own = _OWN.match(found.value) and self._known.linker.link(found.value, slot.labels).how == "unknown"
        return bool(is_own) or is_small(found.value) or _is_doing(found, text)

    def _names_in(self, found: SlotValue) -> tuple[SlotValue, ...]:
        """The names that stand in words that are no name as a whole, as in "anything but Korean"."""
        slot, linker = self._known.slot_of(found), self._known.linker
        if slot is None or not slot.labels or found.start < 0:
            return (found,)
        if linker.link(found.value, slot.labels).how in ("exact", "alias"):
            return (found,)
        inside = linker.find(folded(found.value).lower(), slot.labels)
        return tuple(
            replace(found, value=found.value[start:end], start=found.start + start, end=found.start + end)
            for start, end, _ in inside
        ) or (found,)

    def _gives_way(self, found: SlotValue, declared: SlotValue) -> bool:
        """Whether a reading gives way to a declared word: a shorter one of its slot, or a name that nobody knows."""
        slot = self._known.slot_of(found)
        if found.slot == declared.slot:
            return len(found.value) < len(declared.value)
        if slot is None or not slot.labels:
            return False
        return self._known.linker.link(found.value, slot.labels).how == "unknown"


def _is_doing(found: SlotValue, text: str) -> bool:
    """Whether an English word is no name but what something does: "it would work", "works for me"."""
    is_word = found.start >= 0 and found.value.isascii() and found.value.isalpha()
    return is_word and bool(_DOES.search(text[: found.start]) or _FOR_ME.match(text[found.end :]))
