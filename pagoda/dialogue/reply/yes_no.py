"""Whether what somebody asked about is so: "is there a pool?", held against the row that answers it.

Last station of a turn: sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> *reply*. A list that
may have been cut short proves nothing by what it lacks, and what cannot be compared is not: the column's value is told
in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.dialogue.domain.model import Column, GraphQuery
from pagoda.dialogue.slots.kinds import Band, NodeValue, Range, Value


def is_so(query: GraphQuery, column: Column, value: Value, row: Mapping[str, Any]) -> bool | None:
    """Whether a column of a row has a value, or lies within it; None where the row does not tell."""
    held = _held(column, row)
    if not held:
        return None
    match value:
        case NodeValue():
            return _is_among({value.zh, value.en} - {""}, held, column)
        case Band(name):
            spans = [each.bands[name] for each in query.filters_of(column) if name in each.bands]
            return _lies_in(Range(*spans[0]), held[0]) if spans else None
        case Range():
            return _lies_in(value, held[0])
        case bool() | int() | float() | str():
            return _is_among({value}, held, column)
    return None


def _held(column: Column, row: Mapping[str, Any]) -> list[Any]:
    """What the row has of a column, in whatever language."""
    found: list[Any] = []
    for language in column.property:
        given = row.get(f"{column.name}_{language}" if language else column.name)
        found += given if isinstance(given, list | tuple) else [given]
    return [each for each in found if each is not None]


def _is_among(spellings: set[Any], held: list[Any], column: Column) -> bool | None:
    if spellings & set(held):
        return True
    is_whole = not column.many or len(held) < column.limit * len(column.property)
    return False if is_whole else None


def _lies_in(span: Range, held: Any) -> bool | None:
    if isinstance(held, bool) or not isinstance(held, int | float):
        return None
    is_low = span.low is None or held > span.low or (held == span.low and not span.is_above)
    is_high = span.high is None or held < span.high or (held == span.high and not span.is_below)
    return is_low and is_high
