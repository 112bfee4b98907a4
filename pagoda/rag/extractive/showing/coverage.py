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

from pagoda.rag.content_words import content, names_of
from pagoda.rag.documents.document import Hit
from pagoda.rag.extractive.showing.prose import is_prose

# What a question asks with, which no answer repeats.
_ASKING = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how|many|much|do|does|did|is|are|was|were|can|could|should|would|will"
    r"|i|you|we|it|there|please|tell|me|mean|means|happens?|way|name)\b"
    "|什么|什麼|哪[些个個种種]?|谁|誰|多少|几|幾|如何|怎[么麼样樣]|为何|為何|是否|能否|可否|吗|嗎|呢|请问|請問|有没有"
    "|能不能|可以|需要|应该",
    re.I,
)
RIVAL = 0.9
"""Of what the best sentence holds of a question: who holds as much may say the contrary of it."""


@dataclass(frozen=True)
class QuestionWords:
    """The words of a question with what each is worth, together 1."""

    worth: Mapping[str, float]

    def share_in(self, words: Iterable[str]) -> float:
        """How much of the question such words hold, 0 to 1."""
        return sum(self.worth.get(word, 0.0) for word in set(words))


@dataclass(frozen=True)
class Coverage:
    """A question beside its hits. sentences: (start, end) of each, in the characters of its hit's chunk."""

    question: str
    hits: Sequence[Hit]
    sentences: Sequence[Sequence[tuple[int, int]]]

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
        asked = content(_ASKING.sub(" ", self.question)) or content(self.question)
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
        """Share of the sentences that read alone, the mean of all hits; 0 without hits."""
        texts = [hit.chunk.text for hit in self.hits]
        shares = [
            sum(is_prose(text, *place) for place in bounds) / len(bounds) if bounds else 0.0
            for text, bounds in zip(texts, self.sentences, strict=True)
        ]
        return sum(shares) / len(shares) if shares else 0.0

    def in_passage(self, index: int) -> float:
        """How much of the question a hit holds, its heading included."""
        return self.wanted.share_in(frozenset().union(*self.words[index], content(self.hits[index].chunk.heading)))

    def anywhere(self) -> float:
        """How much of the question all hits together hold."""
        return self.wanted.share_in({word for of_hit in self.words for words in of_hit for word in words})

    def key_sentence(self, index: int) -> int:
        """The sentence of a hit that holds most of the question; the first of equals; -1 where there is none."""
        shares = self.shares[index]
        return max(range(len(shares)), key=lambda place: (shares[place], -place), default=-1)

    def is_contested(self, index: int) -> bool:
        """Whether another sentence of a hit speaks of the question as much as the key sentence does, or nearly."""
        shares = sorted(self.shares[index], reverse=True)
        return len(shares) > 1 and shares[1] >= RIVAL * shares[0]

    def names_missing(self, index: int) -> int:
        """How many names of the question (Latin words of a Chinese one; capitals, digits, marks) a hit lacks."""
        chunk = self.hits[index].chunk
        text = (chunk.heading + chunk.text).lower()
        return sum(name.lower() not in text for name in names_of(self.question))
