"""Words of a sentence, slots as BIO tags over them, and span-exact scores.

On the path *sentence -> Understanding*: a tagger gives every word a tag; these functions turn tags into values with
their places in the text. Han characters are words of their own. BIO: Ramshaw and Marcus 1995 (arXiv cmp-lg/9505040);
scores as CoNLL-2000's conlleval counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OUTSIDE = "O"
_HAN = "\u3400-\u9fff"
_WORD = re.compile(rf"[{_HAN}]|[^\W{_HAN}_]+|[^\w\s]|_")
Span = tuple[str, int, int]
"""(slot, start, end): characters of the text, end exclusive."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its characters [start, end) in the text."""

    text: str
    start: int
    end: int


def split_words(text: str) -> list[Word]:
    """Runs of letters and digits, single Han characters, single signs."""
    return [Word(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]


def tags_of(words: Sequence[Word], spans: Iterable[Span]) -> list[str]:
    """BIO tags of the words that lie at least half within a span; of two spans over one word, the earlier has it."""
    tags = [OUTSIDE] * len(words)
    for slot, start, end in sorted(spans, key=lambda span: (span[1], -span[2])):
        began = False
        for position, word in enumerate(words):
            inside = min(end, word.end) - max(start, word.start)
            if 2 * inside >= word.end - word.start and inside > 0 and tags[position] == OUTSIDE:
                tags[position] = ("I-" if began else "B-") + slot
                began = True
    return tags


def word_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(slot, first word, one past the last) of each run; a run may begin with I, as conlleval reads it."""
    found: list[tuple[str, int, int]] = []
    slot, first = "", 0
    for position, tag in enumerate([*tags, OUTSIDE]):
        kind, _, name = tag.partition("-")
        if slot and (kind != "I" or name != slot):
            found.append((slot, first, position))
            slot = ""
        if kind != OUTSIDE and not slot:
            slot, first = name, position
    return found


def allowed_transitions(tags: Sequence[str]) -> list[list[bool]]:
    """[tag][next tag]: I-x follows only B-x or I-x. A last row: which tags may come first."""
    rows = []
    for before in [*tags, OUTSIDE]:
        name = before.partition("-")[2]
        rows.append([not after.startswith("I-") or after[2:] == name for after in tags])
    return rows


@dataclass(frozen=True)
class SpanScore:
    """Counts of spans over many sentences; a span is right where slot, start and end are."""

    num_right: int
    num_found: int
    num_gold: int

    @property
    def precision(self) -> float:
        """Share of the found spans that are right, 0 where none was found."""
        return self.num_right / self.num_found if self.num_found else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold spans that were found, 0 where there are none."""
        return self.num_right / self.num_gold if self.num_gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        total = self.num_found + self.num_gold
        return 2 * self.num_right / total if total else 1.0


def score_spans(gold: Iterable[Iterable[Span]], found: Iterable[Iterable[Span]]) -> SpanScore:
    """Micro-averaged over sentences, as conlleval does it. Each sentence's spans count once."""
    right = num_found = num_gold = 0
    for wanted, given in zip(gold, found, strict=True):
        wanted_set, given_set = set(wanted), set(given)
        right += len(wanted_set & given_set)
        num_found += len(given_set)
        num_gold += len(wanted_set)
    return SpanScore(right, num_found, num_gold)
