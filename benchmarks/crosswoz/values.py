"""Values that stand in a sentence: names and words of the lexicon, quantities, and the slots that each may fill.

First station of a turn, *sentence -> acts*: mentions are what the reader of acts classifies. The longest match from the
left wins, as in maximum matching for Chinese word segmentation (Chen and Liu 1992, C92-1019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crosswoz.ontology import ActOntology, DialogueAct, Slot
from crosswoz.quantities import FoundQuantity, QuantityReader

# One character for one, so that places in the text stay the same.
_SAME = str.maketrans("（）【】［］：，　", "()[][]:, ")
_MIN_CHARACTERS = 2


@dataclass(frozen=True)
class Mention:
    """values: {(domain, slot): what the slot takes}

    quantity: unit, bound and whether it is a range, "" for a word of the lexicon
    """

    start: int
    end: int
    values: Mapping[Slot, str]
    quantity: str = ""


@dataclass
class _Words:
    """Words by their first two characters, the longest first within each."""

    heads: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, dict[Slot, str]] = field(default_factory=dict)

    def add(self, word: str, slot: Slot, value: str) -> None:
        key = folded(word)
        if len(key) >= _MIN_CHARACTERS:
            self.values.setdefault(key, {}).setdefault(slot, value)

    def close(self) -> None:
        for word in sorted(self.values, key=len, reverse=True):
            self.heads.setdefault(word[:_MIN_CHARACTERS], []).append(word)

    def longest_at(self, text: str, start: int) -> str:
        words = self.heads.get(text[start : start + _MIN_CHARACTERS], ())
        return next((word for word in words if text.startswith(word, start)), "")


class ValueFinder:
    """Finds mentions.

    known: {(domain, slot): values of quantities and words beyond the lexicon, the commonest first}
    """

    def __init__(self, ontology: ActOntology, known: Mapping[Slot, Sequence[str]]) -> None:
        by_slot: dict[str, list[str]] = {}
        self._holders: dict[str, list[Slot]] = {}
        for (domain, slot), values in known.items():
            by_slot.setdefault(slot, []).extend(values)
            self._holders.setdefault(slot, []).append((domain, slot))
        self._quantities = QuantityReader(ontology.quantities, by_slot)
        self._words = _words(ontology, known)

    def find(self, text: str) -> list[Mention]:
        """Mentions from the left, without overlaps; the longer of a word and a quantity that begin together."""
        plain = folded(text)
        quantities = {found.start: found for found in self._quantities.find(plain)}
        mentions: list[Mention] = []
        at = 0
        while at < len(plain):
            mention = self._word_at(plain, at)
            quantity = quantities.get(at)
            if quantity is not None and (mention is None or quantity.end > mention.end):
                mention = self._of_quantity(quantity) or mention
            if mention is not None:
                mentions.append(mention)
            at = mention.end if mention is not None else at + 1
        return mentions

    def _word_at(self, plain: str, at: int) -> Mention | None:
        word = self._words.longest_at(plain, at)
        return Mention(at, at + len(word), self._words.values[word]) if word else None

    def _of_quantity(self, found: FoundQuantity) -> Mention | None:
        values = {
            holder: value
            for slot, value in self._quantities.values(found.quantity).items()
            for holder in self._holders.get(slot, ())
        }
        kind = f"{found.quantity.unit} {found.quantity.bound} {found.quantity.low != found.quantity.high}"
        return Mention(found.start, found.end, values, kind) if values else None


def folded(text: str) -> str:
    """In small letters and with plain brackets, character for character.

    >>> folded("Wi-Fi（总店）")
    'wi-fi(总店)'
    """
    plain = text.translate(_SAME)
    lower = plain.lower()
    return lower if len(lower) == len(plain) else plain


def known_values(ontology: ActOntology, acts: Iterable[DialogueAct]) -> dict[Slot, list[str]]:
    """Values that were informed of slots without a lexicon, the commonest first."""
    counts: dict[Slot, Counter[str]] = {}
    for act, domain, slot, value in acts:
        if act == ontology.inform and slot in ontology.quantities and value:
            counts.setdefault((domain, slot), Counter())[value] += 1
    return {slot: [value for value, _ in found.most_common()] for slot, found in counts.items()}


def _words(ontology: ActOntology, known: Mapping[Slot, Sequence[str]]) -> _Words:
    """The lexicon with its aliases, and of the known values those that are no number."""
    words = _Words()
    taken = [
        (holder, value)
        for slot, values in ontology.lexicon.items()
        for holder in ontology.holders(*slot)
        for value in values
    ]
    taken += [(holder, value) for holder, values in known.items() for value in values if not _has_digit(value)]
    for holder, value in taken:
        for word in (value, *ontology.aliases.get(_own_slot(ontology, holder), {}).get(value, ())):
            words.add(word, holder, value)
    words.close()
    return words


def _own_slot(ontology: ActOntology, holder: Slot) -> str:
    """The slot whose aliases count: a place's are those of names."""
    return ontology.name if holder[1] in ontology.places.get(holder[0], ()) else holder[1]


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)
