"""Days that have a name instead of a number: Christmas Eve, 国庆节, Thanksgiving, 中秋.

Stands between *understanding* and *events* on the turn's path, under `days`. What moves with the moon is asked of the
library `borax`, where it is installed; a festival that cannot be reckoned stays unread, so that it is asked about.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from importlib import import_module

_FIXED: tuple[tuple[int, int, str], ...] = (
    (12, 24, r"平安夜|圣诞(?:节)?前夜|\bchristmas eve\b|\bxmas eve\b"),
    (12, 26, r"\bboxing day\b"),
    (12, 25, r"圣诞(?:节)?|\bchristmas(?: day)?\b|\bxmas(?: day)?\b"),
    (12, 31, r"跨年夜?|\bnew year'?s'? eve\b|\bnye\b"),
    (1, 1, r"元旦(?:节)?|\bnew year'?s'?(?: day)?\b"),
    (2, 14, r"(?<!西方)情人节|\bvalentine'?s?(?:'s)? day\b|\bvalentines?\b"),
    (3, 8, r"三八(?:妇女)?节|妇女节|女神节|\bwomen'?s day\b"),
    (3, 17, r"\bst\.? patrick'?s day\b"),
    (5, 1, r"五一(?:劳动节)?|劳动节|\bmay day\b"),
    (5, 4, r"青年节"),
    (6, 1, r"六一(?:儿童节)?|儿童节|\bchildren'?s day\b"),
    (7, 4, r"\b(?:july (?:the )?fourth|fourth of july|independence day)\b"),
    (9, 10, r"教师节"),
    (10, 1, r"国庆(?:节)?|十一黄金周|\bnational day\b"),
    (10, 31, r"万圣(?:节|夜)|\bhalloween\b"),
    (11, 11, r"双十一|光棍节|\bsingles'? day\b"),
)
# (month, which of them, weekday from Monday 0)
_NTH: tuple[tuple[int, int, int, str], ...] = (
    (5, 2, 6, r"母亲节|\bmother'?s day\b"),
    (6, 3, 6, r"父亲节|\bfather'?s day\b"),
    (11, 4, 3, r"感恩节|\bthanksgiving(?: day)?\b"),
)
# (month and day of the moon's calendar, days to add)
_LUNAR: tuple[tuple[int, int, int, str], ...] = (
    (1, 1, -1, r"除夕(?:夜)?|大年三十|年三十|年夜|\b(?:lunar|chinese) new year'?s? eve\b"),
    (1, 1, 0, r"春节|大年初一|年初一|农历新年|\b(?:lunar|chinese) new year(?:'s day)?\b|\bspring festival\b"),
    (1, 2, 0, r"大年初二|年初二"),
    (1, 3, 0, r"大年初三|年初三"),
    (1, 15, 0, r"元宵(?:节)?|正月十五|\blantern festival\b"),
    (5, 5, 0, r"端午(?:节)?|\bdragon boat festival\b"),
    (7, 7, 0, r"七夕(?:节)?"),
    (8, 15, 0, r"中秋(?:节)?|八月十五|\bmid-?autumn(?: festival| day)?\b|\bmoon festival\b"),
    (9, 9, 0, r"重阳(?:节)?"),
    (12, 8, 0, r"腊八(?:节)?"),
)


def nth_weekday(year: int, month: int, nth: int, weekday: int) -> date | None:
    """The first, second ... such weekday of a month, the last with -1; None where there is none."""
    length = calendar.monthrange(year, month)[1]
    days = [day for day in range(1, length + 1) if date(year, month, day).weekday() == weekday]
    index = nth - 1 if nth > 0 else nth
    return date(year, month, days[index]) if -len(days) <= index < len(days) else None


def _moon(month: int, day: int, shift: int) -> Callable[[int], date | None]:
    def of(year: int) -> date | None:
        try:
            lunar = import_module("borax.calendars.lunardate").LunarDate
            solar: date = lunar(year, month, day).to_solar_date()
        except (ImportError, ValueError):
            return None
        return solar + timedelta(days=shift)

    return of


def _fixed(month: int, day: int) -> Callable[[int], date | None]:
    return lambda year: date(year, month, day)


def _nth(month: int, nth: int, weekday: int) -> Callable[[int], date | None]:
    return lambda year: nth_weekday(year, month, nth, weekday)


# Those of the moon first: "lunar new year" holds "new year".
FESTIVALS: Mapping[re.Pattern[str], Callable[[int], date | None]] = {
    **{re.compile(words): _moon(month, day, shift) for month, day, shift, words in _LUNAR},
    **{re.compile(words): _fixed(month, day) for month, day, words in _FIXED},
    **{re.compile(words): _nth(month, nth, weekday) for month, nth, weekday, words in _NTH},
}
"""Patterns over lower-case text -> the day in a year, None where it cannot be reckoned."""


def next_festival(of: Callable[[int], date | None], today: date) -> date | None:
    """The next such day, today included."""
    # A festival of the moon's year may lie in the next year of the sun.
    years = range(max(1, today.year - 1), min(today.year + 2, 9998) + 1)
    return next((day for year in years if (day := of(year)) is not None and day >= today), None)
