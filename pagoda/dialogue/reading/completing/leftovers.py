"""Names in a sentence that nobody knows: "a hotel in Paris", 订麦当劳, "with a helipad". They are said back.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. What is
told to be unknown must be sure to be a name, so few forms count: a capitalised word behind "in" or "by", a Chinese
place behind 在 and before 的, what stands behind 订 or "with a" and in none of the domain's examples. Chinese names of
places are those of jieba's dictionary (MIT), where it is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pagoda.dialogue.reading.completing.dictionary import places, spans_in
from pagoda.dialogue.reading.places import Place

_CAPITALISED = re.compile(
    r"\b(?:[Ii]n|[Aa]t|[Nn]ear|[Aa]round|by|with|starring|featuring|called|named)\s+(?:the\s+)?"
    r"(?P<name>[A-Z][\w'’&-]+(?:\s+(?:(?:of|the|and|de)\s+)?[A-Z][\w'’&-]*)*)"
)
_NO_NAME = re.compile(
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october"
    r"|november|december|christmas|easter|english|chinese|am|pm|i|i['’]\w+",
    re.IGNORECASE,
)
_WITH = re.compile(r"\bwith (?:an?|free) (?P<name>[a-z]{4,}(?: (?:pool|room|bar|park|service|area|view))?)\b")
_BOOKED_ZH = re.compile(
    r"(?:订|预订|预约)(?:一下|一家|一个|个)?(?P<name>[\u4e00-\u9fff]{2,8}?)"
    r"(?=的?(?:位|座|桌|今|明|后天|大后|周|星期|礼拜|下|本|晚上|中午|[\d一二两三四五六七八九十]+[个位人点号月]|[，,。！!]|$))"
)
_HAVING_ZH = re.compile(r"(?<![宽携一地热领附包])(?:带|含)(?P<name>[\u4e00-\u9fff]{2,5})的")
_BEFORE_PLACE = re.compile(r"(?:^|在|去|到|住|来|找|找个|找家|找一家|找一个|有|有没有|想看看|查|查查|搜|[，。,!！\s])$")
_AFTER_PLACE = re.compile(r"^(?:市|省|县)?(?:的|附近|周边|那边|这边|那里|有(?:什么|哪些|没有)|住|玩|吃|[，。,!！]|$)")
_SUPERLATIVE = re.compile(
    r"\b(?:cheap|new|old|short|long|larg|small|high|low|young)est\b|\bbiggest\b"
    r"|最(?:便宜|[贵新旧老长短大小高低])(?!的?[^，。,.]{0,4}\d)",
    re.IGNORECASE,
)


def unknown_names(text: str, is_seen: Callable[[str], bool], *, is_booking: bool) -> Iterator[Place]:
    """Places of names that no slot need take. is_seen: whether words stand in an example of the domain or in a name.

    >>> list(unknown_names("find a hotel in Paris", str.isdigit, is_booking=False))
    [(16, 21)]
    """
    for match in _CAPITALISED.finditer(text):
        if not _NO_NAME.fullmatch(match["name"].split()[0]) and not is_seen(match["name"]):
            yield match.span("name")
    for pattern in (_WITH, _HAVING_ZH, *([_BOOKED_ZH] if is_booking else [])):
        yield from (match.span("name") for match in pattern.finditer(text) if not is_seen(match["name"]))
    yield from (place for place in _chinese_places(text) if not is_seen(text[place[0] : place[1]]))


def unread_superlatives(text: str) -> Iterator[Place]:
    """Words that ask for an order, which some column of the domain may stand for."""
    yield from (match.span() for match in _SUPERLATIVE.finditer(text))


def _chinese_places(text: str) -> Iterator[Place]:
    """The longest from the left, with words around it that only a place stands between."""
    if text.isascii():
        return
    for start, end in spans_in(text, places()):
        if _BEFORE_PLACE.search(text[:start]) and _AFTER_PLACE.search(text[end:]):
            yield start, end
