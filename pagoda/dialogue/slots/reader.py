"""A domain's slots read once: what the words of a slot mean, kept for those who ask again in the same turn.

Stands between *understanding* and *events* on the turn's path. Whether words are a value is asked several times while a
sentence is understood, and what they mean once more when events are made. In between lie the records of understanding,
which know words and no values; so what was read is kept here, by slot and words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import Value
from pagoda.dialogue.slots.normalise import reading_of
from pagoda.dialogue.slots.readings import ValueReading
from pagoda.dialogue.slots.said import Said

# A turn has a few slots with a few words each; this many are some turns of many sessions.
_NUM_KEPT = 1024
# Only a time depends on the day, and whether words are a time at all is asked of any.
_ANY_DAY = datetime(2000, 1, 1, 12, 0)


@dataclass(frozen=True)
class Heard:
    """Words of a slot and what was read in them, of a time that of some day."""

    said: Said
    reading: ValueReading

    @property
    def value(self) -> Value | None:
        """None where they are no value of the slot, or not yet."""
        return self.reading.value


class SlotReader:
    """Reads words of a domain's slots; threads may share it."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._kept = lru_cache(_NUM_KEPT)(self._heard)

    def heard(self, slot: str, words: str) -> Heard:
        """What words of a slot are, whatever the day. Raises KeyError for a slot that the domain lacks."""
        return self._kept(slot, words)

    def value(self, slot: str, words: str, now: datetime, previous: Value | None = None) -> Value | None:
        """What words of a slot mean now, None where they are no value of it."""
        return self.reading(slot, words, now, previous).value

    def reading(self, slot: str, words: str, now: datetime, previous: Value | None = None) -> ValueReading:
        """What words of a slot mean now, or why they are no value; see `reading_of`."""
        heard, declared = self._kept(slot, words), self._domain.slots[slot]
        is_relative = declared.type == "time" or (declared.type == "people" and previous is not None)
        return reading_of(declared, heard.said, now, previous) if is_relative else heard.reading

    def _heard(self, slot: str, words: str) -> Heard:
        said = Said.of(words)
        return Heard(said, reading_of(self._domain.slots[slot], said, _ANY_DAY))
