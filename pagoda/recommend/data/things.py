"""What can be recommended: names in two languages, and the kinds by which a person tells things apart.

Beside the events, whose items are ids alone. Read from a JSONL of one's own, or from the invented city that ships.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.files.encodings import UnknownEncodingError, encoding_of


@dataclass(frozen=True)
class KindOfThing:
    """A cuisine, a genre, a part of town. id: "cuisine:Sichuan", say"""

    id: str
    name: str
    name_en: str


@dataclass(frozen=True)
class CatalogueItem:
    """An item with what a page shows of it."""

    id: str
    name: str
    name_en: str
    kinds: tuple[KindOfThing, ...] = ()

    @property
    def text(self) -> str:
        """Name and kinds in words, for the nearest by meaning."""
        return ", ".join((self.name_en, *(kind.name_en for kind in self.kinds)))


def read_things(path: Path) -> dict[str, CatalogueItem]:
    """JSON lines `{"id", "name", "name_en", "kinds": [...]}`; a kind is a string or `{"id", "name", "name_en"}`.

    What has no English name is called as in `name`. Raises ConfigError with the line at fault.
    """
    found = {}
    try:
        # Not `splitlines`, which ends a line at U+2028 too, and a name may hold one.
        lines = path.read_text(encoding=encoding_of(path)).split("\n")
    except (OSError, UnicodeDecodeError, UnknownEncodingError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            thing = _thing(line, f"{path}:{number}")
            found[thing.id] = thing
    return found


def write_things(path: Path, things: Iterable[CatalogueItem]) -> None:
    """As `read_things` reads them."""
    path.write_text("".join(json.dumps(asdict(thing), ensure_ascii=False) + "\n" for thing in things), encoding="utf-8")


def _thing(line: str, where: str) -> CatalogueItem:
    try:
        raw = json.loads(line)
        id, kinds = _id_of(raw["id"]), raw.get("kinds", [])
        if not isinstance(kinds, list):
            raise TypeError("kinds is no list")
        name = str(raw.get("name") or id)
        return CatalogueItem(id, name, str(raw.get("name_en") or name), tuple(_kind(kind) for kind in kinds))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where} is no object with id, name and kinds: {line.strip()!r:.80}") from error


def _id_of(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (str, int)) or not str(raw).strip():
        raise TypeError("an id is a text that is not blank, or a whole number")
    return str(raw).strip()


def _kind(raw: str | Mapping[str, Any]) -> KindOfThing:
    if isinstance(raw, str):
        id = _id_of(raw)
        return KindOfThing(id, id, id)
    id = _id_of(raw["id"])
    name = str(raw.get("name") or id)
    return KindOfThing(id, name, str(raw.get("name_en") or name))
