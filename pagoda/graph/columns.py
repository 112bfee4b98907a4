"""A column of a table and what its cells mean: a header that may tell the type, or a look at all cells.

Before a statement's path, under `tables`: cells of text -> *typed values* -> rows to load. A header is `name`,
`name:type`, or either with `:key`; without a type a column is whole numbers, numbers or yes/no only where every cell
reads as one and nothing is lost by it, so "0990-0984212" and "007" stay text. Told types and a look at all cells in
their absence is how Neo4j's bulk import and the CSV readers of data frames do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from pagoda.errors import nearest

# A list's entries in a cell of CSV.
SEPARATORS = ";|；、"
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)\.\d+|-?(?:0|[1-9]\d*)(?:\.\d+)?[eE][+-]?\d+", re.ASCII)
_FLAGS = {"true": True, "false": False}
_KEY, _LIST = "key", "list"


@dataclass(frozen=True)
class TableColumn:
    """name: of the property; type: as in TYPES, "" for one that is still to be seen; is_list: many of that type"""

    name: str
    type: str = ""
    is_list: bool = False
    is_key: bool = False

    def value(self, cell: str) -> Any:
        """The cell's value, None for an empty one. Raises ValueError for what is not of the type."""
        if not cell.strip():
            return None
        if self.is_list:
            parts = re.split(f"[{re.escape(SEPARATORS)}]", cell)
            return [TYPES[self.type or "text"](part.strip()) for part in parts if part.strip()]
        return TYPES[self.type or "text"](cell)

    def seen(self, cells: Iterable[str]) -> TableColumn:
        """The same with a type that fits all cells, where none was told."""
        if self.type or self.is_list:
            return self
        held = [cell.strip() for cell in cells if cell.strip()]
        for name, fits in (("int", _WHOLE.fullmatch), ("float", _is_number), ("bool", _is_flag)):
            if held and all(fits(cell) for cell in held):
                return replace(self, type=name)
        return replace(self, type="text")


def read_header(header: str) -> TableColumn:
    """A column by its header. Raises ValueError for one that tells no type.

    >>> read_header("price:int"), read_header("isbn:key").is_key
    (TableColumn(name='price', type='int', is_list=False, is_key=False), True)
    >>> read_header("tags:list").is_list
    True
    """
    name, *told = (part.strip() for part in header.split(":"))
    column = TableColumn(name)
    for word in told:
        if word == _KEY:
            column = replace(column, is_key=True)
        elif word == _LIST:
            column = replace(column, is_list=True)
        elif word in TYPES:
            column = replace(column, type=word)
        else:
            raise ValueError(f'"{word}" tells no type of column {name}: {nearest(word, [*TYPES, _LIST, _KEY])}')
    if not name:
        raise ValueError("a column has no name: write one into the first line")
    return column


def _whole(cell: str) -> int:
    value = int(cell.strip())
    if not -(2**63) <= value < 2**63:
        raise ValueError(cell)
    return value


def _number(cell: str) -> float:
    value = float(cell.strip())
    if not isfinite(value):
        raise ValueError(cell)
    return value


def _flag(cell: str) -> bool:
    return {**_FLAGS, "yes": True, "no": False, "1": True, "0": False}.get(cell.strip().lower(), cell) is True


def _told_flag(cell: str) -> bool:
    if cell.strip().lower() not in (*_FLAGS, "yes", "no", "1", "0"):
        raise ValueError(cell)
    return _flag(cell)


def _is_number(cell: str) -> bool:
    return bool(_WHOLE.fullmatch(cell) or _DECIMAL.fullmatch(cell)) and isfinite(float(cell))


def _is_flag(cell: str) -> bool:
    return cell.lower() in _FLAGS


TYPES: dict[str, Callable[[str], Any]] = {"text": str.strip, "int": _whole, "float": _number, "bool": _told_flag}
