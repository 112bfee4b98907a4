"""The recommendation page in a real Chromium, with what a real desk says; no request leaves the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem
from pagoda.recommend.desk import Desk
from pagoda.recommend.folder import set_up
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import Refusal, StoredEvent
from pagoda.server.app import page_text
from pagoda.server.applications.recommend import RecommendRequest, list_for, person_for, questions_for
from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "recommend.html"
ORIGIN = "http://pagoda.test/"
HOSTILE = "<img src=x onerror='window.harmed=1'>"


class Shop:
    """The server's side: a desk, and the words of the errors. fails: everything is refused"""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.fails = False
        self.held = ""
        self.waiting: list[Callable[[], None]] = []

    def answer(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(ORIGIN)
        if path == "recommend":
            route.fulfill(body=page_text(PAGE), content_type="text/html; charset=utf-8")
        elif self.fails:
            body = json.dumps({"error": {"message": "the server is shutting down"}})
            route.fulfill(status=503, body=body, content_type="application/json")
        else:
            found = self.read(path) if request.method == "GET" else self.done(path, json.loads(request.post_data))
            self.late(path, request, lambda: route.fulfill(body=json.dumps(found), content_type="application/json"))

    def late(self, path: str, request: Any, answer: Callable[[], None]) -> None:
        """Answer, but a list of whom `held` names when `held` is cleared."""
        if path == "v1/recommend" and self.held and self.held in (request.post_data or ""):
            self.waiting.append(answer)
        else:
            answer()

    def read(self, path: str) -> dict[str, Any]:
        if path == "v1/recommend":
            return self.desk.facts()
        if path == "v1/recommend/questions":
            return questions_for(self.desk)
        return person_for(self.desk, unquote(path.removeprefix("v1/recommend/people/")))

    def done(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        if path == "v1/recommend":
            return list_for(self.desk, RecommendRequest(**given))
        if path == "v1/events":
            events = [StoredEvent(e["id"], Interaction(e["user"], e["item"], e["timestamp"])) for e in given["events"]]
            return {"recorded": self.desk.record(events)}
        assert path == "v1/recommend/blocks"
        block = Refusal(given["user"], given.get("item", ""), given.get("kind", ""))
        (self.desk.unblock if given.get("undo") else self.desk.block)(block)
        return {}


@pytest.fixture(scope="module")
def trained() -> Any:
    city = read_city()
    visits = draw_visits(city, users=40, seed=5)
    return visits, city.things, Recommender.train(visits)


@pytest.fixture
def shop(tmp_path: Path, trained: Any) -> Iterator[Shop]:
    """The server's side; one thing has a name that would do harm."""
    visits, things, recommender = trained
    first = recommender.recommend("person-003", 1)[0].item
    named = [CatalogueItem(one.id, HOSTILE, HOSTILE, one.kinds) if one.id == first else one for one in things]
    set_up(tmp_path, visits, named, recommender)
    made = Shop(tmp_path)
    yield made
    made.desk.close()


@pytest.fixture
def page(browser: Any, shop: Shop) -> Iterator[Any]:
    """The page in English; afterwards nothing may have thrown."""
    faults: list[str] = []
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(HANG_S * 1000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("**/*", shop.answer)
    page.goto(f"{ORIGIN}recommend")
    expect(page.locator(".card")).to_have_count(10)
    yield page
    context.close()
    assert not faults


def items(page: Any) -> list[str]:
    return page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.item)")


def test_the_page_shows_the_list_and_summands_that_are_the_score(page: Any, shop: Shop) -> None:
    assert items(page) == [one.item for one in shop.desk.recommend("person-003", 10)]
    expect(page.locator(".card h2").first).to_have_text(HOSTILE)
    assert page.evaluate("window.harmed") is None
    for card in page.locator(".card").all():
        values = card.locator(".reasons li").evaluate_all("lines => lines.map(line => Number(line.dataset.value))")
        assert sum(values) == pytest.approx(float(card.locator(".score").inner_text()), abs=0.006)
    expect(page.locator(".reasons")).to_contain_text(["because of"] * 1 + [""] * 9)


def test_not_this_kind_holds_and_can_be_undone(page: Any, shop: Shop) -> None:
    before = items(page)
    chip = page.locator(".card .kinds .chip").first
    kind = chip.get_attribute("data-kind")
    chip.click()
    expect(page.locator("#notice")).to_contain_text("No more of the kind")
    assert not any(kind in [own.id for own in shop.desk.things[item].kinds] for item in items(page))
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator(f'[data-item="{before[0]}"]')).to_have_count(1)
    assert items(page) == before


def test_what_was_taken_or_refused_leaves_the_list(page: Any, shop: Shop) -> None:
    first, second, *_ = items(page)
    page.locator(f'[data-item="{first}"] [data-act="took"]').click()
    expect(page.locator("#notice")).to_contain_text("Noted")
    page.locator(f'[data-item="{second}"] [data-act="block"]').click()
    expect(page.locator("#notice")).to_contain_text("will not be shown again")
    assert not {first, second} & set(items(page))
    assert len(shop.desk.export("person-003")["block"]) == 1


def test_what_is_blocked_stands_below_and_is_taken_back(page: Any, shop: Shop) -> None:
    before = items(page)
    page.locator(f'[data-item="{before[1]}"] [data-act="block"]').click()
    chip = page.locator(f'[data-blocked="{before[1]}"]')
    expect(chip).to_have_count(1)
    page.reload()
    expect(chip).to_have_count(1)
    chip.click()
    expect(page.locator("#blocks")).to_be_hidden()
    assert items(page) == before


def test_an_answer_for_somebody_who_is_no_longer_asked_is_dropped(page: Any, shop: Shop) -> None:
    shop.held = "person-008"
    page.locator("#user").fill("person-008")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#notice")).to_be_hidden()
    page.wait_for_function("app.user === 'person-008'")
    page.locator("#user").fill("person-009")
    page.get_by_role("button", name="Show").click()
    expected = [one.item for one in shop.desk.recommend("person-009", 10)]
    expect(page.locator(".card").first).to_have_attribute("data-item", expected[0])
    for answer in shop.waiting:
        answer()
    page.evaluate("() => new Promise(resolve => setTimeout(resolve, 200))")
    assert items(page) == expected
    assert len(shop.waiting) == 1


def test_nobody_is_shown_where_it_is_not_the_city(browser: Any, tmp_path: Path) -> None:
    events = [(f"u{user}", f"i{(user + step) % 12}", step) for user in range(10) for step in range(4)]
    log = InteractionLog.of(events)
    set_up(tmp_path, log, None, Recommender.train(log))
    shop = Shop(tmp_path)
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.route("**/*", shop.answer)
    page.goto(f"{ORIGIN}recommend")
    expect(page.locator("#notice")).to_contain_text("Whose list?")
    expect(page.locator(".card")).to_have_count(0)
    page.locator("#user").fill("u1")
    page.get_by_role("button", name="Show").click()
    page.locator(".card").first.wait_for()
    context.close()
    shop.desk.close()


def test_another_person_has_another_list_and_is_remembered(page: Any) -> None:
    before = items(page)
    page.locator("#user").fill("person-008")
    page.get_by_role("button", name="Show").click()
    page.wait_for_function("first => document.querySelector('.card').dataset.item !== first", arg=before[0])
    page.reload()
    expect(page.locator("#user")).to_have_value("person-008")


def test_a_new_person_is_asked_about_three_things_until_one_is_known(page: Any, shop: Shop) -> None:
    expect(page.locator("#questions")).to_be_hidden()
    page.locator("#user").fill("newcomer")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#asked .question")).to_have_count(3)
    asked = page.locator("#asked .question").evaluate_all("all => all.map(one => one.dataset.asked)")
    assert asked == shop.desk.questions()
    page.locator(f'[data-asked="{asked[0]}"] [data-act="no"]').click()
    expect(page.locator("#asked .question")).to_have_count(2)
    assert shop.desk.export("newcomer")["event"] == []
    page.locator(f'[data-asked="{asked[2]}"] [data-act="took"]').click()
    expect(page.locator("#notice")).to_contain_text("Noted")
    expect(page.locator("#questions")).to_be_hidden()
    assert [row["item"] for row in shop.desk.export("newcomer")["event"]] == [asked[2]]
    assert items(page) == [one.item for one in shop.desk.recommend("newcomer", 10)]


def test_chinese_is_one_press_away_and_a_phone_needs_no_sideways_scrolling(page: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    page.get_by_text("中文", exact=True).click()
    expect(page.locator("#who button")).to_have_text("查看")
    expect(page.locator('[data-act="took"]').first).to_have_text("我去过了")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_a_server_that_refuses_is_told_and_the_list_stays(page: Any, shop: Shop) -> None:
    shop.fails = True
    page.locator('[data-act="took"]').first.click()
    expect(page.locator("#notice")).to_have_text("the server is shutting down")
    expect(page.locator(".card")).to_have_count(10)
