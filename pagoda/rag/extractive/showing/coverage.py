"""How much of a question stands in a text, sentence by sentence: rare words count more.

Beside what is shown: question and hits -> *coverage* -> key sentence, and whether to answer at all. A question that
nobody can answer from a manual often names one thing that the manual does not: the rest of its words are everywhere.
Words are compared as `content_words` has them (stems, and pairs of Chinese characters); how rare one is, is counted in
the sentences of the hits, which are what there is of the collection here (Robertson and Zaragoza 2009, section 3.2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pagoda.rag.content_words import content, content_asked, names_of, plain_name
from pagoda.rag.documents.document import Hit
from pagoda.rag.extractive.showing.prose import is_prose

FIRST_HITS = 3
"""How many hits tell whether a collection is running prose or a manual."""
RIVAL = 0.9
"""Of what the best sentence holds of a question: who holds as much may say the contrary of it."""
HALF = 0.5
"""Of what a follow-up question newly asks about: a sentence that has less does not speak of it."""
_IDENTIFIER = re.compile(r"^--?[A-Za-z]|\w_\w")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class QuestionWords:
    """The words of a question with what each is worth, together 1."""

    worth: Mapping[str, float]

    def share_in(self, words: Iterable[str]) -> float:
        """How much of the question such words hold, 0 to 1."""
        return sum(self.worth.get(word, 0.0) for word in set(words))


@dataclass(frozen=True)
class Coverage:
    """A question beside its hits. sentences: (start, end) of each, in the characters of its hit's chunk.

    focus: what a follow-up question newly asks about; empty for any other question
    """

    question: str
    hits: Sequence[Hit]
    sentences: Sequence[Sequence[tuple[int, int]]]
    focus: str = ""

    @cached_property
    def words(self) -> list[list[frozenset[str]]]:
        """Of each sentence of each hit."""
        return [
            [content(hit.chunk.text[left:right]) for left, right in bounds]
            for hit, bounds in zip(self.hits, self.sentences, strict=True)
        ]

    @cached_property
    def wanted(self) -> QuestionWords:
        """The question's words; all alike where none is left."""
        asked = content_asked(self.question) or content(self.question)
        told = [words for of_hit in self.words for words in of_hit]
        worth = {word: math.log(1 + (len(told) + 1) / (sum(word in w for w in told) + 0.5)) for word in sorted(asked)}
        total = sum(worth.values()) or 1.0
        return QuestionWords({word: value / total for word, value in worth.items()})

    @cached_property
    def shares(self) -> list[list[float]]:
        """How much of the question each sentence of each hit holds."""
        return [[self.wanted.share_in(words) for words in of_hit] for of_hit in self.words]

    @cached_property
    def prose(self) -> float:
        """Share of the sentences that read alone, the mean of the first hits; 0 without hits."""
        return prose_share([(hit.chunk.text, bounds) for hit, bounds in zip(self.hits, self.sentences, strict=True)])

    def in_passage(self, index: int) -> float:
        """How much of the question a hit holds, its heading included."""
        return self.wanted.share_in(self._held(index))

    def most_missing(self, index: int) -> float:
        """What the dearest of the question's words is worth that a hit lacks."""
        held = self._held(index)
        return max((value for word, value in self.wanted.worth.items() if word not in held), default=0.0)

    def _held(self, index: int) -> frozenset[str]:
        return frozenset().union(*self.words[index], content(self.hits[index].chunk.heading))

    def anywhere(self) -> float:
        """How much of the question all hits together hold."""
        return self.wanted.share_in({word for of_hit in self.words for words in of_hit for word in words})

    @cached_property
    def speaking(self) -> list[frozenset[int]]:
        """Of each hit the sentences that speak of the focus, as much as any of all hits; all sentences where none does.

        A heading counts as said in each sentence below it.
        """
        shares = [
            [share_of_focus(self.focus, f"{hit.chunk.heading}\n{hit.text[left:right]}") for left, right in bounds]
            for hit, bounds in zip(self.hits, self.sentences, strict=True)
        ]
        most = max((share for of_hit in shares for share in of_hit), default=0.0)
        least = most if most >= HALF else 0.0
        return [frozenset(place for place, share in enumerate(of_hit) if share >= least) for of_hit in shares]

    def key_sentence(self, index: int) -> int:
        """The sentence of a hit that holds most of the question; the first of equals; -1 where there is none.

        Of a follow-up question it is one that speaks of what is newly asked about, where the hit has one.
        """
        shares = self.shares[index]
        places = self.speaking[index] or range(len(shares))
        return max(places, key=lambda place: (shares[place], -place), default=-1)

    def is_contested(self, index: int) -> bool:
        """Whether another sentence of a hit speaks of the question as much as the key sentence does, or nearly."""
        shares = sorted(self.shares[index], reverse=True)
        return len(shares) > 1 and shares[1] >= RIVAL * shares[0]

    def names_missing(self, index: int) -> int:
        """How many names of the question (Latin words of a Chinese one; capitals, digits, marks) a hit lacks."""
        text = _said(self.hits[index])
        return sum(plain_name(name) not in text for name in names_of(self.question))

    def named(self, index: int) -> float:
        """Share of the question's names that a hit has; 1 where it names nothing."""
        names = names_of(self.question)
        return 1 - self.names_missing(index) / len(names) if names else 1.0

    def lacks_identifier(self) -> bool:
        """Whether the question is about an option or a variable, by its letters, that none of the hits has."""
        told = [_said(hit) for hit in self.hits]
        asked = [name.lower() for name in names_of(self.question) if _IDENTIFIER.search(name)]
        return any(not any(_has(text, name) for text in told) for name in asked)


def share_of_focus(focus: str, text: str) -> float:
    """How much of what is newly asked about a text has, 0 to 1; 1 where nothing is.

    >>> [share_of_focus(*pair) for pair in (("at weekends", "Free on weekends."), ("猫", "可以养猫。"), ("2.0", "2.1"))]
    [1.0, 1.0, 0.0]
    """
    words = content(focus)
    said = content(text)
    # A single Chinese character is in no pair.
    met = [word in said or (len(word) == 1 and word in text) for word in words]
    met += [number in _NUMBER.findall(text) for number in _NUMBER.findall(focus)]
    return sum(met) / len(met) if met else 1.0


def _said(hit: Hit) -> str:
    """A hit with all that it stands under, in small letters."""
    chunk = hit.chunk
    return f"{chunk.source} {chunk.title} {chunk.section} {chunk.text}".lower()


def _has(text: str, identifier: str) -> bool:
    """Whether a text has it; a long option is another one where it goes on: --retry, --retry-delay."""
    if not identifier.startswith("--"):
        return identifier in text
    return re.search(rf"(?<![\w-]){re.escape(identifier)}(?![\w-])", text) is not None


def prose_share(passages: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> float:
    """Share of the sentences that read alone, the mean of the first passages, each with the places of its sentences."""
    shares = [
        sum(is_prose(text, *place) for place in bounds) / len(bounds) if bounds else 0.0
        for text, bounds in passages[:FIRST_HITS]
    ]
    return sum(shares) / len(shares) if shares else 0.0
