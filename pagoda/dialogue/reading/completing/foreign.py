"""What somebody seeks and the domain has nothing of: 找个评分4.5分以上的景点, "I need a taxi". It is no wish here.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A reader
that learned the domain's sentences takes such a one for the nearest search, by its rating, its price, its manner. What
is sought is the last noun that stands as the object of seeking: behind a verb that seeks, and there behind a measure
word, an attribute or an article. Where that is a noun which neither the domain's sentences nor the graph have, and
nothing else is sought that they have, the sentence is out of scope. A museum in the graph that things are near to makes
none that could be sought: of sorts of things only those are here that the domain calls its own. Chinese nouns are those
of jieba's dictionary (MIT), where it is installed. Heads of phrases as in Collins 1999, "Head-Driven Statistical Models
for Natural Language Parsing".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pagoda.dialogue.reading.closed.wishes import BOOKS
from pagoda.dialogue.reading.completing.dictionary import LONGEST, nouns, places
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.completing.vocabulary import Vocabulary
from pagoda.dialogue.reading.follow_ups import is_small
from pagoda.nlu.understanding import OUT_OF_SCOPE, TurnContext, Understanding

_RECOMMEND = "recommend"
_CLAUSE = re.compile(r"[^，。,!！?？；;\n]+")
_RIDES = r"乘坐|搭乘|坐|乘|搭|租|买"
_SEEKS_ZH = re.compile(
    rf"找|推荐|介绍|查|搜|订|预约|安排|叫|{_RIDES}|打(?!算)|去|逛|玩|看看|有(?:什么|没有|哪些|啥)|哪些|哪[个家部辆]|什么|啥"
)
_MEASURE = "[个家座处辆张部首本条款些位场间趟班台点]"
_BESIDE = "周边|附近|周围|旁边"
_LIKE = rf"(?:免费|收费|{_BESIDE}|好玩|好看|好听|著名|热门|有名|不错|其[他它]|别的|合适|便宜|本地|当地|[好新大小])"
_OBJECT_ZH = re.compile(
    rf"(?P<rides>{_RIDES})?(?:(?<=[^这那此该]{_MEASURE})|(?<=的)|(?<=什么)|(?<=[啥些])|(?<=有没有)|(?<=[找租买坐乘打叫查搭订])(?!个)|(?<=推荐)"
    rf"|(?<=介绍)){_LIKE}?+(?=(?P<words>[\u4e00-\u9fff]{{2,}}))"
)
_ASKS_WHETHER = re.compile(r"有没有$")
_ON_THE_WAY = re.compile(r"[去到从在离]$")
_SAID_OF_IT = re.compile(r"[高低大小多少贵近远]|好(?![好玩看])")
_DONE_WITH_IT = re.compile(r"[的去来玩逛转走看溜耍游带让给]|好[好玩看]|周末|一下")
_NOT_SOUGHT = re.compile(r"(?:别|不要|不用|不必|不想)(?:再)?(?:给我|跟我|向我)?推荐$")
_BOOKED_ZH = re.compile(r"(?:订|预约)(?:一?[个家间张份]|[一两二三四五六七八九十\d]+[个家间张份])?$")
_SHORTEST = 2
# Sorts of things, of which a search or booking under way is none: what else is asked for then is wished of it.
_SORT_ZH = re.compile(
    "景点|景区|名胜|古迹|公园|博物馆|美术馆|展览|游乐[场园]|动物园|出租车?|的士|打车|网约车|租车|地铁|公交|巴士|火车|高铁|动车|飞机|航班|机票"
    "|车票|门票|演唱会|医院|药店|诊所|银行|商场|超市|书店|学校|健身房会员|电视剧|歌曲?|音乐"
)
_SORT_EN = re.compile(
    r"taxis?|cabs?|trains?|bus(?:es)?|coach|flights?|planes?|car|tickets?|museums?|galler(?:y|ies)|parks?|attractions?"
    r"|sights?|theat(?:er|re)s?|concerts?|colleges?|church(?:es)?|hospitals?|doctors?|dentists?|pharmac(?:y|ies)|banks?"
    r"|shops?|malls?|supermarkets?|schools?|songs?|music|playlists?|albums?|recipes?|nightclubs?|zoos?|aquariums?|castles?"
    r"|librar(?:y|ies)|stadiums?"
)
_PLACE_EN = re.compile(
    r"(?:gastro)?pubs?|bars?|grills?|inns?|taverns?|taprooms?|brasseries?|brewer(?:y|ies)|ca(?:f[eé]|fe)s?|cafeterias?|canteens?"
    r"|coffee\s?(?:house|shop)s?|tea\s?(?:house|room)s?|osterias?|trattorias?|pizzerias?|steak\s?houses?|churrascarias?"
    r"|taquerias?|izakayas?|creperies?|baker(?:y|ies)|pastry|delis?|delicatessens?|buffets?|joints?|spots?|tables?"
    r"|bookings?|reservations?|drive-?ins?|food (?:trucks?|courts?)|ice cream (?:parlou?rs?|shops?)"
    r"|(?:movie|film) theat(?:er|re)s?"
    r"|(?:noodle|dumpling|sandwich|burger|kebab|cake|sushi|ramen|pizza|pie|soup|dessert|juice|(?:fish and )?chip"
    r"|bubble tea) shops?"
)
_EATS = re.compile("[面粉饭菜粥饺茶酒吃食肉鱼锅串烤啡品汤]子?[馆店屋厅庄楼铺]$")
# Rooms are no things of their own: whoever wants a suite wants a hotel that has one.
_ROOM = re.compile(
    r"套房|套间|公寓|民宿|标间|标准间|大床房|双床房|单人间|双人间|客房|房间|包间|包厢|雅间|大厅|卡座|位置|座位"
    r"|suites?|apartments?|flats?|studios?|rooms?|booths?|seats?|seating"
)
# "How about a museum?", "are there any parks": only of a sort of its own, for a pool and a bar are wishes, too.
_ASKS_SORT_EN = re.compile(
    rf"\b(?:(?:how|what) about|(?:is|are) there|do you have|have you got|going to|go to|visit|see|try(?: for)?|maybe"
    rf"|(?:find|looking for|look for|need|recommend|suggest|search for|type of)(?: me| us| out)?)"
    rf"\s+(?:(?:an?|any|some|another|the|nice|good|cheap|local|multiple|few|type of)\s+)*(?P<sort>{_SORT_EN.pattern})\b"
    r"(?!\s*(?:nearby\s+)?(?:restaurant|hotel|film|movie|view|station|stop|park(?:ing)?|holiday|hire)s?\b)",
    re.IGNORECASE,
)
_SEEKS_EN = re.compile(
    r"\b(?:find|finding|need|want|get|getting|book|booking|reserve|looking for|look for|search(?:ing)? for|recommend"
    r"|suggest|take|call|rent|buy|catch|hire|order)\b[^,.!?;]*?"
    r"\b(?:an?|any|some|another|the|my|that|this)\s+(?P<words>(?:[a-z'-]+\s+){0,3}?[a-z'-]+)"
    r"(?=\s*(?:$|[,.!?;]|(?:to|for|from|in|at|on|that|which|with|near|by|please|around|of|who|and|or|leaving|departing"
    r"|going|tomorrow|today|tonight|now|right|when|where|is|are|also|as|out|there|here)\b))",
    re.IGNORECASE,
)
# "Find food near the museum", "parking for my car": of what is sought it says no more than where or what for.
_BESIDE_EN = re.compile(
    r"\b(?:near(?:by|er|est)?(?: to)?|by|beside|(?:close|next|adjacent|opposite|nearest) to|(?:across|far|away) from"
    r"|opposite|around|behind|after|before|(?:within )?reach of|for(?= my))"
    r"\s+(?:an?|any|some|another|the|my|that|this)\s+$",
    re.IGNORECASE,
)


class Foreign:
    """Tells sentences that seek what the domain has nothing of. vocabulary: of the domain's own sentences"""

    def __init__(self, known: Known, vocabulary: Vocabulary) -> None:
        self._known, self._domain, self._vocabulary = known, known.domain, vocabulary
        intents = self._domain.intents.values()
        called = {word.lower() for intent in intents if intent.sought for word in self._domain.called(intent)}
        self._things = tuple(sorted((word for word in called if not word.isascii()), key=len, reverse=True))
        self._things_en = frozenset(word for word in called if word.isascii())
        # Compounds have their head at the end; one character alone is that of 药店 and 博物馆, too.
        self._heads = tuple({word[-2:] for word in self._things if len(word) > 1})
        told = (each["text"] for each in self._domain.examples() if each["intent"] != OUT_OF_SCOPE)
        self._told = "\n".join(told).lower()
        self._labels = frozenset(self._domain.labels)

    def told(self, read: Understanding, context: TurnContext) -> Understanding:
        """The reading, out of scope where it is a wish for something foreign."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or not (intent.kind in ("find", "book") or intent.name == _RECOMMEND):
            return read
        is_under_way = self._is_under_way(context)
        if self._has_name(read, intent.sought) or not self._is_foreign(read, intent.kind == "book", is_under_way):
            return read
        candidates = ((OUT_OF_SCOPE, 1.0), *read.candidates)
        return replace(
            read, intent=OUT_OF_SCOPE, confidence=1.0, slots=(), acts=(), unused=(), unknown=(), candidates=candidates
        )

    def _is_under_way(self, context: TurnContext) -> bool:
        intent = self._domain.intents.get(context.intent)
        return intent is not None and intent.kind in ("find", "book")

    def _has_name(self, read: Understanding, label: str) -> bool:
        """Whether something of the label is sought by its name, known or not."""
        slots = self._domain.slots
        return any(label in slots[each.slot].labels for each in read.slots if each.slot in slots)

    def _is_foreign(self, read: Understanding, is_booking: bool, is_under_way: bool) -> bool:
        is_english = read.text.isascii() or read.language == "en"
        look = self._sought_en if is_english else self._sought_zh
        sought = [*look(read.text, is_booking, is_under_way)]
        return bool(sought) and not any(sought)

    def _sought_zh(self, text: str, is_booking: bool, is_under_way: bool) -> Iterator[bool]:
        """Of each thing that is sought, whether the domain has it; an attribute may stand in a clause of its own.

        is_booking: only what is to be booked counts, and whatever is named as a sort of its own
        is_under_way: a search or booking is, and 有没有标准间 asks about what it is for
        """
        is_open = False
        for clause in _CLAUSE.findall(text):
            is_seeking = is_open or _SEEKS_ZH.search(clause) is not None
            objects = [*_OBJECT_ZH.finditer(clause)] if is_seeking else []
            objects = [each for each in objects if self._may_be_sought(clause, each, is_booking, is_under_way)]
            found = [(each.end(), self._has_zh(each["words"], bool(each["rides"]))) for each in objects]
            found += [(place, True) for place in self._things_in(clause)] if is_seeking else []
            told = [has for _, has in sorted(found, key=lambda each: each[0]) if has is not None]
            yield from told[-1:]
            is_open = is_seeking and not told

    def _may_be_sought(self, clause: str, found: re.Match[str], is_booking: bool, is_under_way: bool) -> bool:
        """Whether an object is one of seeking at all, and no more than a wish of what is sought already."""
        before = clause[: found.end()]
        if _NOT_SOUGHT.search(before) is not None or _ROOM.match(found["words"]) is not None:
            return False
        if _SORT_ZH.search(found["words"][: 2 * LONGEST]) is not None:
            return not is_under_way or _ASKS_WHETHER.search(before) is None
        return not is_under_way and (not is_booking or _BOOKED_ZH.search(before) is not None)

    def _things_in(self, clause: str) -> Iterator[int]:
        """Places of what the domain calls its things, but not as a way's beginning or end: 3星级酒店, 去餐馆."""
        for match in re.finditer("|".join(self._things), clause):
            if _ON_THE_WAY.search(clause[: match.start()]) is None:
                yield match.start()

    def _has_zh(self, words: str, is_ridden: bool) -> bool | None:
        """Whether the domain has what words begin with; None where that is nothing to be sought.

        Of nouns side by side the last is the head: 科幻电视剧 is an 电视剧. is_ridden: whatever is done with it
        """
        has, behind = None, words
        while noun := self._noun(behind):
            behind = behind[len(noun) :]
            own = self._has_noun(noun)
            has = own if own is not None else has
        if is_ridden and behind != words and has is None:
            return False
        if behind.startswith("的") and self._noun(behind[1:]):
            return None  # an attribute of what follows, which is looked at by itself
        is_talk = not behind or _DONE_WITH_IT.match(behind) is not None or not self._vocabulary.has_new(behind)
        is_object = is_talk and _SAID_OF_IT.match(behind) is None
        return has if has is not False or is_object or is_ridden else None

    def _noun(self, words: str) -> str:
        """The longest noun, name of a place or word for a place beside that words begin with; "" for none."""
        thing = next((thing for thing in self._things if words.startswith(thing)), "")
        sizes = range(min(LONGEST, len(words)), _SHORTEST - 1, -1)
        known = next((words[:n] for n in sizes if words[:n] in nouns() or words[:n] in places()), "")
        beside = re.match(_BESIDE, words)
        return max(thing, known, beside[0] if beside is not None else "", key=len)

    def _has_noun(self, noun: str) -> bool | None:
        """True for what the domain or the graph calls so; None for what says nothing of what is sought."""
        if any(thing in noun for thing in self._things) or noun.endswith(self._heads) or _EATS.search(noun):
            return True
        if _SORT_ZH.fullmatch(noun) is not None:
            return False
        if self._known.linker.has_end(noun, self._labels):
            return True
        is_new = noun not in places() and noun not in self._told and self._vocabulary.has_new(noun)
        return False if is_new else None

    def _sought_en(self, text: str, is_booking: bool, is_under_way: bool) -> Iterator[bool]:
        """The same; of a booking only what is to be booked, for "we need a high chair" is a note to it.

        A noun with a capital is a name: "the Golden Wok".
        """
        for match in _SEEKS_EN.finditer(text):
            words = match["words"].lower().split()
            if _is_beside(text[match.start() : match.start("words")]) or (is_booking and BOOKS.match(match[0]) is None):
                continue
            if self._is_own_en(words):
                yield True
            elif not _may_be_foreign(match["words"], text, is_under_way):
                continue
            elif not is_small(words[-1]) and not self._has_en(words[-1]):
                yield False
        words = re.findall(r"[a-z]+", text.lower())
        if not is_booking and not any(word in self._things_en or word[:-1] in self._things_en for word in words):
            yield from (False for _ in _ASKS_SORT_EN.finditer(text))

    def _is_own_en(self, words: Sequence[str]) -> bool:
        """Whether a noun phrase is what the domain calls its things, or where one eats or watches films."""
        ends = (words[-1], " ".join(words[-2:]), " ".join(words))
        return any(end in self._things_en or _PLACE_EN.fullmatch(end) is not None for end in ends)

    def _has_en(self, noun: str) -> bool:
        if _SORT_EN.fullmatch(noun) is not None:
            return False
        is_told = re.search(rf"\b{re.escape(noun)}\b", self._told) is not None
        return is_told or self._vocabulary.is_known(noun) or self._known.linker.has_part(noun, self._labels)


def _is_beside(before: str) -> bool:
    """Whether what follows is where something is sought and not what is; "museums near the park" seeks museums."""
    return _BESIDE_EN.search(before) is not None and re.search(rf"\b(?:{_SORT_EN.pattern})\b", before, re.I) is None


def _may_be_foreign(words: str, text: str, is_under_way: bool) -> bool:
    """Whether a thing may be one of a sort that is not here: no name, no room, and no part of what is sought already.

    A text of capitals alone has none that tells a name.
    """
    head = words.split()[-1]
    is_name = head[:1].isupper() and not text.isupper()
    is_sort = _SORT_EN.fullmatch(head.lower()) is not None
    return not is_name and _ROOM.fullmatch(head.lower()) is None and (is_sort or not is_under_way)
