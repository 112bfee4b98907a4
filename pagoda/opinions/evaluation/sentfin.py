"""SEntFiN: headlines whose companies people marked, each with what the headline says of it.

Beside the path *item -> opinion of a company*: the English target model is trained on it and measured on the part held
out, and so is linking, by its list of aliases. Source: Sinha, Kedas, Kumar and Malo 2022, "SEntFiN 1.0: Entity-aware
sentiment analysis for financial news" (arXiv 2305.12257), github.com/pyRis/SEntFiN, MIT.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagoda.errors import ConfigError
from pagoda.opinions.linking import is_initials
from pagoda.opinions.reading.name_forms import forms, without_legal_form
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.story import LABELS, Company, Label, Mention

HEADLINES, ALIASES = "SEntFiN.csv", "entity_list_comprehensive.csv"
_PAIR = re.compile(r"""(['"])(.+?)\1: '(positive|neutral|negative)'""")
# Whoever made the file once put labels for Hold, Buy and Sell, inside names as well: "IIFL neutralings".
_REPLACED = {
    "neutral": ("hold", "Hold", "HOLD"),
    "positive": ("buy", "Buy", "BUY"),
    "negative": ("sell", "Sell", "SELL"),
}
_FIFTH = 5
_FIRM = re.compile(r"\b(?:Ltd|Limited|Bank|Corp|Corporation|Inc|Company|Co|Industries|Plc)\b", re.I)
_SECTOR = re.compile(
    r"\b(?:sectors?|stocks?|shares|banks|companies|cos|makers|exchange|index|space|markets?|units|players|names|funds|"
    r"investors|bonds|indices|psus?|central bank)\b", re.I
)  # fmt: skip


@dataclass(frozen=True)
class Headline:
    """entities: (name as it stands in the text, label), each once."""

    text: str
    entities: tuple[tuple[str, Label], ...]

    @property
    def is_held_out(self) -> bool:
        """A fifth of the headlines, by their hash: the same on every machine."""
        return int(hashlib.sha1(self.text.encode()).hexdigest(), 16) % _FIFTH == 0

    @property
    def is_conflicting(self) -> bool:
        """Whether it says unlike things of its companies."""
        return len({label for _, label in self.entities}) > 1

    def mentions(self) -> dict[str, list[Mention]]:
        """Where each entity stands; of names within names the longer has the place."""
        taken: list[tuple[int, int]] = []
        found: dict[str, list[Mention]] = {name: [] for name, _ in self.entities}
        for name in sorted(found, key=len, reverse=True):
            for match in re.finditer(re.escape(name), self.text):
                if all(match.end() <= start or match.start() >= end for start, end in taken):
                    taken.append(match.span())
                    found[name].append(Mention(name, *match.span(), match.group(), 1.0))
        return found


def read_headlines(folder: str | Path) -> list[Headline]:
    """The headlines, each once. Raises ConfigError where the folder lacks the file."""
    found: dict[str, Headline] = {}
    for row in _rows(folder, HEADLINES):
        text, entities = row["Title"], {}
        for _, name, label in _PAIR.findall(row["Decisions"]):
            if stands := _as_it_stands(name, text):
                entities[stands] = LABELS[LABELS.index(label)]
        if entities:
            found.setdefault(text, Headline(text, tuple(entities.items())))
    return list(found.values())


def read_aliases(folder: str | Path) -> list[Company]:
    """The listed companies with their aliases; rows that mean a sector, a market, a metal or an office are left out."""
    companies = []
    for row in _rows(folder, ALIASES):
        names = tuple(dict.fromkeys(name.strip() for name in row["Entity"].split(",") if len(name.strip()) > 1))
        is_sector = any(_SECTOR.search(name) or name == name.lower() for name in names)
        if any(map(_FIRM.search, names)) and not is_sector:
            companies.append(Company(row["Symbol"], names))
    return companies


class Resolver:
    """Which companies a marked name may mean: those that have it as an alias, in any of its forms.

    Initials count as they stand: "oil" is not OIL, a company.
    """

    def __init__(self, companies: Sequence[Company]) -> None:
        self._ids: defaultdict[str, set[str]] = defaultdict(set)
        for company in companies:
            for name in company.names:
                for form, _ in forms(name):
                    self._ids[_key(form)].add(company.id)

    def ids(self, name: str) -> set[str]:
        """Empty where no company of the list is called so."""
        for form in (
            name,
            name.removesuffix("s"),
            without_legal_form(name),
            without_legal_form(name.removesuffix("s")),
        ):
            if found := self._ids.get(_key(form)) or self._ids.get(_key(form.upper()) if form.istitle() else ""):
                return found
        return set()


def _key(name: str) -> str:
    return name if is_initials(name) else folded(name)


def _rows(folder: str | Path, name: str) -> Iterator[dict[str, str]]:
    path = Path(folder).expanduser() / name
    if not path.is_file():
        raise ConfigError(f"{path} is missing: fetch github.com/pyRis/SEntFiN and name its folder")
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _as_it_stands(name: str, text: str) -> str:
    """The name as the text spells it, empty where it does not stand there."""
    low = text.lower()
    forms = [
        name,
        *(name.replace(label, word) for label, words in _REPLACED.items() for word in words if label in name),
    ]
    for form in forms:
        if (at := low.find(form.lower())) >= 0:
            return text[at : at + len(form)]
    return ""
