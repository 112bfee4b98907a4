"""How much of a document a question wants shown, by its grammar, in both languages."""

import pytest

from pagoda.rag.extractive.showing.question_form import form_of


@pytest.mark.parametrize(
    "question",
    [
        "Does it run on Windows?",
        "Can I use the car park?",
        "In version 4, is the option still there?",
        "When copying to a remote host, is the data encrypted?",
        "Isn't it deprecated?",
        "I want to know whether guests may enter.",
        "该功能支持事务吗？",
        "支持事务么",
        "是否支持事务？",
        "能不能退款？",
        "可不可以带宠物？",
        "有没有夜间模式？",
    ],
)
def test_what_is_answered_by_yes_or_no(question):
    assert form_of(question) == "polar"


@pytest.mark.parametrize(
    "question",
    [
        "How do I reset it?",
        "How to reset it",
        "Why is it slow?",
        "Which command lists the files?",
        "What options does it take?",
        "What is the difference between both?",
        "如何重置？",
        "怎么判断是否支持事务？",
        "支持哪些系统？",
        "什么是索引？",
        "两者的区别是什么？",
        "为什么很慢？",
    ],
)
def test_what_is_answered_by_more_than_words(question):
    assert form_of(question) == "block"


@pytest.mark.parametrize(
    "question",
    [
        "When does it open?",
        "How many riders may come?",
        "How long is the guarantee?",
        "Which one, is the question?",
        "Who is it?",
        "几点开门？",
        "默认端口是多少？",
        "作者是谁？",
        "它的名字叫什么？",
    ],
)
def test_what_is_answered_by_words(question):
    assert form_of(question) == "words"
