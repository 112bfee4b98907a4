"""A headline and the beginning of a text as sentences of words, so that two of them can be laid side by side.

Under `grouping.contradiction`, on the path *item -> story*. Words are what `opinions.duplicates` throws away: its
5-grams lose order and signs, and a headline that differs in one number hardly differs in them. Of Chinese each
character is a word. What a desk puts before a headline ("UPDATE 1-", 快讯：) is no part of it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from pagoda.opinions.reading.spelling import simplifier

LEAD = 600
"""Characters of a text whose sentences are laid side by side with the other's: what is new stands at the beginning."""
_KEPT = 4096
_LONGEST_HEADLINE = 60
"""Words, or Chinese characters."""
_WORD = re.compile(
    r"(?:(?<=[\s(])|^)[-+](?=\d)\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*|%|[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+(?:'[^\W\d_]+)?"
)
_SENTENCE_END = re.compile(r"(?<=[。！？；])|(?<=[!?])\s+|(?<=\w\w[.;])\s+|(?<=\s\.)\s+|[\r\n]+")
_LABEL = re.compile(
    r"^(?:\W*#[^#\n]{1,40}#)*(?:\W*(?:update|wrapup|rpt|refile|corrected|recast|breaking|exclusive|alert|flash|"
    r"just in|factbox|market now|原标题|快讯|突发|重磅|独家|最新|更新|公告解读|公告精选|公告|解读|速递|收评|午评|"
    r"盘中|异动)(?:\s*\d+)?\W+)*",
    re.IGNORECASE,
)
_CUT = ("...", "…")


@dataclass(frozen=True, slots=True)
class Sentence:
    """words: in small letters; Chinese characters; numbers without marks of thousands, with a sign before them; %

    is_capital: of each word, whether it began with a capital
    is_cut: it goes on somewhere else, and its last word may be half of one
    """

    words: tuple[str, ...]
    is_capital: tuple[bool, ...]
    is_cut: bool = False

    @property
    def names(self) -> bool:
        """Whether capitals say anything: not so where nearly every word has one, as in headlines of some papers."""
        long = [capital for word, capital in zip(self.words, self.is_capital, strict=True) if len(word) > 3]
        return sum(long) <= 0.6 * len(long)


@dataclass(frozen=True, slots=True)
class Wording:
    """title: without labels; body: the text's sentences; num_leading: of these, how many its beginning has

    words: all of them
    """

    title: Sentence
    body: tuple[Sentence, ...]
    num_leading: int
    words: frozenset[str]


@lru_cache(maxsize=_KEPT)
def wording(title: str, text: str, *, is_cut: bool = False) -> Wording:
    """The wording of a headline and a text. is_cut: the text goes on.

    >>> wording("UPDATE 1-Net up 1,200 %", "").title.words
    ('net', 'up', '1200')
    """
    head, whole = _one_spelling(title), _one_spelling(text)
    head = _LABEL.sub("", head)
    if not whole and len(_WORD.findall(head)) > _LONGEST_HEADLINE:
        # A post has no headline: what stands there is its text.
        head, whole = "", head
    parts = [part for part in _SENTENCE_END.split(whole) if part and part.strip()]
    is_cut = is_cut or whole.rstrip().endswith(_CUT)
    body = [_sentence(part, is_cut=is_cut and place == len(parts) - 1) for place, part in enumerate(parts)]
    first = _sentence(head, is_cut=head.rstrip().endswith(_CUT))
    starts = accumulate(map(len, parts), initial=0)
    leading = [sentence for sentence, start in zip(body, starts, strict=False) if sentence.words and start < LEAD]
    kept = tuple(sentence for sentence in body if sentence.words)
    return Wording(first, kept, len(leading), frozenset(first.words).union(*(sentence.words for sentence in kept)))


def _sentence(text: str, *, is_cut: bool) -> Sentence:
    found = _WORD.findall(text)
    words = [word.casefold().removesuffix("'s") if word[-1].isalpha() else _number(word) for word in found]
    # Of a word that was cut in two, half says something else.
    length = len(words) - int(is_cut and bool(words))
    return Sentence(tuple(words[:length]), tuple(word[0].isupper() for word in found[:length]), is_cut)


def _number(word: str) -> str:
    """Without marks of thousands, Indian ones too. A comma before one or two digits, or behind points, is a point."""
    head, mark, tail = word.rpartition(",")
    if mark and "," not in head and "." not in tail and (len(tail) < 3 or "." in head):
        return f"{head.replace('.', '')}.{tail}"
    return word.replace(",", "")


def _one_spelling(text: str) -> str:
    """One width, simplified characters, one apostrophe; capitals stay."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    return plain if plain.isascii() else str(simplifier().convert(plain))
