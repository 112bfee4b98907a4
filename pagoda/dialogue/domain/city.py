"""The city that ships: what the shipped domain talks about, as data for any graph.

Before the turn's path: read once, when an agent over the shipped domain opens its own graph. Every name in it is
invented (`examples/city/make_city.py` makes the file).
"""

from __future__ import annotations

from importlib import resources

from pagoda.graph.loading import GraphData


def city() -> GraphData:
    """The invented city that ships with pagoda: restaurants, hotels, films and where they are."""
    text = resources.files("pagoda.dialogue").joinpath("data/city.json").read_text(encoding="utf-8")
    return GraphData.from_json(text, constraints={"Booking": "id"})
