"""What a sentence takes off a list by its verb: "drop the second one", 把第二个去掉, "the first is too far, skip it".

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Negations
are told by `reading.polarity`; verbs of removing and what is said of things that nobody wants are closed classes, too,
but of lists alone: "take out" is no refusal of a dish. A verb that is itself negated ("don't drop the second") takes
nothing off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagoda.dialogue.reading.polarity import are_joined

Place = tuple[int, int]
"""(start, end) in characters of the sentence."""

_TAKES_OFF_ZH = (
    r"(?:去(?:掉|除)|删(?:除|掉|去|了)?|划(?:掉|去|了)|拿(?:掉|走|开|下)|移(?:除|走|出|掉)|撤(?:掉|下|走|了)|剔(?:除|掉)|除掉|抹(?:掉|去)"
    r"|排除|淘汰|否(?:决|掉|了)|屏蔽|拉黑|换(?:掉|了)|跳过|略过|刷(?:掉|了)|筛(?:掉|了)|忽略|放弃|扔(?:掉|了)|pass(?:掉|了)?)"
)
_TAKES_OFF_EN = (
    r"(?:drop|remove|delete|erase|scratch|ditch|dump|toss|discard|eliminate|reject|veto|exclude|ignore|disregard|skip"
    r"|hide|block|lose|bin|forget(?: about)?|pass on|get rid of|(?:cross|strike|take|throw|kick|rule|leave|cut|weed)"
    r" (?:out|off|away|aside))"
)
_END = r"\s*(?:$|[,，。.!！;；~～])"
_ONE = r"(?:\s+(?:ones?|options?|places?|restaurants?|hotels?|films?|movies?))?"
_ASKING_ZH = r"(?:请|麻烦|帮我|给我|你|您|就|都|也|可以|先|直接|把它们?|把这[个家部间]|从(?:列表|名单|单子)[里中上]?)*"
_NO_BUT = r"(?![^.!?;\n]*\bbut\b(?! (?:no )?thank))"
_IT_EN = r"(?:it|this|that|them|those|these)(?: one)?"

_BEFORE = re.compile(
    rf"{_TAKES_OFF_ZH}(?:列表|名单|单子)?[里中上]?的?$"
    rf"|\b{_TAKES_OFF_EN}(?:\s+(?:the|that|this|my|both|please|also|just|out|off))*\s+$"
    r"|(?<![\w'])no (?:thanks? |thank you )?to\s+$"
)
_BEHIND = re.compile(
    rf"^{_ASKING_ZH}(?:{_TAKES_OFF_ZH}|不用)(?:了|吧|啦|掉)*(?:好吗|可以吗|行吗|吗|呗)?[?？]?{_END}"
    rf"|^[^。.!！?？;；\n]{{0,16}}[，,]\s*{_ASKING_ZH}(?:{_TAKES_OFF_ZH}|换[一别其]?(?:个|家|部|间|下)?)(?:它们?|了|吧|啦|掉)*{_END}"
    r"|^(?:类|的)?(?:以后|今后|从此|就|都|也|再|请)*(?:别|不要|不用|不想|不必|甭)(?:再|给我|向我)*(?:推荐|推|出现|看|显示|来)"
    rf"(?:给我)?(?:了|啦|吧)*{_END}"
    rf"|^(?:我|我们|也|都|真|实在)*没(?:有|什么|啥)*兴趣(?:了|啊|呀|的)*{_END}"
    r"|^(?:就|都|也|我|我们|看着|看起来|感觉|好像|真的?|实在|对我来说)*不(?:太|怎么|大|是很)?"
    rf"(?:行|好|合适|适合|喜欢|想要|想去|考虑|感兴趣|感冒|怎么样|对胃口|合口味)(?:我们?|了|啊|呀|的)*{_END}"
    rf"|^{_ONE}\s+(?:is\s+|goes\s+)?out{_END}"
    rf"|^{_ONE}\s*,?\s+(?:nope|no|nah)(?:,?\s+(?:thanks?|thank you|please|way))?{_END}"
    rf"|^{_ONE}\s+(?:really\s+)?(?:is|are|does|do|did)(?:\s+not|n['’]?t)\s+(?:(?:really|quite|exactly|so)\s+)?"
    rf"(?:for me|for us|my|our|to my|appeal|suit|convince|interest|work for|it\b){_NO_BUT}"
    rf"|^{_ONE}\s+is\s+(?:nothing for|no good|not (?:for|my|our)){_NO_BUT}"
    rf"|^{_ONE}[^.!?;\n]{{0,60}}[,.;]\s*(?:(?:so|then|please|just|and|let['’]?s|can you|could you)\s+)*{_TAKES_OFF_EN}"
    rf"\s+{_IT_EN}\b"
)
_APART_BEFORE = re.compile(r"\b(?:take|leave|cross|strike|throw|kick|rule|weed|cut|put)\s+$")
_APART_BEHIND = re.compile(rf"^{_ONE}(?:\s+please)?\s+(?:out|off|away|aside)\b")
_SEEN_BEFORE = re.compile(
    r"\b(?:i|we)(?:['’]?ve| have|['’]?d)?(?: already)?"
    r" (?:been (?:to|at|in)|tried|seen|watched|visited|stayed (?:at|in))\s+$"
)
_SEEN_BEHIND = re.compile(rf"^{_ONE}(?:\s+(?:already|before|last \w+|once|twice|too often|many times))*{_END}")
_SEEN_ZH = re.compile(rf"^(?:我们?|都|上次|之前|已经|早就?)*(?:去|吃|住|看|来)过(?:了|啦)?{_END}")
# Whoever liked it or wants it once more refuses nothing, unless something else is asked for.
_LIKED = re.compile(
    r"再(?!推荐|来|换|给|看看|找)|还想|还要去|又想|好吃|好看|不错|挺好|很好|很棒|喜欢|满意|就订|就它|就这"
    r"|\b(?:again|loved?|liked?|enjoyed|great|good|nice|lovely|excellent|fantastic|amazing|delicious|fine|happy|book)\b"
)
_ELSE = re.compile(
    r"[换另]|别的|其他|其它|没|不(?!错)|\b(?:else|another|other|different|new|instead|not|never)\b|n['’]t\b"
)
# "Drop the first booking" is said of what was booked, which is given up elsewhere.
_OF_BOOKING = re.compile(
    rf"^{_ONE}(?:['’]s)?\s+(?:bookings?|reservations?|orders?|appointments?|tickets?)\b|^的?(?:预[订定约]|订[单位座]|座位|票)"
)
_KEEPS = re.compile(
    r"(?:别|(?<!要)不(?:要|用|必|想|能|会|可|需要)?|没有?|莫|勿)(?:再)?(?:给我|帮我|请)?(?:[把将][^，,]*)?$"
    r"|(?:n['’]?t|\b(?:not|never|dont))(?:\s+(?:please|you|to|want|have|just|dare|say))*\s*$"
)
_NUMBER = re.compile(r"(?<![\d:.：/\-])(\d{1,2})(?:号|#)?(?![\d:：/%\-]|\.\d)")
_NUMBERS_ALONE = re.compile(
    rf"\s*(?:(?:请|麻烦|帮我|给我|那|就|都|也|把|将|不要|别要|不|别|了|吧|啦|和|跟|与|及|、|第|{_TAKES_OFF_ZH})\s*"
    rf"|\b(?:please|just|not|no|without|and|the|nr|numbers?|{_TAKES_OFF_EN})\b\s*|[\0,，.。!！&+]\s*)+"
)
_TAKES_OFF = re.compile(rf"{_TAKES_OFF_ZH}|不要|别要|\b(?:{_TAKES_OFF_EN}|not|without)\b")


def taken_off(plain: str, places: Sequence[Place]) -> tuple[bool, ...]:
    """Of each place whether it is taken off; a verb is of the whole list that it stands before or behind.

    plain: folded, in lower case; places: in the order of the sentence

    >>> taken_off("drop the first and the third", [(5, 14), (19, 28)]), taken_off("别把第二个去掉", [(2, 5)])
    ((True, True), (False,))
    """
    told = [_is_taken_off(plain, *place) for place in places]
    first = 0
    for row in range(1, len(places) + 1):
        if row == len(places) or not are_joined(plain[places[row - 1][1] : places[row][0]]):
            told[first:row] = [any(told[first:row])] * (row - first)
            first = row
    return tuple(told)


def bare_numbers(plain: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, number) of numbers alone in a sentence that says nothing but that they are not wanted.

    >>> list(bare_numbers("不要2和3")), list(bare_numbers("drop 2 people"))
    ([(2, 3, 2), (4, 5, 3)], [])
    """
    found = [*_NUMBER.finditer(plain)]
    rest = _NUMBER.sub("\0", plain)
    if found and _NUMBERS_ALONE.fullmatch(rest) is not None and _TAKES_OFF.search(rest) is not None:
        yield from ((each.start(), each.end(), int(each[1])) for each in found)


def is_of_booking(plain: str, end: int) -> bool:
    """Whether a number that ends there is one of what was booked.

    >>> is_of_booking("drop the first booking", 14), is_of_booking("把第二个去掉", 4)
    (True, False)
    """
    return _OF_BOOKING.search(plain[end:]) is not None


def _is_taken_off(plain: str, start: int, end: int) -> bool:
    before, behind = plain[:start], plain[end:]
    if is_of_booking(plain, end):
        return False
    if (verb := _BEFORE.search(before)) is not None:
        return _KEEPS.search(before[: verb.start()]) is None
    if _KEEPS.search(before) is not None:
        return False
    if _BEHIND.search(behind) is not None:
        return True
    is_apart = _APART_BEFORE.search(before) is not None and _APART_BEHIND.search(behind) is not None
    return is_apart or _is_done_with(before, behind)


def _is_done_with(before: str, behind: str) -> bool:
    """ "I've been to the second one already", 第二家我吃过了, where no more is wanted of it."""
    is_seen = _SEEN_BEFORE.search(before) is not None and _SEEN_BEHIND.search(behind) is not None
    if not is_seen and _SEEN_ZH.search(behind) is None:
        return False
    return _LIKED.search(behind) is None or _ELSE.search(behind) is not None
