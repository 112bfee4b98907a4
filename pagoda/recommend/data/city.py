"""The invented city as a shop: its restaurants, films and hotels, and visits that nobody made.

The shipped data. The city is the dialogue's, read as data; the visits are drawn from tastes that no model sees: each
person likes a few cuisines and genres, one or two parts of town and a level of prices, and these drift in the year. So
there is something to find, and no licence to ask for. The same seed draws the same year.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, KindOfThing

_LABELS = ("Restaurant", "Film", "Hotel")
_KIND_RELATIONS = ("HAS_CUISINE", "HAS_GENRE", "IN_DISTRICT")
EXAMPLE = "person-003"
"""One of those whose visits are drawn."""
_YEAR_S = 365 * 86400.0
_BEGIN = 1_750_000_000.0
"""Where the invented year begins, in Unix seconds."""


@dataclass(frozen=True)
class City:
    """things: what can be visited; prices: of each, 0 to 1 among its own sort, in their order."""

    things: tuple[CatalogueItem, ...]
    prices: np.ndarray


def read_city() -> City:
    """The city that ships with pagoda."""
    raw = json.loads((files("pagoda.dialogue") / "data" / "city.json").read_text(encoding="utf-8"))
    nodes: dict[str, Mapping[str, Any]] = {node["id"]: node for rows in raw["nodes"].values() for node in rows}
    kinds: dict[str, list[KindOfThing]] = {}
    for relation in raw["relations"]:
        if relation["type"] in _KIND_RELATIONS and relation["from"] in _LABELS:
            for thing, kind in relation["rows"]:
                name = nodes[kind]["name_en"]
                kinds.setdefault(thing, []).append(
                    KindOfThing(f"{relation['to'].lower()}:{name}", nodes[kind]["name"], name)
                )
    things, prices = [], []
    for label in _LABELS:
        rows = raw["nodes"][label]
        things += [
            CatalogueItem(row["id"], row["name"], row["name_en"], tuple(kinds.get(row["id"], ()))) for row in rows
        ]
        costs = np.array([float(row.get("price", row["rating"])) for row in rows])
        prices.append(costs.argsort().argsort() / max(1, len(rows) - 1))
    return City(tuple(things), np.concatenate(prices))


def draw_visits(city: City, *, users: int = 300, seed: int = 0) -> InteractionLog:
    """A year of made-up visits."""
    rng = np.random.default_rng(seed)
    names = sorted({kind.id for thing in city.things for kind in thing.kinds})
    number = {name: place for place, name in enumerate(names)}
    has = np.zeros((len(city.things), len(names)))
    for row, thing in enumerate(city.things):
        has[row, [number[kind.id] for kind in thing.kinds]] = 1.0
    fame = rng.gumbel(size=len(city.things)) * 0.4
    events: list[Interaction] = []
    for user in range(users):
        events += _year_of(f"person-{user:03d}", city, has, fame, rng)
    return InteractionLog.of(events)


def _year_of(user: str, city: City, has: np.ndarray, fame: np.ndarray, rng: np.random.Generator) -> list[Interaction]:
    """One person's visits: each is a draw by the tastes of that day, which have moved since the last."""
    taste = np.where(rng.random(has.shape[1]) < 0.12, rng.uniform(2.0, 4.0, has.shape[1]), 0.0)
    level = rng.random()
    times = np.sort(rng.random(int(rng.integers(12, 50)))) * _YEAR_S + _BEGIN
    seen: set[int] = set()
    events = []
    for when in times:
        if rng.random() < 0.05:  # a liking goes, and another comes
            taste[rng.integers(len(taste))] = 0.0
            taste[rng.integers(len(taste))] = 3.0
        worth = has @ taste + fame - 2.0 * np.abs(city.prices - level) + rng.gumbel(size=len(city.things))
        worth[list(seen)] = -np.inf
        item = int(worth.argmax())
        seen.add(item)
        events.append(Interaction(user, city.things[item].id, float(round(when))))
    return events
