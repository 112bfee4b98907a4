"""Files of a graph, CSV or JSON lines, become data to load: one file a label, one a kind of relation.

Before a statement's path: *files* -> tables -> load -> the graph that statements ask. The files' names say what they
hold: `Book.csv` are nodes of label Book, `Book-HELD_AT-Branch.csv` relations from one to the other, with columns `from`
and `to` for the keys and further ones for the relation's properties. All mistakes of all files are found before
anything is written, and told with file and line.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import InvalidParameterError, nearest
from pagoda.graph.columns import TableColumn, read_header
from pagoda.graph.errors import GraphTableError
from pagoda.graph.loading import GraphData, NodeTable, RelationTable
from pagoda.graph.schema import LOAD_LABEL, quoted

FORMATS = (".csv", ".tsv", ".jsonl")
_FROM, _TO = "from", "to"
# Beyond these nobody reads on; the file is of another kind altogether.
_MOST_TOLD = 20
Row = tuple[int, dict[str, Any]]
"""Line and properties."""


@dataclass(frozen=True)
class _File:
    """A file that was read. key: "" for relations"""

    path: Path
    rows: Sequence[Row]
    key: str = ""


class _Problems:
    """What is wrong so far."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def add(self, path: Path, line: int, problem: str) -> None:
        """One more, with its place."""
        self._told.append(f"{path.name}:{line}: {problem}")

    def refuse(self) -> None:
        """Raises GraphTableError with all of them; nothing where there are none."""
        if self._told:
            more = len(self._told) - _MOST_TOLD
            raise GraphTableError("\n".join([*self._told[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]))


def read_tables(paths: Iterable[Path], keys: Mapping[str, str] | None = None) -> GraphData:
    """The graph that files, or all files of folders, describe.

    keys: {label: property} where the header does not mark the key (`isbn:key`); otherwise `id`, else the first column

    Raises GraphTableError with a line for each mistake: what is no table, cells that do not fit their type, keys that
    are missing or stand twice, relations whose ends are not there or that stand twice.
    """
    problems, nodes, relations = _Problems(), dict[str, _File](), dict[tuple[str, str, str], _File]()
    for path in _files(paths):
        parts = tuple(unicodedata.normalize("NFC", part.strip()) for part in path.stem.split("-"))
        if len(parts) == 1:
            _keep(nodes, parts[0], _nodes(path, (keys or {}).get(parts[0], ""), problems), problems)
        elif len(parts) == 3:
            _keep(relations, (parts[0], parts[1], parts[2]), _relations(path, problems), problems)
        else:
            problems.add(path, 1, "the name says neither a label (Book.csv) nor a relation (Book-HELD_AT-Branch.csv)")
        _check_names(path, parts, problems)
    known = {label: _keys_of(file, problems) for label, file in nodes.items()}
    problems.refuse()
    for label in keys or {}:
        if label not in nodes:
            raise GraphTableError(f"--key names label {label}, which no file holds: {nearest(label, nodes)}")
    tables = [_related(ends, file, known, problems) for ends, file in relations.items()]
    problems.refuse()
    return GraphData(
        [NodeTable(label, [row for _, row in file.rows], file.key) for label, file in nodes.items()], tables
    )


def _files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are given; of a folder those with known endings, by name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in FORMATS)
            if not inside:
                raise GraphTableError(f"{path} holds no file that ends in {', '.join(FORMATS)}")
            found += inside
        elif path.suffix.lower() not in FORMATS:
            raise GraphTableError(f"{path} does not end in {', '.join(FORMATS)}: name tables or a folder of them")
        else:
            found.append(path)
    if not found:
        raise GraphTableError("there is nothing to load: name files or a folder of them")
    return found


def _keep(held: dict[Any, _File], name: Any, file: _File | None, problems: _Problems) -> None:
    if file is not None and name in held:
        problems.add(file.path, 1, f"{held[name].path.name} holds the same: put both into one file")
    elif file is not None:
        held[name] = file


def _check_names(path: Path, parts: Sequence[str], problems: _Problems) -> None:
    for part in parts:
        try:
            quoted(part)
        except InvalidParameterError as error:
            problems.add(path, 1, str(error))
        if part == LOAD_LABEL:
            problems.add(path, 1, f"{LOAD_LABEL} is the loader's own label: use another name")


# Reading


def _nodes(path: Path, key: str, problems: _Problems) -> _File | None:
    columns, rows = _read(path, problems)
    if not columns:
        return None
    names = [column.name for column in columns]
    marked = [column.name for column in columns if column.is_key]
    chosen = key or (marked[0] if marked else "id" if "id" in names else names[0])
    if chosen not in names or len(marked) > 1:
        told = f'"{chosen}" is to be the key, which is no column' if chosen not in names else "two columns are the key"
        problems.add(path, 1, f"{told}: {nearest(chosen, names)}")
        return None
    return _File(path, rows, chosen)


def _relations(path: Path, problems: _Problems) -> _File | None:
    columns, rows = _read(path, problems, texts=(_FROM, _TO))
    names = [column.name for column in columns]
    lacking = next((end for end in (_FROM, _TO) if names and end not in names), None)
    if lacking:
        problems.add(path, 1, f'has no column "{lacking}", which names a node by its key: {nearest(lacking, names)}')
    return _File(path, rows) if names and not lacking else None


def _read(path: Path, problems: _Problems, texts: Sequence[str] = ()) -> tuple[list[TableColumn], list[Row]]:
    """Columns and rows. texts: columns that are read as they stand. Nothing of a file that cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.add(path, 1, f"cannot be read: {error.strerror}")
        return [], []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.add(path, line, 'is not UTF-8 (GBK, perhaps): save it as UTF-8, which Excel calls "CSV UTF-8"')
        return [], []
    if path.suffix.lower() == ".jsonl":
        return _read_json(path, text, problems)
    return _read_csv(path, text, problems, texts)


def _read_csv(path: Path, text: str, problems: _Problems, texts: Sequence[str]) -> tuple[list[TableColumn], list[Row]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        problems.add(path, reader.line_num, f"is no CSV: {error}; a quote in a quoted cell is doubled")
        return [], []
    columns = _headers(path, lines[0][1], problems) if lines else []
    if not columns:
        if not lines:
            problems.add(path, 1, "is empty: the first line names the columns")
        return [], []
    body = []
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            problems.add(path, line, f"has {len(cells)} cells, but the first line names {len(columns)} columns")
        else:
            body.append((line, cells))
    columns = [
        column.seen(cells[number] for _, cells in body) if column.name not in texts else column
        for number, column in enumerate(columns)
    ]
    return columns, [(line, _typed(path, line, columns, cells, problems)) for line, cells in body]


def _headers(path: Path, cells: Sequence[str], problems: _Problems) -> list[TableColumn]:
    columns: list[TableColumn] = []
    for cell in cells:
        try:
            column = read_header(cell)
            quoted(column.name)
        except ValueError as error:  # InvalidParameterError is one
            problems.add(path, 1, str(error))
            return []
        if column.name in [other.name for other in columns]:
            problems.add(path, 1, f'names column "{column.name}" twice')
            return []
        columns.append(column)
    return columns


def _typed(
    path: Path, line: int, columns: Sequence[TableColumn], cells: Sequence[str], problems: _Problems
) -> dict[str, Any]:
    row = {}
    for column, cell in zip(columns, cells, strict=True):
        try:
            value = column.value(cell)
        except ValueError:
            problems.add(path, line, f'{column.name} is "{cell:.60}", expected {column.type}')
            continue
        if value is not None:
            row[column.name] = value
    return row


def _read_json(path: Path, text: str, problems: _Problems) -> tuple[list[TableColumn], list[Row]]:
    columns: dict[str, TableColumn] = {}
    rows: list[Row] = []
    for line, each in enumerate(text.split("\n"), 1):
        if not each.strip():
            continue
        try:
            row = json.loads(each)
        except (ValueError, RecursionError) as error:
            problems.add(path, line, f"is no JSON: {error}")
            continue
        if not isinstance(row, dict):
            problems.add(path, line, f"is no JSON object: {each:.60}")
            continue
        told = next(iter(_odd_values(row)), None)
        if told is not None:
            problems.add(path, line, told)
            continue
        rows.append((line, {name: value for name, value in row.items() if value is not None}))
        columns.update({name: TableColumn(name) for name in row if name not in columns})
    if not rows:
        problems.add(path, 1, "holds no row: write a JSON object a line")
    return list(columns.values()), rows


def _odd_values(row: Mapping[str, Any]) -> Iterator[str]:
    """What no property can be."""
    for name, value in row.items():
        try:
            quoted(name)
        except InvalidParameterError as error:
            yield str(error)
        held = value if isinstance(value, list) else [value]
        kinds = {type(each) for each in held} - ({type(None)} if not isinstance(value, list) else set())
        if kinds - {str, int, float, bool}:
            shown = json.dumps(value, ensure_ascii=False)
            yield f"{name} is {shown:.60}, expected text, a number, true, false or a list of one of them"
        elif len(kinds - {int, float}) + bool(kinds & {int, float}) > 1:
            yield f"{name} is a list of several types, expected one: {json.dumps(value, ensure_ascii=False):.60}"
        elif any(isinstance(each, int) and not -(2**63) <= each < 2**63 for each in held):
            yield f"{name} is a whole number beyond 64 bits: write it as text"
        elif any(isinstance(each, float) and each - each != 0 for each in held):
            yield f"{name} is no finite number"


# Keys and ends


def _keys_of(file: _File, problems: _Problems) -> dict[str, Any]:
    """{the key in words: the key} of a label's nodes, each there and single."""
    first: dict[str, int] = {}
    known: dict[str, Any] = {}
    for line, row in file.rows:
        key = row.get(file.key)
        if key is None or isinstance(key, list):
            problems.add(file.path, line, f"has no key: {file.key} is {'a list' if key is not None else 'empty'}")
            continue
        word = str(key)
        if word in first:
            problems.add(file.path, line, f'{file.key} "{word:.60}" stands in line {first[word]} already')
        first.setdefault(word, line)
        known[word] = key
    return known


def _related(
    ends: tuple[str, str, str], file: _File, known: Mapping[str, Mapping[str, Any]], problems: _Problems
) -> RelationTable:
    source, kind, target = ends
    for label in (source, target):
        if label not in known:
            problems.add(file.path, 1, f"joins {label}, of which there is no file: {nearest(label, known)}")
            return RelationTable(kind, source, target, [])
    first: dict[tuple[Any, Any], int] = {}
    rows = []
    for line, row in file.rows:
        found = [
            _end(file.path, line, end, row, label, known[label], problems)
            for end, label in ((_FROM, source), (_TO, target))
        ]
        if None in found:
            continue
        pair = (found[0], found[1])
        if pair in first:
            problems.add(file.path, line, f"joins what line {first[pair]} joins already: a pair is joined once")
        first.setdefault(pair, line)
        rows.append((*pair, {name: value for name, value in row.items() if name not in (_FROM, _TO)}))
    return RelationTable(kind, source, target, rows)


def _end(
    path: Path, line: int, end: str, row: Mapping[str, Any], label: str, keys: Mapping[str, Any], problems: _Problems
) -> Any:
    """The key that is meant, as its node has it; None where there is none."""
    word = str(row.get(end, "")).strip()
    if word not in keys:
        hint = nearest(word, keys) if len(keys) <= 1000 else "look into its file"
        problems.add(path, line, f'{end} is "{word:.60}", but no {label} has this key: {hint:.200}')
        return None
    return keys[word]
