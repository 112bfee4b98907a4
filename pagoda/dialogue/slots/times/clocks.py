"""The hour that is meant: 七点半, half past six, 1930, 7p, 差十分七点, twelve twenty, between 7 and 8.

Stands between *understanding* and *events* on the turn's path, under `moments`. A bare number is an hour only beside a
word of time, or where it stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pagoda.dialogue.slots.numbers import han_number
from pagoda.dialogue.slots.times.parts import blank_parts
from pagoda.dialogue.slots.times.words import HAN, HOURS_EN, N, Rest

Half = str
"""Of the day: "am", "pm" or "" where it was not said."""


@dataclass(frozen=True)
class ClockTime:
    """A time on the clock's face. hour: 0 to 24; half: "am", "pm" or ""; start, end: its characters.

    is_sure: told as hours of 24, so that 07:30 is in the morning; is_before: only what is before it was said
    """

    hour: int
    minute: int = 0
    half: Half = ""
    start: int = 0
    end: int = 0
    is_sure: bool = False
    is_before: bool = False


_HALF = r"(?:\s?(?P<half>[ap]\.?\s?m\b\.?|(?<=\d)[ap]\b))"
_HOURS = "|".join(HOURS_EN)
_MINUTES: Mapping[str, int] = {
    "oh five": 5,
    "o five": 5,
    "five": 5,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "twenty five": 25,
    "thirty": 30,
    "thirty five": 35,
    "forty": 40,
    "forty five": 45,
    "fifty": 50,
    "fifty five": 55,
}
_MINUTE = "|".join(word.replace(" ", "[ -]") for word in sorted(_MINUTES, key=len, reverse=True))
_HOUR = rf"\d{{1,2}}(?![\d])|(?:{_HOURS})\b"
# 530 and 1145, where something says that it is a clock.
_RUN = r"(?:1[0-2]|[1-9])[0-5][05](?!\d)"
_UNITS = (
    r"(?!\s?(?:(?:people|peoples|persons?|folks?|guests?|adults?|kids?|children|child|bab(?:y|ies)|toddlers?"
    r"|infants?|of us"
    r"|friends?|others?|men|man|women|woman|boys?|girls?|members?|colleagues?|siblings?|couples?|yuan|rmb|dollars?"
    r"|stars?"
    r"|points?|days?|weeks?|nights?|months?|hours?|hrs?|minutes?|mins?|tables?|rooms?|tickets?|seats?|percent)\b"
    r"|%|个|位|人|元|块|分|星|张|晚|天|周|月|小时|桌|岁|号|日))"
)
_FACE = re.compile(
    rf"(?<![\d.:/$￥])(?P<h>[01]?\d|2[0-4])(?:\s?[:：]\s?|\."
    rf"|h(?=\d))(?P<m>[0-5]\d)(?::[0-5]\d)?(?!\d|\.\d)(?:\s?(?:hours|hrs?|o'?clock)\b)?{_HALF}?" + _UNITS
)
_ZH = re.compile(
    # 有一点, 早一点 and 便宜一点 are a little, no hour; 今晚一点 is one.
    rf"(?!(?<=[快慢近远贵大小多少宜有好])一点)(?!(?<=(?<![今明后当])[早晚])一点)(?:差(?P<less>{N}"
    rf"|一刻)分?钟?)?(?P<h>{N})\s?(?:[点點](?!间|心|评|儿吃"
    rf"|餐|菜|单)|时(?![间候常]))(?:钟|整|正|过)?"
    rf"(?:差(?P<less2>{N}|一刻)分?|(?P<thirty>半)|(?P<quarter>[一三])刻钟?|零?(?P<m>\d{{1,2}}"
    rf"|[{HAN}]{{1,3}})分?(?![个位人口桌张天周小]))?"
)
_OFF_EN = re.compile(
    r"\b(?:an? )?(?P<what>half|quarter|twenty[- ]five|twenty|fifteen|ten|five|two|three|four|six|seven|eight|nine"
    r"|\d{1,2})(?P<unit> minutes?| mins?)?[ -]"
    rf"(?P<side>past|after|to|before|of|til|till) (?P<h>{_HOUR}|noon|midnight){_HALF}?"
)
_HALF_EN = re.compile(rf"\bhalf[ -](?P<h>{_HOUR}){_HALF}?" + _UNITS)
_SPELLED = re.compile(rf"\b(?P<h>{_HOURS})[ -](?P<m>{_MINUTE})\b{_HALF}?" + _UNITS)
_SPACED = re.compile(rf"\b(?P<h>\d{{1,2}}) (?P<m>[0-5]\d){_HALF}")
_WITH_HALF = re.compile(rf"(?<![\d.:])(?P<h>{_HOUR}){_HALF}")
_O_CLOCK = re.compile(rf"(?<![\d.:])(?P<h>{_HOUR})[ -]?(?:o\W{{0,2}}clock\b|oclock\b){_HALF}?")
_ISH = re.compile(rf"(?<![\d.:])\b(?P<h>\d{{1,2}}|{_HOURS})[ -]?ish\b{_HALF}?")
_HUNDRED = re.compile(
    r"(?<![\d.:/$￥-])(?P<h>[01]\d|2[0-4])(?P<m>[0-5][05])(?![\d:/-]|\.\d)(?:\s?(?:hours|hrs?|h)\b)?"
    + _HALF
    + "?"
    + _UNITS
)
_SHORT_HUNDRED = re.compile(r"(?<![\d.:/$￥-])(?P<h>[1-9])(?P<m>[0-5][05])\s?(?P<half>[ap]\.?m\b\.?)")
_HRS = re.compile(r"(?<![\d.:])(?P<h>1\d|2[0-4]|0\d)\s?(?:hrs|hr|h)\b")
_AT = re.compile(r"(?:\bat|@|\baround|\babout|\bby|\bfrom|\bto|-|–|到|至)\s*$")
_NAMED = {"noon": "pm", "midnight": "am"}
_NOON = re.compile(r"\b(?:12 )?noon\b|\bmid-?day\b|正午(?:12点|十二点)?")
_MIDNIGHT = re.compile(r"\b(?:12 )?midnight\b|(?:半夜|午夜|夜里)(?:十二点|12点)|午夜|零时|子夜")
_SAID_BEFORE = re.compile(
    rf"(?:\bat|\bafter|\bpast|\btill?|\buntil|\bbefore|@|(?P<loose>\bby|\baround|\babout|\bfrom|\bapproximately|\bsay"
    rf"|\bmaybe|\bto))\s*(?P<h>{_RUN}|{_HOUR})(?![\d:]|\.\d)" + _UNITS
)
_ZH_BARE = re.compile(rf"(?<=[晚午早上晨])(?P<h>{N})(?![\d:：.点個个位人口元块分号日])")
_BARE = re.compile(rf"(?<![\d.:/$￥\w-])(?P<h>{_RUN}|{_HOUR}|{N})(?![\d:/\w]|\.\d)" + _UNITS)
_FACE_APART = re.compile(r"^\D*(?P<h>[01]?\d|2[0-3]) (?P<m>[0-5]\d)\D*$")
_BETWEEN = re.compile(
    r"^\s*(?:之?后)?\s*(?:-|–|—|~|～|to|and|till?|until|through|到|至|和)\s*(?:(?:in )?(?:the )?(?:evening|morning"
    r"|afternoon|night)|晚上|下午|上午|中午|早上|傍晚|凌晨)?\s*$"
)
_FROM = re.compile(r"\b(?:between|from)\s*$")
_FROM_ONE = re.compile(r"\b(?:from|between)\s+\S+(?: \S+)?\s*$")
_FIRST_OF_PAIR = re.compile(
    rf"(?<![\d.:/$￥\w-])(?P<h>{_HOUR}|{N})\s*(?:-|–|—|~|～|to|and|till?|until|到|至)\s*(?:(?:晚上|下午|上午|中午"
    rf"|早上|傍晚|凌晨)\s*)?$"
)


def clocks_in(rest: Rest, *, is_bare_enough: bool, is_loose: bool = True) -> list[ClockTime]:
    """The clocks of a text, left to right, taken out of it.

    is_bare_enough: a number alone is an hour here; is_loose: one after "about" or "from" is, too
    """
    found = [*_off_the_hour(rest), *_named(rest)]
    blank_parts(rest)
    found += [*_chinese(rest), *_faces(rest, is_timely=is_bare_enough or bool(rest.taken)), *_spelled(rest)]
    found += _after_a_word(rest, is_loose=is_loose)
    if found:
        found += _first_of_pair(rest, found[0])
    elif is_bare_enough or (rest.taken and is_loose):
        found += _bare(rest, is_bare_enough)
    return sorted(found, key=lambda clock: clock.start)


def is_stretch(text: str, first: ClockTime, second: ClockTime) -> bool:
    """Whether two clocks are the ends of one stretch: "from 5 to 6", 六点到八点. text: lower-case, as it was said."""
    return _BETWEEN.match(text[first.end : second.start]) is not None


_TEENS = {
    **{"thirteen": 13, "fourteen": 14, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19},
    **{"sixty": 60, "ninety": 90},
}


def count_of(word: str) -> float | None:
    """Of hours or minutes in English: a, half an, a couple of, two, 1.5; None for what counts nothing."""
    word = word.strip()
    if word in ("a", "an"):
        return 1
    if word.startswith("half"):
        return 0.5
    if "couple" in word:
        return 2
    if re.fullmatch(r"\d{1,12}(?:\.\d{1,3})?", word):
        return float(word)
    spelled = _MINUTES.get(word.replace("-", " "))
    if spelled is not None:
        return spelled
    if word in HOURS_EN:
        return HOURS_EN.index(word) + 1
    return _TEENS.get(word)


def _clock(match: re.Match[str], minute: int | None = None, *, is_sure: bool = False) -> ClockTime | None:
    groups = match.groupdict()
    word = groups.get("h") or ""
    if len(word) > 2 and word.isascii() and word.isdigit():
        word, minute = word[:-2], int(word[-2:])
    hour = _number(word)
    if minute is None:
        minute = _minute(groups.get("m"))
    if hour is None or minute is None or hour > 24 or minute > 59 or (hour == 24 and minute):
        return None
    half = (groups.get("half") or "")[:1]
    if half == "a" and hour > 12:
        return None
    return ClockTime(hour, minute, f"{half}m" if half else "", match.start(), match.end(), is_sure)


def _minute(word: str | None) -> int | None:
    if not word:
        return 0
    spelled = _MINUTES.get(word.replace("-", " "))
    return spelled if spelled is not None else _number(word)


def _number(word: str) -> int | None:
    word = word.strip()
    if word.isascii() and word.isdigit():
        return int(word)
    if word in HOURS_EN:
        return HOURS_EN.index(word) + 1
    value = han_number(word) if word else None
    return int(value) if value is not None and value == int(value) else None


def _taken(
    rest: Rest, pattern: re.Pattern[str], made: Callable[[re.Match[str]], ClockTime | None]
) -> Iterator[ClockTime]:
    for match in rest.take_all(pattern):
        clock = made(match)
        if clock is None:
            rest.put_back(match)
        else:
            yield clock


def _less(clock: ClockTime | None, minutes: int) -> ClockTime | None:
    """So many minutes before a clock."""
    if clock is None or not 0 <= minutes <= 60:
        return None
    total = (clock.hour * 60 + clock.minute - minutes) % 1440
    hour = total // 60
    if clock.hour <= 12:
        hour = (hour - 1) % 12 + 1 if hour else 12
        flips = clock.hour == 12 and clock.half and hour != 12
        return replace(
            clock, hour=hour, minute=total % 60, half={"am": "pm", "pm": "am"}[clock.half] if flips else clock.half
        )
    return replace(clock, hour=hour, minute=total % 60)


def _faces(rest: Rest, *, is_timely: bool) -> Iterator[ClockTime]:
    """7:30, 7.30 and 1930; the last two are numbers of other things as well: a rating, a year."""

    def made(match: re.Match[str]) -> ClockTime | None:
        is_plain = not match["half"] and re.fullmatch(r"\d+\.?\d+", match[0].strip()) is not None
        if is_plain and not is_timely and _AT.search(match.string[: match.start()]) is None:
            return None
        is_four = match.re is _HUNDRED
        return _clock(match, is_sure=not match["half"] and (is_four or match["h"].startswith("0")))

    for pattern in (_FACE, _HUNDRED):
        yield from _taken(rest, pattern, made)
    yield from _taken(rest, _HRS, lambda m: _clock(m, 0, is_sure=True))


def _off_the_hour(rest: Rest) -> Iterator[ClockTime]:
    def made(match: re.Match[str]) -> ClockTime | None:
        minutes = {"half": 30, "quarter": 15}.get(match["what"]) or int(count_of(match["what"]) or 0)
        if match["h"] in _NAMED:
            clock: ClockTime | None = ClockTime(12, 0, _NAMED[match["h"]], match.start(), match.end())
        else:
            clock = _clock(match, 0)
        if clock is None or minutes > 59:
            return None
        return replace(clock, minute=minutes) if match["side"] in ("past", "after") else _less(clock, minutes)

    for match in rest.take_all(_OFF_EN):
        clock = made(match) if _is_off(match, rest.text) else None
        if clock is None:
            rest.put_back(match)
        else:
            yield clock
    yield from _taken(rest, _HALF_EN, lambda m: _clock(m, 30))


def _is_off(match: re.Match[str], text: str) -> bool:
    """ "Five to seven" is a minute, but "from five to seven" and "7 to 9" are stretches."""
    if match["unit"] or match["side"] in ("past", "after", "before", "of"):
        return match["side"] not in ("after", "before", "of") or bool(match["unit"]) or match["what"] in _OFTEN
    return match["what"] in _OFTEN and _FROM.search(text[: match.start()]) is None


_OFTEN = ("half", "quarter", "twenty-five", "twenty five", "twenty", "ten", "five", "10", "20", "25")


def _spelled(rest: Rest) -> Iterator[ClockTime]:
    for pattern in (_SPELLED, _SPACED, _O_CLOCK, _ISH, _SHORT_HUNDRED, _WITH_HALF):
        yield from _taken(rest, pattern, _clock)


def _chinese(rest: Rest) -> Iterator[ClockTime]:
    def made(match: re.Match[str]) -> ClockTime | None:
        minute = 30 if match["thirty"] else 15 * ("一三".index(match["quarter"]) * 2 + 1) if match["quarter"] else None
        less = match["less"] or match["less2"]
        if not less:
            return _clock(match, minute)
        return _less(_clock(match, 0), 15 if less == "一刻" else _number(less) or 0)

    yield from _taken(rest, _ZH, made)
    yield from _taken(rest, _ZH_BARE, _clock)


def _named(rest: Rest) -> Iterator[ClockTime]:
    for match in rest.take_all(_MIDNIGHT):
        yield ClockTime(12, 0, "am", match.start(), match.end())
    for match in rest.take_all(_NOON):
        yield ClockTime(12, 0, "pm", match.start(), match.end())


def _after_a_word(rest: Rest, *, is_loose: bool) -> Iterator[ClockTime]:
    for match in rest.take_all(_SAID_BEFORE):
        is_heard = is_loose or not match["loose"]
        if match["loose"] == "to":
            is_heard = _FROM_ONE.search(rest.said[: match.start()]) is not None
        clock = _clock(match) if is_heard else None
        # "From 5 to 6": each end has its word; of "to 6" alone the word is not one of time.
        if clock is None:
            rest.put_back(match)
        else:
            is_before = match[0].startswith(("before", "until", "till"))
            yield replace(clock, start=match.start("h"), is_before=is_before)


def _first_of_pair(rest: Rest, known: ClockTime) -> Iterator[ClockTime]:
    """The 7 of "7 to 8 pm" and of "between 7 and 8 o'clock"."""
    match = _FIRST_OF_PAIR.search(rest.text[: known.start])
    clock = None if match is None else _clock(match, 0)
    if match is not None and clock is not None:
        rest.blank(match.start(), match.end())
        yield replace(clock, end=match.end("h"))


def _bare(rest: Rest, is_enough: bool) -> Iterator[ClockTime]:
    """One number, or two that are ends of a stretch; where times were read already, only beside those."""
    apart = _FACE_APART.match(rest.text) if is_enough else None
    matches = [apart] if apart is not None else list(_BARE.finditer(rest.text))
    numbers = [(match, clock) for match in matches if (clock := _clock(match)) is not None]
    if not is_enough:
        # "For 3 in 10 days" tells of people.
        numbers = [pair for pair in numbers if not rest.text[: pair[0].start()].rstrip().endswith((" for", "for"))]
    beside = [pair for pair in numbers if is_enough or _is_beside(rest, pair[0])]
    if len(numbers) == 2 and beside and is_stretch(rest.text, numbers[0][1], numbers[1][1]):
        beside = numbers
    for match, clock in beside[:2]:
        rest.blank(match.start(), match.end())
        yield clock


_SMALL = re.compile(r"[\s,，。、]*(?:(?:in|on|at|the|of|晚上|的)\s*)*")


def _is_beside(rest: Rest, match: re.Match[str]) -> bool:
    for start, end in rest.taken:
        gap = rest.text[end : match.start()] if end <= match.start() else rest.text[match.end() : start]
        if _SMALL.fullmatch(gap):
            return True
    return False
