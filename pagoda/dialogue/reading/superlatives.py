"""Superlatives: 最便宜的, "the best rated", 评分最高 ask for an order of the results, by a column of the query.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Words of
its own a column declares (`lowest`, `highest` in the domain file); besides, 最高, "lowest" and the like beside a name
of a column are read in every domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column
from pagoda.dialogue.reading.places import longest, places_of

End = Literal["lowest", "highest"]
_ZH: dict[End, str] = {"lowest": "低小少短早旧便宜", "highest": "高大多长晚新贵"}
_EN: dict[End, str] = {
    "lowest": "lowest|least|smallest|shortest|earliest|oldest|fewest|minimum|minimal",
    "highest": "highest|most|best|largest|biggest|greatest|longest|latest|newest|top|maximum|maximal",
}
_NUMBER = re.compile(
    r"^\s*(?:(?:是|为|在|要|到|不超过|不低于|大概|约|is|of|at|being|around|about|:|：)+\s*[¥￥$]?\s*[\d一二两三四五六七八九十]"
    r"|[¥￥$]\s*\d|\d[\d.\s~到至-]*(?:元|块|yuan|rmb))"
)
_ANY = re.compile(rf"最|\b(?:{'|'.join(_EN.values())})\b")


@dataclass(frozen=True)
class Superlative:
    """The results that have the least, or the most, of a column come first. start, end: characters of the text."""

    column: str
    end_wanted: End
    start: int
    end: int


def superlatives(plain: str, domain: Domain) -> list[Superlative]:
    """All that stand in a text, folded and in lower case; of those that overlap the longest."""
    found = [
        Superlative(column.name, end, *place)
        for column in _sortable(domain)
        for end in ("lowest", "highest")
        for place in _places(plain, column, end)
    ]
    # "The lowest price is 300": a bound, and no order.
    found = [each for each in found if _NUMBER.search(plain[each.end :]) is None]
    return longest(found, lambda each: (each.start, each.end))


def _sortable(domain: Domain) -> list[Column]:
    """Of columns of one name the first speaks for all."""
    return [column for column in domain.columns().values() if column.can_sort()]


def _places(plain: str, column: Column, end: End) -> Iterator[tuple[int, int]]:
    declared = column.lowest if end == "lowest" else column.highest
    for words in declared.values():
        for word in words:
            yield from places_of(plain, word.lower())
    if _ANY.search(plain) is None:
        return
    named = {word.lower() for words in column.words.values() for word in words} | {
        title.lower() for title in column.title.values()
    }
    for word in named:
        yield from ((match.start(), match.end()) for match in _pattern(word, end).finditer(plain))


def _pattern(word: str, end: End) -> re.Pattern[str]:
    """ "lowest price", "price lowest first", 评分最高, 最高的评分."""
    name = re.escape(word)
    if word.isascii():
        return re.compile(rf"\b(?:{_EN[end]})[ -](?:the )?{name}\b|\b{name} (?:is )?(?:the )?(?:{_EN[end]})\b")
    return re.compile(rf"{name}(?:是|要|得|排)?最[{_ZH[end]}]|最[{_ZH[end]}]的?{name}")
