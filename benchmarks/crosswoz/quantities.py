"""Numbers, ranges and bounds in a Chinese sentence, and the same in the values of slots: 100-150元, 4.5分以上, 半小时.

First station of a turn, *sentence -> acts*: a quantity that a person says is matched with the values that a slot is
known to take, however either is written; one that is not known is written in the slot's own way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from crosswoz.ontology import QuantityFormat

Bound = Literal["", "above", "below"]
_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_TENS = {"十": 10, "百": 100, "千": 1000}
_ABOVE = r"(?:及|或|或者|和)?(?:以上|之上|往上|起)"
# 一下 is how 以下 is often mistyped.
_BELOW = r"(?:及|或|或者|和)?(?:以下|以内|之内|之下|一下)"
_NUMBER = r"\d+(?:\.\d+)?|[零一二两三四五六七八九十百千半]+"
_SUFFIX: dict[Bound, str] = {"": "", "above": "以上", "below": "以下"}


@dataclass(frozen=True)
class Quantity:
    """low and high are equal where one number was given; units may be "" where none was."""

    low: float
    high: float
    low_unit: str
    unit: str
    bound: Bound

    def fits(self, known: Quantity, *, loosely: bool) -> bool:
        """Whether `known` says the same; loosely: with a bound that was left out."""
        if (self.low, self.high) != (known.low, known.high):
            return False
        if self.unit not in ("", known.unit) or self.low_unit not in ("", known.low_unit):
            return False
        return self.bound == known.bound or (loosely and not self.bound)


@dataclass(frozen=True)
class FoundQuantity:
    """A quantity and its characters [start, end) in the text."""

    start: int
    end: int
    quantity: Quantity


class QuantityReader:
    """Finds quantities with the units of some slots.

    formats: {slot: how it is written}; known: {slot: values that it takes, the commonest first}
    """

    def __init__(self, formats: Mapping[str, QuantityFormat], known: Mapping[str, Iterable[str]]) -> None:
        self._formats = dict(formats)
        self._canonical = {word: group[0] for form in formats.values() for group in form.units for word in group}
        self._pattern = _pattern(self._canonical)
        self._known = {
            slot: [(value, read.quantity) for value in known.get(slot, ()) for read in self._whole(value)]
            for slot in formats
        }

    def find(self, text: str) -> list[FoundQuantity]:
        """All quantities, from the left. A numeral in characters counts only with a unit: 一 is too common a word."""
        found = []
        for match in self._pattern.finditer(text) if self._formats else ():
            quantity = self._quantity(match)
            if quantity is not None:
                found.append(FoundQuantity(match.start(), match.end(), quantity))
        return found

    def values(self, quantity: Quantity) -> dict[str, str]:
        """{slot: value} of every slot that may take the quantity."""
        found = {}
        for slot, form in self._formats.items():
            units = {group[0] for group in form.units}
            if quantity.unit in units or (not quantity.unit and self._match(slot, quantity)):
                found[slot] = self._match(slot, quantity) or _written(quantity, form)
        return found

    def _match(self, slot: str, quantity: Quantity) -> str:
        for loosely in (False, True):
            for value, known in self._known[slot]:
                if quantity.fits(known, loosely=loosely):
                    return value
        return ""

    def _whole(self, value: str) -> Iterator[FoundQuantity]:
        """The quantity that a value is, where it is one."""
        yield from (found for found in self.find(value) if found.end - found.start == len(value))

    def _quantity(self, match: re.Match[str]) -> Quantity | None:
        low, low_unit, high, unit, above, below = match.groups()
        last_unit = unit or ("" if high else low_unit) or ""
        spoken = not low[0].isdigit() or (high is not None and not high[0].isdigit())
        numbers = [_number(low), _number(high or low)]
        if None in numbers or (spoken and not (last_unit or low_unit)):
            return None
        canonical = self._canonical.get(last_unit or low_unit or "", "")
        first = self._canonical.get(low_unit or "", "") or canonical
        bound: Bound = "above" if above else "below" if below else ""
        return Quantity(numbers[0] or 0.0, numbers[1] or 0.0, first, canonical, bound)


def _pattern(units: Mapping[str, str]) -> re.Pattern[str]:
    # 分 begins 分钟, which is another unit.
    unit = "|".join(
        re.escape(word) + ("(?!钟)" if word == "分" else "") for word in sorted(units, key=len, reverse=True)
    )
    joined = r"\s*(?:-|–|—|~|～|到|至|、)\s*"
    return re.compile(rf"({_NUMBER})\s*({unit})?(?:{joined}({_NUMBER})\s*({unit})?)?(?:间)?(?:({_ABOVE})|({_BELOW}))?")


def _number(text: str) -> float | None:
    """Of digits or numerals; 半 is a half. None for numerals that are no number.

    >>> _number("4.5"), _number("十二"), _number("两百"), _number("半")
    (4.5, 12.0, 200.0, 0.5)
    """
    if text[0].isdigit():
        return float(text)
    if text == "半":
        return 0.5
    total, digit = 0, 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _TENS:
            total += (digit or 1) * _TENS[character]
            digit = 0
        else:
            return None
    return float(total + digit)


def _written(quantity: Quantity, form: QuantityFormat) -> str:
    unit = quantity.unit or form.units[0][0]
    low, high = f"{quantity.low:g}", f"{quantity.high:g}"
    text = form.range.format(low=low, high=high, unit=unit) if low != high else f"{low}{unit}"
    return text + _SUFFIX[quantity.bound]
