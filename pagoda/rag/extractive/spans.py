"""What candidate answers are cut from: the tokens and the sentences of a text.

On a question's path: question -> Hits -> *tokens* -> candidate spans -> features -> ranker -> answer. English is cut
into words, Chinese into characters; digits and Latin letters stay together in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*%?|[A-Za-z\u00c0-\u024f]+(?:['’.][A-Za-z]+)*|[一-龥㐀-䶿]|\S")
_SENTENCE_END = re.compile(
    r"[。！？；!?…]+[”’」』\"]*|(?<![A-Z.])(?<!\b[A-Z][a-z])\.[\"”’)]*(?=\s+[\"“(]?[A-Z0-9])|\n+"
)


@dataclass(frozen=True)
class Token:
    """A word or a Chinese character. start, end: characters of the text it was cut from."""

    text: str
    start: int
    end: int


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
