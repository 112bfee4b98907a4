"""One hit for texts that are the same, or that are the same page in several versions.

On a question's path: question -> words and vectors -> *told apart* -> Hits -> answer. A manual that is kept for each
release fills all hits with one paragraph. Of its versions the one counts that the question names, else the newest; the
others are named, so that the answer can say that there are some. Texts are compared by their words, as in Broder 1997,
"On the resemblance and containment of documents".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pagoda.language import Language
from pagoda.rag.documents.document import Hit
from pagoda.rag.retrieval.comparison import version_key, written
from pagoda.rag.retrieval.lexical import tokenize
from pagoda.rag.words import words_in

# Share of words that two texts have in common: of one page in folders named after versions, of pages whose paths differ
# in a number, which may be that of a chapter, and of files that have nothing to do with each other by their names.
_SAME_VERSIONED, _SAME_PAGE, _SAME_TEXT = 0.4, 0.7, 0.95
_DIGITS = re.compile(r"\d+(?:\.\d+)*")
# A part of a path that is a version and no chapter nor a month or a day: v2, 1.4, release-3, 版本2, but not 2024.05.
_MONTH = r"(?:19|20)\d\d\.(?:0\d|1[0-2]\.\d\d)(?:[/.]|$)"
_VERSION_PART = re.compile(
    rf"(?:^|/)(?!{_MONTH})(?:v|ver|version|release|rel|版本)?[-_ ]?(?:(?<=[a-z本_ -])\d+|\d+(?:\.\d+)+)(?=/|$)",
    re.IGNORECASE,
)
_NAMED_VERSION = re.compile(r"\b[vV]?(\d+(?:\.\d+)+|\d+)\b")


def without_copies(question: str, hits: Sequence[Hit], k: int) -> list[Hit]:
    """The k best of hits, best first, of which no two are copies; each names the others in `copies`."""
    groups: list[list[Hit]] = []
    # Most hits are told apart by what they stand under, so that their words are never counted.
    words_of = cache(lambda text: Counter(tokenize(text)))
    for hit in hits:
        found = next((group for group in groups if _is_copy(hit, group[0], words_of)), None)
        if found is not None:
            found.append(hit)
        elif len(groups) < k:
            groups.append([hit])
    return [_chosen(question, group) for group in groups]


def told_copies(sources: Sequence[str], hits: Sequence[Hit], language: Language) -> tuple[str, ...]:
    """What was left out for one of these sources because it says the same, in words."""
    found: dict[str, dict[str, None]] = {}
    for hit in hits:
        if hit.source in sources and hit.copies:
            found.setdefault(hit.source, {}).update(dict.fromkeys(hit.copies))
    return tuple(
        words_in(language).copies.format(source=source, count=len(copies), others=", ".join(copies))
        for source, copies in found.items()
    )


def _is_copy(hit: Hit, other: Hit, words_of: Callable[[str], Counter[str]]) -> bool:
    """Parts of one document are no copies of each other, however alike, nor is the same said of another subject."""
    if hit.source == other.source or _unnumbered(hit.chunk.heading) != _unnumbered(other.chunk.heading):
        return False
    if hit.text == other.text:
        return True
    least = _least_in_common(hit.source, other.source)
    words, others = words_of(hit.text), words_of(other.text)
    sizes = words.total(), others.total()
    if min(sizes) < least * max(sizes) or max(sizes) == 0:
        return False
    return (words & others).total() >= least * (words | others).total()


def _least_in_common(source: str, other: str) -> float:
    # Before its numbers are compared: folders of one manual may be v1.4/ and 2.0/.
    if _VERSION_PART.search(source) and _VERSION_PART.sub("/#", source) == _VERSION_PART.sub("/#", other):
        return _SAME_VERSIONED
    return _SAME_PAGE if _unnumbered(source) == _unnumbered(other) else _SAME_TEXT


def _unnumbered(name: str) -> str:
    return _DIGITS.sub("#", name)


def _chosen(question: str, group: list[Hit]) -> Hit:
    """Of versions the one that is asked for, else the newest, in the place of the best."""
    if len(group) == 1:
        return group[0]
    named = {version_key(match[1]) for match in _NAMED_VERSION.finditer(question)}
    asked = [hit for hit in group if _version(hit) in named]
    # Sorting is stable: of what has neither version nor date, the best stays first.
    best = sorted(asked or group, key=_age, reverse=True)[0]
    copies = tuple(hit.source for hit in group if hit is not best)
    return replace(best, score=group[0].score, copies=copies)


def _version(hit: Hit) -> Any:
    """What sorts the version of a hit's document; None where it has none."""
    folders = _VERSION_PART.search(hit.source)
    numbers = _DIGITS.findall(folders[0] if folders else hit.source)
    said = hit.chunk.metadata.get("version") or (numbers[-1] if numbers else "")
    return version_key(written(said)) if isinstance(said, (str, int, float)) else None


def _age(hit: Hit) -> tuple[Any, str]:
    """The larger, the newer."""
    date = hit.chunk.metadata.get("date", "")
    return _version(hit) or (), written(date) if isinstance(date, (str, int, float)) else ""
