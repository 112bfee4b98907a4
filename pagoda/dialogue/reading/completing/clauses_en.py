"""English wishes that no slot holds: "a quiet place", "with live music", "a window seat", "I'm allergic to nuts".

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. New words
are a wish where they stand as what somebody has, wants or calls a thing: behind a preposition, an article, a form of
"be" or "have", beside the name of what is looked for. What only follows a pronoun or "to" is what somebody does, and no
wish. Chunks by their left context, as in Abney 1991, "Parsing by Chunks".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pagoda.dialogue.reading.places import Place, Placed, overlap

_TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|\d+(?:[.:]\d+)?|[,.;:!?()]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WHO = _set(
    "i you we they he she it who which can could would will should shall may might must do does did don't doesn't"
    " didn't not can't cannot couldn't won't wouldn't shouldn't i'll we'll you'll they'll he'll she'll i'd we'd they'd"
    " he'd she'd i've we've they've let's please"
)
_ARTICLES = _set("a an the some any my our your his her their this that these those another no all")
_BEING = _set(
    "is are be am was were been being i'm it's we're they're that's he's she's you're isn't aren't wasn't stay"
)
_PREPOSITIONS = _set("with without near by at in on for of from has have having")
_HAVING = _PREPOSITIONS | _set(
    """
    name around beside behind opposite overlooking besides including
    had hasn't haven't serve serves serving offer offers offering include includes provide provides
    providing allow allows allowing accept accepts accepting take takes need needs needing want wants wanting like likes
    prefer prefers require requires requiring enjoy love get gets has called named something somewhere anything anywhere
    someplace place places one ones more less most least very really quite so and or as to
    """
)
_ADVERBS = _set("not also just too very really quite so preferably possibly maybe rather more most please fairly")
_JOINING = _set("of to for with from")
_SMALL = _WHO | _ARTICLES | _BEING | _HAVING | _ADVERBS | _JOINING


@dataclass(frozen=True)
class _Word:
    """A token. kind: "value", "new", "known" or "." for a sign."""

    text: str
    start: int
    end: int
    kind: str


def new_in_english(
    text: str, taken: Sequence[Placed], is_known: Callable[[str], bool], nouns: frozenset[str]
) -> Iterator[Place]:
    """Places of wishes that none of `taken` holds. nouns: words of what is looked for or booked, in lower case."""
    words = [_word(match, taken, is_known) for match in _TOKEN.finditer(text)]
    row = 0
    while row < len(words):
        end = _chunk_end(words, row)
        if end > row and (first := _first(words, row, end, nouns)) is not None:
            end = _joined_end(words, end)
            yield words[first].start, words[end - 1].end
        row = max(end, row + 1)


def _word(match: re.Match[str], taken: Sequence[Placed], is_known: Callable[[str], bool]) -> _Word:
    bare = _Word(match[0], match.start(), match.end(), ".")
    if any(overlap(bare, each) for each in taken):
        kind = "value"
    elif not match[0][0].isalpha():
        kind = "." if not match[0][0].isdigit() else "known"
    else:
        is_small = len(match[0]) < 3 or match[0].lower().replace("’", "'") in _SMALL
        kind = "known" if is_small or is_known(match[0]) else "new"
    return _Word(match[0], match.start(), match.end(), kind)


def _chunk_end(words: Sequence[_Word], row: int) -> int:
    """The end of the new words that begin here."""
    end = row
    while end < len(words) and words[end].kind == "new":
        end += 1
    return end


def _joined_end(words: Sequence[_Word], end: int) -> int:
    """With what is tied to them: "allergic to nuts", "view of the sea"."""
    if end < len(words) and words[end].text.lower() in _JOINING:
        start = end + 1
        while start < len(words) and words[start].text.lower() in _ARTICLES:
            start += 1
        return max(end, _chunk_end(words, start)) if _chunk_end(words, start) > start else end
    return end


def _first(words: Sequence[_Word], row: int, end: int, nouns: frozenset[str]) -> int | None:
    """The first word of a chunk that is a wish, None where it is none; a verb before it does not count."""
    before = row - 1
    while before >= 0 and words[before].text.lower() in _ADVERBS:
        before -= 1
    if before < 0 or words[before].kind == ".":
        return row if _is_alone(words, row, end) else None
    left = words[before].text.lower()
    if left in _WHO or (left == "to" and not _is_adjective(words, before)) or _is_doing(words, before, row):
        return row + 1 if row + 1 < end else None
    is_thing = left in _ARTICLES or left in _BEING or left in _HAVING or left in nouns
    if is_thing or words[before].kind == "value":
        return next((at for at in range(before + 1, row) if words[at].text.lower() == "not"), row)
    # "Live music": a known word may stand within what somebody has or wants.
    is_within = before > 0 and words[before].kind == "known" and left not in _SMALL
    return before if is_within and words[before - 1].text.lower() in _ARTICLES | _PREPOSITIONS else None


def _is_alone(words: Sequence[_Word], row: int, end: int) -> bool:
    """Whether new words that begin a clause are a wish by themselves: "Wheelchair access", "Outdoors if possible"."""
    if end < len(words) and words[end].kind != ".":
        return words[end].text.lower() in ("if", "with", "near", "please")
    return end - row > 1


def _is_adjective(words: Sequence[_Word], row: int) -> bool:
    return row > 0 and words[row - 1].kind == "new"


def _is_doing(words: Sequence[_Word], before: int, row: int) -> bool:
    """ "We are celebrating": what somebody does."""
    return words[before].text.lower() in _BEING and words[row].text.lower().endswith("ing")
