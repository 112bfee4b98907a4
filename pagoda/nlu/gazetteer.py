"""Values that slots are known to take, and where they stand in a sentence.

On the path *sentence -> Understanding*. Values come from the training examples and from a lexicon, such as the names in
the graph. An example is never shown a value that it alone supplied: a tagger that could count on its own answers being
listed would find nothing new (Mikheev et al. 1999; Ratinov and Roth 2009 on gazetteer features). A lexicon may change
after training: what was learned is that a word is known, not which one, so new names need no new training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pagoda.nlu.labelled import Labelled
from pagoda.nlu.tagging import split_words

_LONGEST = 12
"""Words of the longest value that is looked up."""
_SUPPLIED = 1_000_000
"""What a value of the lexicon adds to its count; more than examples can take away."""
Phrase = tuple[str, ...]


def phrase_of(text: str) -> Phrase:
    """Its words in small letters."""
    return tuple(word.text.lower() for word in split_words(text))


class Gazetteer:
    """Phrases by slot, with the number of examples that hold them.

    counts: {phrase: {slot: number}}
    """

    def __init__(self, counts: Mapping[Phrase, Mapping[str, int]]) -> None:
        self._counts = {phrase: dict(slots) for phrase, slots in counts.items()}
        self._longest = max((len(phrase) for phrase in self._counts), default=0)

    @classmethod
    def of(cls, examples: Iterable[Labelled], lexicon: Mapping[str, Iterable[str]] | None = None) -> Gazetteer:
        """From the spans of the examples and the values of a lexicon {slot: values}."""
        counts: dict[Phrase, Counter[str]] = {}
        for example in examples:
            for phrase, slot in own_phrases(example):
                counts.setdefault(phrase, Counter())[slot] += 1
        return cls(counts).with_lexicon(lexicon or {})

    def with_lexicon(self, lexicon: Mapping[str, Iterable[str]]) -> Gazetteer:
        """The values of the examples as they are, beside those of another lexicon {slot: values}."""
        counts: dict[Phrase, dict[str, int]] = {}
        for phrase, slots in self._counts.items():
            held = {slot: count % _SUPPLIED for slot, count in slots.items() if count % _SUPPLIED}
            if held:
                counts[phrase] = held
        for slot, values in lexicon.items():
            for phrase in {phrase_of(value) for value in values}:
                if 0 < len(phrase) <= _LONGEST:
                    held = counts.setdefault(phrase, {})
                    held[slot] = held.get(slot, 0) + _SUPPLIED
        return Gazetteer(counts)

    def slots_of(self, phrase: Phrase) -> set[str]:
        """The slots that take the phrase."""
        return set(self._counts.get(phrase, ()))

    def flags(self, words: Sequence[str], without: Labelled | None = None) -> list[list[str]]:
        """Of each word (in small letters): gS<slot> where it is a value of the slot, gB, gI, gE and gin at its parts.

        The longest value from the left counts, for each slot. without: an example whose own values do not count.
        """
        own = Counter(own_phrases(without)) if without is not None else Counter()
        marks: list[list[str]] = [[] for _ in words]
        free_from: Counter[str] = Counter()
        for start in range(len(words)):
            for length in range(min(self._longest, len(words) - start), 0, -1):
                phrase = tuple(words[start : start + length])
                for slot, count in self._counts.get(phrase, {}).items():
                    if count > own[phrase, slot] and free_from[slot] <= start:
                        free_from[slot] = start + length
                        _mark(marks, slot, start, length)
        return marks

    def to_json(self) -> list[list[object]]:
        """Rows [phrase, {slot: count}] for a file."""
        return [[list(phrase), slots] for phrase, slots in self._counts.items()]

    @classmethod
    def from_json(cls, rows: Iterable[Sequence[object]]) -> Gazetteer:
        """The inverse of to_json."""
        return cls({tuple(phrase): slots for phrase, slots in rows})  # type: ignore[arg-type, misc]


def own_phrases(example: Labelled) -> set[tuple[Phrase, str]]:
    """(phrase, slot) of each of its values that is short enough to be looked up."""
    pairs = {(phrase_of(example.text[start:end]), slot) for slot, start, end in example.spans}
    return {(phrase, slot) for phrase, slot in pairs if 0 < len(phrase) <= _LONGEST}


def _mark(marks: list[list[str]], slot: str, start: int, length: int) -> None:
    kinds = "S" if length == 1 else "B" + "I" * (length - 2) + "E"
    for position, kind in enumerate(kinds, start):
        marks[position].append(f"g{kind}{slot}")
        if kind in "IE":
            marks[position].append(f"gin{slot}")
