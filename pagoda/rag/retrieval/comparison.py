"""How a value of a document compares with one that a filter names: versions, dates, numbers and plain words.

Beside a question's path: question -> *filter* -> Hits -> answer. Values are kept as they were written, so that 1.10 is
not 1.1; two are equal where they are written alike, are the same version, or the day lies in the month or year that is
wanted. What comes before what depends on what both look like: days by the calendar, versions part by part, numbers by
size, all else by its letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pagoda.rag.documents.document import Scalar

Key = tuple[tuple[float, str], ...]
"""What sorts values of one kind."""

_DATE = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?(?:[T ].*)?|月)?|年)?")
_VERSION = re.compile(r"[vV]?(\d+(?:\.\d+)*)(?:[-+.]?((?:a|b|rc|alpha|beta|dev|pre)[\w.-]*))?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_OF_VERSIONS = re.compile(r"version|release|版本", re.IGNORECASE)
# Two dots, a v before it, or a fraction that ends with a zero: no number is written so.
_NO_NUMBER = re.compile(r"[vV]\d.*|.*\..*\..*|.*\.\d+0|.*[-.]?(?:a|b|rc|alpha|beta|dev|pre)\d*")


def is_equal(value: Scalar, wanted: Scalar) -> bool:
    """Whether a document's value is the one that is wanted.

    >>> is_equal("2.0", 2), is_equal("1.10", "1.1"), is_equal(True, "true"), is_equal("2024-05-01", "2024")
    (True, False, True, True)
    """
    one, other = written(value), written(wanted)
    if one == other or version_key(one) == version_key(other) is not None:
        return True
    day, span = _date_key(one), _date_key(other)
    return day is not None and span is not None and len(day) > 1 and day[: len(span)] == span


def is_before(name: str, value: Scalar, wanted: Scalar) -> bool | None:
    """Whether a document's value comes before the wanted one; None where the two cannot be put in order.

    name: of the field; what it calls a version is one.

    >>> is_before("python", "3.9", "3.10"), is_before("price", "2.45", "2.5"), is_before("date", "2023-12-31", "2024")
    (True, True, True)
    """
    one, other = written(value), written(wanted)
    for key in _orders(name, one, other):
        mine, theirs = key(one), key(other)
        if mine is not None and theirs is not None:
            return mine < theirs
    return one.casefold() < other.casefold() if _number_key(one) is None and _number_key(other) is None else None


def version_key(text: str) -> Key | None:
    """What sorts versions, a release behind its candidates; None for what is none.

    >>> version_key("v1.2-rc1") < version_key("1.2") < version_key("1.10"), version_key("2.0") == version_key("2")
    (True, True)
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    # A further part is later than the end, and a candidate earlier.
    end = (-2.0, match[2].lower()) if match[2] else (-1.0, "")
    return (*((float(number), "") for number in numbers), end)


def written(value: Scalar) -> str:
    """A value as a file would have it."""
    text = str(value).strip()
    return text.lower() if text.lower() in ("true", "false") else text


def _orders(name: str, one: str, other: str) -> list[Callable[[str], Key | None]]:
    """Ways to put two values in order, the likeliest first."""
    days = [key for text in (one, other) if (key := _date_key(text)) is not None]
    # Four digits alone may be anything, unless the other one has a month.
    if len(days) == 2 and max(map(len, days)) > 1:
        precision = len(days[1])
        return [lambda text: (_date_key(text) or ())[:precision]]
    is_version = _OF_VERSIONS.search(name) or _NO_NUMBER.fullmatch(one) or _NO_NUMBER.fullmatch(other)
    return [version_key, _number_key] if is_version else [_number_key, version_key]


def _date_key(text: str) -> Key | None:
    match = _DATE.fullmatch(text)
    return tuple((float(part), "") for part in match.groups() if part) if match else None


def _number_key(text: str) -> Key | None:
    return ((float(text), ""),) if _NUMBER.fullmatch(text) else None
