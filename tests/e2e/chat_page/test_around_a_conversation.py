"""What the chat page has around a conversation: the key, parameters, the list, example prompts, input methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chat_page import STORY, Endpoint, ask, expect, finished


def test_a_key_is_asked_for_and_kept_for_the_session_only(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.key = "sesame"
    page = open_page()
    page.get_by_label("API key", exact=True).and_(page.locator("input")).fill("sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_value("builtin")
    ask(page, "hello")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
    assert "sesame" not in page.evaluate("JSON.stringify({...localStorage})")


def test_parameters_are_sent_as_given_and_not_at_all_when_empty(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    expect(page.locator("#model")).to_have_value("builtin")  # until the list has come, none is sent
    ask(page, "one")
    finished(page)
    assert set(endpoint.requests[0]) == {"model", "messages", "stream", "stream_options"}
    page.get_by_role("button", name="Parameters").click()
    for label, value in {"System message": "Be brief.", "Temperature": "0.5", "Max tokens": "7", "Seed": "3"}.items():
        page.get_by_label(label).fill(value)
    page.get_by_label("Stop at").fill("END\n。")
    page.keyboard.press("Escape")
    page.locator("#model").select_option("other")
    ask(page, "two")
    finished(page, 2)
    sent = endpoint.requests[1]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert {name: sent[name] for name in ("temperature", "max_tokens", "seed", "stop", "model")} == {
        "temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END", "。"], "model": "other",
    }  # fmt: skip


def test_where_the_checkpoint_names_no_values_the_page_asks_with_its_own_and_shows_them(
    open_page: Any, endpoint: Endpoint
) -> None:
    calm = {"temperature": 0.7, "top_p": 0.95}
    endpoint.card = {
        "default_sampling_params": {"repetition_penalty": 1.1},
        "meta": {"has_chat_template": True, "chat_sampling_params": calm},
    }
    page = open_page()
    expect(page.locator("#model")).to_have_value("builtin")
    ask(page, "one")
    finished(page)
    assert {name: endpoint.requests[0][name] for name in ("temperature", "top_p")} == calm
    page.get_by_role("button", name="Parameters").click()
    expect(page.locator("#values")).to_contain_text("this page asks with Temperature 0.7, Top p 0.95")
    expect(page.get_by_label("Temperature")).to_have_attribute("placeholder", "0.7")
    page.get_by_label("Temperature").fill("1")
    page.keyboard.press("Escape")
    ask(page, "two")
    finished(page, 2)
    assert endpoint.requests[1]["temperature"] == 1


def test_values_that_a_checkpoint_names_are_shown_and_left_to_it(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.card = {"default_sampling_params": {"temperature": 0.6, "top_k": 20}}
    page = open_page(locale="zh-CN")
    expect(page.locator("#model")).to_have_value("builtin")
    page.get_by_role("button", name="参数").click()
    expect(page.locator("#values")).to_contain_text("模型自己的值：温度 temperature 0.6、top_k 20")
    page.get_by_label("消息", exact=True).fill("好")
    page.keyboard.press("Enter")
    finished(page)
    assert not {"temperature", "top_p", "top_k"} & set(endpoint.requests[0])


def test_conversations_are_listed_renamed_exported_and_deleted(open_page: Any) -> None:
    page = open_page()
    ask(page, "the first")
    finished(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#empty")).to_be_visible()
    ask(page, "the second")
    finished(page)
    entries = page.locator(".entry .open")
    expect(entries).to_have_text(["the second", "the first"])
    page.locator(".entry").first.hover()
    page.locator(".entry").first.get_by_role("button", name="Rename").click()
    page.keyboard.type("renamed")
    page.keyboard.press("Enter")
    expect(entries).to_have_text(["renamed", "the first"])
    page.locator(".entry").first.hover()
    with page.expect_download() as download:
        page.locator(".entry").first.get_by_role("button", name="Export").click()
    exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert exported["messages"][0] == {"role": "user", "content": "the second"}
    page.locator(".entry").first.get_by_role("button", name="Delete").click()
    expect(entries).to_have_text(["the first"])
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_text(["renamed", "the first"])


def test_an_example_prompt_starts_a_conversation(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    page.get_by_role("button", name="Why is the sky blue?").click()
    finished(page)
    assert endpoint.requests[0]["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


BUILTIN = {"is_builtin": True, "has_chat_template": True, "languages": ["en", "zh"], "n_params": 6_500_000}
SMALL = {"has_chat_template": True, "languages": ["eng"], "n_params": 134_515_008}
CODER = {"has_chat_template": True, "is_for_code": True, "languages": []}
BOTH = {"has_chat_template": True, "languages": ["zh-CN", "en"], "n_params": 8_000_000_000}
BASE = {"has_chat_template": False, "languages": ["multilingual"]}


@pytest.mark.parametrize(
    ("meta", "locale", "greeting", "told", "not_told", "proposed"),
    [
        (BUILTIN, "en-US", "What shall we write", "tells little stories", "authors", "写一首关于明月的诗"),
        (SMALL, "en-US", "What would you like", "of 135M parameters", "authors", "Why is the sky blue?"),
        (SMALL, "zh-CN", "想问点什么", "作者注明它会的语言：英语", "对话模板", "Why is the sky blue?"),
        (CODER, "en-US", "What shall we program", "made for code", "small", "Write a Python function"),
        (CODER, "zh-CN", "今天写什么程序", "为写代码", "语言", "用 Python 写"),
        (BOTH, "zh-CN", "想问点什么", "想问什么都可以", "小模型", "翻译成英语"),
        (BASE, "zh-CN", "文章怎么开头", "没有对话模板", "语言", "从前，有一位"),
        ({}, "en-US", "What would you like", "Ask anything", "small", "Tell me a short story"),
    ],
)
def test_words_and_examples_suit_what_is_known_of_the_model(
    meta: dict[str, Any], locale: str, greeting: str, told: str, not_told: str, proposed: str,
    open_page: Any, endpoint: Endpoint,
) -> None:  # fmt: skip
    endpoint.card = {"meta": meta}
    page = open_page(locale=locale)
    expect(page.get_by_role("heading", level=1)).to_contain_text(greeting)
    expect(page.locator("#about")).to_contain_text(told)
    expect(page.locator("#about")).not_to_contain_text(not_told)
    expect(page.locator("#examples")).to_contain_text(proposed)
    expect(page.locator("#better")).to_be_visible(visible=meta is BUILTIN)


def test_a_model_without_a_chat_template_goes_on_with_the_text(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.card = {"meta": BASE, "default_sampling_params": {}}
    page = open_page()
    expect(page.locator("#model")).to_have_value("builtin")
    page.get_by_role("button", name="Parameters").click()
    expect(page.get_by_label("Max tokens")).to_be_visible()
    expect(page.get_by_label("System message")).to_have_count(0)
    page.keyboard.press("Escape")
    ask(page, "It began")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
    ask(page, "Then")
    finished(page, 2)
    first, second = endpoint.requests
    assert (first["prompt"], first["max_tokens"], "messages" in first) == ("It began", 256, False)
    assert second["prompt"] == "It began" + "".join(STORY) + "\nThen"


def test_enter_inside_an_input_method_does_not_send(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    composer = page.get_by_label("Message", exact=True)
    composer.fill("ni hao")
    enter = {"key": "Enter", "bubbles": True, "cancelable": True}
    composer.dispatch_event("keydown", {**enter, "isComposing": True})
    composer.dispatch_event("keydown", {**enter, "keyCode": 229})
    expect(composer).to_have_value("ni hao")
    composer.press("Shift+Enter")
    expect(composer).to_have_value("ni hao\n")
    assert endpoint.requests == []
    composer.press("Enter")
    finished(page)
    assert len(endpoint.requests) == 1
