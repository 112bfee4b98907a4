"""Words of a slot as its value, at one moment, and names of nodes in a sentence.

Third station of a turn: sentence -> *understanding -> events* -> state -> policy -> Cypher -> rows -> reply. By the
normalisers, or by the names of the graph; whoever makes events asks here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.slots.kinds import ANY, NodeValue, Value, When
from pagoda.dialogue.slots.quantities import quantities_in
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.state import events as ev
from pagoda.nlu.understanding import SlotValue


class ValueReader:
    """Words of a slot as its value, at one moment: by the normalisers, or by the names of the graph.

    values: has read most of the words already, while they were understood; None for a reader of its own
    """

    def __init__(self, domain: Domain, linker: Linker, now: datetime, values: SlotReader | None = None) -> None:
        self._domain, self._linker, self._now = domain, linker, now
        self._values = values or SlotReader(domain)

    def event(self, said: SlotValue, previous: Value | None, *, is_correction: bool) -> ev.Event:
        """Informed or Corrected with the value, None for what is none.

        Doubted where several nodes are close; Declined where the words were understood and are no value.
        """
        slot = self._domain.slots[said.slot]
        kind = ev.Corrected if is_correction and previous is not None else ev.Informed
        if slot.type != "name":
            reading = self._values.reading(slot.name, said.value, self._now, previous)
            # Of a time that is not told to the moment, the days around it are known all the same.
            is_around = reading.why == "ambiguous" and isinstance(reading.instead, When)
            if reading.why and not is_around:
                return ev.Declined(said.slot, said.value, reading.why, reading.leftover, reading.instead)
            return kind(said.slot, reading.instead if is_around else reading.value, said.value)
        link = self._linker.link(said.value, slot.labels)
        if link.node is None and slot.may_be_any and self._values.heard(slot.name, said.value).said.is_any:
            return kind(said.slot, ANY, said.value)
        if link.how == "close":
            return ev.Doubted(said.slot, said.value, link.nodes)
        return kind(said.slot, link.node, said.value)

    def quantities(self, text: str, slots: Sequence[str]) -> list[SlotValue]:
        """Times, numbers and amounts of these slots in a text, whatever it is read as; "two more" is one."""
        declared = [self._domain.slots[name] for name in slots if not self._domain.slots[name].labels]
        found = quantities_in(folded(text), declared, known=slots)
        return [SlotValue(each.slot, each.words, each.start, each.end) for each in found]

    def nodes_named(self, text: str, labels: Sequence[str]) -> list[tuple[int, int, NodeValue]]:
        """(start, end, node) of the nodes of these labels that a text names."""
        return self._linker.find(folded(text).lower(), labels)
