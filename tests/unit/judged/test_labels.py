"""The judged conversations say what they should: names of the city, slots of the domain, halves that share nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from judged.labels import DATA, Asked, Conversation, label_of, read, sentences
from judged.meaning import Around, Count, Free, Moment, Nodes, Numbers
from judged.town import Town

NUM_TURNS = 300


@pytest.fixture(scope="module")
def conversations(town: Town) -> list[Conversation]:
    return read(town)


def test_there_are_enough_turns_of_each_language_and_half(conversations: list[Conversation]) -> None:
    turns = Counter(each.language for each in conversations for _ in each.turns)
    assert min(turns["zh"], turns["en"]) >= NUM_TURNS
    halves = Counter(each.half for each in conversations)
    assert set(halves) == {"develop", "report"}
    assert abs(halves["develop"] - halves["report"]) < len(conversations) / 10


def test_conversations_are_told_apart_and_two_turns_at_least(conversations: list[Conversation]) -> None:
    names = [each.name for each in conversations]
    assert len(set(names)) == len(names)
    assert {len(each.turns) for each in conversations} <= set(range(2, 12))


def test_properties_asked_for_are_columns_of_the_domain(town: Town, conversations: list[Conversation]) -> None:
    for conversation in conversations:
        for turn in conversation.turns:
            for asked in turn.label.asked:
                tasks = [task for task in town.domain.intents if town.has_column(task, asked.column)]
                assert bool(tasks) is asked.is_known, f"{conversation.name}, line {turn.line}: {asked.column}"
                for key in asked.of.split("|"):
                    is_answered = key in ("shown", "booked") or not asked.is_known or bool(town.told(key, asked.column))
                    assert is_answered, f"{conversation.name}, line {turn.line}: {key} has no {asked.column}"


def test_what_follows_an_open_question_can_be_opened_by_an_earlier_turn(conversations: list[Conversation]) -> None:
    for conversation in conversations:
        for at, turn in enumerate(conversation.turns):
            if turn.label.after:
                tasks = {each.label.task for each in conversation.turns[:at]}
                assert tasks & {"book_restaurant"} or turn.label.task, f"{conversation.name}, line {turn.line}"


def test_sentences_of_sgd_are_not_kept(conversations: list[Conversation]) -> None:
    of_sgd = [each for each in conversations if each.name.startswith("sgd-")]
    assert of_sgd
    assert not any(turn.text for each in of_sgd for turn in each.turns)


def test_sentences_that_are_not_kept_are_made_from_the_folder(town: Town, tmp_path: Path) -> None:
    (tmp_path / "sgd.en.txt").write_text("# sgd-7 develop\n0| Rome=>Luming\n= H location=Luming\n", "utf-8")
    (held,) = read(town, tmp_path)
    assert sentences(held, None) is None
    dialogue = {"id": "7", "turns": [{"text": "A  hotel in Rome"}]}
    (tmp_path / "sgd_resto_hotel_movie.jsonl").write_text(json.dumps(dialogue) + "\n", "utf-8")
    assert sentences(held, tmp_path) == ["A hotel in Luming"]
    (tmp_path / "sgd_resto_hotel_movie.jsonl").write_text('{"id": "7", "turns": [{"text": "In Oslo"}]}\n', "utf-8")
    with pytest.raises(ValueError, match="does not hold 'Rome'"):
        sentences(held, tmp_path)


@pytest.mark.parametrize(
    ("mark", "meaning"),
    [
        ("cuisine=川菜", Nodes(frozenset({"cuisine-001"}))),
        ("cuisine=Thai/French", Nodes(frozenset({"cuisine-015", "cuisine-018"}), "either")),
        ("location!=Luming", Nodes(frozenset({"district-003"}), "none")),
        ("price=50..100", Numbers(50, 100)),
        ("price<=50", Numbers(None, 50)),
        ("price=cheap", Numbers(None, None, ("cheap",))),
        ("price=~100", Around(100)),
        ("time=2026-12-04T19:00", Moment("2026-12-04T19:00")),
        ("people=4", Count(4)),
        ("location=*", Free()),
    ],
)
def test_a_mark_is_read_as_what_it_means(town: Town, mark: str, meaning: object) -> None:
    (want,) = label_of(f"R {mark}", town).wants
    assert want.meanings == (meaning,)


def test_questions_acts_and_conditions_are_read(town: Town) -> None:
    label = label_of(". ?phone@青瓦小馆 ?!email asked:confirm !5_nights ok:ask,say", town)
    assert label.asked == (Asked("phone", "restaurant-001"), Asked("email", "shown", is_known=False))
    assert (label.after, label.unusable, label.accepted) == ("confirm", ("5 nights",), ("ask", "say"))


@pytest.mark.parametrize("mark", ["cuisine=nothing", "colour=red", "?phone@nowhere", "hello"])
def test_a_mark_that_says_nothing_is_told(town: Town, mark: str) -> None:
    with pytest.raises(ValueError, match=r"names 0 nodes|is no mark"):
        label_of(mark, town)


def test_a_mistake_in_a_file_is_told_with_its_line(town: Town, tmp_path: Path) -> None:
    (tmp_path / "made.en.txt").write_text("# made-1 develop\n0> hello\n= R cuisine=nothing\n", "utf-8")
    with pytest.raises(ValueError, match=r"made.en.txt, line 3"):
        read(town, tmp_path)


def test_the_data_says_where_it_is_from() -> None:
    notes = (DATA / "README.md").read_text("utf-8")
    for licence in ("Apache-2.0", "MIT", "CC BY 4.0", "CC BY-SA 4.0"):
        assert licence in notes
