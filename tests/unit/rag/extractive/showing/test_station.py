"""What is shown of a passage keeps what governs the answer; how sure one is decides how little is shown."""

from dataclasses import replace

import pytest

from pagoda.rag.content_words import content
from pagoda.rag.extractive.showing.station import Candidate, passage, shown
from pagoda.rag.splitting.sentences import sentence_spans


def candidate(text: str, span: str, key: str = "") -> Candidate:
    sentences = sentence_spans(text)
    start = text.index(span)
    places = [i for i, (left, right) in enumerate(sentences) if key and text[left:right].startswith(key)]
    return Candidate(text, sentences, (start, start + len(span)), places[0] if places else -1)


def told(form: str, found: Candidate, *, span: bool = True, sentence: bool = True) -> tuple[str, str, str]:
    showing = shown(form, found, span_is_sure=span, sentence_is_sure=sentence)  # type: ignore[arg-type]
    return showing.kind, found.text[slice(*showing.place)], found.text[slice(*showing.marked)]


SHOP = "The shop was founded in 1990. Repairs are guaranteed for six months. It has two floors."


def test_sure_words_of_a_plain_sentence_are_shown_in_it():
    assert told("words", candidate(SHOP, "six months")) == (
        "span",
        "Repairs are guaranteed for six months.",
        "six months",
    )


def test_the_less_sure_the_more_is_shown():
    found = candidate(SHOP, "six months")
    assert told("words", found, span=False)[0] == "sentence"
    assert told("words", found, span=False, sentence=False) == ("passage", SHOP, "six months")


def test_where_words_are_unlikely_the_sentence_that_speaks_of_the_question_is_marked():
    showing = passage("words", candidate(SHOP, "1990", key="Repairs"), words_are_likely=False)
    assert SHOP[slice(*showing.marked)] == "Repairs are guaranteed for six months."


def test_a_governed_span_is_shown_as_its_sentence():
    text = "Bicycles are lent. Repairs are not guaranteed for six months. It has two floors."
    assert told("words", candidate(text, "six months"))[:2] == (
        "sentence",
        "Repairs are not guaranteed for six months.",
    )


def test_a_sentence_that_takes_something_back_comes_along():
    text = "Repairs are guaranteed for six months. However, tyres are not. It has two floors."
    expected = "Repairs are guaranteed for six months. However, tyres are not."
    assert told("words", candidate(text, "six months"))[:2] == ("sentence", expected)
    assert told("words", candidate(text, "tyres"))[:2] == ("sentence", expected)


def test_yes_or_no_is_shown_with_the_case_that_is_asked_about():
    text = "Parking is free for visitors on weekdays. At weekends it costs 4 pounds a day. It has two floors."
    found = candidate(text, "free", key="Parking")
    both = "Parking is free for visitors on weekdays. At weekends it costs 4 pounds a day."
    for question, expected in (("Is parking free at weekends?", both), ("Is parking free on weekdays?", both[:41])):
        asked = replace(found, asked=content(question))
        assert told("polar", asked)[:2] == ("sentence", expected)


@pytest.mark.parametrize(
    ("text", "span", "question"),
    [
        ("Parking costs 3 pounds. At weekends it costs one. It has floors.", "3", "What is parking at weekends?"),
        ("At weekends other fees hold. Parking costs one pound. It has floors.", "one", "What is parking at weekends?"),
        ("停车每小时五元。周末每小时两元。共有三层。", "五元", "周末停车多少钱？"),
        ("周末另有规定。停车每小时两元。共有三层。", "两元", "周末停车多少钱？"),
    ],
)
def test_a_neighbour_with_words_of_the_question_comes_along_whatever_is_asked(text, span, question):
    kind, quote, marked = told("words", replace(candidate(text, span), asked=content(question)))
    last = text.rindex("It has" if "It has" in text else "共有")
    assert (kind, quote, marked) == ("sentence", text[:last].rstrip(), span)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("会议室可提前两周预订；当天不接受预订；节日另定。共有三层。", "两周"),
        ("会议室可提前两周预订；当天不接受预订；节日另定。共有三层。", "节日"),
    ],
)
def test_clauses_around_a_semicolon_are_one_sentence(text, span):
    assert told("words", candidate(text, span))[1] == text[: text.index("共有")]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Parcels are delivered on Saturdays. This no longer applies since March.", "Saturdays"),
        ("Syringes are sold here. Not on Sundays.", "here"),
        ("病房内可以摆放花。重症监护室除外。", "病房内"),
        ("Myth: Parcels are left outside. Fact: We ask.", "outside"),
        ("有人认为儿童可以服用。医生另有看法。", "儿童"),
    ],
)
def test_what_may_take_a_sentence_back_is_shown_behind_it(text, span):
    assert told("words", candidate(text, span))[:2] == ("sentence", text)


def test_yes_or_no_is_answered_by_the_whole_sentence_that_is_asked_about():
    text = "Visitors must not bring pets into the building. The interface does not allow anonymous access."
    found = candidate(text, "bring pets into the building", key="The interface")
    assert told("polar", found) == ("sentence", *["The interface does not allow anonymous access."] * 2)


def test_where_two_sentences_speak_of_what_is_asked_neither_is_shown_alone():
    text = "--inherit: The role inherits rights. --no-inherit: The role does not inherit rights."
    found = candidate(text, "rights", key="--inherit")
    assert told("polar", replace(found, contested=True))[:2] == ("passage", text)


@pytest.mark.parametrize("heading", ["## 支持 ROLLBACK 语法吗？", "Can I use ROLLBACK?"])
def test_a_question_of_the_document_is_never_an_assertion(heading):
    text = f"{heading}\n\nTiDB 不支持 ROLLBACK 语法。"
    kind, quote, _ = told("polar", candidate(text, "ROLLBACK", key=heading))
    assert kind == "passage"
    assert "不支持" in quote


def test_items_of_a_list_come_with_what_leads_to_them():
    text = "The following are not supported:\n\n- savepoints\n- ports"
    kind, quote, marked = told("words", candidate(text, "savepoints"))
    assert (kind, marked) == ("passage", "savepoints")
    assert "not supported" in quote


def test_how_to_do_something_is_answered_by_the_passage():
    text = "To stop it, run this:\n\n```\nstop --now\n```\n\nThen wait."
    assert told("block", candidate(text, "stop --now"))[:2] == ("passage", text)


def test_a_cut_span_is_not_marked():
    text = "Use the option --no-site-file for this."
    assert told("words", candidate(text, "site"))[2] == text
