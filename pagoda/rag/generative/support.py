"""Whether a source bears a sentence: its numbers and names stand there, and so do most of its other words.

On a question's path behind the model: question -> Hits -> prompt -> model -> *checked* Answer. A check of words and not
of logic: it finds what was invented or taken from another source, and lets pass what denies its source in the same
words. Where words differ, the embedder may still vouch for a sentence, but never for a number or a name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pagoda.rag.generative.prompt import Passage

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder

_NUMBER = re.compile(r"\d+(?:[.,:：]\d+)*")
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][a-z]+)?")
_NAME = re.compile(r"(?<![.!?。！？]\s)(?<!^)(?<!\w)[A-Z][\w-]*\w")
_HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_FUNCTION_WORDS_TEXT = (
    "a an the and or but if of to in on at by for from with as is are was were be been being it its this "
    "that these those there here he she they them his her their we us our you your i my me not no yes do "
    "does did done have has had will would can could may might shall should must so than then also very "
    "more most such which who whom whose what when where why how all any each both some into over under "
    "about out up down only own same too s t "
)
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
_FUNCTION_HAN = frozenset("的了是在和与或也都而及着把被对为有不没这那其它他她们个吗呢吧就可以会能要从到于上下中")
_AFFIRMATION_TEXT = "是 不是 对 不对 否 不 有 没有 可以 不可以 能 不能 会 不会 需要 不需要 "
_AFFIRMATION = frozenset(_AFFIRMATION_TEXT.split())
_INVENTED_WORDS, _INVENTED_PAIRS = 3, 4
"""So many in a row that the source does not have are no paraphrase: three words, or five Chinese characters."""
_DIGITS = str.maketrans("０１２３４５６７８９：，", "0123456789:,")


@dataclass(frozen=True)
class Support:
    """How well a source bears a sentence. score: 0 to 1; start, end: the best of its own sentences, in the document."""

    score: float
    start: int
    end: int
    holds: bool


class SupportCheck:
    """Compares sentences with sources.

    threshold: share of a sentence's words that must stand in the source; similarity: cosine that makes up for fewer
    """

    def __init__(self, embedder: Embedder | None = None, *, threshold: float = 0.5, similarity: float = 0.75) -> None:
        self._embedder, self._threshold, self._similarity = embedder, threshold, similarity

    def best(self, sentence: str, question: str, passages: Sequence[Passage]) -> tuple[Passage, Support] | None:
        """The source that bears the sentence best, or None where none does; the first of equals."""
        held = [(passage, found) for passage in passages if (found := self.check(sentence, question, passage)).holds]
        return max(held, key=lambda pair: pair[1].score) if held else None

    def check(self, sentence: str, question: str, passage: Passage) -> Support:
        """How well one source bears the sentence. What the question said already proves nothing."""
        told = content(sentence)
        new = told - content(question)
        start, end, quote = _best_sentence(told or content(question), passage)
        text = passage.text
        if not told and not numbers(sentence):
            return Support(0.0, start, end, holds=False)
        has_facts = numbers(sentence) <= numbers(text) and _names(sentence, question) <= _folded_words(text)
        there = content(text)
        covered, newly = _share(told, there), _share(new, there)
        enough = min(covered, newly) >= self._threshold and not _invented(sentence, there | content(question))
        if has_facts and not enough:
            enough = self._similar(sentence, quote)
        return Support(covered if has_facts else 0.0, start, end, holds=has_facts and enough)

    def place(self, question: str, passage: Passage) -> Support:
        """Where a source speaks of the question, for sentences that say nothing by themselves: Yes."""
        start, end, _ = _best_sentence(content(question), passage)
        return Support(0.0, start, end, holds=True)

    def _similar(self, sentence: str, quote: str) -> bool:
        if self._embedder is None or self._embedder.unknown_share(sentence) > 0.2:
            return False
        one, other = self._embedder.embed([sentence, quote])
        return float(one @ other) >= self._similarity


def content(text: str) -> frozenset[str]:
    """Words that carry meaning, lightly stemmed, and pairs of Chinese characters.

    >>> sorted(content("The shops are opening at nine")), sorted(content("营业时间"))
    (['nine', 'open', 'shop'], ['业时', '时间', '营业'])
    """
    words = {_stem(word) for word in _WORD.findall(text.lower())} - _FUNCTION_WORDS
    return frozenset(words | set(_pairs(text)))


def numbers(text: str) -> frozenset[str]:
    """Numbers in one spelling: without separators of thousands and trailing zeros.

    >>> sorted(numbers("1,200 units at 9:00, 3.50 each"))
    ['1200', '3.5', '9:00']
    """
    return frozenset(_plain_number(match) for match in _NUMBER.findall(text.translate(_DIGITS)))


def says_nothing(sentence: str) -> bool:
    """Whether a sentence only affirms or denies.

    >>> says_nothing("Yes."), says_nothing("可以。"), says_nothing("Berlin.")
    (True, True, False)
    """
    return not numbers(sentence) and (not content(sentence) or sentence.strip(" 。，！.,!") in _AFFIRMATION)


def _pairs(text: str) -> list[str]:
    found = []
    for run in _HAN_RUN.findall(text):
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        found += [pair for pair in pairs if not set(pair) <= _FUNCTION_HAN]
    return found


def _stem(word: str) -> str:
    word = word.split("'")[0].split("’")[0]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4 - (ending == "s"):
            return word.removesuffix(ending)
    return word


def _plain_number(number: str) -> str:
    number = re.sub(r",(?=\d{3}(?:\D|$))", "", number)
    return number.rstrip("0").rstrip(".") if "." in number and ":" not in number else number


def _names(sentence: str, question: str) -> set[str]:
    """Capitalised words that do not merely begin a sentence, without those of the question."""
    found = {_stem(name.lower()) for name in _NAME.findall(sentence)} - _FUNCTION_WORDS
    return found - _folded_words(question)


def _folded_words(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[\w-]*\w", text.lower())} | {
        _stem(w) for w in _WORD.findall(text.lower())
    }


def _invented(sentence: str, known: frozenset[str]) -> bool:
    """Whether words in a row, or characters in a row, stand neither in the source nor in the question."""
    words = [_stem(word) for word in _WORD.findall(sentence.lower())]
    told = [word not in known for word in words if word not in _FUNCTION_WORDS]
    runs = [[run[i : i + 2] not in known for i in range(len(run) - 1)] for run in _HAN_RUN.findall(sentence)]
    return _longest(told) >= _INVENTED_WORDS or max(map(_longest, runs), default=0) >= _INVENTED_PAIRS


def _longest(flags: list[bool]) -> int:
    """Length of the longest row of True.

    >>> _longest([True, False, True, True])
    2
    """
    return max((len(list(group)) for is_set, group in itertools.groupby(flags) if is_set), default=0)


def _share(told: frozenset[str], there: frozenset[str]) -> float:
    """1.0 where nothing was told: then nothing was invented."""
    return len(told & there) / len(told) if told else 1.0


def _best_sentence(told: frozenset[str], passage: Passage) -> tuple[int, int, str]:
    """(start, end, text) of the source's sentence that shares most with what was told, the shorter of equals."""
    spans = [
        (span, text)
        for chunk in passage.chunks
        for span, text in zip(chunk.sentences or ((chunk.start, chunk.end),), chunk.sentence_texts(), strict=True)
    ]
    (start, end), text = max(spans, key=lambda entry: (len(told & content(entry[1])), -len(entry[1])))
    return start, end, text
