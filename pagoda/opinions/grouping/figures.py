"""Whether two passages give different figures: 3.1 亿 is 310 million, and 3 亿 may be said of it.

Under `grouping.contradiction`, on the path *item -> story*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, InvalidOperation

_UNITS = {
    "百": 2, "千": 3, "万": 4, "亿": 8, "thousand": 3, "k": 3, "lakh": 5, "million": 6, "mn": 6, "mln": 6, "m": 6,
    "crore": 7, "cr": 7, "billion": 9, "bn": 9, "bln": 9, "b": 9, "trillion": 12,
}  # fmt: skip
"""Powers of ten."""


def differ(one: Sequence[str], span: tuple[int, int], other: Sequence[str], other_span: tuple[int, int]) -> bool:
    """Whether both spans of words have figures, and none of one is one of the other, rounded or in another unit.

    >>> differ(("up", "3", "亿"), (1, 2), ("up", "3.1", "亿"), (1, 2))
    False
    >>> differ(("up", "3", "%"), (1, 2), ("up", "4", "%"), (1, 2))
    True
    """
    here, there = list(_figures(one, span)), list(_figures(other, other_span))
    if not (here and there) or _digits(one, span) == _digits(other, other_span):
        return False
    return not any(_is_one(a, b) for a in here for b in there)


def _digits(words: Sequence[str], span: tuple[int, int]) -> str:
    """All of them as one: a blank may have come between "5." and "68". A sign stays."""
    return "".join(word.replace(".", "") for word in words[slice(*span)] if word[-1].isdigit())


def _figures(words: Sequence[str], span: tuple[int, int]) -> Iterator[tuple[Decimal, int]]:
    """(value, number of its digits)."""
    for place in range(*span):
        word = words[place]
        if not word[-1].isdigit():
            continue
        try:
            value = Decimal(word)
        except InvalidOperation:  # 1.2.3, a version or a date
            continue
        for unit in words[place + 1 : place + 3]:
            if unit not in _UNITS:
                break
            value = value.scaleb(_UNITS[unit])
        yield value, len(word.lstrip("+-").replace(".", "").lstrip("0")) or 1


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
