"""A watch as a person writes it down: a YAML file, each entry of which is refused by its key and line.

Before the path *feed -> item -> story -> opinion -> window -> alert*: it says what each step works with. Paths in it
are relative to the file; keys and addresses with passwords stand elsewhere, `env:NAME` or `file:PATH`.

    companies: companies.csv
    database: watch.db                  # or postgresql://user@host/database
    language: zh                        # of what people are told
    sources:
      - {feed: "https://example.org/markets.xml", name: wire, every: 5m}
      - {file: items.jsonl}
      - {kafka: {servers: ["localhost:9092"], topic: news, group: pagoda}}
    webhook: {keys: ["env:WEBHOOK_KEYS"]}
    notify: ["env:ALERT_ADDRESSES"]
    rules: [...]                        # see alerts.rules
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pagoda.files.yaml_lines import FileKind, Section, read_section
from pagoda.language import Language
from pagoda.opinions.alerts.addresses import is_readable, unreadable
from pagoda.opinions.alerts.rules import AlertRule, read_rules, seconds
from pagoda.opinions.companies import read_companies
from pagoda.opinions.errors import shown
from pagoda.opinions.events import event_types
from pagoda.opinions.reading.model_files import SHIPPED
from pagoda.opinions.store.database import is_address
from pagoda.opinions.story import Company

WATCH_FILE = FileKind("watch file", "companies, sources and rules", "opinions")
_KEYS = (
    "companies", "database", "model", "language", "every", "lateness", "sources", "webhook", "notify",
    "allow_private_addresses", "rules",
)  # fmt: skip
_KINDS = ("feed", "file", "kafka")


@dataclass(frozen=True)
class WatchedSource:
    """One source. where: URL or path; of a topic, its servers are `servers`. every: seconds."""

    kind: str
    where: str
    name: str
    every: int = 300
    servers: tuple[str, ...] = ()
    group: str = "pagoda"


@dataclass(frozen=True)
class MonitorConfig:
    """A watch. Times are seconds.

    database: path or postgresql://; model: folder of trained weights, None for word lists alone
    every: from tick to tick; lateness: after which a late item changes windows, and no alert any more
    webhook_keys: that may post items; notify: addresses for apprise
    """

    companies: tuple[Company, ...]
    database: str = field(repr=False)
    rules: tuple[AlertRule, ...] = ()
    sources: tuple[WatchedSource, ...] = ()
    model: Path | None = SHIPPED
    language: Language = "en"
    every: int = 900
    lateness: int = 2 * 86_400
    webhook_keys: tuple[str, ...] = field(default=(), repr=False)
    notify: tuple[str, ...] = field(default=(), repr=False)
    allow_private_addresses: bool = False

    @classmethod
    def read(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> MonitorConfig:
        """Of a watch file. Raises ConfigError with file, line and key, MissingExtraError without PyYAML."""
        file = Path(path).expanduser()
        root, _ = read_section(file, WATCH_FILE)
        root.only(_KEYS)
        given = os.environ if environ is None else environ
        companies = read_companies(_path(root, "companies", file))
        database = root.text("database", f"{file.stem}.db")
        rules = read_rules(root, [company.id for company in companies], event_types())
        every = seconds(root, "every", "15m")
        for rule in rules:
            if every > rule.window:
                raise root.fail(
                    "every", f"is longer than the window of rule {rule.name!r}: what is between is not seen"
                )
        return cls(
            companies,
            database if is_address(database) else str(_path(root, "database", file, f"{file.stem}.db")),
            rules,
            tuple(_source(entry, file) for entry in root.items("sources")),
            _model(root, file),
            "zh" if root.one_of("language", ("en", "zh"), "en") == "zh" else "en",
            every,
            seconds(root, "lateness", "2d"),
            _secrets(root.section("webhook"), "keys", file, given) if "webhook" in root else (),
            _addresses(root, file, given),
            root.flag("allow_private_addresses", False),
        )

    @property
    def names(self) -> dict[str, str]:
        """What each company is called, by its id."""
        return {company.id: company.names[0] for company in self.companies}


def _model(root: Section, file: Path) -> Path | None:
    """Its folder: the one that ships, called "english" too; none where "lists" are asked for."""
    name = root.text("model", "english")
    return {"english": SHIPPED, "lists": None}.get(name, _path(root, "model", file, name))


def _path(root: Section, key: str, file: Path, default: str | None = None) -> Path:
    return file.parent / Path(root.text(key, default)).expanduser()


def _source(entry: Section, file: Path) -> WatchedSource:
    entry.only((*_KINDS, "name", "every"))
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        raise entry.fail(kinds[1] if kinds else "feed", f"expected exactly one of {', '.join(_KINDS)} in a source")
    every = seconds(entry, "every", "5m")
    if kinds[0] == "kafka":
        given = entry.section("kafka")
        given.only(("servers", "topic", "group"))
        servers, topic = given.texts("servers"), given.text("topic")
        if not servers:
            raise given.fail("servers", "is missing: write a list such as [localhost:9092]")
        return WatchedSource("kafka", topic, entry.text("name", topic), every, servers, given.text("group", "pagoda"))
    where = entry.text(kinds[0])
    if "://" not in where:
        where = str(_path(entry, kinds[0], file))
    return WatchedSource(kinds[0], where, entry.text("name", _name(where)), every)


def _name(where: str) -> str:
    """What a source is called that nobody named.

    >>> _name("https://me:secret@example.org/markets.xml"), _name("feeds/wire.xml")
    ('example.org', 'wire')
    """
    return shown(where).split("/")[2] if "://" in where else Path(where).stem


def _secrets(root: Section, key: str, file: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the entries point to. One that points nowhere may be a secret in the wrong place, and is not repeated."""
    found: list[str] = []
    for number, entry in enumerate(root.texts(key), start=1):
        kind, _, where = entry.partition(":")
        if kind == "env" and where:
            found += [part.strip() for part in environ.get(where, "").split(",")]
        elif kind == "file" and where:
            found += _lines(root, key, file.parent / Path(where).expanduser())
        else:
            raise root.fail(key, f"entry {number} does not say where its value is: write env:NAME or file:PATH")
        if not any(found):
            raise root.fail(key, f"entry {number} leads to nothing: {entry} is empty or not set")
    return tuple(dict.fromkeys(value for value in found if value))


def _addresses(root: Section, file: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those of `notify`, each of which apprise can read: a slip would be found when the first alert is to be told."""
    found = _secrets(root, "notify", file, environ)
    for number, address in enumerate(found, start=1):
        if not is_readable(address):
            raise root.fail("notify", f"leads to {len(found)} addresses, number {number}: {unreadable(address)}")
    return found


def _lines(root: Section, key: str, path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise root.fail(key, f"names the file {path}, which cannot be read") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
