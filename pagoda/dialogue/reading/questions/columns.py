"""Which properties of a result a sentence names: columns by the words that the domain declares for them.

First station of a turn, beside `acts`: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows ->
reply. Each clause is read by itself. In a clause the longest words count, and others where something joins them: "and",
和, a comma of a list, or the question word that ends the first of two questions (电话多少地址在哪).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column, GraphQuery
from pagoda.dialogue.reading.places import Place, word_pattern

_CLAUSE_END = re.compile(r"[;；!！?？。，\n]+|[,.](?=\s|$)")
_WHICH = re.compile(r"(?:哪(?:一)?[个家些间部场种所座条]|什么|\b(?:which|what|whose))\s*$", re.IGNORECASE)
_JOINT = re.compile(
    r"和|与|跟|及|还有|以及|、|，|,|&|\+|\band\b|\bplus\b|\bas well as\b"
    r"|多少|哪|什么|怎么|如何|几|吗|呢|\b(?:what|how|where|when|who)\b",
    re.IGNORECASE,
)
# "Email address", 邮箱地址: something else than the address of a place.
_OTHER_KIND = re.compile(
    r"(?:\b(?:e-?mail|web|website|internet|ip|fax|wi-?fi|room|reference|booking|confirmation)\s|邮箱|邮件|网络|网站|网|传真|订单|房间)$",
    re.IGNORECASE,
)


def clauses_of(text: str) -> list[Place]:
    """Places of the clauses of a text, with the marks that end them.

    >>> clauses_of("How much? And where?")
    [(0, 9), (9, 20)]
    """
    ends = [*(match.end() for match in _CLAUSE_END.finditer(text)), len(text)]
    return [(start, end) for start, end in zip([0, *ends], ends, strict=False) if text[start:end].strip()]


def columns_named(text: str, domain: Domain) -> tuple[str, ...]:
    """Columns of any query that a person asks for by one of their words, in the order of the text.

    Of the words before a noun behind "which" that noun counts: 在哪个影院放 asks for the cinema, not for the address.
    """
    found: dict[str, int] = {}
    for intent in domain.intents.values():
        for start, column in columns_in(text, intent.query):
            found.setdefault(column, start)
    return tuple(sorted(found, key=lambda name: found[name]))


def columns_in(text: str, query: GraphQuery | None) -> list[tuple[int, str]]:
    """(place, column) of one query's columns, each once."""
    found: dict[str, int] = {}
    for start, end in clauses_of(text) if query is not None else ():
        for place, column in _of_clause(text[start:end], query.columns if query else ()):
            found.setdefault(column, start + place)
    return [(place, column) for column, place in found.items()]


def names_another_kind(text: str, query: GraphQuery) -> bool:
    """Whether a column's word stands there for something else, as in "email address"."""
    places = (match.start() for word in _words(query.columns) for match in word_pattern(word).finditer(text))
    return any(_OTHER_KIND.search(text[:start]) for start in places)


def without_columns(text: str, query: GraphQuery) -> str:
    """The text without the words that name columns: 推荐菜 recommends nothing."""
    for _, word in sorted(((len(word), word) for word in _words(query.columns)), reverse=True):
        text = word_pattern(word).sub(" ", text)
    return text


def _words(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        for words in column.words.values():
            yield from words


def _of_clause(text: str, columns: Sequence[Column]) -> list[tuple[int, str]]:
    """(place, column) of a clause, without overlaps."""
    places = [
        (match.start(), match.end(), column.name)
        for column in columns
        for word in _words((column,))
        for match in word_pattern(word).finditer(text)
        if not _OTHER_KIND.search(text[: match.start()])
    ]
    kept: list[tuple[int, int, str]] = []
    for start, end, name in sorted(
        places, key=lambda place: (not _WHICH.search(text[: place[0]]), place[0] - place[1])
    ):
        is_free = all(end <= other[0] or start >= other[1] for other in kept)
        if is_free and name not in {other[2] for other in kept} and (not kept or _is_joined(text, start, end, kept)):
            kept.append((start, end, name))
    return [(start, name) for start, _, name in kept]


def _is_joined(text: str, start: int, end: int, others: Sequence[tuple[int, int, str]]) -> bool:
    between = (text[other[1] : start] if other[1] <= start else text[end : other[0]] for other in others)
    return any(_JOINT.search(words) or not words.strip() for words in between)
