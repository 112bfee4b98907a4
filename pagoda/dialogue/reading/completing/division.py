"""Where a sentence surely holds two wishes: "a cheap Thai place and also a film tonight", 找个川菜馆，顺便看看酒店.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A wish is
a clause with a joint before it that names what another task is about, by what people call it or by a name of the graph
that only that task takes, and wants it: behind a verb of wishing, or as a noun joined to the first wish. What stands
behind a preposition, is had by something, is definite or denied is wanted by nobody: "a hotel near a cinema".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.completing.tasks import names_of_one_task
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.places import longest, places_of
from pagoda.dialogue.slots.said import folded

_BEGINS_ZH = r"(?:顺便|另外|还有(?!什么|哪|没|别|其)|然后|并且|同时|接着|还(?=想|要)|再(?=帮|给|找|看|订|推荐|来|查))"
_JOINS_NOUNS_ZH, _CLAUSE_END_ZH = ("和", "以及"), re.compile(r"[，。！？,]")
_NOUN_ZH = "(?:一?[家个部间])?"
_JOINT = re.compile(
    rf"\s*([,.;!?]+(?=\s)|[，。；！？]+)\s*(?:(?:(?:and|also|then|plus|now|next)\s+)+|{_BEGINS_ZH}+)?"
    rf"|\s+(?:and\s+(?:(?:also|then)\s+)?|as well as\s+|plus\s+)|\s*{_BEGINS_ZH}+"
    r"|\s+(?:also|then)\s+(?=(?:an?|some|find|book|get|show|look|i|we)\b)"
    rf"|(?:和|以及)(?={_NOUN_ZH}\w)",
    re.IGNORECASE,
)
_STRONG = re.compile(r"\b(?:also|then|plus|as well)\b|[顺另还然并同接再]", re.IGNORECASE)
_WISHES_EN = re.compile(
    r"\b(?:find|need|want|like|look|looking|search|searching|book|reserve|recommend|suggest|get|show|give|help|watch|see"
    r"|stay|eat|grab|list|arrange|interested|is there|are there|what|which|any|try)\b",
    re.IGNORECASE,
)
_WISHES_ZH = re.compile(
    r"找|想|要|看看|看一下|推荐|订|帮我|给我|查|安排|介绍|搜|来[一个部家点]|有什么|有啥|有哪些|哪[家部个些]"
)
_ASKS_ZH = re.compile(r"有没有|(?:附近|周边|周围)有|有[^，。]{0,4}[吗么]")
_NOUN_ALONE = re.compile(r"(?:(?:an?|some|any)\s+(?:[\w'-]+\s+){0,3})?", re.IGNORECASE)
_GOVERNED_EN = re.compile(
    r"\b(?:near|nearby|by|around|at|in|inside|from|of|with|without|to|beside|behind|between|than|has|have|having|had"
    r"|includes?|including|offers?|serves?)\s+(?:(?:an?|the|some|any|my|our|good|nice|cheap)\s+)*$"
    r"|\b(?:the|that|this|my|our|your|its|their|same)\s+$|\b(?:not|never|no|don't|already|booked|found|got)\b|n't\b"
    r"|^(?:it|they|that|which|who|where|if|because|since|when)\b",
    re.IGNORECASE,
)
_GOVERNED_ZH = re.compile(
    r"(?:离|在|靠近|挨着|带|配|含|[这那]家|[这那]部|[这那]个|我们?的|[住订]的|[找订选住]好|安排好)(?:个|有|一家|一个)*$|不|没|别"
)
_OPEN_ZH = re.compile(r"有没有|能不能|可不可以|是不是|要不要|特别|别的")
_AS_WELL_ZH = re.compile(r"\w{0,2}也[要想]")
_HAD_ZH = re.compile(r"有(?!什么|啥|哪)[^，。]*$")
_BESIDE = re.compile(r"\b(?:and|or)\s+(?:(?:an?|some|any)\s+)?$|(?:和|或|或者|以及|、)$", re.IGNORECASE)
_BEHIND = re.compile(
    r"\s*(?:in(?:side)? it\b|on ?site\b|attached\b)|的(?=\w)|(?:附近|旁边|周边|周围|边上|里|内|门口|对面)",
    re.IGNORECASE,
)
_FEATURES = re.compile(
    r"\b(?:with|has|have|having|near|close to|next to|by|between|including|includes?|offers?|around|from)\b",
    re.IGNORECASE,
)
_INDEFINITE = re.compile(r"^\W*(?:an?|some|any)\b", re.IGNORECASE)
_ORDERS = re.compile(r"\b(?:book|reserve|table)\b|订", re.IGNORECASE)


@dataclass(frozen=True)
class Thing:
    """What some task is about, in a text. label: of what that task looks for or books."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Division:
    """A sentence in two. first: its beginning, so that places in it stay; rest: what another task is for; label: its"""

    first: str
    rest: str
    label: str


class Divider:
    """Finds places where a sentence may be divided."""

    def __init__(self, domain: Domain, linker: Linker) -> None:
        self._domain, self._linker = domain, linker

    def divisions(self, text: str) -> Iterator[Division]:
        """Those behind which something is wished, from left to right. Whether the first part is a wish others know."""
        for joint in _JOINT.finditer(text):
            # A question stays one.
            is_question = "?" in folded(joint.group(1) or "")
            first, rest = text[: joint.end(1) if is_question else joint.start()], text[joint.end() :]
            things = self.things(rest)
            if not first.strip() or not things:
                continue
            thing, is_strong = things[0], _STRONG.search(joint.group()) is not None
            is_new = all(each.label != thing.label for each in self.things(first))
            if is_new and _is_wished(first, joint.group(), rest, thing, is_strong=is_strong):
                yield Division(first, self._shared(first, joint.group()) + rest, thing.label)

    def _shared(self, first: str, joint: str) -> str:
        """What stands before both of two Chinese nouns, as 附近的 does in 附近的酒店和餐馆."""
        things = self.things(first)
        if joint not in _JOINS_NOUNS_ZH or not things or things[-1].end != len(first):
            return ""
        return _CLAUSE_END_ZH.split(first[: things[-1].start])[-1]

    def wanted(self, text: str) -> set[str]:
        """Labels of the things that a text wishes, or orders."""
        if not any(verb.search(text) for verb in (_WISHES_EN, _WISHES_ZH, _ASKS_ZH, _INDEFINITE)):
            return set()
        return {each.label for each in self.things(text) if _is_free(text[: each.start], text[each.end :])}

    def joined(self, text: str, label: str) -> list[Thing]:
        """Things of other labels that stand beside others, "hotels or films", where the text is not divided."""
        things = [each for each in self.things(text) if _is_free(text[: each.start], text[each.end :])]
        return [
            each
            for before, each in pairwise(things)
            if before.label != each.label != label and _BESIDE.search(text[before.end : each.start])
        ]

    def things(self, text: str) -> list[Thing]:
        """What tasks are about, by what people call it or by names that only one of them takes, from left to right."""
        plain = folded(text).lower()
        intents = [each for each in self._domain.intents.values() if each.sought]
        words = {(word, each.sought) for each in intents for word in self._domain.called(each)}
        found = [Thing(start, end, label) for word, label in sorted(words) for start, end in places_of(plain, word)]
        for start, end, name in names_of_one_task(self._domain, self._linker, plain, are_features=False):
            found.append(Thing(start, end, self._domain.intents[name].sought))
        return longest(found, lambda each: (each.start, each.end))


def _is_free(lead: str, behind: str) -> bool:
    """Whether a thing between these stands for itself: not behind "near", and not before 附近."""
    if _BEHIND.match(behind):
        return False
    return _GOVERNED_ZH.search(_OPEN_ZH.sub("", lead)) is None and _GOVERNED_EN.search(lead) is None


def _is_wished(first: str, joint: str, rest: str, thing: Thing, *, is_strong: bool) -> bool:
    """Whether a thing behind a joint is wanted."""
    lead, behind = rest[: thing.start], rest[thing.end :]
    is_order = _ORDERS.search(lead) is not None
    if _JOINT.search(lead) or not (is_order or _is_free(lead, behind)):
        return False
    if not rest.isascii():
        is_noun = joint in _JOINS_NOUNS_ZH and re.fullmatch(_NOUN_ZH, lead) is not None
        return is_noun or _is_wished_zh(lead, rest, behind, is_strong=is_strong)
    if _WISHES_EN.search(lead):
        return True
    has_word = any(character.isalpha() for character in joint)
    if _NOUN_ALONE.fullmatch(lead) is None or not (has_word or lead):
        return False
    # "With parking and a restaurant" is one wish.
    return is_strong or _FEATURES.search(first) is None


def _is_wished_zh(lead: str, rest: str, behind: str, *, is_strong: bool) -> bool:
    """Whether a thing of a Chinese clause is wanted; 找个酒店，要有餐厅 is one wish."""
    if rest.rstrip("。！? ？").endswith("的"):
        return False
    is_wanted = _WISHES_ZH.search(lead) is not None and _HAD_ZH.search(lead) is None
    return is_strong or is_wanted or _AS_WELL_ZH.match(behind) is not None
