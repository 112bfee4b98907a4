"""Which chunks a question may find: conditions on what is known of a document, the same in Python, HTTP and the shell.

Beside a question's path: question -> *filter* -> Hits -> answer. A condition names a field and what it must be: a
value, a list of which any will do, or an operator as document stores have them ({"$gte": "1.2"}; "gte" and ">=" mean
the same). A field that a document lacks fulfils nothing but "!=" and "not in"; of a field with several values, such as
tags, one must fulfil it. All of the conditions must hold; "$and", "$or" and "$not" join others.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pagoda.errors import InvalidRequestError
from pagoda.rag.documents.document import Chunk, Scalar
from pagoda.rag.query import Where
from pagoda.rag.retrieval.comparison import is_before, is_equal, written

Test = Callable[[Chunk], bool]
_FIELDS = {
    **{name: name for name in ("source", "title", "section", "page", "line")},
    "path": "source",
    "heading": "section",
}
"""What every chunk has of itself -> its attribute; all other names are of the document's metadata."""
_SIGNS = {
    "=": "eq",
    "==": "eq",
    "!=": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "^=": "prefix",
    "*=": "contains",
    "not in": "nin",
}
_MAX_DEPTH = 8
_MOST_VALUES, _LONGEST_VALUE = 5, 120
"""That are told of a field; characters of each that are told and compared."""
_NEGATED = {"ne": "eq", "nin": "in"}
_CONDITION = re.compile(r"\s*(.+?)\s*(==|!=|>=|<=|\^=|\*=|=|>|<|\s(?:not\s+)?in\s)\s*(.*)", re.DOTALL)
_HELP = "expected NAME=VALUE, or one of != > >= < <= ^= (begins with) *= (contains) in, not in (values between commas)"


def filter_of(where: Where | None, depth: int = 0) -> Test:
    """Whether a chunk may be found. Raises InvalidRequestError for conditions that cannot be read.

    depth: how many others it stands in
    """
    if depth > _MAX_DEPTH:
        raise InvalidRequestError(f"the filter has more than {_MAX_DEPTH} levels: write it flatter", param="where")
    return _all([_clause(name, value, depth) for name, value in (where or {}).items()])


def fields_of(where: Where | None) -> set[str]:
    """The names of the document's metadata that a filter asks for.

    >>> sorted(fields_of({"$or": [{"team": "x"}, {"path": "a.md"}], "tags": "linux"}))
    ['tags', 'team']
    """
    return {name for name, _ in _conditions(where or {}) if name not in _FIELDS}


def known_fields(chunks: Sequence[Chunk]) -> list[str]:
    """All names that a filter of these chunks may ask for."""
    return sorted({"path", "title", "section"}.union(*(chunk.metadata for chunk in chunks)))


def known_values(chunks: Sequence[Chunk], where: Where) -> str:
    """What the fields that a filter names are, in words: of each the values that are most like what it asks for.

    >>> chunk = Chunk("1", "a/trip.md", "Text.", 0, 5, 1, metadata={"year": 2024})
    >>> known_values([chunk], {"path": "tripp.md", "year": {"gt": 2025}})
    'path: a/trip.md; year: 2024'
    """
    asked: dict[str, list[str]] = {}
    for name, value in _conditions(where):
        for entry in value.values() if isinstance(value, Mapping) else [value]:
            asked.setdefault(name, []).extend(map(written, entry if isinstance(entry, list) else [entry]))
    told = []
    for name, wanted in asked.items():
        values = {written(value) for chunk in chunks for value in _values(chunk, name)}
        if not values:
            continue
        more = "" if len(values) <= _MOST_VALUES else ", ..."
        told.append(f"{name}: {', '.join(map(_cut, _likest(sorted(values), wanted)))}{more}")
    return "; ".join(told)


def _likest(values: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Of many values those most like any wanted one, the likest first: only what may be among them is compared."""
    comparing = [SequenceMatcher(None, b=each[:_LONGEST_VALUE].casefold()) for each in wanted[:_MOST_VALUES]]
    best: list[tuple[float, int]] = []
    for place, value in enumerate(values):
        likeness = 0.0
        least = best[0][0] if len(best) == _MOST_VALUES else -1.0
        for matcher in comparing:
            matcher.set_seq1(value[:_LONGEST_VALUE].casefold())
            if matcher.real_quick_ratio() > least and matcher.quick_ratio() > least:
                likeness = max(likeness, matcher.ratio())
        # Of equals the first one is kept.
        heapq.heappush(best, (likeness, -place))
        if len(best) > _MOST_VALUES:
            heapq.heappop(best)
    return [values[-place] for _, place in sorted(best, reverse=True)]


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."


def _conditions(where: Where) -> Iterator[tuple[str, Any]]:
    """(field, what it must be) of each condition, however deep they stand in one another."""
    for name, value in where.items():
        if name in ("$and", "$or", "$not"):
            for part in [value] if name == "$not" else value:
                yield from _conditions(part)
        else:
            yield name, value


def parse_conditions(texts: Sequence[str]) -> dict[str, Any]:
    """Conditions as they are typed in a shell; several on one field must all hold. Raises InvalidRequestError.

    >>> parse_conditions(["version>=1.2", "lang in en, zh", "path^=guide/"])
    {'version': {'gte': '1.2'}, 'lang': {'in': ['en', 'zh']}, 'path': {'prefix': 'guide/'}}
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise InvalidRequestError(f"the filter is {text!r}, {_HELP}", param="where")
        operator = _operator(" ".join(match[2].split()))
        value = [part.strip() for part in match[3].split(",")] if operator in ("in", "nin") else match[3]
        if operator in found.setdefault(match[1], {}):
            return {"$and": [parse_conditions([text]) for text in texts]}
        found[match[1]][operator] = value
    return found


def _clause(name: str, value: Any, depth: int) -> Test:
    if name in ("$and", "$or", "$not"):
        return _joined(name, value, depth)
    if isinstance(value, Mapping):
        if not value:
            raise InvalidRequestError(f"the filter on {name!r} names no operator, {_known()}", param="where")
        return _all([_condition(name, _operator(sign), wanted) for sign, wanted in value.items()])
    return _condition(name, "in" if isinstance(value, list) else "eq", value)


def _joined(name: str, value: Any, depth: int) -> Test:
    parts = [value] if name == "$not" else value
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
        expected = "one filter" if name == "$not" else "a list of filters"
        raise InvalidRequestError(f"{name} is {value!r:.80}, expected {expected}", param="where")
    tests = [filter_of(part, depth + 1) for part in parts]
    if name == "$not":
        return lambda chunk: not tests[0](chunk)
    return _all(tests) if name == "$and" else lambda chunk: any(test(chunk) for test in tests)


def _all(tests: Sequence[Test]) -> Test:
    return lambda chunk: all(test(chunk) for test in tests)


def _condition(name: str, operator: str, wanted: Any) -> Test:
    """Of a field with several values one must fulfil it, and none what a negation denies."""
    fulfils = _comparison(name, _NEGATED.get(operator, operator), wanted)
    is_negated = operator in _NEGATED
    return lambda chunk: any(map(fulfils, _values(chunk, name))) != is_negated


def _comparison(name: str, operator: str, wanted: Any) -> Callable[[Scalar], bool]:
    if operator == "in":
        if not isinstance(wanted, list):
            raise InvalidRequestError(f"the filter on {name!r} is in {wanted!r:.80}, expected a list", param="where")
        choices = [_scalar(name, entry) for entry in wanted]
        return lambda value: any(is_equal(value, choice) for choice in choices)
    scalar = _scalar(name, wanted)
    text = written(scalar)
    return {
        "eq": lambda value: is_equal(value, scalar),
        "prefix": lambda value: written(value).startswith(text),
        "contains": lambda value: text.casefold() in written(value).casefold(),
        "lt": lambda value: is_before(name, value, scalar) is True,
        "gte": lambda value: is_before(name, value, scalar) is False,
        "gt": lambda value: is_before(name, value, scalar) is False and not is_equal(value, scalar),
        "lte": lambda value: is_before(name, value, scalar) is True or is_equal(value, scalar),
    }[operator]


def _values(chunk: Chunk, name: str) -> Iterator[Scalar]:
    value = getattr(chunk, _FIELDS[name]) if name in _FIELDS else chunk.metadata.get(name)
    if isinstance(value, (list, tuple)):
        yield from value
    elif value is not None:
        yield value


def _scalar(name: str, value: Any) -> Scalar:
    if isinstance(value, (str, int, float, bool)):
        return value
    raise InvalidRequestError(
        f"the filter on {name!r} is {value!r:.80}, expected a text, a number, true or false", param="where"
    )


def _operator(sign: str) -> str:
    name = _SIGNS.get(sign, sign.removeprefix("$"))
    if name not in {*_SIGNS.values(), "in"}:
        raise InvalidRequestError(f"{sign!r} is no operator of a filter, {_known()}", param="where")
    return name


def _known() -> str:
    return "expected one of " + ", ".join(f"${name}" for name in dict.fromkeys([*_SIGNS.values(), "in"]))
