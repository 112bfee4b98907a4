"""Errands of the recommender's: what was shown and why is asked of its desk, and what is refused is told there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.turn.elsewhere import Errand
from pagoda.nlu.understanding import Understanding
from pagoda.recommend.data.city import read_city
from pagoda.recommend.data.things import CatalogueItem, KindOfThing
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.paths import Why
from pagoda.recommend.recommendation import Reason, Recommendation
from pagoda.recommend.store import Refusal
from pagoda.service import recommending
from pagoda.service.recommending import Recommending

THINGS = {thing.id: thing for thing in read_city().things}


class Shelf:
    """A recommender's desk that lists `best` alone, remembers what was shown and notes what it is told.

    nodes: of the films of the graph that the dialogue knows
    """

    things = THINGS
    model = "m"

    def __init__(self, *shown: str) -> None:
        self.shown, self.calls = list(shown), list[tuple[Any, ...]]()
        self.nodes = dict[str, NodeValue]()
        self.best = ""
        self.reasons = {*shown}

    def welcome(self, user: str) -> None:
        self.calls.append(("welcome", user))

    def recommend(self, user: str, k: int, limits: ListLimits) -> list[Recommendation]:
        return [Recommendation(one, 1.0, ()) for one in limits.among or () if one == self.best]

    def turns(self, session: str) -> list[dict[str, Any]]:
        """A turn with the list, where there is one, and one without."""
        items = [{"item": item} for item in self.shown]
        return [{"details": {"items": items} if items else {}}, {"details": {}}]

    def why(self, user: str, item: str) -> Why | None:
        self.calls.append(("why", user, item))
        reasons = (Reason("popular", 1.0),)
        return Why(Recommendation(item, 1.0, reasons), "m", (), (), takers=7) if item in self.reasons else None

    def not_again(self, user: str, item: str, kind: str = "") -> Refusal:
        self.calls.append(("not_again", user, item, kind))
        return Refusal(user, kind=kind) if kind else Refusal(user, item=item)

    def block(self, refusal: Refusal) -> None:
        self.calls.append(("block", refusal.user, refusal.item, refusal.kind))


def of_kinds(*kinds: str) -> CatalogueItem:
    """The first thing that has the first kind and none of the others."""
    first, *others = kinds
    own = ((thing, {kind.id for kind in thing.kinds}) for thing in THINGS.values())
    return next(thing for thing, ids in own if first in ids and not ids & set(others))


def node(thing: CatalogueItem) -> NodeValue:
    return NodeValue("Film", thing.id, thing.name, thing.name_en)


COMEDY = of_kinds("genre:Comedy", "genre:Horror", "genre:War", "genre:Action")
HORROR = of_kinds("genre:Horror", "genre:War")


def errands(shelf: Shelf) -> Recommending:
    desk: Any = shelf
    return Recommending(
        desk, lambda label: shelf.nodes if label == "Film" else {}, Domain.load(), lambda session: "ann", shelf.turns
    )


def errand(text: str, language: Any = "en", intent: str = "not_this_kind", chosen: bool = True) -> Errand:
    shown = (node(COMEDY), node(HORROR))
    return Errand("s", intent, text, language, "Film", shown, shown[0] if chosen else None)


@pytest.mark.parametrize(
    ("text", "language", "blocked"),
    [
        ("not this kind", "en", "genre:Comedy"),
        ("not this kind, no more horror", "en", "genre:Horror"),
        ("不要这种，别再有战争片了", "zh", "genre:War"),
        ("not this kind, we moved towards attractions", "en", "genre:Comedy"),
        ("not this kind, rather war films", "en", "genre:Comedy"),
    ],
)
def test_a_kind_is_what_is_refused_by_its_name_and_else_the_items_own(text: str, language: Any, blocked: str) -> None:
    answered = errands(shelf := Shelf())(errand(text, language))
    assert answered is not None
    assert answered.details["blocked"] == [{"user": "ann", "item": "", "kind": blocked}]
    own = ("not_again", "ann", COMEDY.id, blocked)
    assert (own if blocked == "genre:Comedy" else ("block", "ann", "", blocked)) in shelf.calls


def test_why_is_the_recommenders_to_know_and_what_was_shown_the_turns() -> None:
    do = errands(shelf := Shelf(HORROR.id))
    why = do(errand("why this one", intent="why_recommended", chosen=False))
    assert why is not None
    assert (why.text, why.details["item"]) == (f"Why {HORROR.name_en}: 7 others chose it.", HORROR.id)
    other = do(errand("why the first one", intent="why_recommended"))
    assert other is not None
    assert other.text == f"{COMEDY.name_en} was not recommended: it came up for what you asked for."
    assert [call for call in shelf.calls if call[0] == "why"] == [("why", "ann", HORROR.id)]


def test_what_was_recommended_here_is_not_denied_where_its_reasons_are_no_longer_known() -> None:
    do = errands(shelf := Shelf(HORROR.id))
    shelf.reasons.clear()  # as with whoever named themselves since
    why = do(errand("why this one", intent="why_recommended", chosen=False))
    assert why is not None
    assert why.text == recommending.words_of("en").no_reason.format(name=HORROR.name_en)


def test_what_a_training_brings_can_be_refused() -> None:
    do = errands(shelf := Shelf())
    wish = errand("no more puppetry please", intent="find_film")
    read = Understanding(wish.text, "en", "find_film", 0.9)
    assert do.claims(wish, read) == ""
    puppets = CatalogueItem("film-999", "木偶", "Puppets", (KindOfThing("genre:Puppetry", "木偶戏", "Puppetry"),))
    shelf.things = {**THINGS, puppets.id: puppets}
    assert do.claims(wish, read) == "not_this_kind"


def test_what_a_training_brings_can_be_recommended_and_meant_once_the_graph_has_it() -> None:
    do = errands(shelf := Shelf())
    puppets = CatalogueItem("film-999", "木偶", "Puppets", (KindOfThing("genre:Puppetry", "木偶戏", "Puppetry"),))
    shelf.best, shelf.nodes = puppets.id, {COMEDY.id: node(COMEDY)}
    wish = errand("what would you recommend", intent="recommend")
    before = do(wish)
    assert before is not None
    assert not before.offered
    shelf.things, shelf.nodes = {**THINGS, puppets.id: puppets}, {**shelf.nodes, puppets.id: node(puppets)}
    shelf.shown = [puppets.id]
    after = do(wish)
    assert after is not None
    assert after.offered == (node(puppets),)
    refused = do(replace(errand("not this kind", chosen=False), shown=()))
    assert refused is not None
    assert refused.details["blocked"] == [{"user": "ann", "item": "", "kind": "genre:Puppetry"}]


@pytest.mark.parametrize(
    ("text", "shown", "intent"),
    [
        ("not the second one", (), "not_this_one"),
        ("no more horror films", (), "not_this_kind"),
        ("no horror films", (), ""),
        ("no horror films", (COMEDY.id, HORROR.id), "not_this_kind"),
        ("horror films", (COMEDY.id, HORROR.id), ""),
        ("Isn't the second one closed on Mondays?", (), ""),
        ("why no horror films", (COMEDY.id, HORROR.id), ""),
        ("除了第二个还有别的吗", (), ""),
        ("can you never show me horror films again?", (), "not_this_kind"),
    ],
)
def test_a_kind_is_left_out_of_a_search_and_blocked_of_a_list_that_was_recommended(
    text: str, shown: tuple[str, ...], intent: str
) -> None:
    do = errands(Shelf(*shown))
    assert do.claims(errand(text, intent="find_film"), Understanding(text, "en", "find_film", 0.9)) == intent


def test_a_number_that_the_list_has_not_refuses_nothing() -> None:
    do = errands(shelf := Shelf(COMEDY.id, HORROR.id))
    wish = replace(errand("not the fifth one", intent="not_this_one"), is_beyond=True)
    answered = do(wish)
    assert answered is not None
    assert answered.text == f"The list has no such number, it goes from 1 to {len(wish.shown)}."
    assert not [call for call in shelf.calls if call[0] in ("not_again", "block")]


@pytest.mark.parametrize(
    "text",
    [
        "please keep the second one",
        "don't drop the second one",
        "the second one isn't bad",
        "why not the second one?",
        "no problem with the second one",
        "别把第二个去掉",
        "第一个不要紧吧",
        "除了第二个，其他都不要",
    ],
)
def test_a_row_that_is_named_and_not_refused_is_never_blocked_whatever_a_reader_took_it_for(text: str) -> None:
    do = errands(shelf := Shelf(COMEDY.id, HORROR.id))
    assert do(errand(text, intent="not_this_one")) is None
    assert not [call for call in shelf.calls if call[0] in ("not_again", "block")]
