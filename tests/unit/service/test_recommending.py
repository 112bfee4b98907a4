"""Which kind "not this kind" means: what the sentence names, wherever that is found, and else the item's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.turn.elsewhere import Errand
from pagoda.recommend.data.city import read_city
from pagoda.recommend.data.things import CatalogueItem
from pagoda.service import recommending
from pagoda.service.recommending import Recommending

THINGS = {thing.id: thing for thing in read_city().things}


class Shelf:
    """A recommender that lists nothing and notes what is blocked."""

    things = THINGS

    def __init__(self) -> None:
        self.blocked: list[Any] = []

    def recommend(self, *args: Any, **more: Any) -> list[Any]:
        return []

    def block(self, refusal: Any) -> None:
        self.blocked.append(refusal)


def of_kinds(*kinds: str) -> CatalogueItem:
    """The first thing that has the first kind and none of the others."""
    first, *others = kinds
    own = ((thing, {kind.id for kind in thing.kinds}) for thing in THINGS.values())
    return next(thing for thing, ids in own if first in ids and not ids & set(others))


def node(thing: CatalogueItem) -> NodeValue:
    return NodeValue("Film", thing.id, thing.name, thing.name_en)


@pytest.mark.parametrize(
    ("text", "language", "blocked"),
    [
        ("not this kind", "en", "genre:Comedy"),
        ("not this kind, no more horror", "en", "genre:Horror"),
        ("不要这种，别再有战争片了", "zh", "genre:War"),
        ("not this kind, we moved towards attractions", "en", "genre:Comedy"),
    ],
)
def test_a_kind_is_looked_for_in_the_item_in_what_was_shown_and_in_everything(
    monkeypatch: pytest.MonkeyPatch, text: str, language: str, blocked: str
) -> None:
    monkeypatch.setattr(recommending, "named_nodes", lambda *args: [])
    monkeypatch.setattr(recommending, "RecommendationGraph", lambda graph: SimpleNamespace())
    comedy = of_kinds("genre:Comedy", "genre:Horror", "genre:War", "genre:Action")
    horror = of_kinds("genre:Horror", "genre:War")
    shelf: Any = Shelf()
    graph: Any = None
    errands = Recommending(shelf, graph, Domain.load(), lambda session: "ann", lambda session: [])
    answered = errands(Errand("s", "not_this_kind", text, language, "Film", (node(comedy), node(horror)), node(comedy)))
    assert [(one.user, one.item, one.kind) for one in shelf.blocked] == [("ann", "", blocked)]
    assert answered is not None
    assert answered.details["blocked"]["kind"] == blocked
