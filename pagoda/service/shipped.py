"""What a service desk works with where nobody brings anything: the invented city, its visits, a handbook.

Before the turn's path: read once, when a desk is opened over its folder. The city's domain gets the sentences that are
the recommender's; the made-up visits become a recommender in the folder; the handbook is that of an invented shop.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from pagoda.dialogue.domain.domain import Domain
from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.recommend.folder import CURRENT, set_up
from pagoda.recommend.recommender import Recommender

_DEMO = files("pagoda.service") / "demo"


def service_domain() -> Domain:
    """The shipped city's, and with it the intents that the recommender answers."""
    with as_file(_DEMO / "service.yaml") as file:
        return Domain.load().with_file(file)


def handbook() -> Path:
    """Folder of the documents that ship: eight files of a shop that lends bicycles, in Chinese and English."""
    with as_file(_DEMO / "handbook") as folder:
        return folder


def set_up_visits(folder: Path) -> None:
    """A recommender of a made-up year of visits, where the folder holds none yet."""
    if not (folder / CURRENT).is_file():
        visits = draw_visits(city := read_city())
        set_up(folder, visits, city.things, Recommender.train(visits))
