"""Two wishes in one sentence, over the shipped city: the first is done, the second told, begun and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.graph.graph import Graph
from pagoda.nlu.understanding import Understander


@pytest.fixture(scope="module")
def agent(city_graph: Graph, city_understanding: Understander) -> Iterator[DialogueAgent]:
    settings = AgentSettings(clock=lambda: datetime(2026, 11, 28, 10), draws=False)
    with (
        SessionStore() as sessions,
        DialogueAgent(
            graph=city_graph, understanding=city_understanding, sessions=sessions, settings=settings
        ) as opened,
    ):
        yield opened


def test_the_second_wish_is_told_at_once_and_begun_by_next(agent: DialogueAgent) -> None:
    turn = agent.reply("film", "find a Sichuan restaurant in Luming, and also a comedy tonight")
    assert (turn.facts["intent"], turn.facts["slots"]) == (
        "find_restaurant",
        {"cuisine": "Sichuan", "location": "Luming"},
    )
    assert turn.text.startswith(
        "After this I go on to find a film: “a comedy tonight”. Say “next” when you are ready.\n"
    )
    assert agent.reply("film", "thanks").text.endswith(
        "There is one thing left: “a comedy tonight”. Say “next” to find a film."
    )
    turn = agent.reply("film", "next")
    assert (turn.facts["intent"], turn.facts["slots"]["genre"], turn.facts["waiting"]) == ("find_film", "Comedy", {})
    assert turn.rows


def test_a_chinese_wish_nearby_is_near_what_was_found(agent: DialogueAgent) -> None:
    turn = agent.reply("near", "帮我找个鹿鸣区的川菜馆，顺便看看附近有什么酒店")
    assert turn.text.startswith("“看看附近有什么酒店”我记着，办完这件就找酒店；说“下一个”开始。\n")
    turn = agent.reply("near", "好的")
    assert (turn.facts["intent"], turn.facts["slots"]) == ("find_hotel", {"location": "鹿鸣区"})


def test_a_booking_that_was_made_goes_on_to_what_waits(agent: DialogueAgent) -> None:
    said = "book Green Tile Kitchen for two tonight at seven, and find me a 5-star hotel in Luming"
    assert agent.reply("book", said).action.__class__.__name__ == "Confirm"
    turn = agent.reply("book", "yes")
    assert "Done:" in turn.text
    assert "North Tide Grand Hotel" in turn.text
    assert [len(turn.state.bookings), turn.facts["intent"], turn.facts["waiting"]] == [1, "find_hotel", {}]
    assert agent.reply("book", "next").facts["intent"] == "find_hotel"


def test_what_waits_survives_a_log_that_is_read_anew(agent: DialogueAgent, city_understanding: Understander) -> None:
    agent.reply("log", "find me a hotel in Luming and also a comedy")
    with DialogueAgent(graph=agent.graph, understanding=city_understanding, sessions=agent.sessions) as other:
        assert other.reply("log", "go on").facts["intent"] == "find_film"
