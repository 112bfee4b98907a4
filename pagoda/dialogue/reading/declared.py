"""Words that a domain declares, wherever they stand in a sentence, and whether a value has a place beside others.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. What a
band or a choice is called the domain file says, so it is looked up, as names of nodes are; a trained tagger may pass
over it or cut it short.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.reading.places import Place, longest, places_of
from pagoda.dialogue.reading.polarity import are_joined, roles
from pagoda.dialogue.slots.numbers import phrases_in
from pagoda.dialogue.slots.said import folded
from pagoda.nlu.understanding import SlotValue

_SPAN = r"\d[\d,.]*(?:\s?(?:-|–|~|到|至|to)\s?\d[\d,.]*)?"
_AMOUNT = re.compile(
    rf"(?:[¥￥$€£]|\brmb\s?)\s?{_SPAN}|{_SPAN}\s?(?:元|块钱?|rmb\b|yuan\b|euros?\b|dollars?\b|pounds?\b)", re.IGNORECASE
)
_CUE = re.compile(
    r"\b(?:with|has|have|having|serving|serves?|offers?|offering|includes?|including|near|beside|no|without)"
    r"(?: (?:an?|the|its own|some|free|good))*\s+$",
    re.IGNORECASE,
)
_IS_OF_A_TIME = re.compile(
    r"(?:[过前后这下上每隔]|\b(?:in|last|next|every|past|after))\s*·"
    r"|·\s*(?:之?[后前]|以[后前]|(?:ago|from (?:now|today)|later|late)\b)",
    re.IGNORECASE,
)
ONE_NIGHT = ("一晚", "一夜", "一天")
"""What a price is for, and no time that anybody stays."""
_PRONOUN = re.compile(r"\b(?:i|we|you|they)\s+$")


def is_one_more(plain: str, new: SlotValue, others: Sequence[SlotValue]) -> bool:
    """Whether a value has a place beside the others of its slot: in one list with one of them, or where they or it are
    excluded."""
    own = sorted((*(each for each in others if each.slot == new.slot and each.start >= 0), new), key=lambda v: v.start)
    if len(own) == 1:
        return True
    told = roles(plain, [(each.slot, each.start, each.end) for each in own])
    row = own.index(new)
    if told[row] == "excluded" or all(role == "excluded" for place, role in enumerate(told) if place != row):
        return True
    near = own[max(0, row - 1) : row + 2]
    return any(are_joined(plain[one.end : other.start]) for one, other in itertools.pairwise(near))


def declared_in(slot: Slot, plain: str) -> list[Place]:
    """Places of the slot's declared words, the longest of those that overlap; a single character proves nothing."""
    own = {word.lower() for words in slot.words.values() for word in words}
    spellings = {
        word.lower()
        for words in (*slot.bands.values(), *slot.choices.values())
        for held in words.values()
        for word in held
        if len(word) > 1
    }
    places = (place for word in spellings - own for place in places_of(plain, word))
    # "I fancy hot pot": what follows a pronoun says what somebody does, not how something is.
    return longest((place for place in places if _PRONOUN.search(plain[: place[0]]) is None), lambda place: place)


def is_wished(text: str, start: int, end: int) -> bool:
    """Whether a name of another kind of thing is a wish for certain: "would also work" names no company."""
    words = text[start:end]
    return not words.isascii() or words[:1].isupper() or " " in words or _CUE.search(text[:start]) is not None


def measured_in(text: str) -> list[SlotValue]:
    """Lengths, areas, ages and other amounts that are no money, as values of no slot.

    一晚 is what a price is for, 过两天 and "three days ago" are times.

    >>> [found.value for found in measured_in("离地铁500米以内，一晚300元")]
    ['500米以内']
    """
    places = [(phrase.start, phrase.end) for phrase in phrases_in(folded(text)) if phrase.is_measured]
    return [
        SlotValue("", text[start:end], start, end)
        for start, end in places
        if text[start:end] not in ONE_NIGHT and not _IS_OF_A_TIME.search(text[:start] + "·" + text[end:])
    ]


def amounts_in(text: str) -> Iterator[SlotValue]:
    """Amounts of money, as values of no slot."""
    yield from (SlotValue("", match[0], match.start(), match.end()) for match in _AMOUNT.finditer(text))
