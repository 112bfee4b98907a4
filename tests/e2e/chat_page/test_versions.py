"""What was edited or asked for again on the chat page stays within reach, as versions."""

from __future__ import annotations

from typing import Any

from chat_page import STORY, Endpoint, ask, expect, finished


def edit(page: Any, number: int, text: str) -> None:
    page.locator(".user").nth(number).hover()
    page.locator(".user").nth(number).get_by_role("button", name="Edit").click()
    page.locator(".editor textarea").fill(text)
    page.keyboard.press("Enter")


def spoken(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["messages"]]


def test_editing_resends_from_there_and_the_way_back_outlives_a_reload(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    for number, text in enumerate(("one", "two", "three"), 1):
        ask(page, text)
        finished(page, number)
    edit(page, 1, "zwei")
    finished(page, 2)
    texts = page.locator(".user .text")
    expect(texts).to_have_text(["one", "zwei"])
    assert spoken(endpoint.requests[-1]) == ["one", "".join(STORY), "zwei"]
    page.reload()
    expect(page.locator(".versions")).to_have_text("2/2")
    page.get_by_role("button", name="Earlier version").click()
    expect(texts).to_have_text(["one", "two", "three"])
    expect(page.locator(".assistant")).to_have_count(3)
    expect(page.locator(".versions")).to_have_text("1/2")
    expect(page.get_by_role("button", name="Earlier version")).to_be_disabled()
    ask(page, "four")  # goes on in the version on show, and leaves the other as it was
    finished(page, 4)
    assert spoken(endpoint.requests[-1])[::2] == ["one", "two", "three", "four"]
    page.reload()
    page.get_by_role("button", name="Later version").click()
    expect(texts).to_have_text(["one", "zwei"])


def test_trying_again_keeps_each_answer_and_forks_lie_in_forks(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "first")
    finished(page).get_by_role("button", name="Try again").click()
    expect(finished(page).locator(".versions")).to_have_text("2/2")
    assert [spoken(request) for request in endpoint.requests] == [["first"], ["first"]]
    ask(page, "more")
    finished(page, 2)
    edit(page, 0, "markdown")
    finished(page)
    expect(page.locator(".user .versions")).to_have_text("2/2")
    expect(page.locator(".entry .open")).to_have_text("markdown")
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator(".user .text")).to_have_text(["first", "more"])
    expect(page.locator(".entry .open")).to_have_text("first")
    expect(page.locator(".assistant .versions")).to_have_text("2/2")
    page.locator(".assistant").get_by_role("button", name="Earlier version").click()
    expect(page.locator(".user .text")).to_have_text(["first"])
    page.locator(".assistant").get_by_role("button", name="Later version").click()
    expect(page.locator(".user .text")).to_have_text(["first", "more"])


def test_a_failure_is_no_version_and_costs_none(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "busy")
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    finished(page)
    expect(page.locator(".versions")).to_have_count(0)
    endpoint.failures = 0
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".versions")).to_have_text("2/2")
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(finished(page).locator(".versions")).to_have_text("2/2")
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator(".assistant .md")).to_have_text("".join(STORY))
