"""The dialogue page in a real Chromium; what the server would say is written by the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pagoda.server.app import page_text
from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "dialogue.html"
ORIGIN = "http://pagoda.test/"
HOSTILE = "<img src=x onerror='window.harmed=1'>"


def turn(number: int, text: str) -> dict[str, Any]:
    """A turn as the server tells it, with a name in the graph that would do harm."""
    return {
        "object": "dialogue.turn", "session": "s", "number": number, "user": text, "text": f"1. {HOSTILE}",
        "language": "zh", "action": "query", "timings": {"understand": 0.002, "graph": 0.01, "total": 0.02},
        "understanding": {
            "intent": "find_restaurant", "confidence": 0.97, "route": "intent_first", "acts": [],
            "slots": [{"slot": "cuisine", "value": "川菜", "start": 1, "end": 3, "confidence": 0.9}],
            "candidates": [["find_restaurant", 0.97], ["find_hotel", 0.02]],
        },
        "state": {"intent": "find_restaurant", "slots": {"cuisine": "川菜"}, "requested": "", "missing": ["location"],
                  "suspended": [], "results": [HOSTILE]},
        "statement": "MATCH (n:`Restaurant`) WHERE n.`id` = $p0 RETURN DISTINCT n.`id` AS key LIMIT 5",
        "parameters": {"p0": "restaurant-1"}, "rows": [{"key": "restaurant-1", "name_zh": HOSTILE}],
        "subgraph": {
            "nodes": [
                {"id": "r1", "label": "Restaurant", "name": HOSTILE, "name_en": "Hut", "properties": {"price": 20},
                 "found": True},
                {"id": "c1", "label": "Cuisine", "name": "川菜", "name_en": "Sichuan", "properties": {},
                 "found": False},
            ],
            "edges": [{"source": "r1", "type": "HAS_CUISINE", "target": "c1", "properties": {}}],
        },
    }  # fmt: skip


class Dialogue:
    """The server's side. fails: the next turn is refused; received: what was said."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.received: list[str] = []
        self.fails = False

    def answer(self, route: Any) -> None:
        request = route.request
        if request.url == f"{ORIGIN}dialogue":
            route.fulfill(body=page_text(PAGE), content_type="text/html; charset=utf-8")
        elif request.method == "POST" and self.fails:
            error = {"error": {"message": "the server is shutting down"}}
            route.fulfill(status=503, body=json.dumps(error), content_type="application/json")
        elif request.method == "POST":
            self.received.append(json.loads(request.post_data)["text"])
            self.turns.append(turn(len(self.turns) + 1, self.received[-1]))
            route.fulfill(body=json.dumps(self.turns[-1]), content_type="application/json")
        else:
            route.fulfill(body=json.dumps({"data": self.turns}), content_type="application/json")


@pytest.fixture
def dialogue() -> Dialogue:
    """The server's side."""
    return Dialogue()


@pytest.fixture
def page(browser: Any, dialogue: Dialogue) -> Iterator[Any]:
    """The page in English; afterwards nothing may have thrown."""
    faults: list[str] = []
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(HANG_S * 1000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("**/*", dialogue.answer)
    page.goto(f"{ORIGIN}dialogue")
    yield page
    context.close()
    assert not faults


def say(page: Any, text: str) -> None:
    page.locator("#input").fill(text)
    page.locator("#input").press("Enter")


def test_a_turn_shows_what_was_understood_remembered_asked_and_found(page: Any, dialogue: Dialogue) -> None:
    say(page, "吃川菜")
    expect(page.locator(".reply").first).to_contain_text(HOSTILE)
    expect(page.locator("#read mark")).to_have_text("川菜cuisine")
    expect(page.locator("#read .intent")).to_contain_text("find_restaurant97 %read by intent_first")
    expect(page.locator("#state")).to_contain_text("location")
    expect(page.locator("#cypher pre").first).to_contain_text("MATCH (n:`Restaurant`)")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.locator(".drawing .node")).to_have_count(2)
    expect(page.locator(".drawing .found")).to_have_count(1)
    assert page.evaluate("window.harmed") is None
    assert dialogue.received == ["吃川菜"]


def test_the_keyboard_goes_from_node_to_node_and_back_to_writing(page: Any) -> None:
    say(page, "吃川菜")
    page.locator(".drawing .node").first.focus()
    expect(page.locator(".about-node")).to_contain_text("price 20")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".about-node")).to_contain_text("Sichuan")
    page.keyboard.press("/")
    expect(page.locator("#input")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#input")).to_have_value("吃川菜")


def test_a_failed_turn_says_so_and_keeps_the_sentence(page: Any, dialogue: Dialogue) -> None:
    dialogue.fails = True
    say(page, "吃川菜")
    expect(page.get_by_role("alert")).to_have_text("the server is shutting down")
    expect(page.locator("#input")).to_have_value("吃川菜")


def test_the_conversation_is_there_after_a_reload_and_new_begins_another(page: Any) -> None:
    say(page, "吃川菜")
    expect(page.locator("button.reply")).to_have_count(1)
    page.reload()
    expect(page.locator("button.reply")).to_have_count(1)
    page.get_by_label("New conversation").click()
    expect(page.locator("button.reply")).to_have_count(0)


def test_chinese_and_dark_are_one_press_away_and_stay(page: Any) -> None:
    page.get_by_text("中文", exact=True).click()
    expect(page.locator("#welcome h1")).to_contain_text("餐馆、电影和酒店")
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_a_phone_shows_one_of_both_at_a_time_and_nothing_is_wider_than_it(page: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    say(page, "吃川菜")
    expect(page.locator("#inside")).to_be_hidden()
    page.locator("button.reply").click()
    expect(page.locator("#inside")).to_be_visible()
    expect(page.locator("#input")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
