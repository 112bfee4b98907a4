"""People are counted where words count people, and nowhere else."""

from __future__ import annotations

import pytest

from pagoda.dialogue.slots.people import find_people, read_people
from pagoda.dialogue.slots.readings import NOTHING, ValueReading
from pagoda.dialogue.slots.said import folded


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("我们仨", 3),
        ("姐妹四个", 4),
        ("一家五口", 5),
        ("三大两小", 5),
        ("两个大人一个小孩", 3),
        ("我爸妈、我和弟弟", 4),
        ("我和我女朋友，还有她妈妈", 3),
        ("一打", 12),
        ("七八个人", 8),
        ("十来个人", 10),
        ("一桌八个人", 8),
        ("散会以后过去六个人", 6),
        ("湖南人两个", 2),
        ("俩", 2),
        ("①", 1),
        ("a dozen and a half", 18),
        ("party of nine", 9),
        ("my husband, our two kids and me", 4),
        ("my boss, myself and three colleagues", 5),
        ("me and 5 others", 6),
        ("three couples", 6),
        ("six of us plus a baby", 7),
        ("five or six people", 6),
        ("6-8 people", 8),
        ("twenty-one people", 21),
        ("there will be 4 of us. My brother can't come.", 4),
        ("just me", 1),
        ("one, only me", 1),
        ("三位，其中一个坐轮椅", 3),
        ("nobody else is coming", 1),
        ("for myself, my husband and two kids", 4),
        ("me and mom", 2),
        ("a man and his wife", 2),
        ("3 colleagues, me and 2 friends", 6),
        ("the number of guests is 15", 15),
        ("all 4 seated together", 4),
        ("five are coming", 5),
        ("2 and a baby", 3),
        ("two and 3 kids please", 5),
        ("3 are expected", 3),
    ],
)
def test_all_who_are_named_are_counted(words: str, count: int) -> None:
    assert read_people(folded(words)) == ValueReading(count)


@pytest.mark.parametrize(
    "words",
    [
        "收拾",
        "大陆",
        "三三两两",
        "第二个",
        "两晚",
        "两桌",
        "五点",
        "7pm",
        "8:30",
        "4.5",
        "-3",
        "1e1",
        "5 nights",
        "3 weeks",
        "川菜",
        "",
    ],
)
def test_numbers_of_other_things_count_nobody(words: str) -> None:
    assert read_people(words) == NOTHING


def test_one_more_is_added_to_the_number_before() -> None:
    assert [read_people(words, 4).value for words in ("再加一个人", "one more", "two more people", "少一位")] == [
        5,
        5,
        6,
        3,
    ]
    assert read_people("再加一个人") == ValueReading(why="ambiguous")
    assert read_people("one more thing", 4) == NOTHING


def test_two_numbers_of_people_are_asked_about() -> None:
    assert read_people("not 18 people, 8 people") == ValueReading(8)
    assert read_people("from 3 people to 4 people") == ValueReading(4)
    assert read_people("3 people, maybe 4 people") == ValueReading(why="ambiguous")


def test_a_number_that_was_not_told_is_asked_about() -> None:
    assert read_people("several people") == ValueReading(why="partial", leftover="several people")
    assert read_people("me, my wife and our kids") == ValueReading(why="partial", leftover="and our kids", instead=2)


def test_a_slot_counts_its_own_units() -> None:
    assert read_people("两间", nouns=("间",)) == ValueReading(2)
    assert read_people("three tickets") == ValueReading(3)
    assert find_people("book 2 canoes", nouns=("canoe", "canoes")) is not None
    assert find_people("book 2 canoes") is None


def test_a_bare_number_in_a_sentence_counts_only_as_an_answer() -> None:
    assert find_people("make it 7 please") is None
    found = find_people("make it 7 please", is_asked=True)
    assert found is not None
    assert (found.reading.value, found.start, found.end) == (7, 8, 9)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("一家三口加上我爸妈", 5),
        ("一家三口和我爸妈", 5),
        ("一家四口再加爷爷奶奶", 6),
        ("me, my wife and her parents", 4),
        ("四位，是我老婆生日", 4),
        ("a table for two, it's my wife's birthday", 2),
    ],
)
def test_who_is_named_beside_a_family_is_added_and_whose_birthday_it_is_is_not(text: str, number: int) -> None:
    assert read_people(text).value == number
