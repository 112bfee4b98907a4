"""YAML whose every entry knows its line: the ground under precise errors of a domain file.

Stands before the turn's path. Entries are read as text, so that a bare `no` or `1:30` stays what was written; whoever
wants a number asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pagoda.dialogue.errors import DomainError
from pagoda.errors import MissingExtraError, nearest

LANGUAGES = ("zh", "en")


class Section:
    """A mapping of the file. path: dotted, from the root; "" for the root itself."""

    def __init__(self, node: Any, path: str, file: str, lines: dict[str, int]) -> None:
        self.path, self.file, self._lines = path, file, lines
        self.line = node.start_mark.line + 1
        lines[path] = self.line
        self._nodes: dict[str, Any] = {}
        for key, value in node.value:
            if key.value in self._nodes:
                raise self._failure(key.start_mark.line + 1, key.value, "stands twice: keep one of them")
            self._nodes[key.value] = value
            lines[self._below(key.value)] = key.start_mark.line + 1

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def fail(self, key: str, problem: str) -> DomainError:
        """An error that names file, line and entry."""
        return self._failure(self._lines.get(self._below(key), self.line), key, problem)

    def only(self, known: Iterable[str]) -> None:
        """Raises DomainError for a key that is not known here."""
        names = list(known)
        for key in self:
            if key not in names:
                raise self.fail(key, f"is not known here: {nearest(key, names)}")

    def text(self, key: str, default: str | None = None) -> str:
        """One line of text. Raises DomainError where it is missing and there is no default."""
        if key not in self._nodes:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        return self._scalar(key, self._nodes[key])

    def is_text(self, key: str) -> bool:
        """Whether a text stands there, not a list or mapping."""
        return key in self._nodes and self._nodes[key].id == "scalar"

    def one_of(self, key: str, known: Iterable[str], default: str | None = None) -> str:
        """A text out of a list."""
        given, names = self.text(key, default), list(known)
        if given not in names:
            raise self.fail(key, f'is "{given}": {nearest(given, names)}')
        return given

    def number(self, key: str, default: float | None = None) -> float | None:
        """A number, or the default where there is none."""
        return self._number(key, self._nodes[key]) if key in self._nodes else default

    def integer(self, key: str, default: int) -> int:
        """A whole number."""
        given = self.number(key, default)
        if given is None or given != int(given):
            raise self.fail(key, f"is {given}, expected a whole number")
        return int(given)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        return self.one_of(key, ("true", "false"), "true" if default else "false") == "true"

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one; nothing is an empty list."""
        if key not in self._nodes:
            return ()
        node = self._nodes[key]
        if node.id == "scalar":
            return (self._scalar(key, node),)
        return tuple(self._scalar(f"{key}.{row}", each) for row, each in enumerate(self._sequence(key, node)))

    def ends(self, key: str) -> tuple[float | None, float | None]:
        """A pair [low, high], null for an open end."""
        pair = self._sequence(key, self._nodes[key])
        if len(pair) != 2:
            raise self.fail(key, "is no pair: write [low, high], null for an open end")
        low, high = (None if each.value in ("null", "~", "") else self._number(key, each) for each in pair)
        return low, high

    def section(self, key: str) -> Section:
        """The mapping under a key; an empty one where there is none."""
        return self._section(key, self._nodes[key]) if key in self._nodes else self._empty(key)

    def items(self, key: str) -> list[Section]:
        """A list of mappings."""
        if key not in self._nodes:
            return []
        return [self._section(f"{key}.{row}", each) for row, each in enumerate(self._sequence(key, self._nodes[key]))]

    def by_language(self, key: str) -> dict[str, str]:
        """{"zh": ..., "en": ...}; one text alone is meant for both."""
        if key not in self._nodes:
            return {}
        if self._nodes[key].id == "scalar":
            return dict.fromkeys(LANGUAGES, self.text(key))
        given = self.section(key)
        given.only(LANGUAGES)
        return {language: given.text(language) for language in given}

    def words(self, key: str) -> dict[str, tuple[str, ...]]:
        """Lists of texts by language."""
        given = self.section(key)
        given.only(LANGUAGES)
        return {language: given.texts(language) for language in given}

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _section(self, key: str, node: Any) -> Section:
        if node.id != "mapping":
            raise self.fail(key, "is no mapping of names to entries")
        return Section(node, self._below(key), self.file, self._lines)

    def _empty(self, key: str) -> Section:
        empty = Section.__new__(Section)
        empty.path, empty.file, empty._lines, empty.line = self._below(key), self.file, self._lines, self.line
        empty._nodes = {}
        return empty

    def _sequence(self, key: str, node: Any) -> list[Any]:
        if node.id != "sequence":
            raise self.fail(key, "is no list")
        rows: list[Any] = node.value
        for row, each in enumerate(rows):
            self._lines[f"{self._below(key)}.{row}"] = each.start_mark.line + 1
        return rows

    def _scalar(self, key: str, node: Any) -> str:
        if node.id != "scalar" or not node.value.strip():
            raise self.fail(key, "is no text")
        return str(node.value)

    def _number(self, key: str, node: Any) -> float:
        try:
            number = float(self._scalar(key, node))
        except ValueError:
            raise self.fail(key, f'is "{node.value}", expected a number') from None
        return int(number) if number == int(number) and "." not in node.value else number

    def _failure(self, line: int, key: str, problem: str) -> DomainError:
        return DomainError(f"{self.file}:{line}: {self._below(key)} {problem}")


def read_section(path: Path) -> tuple[Section, Mapping[str, int]]:
    """The root of a file, and the line of every entry by its dotted path (filled as entries are read).

    Raises DomainError for a file that cannot be read or is no YAML mapping, MissingExtraError without PyYAML.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading a domain file", "dialogue") from error
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise DomainError(f"the domain file {path} cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DomainError(f"{path.name}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DomainError(f"{path.name}:1: not YAML: {error}") from error
    if node is None or node.id != "mapping":
        raise DomainError(f"{path.name}:1: a domain file is a mapping with labels, slots, intents and examples")
    lines: dict[str, int] = {}
    return Section(node, "", path.name, lines), lines
