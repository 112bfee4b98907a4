"""A conversation on the chat page in a real Chromium: streaming, stopping, reloading, breaking off, length."""

from __future__ import annotations

import re
from typing import Any

from chat_page import STORY, Endpoint, ask, expect, finished
from patience import HANG_S


def test_an_answer_streams_and_tells_its_counts_when_it_is_done(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "tell me a story and hold")
    expect(page.locator(".streaming .md")).to_have_text("Once upon a time there was a little")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    endpoint.go_on.set()
    answer = finished(page)
    expect(answer.locator(".md")).to_have_text("".join(STORY))
    expect(answer.locator(".stats")).to_contain_text("6 tokens")
    expect(answer.locator(".stats")).to_contain_text(
        re.compile(r"tokens/s.*first after .*prompt 21, 16 cached", re.DOTALL)
    )
    expect(page.locator("#announcer")).to_contain_text("小狐狸")
    assert endpoint.requests[0]["stream"] is True
    assert endpoint.requests[0]["model"] == "builtin"


def test_stop_ends_an_endless_answer_and_the_connection(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "endless")
    expect(page.locator(".assistant .md")).to_contain_text("and on and on")
    page.get_by_role("button", name="Stop").click()
    expect(finished(page).locator(".stats")).to_contain_text("stopped by you")
    assert endpoint.left.wait(HANG_S)
    ask(page, "endless")
    expect(page.locator(".streaming .md")).to_contain_text("and on")
    page.keyboard.press("Escape")
    expect(finished(page, 2).locator(".stats")).to_contain_text("stopped by you")


def test_a_reload_keeps_the_conversation_even_in_the_middle_of_an_answer(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "first words")
    finished(page)
    ask(page, "then hold")
    expect(page.locator(".streaming .md")).to_contain_text("little")
    page.reload()
    expect(page.locator(".user .text")).to_have_text(["first words", "then hold"])
    expect(page.locator(".assistant .md")).to_have_text(["".join(STORY), "".join(STORY[:3])])
    expect(page.locator(".assistant .stats").last).to_contain_text("interrupted")
    expect(page.get_by_role("button", name="first words")).to_have_attribute("aria-current", "true")


def test_an_error_in_the_middle_keeps_what_came_before_it(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "broken")
    expect(page.locator(".streaming .md")).to_contain_text("little")
    endpoint.go_on.set()
    expect(finished(page).locator(".md")).to_have_text("".join(STORY[:3]))
    expect(page.get_by_role("alert")).to_contain_text("the engine stopped")


def test_a_full_context_drops_the_oldest_turns_and_says_so(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    for number, text in enumerate(("one", "two", "long"), 1):
        ask(page, text)
        finished(page, number)
    expect(page.locator(".notice")).to_contain_text("no longer sent")
    expect(page.locator(".user .text")).to_have_text(["one", "two", "long"])
    assert [m["content"] for m in endpoint.requests[-1]["messages"] if m["role"] == "user"] == ["two", "long"]
