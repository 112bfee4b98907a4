"""What the chat page has around a conversation: the key, parameters, the list, example prompts, input methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    endpoint.card = {"default_sampling_params": {"repetition_penalty": 1.1}}
    page = open_page()
    expect(page.locator("#model")).to_have_value("builtin")
    ask(page, "one")
    finished(page)
    assert {name: endpoint.requests[0][name] for name in ("temperature", "top_p")} == {
        "temperature": 0.7,
        "top_p": 0.95,
    }
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
    page.get_by_role("button", name="写一首关于明月的诗").click()
    finished(page)
    assert endpoint.requests[0]["messages"] == [{"role": "user", "content": "写一首关于明月的诗"}]


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
