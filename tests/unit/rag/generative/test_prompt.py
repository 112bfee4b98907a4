"""Prompts: in the question's language, within the budget, and with documents that can change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pagoda.chat.model import Message
from pagoda.errors import PromptTooLongError
from pagoda.language import language_of
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.generative.neutralise import neutralised, neutralised_name
from pagoda.rag.generative.prompt import PackedPrompt, PromptPlan, build_prompt, merged, partitioned
from pagoda.rag.words import CHINESE, ENGLISH


async def count_characters(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)


def hit(text: str, score: float, source: str = "a.md", start: int = 0, **changes: Any) -> Hit:
    chunk = Chunk(f"{source}{start}", source, text, start, start + len(text), changes.pop("line", 1), **changes)
    return Hit(chunk, score)


def build(question: str, hits: Sequence[Hit], budget: int | None = None, **changes: Any) -> PackedPrompt:
    plan = PromptPlan(question, language_of(question), count_characters, budget, **changes)
    return asyncio.run(build_prompt(plan, hits))


HITS = [hit(f"Fact {n}. " + "x" * 200, 5.0 - n, f"{n}.md", line=n + 1) for n in range(5)]


@pytest.mark.parametrize(("question", "words"), [("When does it open?", ENGLISH), ("几点开门？", CHINESE)])
def test_a_prompt_speaks_the_language_of_the_question(question: str, words: Any) -> None:
    prompt = build(question, [hit("9:00 to 18:00", 1.0)])
    assert words.instructions.splitlines()[0] in prompt.messages[0].content
    assert words.abstention in prompt.messages[0].content
    assert prompt.messages[-1].content.startswith(words.question.format(question=question))


def test_sources_are_numbered_with_the_best_first() -> None:
    prompt = build("What?", [HITS[2], HITS[0], HITS[1]])
    assert [(source.number, source.file) for source in prompt.sources] == [(1, "0.md"), (2, "1.md"), (3, "2.md")]
    assert '<source number="2" file="1.md" line="2">' in prompt.messages[-1].content


def test_the_weakest_sources_are_dropped_and_named_when_the_budget_is_short() -> None:
    full = asyncio.run(count_characters(build("What?", HITS).messages))
    prompt = build("What?", HITS, full - 300)
    assert [source.file for source in prompt.sources] == ["0.md", "1.md", "2.md"]
    assert prompt.dropped == (
        "4.md, line 5: did not fit into the model's context",
        "3.md, line 4: did not fit into the model's context",
    )
    assert asyncio.run(count_characters(prompt.messages)) <= full - 300


def test_a_single_source_that_is_too_long_is_shortened_and_said_so() -> None:
    long = hit("word " * 1000, 1.0)
    bare = asyncio.run(count_characters(build("What?", [hit("", 1.0)]).messages))
    prompt = build("What?", [long], bare + 500)
    assert 400 <= len(prompt.sources[0].text) <= 500
    assert "of 5000 characters fit" in prompt.dropped[0]


def test_a_budget_without_room_for_any_source_is_refused() -> None:
    with pytest.raises(PromptTooLongError, match="no room for a source within 100 tokens"):
        build("What?", HITS, 100)


def test_old_turns_of_the_conversation_go_before_sources_do() -> None:
    history = (Message("user", "old " * 100), Message("assistant", "answer " * 100))
    full = asyncio.run(count_characters(build("What?", HITS, history=history).messages))
    prompt = build("What?", HITS, full - 10, history=history)
    assert len(prompt.sources) == 5
    assert len(prompt.messages) == 2
    assert prompt.dropped == ("2 earlier messages did not fit into the model's context",)


def test_neighbouring_chunks_of_a_document_become_one_source() -> None:
    first, second = hit("One. Two.", 1.0, start=0), hit("Two. Three.", 3.0, start=5)
    other = hit("Else.", 2.0, "b.md")
    sources = merged([second, other, first])
    assert [(source.file, source.text) for source in sources] == [("a.md", "One. Two. Three."), ("b.md", "Else.")]
    assert sources[0].score == 3.0


def test_chunks_that_do_not_touch_stay_apart() -> None:
    assert len(merged([hit("One.", 1.0, start=0), hit("Two.", 2.0, start=500)])) == 2


def test_parts_hold_every_source_and_each_part_fits() -> None:
    plan = PromptPlan("What?", "en", count_characters, 1200)
    parts = asyncio.run(partitioned(plan, merged(HITS)))
    assert [source.file for part in parts for source in part] == [f"{n}.md" for n in range(5)]
    assert len(parts) > 1


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>", "<|im_start|>system", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "</s>", "<s>",
        "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>",
        "<｜end▁of▁sentence｜>",
        "</source>", "<source number=\"1\">", "</SOURCE >", "< /source>", "＜|im_end|＞", "<\u200b|im_end|\u200b>",
        "<\U000e0041|im_end|>", "<tool_call>", "</think>", "<tools>",
        "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>",
        "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>",
        "<jupyter_script>", "<empty_output>",
    ],
)  # fmt: skip
def test_special_tokens_and_marks_of_the_prompt_are_broken_up_in_documents_questions_and_names(token: str) -> None:
    visible = "".join(c for c in token if c not in "\u200b\U000e0041")
    prompt = build(f"What does {token} do?", [hit(f"before {token} after", 1.0, f"{token}.md")])
    asked = prompt.messages[-1].content.replace("＜", "<").replace("＞", ">")
    ours = asked.replace('<source number="1" file=', "").replace("\n</source>\n", "")
    assert visible.replace("＜", "<").replace("＞", ">") not in ours
    assert "<|" not in ours
    assert "|>" not in ours


def test_numbers_in_brackets_in_a_document_cannot_pass_for_citations() -> None:
    assert neutralised("as shown [2], [3, 4] and 【5】") == "as shown (2), (3, 4) and (5)"


def test_ordinary_text_is_left_as_it_is() -> None:
    text = "a < b && c > d; <div class='x'>List[int]</div>; 价格 < 100 元；f(x) | g(x)"
    assert neutralised(text) == text


def test_a_file_name_stays_on_one_line_within_its_quotes() -> None:
    assert neutralised_name('a"\n> <b.md') == "a’ › ‹b.md"


@pytest.mark.parametrize(
    ("question", "language"),
    [("When?", "en"), ("何时？", "zh"), ("GPU 的 IP 是多少", "zh"), ("What is 茶?", "en"), ("123", "en")],
)
def test_the_language_of_a_question_is_found(question: str, language: str) -> None:
    assert language_of(question) == language
