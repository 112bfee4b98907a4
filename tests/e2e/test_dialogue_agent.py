"""The agent over a real graph: failures in mid-conversation, restarts, order, hand-offs, documents, many at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pagoda.chat.scripted import ScriptedChatModel
from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.graph.errors import GraphUnavailableError
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.nlu.understanding import Understander
from patience import HANG_S

NOON = datetime(2026, 11, 21, 12, 0)
Make = Callable[..., DialogueAgent]
SETTINGS = {field.name for field in fields(AgentSettings)}


@pytest.fixture
def make(city_graph: Graph, city_understanding: Understander, tmp_path: Path) -> Iterator[Make]:
    """`make(**changes)`: an agent over the shared city, its sessions in this test's folder."""
    opened: list[DialogueAgent] = []

    def make_one(**changes: Any) -> DialogueAgent:
        manner = {name: changes.pop(name) for name in SETTINGS & changes.keys()}
        settings = AgentSettings(clock=lambda: NOON, **manner)
        given = {"graph": city_graph, "understanding": city_understanding, "folder": tmp_path, **changes}
        opened.append(DialogueAgent(**given, settings=settings))
        return opened[-1]

    yield make_one
    for agent in opened:
        agent.close()


class Failing:
    """A graph that is away while `is_away`."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self.is_away = graph, False

    def read(self, text: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        self._check()
        return self._graph.read(text, parameters, **options)

    def write(self, text: str, parameters: Mapping[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        self._check()
        return self._graph.write(text, parameters, **options)

    def _check(self) -> None:
        if self.is_away:
            raise GraphUnavailableError("bolt://10.0.0.1:7687 refused: Neo.TransientError.General")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)


def test_a_graph_that_is_away_costs_an_apology_and_nothing_that_was_said(make: Make, city_graph: Graph) -> None:
    graph = Failing(city_graph)
    agent = make(graph=graph)
    agent.reply("s", "想吃川菜")
    graph.is_away = True
    lost = agent.reply("s", "松月区")
    assert lost.text == "抱歉，数据暂时查不到。您说的我都记着，请稍后再试一次。"
    assert "Neo" not in lost.text
    assert "7687" not in lost.text
    assert lost.facts["slots"] == {"cuisine": "川菜", "location": "松月区"}
    graph.is_away = False
    found = agent.reply("s", "再试一次，便宜点的")
    assert found.facts["slots"] == {"cuisine": "川菜", "location": "松月区", "price": "cheap"}
    assert found.rows


def test_a_booking_that_fails_halfway_is_written_once(make: Make, city_graph: Graph) -> None:
    graph = Failing(city_graph)
    agent = make(graph=graph)
    agent.reply("halfway", "帮我订青瓦小馆，今晚七点，四个人")
    graph.is_away = True
    assert "抱歉" in agent.reply("halfway", "好的").text
    graph.is_away = False
    booked = agent.reply("halfway", "好的")
    (key,) = booked.facts["bookings"]
    rows = city_graph.read("MATCH (b:Booking) WHERE b.id = $key RETURN b.people AS people", {"key": key})
    assert rows == [{"people": 4}]


def test_a_server_that_is_killed_in_mid_conversation_keeps_the_conversation(
    city_understanding: Understander, tmp_path: Path
) -> None:
    with Graph.embedded(tmp_path / "graph", timeout_s=5.0) as graph:
        load(graph, city())
        with DialogueAgent(
            graph=graph, understanding=city_understanding, folder=tmp_path, settings=AgentSettings(clock=lambda: NOON)
        ) as agent:
            agent.reply("s", "想吃川菜")
            assert graph.server_process_id is not None
            os.kill(graph.server_process_id, signal.SIGKILL)
            turns = [agent.reply("s", "松月区"), agent.reply("s", "便宜点的")]
            assert turns[-1].rows
            assert turns[-1].facts["slots"] == {"cuisine": "川菜", "location": "松月区", "price": "cheap"}


def test_a_session_goes_on_after_a_restart(make: Make) -> None:
    first = make()
    first.reply("s", "I want to find a restaurant")
    first.reply("s", "hot pot")
    again = make()
    turn = again.reply("s", "Qintai")
    assert turn.number == 3
    assert turn.facts["slots"] == {"cuisine": "Hot pot", "location": "Qintai"}
    assert [each["user"] for each in again.sessions.turns("s")] == ["I want to find a restaurant", "hot pot", "Qintai"]


def test_turns_of_one_session_that_come_at_once_are_taken_in_their_order(make: Make) -> None:
    agent = make()
    said = ["我想找家餐馆", "火锅", "琴台区", "便宜点的", "谢谢"]

    async def talk() -> list[Any]:
        return await asyncio.gather(*(agent.areply("s", text) for text in said))

    turns = asyncio.run(talk())
    assert [turn.number for turn in turns] == [1, 2, 3, 4, 5]
    assert turns[3].facts["slots"] == {"cuisine": "火锅", "location": "琴台区", "price": "cheap"}


def test_a_call_that_is_cancelled_while_it_waits_leaves_its_place_to_those_behind(make: Make) -> None:
    agent = make()

    async def talk() -> Any:
        with agent.sessions.turn("s"):
            calls = [asyncio.ensure_future(agent.areply("s", text)) for text in ("我想找家餐馆", "火锅")]
            await asyncio.sleep(0)
            calls[0].cancel()
            await asyncio.sleep(0)
        return await asyncio.wait_for(calls[1], HANG_S)

    assert asyncio.run(talk()).text


def test_a_closed_agent_says_so_and_holds_up_nobody(make: Make) -> None:
    agent = make()
    agent.close()
    with pytest.raises(ConfigError, match="the agent is closed"):
        agent.reply_batch([("s", "hello")])


def test_one_many_and_async_give_the_same(make: Make) -> None:
    agent = make()
    one = agent.reply("one", "松月区的川菜馆")
    many = agent.reply_batch([("many", "松月区的川菜馆"), ("other", "hello"), ("many", "第一家的电话是多少")])
    alone = asyncio.run(agent.areply("async", "松月区的川菜馆"))
    assert one.text == many[0].text == alone.text
    assert (one.statement, one.rows) == (many[0].statement, many[0].rows)
    assert many[2].number == 2


def test_a_hand_off_is_recorded_with_the_conversation(make: Make) -> None:
    agent = make()
    agent.reply("s", "松月区的川菜馆")
    agent.reply("s", "我要找人工客服")
    (given,) = agent.sessions.hand_offs("s")
    assert (given.reason, given.language, given.turn) == ("asked_for", "zh", 2)
    assert given.slots == {"cuisine": "川菜", "location": "松月区"}
    assert [each["user"] for each in given.transcript] == ["松月区的川菜馆", "我要找人工客服"]


def test_questions_go_to_documents_and_what_they_do_not_hold_to_a_person(make: Make) -> None:
    answers = {"translate this paragraph into German": "We translate on Mondays. (handbook.md)"}
    agent = make(documents=answers.get)
    agent.reply("s", "I want to find a restaurant")
    answered = agent.reply("s", "translate this paragraph into German")
    assert answered.text == "We translate on Mondays. (handbook.md)\nWhat kind of food would you like?"
    assert answered.facts["intent"] == "find_restaurant"
    assert agent.sessions.hand_offs() == []
    agent.reply("t", "how do I repair a bicycle")
    (given,) = agent.sessions.hand_offs()
    assert given.reason == "not_in_documents"


def test_a_turn_brings_the_piece_of_the_graph_that_it_found(make: Make) -> None:
    told = make().reply("s", "松月区的川菜馆").as_dict()
    found = [node["id"] for node in told["subgraph"]["nodes"] if node["found"]]
    assert sorted(found) == sorted(row["key"] for row in told["rows"])
    ids = {node["id"] for node in told["subgraph"]["nodes"]}
    assert all({edge["source"], edge["target"]} <= ids for edge in told["subgraph"]["edges"])
    assert told["timings"]["total"] > 0


def test_nobody_sees_the_bookings_of_others(make: Make, city_graph: Graph) -> None:
    agent = make()
    agent.reply("mine", "帮我订青瓦小馆，今晚七点，四个人")
    agent.reply("mine", "好的")
    assert city_graph.read("MATCH (b:Booking) RETURN count(b) AS num")[0]["num"] > 0
    told = agent.reply("yours", "松月区便宜的川菜馆").as_dict()
    assert "restaurant-001" in [node["id"] for node in told["subgraph"]["nodes"]]
    assert "Booking" not in {node["label"] for node in told["subgraph"]["nodes"]}


def test_a_model_reads_hard_sentences_and_where_it_fails_the_fast_reading_stands(make: Make) -> None:
    model = ScriptedChatModel([])
    agent = make(model=model, strategy="hybrid", sessions=SessionStore())
    easy = agent.reply("s", "松月区的川菜馆")
    assert (easy.understanding.route, len(model.conversations)) == ("hybrid/intent_first", 0)
    hard = agent.reply("s", "那家便宜吗，近不近，好吃吗，要不要排队")
    assert hard.understanding.route == "hybrid/model_failed/intent_first"
    assert hard.text


@pytest.mark.parametrize("text", ["", "  \n", "x" * 2001])
def test_what_is_no_sentence_is_refused(make: Make, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"text (is|has)"):
        make().reply("s", text)


@pytest.mark.parametrize("text", ["？？？", "4", "🦊", "\u200b.", "a\x00b"])
def test_odd_sentences_get_a_reply(make: Make, text: str) -> None:
    assert make().reply("odd", text).text


def test_a_misspelt_strategy_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match='did you mean "hybrid"'):
        make(strategy="hybird")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_limit_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="model_timeout_s"):
        AgentSettings(model_timeout_s=seconds)


def test_a_model_that_outlasts_its_time_leaves_the_fast_reading(make: Make) -> None:
    class Slow(ScriptedChatModel):
        async def chat(self, messages: Any, params: Any = None) -> Any:
            await asyncio.sleep(HANG_S)

    agent = make(model=Slow([]), strategy="hybrid", model_timeout_s=0.05)
    turn = agent.reply("s", "那家便宜吗，近不近，好吃吗，要不要排队")
    assert turn.understanding.route == "hybrid/model_failed/intent_first"


def test_a_model_words_what_was_found_and_nothing_that_is_agreed_upon(make: Make) -> None:
    def respond(messages: Any) -> str:
        return f"好的！{json.loads(messages[1].content)}" if "JSON 字符串" in messages[0].content else "no JSON"

    agent = make(model=ScriptedChatModel(respond), rephrases=True)
    found = agent.reply("s", "想找一家便宜的川菜馆，离公司近一点")
    assert found.text.startswith("好的！找到一个（川菜，青岚科技附近，便宜）：青瓦小馆")
    assert agent.reply("s", "帮我订一下，今晚七点四个人").text.startswith("请确认")
    assert agent.reply("s", "对").text.startswith("订好了")


def test_rephrasing_without_a_model_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="no model to word replies"):
        make(rephrases=True)


def test_documents_come_before_a_property_that_the_sentence_only_seems_to_ask_for(make: Make) -> None:
    asked: list[str] = []

    def documents(question: str) -> str | None:
        asked.append(question)
        return "six months (repairs.md)" if "repairs" in question else None

    agent = make(documents=documents)
    agent.reply("s", "想找一家便宜的川菜馆，离公司近一点")
    assert agent.reply("s", "How long are repairs guaranteed?").text == "six months (repairs.md)"
    assert agent.reply("s", "第一家的电话是多少").text == "青瓦小馆的电话是0990-0984212。"
    assert asked == ["How long are repairs guaranteed?"]
