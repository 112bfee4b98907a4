"""Items whose opinions stand in their titles, for tests of the stream: no model decides anything here.

`negative/Acme` at the end of a title says so of Acme; `!fraud` names an event. Several may stand there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pagoda.opinions.alerts.rules import AlertCondition, AlertRule
from pagoda.opinions.story import Company, EventGuess, Item, OpinionWord, StoryOpinion
from pagoda.opinions.watching.config import MonitorConfig

START = datetime(2026, 3, 2, tzinfo=UTC)
COMPANIES = tuple(Company(name.lower(), (name,)) for name in ("Acme", "Borel", "Cindal"))
_SAID = re.compile(r"(negative|neutral|positive)/(\w+)((?:!\w+)*)")


class ToldReader:
    """Reads what titles say of themselves."""

    def read(self, item: Item) -> list[StoryOpinion]:
        return [
            StoryOpinion(
                name.lower(), label, 0.9, (OpinionWord(0, 5, item.title[:5], 1.0),),  # type: ignore[arg-type]
                tuple(EventGuess(event, 0.8) for event in events.split("!") if event), "told-1",
            )
            for label, name, events in _SAID.findall(item.title)
        ]  # fmt: skip


class ByTitle:
    """One story is what has one title before its first bar."""

    def restore(self, rows: Iterable[tuple[Item, str]]) -> None:
        """Nothing is remembered."""

    def assign(self, item: Item) -> str:
        return item.title.partition("|")[0]


def item(
    title: str, minutes: float, *, late: float = 0.0, source: str = "wire", number: str = "", text: str = ""
) -> Item:
    """Published some minutes after the start, fetched `late` minutes later."""
    published = START + timedelta(minutes=minutes)
    name = number or f"{title}@{minutes}"
    return Item(source, name, published, published + timedelta(minutes=late), title, text)


def rule(
    name: str = "wave", window_h: float = 2, cooldown_h: float = 0, **conditions: float | tuple[float, float]
) -> AlertRule:
    """measure=at_least, or measure=(at_least, until)."""
    pairs = {key: value if isinstance(value, tuple) else (value, value) for key, value in conditions.items()}
    made = tuple(AlertCondition(key, low, until) for key, (low, until) in pairs.items())
    return AlertRule(name, int(window_h * 3600), made, cooldown=int(cooldown_h * 3600))


def config(folder: Path, *rules: AlertRule, **changes: object) -> MonitorConfig:
    """A watch over the three companies."""
    settings = {"every": 900, "rules": rules, **changes}
    return MonitorConfig(COMPANIES, str(folder / "watch.db"), **settings)  # type: ignore[arg-type]


def stream(seed: int, count: int = 200, hours: float = 30.0) -> list[Item]:
    """A made-up stream in the order of arrival: bursts, reprints, late items."""
    dice = random.Random(seed)
    found: list[Item] = []
    for number in range(count):
        name = dice.choice(COMPANIES).names[0]
        label = dice.choices(("negative", "neutral", "positive"), (5, 3, 2))[0]
        story = dice.randrange(max(1, count // 2))
        late = dice.choice((0.2, 1.0, 4.0, 130.0)) if dice.random() < 0.3 else 0.5
        title = f"story {story}{'!' * (story % 2)} {label}/{name}|{number}"
        minutes = round(dice.random() * hours * 60, 2)
        found.append(item(title, minutes, late=late, source=f"s{dice.randrange(5)}", number=str(number)))
    return sorted(found, key=lambda each: each.fetched)


def alert_rows(database: object) -> list[tuple[object, ...]]:
    """All alerts, as they are kept."""
    return database.rows("SELECT * FROM alerts ORDER BY id")  # type: ignore[attr-defined, no-any-return]


def titles_of(items: Sequence[Item]) -> list[str]:
    return [each.title for each in items]
