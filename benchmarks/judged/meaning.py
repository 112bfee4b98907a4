"""What a person meant for one slot, and whether a value that a dialogue holds is that: the measure of the judge.

Beside a turn's path, between labels and verdicts. A value comes as plain JSON (`kinds.to_json`). Kinds that come later
are read by their shape: under a key that says no ("not", "except", "excluded") nodes are shut out, everything else is
wanted; so the judge outlives one way to write it down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from judged.town import Ends, Town

_NO = re.compile(r"not|no_|exclu|except|without|avoid|negat|but", re.IGNORECASE)
_WIDEST = 0.6
"""A range around a number may be as wide as this share of it, to each side."""


@dataclass(frozen=True)
class Nodes:
    """Nodes by key: all of them, either of them, or none of them."""

    keys: frozenset[str]
    mode: Literal["all", "either", "none"] = "all"


@dataclass(frozen=True)
class Numbers:
    """Between two ends, None where one is open; or bands, the lowest first: one of them, where there are several."""

    low: float | None
    high: float | None
    bands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Around:
    """A number, more or less."""

    number: float


@dataclass(frozen=True)
class Most:
    """The least or the most of a slot: "cheapest", "best rated"."""

    end: Literal["low", "high"]


@dataclass(frozen=True)
class Moment:
    """Day and hour: "2026-12-04T19:00", "2026-12-04" where no hour was said, "T19:00" where no day was."""

    text: str


@dataclass(frozen=True)
class Count:
    """So many."""

    number: int


@dataclass(frozen=True)
class Free:
    """The person does not mind, or takes it back."""


Meaning = Nodes | Numbers | Around | Most | Moment | Count | Free


def holds(meaning: Meaning, value: Any, town: Town, task: str, slot: str, today: str) -> bool:
    """Whether `value`, the JSON of what the state has for the slot (None for nothing), is what was meant."""
    match meaning:
        case Free():
            return value is None or value == {"any": True} or not list(leaves(value))
        case Nodes():
            return value is not None and _same_nodes(meaning, value)
        case Numbers():
            return value is not None and _same_ends(meaning, value, town, task, slot)
        case Around(number):
            ends = _ends(value, town, task, slot)
            return ends is not None and _is_around(ends, number)
        case Most(end):
            return value is not None and any(each == end for each, _ in leaves(value))
        case Moment(text):
            return value is not None and _same_moment(text, value, today)
        case Count(number):
            return [each for each, _ in leaves(value)] == [number]


def leaves(value: Any, shut_out: bool = False) -> Iterator[tuple[Any, bool]]:
    """Every plain part of a value, nodes by their keys, and whether it is shut out."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name == "node":
                yield held[1], shut_out
            elif name == "except" and len(held) == 2 and isinstance(held[0], list):
                yield from leaves(held[0], True)
                yield from leaves(held[1], shut_out)
            elif name != "any":
                yield from leaves(held, shut_out or bool(_NO.search(name)))
    elif isinstance(value, list | tuple):
        for held in value:
            yield from leaves(held, shut_out)
    elif value not in (None, ""):
        yield value, shut_out


def _same_nodes(meaning: Nodes, value: Any) -> bool:
    wanted = {leaf for leaf, is_out in leaves(value) if not is_out}
    shut_out = {leaf for leaf, is_out in leaves(value) if is_out}
    if meaning.mode == "none":
        return meaning.keys <= shut_out
    return wanted == meaning.keys


def _same_ends(meaning: Numbers, value: Any, town: Town, task: str, slot: str) -> bool:
    named = {leaf for leaf, is_out in leaves(value) if isinstance(leaf, str) and not is_out}
    if not named and isinstance(value, dict) and set(value) & {"not", "except"}:
        named = set(town.domain.slots[slot].bands) - {leaf for leaf, _ in leaves(value)}
    if meaning.bands and named & set(meaning.bands):
        return named <= set(meaning.bands) and len(named) == len(meaning.bands)
    ends, wanted = _ends(value, town, task, slot), (meaning.low, meaning.high)
    if meaning.bands:
        meant = [town.band(task, slot, name) or (None, None) for name in meaning.bands]
        wanted = meant[0][0], meant[-1][1]
    if ends is None:
        return False
    is_upward = wanted[0] is not None and wanted[1] is None and ends[0] == wanted[0]
    return ends == wanted or (is_upward and slot in ("rating", "stars") and ends[1] in (5, 10))


def _ends(value: Any, town: Town, task: str, slot: str) -> Ends | None:
    """Of a range, a band or a number."""
    if isinstance(value, dict) and "range" in value:
        low, high = value["range"][:2]
        return low, high
    if isinstance(value, dict) and "band" in value:
        return town.band(task, slot, value["band"])
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_around(ends: Ends, number: float) -> bool:
    low, high = ends
    if low is None or high is None:
        return False
    return number * (1 - _WIDEST) <= low <= number <= high <= number * (1 + _WIDEST)


def _same_moment(text: str, value: Any, today: str) -> bool:
    said = [leaf for leaf, _ in leaves(value) if isinstance(leaf, str) and leaf]
    day, _, clock = text.partition("T")
    is_stretch = len(said) > 1
    if not clock:
        return any(day in each for each in said) and (is_stretch or all("T" not in each for each in said))
    held = any(clock in each for each in said)
    days = [each for each in said if each[:4].isdigit()]
    return held and not is_stretch and all(each.startswith(day or today) for each in days)


def is_part(meaning: Meaning, value: Any, today: str) -> bool:
    """Whether a stretch of time holds the moment meant: its day, its evening: less was heard, nothing wrong."""
    said = [leaf for leaf, _ in leaves(value) if isinstance(leaf, str)]
    if not isinstance(meaning, Moment) or len(said) != 2:
        return False
    day, _, clock = meaning.text.partition("T")
    start, end = said
    return start <= f"{day or today}T{clock or start[11:]}" < end


def words_of(meaning: Meaning, town: Town, slot: str) -> list[str]:
    """What a reply would have to say for this meaning to be said back: any of these."""
    match meaning:
        case Nodes(keys):
            return [word for key in keys for word in town.spellings(key)]
        case Numbers(low, high, bands):
            ends = [f"{each:g}" for each in (low, high) if each is not None]
            return [*ends, *(word for name in bands for word in town.band_words(slot, name))]
        case Around(number) | Count(number):
            return [f"{number:g}"]
        case Moment(text):
            return _moment_words(text)
    return []


def _moment_words(text: str) -> list[str]:
    day, _, clock = text.partition("T")
    words = [clock] if clock else []
    if day:
        at = date.fromisoformat(day)
        words += [day, f"{at.month}月{at.day}日", f"{at.day} {at:%b}", f"{at:%B} {at.day}"]
    return words
