"""An attribute whose values have a look of their own is not answered by a passage that has none of them."""

import pytest

from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.extractor import ExtractiveAnswerer, ExtractiveSettings
from pagoda.rag.extractive.showing.attributes import lacks_value

SERVER = "The server is started by serve. It listens on port 80."
CHINESE = "服务器由 serve 命令启动，默认监听 80 端口。"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What does the server cost?", SERVER),
        ("what's the price of the server?", SERVER),
        ("Which colour has the server?", SERVER),
        ("What is the phone number of the server's owner?", SERVER),
        ("Which e-mail address has the server's owner?", SERVER),
        ("服务器多少钱？", CHINESE),
        ("启动服务器要收多少费用？", CHINESE),
        ("服务器是什么颜色？", CHINESE),
        ("服务器的电话号码是多少？", CHINESE),
        ("服务器的邮箱是什么？", CHINESE),
    ],
)
def test_no_value_of_that_look_is_there(question: str, text: str) -> None:
    assert lacks_value(question, [text])


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("What does the server cost?", "The server is free."),
        ("What does the server cost?", "The server is sold for $20."),
        ("What does a random page cost by default?", "random_page_cost: 4.0"),
        ("Which colour has the bar?", "The bar is light-green."),
        ("What is the phone number?", "Call +44 20 7946 0000."),
        ("Which e-mail address has the owner?", "Write to owner@example.org."),
        ("Which port has the server?", SERVER),
        ("服务器多少钱？", "服务器每月 20 元。"),
        ("服务器要付多少费用？", "服务器免费。"),
        ("进度条是什么颜色？", "进度条为绿色。"),
        ("电话号码是多少？", "请拨 010-12345678。"),
        ("邮箱是什么？", "请写信给 a@example.org。"),
        ("默认端口是多少？", CHINESE),
    ],
)
def test_what_may_be_a_value_is_left_to_the_decision(question: str, text: str) -> None:
    assert not lacks_value(question, [text])


@pytest.mark.parametrize(("question", "text"), [("What does the server cost?", SERVER), ("服务器多少钱？", CHINESE)])
def test_such_a_question_is_declined_however_likely_the_passage_looks(question: str, text: str) -> None:
    answerer = ExtractiveAnswerer(ExtractiveSettings(min_confidence=0.0))
    hits = [Hit(Chunk("a", "a.txt", text, 0, len(text), 1), 1.0)]
    assert answerer.answer(question, hits).abstained
    assert not answerer.answer(question.replace("cost", "do").replace("多少钱", "怎么启动"), hits).abstained
