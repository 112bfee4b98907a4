"""Numbers and bounds as people say them, in Chinese and English: 一百五, twenty-five, 150元以内, at least 4, 100-150元.

Stands between *understanding* and *events* on the turn's path. Rules, not a model: a number must be right or not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pagoda.dialogue.slots.kinds import Range
from pagoda.dialogue.slots.units import FOREIGN, MEASURED

_DIGITS = {
    c: n
    for n, cs in enumerate(["零〇", "一壹", "二两贰俩", "三叁仨", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"])
    for c in cs
}
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_HAN = "".join((*_DIGITS, *_UNITS, "万亿半"))
_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {
    **{w: n for n, w in enumerate(_ONES)},
    **{w: 10 * n for n, w in enumerate(_TENS, 2)},
    "dozen": 12,
    "fourty": 40,
}
_ANY_WORD = "|".join(sorted([*_WORDS, "hundred", "thousand"], key=len, reverse=True))
# Longer ones are no quantities that anybody means, and too long for a float.
_MAX_DIGITS, _MAX_WORDS = 15, 12
_FORMAL = frozenset("壹贰叁肆伍陆柒捌玖拾佰仟")
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9.])(?P<digits>\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?!\d|[a-zA-Z]+\d|(?:st|nd|rd"
    rf"|th)\b)\s?(?P<scale>[kK](?![a-zA-Z])|[十百千万亿])?"
    rf"(?P<tail>[{_HAN}](?![{_HAN}]))?"
    rf"|(?P<han>[{_HAN}]+)(?:点(?P<tenths>[零一二三四五六七八九]+))?"
    rf"|\b(?P<english>(?:an?\s+(?=hundred|thousand"
    rf"|dozen))?(?:{_ANY_WORD})(?:(?:[\s-]+(?:and\s+)?)(?:{_ANY_WORD}))*)\b",
    re.IGNORECASE,
)
_AT_MOST = re.compile(
    r"以内|以下|之内|之下|以里|内$|不超过|不要超过|别超过|不高于|最多|至多|顶多|低于|少于|小于|不到|预算|封顶"
    r"|\b(?:under|below|less than|at most|no more than|not more than|up to|max(?:imum)?|within|cheaper than|not over"
    r"|lower than|or less|or below|or under|or fewer|budget|tops)\b|<=?|≤",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"以上|之上|超过|至少|起码|最少|最低|不低于|不少于|高于|大于|起步|起$"
    r"|\b(?:at least|over|above|more than|no less than|not less than|min(?:imum)?|or more|or above|or higher|or better"
    r"|or over|and up|and above|upwards?|higher than|better than|starting (?:at|from))\b|\+|>=?|≥",
    re.IGNORECASE,
)
_BELOW = re.compile(
    r"低于|少于|小于|不到|(?<!or )\b(?:under|below|less than|cheaper than|lower than)\b|<(?!=)", re.IGNORECASE
)
_ABOVE = re.compile(
    r"超过|高于|大于|(?<!or )(?<!and )\b(?:over|above|more than|higher than|better than)\b|>(?!=)", re.IGNORECASE
)
_AROUND = re.compile(
    r"左右|上下|大约|大概|差不多|约|来块|多块|\b(?:around|about|roughly|approximately|approx|circa|some|or so"
    r"|ish)\b|~",
    re.IGNORECASE,
)
_NOT_OVER = re.compile(r"不(?:要)?超过|别超过|不高于|not (?:over|more than|above)|no more than|不大于", re.IGNORECASE)
_NOT_UNDER = re.compile(r"不低于|不少于|不小于|no less than|not (?:under|below|less than)", re.IGNORECASE)
_NEIGHBOURS = re.compile(
    r"(?<![零一二三四五六七八九十百千])([一二两三四五六七八])([二三四五六七八九])(?=([十百千万])"
    r"|[^零一二三四五六七八九点]|$)"
)
_JOINS = re.compile(
    rf"^\s*(?:元|块钱?|分|星级?|颗星|人|位|个|stars?|yuan|rmb|dollars?|bucks|[$€£¥￥]|{MEASURED})?\s*"
    r"(?:-|–|—|~|～|到|至|to|and|or|或者?|、|，)\s*(?:[￥¥$€£]|rmb)?\s*$",
    re.IGNORECASE,
)
_SOME_MORE = re.compile(r"(?P<n>[一二两三四五六七八九]?[十百千万])[多几](?=$|[元块分\s，。])")
_NEGATIVE = re.compile(r"[-−]\s*[\d.]")
AROUND_SHARE = 0.2


@dataclass(frozen=True)
class Found:
    """A number in a text. start, end: its characters."""

    value: float
    start: int
    end: int


@dataclass(frozen=True)
class Phrase:
    """A number, or two that are ends of a range, with the units and bounds beside it. start, end: its characters.

    is_foreign: its unit is of what is no price, rating or number of stars; is_measured: and of what nobody counts
    """

    start: int
    end: int
    is_foreign: bool = False
    is_measured: bool = False


_UNIT = (
    r"元钱?|块钱?|圆|人民币|分(?![钟之店别享])|颗?星级?|[ -]?stars?\b|rmb\b|cny\b|usd\b|yuan\b|kuai\b|dollars?\b"
    r"|bucks\b|euros?\b"
    r"|pounds?\b|quid\b"
    r"|(?:a|per) (?:head|person|night)\b|each\b|points?\b|out of (?:5|10|five|ten)\b|/(?:5|10)\b|/人|每人|一位|一晚"
    rf"|{FOREIGN}"
)
_BOUND_BEFORE = (
    r"不要?超过|别超过|不高于|不低于|不少于|不大于|不小于|最多|至多|顶多|最少|至少|起码|低于|少于|小于|不到|高于"
    r"|大于|超过|大约|大概|差不多|约"
    r"|no more than|not more than|no less than|not less than|not over|not under|not above|at most|at least|up to"
    r"|less than|more than|cheaper than|under|below|within"
    r"|over|above|around|about|roughly|approximately|max(?:imum)?(?: of)?|min(?:imum)?(?: of)?|between|from"
    r"|starting (?:at|from)|<=?|>=?|≤|≥|~|[$￥¥€£]|rmb"
)
_BOUND_AFTER = (
    r"以内|以下|之内|之下|以里|以上|之上|之间|中间|左右|上下|起步|起|封顶|内|多|出头|and (?:above|up|over)\b"
    r"|or (?:less|more|below|under|above"
    r"|higher|better|over|fewer|so)\b"
    r"|tops\b|max(?:imum)?\b|min(?:imum)?\b|upwards?\b|ish\b|\+"
)
_FOREIGN = re.compile(rf"\s*[来多几]?{FOREIGN}", re.IGNORECASE)
_MEASURED = re.compile(rf"\s*[来多几]?{MEASURED}", re.IGNORECASE)
_LEFT = re.compile(rf"(?:(?<![a-z])(?:{_BOUND_BEFORE})\s*)+$", re.IGNORECASE)
_RIGHT = re.compile(rf"(?:\s*(?:{_UNIT}|{_BOUND_AFTER}))+", re.IGNORECASE)


def phrases_in(text: str) -> list[Phrase]:
    """The numbers of a folded text with what belongs to each, left to right.

    >>> text = "人均消费在50-100元之间, rated 4.5 or above"
    >>> [text[phrase.start : phrase.end] for phrase in phrases_in(text)]
    ['50-100元之间', '4.5 or above']
    """
    found, numbers = [], numbers_in(text)
    while numbers:
        first, last = numbers[0], numbers[0]
        if (
            len(numbers) > 1
            and _JOINS.match(text[first.end : numbers[1].start])
            and not _LIST.search(text[first.end : numbers[1].start])
        ):
            last = numbers[1]
        numbers = numbers[2 if last is not first else 1 :]
        left, right = _LEFT.search(text[: first.start]), _RIGHT.match(text[last.end :])
        start, after = left.start() if left is not None else first.start, text[last.end :]
        end = last.end + (right.end() if right is not None else 0)
        found.append(Phrase(start, end, _FOREIGN.match(after) is not None, _MEASURED.match(after) is not None))
    return found


def is_of_another_kind(text: str) -> bool:
    """Whether every number of a folded text is of something that is measured, and so no price, rating or stars.

    >>> is_of_another_kind("500米以内"), is_of_another_kind("within 500 metres"), is_of_another_kind("500元以内")
    (True, True, False)
    """
    phrases = phrases_in(text)
    return bool(phrases) and all(phrase.is_measured for phrase in phrases)


_LIST = re.compile(r"[，、,]")


def numbers_in(text: str) -> list[Found]:
    """All numbers of a folded text, left to right.

    >>> [found.value for found in numbers_in("两百五到3.5千")], numbers_in("a hundred and fifty")[0].value
    ([250, 3500.0], 150)
    """
    found = []
    for match in _NUMBER.finditer(text):
        value = _value_of(match)
        if value is not None:
            found.append(Found(value, match.start(), match.end()))
    return found


def _value_of(match: re.Match[str]) -> float | None:
    if len(match[0]) > (_MAX_DIGITS if not match["english"] else 12 * _MAX_WORDS):
        return None
    if match["digits"]:
        return _with_scale(match["digits"].replace(",", ""), match["scale"] or "", match["tail"] or "")
    if match["han"]:
        if len(match["han"]) == 1 and not _stands_for_a_number(match):
            return None
        whole = han_number(match["han"])
        if whole is None or not match["tenths"]:
            return whole
        return float(f"{whole:g}." + "".join(str(_DIGITS[char]) for char in match["tenths"]))
    return english_number(match["english"])


def _stands_for_a_number(match: re.Match[str]) -> bool:
    """Whether a single character is a number here: 拾 of 收拾, 陆 of 大陆 and 百 of 百货 are none, 百元 is."""
    char, after = match["han"], match.string[match.end() : match.end() + 1]
    if char in _FORMAL:
        return len(match.string.strip()) == 1 or after in ("元", "圆")
    return char not in "百千万亿" or after in ("元", "块", "以")


def _with_scale(digits: str, scale: str, tail: str) -> float:
    """150, 1.5万, 2k, 3千5; 2个半 is two and a half only where 半 follows at once."""
    value = float(digits) if "." in digits else int(digits)
    factor = {"k": 1000, "万": 10_000, "亿": 10**8, **_UNITS}.get(scale.lower(), 1)
    value = value * factor
    if tail == "半":
        return value + factor / 2
    return value + (_DIGITS[tail] * factor // 10 if tail in _DIGITS and factor > 1 else 0)


def han_number(text: str) -> float | None:
    """A Chinese numeral, None for characters that make none.

    >>> [han_number(numeral) for numeral in ("十二", "一百五", "两千零三", "半", "一二三", "三万五")]
    [12, 150, 2003, 0.5, 123, 35000]
    """
    if text == "半":
        return 0.5
    if text.endswith("半"):
        whole = han_number(text[:-1])
        return None if whole is None else whole + 0.5
    if all(char in _DIGITS for char in text):
        return int("".join(str(_DIGITS[char]) for char in text))
    for char, size in (("亿", 10**8), ("万", 10_000)):
        if char in text:
            left, _, right = text.partition(char)
            return _scaled(left, right, size)
    return _below_ten_thousand(text)


def _scaled(left: str, right: str, size: int) -> float | None:
    high = han_number(left) if left else None
    low = han_number(right) if right else 0
    if high is None or low is None:
        return None
    is_short = len(right) == 1 and right in _DIGITS
    return high * size + (low * size // 10 if is_short else low)


def _below_ten_thousand(text: str) -> float | None:
    total, digit, last_unit = 0, None, 0
    for char in text:
        if char in _UNITS:
            last_unit = _UNITS[char]
            total += (1 if digit is None else digit) * last_unit
            digit = None
        elif char in _DIGITS and (digit is None or digit == 0):
            digit = _DIGITS[char]
            last_unit = 10 if digit == 0 else last_unit
        else:
            return None
    if digit is None:
        return total
    return total + digit * (last_unit // 10 if last_unit >= 100 and text[-2] in _UNITS else 1)


def english_number(text: str) -> float | None:
    """English number words; "a dozen" is 12, None for words that make none.

    >>> english_number("two hundred and five"), english_number("twenty-one"), english_number("six seven")
    (205, 21, None)
    """
    total, current, last = 0, 0, 1000
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in ("and", "a", "an"):
            continue
        if word in ("hundred", "thousand", "dozen"):
            factor = {"hundred": 100, "thousand": 1000, "dozen": 12}[word]
            current = max(current, 1) * factor
            if factor == 1000:
                total, current = total + current, 0
            last = factor
        elif _WORDS[word] < last and not (last < 20):
            current, last = current + _WORDS[word], _WORDS[word]
        else:
            return None
    return total + current


def bounds(text: str) -> Range | float | None:
    """What a folded text says of one quantity: a range, a bare number, or nothing.

    >>> bounds("150元以内") == Range(None, 150), bounds("100-150元") == Range(100, 150), bounds("人均80")
    (True, True, 80)
    >>> bounds("under 300") == Range(None, 300, is_below=True), bounds("两三百") == Range(200, 300)
    (True, True)
    """
    plain = text.strip()
    if _NEGATIVE.match(plain):
        return None
    if (hundreds := _SOME_MORE.search(plain)) is not None:
        return _some_more(hundreds)
    if (neighbours := _NEIGHBOURS.search(plain)) is not None:
        factor = {**_UNITS, "万": 10_000}.get(neighbours[3] or "", 1)
        return Range(_DIGITS[neighbours[1]] * factor, _DIGITS[neighbours[2]] * factor)
    found = numbers_in(plain)
    if not found:
        return None
    if len(found) > 1 and _JOINS.match(plain[found[0].end : found[1].start]):
        low, high = sorted((found[0].value, found[1].value))
        return Range(low, high)
    around = plain[: found[0].start] + " " + plain[found[0].end :]
    return _bounded(found[0].value, around.strip())


def _some_more(match: re.Match[str]) -> Range | float:
    """五百多 is five to six hundred, 二十几 twenty to thirty."""
    low = han_number(match["n"]) if not match["n"].isdigit() else int(match["n"])
    size = {"十": 10, "百": 100, "千": 1000, "万": 10_000}.get(match["n"][-1])
    if low is None or size is None:
        return around_of(float(low or 0)) if low else 0
    return Range(low, low + size, is_below=True)


def _bounded(value: float, words: str) -> Range | float:
    if _NOT_OVER.search(words):
        return Range(None, value)
    if _NOT_UNDER.search(words):
        return Range(value, None)
    if _AT_LEAST.search(words):
        return Range(value, None, is_above=_ABOVE.search(words) is not None)
    if _AT_MOST.search(words):
        return Range(None, value, is_below=_BELOW.search(words) is not None)
    return around_of(value) if _AROUND.search(words) else value


def around_of(value: float) -> Range:
    """A fifth less to a fifth more.

    >>> around_of(100) == Range(80, 120)
    True
    """
    return Range(_whole(value * (1 - AROUND_SHARE)), _whole(value * (1 + AROUND_SHARE)))


def _whole(value: float) -> float:
    return round(value) if value >= 10 else round(value, 2)
