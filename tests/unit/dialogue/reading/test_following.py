"""Names that follow a graph: what comes, goes or is renamed is known once due, and a silent graph changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from pagoda.dialogue.reading.following import FollowingUnderstanding, Names
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.graph.errors import GraphUnavailableError
from pagoda.nlu.understanding import TurnContext, Understanding
from patience import HANG_S


class Town:
    """A graph of names by label, with a clock; counts what is asked of it."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names
        self.now = 0.0
        self.is_away = False
        self.num_counts, self.read_labels = 0, list[str]()

    def read(self, text: str, statement_id: str = "") -> list[dict[str, Any]]:
        assert statement_id == "names.counts"
        if self.is_away:
            raise GraphUnavailableError("away")
        self.num_counts += 1
        return [
            {"label": row, "num": len(self.names[part.split("`")[1]])}
            for row, part in enumerate(text.split(" UNION ALL "))
        ]

    def named(self, label: str) -> Iterable[Named]:
        self.read_labels.append(label)
        return [Named(NodeValue(label, name, "", name)) for name in self.names[label]]

    def following(self) -> Names:
        return Names(
            self,  # type: ignore[arg-type]
            [*self.names, *self.names],
            self.named,
            every_s=5,
            renewed_every_s=60,
            patience_s=HANG_S,
            clock=lambda: self.now,
        )


@pytest.fixture
def town() -> Town:
    return Town(Shop=["Acme", "Bolt"], Street=["Oak"])


def test_a_new_node_is_known_once_it_is_due_and_only_its_label_is_read(town: Town) -> None:
    names, changes = town.following(), list[Linker]()
    town.names["Shop"].append("Corner")
    town.now = 4.9
    names.follow(changes.append)
    assert (names.linker.link("Corner", ["Shop"]).how, town.num_counts) == ("unknown", 1)
    town.now = 5.0
    town.read_labels.clear()
    names.follow(changes.append)
    assert names.linker.link("Corner", ["Shop"]).how == "exact"
    assert town.read_labels == ["Shop"]
    assert len(changes) == 1
    assert "Corner" in changes[0].names(["Shop"])
    assert [node.key for _, _, node in names.linker.find("at corner", ["Shop"])] == ["Corner"]
    assert list(names.linker.by_key("Shop")) == ["Acme", "Bolt", "Corner"]
    assert names.linker.by_key("Lane") == {}


def test_a_node_that_is_gone_is_forgotten(town: Town) -> None:
    names = town.following()
    town.names["Shop"].remove("Bolt")
    town.now = 5
    names.follow(lambda linker: None)
    assert names.linker.link("Bolt", ["Shop"]).how == "unknown"


def test_a_renamed_node_is_known_after_a_renewal_for_counts_do_not_tell(town: Town) -> None:
    names, changes = town.following(), list[Linker]()
    town.names["Street"][0] = "Elm"
    town.now = 59
    names.follow(changes.append)
    assert not changes
    town.now = 64
    names.follow(changes.append)
    assert names.linker.link("Elm", ["Street"]).how == "exact"
    assert len(changes) == 1


def test_nothing_new_costs_one_statement_and_changes_nothing(town: Town) -> None:
    names, changes = town.following(), list[Linker]()
    town.read_labels.clear()
    for now in (5, 6, 9, 10, 100):
        town.now = now
        names.follow(changes.append)
    assert (town.num_counts, changes) == (1 + 3, [])
    assert town.read_labels == ["Shop", "Street"]  # the renewal


def test_a_graph_that_is_away_leaves_the_names_and_is_asked_again_later(town: Town) -> None:
    names = town.following()
    town.names["Shop"].append("Corner")
    town.now, town.is_away = 5, True
    names.follow(lambda linker: None)
    assert names.linker.link("Acme", ["Shop"]).how == "exact"
    town.now, town.is_away = 10, False
    names.follow(lambda linker: None)
    assert names.linker.link("Corner", ["Shop"]).how == "exact"


def test_a_turn_waits_for_its_patience_and_not_for_another_that_looks(town: Town) -> None:
    names = town.following()
    names._patience_s = 0.0
    looking, done = threading.Event(), threading.Event()

    def wait(linker: Linker) -> None:
        looking.set()
        done.wait()

    town.names["Shop"].append("Corner")
    town.now = 5
    names.follow(wait)
    assert looking.wait(HANG_S)
    town.now = 20
    changes = list[Linker]()
    names.follow(changes.append)
    done.set()
    assert not changes


def test_a_domain_without_named_slots_asks_nothing() -> None:
    town = Town()
    names = town.following()
    town.now = 100
    names.follow(lambda linker: None)
    assert town.num_counts == 0


def test_an_understanding_is_exchanged_between_two_sentences() -> None:
    class Says:
        def __init__(self, intent: str) -> None:
            self.intent = intent

        def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
            return Understanding(text, "en", self.intent, 1.0)

    following = FollowingUnderstanding(Says("old"))
    assert following.parse("x").intent == "old"
    following.current = Says("new")
    assert following.parse("x").intent == "new"
