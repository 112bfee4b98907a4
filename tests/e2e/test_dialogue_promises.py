"""What cannot be undone and what people point at, over the shipped city: yes, keys, bookings, properties, documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.cypher.bookings import booking_key
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.errors import InvalidRequestError
from pagoda.graph.errors import GraphUnavailableError
from pagoda.graph.graph import Graph
from pagoda.nlu.understanding import Understander

NOON = datetime(2026, 11, 21, 12, 0)
TILE = "book a table at Green Tile Kitchen for four tomorrow at seven in the evening"
LANTERN = "reserve a table for two at Golden Lantern Hall tomorrow at 6:30 pm"
TILE_ZH = "帮我订青瓦小馆，明天晚上七点，四个人"
Make = Callable[..., DialogueAgent]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(city_graph: Graph, city_understanding: Understander, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    """`make(**changes)`: an agent over the shared city, its sessions in this test's folder."""
    opened: list[DialogueAgent] = []

    def make_one(**changes: Any) -> DialogueAgent:
        given = {"graph": city_graph, "understanding": city_understanding, "folder": tmp_path, **changes}
        opened.append(DialogueAgent(**given, settings=AgentSettings(clock=clock, draws=False)))
        return opened[-1]

    yield make_one
    for agent in opened:
        agent.close()


def talk(agent: DialogueAgent, session: str, *said: str) -> Any:
    """The last turn."""
    return [agent.reply(session, text) for text in said][-1]


def bookings_in(graph: Graph, keys: list[str]) -> list[dict[str, Any]]:
    told = "b.id AS id, b.people AS people, b.time AS time, r.name_en AS name"
    return graph.read(f"MATCH (b:Booking)-[:FOR]->(r) WHERE b.id IN $keys RETURN {told} ORDER BY name", {"keys": keys})


@pytest.mark.parametrize(
    ("wish", "said"),
    [(TILE_ZH, text) for text in ("没想好", "太贵了吧", "能打折吗", "好的，等我问一下", "谢谢您")]
    + [
        (TILE, text)
        for text in ("let me ask my wife", "ok, is it loud there?", "great, cheers", "right after lunch", "yes?")
    ],
)
def test_what_is_no_whole_yes_books_nothing_and_the_next_yes_does(make: Make, wish: str, said: str) -> None:
    agent = make()
    talk(agent, said, wish)
    turn = talk(agent, said, said)
    assert turn.facts["bookings"] == []
    if "Please confirm" in turn.text or "请确认" in turn.text:
        assert talk(agent, said, "yes").facts["bookings"], "what was read out again can be agreed upon"


def test_a_moment_that_is_over_is_told_so_and_the_next_one_takes_a_yes(make: Make, clock: Clock) -> None:
    agent, clock.now = make(), datetime(2026, 11, 21, 19, 50)
    turn = talk(agent, "s", "book Green Tile Kitchen for 4, tonight at seven")
    assert turn.text == "“tonight at seven” is over by now. Shall it be Sun 22 Nov, 19:00?"
    turn = talk(agent, "s", "yes please")
    assert (turn.facts["slots"]["time"], turn.facts["stage"]) == ("2026-11-22T19:00", "confirming")
    turn = talk(agent, "z", "订青瓦小馆，四个人，今晚七点", "不，明天八点")
    assert turn.facts["slots"]["time"] == "2026-11-22T20:00"


@pytest.mark.parametrize(
    "said", ["订青瓦小馆昨天晚上七点，两位", "a table for two at Green Tile Kitchen, last night at 7"]
)
def test_the_hour_of_a_day_that_is_over_is_no_other_day_s(make: Make, said: str) -> None:
    turn = talk(make(), said, said)
    assert "已经过了" in turn.text or "is over by now" in turn.text
    assert "time" not in turn.facts["slots"]


def test_who_minds_no_time_is_asked_then_shown_choices_then_given_to_a_person(make: Make) -> None:
    agent = make()
    turns = [agent.reply("s", said) for said in ("订青瓦小馆，两位", "随便", "都可以", "你定")]
    assert "可以选" in turns[2].text
    assert turns[3].facts["handed_off"] == "slot:time"


def test_what_was_booked_is_not_said_to_be_cancelled_with_a_search(make: Make) -> None:
    agent = make()
    turn = talk(agent, "s", TILE, "yes", "a hotel in Luming", "never mind, cancel that")
    assert "What was booked before stands" in turn.text
    assert len(turn.facts["bookings"]) == 1


def test_a_short_word_keeps_the_language_of_the_dialogue(make: Make) -> None:
    assert talk(make(), "s", TILE_ZH, "OK").text.startswith("订好了")


@pytest.mark.parametrize("asked", ["青瓦小馆的老板是谁", "who owns Green Tile Kitchen?"])
def test_a_question_about_a_place_that_nobody_can_answer_books_nothing(make: Make, asked: str) -> None:
    assert talk(make(), asked, asked).facts["intent"] == ""


def test_a_number_beyond_the_limit_is_told_with_the_limit(make: Make) -> None:
    turn = talk(make(), "s", "book Green Tile Kitchen tomorrow at 7pm", "35 people")
    assert "the limit is 20 people" in turn.text
    assert "people" not in turn.facts["slots"]
    assert talk(make(), "s", "12").facts["slots"]["people"] == 12


def test_a_change_instead_of_a_yes_is_applied_and_read_out_again(make: Make) -> None:
    agent = make()
    turn = talk(agent, "s", TILE, "yes but at 8")
    assert turn.facts["slots"]["time"] == "2026-11-22T20:00"
    assert (turn.facts["stage"], turn.facts["bookings"]) == ("confirming", [])
    turn = talk(agent, "s", "ok make it 5 people")
    assert (turn.facts["slots"]["people"], turn.facts["bookings"]) == (5, [])
    assert talk(agent, "s", "yes, 5 people").facts["bookings"]


def test_a_question_is_answered_and_the_booking_read_out_again(make: Make) -> None:
    turn = talk(make(), "s", TILE, "right, what time does it close?")
    answer, read_out = turn.text.split("\n")
    assert answer == "The closing time of Green Tile Kitchen: 23:30."
    assert read_out.startswith("Please confirm")
    assert turn.facts["bookings"] == []


def test_a_yes_behind_a_hand_off_reads_out_anew(make: Make) -> None:
    agent = make()
    turn = talk(agent, "s", TILE, "let me talk to a human", "yes")
    assert (turn.facts["stage"], turn.facts["bookings"]) == ("confirming", [])
    assert turn.text.startswith("Please confirm")
    assert talk(agent, "s", "yes").facts["bookings"]


def test_a_yes_that_comes_late_is_asked_for_again(make: Make, clock: Clock) -> None:
    agent = make()
    talk(agent, "s", TILE)
    clock.now += timedelta(minutes=31)
    turn = talk(agent, "s", "yes")
    assert turn.text.startswith("Please confirm")
    assert turn.facts["bookings"] == []
    clock.now += timedelta(minutes=29)
    assert talk(agent, "s", "yes").facts["bookings"]


def test_a_time_that_passed_meanwhile_is_asked_for_anew(make: Make, clock: Clock) -> None:
    agent = make()
    talk(agent, "s", "book a table at Green Tile Kitchen for four today at 12:10 pm")
    clock.now += timedelta(minutes=20)
    turn = talk(agent, "s", "yes")
    assert turn.text.startswith("The time that we had is over by now.")
    assert turn.facts["bookings"] == []
    turn = talk(agent, "s", "tomorrow at noon", "yes")
    assert turn.facts["bookings"]


def test_a_forgotten_session_and_a_second_store_never_meet_an_old_booking(
    make: Make, city_graph: Graph, tmp_path: Path
) -> None:
    agent = make()
    keys = list(talk(agent, "s", TILE, "yes").facts["bookings"])
    agent.forget("s")
    keys += talk(agent, "s", LANTERN, "yes").facts["bookings"]
    other = make(sessions=tmp_path / "other.sqlite")
    keys += talk(other, "s", LANTERN, "yes").facts["bookings"]
    assert len(set(keys)) == 3
    held = bookings_in(city_graph, keys)
    assert [(row["name"], row["people"]) for row in held] == [
        ("Golden Lantern Hall", 2), ("Golden Lantern Hall", 2), ("Green Tile Kitchen", 4),
    ]  # fmt: skip


def test_another_booking_under_the_key_is_a_conflict_that_is_told(make: Make, city_graph: Graph) -> None:
    agent = make()
    proposed = talk(agent, "s", TILE)
    key = booking_key(proposed.state.conversation, 1)
    written = (
        "MATCH (r:Restaurant {name_en: 'Golden Lantern Hall'}) CREATE (b:Booking {id: $key, people: 9})-[:FOR]->(r)"
    )
    city_graph.write(written, {"key": key})
    turn = talk(agent, "s", "yes")
    assert turn.text.startswith(f"Sorry, something else stands under reference {key[:8]}")
    assert bookings_in(city_graph, [key]) == [{"id": key, "people": 9, "time": None, "name": "Golden Lantern Hall"}]
    assert turn.facts["bookings"] == []


def test_a_booking_that_was_written_before_its_turn_was_kept_is_found_again(make: Make, city_graph: Graph) -> None:
    """As if the process had been killed between the graph and the log."""
    agent = make()
    talk(agent, "s", TILE)
    keep = agent.sessions.append
    agent.sessions.append = _killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        agent.reply("s", "yes")
    agent.sessions.append = keep  # type: ignore[method-assign]
    turn = talk(agent, "s", "yes")
    assert turn.text.startswith("Done")
    assert len(bookings_in(city_graph, list(turn.facts["bookings"]))) == 1


def _killed(*given: Any, **named: Any) -> int:
    raise KeyboardInterrupt


def test_bookings_are_told_changed_and_undone_in_the_graph(make: Make, city_graph: Graph) -> None:
    agent = make()
    (first,) = talk(agent, "s", TILE, "yes").facts["bookings"]
    (second,) = set(talk(agent, "s", LANTERN, "yes").facts["bookings"]) - {first}
    told = talk(agent, "s", "what did I book?").text
    assert [first[:8] in told, second[:8] in told] == [True, True]
    changed = talk(agent, "s", "change my reservation at Golden Lantern Hall to 5 people", "yes")
    assert changed.text.startswith("Changed")
    assert bookings_in(city_graph, [second])[0]["people"] == 5
    asked = talk(agent, "s", "cancel my booking please")
    assert "Which one" in asked.text
    read_out = talk(agent, "s", "the first one")
    assert first[:8] in read_out.text
    assert bookings_in(city_graph, [first]), "nothing is undone without a yes"
    assert talk(agent, "s", "hm, what is their phone number?").facts["bookings"] == [first, second]
    gone = talk(agent, "s", "yes")
    assert gone.text.startswith(f"Cancelled; reference {first[:8]}")
    assert (bookings_in(city_graph, [first]), gone.facts["bookings"]) == ([], [second])


def test_what_was_chosen_is_booked_by_an_order_and_changed_though_it_is_written(make: Make, city_graph: Graph) -> None:
    agent = make()
    turn = talk(agent, "s", "松月区的川菜馆", "the second one", "book it")
    assert turn.facts["slots"] == {"name": "Green Tile Kitchen"}
    (key,) = talk(agent, "s", "tomorrow at noon", "two people", "yes").facts["bookings"]
    assert talk(agent, "s", "make it 3 people instead").text.startswith("Please confirm the change")
    assert talk(agent, "s", "yes").facts["bookings"] == [key]
    assert [row["people"] for row in bookings_in(city_graph, [key])] == [3]


def test_nobody_reaches_the_bookings_of_another_conversation(make: Make, city_graph: Graph) -> None:
    agent = make()
    (key,) = talk(agent, "mine", TILE, "yes").facts["bookings"]
    for said in ("my bookings", "cancel my booking", "change my booking to 8pm"):
        assert talk(agent, "yours", said).text == "Nothing was agreed upon in this conversation."
    assert bookings_in(city_graph, [key])


def test_a_booking_of_another_place_is_joined_to_that_one_alone(make: Make, city_graph: Graph) -> None:
    agent = make()
    (key,) = talk(agent, "s", TILE, "yes").facts["bookings"]
    turn = talk(agent, "s", "change my booking to Golden Lantern Hall", "yes")
    assert turn.text.startswith("Changed")
    assert [row["name"] for row in bookings_in(city_graph, [key])] == ["Golden Lantern Hall"]


def test_a_property_is_told_of_a_named_node_of_what_is_being_booked_and_two_at_once(make: Make) -> None:
    agent = make()
    turn = talk(agent, "s", "what is the phone number of Green Tile Kitchen?")
    assert turn.text == "The phone number of Green Tile Kitchen: 0990-0984212."
    assert turn.facts["intent"] == ""
    turn = talk(agent, "s", "I'd like to book a table", "Green Tile Kitchen", "when does it close?")
    assert turn.text == "The closing time of Green Tile Kitchen: 23:30.\nWhat time?"
    turn = talk(agent, "t", "松月区的川菜馆", "第二家的电话和地址")
    assert turn.text == "青瓦小馆的电话是0990-0984212。青瓦小馆的地址是松月区杏花巷40号。"


def test_a_number_answers_the_choices_that_were_printed(make: Make) -> None:
    agent = make()
    asked = talk(agent, "s", "book Green Kitchen tomorrow at 7pm for 2")
    assert "1. Green Tile Kitchen, 2." in asked.text
    assert talk(agent, "s", "1").facts["slots"]["name"] == "Green Tile Kitchen"
    talk(agent, "t", "book Green Kitchen tomorrow at 7pm for 2")
    none = talk(agent, "t", "none of them")
    assert "name" in none.facts["missing"]
    assert none.facts["slots"] == {"time": "2026-11-22T19:00", "people": 2}


def test_further_results_come_once_and_the_same_question_is_answered_again(make: Make) -> None:
    agent = make()
    first = talk(agent, "s", "show me comedies tonight")
    second = talk(agent, "s", "还有吗")
    assert second.rows
    assert not {row["key"] for row in first.rows} & {row["key"] for row in second.rows}
    assert talk(agent, "s", "the first one").found == second.found[:1]
    while (turn := talk(agent, "s", "more")).rows and len(turn.rows) > 1:
        pass
    again = [talk(agent, "t", "青禾区有什么韩国菜").text for _ in range(2)]
    assert again[0] == again[1]


def test_thanks_and_digressions_leave_what_is_pending_open(make: Make) -> None:
    agent = make()
    turn = talk(agent, "s", "I want a restaurant", TILE, "yes")
    assert turn.text.endswith("What kind of food would you like?")
    assert talk(agent, "s", "any").facts["slots"] == {"cuisine": "*"}
    turn = talk(agent, "t", TILE, "thank you so much")
    assert turn.text.split("\n")[1].startswith("Please confirm")
    assert talk(agent, "t", "yes").facts["bookings"]


def test_documents_are_asked_before_a_question_is_taken_for_a_property(make: Make) -> None:
    asked: list[str] = []

    def documents(question: str) -> str | None:
        asked.append(question)
        return "押金两百元。（须知.md）" if "押金" in question else None

    agent = make(documents=documents)
    talk(agent, "s", TILE_ZH)
    turn = talk(agent, "s", "押金多少钱")
    answer, read_out = turn.text.split("\n")
    assert answer == "押金两百元。（须知.md）"
    assert read_out.startswith("请确认")
    assert talk(agent, "s", "人均多少钱").text.split("\n")[0] == "青瓦小馆：人均19元。"
    assert talk(agent, "s", "好的").facts["bookings"]
    assert asked == ["押金多少钱"]


def test_a_hand_off_does_not_block_the_machine_and_can_be_ended(make: Make) -> None:
    agent = make()
    talk(agent, "s", "I want to find a restaurant", "let me talk to a human")
    assert talk(agent, "s", "hot pot").facts["slots"] == {"cuisine": "Hot pot"}
    assert talk(agent, "s", "Qintai").rows
    assert talk(agent, "s", "hello").text.startswith("A colleague will be with you")
    assert len(agent.sessions.hand_offs("s")) == 1
    assert agent.end_hand_off("s")
    assert agent.sessions.hand_offs("s") == []
    assert talk(agent, "s", "hello").text.startswith("Hello!")
    assert not agent.end_hand_off("s")


def test_a_graph_that_fails_under_a_booking_reads_it_out_again(make: Make, city_graph: Graph) -> None:
    class Away:
        is_away = False

        def write(self, *given: Any, **named: Any) -> Any:
            if self.is_away:
                raise GraphUnavailableError("gone")
            return city_graph.write(*given, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(city_graph, name)

    graph = Away()
    agent = make(graph=graph)
    talk(agent, "s", TILE)
    graph.is_away = True
    lost = talk(agent, "s", "yes")
    assert lost.text.split("\n")[1].startswith("Please confirm")
    graph.is_away = False
    assert talk(agent, "s", "thanks").facts["bookings"] == []
    assert talk(agent, "s", "yes").facts["bookings"]


def test_a_turn_reads_what_is_new_of_a_log_and_two_agents_over_one_file_agree(make: Make, tmp_path: Path) -> None:
    read: list[int] = []

    class Counting(SessionStore):
        def log(self, session_id: str, num_known: int = 0) -> Any:
            found = super().log(session_id, num_known)
            read.append(len(found.events))
            return found

    with Counting(tmp_path / "shared.sqlite") as first, SessionStore(tmp_path / "shared.sqlite") as second:
        one, two = make(sessions=first), make(sessions=second)
        for _ in range(10):
            talk(one, "s", "松月区的川菜馆", "第一家的电话是多少", "谢谢")
        assert max(read) == 0, "what this process wrote itself is never read again"
        turn = talk(two, "s", "找个望潮区的酒店")
        read.clear()
        last = talk(one, "s", "谢谢")
        assert (last.number, last.facts["intent"]) == (32, turn.facts["intent"])
        assert 0 < max(read) < 10
        whole = fold([ev.from_json(event) for event in first.log("s").events], one.domain)
        assert whole == last.state
        two.forget("s")
        assert talk(one, "s", "谢谢").number == 1


@pytest.mark.parametrize("text", ["\ud800", "ok \udcff", "x" * 2001, " "])
def test_what_is_no_text_is_refused_in_one_line_and_the_conversation_goes_on(make: Make, text: str) -> None:
    agent = make()
    talk(agent, "s", TILE)
    with pytest.raises(InvalidRequestError) as told:
        agent.reply("s", text)
    assert "\n" not in str(told.value)
    assert talk(agent, "s", "yes").facts["bookings"]
