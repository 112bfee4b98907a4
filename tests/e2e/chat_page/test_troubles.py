"""Whatever befalls a request, the chat page says in the reader's language what happened and gives a way on."""

from __future__ import annotations

import re
from typing import Any

from chat_page import REFUSALS, STORY, Endpoint, ask, expect, finished

TOLD = {
    "busy": ("as much to do", "很忙"),
    "hasty": ("Too many requests for this key", "请求太多"),
    "early": ("The server is not ready", "服务器尚未就绪"),
    "faulty": ("error of its own", "自身出错"),
    "gone": ("no longer has this model", "已没有这个模型"),
    "proxied": ("cannot be reached", "无法连接服务器"),
    "barred": ("may not use this model", "无权使用该模型"),
}


def test_a_refusal_is_explained_in_both_languages_and_can_be_tried_again(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    alert = page.get_by_role("alert")
    for number, (said, (english, chinese)) in enumerate(TOLD.items(), 1):
        endpoint.failures = 0
        page.locator("#input").fill(said)
        page.keyboard.press("Enter")
        expect(alert.locator("p")).to_contain_text(english)
        if said != "proxied":  # a proxy's word says nothing of the server
            expect(alert.locator("details")).to_contain_text(REFUSALS[said][1])
        counted = alert.get_by_role("button", name=re.compile(r"in \d+ s"))
        expect(counted).to_have_count(1 if REFUSALS[said][0] in (429, 503) else 0)
        page.locator("#language").click()
        expect(alert.locator("p")).to_contain_text(chinese)
        alert.get_by_role("button", name="重试").click()
        expect(finished(page, number).locator(".md")).to_have_text("".join(STORY))
        expect(alert).to_have_count(0)
        page.locator("#language").click()


def test_a_prompt_that_is_too_long_can_be_shortened_or_begin_a_new_chat(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "endless-prompt")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("90 tokens, and this model holds 64")
    alert.get_by_role("button", name="Shorten the message").click()
    page.locator(".editor textarea").fill("short")
    page.keyboard.press("Enter")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
    endpoint.failures = 0
    page.keyboard.press("Control+k")
    ask(page, "endless-prompt")
    alert.get_by_role("button", name="New chat with this message").click()
    expect(page.locator("#empty")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_have_value("endless-prompt")


def test_a_wrong_key_is_told_and_asked_for_until_it_is_right(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.key = "sesame"
    page = open_page()
    field = page.locator("#key-input")
    expect(page.locator("#key-wrong")).to_be_hidden()
    for wrong, told in (("mustard", "does not know this key"), ("芝麻", "Latin letters")):
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.locator("#key-wrong")).to_contain_text(told)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Enter a key").click()
    field.fill("sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_value("builtin")
    expect(page.locator("#banner")).to_be_hidden()
    endpoint.key = "changed"
    ask(page, "hello")
    expect(page.locator("#key-wrong")).to_contain_text("does not know this key")
    field.fill("changed")
    page.keyboard.press("Enter")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))


def test_a_connection_that_ends_in_the_middle_keeps_what_came(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "cut")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The connection ended before the answer did")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY[:3]))


def test_a_server_that_is_away_or_loading_is_told_until_it_is_there(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.is_loading = True
    page = open_page()
    expect(page.locator("#banner")).to_contain_text("The model is loading")
    endpoint.is_loading = False
    expect(page.locator("#banner")).to_be_hidden()
    page.context.set_offline(True)
    ask(page, "hello")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.locator("#banner")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
