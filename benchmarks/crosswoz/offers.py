"""What is still wished once the system has offered an entity: its database tells which wishes the entity does not meet.

Second station of a turn, acts -> *belief state*, of which `tracking` is the rest. A system that offers what was not
wished for has given the wish up, for its next search would not find the entity that is spoken of (after RuleDST of
CrossWOZ, Zhu et al. 2020, arXiv 2002.11893, which follows the system's search; the rules are our own).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from crosswoz.ontology import ActOntology, Slot
from crosswoz.quantities import QuantityReader

Values = tuple[str, ...]
"""What a slot holds: one text, or several where the slot is a list."""
Record = Mapping[str, Any]


class OfferCheck:
    """Compares wishes with entities.

    records: {domain: records of its database}; of an entity that they lack nothing is known, and nothing given up
    """

    def __init__(self, ontology: ActOntology, records: Mapping[str, Iterable[Record]]) -> None:
        self._ontology = ontology
        self._records = {(domain, row[ontology.name]): row for domain, rows in records.items() for row in rows}
        self._reader = QuantityReader(ontology.quantities, {})

    def left(
        self, wishes: Mapping[Slot, Values], domain: str, names: Sequence[str], told: Container[Slot] | None = None
    ) -> dict[Slot, Values]:
        """The wishes without those that none of these entities of the domain meets.

        told: look at no other slots than these
        """
        found = [self._records[domain, name] for name in names if (domain, name) in self._records]
        kept: dict[Slot, Values] = {}
        for slot, values in wishes.items():
            is_asked = slot[0] == domain and slot[1] != self._ontology.name and (told is None or slot in told)
            still = self._still(slot[1], values, found) if is_asked and found else values
            kept |= {slot: still} if still else {}
        return kept

    def _still(self, slot: str, values: Values, records: Sequence[Record]) -> Values:
        """What is left of one wish: all, nothing, or the lower end of a range.

        Ranges in texts are searched for as texts: "3-4 hours" does not find "2-3 hours", and "3 hours" does.
        """
        if any(self._meets(record.get(slot), slot, values) for record in records):
            return values
        lower = self._lower_end(slot, values[0])
        return (lower,) if lower and any(lower in _text(record.get(slot)) for record in records) else ()

    def _meets(self, held: object, slot: str, values: Values) -> bool:
        """Whether a property is as wished. A part of a text is enough; what is not known is not as wished."""
        if isinstance(held, list):
            return all(any(value in text for text in held) for value in values)
        if isinstance(held, int | float) and not isinstance(held, bool):
            return self._within(float(held), slot, values[0])
        return values[0] in _text(held)

    def _within(self, number: float, slot: str, wish: str) -> bool:
        exact = self._ontology.numbers.get(slot, {}).get(wish)
        if exact is not None:
            return number == exact
        for found in self._reader.find(wish):
            quantity = found.quantity
            if quantity.bound == "above":
                return number >= quantity.low
            if quantity.bound == "below":
                return number <= quantity.high
            return quantity.low <= number <= quantity.high
        return True

    def _lower_end(self, slot: str, wish: str) -> str:
        """Of a range, as the slot writes it; "" for what is no range."""
        if slot not in self._ontology.quantities:
            return ""
        ranges = (found.quantity for found in self._reader.find(wish) if found.quantity.low != found.quantity.high)
        return next((f"{quantity.low:g}{quantity.low_unit}" for quantity in ranges), "")


def _text(held: object) -> str:
    """A property's text, "" where it is none."""
    return held if isinstance(held, str) else ""
