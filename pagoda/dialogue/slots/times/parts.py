"""Morning, 凌晨, tonight: the parts of a day, and the hour that a clock on the wall means in each.

Stands between *understanding* and *events* on the turn's path, under `moments`. As in SUTime (Chang and Manning
2012), a part of the day is a stretch of hours, and settles which half of the day an hour belongs to.
"""

from __future__ import annotations

import re

from pagoda.dialogue.domain.model import EARLIEST
from pagoda.dialogue.slots.times.words import HOURS_EN, Rest

_AFTER_AN_HOUR = rf"(?:\d|\b(?:{'|'.join(HOURS_EN)}|o'?clock)) ?"
PARTS = {
    "dawn": (0, 6, r"凌晨|拂晓|黎明|\bsmall hours\b"),
    "morning": (
        6,
        12,
        r"早上|早晨|上午|[今明]早|一大?早|清晨|清早|早(?!一点)(?=[\d零一二两三四五六七八九十])|\b(?:this )?morning\b",
    ),
    "noon": (11, 14, r"中午|正午|午饭|\bnoon\b|\bmidday\b|\blunch(?:time)?\b"),
    "afternoon": (13, 18, r"下午|午后|\bafternoon\b"),
    "evening": (17, 22, r"傍晚|\bevening\b|\bdinner(?: ?time)?\b|晚饭|晚餐"),
    "late": (22, 28, r"夜里|半夜|深夜|午夜|\blate at night\b"),
    "night": (
        18,
        24,
        r"今晚|明晚|后晚|当晚|晚上|夜晚"
        r"|晚(?!一点)(?=[\d零一二两三四五六七八九十])|(?<=[一二三四五六日天])晚|\bto-?night\b|\b2nite\b|\btonite\b"
        r"|\bnight\b",
    ),
    "am": (0, 12, rf"{_AFTER_AN_HOUR}a\.?m\b"),
    "pm": (12, 24, r"\bp\.?m\b|\dp\.?m\b"),
}
"""(first hour, one past the last, words) by name; hours past 24 are the next day's."""
# The last hour after midnight that a night is said to have: 今晚三点 and 半夜五点, but tonight at 5 is 17:00.
_NIGHTS = {"night": 3, "late": 5}


_PATTERNS = {name: re.compile(pattern) for name, (_, _, pattern) in PARTS.items()}


def part_in(plain: str) -> str:
    """The part of the day that a lower-case text names, "" for none; "tonight at 1 am" is of the night."""
    part = next((name for name, (_, _, pattern) in PARTS.items() if re.search(pattern, plain)), "")
    return "night" if part == "morning" and re.search(PARTS["night"][2], plain) else part


def blank_parts(rest: Rest) -> None:
    """Takes the words of all parts out of a text; am and pm belong to the hour beside them."""
    for name, pattern in _PATTERNS.items():
        if name not in ("am", "pm"):
            for _ in rest.take_all(pattern):
                pass


def part_around(hour: int, new_hour: int, *, is_exact: bool = True) -> str:
    """The part of the day of an hour, where a new hour of the clock can lie in it too; of a whole day none."""
    if not is_exact and hour == 0:
        return ""
    for name, (first, last, _) in PARTS.items():
        if first <= hour < last and (first <= new_hour < last or first <= new_hour + 12 < last):
            return name
    return ""


def hour_of_day(hour: int, part: str, earliest: int = EARLIEST) -> int:
    """The hour of the day: after noon where its part says so; without one the first that is not before `earliest`.

    A night goes on past midnight: 今晚一点 is hour 25 of today.

    >>> hour_of_day(7, "", 7), hour_of_day(7, "", 10), hour_of_day(7, "morning", 10), hour_of_day(12, "night")
    (7, 19, 7, 24)
    """
    if hour > 12 or hour == 0:
        return hour
    if part in ("dawn", "am"):
        return hour % 12
    if part == "morning":
        return hour
    if part == "noon":
        return hour + 12 if hour < 4 else hour
    if part in _NIGHTS:
        return hour + 24 if hour <= _NIGHTS[part] else hour + 12
    if part in ("afternoon", "evening", "pm"):
        return hour if hour == 12 else hour + 12
    return hour + 12 if hour < earliest and hour < 12 else hour
