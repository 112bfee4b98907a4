"""The reference page of the domain file, made from the records that a file is read into.

Beside the turn's path: `pagoda dialogue reference` prints it, docs/domain-file.md is what it printed, and a test holds
the two together. Names, types and defaults come from `model`; what an entry means and an example of it stand in
domains/reference.yaml. An entry that is missing there is an error, so that none is added in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pagoda.dialogue.domain import model
from pagoda.dialogue.domain.domain import ENTRIES
from pagoda.dialogue.domain.file import names_of
from pagoda.dialogue.errors import DOMAIN_FILE
from pagoda.files.yaml_lines import Section, read_section

SAID = Path(__file__).with_name("domains") / "reference.yaml"
RECORDS: Mapping[str, type[Any] | None] = {
    "file": None,
    "label": model.Label,
    "slot": model.Slot,
    "intent": model.Intent,
    "query": model.GraphQuery,
    "filter": model.Filter,
    "column": model.Column,
    "booking": model.Booking,
    "hours": model.Hours,
}
"""The mappings of a domain file, in the order of the page, and what each is read into."""
_HEAD = """# The domain file

Every entry that a domain file may have, with type, default, meaning and an example. `pagoda dialogue reference` prints
this page; it is made from the records that the file is read into. A mistake is told with its line and what to do about
it when a dialogue is opened; what can be told without a graph is told before one is. Whole files:
[city.yaml](../pagoda/dialogue/domain/domains/city.yaml), which ships, and [bikes.yaml](../examples/bikes/bikes.yaml).

领域文件的全部条目：类型、默认值、含义和例子。打开对话时会检查文件，错误附行号和改法；与图无关的错误先于图报出。
"""


def page() -> str:
    """The whole page, in Markdown. Raises DomainError for an entry of which nothing is said."""
    said, _ = read_section(SAID, DOMAIN_FILE)
    return "\n".join([_HEAD, *(line for part in RECORDS for line in _lines(part, said.section(part)))]) + "\n"


def entries(part: str) -> list[str]:
    """The names that the reader of a file takes in one of its mappings."""
    record = RECORDS[part]
    if record is None:
        return list(ENTRIES)
    # A record knows its own name in its mapping, and opening hours have no name: "slot" is an entry of theirs.
    return names_of(record)


def _lines(part: str, said: Section) -> Iterator[str]:
    record = RECORDS[part]
    hints = {} if record is None else get_type_hints(record)
    held = {} if record is None else {each.name: each for each in fields(record)}
    yield from (f"## {said.text('title')}", "", said.text("en"), "", said.text("zh"), "")
    yield "| entry | type | default | meaning | 含义 | example |"
    yield "|---|---|---|---|---|---|"
    for name in entries(part):
        entry = said.section("entries").section(name)
        kind = entry.text("type", "") or _type_words(hints[name])
        default = entry.text("default", "") or (_default(held[name]) if name in held else "required")
        cells = (kind, default, entry.text("en"), entry.text("zh"), f"`{entry.text('example')}`")
        yield f"| `{name}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _default(entry: Field[Any]) -> str:
    if entry.default is MISSING:
        return "required" if entry.default_factory is MISSING else "none"
    return "none" if entry.default in ("", (), None) else f"`{str(entry.default).lower()}`"


def _type_words(hint: Any) -> str:
    """A type as a writer of files sees it. Raises KeyError for one that stands in no record yet."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in get_args(hint) if value)
    return {
        str: "text",
        bool: "true or false",
        int: "whole number",
        float | None: "number",
        tuple[str, ...]: "list of texts",
        model.Text: "text, or text by language",
        Mapping[str, tuple[str, ...]]: "lists of texts by name",
        Mapping[str, model.Words]: "lists of texts by language, by name",
    }[hint]
