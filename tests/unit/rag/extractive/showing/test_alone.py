"""Words stand alone only where they are of the kind that is asked for, and nothing else in the passage answers, too."""

import pytest

from pagoda.rag.content_words import content
from pagoda.rag.extractive.showing.alone import answering_as_well, is_of_kind, kind_sought
from pagoda.rag.extractive.showing.station import Candidate, Showing, shown
from pagoda.rag.splitting.sentences import sentence_spans


def showing(question: str, text: str, span: str, sure: bool = True) -> Showing:
    sentences, start = sentence_spans(text), text.index(span)
    found = Candidate(text, sentences, (start, start + len(span)), 0, asked=content(question), question=question)
    return shown("words", found, span_is_sure=sure, sentence_is_sure=sure)


@pytest.mark.parametrize(
    ("question", "text", "span"),
    [
        ("谁打扫会议室", "会议室每周五上午打扫，由老周负责。", "会议室每周五上午"),
        ("谁清空垃圾", "垃圾每周二早上八点前清空，手套找老张要。", "每周二早上八点前清空"),
        ("打印机谁修", "打印机由维保公司两天内修好。", "由维保公司两天内"),
        (
            "Who cleans the coffee machine?",
            "The coffee machine is cleaned on Wednesdays, ask Tom for the tablets.",
            "Tom",
        ),
        ("Who sweeps the hall?", "The hall is swept every Friday morning, by turns.", "every Friday morning"),
        ("停车场有多少车位", "停车场在地下二层，车位很多。", "很多"),
        ("How many seats does the hall have?", "The hall has seats for the whole choir.", "the whole choir"),
        ("When is the hall swept?", "The hall is swept by Walter and his brother.", "Walter and his brother"),
        ("会议室什么时候打扫", "会议室由老周打扫。", "老周"),
    ],
)
def test_words_of_another_kind_than_is_asked_for_are_shown_as_their_sentence(question, text, span):
    found = showing(question, text, span)
    assert (found.kind, text[slice(*found.place)], found.marked) == ("sentence", text, found.place)


@pytest.mark.parametrize(
    ("question", "text", "span", "words"),
    [
        ("Who sweeps the hall?", "The hall is swept every Friday by Walter.", "Walter", "Walter"),
        ("钥匙谁保管", "钥匙由刘师傅保管。", "由刘师傅", "刘师傅"),
        ("会议室什么时候打扫", "会议室每周五上午打扫。", "上午", "每周五上午"),
        ("礼堂几点开放", "礼堂每天上午九点到十二点开放。", "九点", "每天上午九点到十二点"),
        ("When is lane swimming?", "Lane swimming is on Monday from 7 to 9.", "Monday", "Monday from 7 to 9"),
        ("How many doors has the hall?", "The hall has two doors.", "two", "two"),
    ],
)
def test_words_of_the_kind_that_is_asked_for_are_shown_whole(question, text, span, words):
    found = showing(question, text, span)
    assert (found.kind, text[slice(*found.marked)]) == ("span", words)


def test_words_of_a_clause_that_speaks_of_something_else_do_not_stand_alone():
    text = "The hall was painted in May, the stairs in June."
    assert showing("When was the hall painted?", text, "June").kind == "sentence"
    assert showing("When was the hall painted?", text, "May").kind == "span"


POOL = "Lane swimming is on Monday. The pool is closed on Tuesday. Lane swimming is also on Thursday. Bring a towel."
STORIES = "图书馆周一闭馆。儿童故事会周三下午三点开始。儿童故事会周六上午十点也有一场。借书证在一楼办理。"
TEAMS = "The red team is led by Ann. The blue team is led by Bo. The red team is led by Cy on Sundays."


@pytest.mark.parametrize(
    ("question", "text", "span", "first", "last"),
    [
        ("When is lane swimming?", POOL, "Monday", "Lane swimming is on Monday.", "also on Thursday."),
        ("When is lane swimming?", POOL, "Thursday", "Lane swimming is on Monday.", "also on Thursday."),
        ("儿童故事会什么时候开始？", STORIES, "周三下午三点", "儿童故事会周三", "也有一场。"),
        ("Who leads the red team?", TEAMS, "Ann", "The red team is led by Ann.", "Cy on Sundays."),
        ("二甲双胍什么时候吃", "早饭后：二甲双胍一片\n晚饭后：二甲双胍两片\n头晕量血压", "晚饭后", "早饭后", "两片"),
    ],
)
def test_all_sentences_that_answer_are_shown_together(question, text, span, first, last):
    found = showing(question, text, span)
    told = text[slice(*found.place)]
    assert found.kind == "sentence"
    assert told.startswith(first)
    assert told.endswith(last)
    assert found.marked == found.place


def test_items_of_a_list_that_answer_are_shown_as_the_list_with_all_of_them_marked():
    text = "Classes\n\n- Monday: piano\n- Tuesday: chess\n- Thursday: piano"
    found = showing("On which days is piano?", text, "Monday")
    assert (found.kind, text[slice(*found.marked)]) == (
        "passage",
        "- Monday: piano\n- Tuesday: chess\n- Thursday: piano",
    )


def test_a_sentence_of_another_subject_does_not_come_along():
    assert showing("When is the pool closed?", POOL, "Tuesday").kind == "span"
    tower = "The tower was built in 1889. It was designed by Gustave Eiffel."
    assert answering_as_well("Who designed the tower?", tower, sentence_spans(tower), 1) == [1]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "Who leads the red team on weekdays?",
            "The red team is led by Ann on weekdays. The blue team by Bo on weekdays.",
        ),
        ("When does the trip to Oslo depart?", "Trip: Oslo; Departs: 3 May\nTrip: Rome; Departs: 4 May"),
        ("三号厅的球赛什么时候开始？", "三号厅的球赛周三开始。五号厅的球赛周四开始。"),
    ],
)
def test_what_is_said_of_another_thing_of_the_same_kind_does_not_come_along(question, text):
    assert answering_as_well(question, text, sentence_spans(text), 0) == [0]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When is it swept?", "time"),
        ("When the bell rings, who sweeps it?", ""),
        ("When is the hall open, please?", "time"),
    ],
)
def test_when_asks_where_it_begins_no_clause(question, kind):
    assert kind_sought(question) == kind


def test_words_of_one_kind_are_not_all_of_what_asks_for_two():
    text = "Ann opened the hall in 2007."
    assert showing("Who opened the hall?", text, "Ann").kind == "span"
    assert showing("Who opened the hall and when?", text, "Ann").kind == "sentence"
    assert showing("谁在什么时候打扫大厅？", "大厅由老周打扫，每周五上午。", "老周").kind == "sentence"


@pytest.mark.parametrize("words", ["the party", "Bristol city", "the canteen"])
def test_words_that_end_as_numbers_do_are_none(words):
    assert not is_of_kind("number", words)
