"""YAML whose every entry knows its line: the ground under precise errors of a file that a person writes.

Foundation room: domain files of dialogues and files of watches are read by it. Entries are read as text, so that a
bare `no` or `1:30` stays what was written; whoever wants a number asks for one. Anchors and merges (`<<`) of YAML 1.1
are taken as they are meant; tags of one's own are refused, as nothing here would heed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError, MissingExtraError, nearest

LANGUAGES = ("zh", "en")
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = "tag:yaml.org,2002:"
# A number longer than this is a slip of the keyboard, and would go into messages whole.
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class FileKind:
    """What a file is, for what is said where it is wrong.

    name: "domain file"; holds: what stands in it; extra: of pagoda, which brings PyYAML; error: what is raised
    """

    name: str
    holds: str
    extra: str
    error: type[ConfigError] = ConfigError


class Section:
    """A mapping of the file. path: dotted, from the root; "" for the root itself."""

    def __init__(
        self, node: Any, path: str, file: str, lines: dict[str, int], error: type[ConfigError] = ConfigError
    ) -> None:
        self.path, self.file, self._lines, self._error = path, file, lines, error
        self.line = node.start_mark.line + 1
        lines[path] = self.line
        self._nodes: dict[str, Any] = {}
        own, merged = self._entries(node)
        for key, value in own:
            if key.value in self._nodes:
                raise self._failure(key.start_mark.line + 1, key.value, "stands twice: keep one of them")
            self._put(key, value)
        for key, value in merged:
            if key.value not in self._nodes:
                self._put(key, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def fail(self, key: str, problem: str) -> ConfigError:
        """An error that names file, line and entry."""
        return self._failure(self._lines.get(self._below(key), self.line), key, problem)

    def only(self, known: Iterable[str]) -> None:
        """Raises the file's error for a key that is not known here."""
        names = list(known)
        for key in self:
            if key not in names:
                raise self.fail(key, f"is not known here: {nearest(key, names)}")

    def text(self, key: str, default: str | None = None) -> str:
        """One line of text. Raises the file's error where it is missing and there is no default."""
        if key not in self._nodes:
            if default is None:
                raise self.fail(key, f"is missing: write `{key}: ...` here")
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

    def one_of_each(self, key: str, known: Iterable[str]) -> tuple[str, ...]:
        """A list of texts, each out of a list."""
        given, names = self.texts(key), list(known)
        for each in given:
            if each not in names:
                raise self.fail(key, f'holds "{each:.{_LONGEST_SHOWN}}": {nearest(each, names)}')
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

    def _put(self, key: Any, value: Any) -> None:
        self._nodes[key.value] = value
        self._lines[self._below(key.value)] = key.start_mark.line + 1

    def _entries(self, node: Any) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """(what stands here, what is merged in): own entries go before merged ones, earlier merges before later."""
        own: list[tuple[Any, Any]] = []
        merged: list[tuple[Any, Any]] = []
        for key, value in node.value:
            if key.tag != _MERGE:
                own.append((key, value))
                continue
            for source in value.value if value.id == "sequence" else [value]:
                if source.id != "mapping":
                    raise self._failure(key.start_mark.line + 1, "<<", "merges no mapping: name the anchor of one")
                merged += [pair for entries in self._entries(source) for pair in entries]
        return own, merged

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _section(self, key: str, node: Any) -> Section:
        if node.id != "mapping":
            raise self.fail(key, f"is {_named(node)}, expected a mapping of names to entries: `name: entry`")
        return Section(node, self._below(key), self.file, self._lines, self._error)

    def _empty(self, key: str) -> Section:
        empty = Section.__new__(Section)
        empty.path, empty.file, empty._lines, empty.line = self._below(key), self.file, self._lines, self.line
        empty._nodes, empty._error = {}, self._error
        return empty

    def _sequence(self, key: str, node: Any) -> list[Any]:
        if node.id != "sequence":
            raise self.fail(key, f"is {_named(node)}, expected a list: [one, another]")
        rows: list[Any] = node.value
        for row, each in enumerate(rows):
            self._lines[f"{self._below(key)}.{row}"] = each.start_mark.line + 1
        return rows

    def _scalar(self, key: str, node: Any) -> str:
        if node.id != "scalar":
            raise self.fail(key, f"is a {_kind(node)}, expected one text")
        if not node.value.strip() or node.tag == f"{_PLAIN_TAGS}null":
            raise self.fail(key, "is empty, expected a text: write one, in quotes where it is null or ~")
        return str(node.value)

    def _number(self, key: str, node: Any) -> float:
        text = self._scalar(key, node)
        try:
            number = float(text)
        except ValueError:
            number = nan
        if not isfinite(number):
            raise self.fail(key, f'is "{text:.{_LONGEST_SHOWN}}", expected a number')
        return int(number) if number == int(number) and "." not in text else number

    def _failure(self, line: int, key: str, problem: str) -> ConfigError:
        return self._error(f"{self.file}:{line}: {self._below(key)} {problem}")


def read_section(path: Path, kind: FileKind) -> tuple[Section, Mapping[str, int]]:
    """The root of a file, and the line of every entry by its dotted path (filled as entries are read).

    Raises `kind.error` for a file that cannot be read or is no YAML mapping, MissingExtraError without PyYAML.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading a {kind.name}", kind.extra) from error
    text = _text_of(path, kind)
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise kind.error(f"{path.name}:{line}: not YAML: {error.problem}{_hint(text, line)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise kind.error(f"{path.name}:{line}: not YAML: a character that no text has: {error.reason}") from error
    except RecursionError as error:
        raise kind.error(f"{path.name}:1: not YAML that can be read: entries lie too deep in one another") from error
    if node is None or node.id != "mapping":
        raise kind.error(f"{path.name}:1: a {kind.name} is a mapping with {kind.holds}")
    _check_nodes(node, path.name, kind.error)
    lines: dict[str, int] = {}
    return Section(node, "", path.name, lines, kind.error), lines


def _text_of(path: Path, kind: FileKind) -> str:
    """The file's text, with or without a mark of its byte order. Raises `kind.error`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise kind.error(f"the {kind.name} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        told = "the file is not UTF-8 (GBK or UTF-16, perhaps): save it as UTF-8"
        raise kind.error(f"{path.name}:{line}: the {kind.name} cannot be read: {told}") from error


def _check_nodes(root: Any, file: str, error: type[ConfigError]) -> None:
    """Keys are texts, tags are YAML's own, no entry holds itself. Raises `error`."""
    stack, seen = [(root, frozenset[int]())], set[int]()
    while stack:
        node, above = stack.pop()
        line = node.start_mark.line + 1
        if id(node) in above:
            raise error(f"{file}:{line}: an entry holds itself: an anchor (*) may not stand below its own &")
        if not node.tag.startswith(_PLAIN_TAGS):
            raise error(f"{file}:{line}: the tag {node.tag} means nothing here: leave it out")
        if node.id == "scalar" or id(node) in seen:
            continue
        seen.add(id(node))
        below = above | {id(node)}
        pairs = node.value if node.id == "mapping" else [(None, each) for each in node.value]
        for key, value in pairs:
            if key is not None and (key.id != "scalar" or not key.value.strip()):
                raise error(f"{file}:{key.start_mark.line + 1}: a name is {_named(key)}, expected a text")
            stack.append((value, below))


def _kind(node: Any) -> str:
    return {"mapping": "mapping", "sequence": "list"}.get(node.id, "text")


def _named(node: Any) -> str:
    """What stands there, for a message."""
    if node.id != "scalar":
        return f"a {_kind(node)}"
    return f'the text "{node.value:.{_LONGEST_SHOWN}}"' if node.value.strip() else "empty"


def _hint(text: str, line: int) -> str:
    """What to do about the commonest slip, which YAML's own words do not name."""
    rows = text.splitlines()[line - 1 : line]
    return ": indent with spaces, not tabs" if rows and "\t" in rows[0][: len(rows[0]) - len(rows[0].lstrip())] else ""
