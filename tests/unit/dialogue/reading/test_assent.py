"""A yes and nothing else: what counts in both languages, and that every remainder takes it away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.dialogue.reading.closed.assent import MAX_LENGTH, is_goodbye, is_yes

YES = [
    "yes", "Yep!", "yeah, sure", "OK", "okay, go ahead", "That's right.", "Yes , that 's correct .", "all correct",
    "sounds good, thanks", "Yes please, book it for me", "please do", "I confirm", "absolutely, thank you so much",
    "that works for me", "yes, could you please book it?", "Perfect.", "go for it", "yesss", "YES, the table please",
    "great", "Super!", "no problem", "Perfect, thanks", "sounds good, go ahead", "that's great, thanks",
    "very much so", "yes, that is what I want to do", "I want the same", "yes, that all checks out",
    "confirmed to proceed with the table",
    "that is the right information", "certainly, set it up now", "that's a good choice", "yes would be great",
    "可", "可以的谢谢", "也行", "没问题谢谢", "当然可以了",
    "yes, and give me the reference number please", "you got everything right", "👍", "ok 😊", "that is great",
    "是的", "好的，谢谢", "嗯嗯", "没错，就这样吧", "对对对", "可以，帮我订吧", "行", "確認", "好嘞", "没问题",
    "就按这个来", "信息都对", "OK的", "👌好的", "好的，能帮我订一下吗？", "确认无误，下单吧", "就订这家",
]  # fmt: skip
NO = [
    "right now", "thanks for your help, that's all I need right now",
    "", "   ", "maybe", "no", "not yes", "yes?", "ok?", "yes but later", "yes if it is cheap", "yes and a second one",
    "okay wait", "right, and the address?", "great, thanks", "super, thank you",
    "yes, not now", "ok no thanks", "okay, not today", "that's it, thank you", "thanks", "sure of it?",
    "yes or no", "is that right", "make it five", "book another", "well...", "ok...", "yes no", "fine print",
    "能便宜点吗", "好像不对", "好贵", "是不是", "对了", "好吗", "可以吗", "不可以", "嗯……", "好的但是", "行不行",
    "可能吧", "可是太晚", "可惜了", "没关系", "no problem, but later",
    "thanks, no problem with the price?",
    "都可以", "你定", "谢谢", "太好了，谢谢", "对面有什么", "是吗", "好的？", "订金多少", "👎", "👍👎", "是谁", "哦",
]  # fmt: skip


@pytest.mark.parametrize("text", YES)
def test_a_whole_yes_is_one(text: str) -> None:
    assert is_yes(text, ["table"])


@pytest.mark.parametrize("text", NO)
def test_anything_else_is_none(text: str) -> None:
    assert not is_yes(text, ["table"])


@pytest.mark.parametrize(
    ("text", "ends"),
    [("好的，谢谢，没有别的问题了，再见！", True), ("Not now. I appreciate your efforts.", True),
     ("that is all, bye", True),
     ("thanks, and a hotel", False), ("yes", False), ("没有停车场吗", False), ("谢谢，电话多少", False)],
)  # fmt: skip
def test_who_only_thanks_or_ends_says_goodbye(text: str, ends: bool) -> None:
    assert is_goodbye(text) is ends


def test_what_is_agreed_upon_is_called_by_the_domains_words() -> None:
    assert not is_yes("yes, book the ticket")
    assert is_yes("yes, book the ticket", ["ticket"])


@pytest.mark.parametrize(
    "rest",
    ["but not today", "at nine", "for six people", "unless it rains", "what about parking", "不过要靠窗", "几点关门",
     "改成六个人", "再看看", "有停车场吗", "?", "？", "…", "I think", "I guess so not", "如果便宜的话", "先不"],
)  # fmt: skip
@pytest.mark.parametrize("yes", [yes for yes in YES if not yes.endswith(("?", "？"))])
def test_a_remainder_makes_it_none_whatever_it_follows(yes: str, rest: str) -> None:
    assert not is_yes(f"{yes} {rest}", ["table"])


@given(st.text(max_size=60))
@settings(max_examples=500, deadline=None, database=None)
def test_no_text_breaks_it(text: str) -> None:
    assert is_yes(text) in (True, False)


@given(st.lists(st.sampled_from(["yes", "ok", "please", "book it", "that is", "right", "thanks", "go", "it", "all"])))
@settings(max_examples=300, deadline=None, database=None)
def test_a_long_sentence_of_its_own_words_is_read_in_one_pass(words: list[str]) -> None:
    """A grammar that tried every way to cut such a sentence would not come back."""
    text = " ".join(words * 8) + " x"
    assert not is_yes(text[-MAX_LENGTH:])


def test_nobody_needs_so_many_words() -> None:
    assert not is_yes("yes " * MAX_LENGTH)
