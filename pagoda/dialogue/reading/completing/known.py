"""What words are, by the domain, the graph and the readers of values: what every station of completion asks.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A name
that the graph knows and an amount that a rule reads are certain; what a trained reader found is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import NUMBER_TYPES, Slot
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.slots.kinds import Range, When
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.nlu.understanding import SlotValue, TurnContext, Understanding

SURE = 0.9
"""The confidence of what a rule decides, and of a reading that no rule outweighs."""


@dataclass(frozen=True)
class Known:
    """The domain, the names of the graph and the readers of values."""

    domain: Domain
    linker: Linker
    values: SlotReader

    def slot_of(self, found: SlotValue) -> Slot | None:
        """The declared slot of words that were found, None for one that the domain does not have."""
        return self.domain.slots.get(found.slot)

    def is_value(self, found: SlotValue) -> bool:
        """Whether the words are a value of their slot, or a try at one, and not its name ("the price") or "any"."""
        slot = self.slot_of(found)
        if slot is None:
            return False
        heard = self.values.heard(slot.name, found.value)
        if slot.type in (*NUMBER_TYPES, "time") and isinstance(heard.value, When | int | Range):
            return True  # "Any time after seven" says which.
        return not heard.said.is_any and (slot.type == "name" or heard.reading.is_meant)

    def counts(self, slot: str, words: str) -> bool:
        """Whether words are a value of a slot: a name that the graph knows, or what can be read as its quantity."""
        declared = self.domain.slots.get(slot)
        if declared is not None and declared.type == "name":
            return self.linker.link(words, declared.labels).node is not None
        return self.is_value(SlotValue(slot, words))

    def is_certain(self, found: SlotValue, read: Understanding, context: TurnContext) -> bool:
        """Whether words are a name that the graph knows; the whole answer to "how many?" is a number all the same."""
        slot = self.slot_of(found)
        if slot is None or not slot.labels or found.start < 0:
            return False
        asked = self.domain.slots.get(context.requested_slot)
        if asked is not None and not asked.labels and found.value.strip() == read.text.strip():
            return False
        return self.linker.link(found.value, slot.labels).how in ("exact", "alias")

    def open_slots(self, read: Understanding, context: TurnContext) -> tuple[Slot, ...]:
        """Slots of the intent, or of the task under way where it has none; the one that was asked for first."""
        intent = self.domain.intents.get(read.intent)
        if intent is None or not intent.slots:
            intent = self.domain.intents.get(context.intent)
        if intent is None:
            return ()
        names = sorted(intent.slots, key=lambda name: name != context.requested_slot)
        return tuple(self.domain.slots[name] for name in names)
