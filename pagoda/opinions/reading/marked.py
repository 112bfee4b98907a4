"""A text of which one company is asked: its mentions as one sign, those of the others as another.

On the path *item -> opinion of a company*. A classifier that sees names learns what the market thought of them
once; one that sees the sign learns what the text says of whoever stands there. Source: Sinha et al. 2022, "SEntFiN
1.0" (arXiv 2305.12257), who mask targets so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pagoda.nlu.tagging import Word, split_words
from pagoda.opinions.story import Mention, OpinionWord

TARGET, OTHER = "◎", "○"
_MOST_WORDS = 5
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Marked:
    """target, others: characters [start, end) of the text; of two that overlap the earlier stands."""

    text: str
    target: tuple[Span, ...] = ()
    others: tuple[Span, ...] = ()

    @classmethod
    def of(cls, text: str, target: Sequence[Mention], others: Sequence[Mention] = ()) -> Marked:
        """From mentions of the company that is asked of, and of the others."""
        return cls(text, _spans(target), _spans(others))

    def near_words(self, most: int) -> list[Word]:
        """At most so many words: of a longer text its head, where the title is, and what stands around the target."""
        words = self.words()
        if len(words) <= most:
            return words
        head, around = most // 3, most // 6
        wanted = dict.fromkeys(range(head))
        for at in (place for place, word in enumerate(words) if word.text == TARGET):
            wanted.update(dict.fromkeys(range(max(0, at - around), min(len(words), at + around))))
        if TARGET not in {words[place].text for place in wanted}:
            wanted = dict.fromkeys(range(most))
        return [words[place] for place in sorted([*wanted][:most])]

    def words(self) -> list[Word]:
        """Words with their places in the text; a mention is one word, TARGET or OTHER."""
        marks = [(*span, TARGET) for span in self.target] + [(*span, OTHER) for span in self.others]
        found, at = [], 0
        for start, end, sign in [*sorted(marks), (len(self.text), len(self.text), "")]:
            if start < at:
                continue
            found += [Word(word.text, at + word.start, at + word.end) for word in split_words(self.text[at:start])]
            if sign:
                found.append(Word(sign, start, end))
            at = end
        return found


def _spans(mentions: Sequence[Mention]) -> tuple[Span, ...]:
    return tuple((mention.start, mention.end) for mention in mentions)


def heaviest(text: str, carried: Iterable[tuple[int, int, float]]) -> tuple[OpinionWord, ...]:
    """At most five places of a text that carried a label, the heaviest first; none overlap.

    carried: (start, end, weight); what spoke against the label is left out
    """
    taken: list[OpinionWord] = []
    for start, end, weight in sorted(carried, key=lambda each: (-each[2], each[0])):
        if weight <= 0 or len(taken) == _MOST_WORDS:
            break
        word = text[start:end]
        if any(sign.isalpha() for sign in word) and all(end <= other.start or start >= other.end for other in taken):
            taken.append(OpinionWord(start, end, word, round(weight, 4)))
    return tuple(taken)
