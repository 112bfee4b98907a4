"""The companies that are watched: one row each of a CSV file of the user's.

On the path *feed -> item -> story -> opinion of a company -> window -> alert*: without a list nobody knows whom an item
is about. A row that cannot be used is refused by its line, since a company that is not watched raises no alert.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from pagoda.errors import ConfigError, nearest
from pagoda.files.encodings import UnknownEncodingError, encoding_of
from pagoda.opinions.story import Company

COLUMNS = ("id", "name", "aliases", "codes", "context", "country", "industry")
"""Of the file's first line, in any order; id and name are needed. Several aliases, codes or context words: with |."""
_NEEDED = ("id", "name")
_MAX_LENGTH = 200


def read_companies(path: str | Path) -> tuple[Company, ...]:
    """The companies of a CSV file, in its order. Raises ConfigError with the line that is to blame."""
    source = Path(path).expanduser()
    try:
        with source.open(encoding=encoding_of(source), newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(source, reader.fieldnames or ())
            companies = tuple(_companies(source, reader))
    except FileNotFoundError as error:
        raise ConfigError(f"the list of companies {source} does not exist: give a CSV file") from error
    except UnknownEncodingError as error:
        raise ConfigError(f"the list of companies {source} {error}") from error
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise ConfigError(f"the list of companies {source} cannot be read as CSV ({error})") from error
    if not companies:
        raise ConfigError(f"{source} lists no company: give at least one row under {', '.join(COLUMNS)}")
    return companies


def _check_columns(source: Path, found: object) -> None:
    columns = [str(column or "").strip() for column in found] if isinstance(found, list | tuple) else []
    for column in _NEEDED:
        if column not in columns:
            raise ConfigError(f"{source}, line 1: no column {column!r}; expected {', '.join(COLUMNS)}")
    for column in columns:
        if column not in COLUMNS:
            raise ConfigError(f"{source}, line 1: unknown column {column!r}: {nearest(column, COLUMNS)}")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"{source}, line 1: a column stands there twice; expected {', '.join(COLUMNS)}, each once")


def _companies(source: Path, reader: csv.DictReader[str]) -> Iterator[Company]:
    lines: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if None in row or None in row.values():
            raise ConfigError(f"{source}, line {line}: {len(reader.fieldnames or ())} columns expected: quote commas")
        fields = {key.strip(): value.strip() for key, value in row.items()}
        company = _company(f"{source}, line {line}", fields)
        if company.id in lines:
            raise ConfigError(f"{source}, line {line}: id {company.id!r} stands on line {lines[company.id]} already")
        lines[company.id] = line
        yield company


def _company(place: str, fields: Mapping[str, str]) -> Company:
    for column in _NEEDED:
        if not fields[column]:
            raise ConfigError(f"{place}: {column} is empty; every company needs an id and a name")
    names = tuple(dict.fromkeys((fields["name"], *_parts(fields, "aliases"))))
    for name in (fields["id"], *names):
        if len(name) > _MAX_LENGTH:
            raise ConfigError(f"{place}: {name[:20]!r}... has {len(name)} characters; at most {_MAX_LENGTH} expected")
    for name in names:
        if sum(character.isalnum() for character in name) < 2:
            raise ConfigError(f"{place}: the name {name!r} is too short to be found; two letters at least")
    return Company(
        fields["id"],
        names,
        _parts(fields, "codes"),
        _parts(fields, "context"),
        fields.get("country", ""),
        fields.get("industry", ""),
    )


def _parts(fields: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in fields.get(column, "").split("|") if part.strip()))
