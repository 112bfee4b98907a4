"""Makes the city that pagoda ships: `python examples/city/make_city.py` writes pagoda/dialogue/data/city.json.

Stands before the turn's path: the graph that its Cypher asks. Nothing in it exists; `SCHEMA.md` beside the output says
what there is. The same bytes come out every time: the only source of chance is one seeded generator, and coverage
(every cuisine in every price band, every genre five times) is laid down, not drawn.
"""

from __future__ import annotations

import json
import math
import random
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
OUTPUT = Path(__file__).resolve().parents[2] / "pagoda" / "dialogue" / "data" / "city.json"
SEED = 20261121
# District centres lie on a grid of four by three, this many metres apart; places scatter around them.
GRID_M, SCATTER_M, NEAR_M = 1800.0, 650.0, 2000
MAX_NEAR = 4
SCREENINGS_PER_FILM = 5
# CNY a head for the seven restaurants of a cuisine: three cheap, two moderate, two expensive.
PRICE_RANGES = ((18, 38), (32, 60), (45, 60), (61, 100), (90, 150), (155, 300), (220, 680))
STARS = {2: (90, 240), 3: (180, 420), 4: (380, 900), 5: (760, 2400)}
Point = tuple[float, float]


@dataclass
class City:
    """Nodes by label and relations by (type, from label, to label), in the order they were made."""

    nodes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    relations: dict[tuple[str, str, str], list[list[Any]]] = field(default_factory=dict)
    where: dict[str, Point] = field(default_factory=dict)

    def add(self, label: str, **properties: Any) -> str:
        """A node with the label's next id, which is returned."""
        rows = self.nodes.setdefault(label, [])
        node_id = f"{label.lower()}-{len(rows) + 1:03d}"
        rows.append({"id": node_id, **properties})
        return node_id

    def relate(self, source: str, relation: str, target: str, **properties: Any) -> None:
        """One relation between two ids; what they are stands in the ids themselves."""
        key = (relation, _label_of(source), _label_of(target))
        self.relations.setdefault(key, []).append([source, target, properties] if properties else [source, target])

    def settle(self, node_id: str, district: int, chance: random.Random) -> None:
        """Give a place its district, and the landmarks that are near."""
        row, column = divmod(district, 4)
        point = (column * GRID_M + chance.gauss(0, SCATTER_M), row * GRID_M + chance.gauss(0, SCATTER_M))
        self.where[node_id] = point
        self.relate(node_id, "IN_DISTRICT", f"district-{district + 1:03d}")
        if _label_of(node_id) != "Landmark":
            for distance_m, landmark in self._nearest_landmarks(point):
                self.relate(node_id, "NEAR", landmark, distance_m=distance_m)

    def _nearest_landmarks(self, point: Point) -> list[tuple[int, str]]:
        """(metres, id) of the nearest ones, at least one of them."""
        landmarks = [row["id"] for row in self.nodes["Landmark"]]
        by_distance = sorted((_metres(point, self.where[landmark]), landmark) for landmark in landmarks)
        return [pair for pair in by_distance[:MAX_NEAR] if pair[0] <= NEAR_M] or by_distance[:1]

    def as_json(self) -> str:
        """One line a table; opens in any editor, and differs by lines."""
        nodes = ",\n".join(f"{_dumps(label)}:{_dumps(rows)}" for label, rows in self.nodes.items())
        relations = ",\n".join(
            _dumps({"type": kind, "from": source, "to": target, "rows": rows})
            for (kind, source, target), rows in self.relations.items()
        )
        return f'{{"nodes":{{\n{nodes}\n}},\n"relations":[\n{relations}\n]}}\n'


def make_city() -> City:
    """The whole city."""
    city, chance = City(), random.Random(SEED)
    _add_vocabularies(city)
    _add_landmarks(city, chance)
    _add_restaurants(city, chance)
    _add_hotels(city, chance)
    _add_cinemas(city, chance)
    _add_films(city, chance)
    return city


def _add_vocabularies(city: City) -> None:
    for name, english in WORDS["districts"]:
        city.add("District", name=f"{name}区", name_en=english, aliases=[name, f"{english} District"])
    for label, entries in (("Genre", WORDS["genres"]), ("Facility", WORDS["facilities"])):
        for name, english, aliases in entries:
            city.add(label, name=name, name_en=english, aliases=aliases)
    for entry in WORDS["cuisines"]:
        name, english = entry["name"], entry["name_en"]
        cuisine = city.add("Cuisine", name=name, name_en=english, aliases=[*entry["aliases"], f"{english} food"])
        for dish, dish_en in entry["dishes"]:
            city.relate(city.add("Dish", name=dish, name_en=dish_en, aliases=[]), "OF_CUISINE", cuisine)


def _add_landmarks(city: City, chance: random.Random) -> None:
    stations = [(f"{zh}站", f"{en} Station", [f"{zh}地铁站", f"{en} metro"]) for zh, en in WORDS["stations"]]
    kinds = (("company", WORDS["companies"]), ("metro", stations), ("sight", WORDS["sights"]))
    position = 0
    for kind, entries in kinds:
        for name, english, aliases in entries:
            landmark = city.add("Landmark", name=name, name_en=english, kind=kind, aliases=aliases)
            city.settle(landmark, position % len(WORDS["districts"]), chance)
            position += 1


def _add_restaurants(city: City, chance: random.Random) -> None:
    names = _spread(WORDS["shop_first"], WORDS["shop_second"])
    for cuisine in range(len(WORDS["cuisines"])):
        districts = _shuffled(range(len(WORDS["districts"])), chance)
        for which, (low, high) in enumerate(PRICE_RANGES):
            (zh, en), (kind, kind_en) = next(names), WORDS["shop_kinds"][(which + cuisine) % len(WORDS["shop_kinds"])]
            opens, closes = chance.choice(
                [("10:00", "21:30"), ("11:00", "22:00"), ("11:30", "23:30"), ("17:00", "23:59")]
            )
            restaurant = city.add(
                "Restaurant",
                name=f"{zh}{kind}",
                name_en=f"{en} {kind_en}",
                price=chance.randint(low, high),
                rating=round(chance.triangular(3.0, 5.0, 4.3), 1),
                **_address(districts[which], chance),
                opens=opens,
                closes=closes,
            )
            city.settle(restaurant, districts[which], chance)
            _serve(city, restaurant, cuisine, chance)


def _serve(city: City, restaurant: str, cuisine: int, chance: random.Random) -> None:
    """Its cuisine and three or four of its dishes; one restaurant in six has a second cuisine, with one dish of it."""
    city.relate(restaurant, "HAS_CUISINE", f"cuisine-{cuisine + 1:03d}")
    for dish in sorted(chance.sample(range(4), chance.choice([3, 4]))):
        city.relate(restaurant, "SERVES", f"dish-{cuisine * 4 + dish + 1:03d}")
    if chance.random() < 1 / 6:
        second = (cuisine + chance.randrange(1, len(WORDS["cuisines"]))) % len(WORDS["cuisines"])
        city.relate(restaurant, "HAS_CUISINE", f"cuisine-{second + 1:03d}")
        city.relate(restaurant, "SERVES", f"dish-{second * 4 + chance.randrange(4) + 1:03d}")


def _add_hotels(city: City, chance: random.Random) -> None:
    for position, (zh, en) in enumerate(_spread(WORDS["hotel_first"], WORDS["hotel_second"])):
        stars, district = 2 + position % 4, (position * 5 + position // 12) % len(WORDS["districts"])
        kind, kind_en = WORDS["hotel_kinds"][stars - 2]
        hotel = city.add(
            "Hotel",
            name=f"{zh}{kind}",
            name_en=f"{en} {kind_en}",
            stars=stars,
            price=chance.randint(*STARS[stars]),
            rating=round(min(5.0, chance.triangular(3.0, 4.6, 3.9) + 0.1 * stars), 1),
            **_address(district, chance),
        )
        city.settle(hotel, district, chance)
        for facility in sorted(chance.sample(range(len(WORDS["facilities"])), min(8, stars + chance.randrange(0, 4)))):
            city.relate(hotel, "OFFERS", f"facility-{facility + 1:03d}")


def _add_cinemas(city: City, chance: random.Random) -> None:
    for position, (zh, en) in enumerate(WORDS["cinemas"]):
        district = (position * 7) % len(WORDS["districts"])
        rating = round(chance.triangular(3.4, 5.0, 4.4), 1)
        city.settle(
            city.add("Cinema", name=f"{zh}影院", name_en=f"{en} Cinema", rating=rating, **_address(district, chance)),
            district,
            chance,
        )


def _add_films(city: City, chance: random.Random) -> None:
    directors = [(a + b, f"{x} {y}") for a, x in WORDS["surnames"] for b, y in WORDS["given_names"]]
    for position in range(len(WORDS["film_patterns"]) * len(WORDS["film_nouns"])):
        row, column = divmod(position, len(WORDS["film_nouns"]))
        (pattern, pattern_en), (noun, noun_en) = WORDS["film_patterns"][row], WORDS["film_nouns"][column]
        director, director_en = directors[position % len(directors)]
        film = city.add(
            "Film",
            name=pattern.format(noun),
            name_en=pattern_en.format(noun_en),
            year=chance.choice([*range(1988, 2024, 3), 2024, 2025, 2025, 2026, 2026]),
            rating=round(chance.triangular(5.0, 9.8, 7.8), 1),
            director=director,
            director_en=director_en,
            duration_min=chance.randint(82, 168),
        )
        _screen(city, film, position, chance)


def _screen(city: City, film: str, position: int, chance: random.Random) -> None:
    """One genre in turn, a second for half of the films; five screenings from morning to night."""
    num_genres, num_cinemas = len(WORDS["genres"]), len(WORDS["cinemas"])
    second = (position * 7 + 3) % num_genres
    for genre in dict.fromkeys([position % num_genres, second] if position % 2 else [position % num_genres]):
        city.relate(film, "HAS_GENRE", f"genre-{genre + 1:03d}")
    for hour in (10, 13, 16, 19, 21)[:SCREENINGS_PER_FILM]:
        time = f"{hour + chance.randrange(0, 2):02d}:{chance.randrange(0, 60, 5):02d}"
        price = chance.choice([35, 39, 45, 49, 59]) + (10 if hour >= 19 else 0)
        screening = city.add("Screening", time=time, price=price, hall=chance.randint(1, 9))
        city.relate(f"cinema-{chance.randrange(num_cinemas) + 1:03d}", "SHOWS", screening)
        city.relate(screening, "OF", film)


def _address(district: int, chance: random.Random) -> dict[str, str]:
    """Street and telephone. No subscriber's number begins with 0, so that nobody can be rung up by mistake."""
    (zh, en), (road, road_en) = WORDS["districts"][district], chance.choice(WORDS["roads"])
    number = chance.randint(1, 388)
    return {
        "phone": f"0990-0{chance.randrange(10**6):06d}",
        "address": f"{zh}区{road}{number}号",
        "address_en": f"{number} {road_en}, {en}",
    }


def _spread(first: Sequence[tuple[str, str]], second: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """All pairs, each once, so that neighbours share neither half."""
    return iter(
        [
            (a + b, f"{x} {y}")
            for shift in range(len(second))
            for i, (a, x) in enumerate(first)
            for b, y in [second[(i + shift) % len(second)]]
        ]
    )


def _shuffled(items: Iterable[int], chance: random.Random) -> list[int]:
    return chance.sample(list(items), len(list(items)))


def _metres(a: Point, b: Point) -> int:
    """Distance rounded to ten metres; nobody stands closer than 50."""
    return max(50, round(math.dist(a, b) / 10) * 10)


def _label_of(node_id: str) -> str:
    return node_id.rpartition("-")[0].capitalize()


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    made = make_city()
    OUTPUT.write_text(made.as_json(), encoding="utf-8")
    num_nodes, num_relations = (sum(map(len, table.values())) for table in (made.nodes, made.relations))
    print(f"{OUTPUT}: {num_nodes} nodes, {num_relations} relations, {OUTPUT.stat().st_size:,} bytes")
