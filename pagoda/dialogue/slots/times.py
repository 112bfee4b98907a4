"""Days and hours as people say them, relative to now: 今晚七点, next Friday 7:30pm, in two hours, half past six.

Stands between *understanding* and *events* on the turn's path. A day without an hour is a stretch, an hour without a
day the next such hour; what was known before completes what is said now, so that 改成八点 keeps the day. In the manner
of SUTime (Chang and Manning 2012) and Duckling, with rules for two languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from pagoda.dialogue.slots.kinds import When
from pagoda.dialogue.slots.numbers import han_number, numbers_in
from pagoda.dialogue.slots.parts_of_day import PARTS, hour_of_day, part_around, part_in
from pagoda.dialogue.slots.time_words import (
    AFTER_EN,
    AFTER_ZH,
    CLOCK,
    DATE_EN,
    DATE_ZH,
    DAYS,
    EN_CLOCK,
    EN_HALF,
    EN_RELATIVE,
    EN_WEEKDAY,
    HOURS_EN,
    ISO,
    MONTHS_EN,
    NOW,
    PAST,
    THIS_WEEKDAY,
    WEEKDAYS_EN,
    ZH_CLOCK,
    ZH_WEEKDAY,
)


@dataclass(frozen=True)
class _Heard:
    """What was said: a day, a part of it, an hour and minute; None where nothing was.

    comes_again: the day is one of every week, so that one of next week may be meant
    """

    day: date | None = None
    comes_again: bool = False
    part: str = ""
    clock: tuple[int, int] | None = None
    is_marked: bool = False


def parse_time(text: str, now: datetime, previous: When | None = None) -> When | None:
    """When a folded text means, seen from now. previous: known before; its day or hour stays where none is said.

    None where no time is in it, and for a moment that is over.

    >>> parse_time("明天中午12点半", datetime(2026, 11, 21, 10))
    When(start='2026-11-22T12:30', end='')
    """
    plain = text.lower().strip()
    if PAST.search(plain):
        return None
    exact = _offset(plain, now) or _iso(plain)
    if exact is not None:
        return _if_ahead(exact, now)
    heard = _heard(plain, now)
    if heard == _Heard():
        return None
    return _resolved(_completed(heard, previous, now), now)


def _heard(plain: str, now: datetime) -> _Heard:
    day = _day(plain, now)
    comes_again = day is not None and day == _weekday(plain, now.date()) and not THIS_WEEKDAY.search(plain)
    return _Heard(day, comes_again, part_in(plain), *_clock(_without_dates(plain)))


def _without_dates(plain: str) -> str:
    """周六十点 is ten o'clock, not sixty."""
    for pattern in (DATE_ZH, DATE_EN, ZH_WEEKDAY):
        plain = pattern.sub(" ", plain)
    return plain


def _day(plain: str, now: datetime) -> date | None:
    for offset, pattern in DAYS:
        if re.search(pattern, plain):
            return now.date() + timedelta(days=offset)
    return _weekday(plain, now.date()) or _calendar_day(plain, now.date())


def _weekday(plain: str, today: date) -> date | None:
    if match := ZH_WEEKDAY.search(plain):
        wanted = "一二三四五六日".find(match["day"].replace("天", "日").replace("末", "六"))
        return _next_weekday(today, wanted, (match["next"] or "").startswith("下"), from_monday=True)
    if match := EN_WEEKDAY.search(plain):
        wanted = 5 if match["day"] == "weekend" else WEEKDAYS_EN.index(match["day"][:3])
        return _next_weekday(today, wanted, match["next"] == "next ", from_monday=True)
    return None


def _next_weekday(today: date, wanted: int, is_next: bool, *, from_monday: bool) -> date:
    """The next such day, today included; "next" means the one of the week after this, which begins on Monday."""
    if is_next and from_monday:
        return today - timedelta(days=today.weekday()) + timedelta(days=7 + wanted)
    return today + timedelta(days=(wanted - today.weekday()) % 7)


def _calendar_day(plain: str, today: date) -> date | None:
    if match := DATE_ZH.search(plain):
        month = _small(match["month"]) if match["month"] else None
        return _next_date(today, month, _small(match["day"]))
    if match := DATE_EN.search(plain):
        name = match["m1"] or match["m2"]
        return _next_date(today, MONTHS_EN.index(name) + 1 if name else None, int(match["d1"] or match["d2"]))
    return None


def _next_date(today: date, month: int | None, day: int | None) -> date | None:
    """The next such day of the calendar; None where there is none."""
    if day is None:
        return None
    for months in range(24):
        year, index = divmod(today.year * 12 + today.month - 1 + months, 12)
        if month is not None and index + 1 != month:
            continue
        try:
            found = date(year, index + 1, day)
        except ValueError:
            continue
        if found >= today:
            return found
    return None


def _clock(plain: str) -> tuple[tuple[int, int] | None, bool]:
    """((hour, minute), whether it was marked as of 24 hours or by words of a clock), or (None, False)."""
    if match := CLOCK.search(plain):
        return (int(match["h"]), int(match["m"])), True
    if match := ZH_CLOCK.search(plain):
        return _zh_clock(match), True
    if match := EN_RELATIVE.search(plain):
        return _en_relative(match), True
    if match := EN_HALF.search(plain):
        return (HOURS_EN.index(match["h"]) + 1, 30), True
    for match in EN_CLOCK.finditer(plain):
        if (found := _en_clock(match, plain)) is not None:
            return found, True
    if re.search(r"\bnoon\b|\bmidday\b|正午", plain):
        return (12, 0), True
    return ((24, 0), True) if re.search(r"\bmidnight\b|半夜十二点|午夜", plain) else (None, False)


def _zh_clock(match: re.Match[str]) -> tuple[int, int] | None:
    hour = _small(match["h"])
    minute = 30 if match["half"] else 15 * int("一二三".index(match["quarter"]) + 1) if match["quarter"] else 0
    if match["m"]:
        minute = _small(match["m"]) or 0
    return (hour, minute) if hour is not None and hour <= 24 and minute < 60 else None


def _en_relative(match: re.Match[str]) -> tuple[int, int]:
    minutes = {"half": 30, "quarter": 15, "twenty": 20, "ten": 10, "five": 5}.get(match["what"])
    minutes = int(match["what"]) if minutes is None else minutes
    hour = _hour(match["h"])
    return (hour, minutes) if match["side"] in ("past", "after") else ((hour - 1) or 12, 60 - minutes)


def _en_clock(match: re.Match[str], plain: str) -> tuple[int, int] | None:
    """A bare number is an hour only with a word of a clock around it, or where it stands alone."""
    before = plain[: match.start("h")].rstrip()
    is_said = bool(
        re.search(
            r"(?:\bat|\bby|\baround|\babout|\bafter|\btill|\buntil|\bfrom|@|night|evening|morning|noon|day|omorrow)$",
            before,
        )
    )
    follows = plain[match.end() :].strip()
    if not (match["mark"] or match["m"] or is_said or (not before and not follows)):
        return None
    if re.match(r"(?:people|persons?|guests?|of us|yuan|stars?)\b", follows):
        return None
    hour = _hour(match["h"])
    minutes = {"thirty": 30, "fifteen": 15, None: 0}.get(match["m"])
    minutes = (int(match["m"]) if match["m"].isdigit() else 45) if minutes is None else minutes
    return (hour, minutes) if hour <= 24 else None


def _hour(word: str) -> int:
    return int(word) if word.isdigit() else HOURS_EN.index(word) + 1


def _small(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    value = han_number(text)
    return int(value) if value is not None else None


def _completed(heard: _Heard, previous: When | None, now: datetime) -> _Heard:
    """A day alone keeps the hour that was known, an hour or part of a day its day, an hour its half of the day."""
    if previous is None:
        return heard
    start = datetime.fromisoformat(previous.start)
    if heard.clock is None and not heard.part and previous.is_exact:
        return replace(heard, clock=(start.hour, start.minute), part="as_said")
    if heard.clock is not None and heard.day is None:
        return replace(heard, day=start.date(), part=heard.part or part_around(start.hour, heard.clock[0]))
    if heard.day is None and start.date() > now.date():
        return replace(heard, day=start.date())
    return heard


def _resolved(heard: _Heard, now: datetime) -> When | None:
    """The moment or stretch; None where it is over, save for a weekday, which comes again."""
    found = _stretch(heard, now) if heard.clock is None else _at_the_clock(heard, heard.clock, now)
    if found is None and heard.day is not None and heard.comes_again:
        return _resolved(replace(heard, day=heard.day + timedelta(days=7), comes_again=False), now)
    return found


def _at_the_clock(heard: _Heard, clock: tuple[int, int], now: datetime) -> When | None:
    hour = clock[0] if heard.part == "as_said" else hour_of_day(clock[0], heard.part)
    if heard.day is not None:
        return _if_ahead(_at(heard.day, hour, clock[1]), now)
    # Of an hour past midnight, the night that is under way may be meant.
    first = _at(now.date(), hour % 24, clock[1])
    return _moment(first if first > now else first + timedelta(days=1))


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(hours=hour, minutes=minute)


def _stretch(heard: _Heard, now: datetime) -> When | None:
    first, last = (PARTS[heard.part][0], PARTS[heard.part][1]) if heard.part in PARTS else (0, 24)
    day = heard.day or now.date()
    start, end = _at(day, first, 0), _at(day, last, 0)
    if heard.day is None and end <= now:
        start, end = start + timedelta(days=1), end + timedelta(days=1)
    if end <= now:
        return None
    return When(_iso_of(start), _iso_of(end))


def _offset(plain: str, now: datetime) -> datetime | None:
    """In two hours, 半小时后, now."""
    if match := AFTER_ZH.search(plain):
        count = (float(match["n"]) if match["n"][0].isdigit() else han_number(match["n"]) or 0) + (
            0.5 if match["half"] else 0
        )
        return _later(
            now, count, {"分钟": "m", "小时": "h", "钟头": "h", "天": "d", "周": "w", "星期": "w"}[match["unit"]]
        )
    if match := AFTER_EN.search(plain):
        count = _english_count(match["n"]) + (0.5 if "and a half" in match[0] else 0)
        return _later(now, count, match["unit"][0]) if count else None
    return _later(now, 1, "m") if NOW.search(plain) else None


def _english_count(word: str) -> float:
    if word in ("a", "an"):
        return 1
    if word == "half an":
        return 0.5
    found = numbers_in(word)
    return found[0].value if found else 0


def _later(now: datetime, count: float, unit: str) -> datetime:
    minutes = {"m": 1, "h": 60, "d": 1440, "w": 10080}[unit]
    return (now + timedelta(minutes=count * minutes)).replace(second=0, microsecond=0)


def _iso(plain: str) -> datetime | None:
    match = ISO.search(plain)
    if not match or match["h"] is None:
        return None
    try:
        return datetime(int(match["y"]), int(match["m"]), int(match["d"]), int(match["h"]), int(match["min"]))
    except ValueError:
        return None


def _if_ahead(moment: datetime, now: datetime) -> When | None:
    return _moment(moment) if moment > now.replace(second=0, microsecond=0) else None


def _moment(moment: datetime) -> When:
    return When(_iso_of(moment))


def _iso_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M")
