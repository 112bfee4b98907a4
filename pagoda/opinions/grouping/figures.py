"""Whether two passages give different figures: 3.1 亿 is 310 million, and 3 亿 may be said of it; 5 % is not 5 bp.

Under `grouping.contradiction`, on the path *item -> story*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

_UNITS = {
    "个": 0, "多": 0, "余": 0, "百": 2, "千": 3, "万": 4, "亿": 8, "thousand": 3, "k": 3, "lakh": 5, "million": 6,
    "mn": 6, "mln": 6, "m": 6, "crore": 7, "cr": 7, "billion": 9, "bn": 9, "bln": 9, "b": 9, "trillion": 12,
    "%": 0, "percent": 0, "percentage": 0, "pct": 0, "pc": 0, "bp": -2, "bps": -2,
}  # fmt: skip
"""Powers of ten; of shares in percent."""
_SHARE = "%"
_SHARES = frozenset({"%", "percent", "percentage", "pct", "pc", "bp", "bps"})
_MONEY = {
    "元": "CNY", "块": "CNY", "美元": "USD", "港元": "HKD", "日元": "JPY", "欧元": "EUR", "英镑": "GBP", "韩元": "KRW",
    "yuan": "CNY", "rmb": "CNY", "dollar": "USD", "usd": "USD", "yen": "JPY", "euro": "EUR", "eur": "EUR",
    "pound": "GBP", "gbp": "GBP", "rupee": "INR",
}  # fmt: skip
_LONGEST_UNIT, _MOST_PARTS = 3, 4
"""Words of a unit, and of a figure that blanks split."""
_POINTS_OF_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")


def differ(one: Sequence[str], span: tuple[int, int], other: Sequence[str], other_span: tuple[int, int]) -> bool:
    """Whether both spans of words have figures, and none of one is one of the other, rounded or in another unit.

    What stands before both spans is the same. Where they begin with units, these are of the figure before.

    >>> differ(("up", "3", "亿"), (1, 2), ("up", "3.1", "亿"), (1, 2))
    False
    >>> differ(("up", "3", "%"), (1, 2), ("up", "4", "%"), (1, 2))
    True
    >>> differ(("up", "3", "million"), (2, 3), ("up", "3", "billion"), (2, 3))
    True
    >>> differ(("up", "5", "%"), (2, 3), ("up", "5", "bp"), (2, 3))
    True
    """
    unit, another = _unit_before(one, span), _unit_before(other, other_span)
    if unit is not None and another is not None and (unit[0] != another[0] or _are_two({unit[1], another[1]})):
        return True
    here, there = list(_figures(one, span)), list(_figures(other, other_span))
    return bool(here and there) and not any(_is_one(a, b) for a in here for b in there)


def _are_two(kinds: set[str]) -> bool:
    """Whether what is counted is named on both sides, and is not the same."""
    return "" not in kinds and len(kinds) > 1


def _unit_before(words: Sequence[str], span: tuple[int, int]) -> tuple[int, str] | None:
    """(power, what is counted) of the figure whose unit a span stands in or behind; None where there is no such thing.

    The unit is read to its end, which may lie behind the span: 3 亿 | 美 | 元.
    """
    start, _ = span
    place = start - 1
    while place >= max(0, start - _LONGEST_UNIT) and _power(words, place) is not None:
        place -= 1
    if place < 0 or not words[place][-1].isdigit() or not words[place].strip("+-0."):
        return None
    powers = _powers(words, place + 1)
    kind = _kind(words, place + 1, len(powers))
    return (sum(powers), kind) if powers or kind else None


def _kind(words: Sequence[str], start: int, length: int) -> str:
    """What is counted, of a unit whose power has so many words: a share, a currency; empty where it is not said."""
    unit, behind = words[start : start + length], words[start + length : start + length + 2]
    if any(word in _SHARES or word in ("基", "basis") for word in unit) or (*unit[-1:], *behind[:1]) == ("百", "分"):
        return _SHARE
    for text in ("".join(behind), *behind[:1]):
        if found := _MONEY.get(text) or _MONEY.get(text.removesuffix("s")):
            return found
    return ""


def _power(words: Sequence[str], place: int) -> int | None:
    """Of the unit at a place; None where none is. 基点 is one of several words, and 百 of 百分点 no hundred."""
    after = words[place + 1] if place + 1 < len(words) else ""
    if words[place] in ("基", "basis"):
        return -2 if after in ("点", "point", "points") else None
    return 0 if (words[place], after) == ("百", "分") else _UNITS.get(words[place])


def _powers(words: Sequence[str], start: int) -> list[int]:
    """Of the units that follow one another from a place on."""
    found = []
    for place in range(start, min(start + _LONGEST_UNIT, len(words))):
        power = _power(words, place)
        if power is None:
            break
        found.append(power)
    return found


def _figures(words: Sequence[str], span: tuple[int, int]) -> Iterator[tuple[Decimal, int]]:
    """(value, number of its digits) of each number, and of each whole that a few in a row may be."""
    place, end = span
    while place < end:
        behind = place
        while behind < end and words[behind][-1].isdigit():
            behind += 1
        parts, power = words[place:behind], sum(_powers(words, behind))
        for number in parts[:-1]:
            yield from _readings(number, 0)
        for number in parts[-1:]:
            yield from _readings(number, power)
        if 1 < len(parts) <= _MOST_PARTS:
            for number in _joined(parts):
                yield from _readings(number, power)
        place = behind + 1


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """What a blank may have split: 1 000 is "1000", and 5. 68 was "5.68" before its point was lost with the blank."""
    whole = "".join(parts)
    yield whole
    if "." not in whole:
        for behind in range(1, len(parts)):
            yield f"{''.join(parts[:behind])}.{''.join(parts[behind:])}"


def _readings(number: str, power: int) -> Iterator[tuple[Decimal, int]]:
    """Of 1.000 two: one, and a thousand."""
    for spelling in {number, number.replace(".", "") if _POINTS_OF_THOUSANDS.fullmatch(number) else number}:
        try:
            value = Decimal(spelling).scaleb(power)
        except ArithmeticError:  # 1.2.3, a version or a date; or a million digits
            continue
        yield value, len(spelling.lstrip("+-").replace(".", "").lstrip("0")) or 1


def _is_one(one: tuple[Decimal, int], other: tuple[Decimal, int]) -> bool:
    """Whether one is the other, or that rounded or cut off to as many digits as it has itself."""
    (value, digits), (finer, more) = sorted((one, other), key=lambda each: each[1])
    if value == finer:
        return True
    if digits == more or not finer:
        return False
    unit = Decimal(1).scaleb(finer.adjusted() - digits + 1)
    # In units, since a number of a hundred digits has no room for decimals.
    return any((finer / unit).to_integral_value(way) * unit == value for way in (ROUND_HALF_EVEN, ROUND_DOWN))
