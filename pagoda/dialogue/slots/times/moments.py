"""Days and hours as people say them, relative to now: 今晚七点, next Friday 7:30pm, in two hours, half past six.

Stands between *understanding* and *events* on the turn's path: the door of this folder. A day without an hour is a
stretch, an hour without a day the next such hour; what was known before completes what is said now, so that 改成八点
keeps the day. Every word has to be understood: what is left over makes the reading partial, two days or two hours make
it ambiguous, and a moment that is over comes with the next such one. In the manner of SUTime (Chang and Manning 2012)
and Duckling, with rules for two languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from pagoda.dialogue.domain.model import EARLIEST
from pagoda.dialogue.slots.kinds import When
from pagoda.dialogue.slots.numbers import han_number
from pagoda.dialogue.slots.readings import NOTHING, ValueReading
from pagoda.dialogue.slots.times.clocks import ClockTime, clocks_in, count_of, is_stretch
from pagoda.dialogue.slots.times.days import Day, days_in
from pagoda.dialogue.slots.times.parts import PARTS, hour_of_day, part_around, part_in
from pagoda.dialogue.slots.times.words import (
    BEFORE,
    COUNT_EN,
    COUNT_ZH,
    NOW,
    PAST,
    THIS_YEAR,
    TIME_WORDS,
    VAGUE,
    Rest,
    plain_of,
)

_MAX_MINUTES = 366 * 24 * 60
_OFFSET_EN = re.compile(
    rf"\b(?:(?:in|after|within) )?(?:about |around )?(?P<n>{COUNT_EN}) (?P<unit>minutes?|mins?|hours?|hrs?)'?s?"
    rf"(?P<half> and a half)?(?: and (?P<n2>{COUNT_EN}) (?:minutes?|mins?))?(?: time)?"
    r"(?P<later> (?:from now|later|before|after|hence|past|ahead))?(?![a-z])"
)
_OFFSET_ZH = re.compile(
    rf"(?:再?过)?(?P<n>{COUNT_ZH})(?:个(?P<half>半)?)?(?P<unit>分钟|小时|钟头"
    rf"|刻钟)(?P<half2>半)?(?:(?P<n2>{COUNT_ZH})分钟?)?(?P<later>以后|之后|后)?"
)


@dataclass(frozen=True)
class _Heard:
    """What was said. day: with last, the first of several; known: the hour was known before and is of 24."""

    day: Day | None = None
    part: str = ""
    clock: ClockTime | None = None
    until: ClockTime | None = None
    is_known: bool = False


def read_time(text: str, now: datetime, previous: When | None = None, earliest: int = EARLIEST) -> ValueReading:
    """What a folded text means, seen from now; NOTHING where it is about no time.

    previous: known before; its day or hour stays where none is said
    earliest: the first hour that a bare hour of the clock can mean; see `hour_of_day`

    >>> read_time("明天中午12点半", datetime(2026, 11, 21, 10)).value
    When(start='2026-11-22T12:30', end='')
    >>> read_time("tonight at seven", datetime(2026, 11, 21, 19, 50))
    ValueReading(value=None, why='past', leftover='', instead=When(start='2026-11-22T19:00', end=''))
    """
    plain = plain_of(text)
    if (kept := _without_denied(plain)) and (found := read_time(kept, now, previous, earliest)).value is not None:
        return found
    if PAST.search(plain):
        return ValueReading(why="past")
    rest = Rest(plain)
    known = datetime.fromisoformat(previous.start).date() if previous is not None else None
    offset = _offset(rest, now)
    rest.take(THIS_YEAR)
    days, is_same_unknown = days_in(rest, now.date(), known)
    if not days and offset is None and rest.take(NOW) is not None:
        offset = _later(now, 1)
    part, is_vague = part_in(plain), rest.take(VAGUE) is not None
    clocks = clocks_in(rest, is_bare_enough=not _has_other_words(rest))
    is_before = rest.take(BEFORE) is not None or any(clock.is_before for clock in clocks)
    leftover = " ".join(rest.unread())
    heard = _Heard(days[0] if days else None, part, clocks[0] if clocks else None)
    if heard == _Heard() and offset is None and not is_vague and not is_same_unknown:
        return ValueReading(why="partial", leftover=leftover) if TIME_WORDS.search(leftover) else NOTHING
    if previous is not None and _is_several_days(previous) and not days and offset is None:
        return ValueReading(why="ambiguous", instead=previous)
    heard, clocks = _with_stretch(heard, clocks, plain)
    found = _one(offset, now) if offset is not None and not clocks else _resolved(heard, previous, now, earliest)
    if leftover:
        return ValueReading(why="partial", leftover=leftover, instead=found.value or found.instead)
    if is_vague or is_same_unknown or (is_before and heard.until is None) or _is_ambiguous(heard, days, clocks, offset):
        is_beyond = is_before and not clocks
        return ValueReading(why="ambiguous", instead=None if is_beyond else _stretch_around(days, now))
    return found


def _stretch_around(days: list[Day], now: datetime) -> When | None:
    """All of the day, or of several such as a weekend, in which the moment lies for sure; None where days differ."""
    if len({day.first for day in days}) != 1:
        return None
    end = _at(days[0].last or days[0].first, 24, 0)
    return _when(_at(days[0].first, 0, 0), end) if end > now else None


def _without_denied(plain: str) -> str:
    """What is left of "5pm not 6pm" and 不是七点是八点 without what is not meant; "" where nothing is denied."""
    kept = _DENIED.sub(" ", plain)
    return kept if kept != plain else ""


_DENIED = re.compile(
    r"(?:-\s*)?(?:\bnot\b(?! (?:before|after|later|earlier|until))|\binstead of\b|\brather than\b|而?不是)"
    r".+?(?:$|(?=,|，|\bbut\b|\bi (?:said|meant?)\b|(?<=点)是|是[一-鿿\d]+点))"
)


def time_places(text: str, *, is_asked: bool = False, is_loose: bool = True) -> list[tuple[int, int]]:
    """Where a lower-case sentence speaks of times: (start, end) of each piece, left to right.

    is_asked: a bare number is an hour, as in the answer to "what time?"; is_loose: one after "about" is
    """
    rest = Rest(text)
    some_day = datetime(2000, 1, 1, 12)
    _offset(rest, some_day)
    days_in(rest, some_day.date(), some_day.date())
    for pattern in (VAGUE, THIS_YEAR):
        for _ in rest.take_all(pattern):
            pass
    clocks_in(rest, is_bare_enough=is_asked, is_loose=is_loose)
    if not rest.taken:
        rest.take(NOW)
    places = sorted(rest.taken)
    if not places or all(text[start:end].strip() in _WEAK for start, end in places):
        return [] if not is_asked else places
    return _with_their_words(text, places)


# Alone these say when, but as often they are said of other things.
_WEAK = frozenset(["now", "asap", "现在", "马上", "dinner", "lunch", "晚饭", "晚餐", "午饭", "this year", "今年"])
_BESIDE_BEFORE = re.compile(
    r"(?:\b(?:not|except|anything but|but not|before|until|till|same|last|yesterday|last night)|除了?|不是|不要|别|同"
    r"|昨[天晚日]|前天|(?<![晚早马以之楼路网])上个?"  # of a day that is over: the hour is no other day's
    r"|[一-鿿]{1,3}节的?)\s*(?:for |on |at |the )?$"
)
_BESIDE_AFTER = re.compile(r"^\s*(?:after next|before|week|month|of the month|之?前|以前|除外|左右)")
_LINK = re.compile(
    r"^\s*,?\s*(?:to|and|till?|until|-|–|—|~|到|至|or|not|或者?|还是|不是|instead of|rather than|,? ?no,?)\s*(?:on "
    r"|at |the )?$"
)


def _with_their_words(text: str, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """With the words around them that change what they mean, so that these are read or known not to be."""
    widened: list[tuple[int, int]] = []
    for start, end in places:
        if (before := _BESIDE_BEFORE.search(text[:start])) is not None:
            start = before.start()
        if (after := _BESIDE_AFTER.match(text[end:])) is not None:
            end += after.end()
        if widened and (not text[widened[-1][1] : start].strip() or _LINK.match(text[widened[-1][1] : start])):
            start = widened.pop()[0]
        widened.append((start, end))
    return widened


def _has_other_words(rest: Rest) -> bool:
    """Whether anything but small words and one number, or two, is left."""
    return any(
        not re.fullmatch(r"[\d.\-:/]+|[零〇一二两三四五六七八九十]{1,3}|[a-z]+", word) or _is_unknown(word)
        for word in rest.unread()
    )


def _is_unknown(word: str) -> bool:
    return word.isascii() and word.isalpha() and count_of(word) is None


def _is_several_days(known: When) -> bool:
    """A weekend, of which an hour alone does not tell the day."""
    return bool(known.end) and datetime.fromisoformat(known.end) - datetime.fromisoformat(known.start) > timedelta(1)


def _with_stretch(heard: _Heard, clocks: list[ClockTime], plain: str) -> tuple[_Heard, list[ClockTime]]:
    """Two clocks that are the ends of one stretch become one."""
    if len(clocks) == 2 and is_stretch(plain, clocks[0], clocks[1]):
        return replace(heard, until=clocks[1]), clocks[:1]
    return heard, clocks


def _is_ambiguous(heard: _Heard, days: list[Day], clocks: list[ClockTime], offset: datetime | None) -> bool:
    """Two days, two hours, several days at once, or the midnight of a day, which begins it or ends it."""
    if len({(clock.hour, clock.minute, clock.half) for clock in clocks}) > 1 or (
        offset is not None and (days or clocks)
    ):
        return True
    weekdays = {day.weekday for day in days if day.weekday >= 0}
    dates = {day.first for day in days if day.weekday < 0} or {day.first for day in days}
    if len(dates) > 1 or (weekdays and weekdays != {next(iter(dates)).weekday()}):
        return True
    if heard.day is not None and heard.day.last is not None and heard.clock is None and not heard.part:
        return True
    is_midnight = heard.clock is not None and (heard.clock.hour, heard.clock.half) == (12, "am")
    return is_midnight and heard.day is not None and heard.part not in ("night", "evening")


def _one(moment: datetime | None, now: datetime) -> ValueReading:
    if moment is None:
        return NOTHING
    return ValueReading(_moment(moment)) if moment > now.replace(second=0, microsecond=0) else ValueReading(why="past")


def _resolved(heard: _Heard, previous: When | None, now: datetime, earliest: int) -> ValueReading:
    """The moment or stretch, seen from now; of what is over, the next such one as `instead`."""
    heard = _completed(heard, previous, now, earliest)
    try:
        found = _at_the_clock(heard, now, earliest) if heard.clock is not None else _stretch(heard, now)
    except OverflowError:
        return NOTHING
    return found


def _completed(heard: _Heard, previous: When | None, now: datetime, earliest: int) -> _Heard:
    """A day alone keeps the hour that was known, an hour or part of a day its day, an hour its half of the day."""
    if previous is None:
        return heard
    start = datetime.fromisoformat(previous.start)
    if heard.clock is None and not heard.part and previous.is_exact and heard.day is not None:
        return replace(heard, clock=ClockTime(start.hour, start.minute), is_known=True)
    if heard.clock is not None and heard.day is None and start.date() >= now.date():
        part = heard.part or part_around(start.hour, heard.clock.hour, is_exact=previous.is_exact)
        return replace(heard, day=Day(start.date()), part=part)
    if heard.day is None and heard.clock is None and start.date() > now.date():
        return replace(heard, day=Day(start.date()))
    return heard


def _at_the_clock(heard: _Heard, now: datetime, earliest: int) -> ValueReading:
    assert heard.clock is not None
    if heard.day is None:
        # Of an hour past midnight, the night that is under way may be meant.
        first = _hours(heard, now.date(), earliest, is_of_today=True)
        if first[0] > now:
            return ValueReading(_when(*first))
        tomorrow = _when(*_hours(heard, now.date() + timedelta(days=1), earliest, is_of_today=True))
        return ValueReading(tomorrow)
    return _ahead(heard, heard.day, _hours(heard, heard.day.first, earliest), now)


def _hours(heard: _Heard, day: date, earliest: int, *, is_of_today: bool = False) -> tuple[datetime, datetime | None]:
    assert heard.clock is not None
    hour = heard.clock.hour if heard.is_known else _hour(heard.clock, heard.part, earliest)
    if heard.until is None:
        return _at(day, hour % 24 if is_of_today else hour, heard.clock.minute), None
    last = _hour(heard.until, heard.part, earliest)
    if not heard.clock.half and heard.until.half and hour >= 12 > heard.clock.hour and last < hour:
        hour -= 12
    if heard.until.half == "pm" and not heard.clock.half and heard.clock.hour < heard.until.hour % 12:
        hour = heard.clock.hour + 12
    start, end = _at(day, hour, heard.clock.minute), _at(day, last, heard.until.minute)
    while end <= start:
        end += timedelta(hours=12)
    return start, end


def _hour(clock: ClockTime, part: str, earliest: int) -> int:
    if clock.is_sure and clock.hour != 12:
        return clock.hour
    return hour_of_day(clock.hour, part if clock.half == "" or _is_night(clock, part) else clock.half, earliest)


def _is_night(clock: ClockTime, part: str) -> bool:
    """Tonight at 1 am is past midnight."""
    return clock.half == "am" and part in ("night", "late")


def _ahead(heard: _Heard, day: Day, span: tuple[datetime, datetime | None], now: datetime) -> ValueReading:
    """A weekday comes again; of another day that is over, the next moment of that hour is offered."""
    if span[0] > now.replace(second=0, microsecond=0):
        return ValueReading(_when(*span))
    if day.comes_again or (day.weekday >= 0 and day.first == now.date()):
        later = _when(span[0] + timedelta(days=7), span[1] and span[1] + timedelta(days=7))
        return ValueReading(later) if day.comes_again else ValueReading(None, "past", "", later)
    if day.first < now.date():
        return ValueReading(why="past")
    return ValueReading(None, "past", "", _when(span[0] + timedelta(days=1), span[1] and span[1] + timedelta(days=1)))


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(hours=hour, minutes=minute)


def _stretch(heard: _Heard, now: datetime) -> ValueReading:
    """A day, or a part of one."""
    first, last = (PARTS[heard.part][0], PARTS[heard.part][1]) if heard.part in PARTS else (0, 24)
    if heard.day is None and not heard.part:
        return NOTHING
    day = heard.day or Day(now.date())
    start, end = _at(day.first, first, 0), _at(day.first, last, 0)
    if heard.day is None and end <= now:
        start, end = start + timedelta(days=1), end + timedelta(days=1)
    if end > now:
        return ValueReading(_when(start, end))
    week = _when(start + timedelta(days=7), end + timedelta(days=7))
    if day.comes_again:
        return ValueReading(week)
    if day.weekday >= 0:
        return ValueReading(None, "past", "", week)
    tomorrow = _when(start + timedelta(days=1), end + timedelta(days=1))
    return ValueReading(None, "past", "", tomorrow if day.first == now.date() else None)


def _offset(rest: Rest, now: datetime) -> datetime | None:
    """In two hours, 半小时后, now; half an hour before or after an hour is that hour's, and is put back."""
    for match in rest.take_all(_OFFSET_ZH):
        if match["later"] or match[0].startswith(("过", "再过")):
            units = {"分钟": 1, "小时": 60, "钟头": 60, "刻钟": 15}
            minutes = _zh_count(match["n"]) * units[match["unit"]] + (30 if match["half"] or match["half2"] else 0)
            moment = _later(now, minutes + (_zh_count(match["n2"]) if match["n2"] else 0))
            if moment is not None:
                return moment
        rest.put_back(match)
    for match in rest.take_all(_OFFSET_EN):
        is_from_now = match["later"] in (" from now", " later", " hence") or match[0].startswith(("in ", "within "))
        count, unit = count_of(match["n"]) or 0, 1 if match["unit"].startswith("m") else 60
        if is_from_now and count:
            more = (unit / 2 if match["half"] else 0) + (count_of(match["n2"]) or 0 if match["n2"] else 0)
            moment = _later(now, count * unit + more)
            if moment is not None:
                return moment
        rest.put_back(match)
    return None


def _zh_count(text: str) -> float:
    try:
        return float(text) if text[0].isdigit() else han_number(text) or 0
    except (ValueError, OverflowError):
        return 0


def _later(now: datetime, minutes: float) -> datetime | None:
    """None past a year, where nobody books by the hour."""
    if not 0 < minutes <= _MAX_MINUTES:
        return None
    return (now + timedelta(minutes=minutes)).replace(second=0, microsecond=0)


def _when(start: datetime, end: datetime | None = None) -> When:
    return When(_iso_of(start), _iso_of(end) if end is not None else "")


def _moment(moment: datetime) -> When:
    return When(_iso_of(moment))


def _iso_of(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
