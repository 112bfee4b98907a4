"""Words that turn a sentence round are seen wherever they stand in it, and nowhere else."""

import pytest

from pagoda.rag.extractive.showing.governors import goes_on, is_governed, is_question


@pytest.mark.parametrize(
    ("sentence", "span"),
    [
        ("The port is not 8080.", "8080"),
        ("Refunds aren't given after 30 days.", "30 days"),
        ("Members pay 5 euros unless they are students.", "5 euros"),
        ("Only in version 4 the limit is 30.", "30"),
        ("All rooms except room 12 are open.", "All rooms"),
        ("If it rains, the tour starts at 11.", "11"),
        ("The option was deprecated in favour of --new.", "--new"),
        ("The tower was allegedly built by monks.", "monks"),
        ("Does it use port 80?", "port 80"),
        ("该接口不允许匿名访问。", "匿名访问"),
        ("除周一外，每天九点开门。", "九点"),
        ("只有会员可以免费停车。", "免费停车"),
        ("如果下雨，活动改在十点。", "十点"),
        ("未成年人禁止入内。", "入内"),
        ("在 v4.0 版本之前端口为 80。", "80"),
        ("默认端口是 80 吗", "80"),
    ],
)
def test_what_governs_a_span_is_seen_outside_of_it(sentence, span):
    start = sentence.index(span)
    assert is_governed(sentence, start, start + len(span))


@pytest.mark.parametrize(
    ("sentence", "span"),
    [
        ("Repairs are guaranteed for six months.", "six months"),
        ("The tower was built in 1889 by Gustave Eiffel.", "Gustave Eiffel"),
        ("会员年费为 120 元。", "120 元"),
        ("他的代表作是《呐喊》。", "《呐喊》"),
    ],
)
def test_a_plain_statement_governs_nothing(sentence, span):
    start = sentence.index(span)
    assert not is_governed(sentence, start, start + len(span))


def test_a_word_inside_the_span_is_kept_by_it():
    assert not is_governed("The park is open, no dogs.", 18, 25)


def test_a_sentence_that_takes_back_the_one_before_goes_on_about_it():
    assert all(map(goes_on, ["However, tyres are excluded.", "Except on Sundays.", "但周末除外。", "否则将被拒绝。"]))
    assert not any(map(goes_on, ["Tyres are black.", "Butter is sold here.", "它有二十层。"]))


def test_a_question_tells_nothing():
    assert all(map(is_question, ["Can I use it offline?", "## 支持事务吗？", "支持事务吗", "如何重置密码"]))
    assert not any(map(is_question, ["It can be used offline.", "支持什么由配置决定。", "这就是原因。"]))
