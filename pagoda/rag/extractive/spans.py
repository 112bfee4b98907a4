"""Which stretches of a text could be an answer: tokens, sentences and the spans between them.

On a question's path: question -> Hits -> *candidate spans* -> features -> ranker -> answer. English is cut into words,
Chinese into characters; digits and Latin letters stay together in both. A candidate never crosses a sentence's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*%?|[A-Za-z\u00c0-\u024f]+(?:['’.][A-Za-z]+)*|[一-龥㐀-䶿]|\S")
_SENTENCE_END = re.compile(
    r"[。！？；!?…]+[”’」』\"]*|(?<![A-Z.])(?<!\b[A-Z][a-z])\.[\"”’)]*(?=\s+[\"“(]?[A-Z0-9])|\n+"
)
_CHINESE = re.compile(r"[一-龥㐀-䶿]")
# fmt: off
STOP_ENGLISH = frozenset((
    "a", "an", "the", "of", "to", "in", "on", "at", "for", "by", "with", "from", "as", "is", "are", "was", "were",
    "be", "been", "being", "has", "have", "had", "do", "does", "did", "and", "or", "but", "nor", "not", "it", "its",
    "this", "that", "these", "those", "he", "she", "they", "them", "his", "her", "their", "which", "who", "whom",
    "whose", "what", "when", "where", "why", "how", "than", "then", "there", "here", "into", "over", "under",
    "between", "through", "during", "about", "after", "before", "also", "such", "can", "could", "will", "would",
    "may", "might", "should", "must", "s", "we", "you", "i", "our", "your", "if", "so",
))
# A span may begin with "to", "by", "the" or "in", as answers do, but not end on any of these.
_BAD_FIRST_ENGLISH = frozenset((
    "of", "and", "or", "but", "is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did",
    "which", "who", "that", "s",
))
# fmt: on
_HARD_BREAK = frozenset("。！？；;!?")
MAX_TOKENS = 12


@dataclass(frozen=True)
class Token:
    """A word or a Chinese character. start, end: characters of the text it was cut from."""

    text: str
    start: int
    end: int


def language_of(text: str) -> str:
    """ "zh" where the text holds Chinese characters, else "en".

    >>> language_of("谁写了《红楼梦》？"), language_of("Who wrote it?")
    ('zh', 'en')
    """
    return "zh" if _CHINESE.search(text) else "en"


def tokenize_spans(text: str) -> list[Token]:
    """The tokens in order.

    >>> [token.text for token in tokenize_spans("In 1973, 北京")]
    ['In', '1973', ',', '北', '京']
    """
    return [Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, blanks around it left out.

    >>> sentence_bounds("One. Two!")
    [(0, 4), (5, 9)]
    """
    bounds, start = [], 0
    for stop in [match.end() for match in _SENTENCE_END.finditer(text)] + [len(text)]:
        piece = text[start:stop]
        if piece.strip():
            left = start + len(piece) - len(piece.lstrip())
            bounds.append((left, start + len(piece.rstrip())))
        start = stop
    return bounds


def candidate_spans(tokens: list[Token]) -> list[tuple[int, int]]:
    """(first, last) tokens, both included, of every stretch of an English sentence that could be an answer."""
    found = []
    words = [token.text.lower() for token in tokens]
    for first, word in enumerate(words):
        if word in _BAD_FIRST_ENGLISH or not (word[0].isalnum() or word[0] in '$£€"“'):
            continue
        for last in range(first, min(len(words), first + MAX_TOKENS)):
            if words[last] in _HARD_BREAK:
                break
            if words[last] not in STOP_ENGLISH and (words[last][-1].isalnum() or words[last][-1] in '%"”)'):
                found.append((first, last))
    return found
