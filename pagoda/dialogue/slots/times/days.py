"""The day that is meant: tomorrow, 下下周五, 12/05/2026, the first Monday of February, two weeks from Friday.

Stands between *understanding* and *events* on the turn's path, under `moments`. Each rule takes its words out of the
text that is left. Numbers with strokes are in the order of the US, month first, unless the first is above 12;
with points the day is first. A weekday is the next one, today included; "next" and 下 mean the week after this one,
which begins on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from pagoda.dialogue.slots.numbers import han_number
from pagoda.dialogue.slots.times.clocks import count_of
from pagoda.dialogue.slots.times.festivals import FESTIVALS, next_festival, nth_weekday
from pagoda.dialogue.slots.times.words import (
    COUNT_EN,
    COUNT_ZH,
    MONTH_EN,
    MONTHS_EN,
    ORDINALS_EN,
    WEEKDAY_EN,
    WEEKDAY_ZH,
    WEEKDAYS_EN,
    N,
    Rest,
)


@dataclass(frozen=True)
class Day:
    """A day that was named. weekday: it was named by its weekday, from Monday 0; -1 otherwise.

    last: of several days, such as a weekend; comes_again: one of every week, so that the next may be meant
    """

    first: date
    last: date | None = None
    comes_again: bool = False
    weekday: int = -1


_RELATIVE = (
    (4, re.compile(r"大大后天")),
    (3, re.compile(r"大后天|\bthree days from (?:now|today)\b")),
    (2, re.compile(r"后天|后晚|后日|\b(?:the )?day after tomorrow\b|\bovermorrow\b")),
    (
        1,
        re.compile(
            r"明天|明晚|明日|明早|明儿个?|明(?=[上下中傍凌][午晚晨])|\btomm?orr?ow'?s?\b|\btmr?w\b|\btmr\b"
            r"|\btomoz\b|\b2morrow\b"
        ),
    ),
    (
        0,
        re.compile(
            r"今天|今晚|今日|今早|今儿个?|今夜|当晚|(?<![a-z])later today\b|\btoday'?s?\b|\bto-?ni(?:ght|te)\b"
            r"|\b2nite\b|\b2night\b"
            r"|\bthis (?:morning|afternoon|evening)\b"
        ),
    ),
)
_SAME = re.compile(r"同一天|同天|当天|那天|那一天|\b(?:on )?(?:the |that )same (?:day|date)\b|\bthat (?:same )?day\b")
_ISO = re.compile(
    r"(?<![\d/.-])(?P<y>20\d\d)(?:\s?[-/.]\s?(?P<m>\d{1,2})\s?[-/.]\s?(?P<d>\d{1,2})(?!\d)(?:t(?=\d))?"
    rf"|年(?P<m2>{N})月(?P<d2>{N})[日号]?|(?P<m3>0[1-9]|1[0-2])(?P<d3>[0-3]\d)(?!\d))"
)
_STROKES = re.compile(r"(?<![\d/.:-])(?P<a>\d{1,2})(?P<sep>[/.-])(?P<b>\d{1,2})(?P=sep)(?P<y>20\d\d|\d\d)(?![\d/.:-])")
_SHORT = re.compile(r"(?<![\d/.:-])(?P<a>\d{1,2})/(?P<b>\d{1,2})(?![\d/.:-])")
_HYPHEN = re.compile(r"(?<![\d/.:$￥-])(?P<a>\d{1,2})[-.](?P<b>\d{1,2})(?=\s|晚|早|上|下|中|$)")
_A_CLOCK = re.compile(r"[\d一二两三四五六七八九十]\s?[点:：时]|[晚午早]\d|\d\s?[ap]\.?m")
_ORDINAL = "|".join(sorted(ORDINALS_EN, key=len, reverse=True))
_MONTH_DAY = re.compile(
    rf"\b(?:(?P<m1>{MONTH_EN})\.?,? (?:the )?(?P<d1>\d{{1,2}}(?![\d:.])(?:st|nd|rd|th)?|{_ORDINAL})"
    rf"|(?:the )?(?P<d2>\d{{1,2}}(?:st|nd|rd|th)?|{_ORDINAL})(?: day)?(?: of)?[ -]?(?P<m2>{MONTH_EN}))\b\.?"
    r"(?:(?:,| of)? ?(?P<y>20\d\d)\b)?"
)
_DAY_OF_MONTH = re.compile(
    rf"\b(?:on )?(?:the )?(?P<d>\d{{1,2}}(?:st|nd|rd|th)|(?<=the )(?:{_ORDINAL}))(?: of)?(?: (?P<rel>this|the"
    rf"|next) month)?\b"
    rf"(?! (?:one|option|of us|floor|{WEEKDAY_EN}))"
)
_ZH_DATE = re.compile(
    rf"(?:(?P<year>今年|明年)的?)?(?:(?P<m>{N})月(?:份的?)?|(?P<rel>下个?月|这个?月"
    rf"|本月)的?)?(?P<d>{N})[日号](?![线楼店桌厅馆院])"
    rf"|(?P<m_alone>{N})月(?P<d_alone>{N})(?=[\s,，早晚上下中凌]|$)"
)
_NTH_EN = re.compile(
    rf"\b(?:the )?(?P<nth>first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th) (?P<day>{WEEKDAY_EN}) (?:of|in) "
    rf"(?P<month>(?:the|this|next) month|{MONTH_EN})\b"
)
_NTH_ZH = re.compile(
    rf"(?:(?P<m>{N})月|(?P<rel>下个?月|这个?月|本月))(?:份)?的?(?:第(?P<nth>[一二三四五])|(?P<last>最后一))个?"
    rf"{WEEKDAY_ZH}(?P<day>[一二三四五六日天])"
)
_WEEKS_FROM = re.compile(
    rf"\b(?P<n>{COUNT_EN}) (?P<unit>days?|weeks?|fortnights?|months?) (?:from|after|on"
    rf"|following) (?:the )?(?:(?P<next>next"
    rf"|this|coming) )?"
    rf"(?P<anchor>now|today|tomorrow|{WEEKDAY_EN})\b"
)
_IN_EN = re.compile(
    rf"\b(?:(?P<in>in|after) )?(?P<n>{COUNT_EN}) (?P<unit>days?|weeks?|fortnights?|months?)'?s?(?: time)?"
    rf"(?: and (?P<n2>{COUNT_EN}) days?)?(?P<later> (?:from now|later|hence|ahead|time))?\b"
)
_IN_ZH = re.compile(rf"(?:再?过)?(?P<n>{COUNT_ZH})个?(?P<unit>天|日|周|星期|礼拜|月)(?:以后|之后|后)的?")
_AFTER_NEXT = re.compile(
    rf"\b(?:the )?(?P<day>{WEEKDAY_EN}) after next\b|\b(?P<day2>{WEEKDAY_EN}) (?:in )?(?:the )?week after next\b"
)
_WEEKDAY_WEEK = re.compile(rf"\b(?P<day>{WEEKDAY_EN}) week\b|\ba week on (?P<day2>{WEEKDAY_EN})\b")
_EN_WEEKDAY = re.compile(
    rf"\b(?:(?P<how>(?:this )?(?:(?:next|this) week|next|this|coming"
    rf"|following))(?: on)? )?(?P<day>{WEEKDAY_EN})'?s?(?: (?P<of>(?:of )?(?:next|this) week))?\b"
)
_EN_WEEKEND = re.compile(r"\b(?:(?P<how>next|this|the|coming) )?(?:coming )?week-?ends?\b")
_ZH_WEEKDAY = re.compile(rf"(?P<how>下+个?|这个?|本)?(?:的)?{WEEKDAY_ZH}(?P<day>[一二三四五六日天末1-6])(?!后)")


def days_in(rest: Rest, today: date, known: date | None) -> tuple[list[Day], bool]:
    """The days that a text names, taken out of it; and whether "the same day" was said without a day known before."""
    found: list[Day] = []
    for rule in _RULES:
        found += rule(rest, today)
    is_same = rest.take(_SAME) is not None
    if is_same and known is not None and not found:
        return [Day(known)], False
    return found, is_same and not found


def _shifted(day: date, days: float) -> date | None:
    """None where the calendar ends."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


def _made(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _small(text: str | None) -> int | None:
    """A day or month in digits, with or without st, nd, rd, th, in Chinese numerals or as an English ordinal."""
    if not text:
        return None
    digits = re.match(r"\d+", text)
    if digits:
        return int(digits[0])
    if text in ORDINALS_EN:
        return ORDINALS_EN.index(text) + 1
    value = han_number(text)
    return int(value) if value is not None else None


def _count(word: str) -> float:
    """Of days or weeks; 0 where it is no number."""
    word = word.strip()
    if word.isascii():
        return count_of(word) or 0
    return han_number(word) or 0


def _taken(rest: Rest, pattern: re.Pattern[str], made: Callable[[re.Match[str]], date | None]) -> Iterator[Day]:
    """A day for each match; what makes none is put back, for others or for those who ask what was not read."""
    for match in rest.take_all(pattern):
        day = made(match)
        if day is None:
            rest.put_back(match)
        else:
            yield Day(day)


def _dates(rest: Rest, today: date) -> Iterator[Day]:
    yield from _taken(
        rest,
        _ISO,
        lambda m: _made(
            int(m["y"]), _small(m["m"] or m["m2"] or m["m3"]) or 0, _small(m["d"] or m["d2"] or m["d3"]) or 0
        ),
    )
    yield from _taken(rest, _STROKES, _with_strokes)
    yield from _taken(rest, _MONTH_DAY, lambda m: _month_day(m, today))
    yield from _taken(rest, _SHORT, lambda m: _next_date(today, *_us_order(m)))
    for match in rest.take_all(_HYPHEN):
        # 12-5 and 12.25 may be hours as well: they are a date where the hour is told beside it.
        day = _next_date(today, *_us_order(match)) if _A_CLOCK.search(rest.text) else None
        if day is None:
            rest.put_back(match)
        else:
            yield Day(day)


def _with_strokes(match: re.Match[str]) -> date | None:
    month, day = (int(match["b"]), int(match["a"])) if match["sep"] == "." else _us_order(match)
    return _made(int(match["y"]) % 100 + 2000, month, day)


def _us_order(match: re.Match[str]) -> tuple[int, int]:
    """(month, day)."""
    first, second = int(match["a"]), int(match["b"])
    return (second, first) if first > 12 else (first, second)


def _month_day(match: re.Match[str], today: date) -> date | None:
    month = MONTHS_EN.index((match["m1"] or match["m2"])[:3]) + 1
    day = _small(match["d1"] or match["d2"]) or 0
    return _made(int(match["y"]), month, day) if match["y"] else _next_date(today, month, day)


def _next_date(today: date, month: int | None, day: int | None) -> date | None:
    """The next such day of the calendar; None where there is none."""
    if not day:
        return None
    for months in range(60):
        year, index = divmod(today.year * 12 + today.month - 1 + months, 12)
        if month is not None and index + 1 != month:
            continue
        found = _made(year, index + 1, day)
        if found is not None and found >= today:
            return found
    return None


def _month_after(today: date, months: int) -> tuple[int, int]:
    year, index = divmod(today.year * 12 + today.month - 1 + months, 12)
    return year, index + 1


def _days_of_month(rest: Rest, today: date) -> Iterator[Day]:
    def english(match: re.Match[str]) -> date | None:
        day = _small(match["d"]) or 0
        if match["rel"] is None:
            return _next_date(today, None, day)
        return _made(*_month_after(today, match["rel"] == "next"), day)

    def chinese(match: re.Match[str]) -> date | None:
        day, month = _small(match["d"] or match["d_alone"]) or 0, _small(match["m"] or match["m_alone"])
        if match["rel"]:
            return _made(*_month_after(today, match["rel"].startswith("下")), day)
        if match["year"]:
            return _made(today.year + (match["year"] == "明年"), month or 0, day)
        return _next_date(today, month, day)

    yield from _taken(rest, _ZH_DATE, chinese)
    yield from _taken(rest, _DAY_OF_MONTH, english)


def _nth_days(rest: Rest, today: date) -> Iterator[Day]:
    def english(match: re.Match[str]) -> date | None:
        nth = -1 if match["nth"] == "last" else int(match["nth"][0]) if match["nth"][0].isdigit() else 0
        nth = nth or ORDINALS_EN.index(match["nth"]) + 1
        weekday, month = WEEKDAYS_EN.index(match["day"][:3]), match["month"]
        if month.endswith("month"):
            return nth_weekday(*_month_after(today, month.startswith("next")), nth, weekday)
        return _next_nth(today, MONTHS_EN.index(month[:3]) + 1, nth, weekday)

    def chinese(match: re.Match[str]) -> date | None:
        nth = -1 if match["last"] else "一二三四五".index(match["nth"]) + 1
        weekday = "一二三四五六日".index(match["day"].replace("天", "日"))
        if match["rel"]:
            return nth_weekday(*_month_after(today, match["rel"].startswith("下")), nth, weekday)
        month = _small(match["m"]) or 0
        return _next_nth(today, month, nth, weekday) if 1 <= month <= 12 else None

    yield from _taken(rest, _NTH_EN, english)
    yield from _taken(rest, _NTH_ZH, chinese)


def _next_nth(today: date, month: int, nth: int, weekday: int) -> date | None:
    found = (nth_weekday(year, month, nth, weekday) for year in (today.year, today.year + 1))
    return next((day for day in found if day is not None and day >= today), None)


def _counted(rest: Rest, today: date) -> Iterator[Day]:
    def anchored(match: re.Match[str]) -> date | None:
        anchor = match["anchor"]
        if anchor in ("now", "today", "tomorrow"):
            start = _shifted(today, anchor == "tomorrow")
        else:
            start = _weekday(today, WEEKDAYS_EN.index(anchor[:3]), weeks=match["next"] == "next")
        return None if start is None else _later(start, _count(match["n"]), match["unit"])

    def english(match: re.Match[str]) -> date | None:
        if not (match["in"] or match["later"]) or (match["n"] or "").endswith("few"):
            return None
        day = _later(today, _count(match["n"]), match["unit"])
        return _shifted(day, _count(match["n2"])) if day is not None and match["n2"] else day

    yield from _taken(rest, _WEEKS_FROM, anchored)
    yield from _taken(rest, _IN_EN, english)
    units = {"天": "day", "日": "day", "周": "week", "星期": "week", "礼拜": "week", "月": "month"}
    yield from _taken(rest, _IN_ZH, lambda m: _later(today, _count(m["n"]), units[m["unit"]]))


def _later(day: date, count: float, unit: str) -> date | None:
    """None for no number, half days and what lies past the calendar."""
    if unit.startswith("month") and count == 0.5:
        return _shifted(day, 15)
    if unit.startswith("month"):
        if not 0 < count <= 120 or count != int(count):
            return None
        return _made(*_month_after(day, int(count)), day.day)
    days = count * (7 if unit.startswith("week") else 14 if unit.startswith("fort") else 1)
    return _shifted(day, int(days)) if days > 0 and days == int(days) else None


def _weekdays(rest: Rest, today: date) -> Iterator[Day]:
    for match in rest.take_all(_AFTER_NEXT):
        yield Day(_weekday(today, WEEKDAYS_EN.index((match["day"] or match["day2"])[:3]), weeks=2))
    for match in rest.take_all(_WEEKDAY_WEEK):
        first = _weekday(today, WEEKDAYS_EN.index((match["day"] or match["day2"])[:3]))
        yield Day(first + timedelta(days=7))
    for match in rest.take_all(_EN_WEEKDAY):
        said = f"{match['how'] or ''} {match['of'] or ''}"
        wanted = WEEKDAYS_EN.index(match["day"][:3])
        is_this = "this" in said or "coming" in said
        weeks = 1 if "next" in said or "following" in said else 0
        yield Day(_weekday(today, wanted, weeks=weeks), None, not weeks and not is_this, wanted)
    for match in rest.take_all(_ZH_WEEKDAY):
        weeks, is_this = (match["how"] or "").count("下"), (match["how"] or "下")[0] in "这本"
        if match["day"] == "末":
            yield _weekend(today, weeks)
            continue
        wanted = (
            int(match["day"]) - 1
            if match["day"].isdigit()
            else "一二三四五六日".index(match["day"].replace("天", "日"))
        )
        yield Day(_weekday(today, wanted, weeks=weeks), None, not weeks and not is_this, wanted)
    for match in rest.take_all(_EN_WEEKEND):
        yield _weekend(today, match["how"] == "next")


def _weekday(today: date, wanted: int, *, weeks: int = 0) -> date:
    """The next such day, today included; with weeks, the one of that week after this, which begins on Monday."""
    if weeks:
        return today - timedelta(days=today.weekday()) + timedelta(days=7 * weeks + wanted)
    return today + timedelta(days=(wanted - today.weekday()) % 7)


def _weekend(today: date, weeks: int) -> Day:
    """Saturday and Sunday; on a Sunday, what is left of it."""
    if weeks or today.weekday() != 6:
        first = _weekday(today, 5, weeks=weeks)
        return Day(first, first + timedelta(days=1))
    return Day(today)


def _relative(rest: Rest, today: date) -> Iterator[Day]:
    for offset, pattern in _RELATIVE:
        day = _shifted(today, offset)
        if rest.take(pattern) is not None and day is not None:
            yield Day(day)


def _festivals(rest: Rest, today: date) -> Iterator[Day]:
    for pattern, of in FESTIVALS.items():
        yield from _taken(rest, pattern, partial(_festival, of, today))


def _festival(of: Callable[[int], date | None], today: date, match: re.Match[str]) -> date | None:
    return next_festival(of, today)


_RULES: tuple[Callable[[Rest, date], Iterator[Day]], ...] = (
    _festivals,
    _nth_days,
    _counted,
    _dates,
    _days_of_month,
    _relative,
    _weekdays,
)
