"""Whether two texts with much in common say opposite things: another number, direction or name, or a "not".

On the path *item -> story*, behind `opinions.duplicates`: boilerplate makes "profit rose 4 %" and "profit fell 9 %"
alike by any count of what they share. What they do not share decides. Sentences are laid side by side (Ratcliff and
Metzener 1988, "Pattern Matching: the Gestalt Approach"); what stands in one's place in the other, between words that
are the same, is a replacement; what was added, cut off, or stands elsewhere, is none. So a reprint with another byline
contradicts nothing, and one with another figure does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pagoda.opinions.grouping.figures import differ
from pagoda.opinions.grouping.opposites import direction, is_function_word, negates
from pagoda.opinions.grouping.wording import Sentence, Wording

_TITLES_ALIKE, _SENTENCES_ALIKE = 0.5, 0.6
"""Share of the words in common (Dice) from which two titles, or sentences, are laid side by side."""
_FEWEST_WORDS = 3
_IN_THE_TEXT = 2
"""Places further down in which texts must disagree: one may be a figure that was mended."""
_NAME_START, _LONGEST_NAME = 2, 8
_HAN = re.compile(r"[\u3400-\u9fff]+")
_NO_NAME = frozenset("公司 该公司 本公司 集团 股东 控股股东 大股东 上市公司".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class _Place:
    """Where two sentences differ: [start, end) of each, between words that are the same or the sentences' ends."""

    one: Sentence
    other: Sentence
    one_span: tuple[int, int]
    other_span: tuple[int, int]

    @property
    def is_first(self) -> bool:
        return self.one_span[0] == 0 == self.other_span[0]

    @property
    def is_last(self) -> bool:
        return self.one_span[1] == len(self.one.words) and self.other_span[1] == len(self.other.words)

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words that stand in each other's place."""
        return self.one.words[slice(*self.one_span)], self.other.words[slice(*self.other_span)]


def contradict(one: Wording, other: Wording) -> bool:
    """Whether two texts, alike otherwise, tell two stories."""
    if one == other:
        return False
    if _alike(one.title, other.title, _TITLES_ALIKE) and any(
        _says_otherwise(place) or _names_another(place, one, other) for place in _places(one.title, other.title)
    ):
        return True
    return _bodies_contradict(one, other)


def _bodies_contradict(one: Wording, other: Wording) -> bool:
    """Sentences that each text has alone, those at its beginning, each beside the likest of the other's."""
    ours, theirs = set(one.body), set(other.body)
    left = [sentence for sentence in other.body if sentence not in ours]
    found = 0
    for number, sentence in enumerate(one.body[: one.num_leading]):
        if sentence in theirs or not left:
            continue
        mate = max(left, key=lambda each: _common(sentence, each) / max(1, len(each.words)))
        if not _alike(sentence, mate, _SENTENCES_ALIKE):
            continue
        is_first = number == 0 or mate is other.body[0]
        is_end = number == len(one.body) - 1 or mate is other.body[-1]
        weight = _IN_THE_TEXT if is_first else 1
        found += weight * sum(_texts_differ(place, one, other, is_first, is_end) for place in _places(sentence, mate))
        if found >= _IN_THE_TEXT:
            return True
    return False


def _texts_differ(place: _Place, one: Wording, other: Wording, is_first: bool, is_end: bool) -> bool:
    """Before a text's first word and behind its last one stand bylines, places, and whoever edited it: no difference"""
    if (is_first and place.is_first) or (is_end and place.is_last):
        return False
    return _says_otherwise(place) or (not place.is_first and _is_another_name(place, one, other))


def _common(one: Sentence, other: Sentence) -> int:
    return sum((Counter(one.words) & Counter(other.words)).values())


def _alike(one: Sentence, other: Sentence, share: float) -> bool:
    lengths = len(one.words), len(other.words)
    return min(lengths) >= _FEWEST_WORDS and 2 * _common(one, other) >= share * sum(lengths)


def _places(one: Sentence, other: Sentence) -> Iterator[_Place]:
    """Where they differ, but for an end that one of them lacks because it was cut off."""
    matcher = SequenceMatcher(None, one.words, other.words, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        place = _Place(one, other, (start, end), (other_start, other_end))
        if not (place.is_last and (one.is_cut or other.is_cut)):
            yield place


def _says_otherwise(place: _Place) -> bool:
    """Another figure, the other direction, or a "not" that only one has."""
    here, there = place.sides
    if differ(place.one.words, place.one_span, place.other.words, place.other_span):
        return True
    ours, theirs = direction(place.one.words, place.one_span), direction(place.other.words, place.other_span)
    if here and there and ours * theirs < 0:
        return True
    return negates(here) != negates(there)


def _names_another(place: _Place, one: Wording, other: Wording) -> bool:
    """In a headline: English by capitals, Chinese by where the company stands, at the beginning."""
    here, there = ("".join(side) for side in place.sides)
    if _HAN.fullmatch(here) and _HAN.fullmatch(there):
        before = place.one.words[: place.one_span[0]]
        return (
            len(before) <= _NAME_START
            and not any(word[0].isdigit() for word in before)
            and min(len(here), len(there)) >= 2
            and max(len(here), len(there)) <= _LONGEST_NAME
            and not {here, there} & _NO_NAME
            and not set(here) <= other.words
            and not set(there) <= one.words
        )
    return _is_another_name(place, one, other)


def _is_another_name(place: _Place, one: Wording, other: Wording) -> bool:
    """Words with capitals on both sides, none of which the other text knows."""
    if not (place.one.names and place.other.names):
        return False
    here = _names(place.one, place.one_span, other.words)
    there = _names(place.other, place.other_span, one.words)
    return bool(here and there) and not any(_is_spelling_of(a, b) for a in here for b in there)


def _names(sentence: Sentence, span: tuple[int, int], known: frozenset[str]) -> list[str]:
    return [
        word for word, capital in zip(sentence.words[slice(*span)], sentence.is_capital[slice(*span)], strict=True)
        if capital and word not in known and not is_function_word(word)
    ]  # fmt: skip


def _is_spelling_of(one: str, other: str) -> bool:
    """Of one name: "Woolworth" and "Woolworths", a slip of the pen, initials."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) or SequenceMatcher(None, one, other, autojunk=False).ratio() >= 0.8


def first_free(ranked: Sequence[tuple[str, Wording]], fresh: Wording, most: int) -> str:
    """Of (story, wording of one that tells it), the likest first: the first story of which none contradicts.

    most: tellings of a story that are asked; "" where every story is another one
    """
    asked: Counter[str] = Counter()
    others: set[str] = set()
    for story, known in ranked:
        if story not in others and asked[story] < most:
            asked[story] += 1
            if contradict(fresh, known):
                others.add(story)
    return next((story for story, _ in ranked if story not in others), "")
