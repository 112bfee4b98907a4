"""The page of the service desk in a real Chromium: a conversation over all storeys, and the people who take over.

The desk is a real one, over the shipped city, some visits and two documents; no request leaves the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import InvalidRequestError, PagodaError
from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.recommend.folder import set_up
from pagoda.recommend.recommender import Recommender
from pagoda.server.app import page_text
from pagoda.server.errors import UnauthorizedError, answer_for, body_for
from pagoda.service.desk import ServiceDesk
from pagoda.service.settings import ServiceSettings
from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
pytest.importorskip("arcadedb_embedded", reason="needs the dialogue extra")
pytest.importorskip("chromadb", reason="needs the rag extra")
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "service.html"
ORIGIN = "http://pagoda.test/"
DOCUMENTS = {
    "repairs.md": "# Repairs\n\nRepairs are guaranteed for six months.\n",
    "会员.md": "# 会员\n\n会员年费为 120 元。\n",
}
HOSTILE = "<img src=x onerror='window.harmed=1'>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("service")
    for name, text in DOCUMENTS.items():
        (place / name).write_text(text, encoding="utf-8")
    visits = draw_visits(city := read_city(), users=40, seed=5)
    set_up(place / "desk" / "recommend", visits, city.things, Recommender.train(visits))
    return place


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[ServiceDesk]:
    made = ServiceDesk(folder / "desk", ServiceSettings(documents=tuple(folder / name for name in DOCUMENTS)))
    yield made
    made.close()


class Counter:
    """The server's side of the page. key: without which nothing is answered"""

    def __init__(self, desk: ServiceDesk, key: str = "") -> None:
        self.desk, self.key = desk, key

    def answer(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(ORIGIN)
        if path == "service":
            route.fulfill(body=page_text(PAGE), content_type="text/html; charset=utf-8")
            return
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            route.fulfill(status=401, body=json.dumps(body_for(UnauthorizedError("wrong key"))))
            return
        given = json.loads(request.post_data or "{}")
        try:
            status, found = 200, self.found(path.removeprefix("v1/service").strip("/").split("/"), given)
        except PagodaError as error:
            status, found = answer_for(error).status, body_for(error)
        route.fulfill(status=status, body=json.dumps(found), content_type="application/json")

    def found(self, path: list[str], given: dict[str, Any]) -> Any:
        match path:
            case [""]:
                return self.desk.facts()
            case ["conversations", session, "turns"]:
                return self.desk.say(session, given["text"], given["user"])
            case ["conversations", session]:
                return self.desk.conversation(session)
            case ["queue"]:
                return {"data": self.desk.queue()}
            case ["queue", number]:
                return self.desk.look(int(number))
            case ["queue", number, "take"]:
                return self.desk.take(int(number), given["name"])
            case ["queue", number, "answers"]:
                return self.desk.answer(int(number), given["name"], given["text"])
        assert path[2] == "give_back"
        return self.desk.give_back(int(path[1]), given["name"])


@pytest.fixture
def opened(browser: Any, desk: ServiceDesk) -> Iterator[Callable[..., Any]]:
    """`opened(view, language)`: the page in a browser of its own; afterwards nothing may have thrown."""
    faults: list[str] = []
    contexts = []

    def open_one(view: str = "", locale: str = "en-US", width: int = 900, key: str = "") -> Any:
        contexts.append(browser.new_context(locale=locale, viewport={"width": width, "height": 760}))
        page = contexts[-1].new_page()
        page.set_default_timeout(HANG_S * 1000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.route("**/*", Counter(desk, key).answer)
        page.goto(f"{ORIGIN}service{view}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults


def say(page: Any, text: str) -> None:
    """A sentence, and wait until it is answered."""
    count = page.locator("#said li").count()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(page.locator("#said li").nth(count + 1)).to_be_visible()


def reply(page: Any) -> Any:
    return page.locator("#said .desk").last


def test_one_conversation_over_all_storeys_and_a_person_who_takes_over(opened: Callable[..., Any]) -> None:
    page = opened()
    expect(page.locator("#user")).to_have_value("person-003")
    say(page, "What would you recommend?")
    expect(reply(page)).to_contain_text("recommended from what you chose")
    say(page, "why this one?")
    expect(reply(page)).to_contain_text("you chose")
    say(page, "How long are repairs guaranteed?")
    expect(reply(page).locator('[data-source="repairs.md"]')).to_contain_text("six months")
    say(page, "find me a cheap Sichuan restaurant in Songyue")
    expect(reply(page)).to_contain_text("from the graph")
    say(page, f"I want to talk to a person {HOSTILE}")
    expect(page.locator("#notice")).to_contain_text("A person has been asked")
    staff = opened("#staff")
    card = staff.locator("#queue .card").last
    expect(card).to_contain_text("asked for a person")
    card.locator('[data-act="take"]').click()
    expect(staff.locator("#staff-notice")).to_have_text("Enter your name first.")
    staff.evaluate("refresh()")
    expect(staff.locator("#staff-notice")).to_have_text("Enter your name first.")
    staff.locator("#name").fill("Ann")
    card.locator('[data-act="take"]').click()
    expect(staff.locator("#heard")).to_contain_text(HOSTILE)
    expect(staff.locator("#staff-notice")).to_be_hidden()
    staff.locator("#answer-text").fill("Ann here")
    staff.locator("#answer-text").press("Enter")
    expect(page.locator("#said .staff")).to_contain_text("Ann here")
    expect(page.locator("#notice")).to_have_text("Ann is with you.")
    page.locator("#text").fill("a table by the window, please")
    page.locator("#text").press("Enter")
    expect(staff.locator("#heard .customer").last).to_have_text("a table by the window, please")
    staff.locator("#give-back").click()
    expect(page.locator("#notice")).to_be_hidden()
    page.reload()
    expect(page.locator("#said .staff")).to_contain_text("Ann here")
    say(page, "thank you")
    assert page.evaluate("window.harmed") is None


def test_in_chinese_on_a_phone(opened: Callable[..., Any], desk: ServiceDesk) -> None:
    page = opened(locale="zh-CN", width=375)
    say(page, "有什么推荐")
    expect(reply(page)).to_contain_text("为您推荐")
    first = page.locator("#said .desk").last.inner_text().splitlines()[2]
    say(page, "不要这种")
    expect(reply(page)).to_contain_text("以后不再推荐")
    assert first.split(". ")[1] not in reply(page).inner_text()
    say(page, "会员年费是多少？")
    expect(reply(page).locator(".cites")).to_contain_text("会员.md 第 3 行")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    staff = opened("#staff", locale="zh-CN", width=375)
    say(page, "转人工")
    expect(staff.locator("#queue")).to_contain_text("要求人工")
    assert staff.evaluate("document.documentElement.scrollWidth") <= 375
    staff.locator("#name").fill("安")
    number = staff.locator("#queue .card").last.get_attribute("data-number")
    desk.take(int(number), "Ann")
    staff.evaluate(f"take({number})")
    expect(staff.locator("#staff-notice")).to_contain_text("别人接手了")
    staff.locator("#language").click()
    expect(staff.locator("#queue")).to_contain_text("asked for a person")
    expect(staff.locator("#staff-notice")).to_contain_text("Ann has conversation")


def test_who_cancels_is_asked_for_the_key_at_the_next_action_only(opened: Callable[..., Any]) -> None:
    page = opened(key="sesame")
    dialog = page.locator("#key-dialog")
    dialog.locator('[data-text="cancel"]').click()
    expect(page.locator("#notice")).to_have_text("The server wants an API key.")
    page.evaluate("refresh()")
    expect(dialog).to_be_hidden()
    page.locator("#text").fill("thank you")
    page.locator("#text").press("Enter")
    page.locator("#key-input").fill("sesame")
    dialog.locator('[value="save"]').click()
    expect(reply(page)).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_two_staff_cannot_have_one_conversation_and_a_summary_says_what_was_lost(desk: ServiceDesk) -> None:
    desk.say("two", "find me a cheap Sichuan restaurant", "person-004")
    desk.say("two", "Who won the war of the roses?", "person-004")
    one = next(each for each in desk.queue() if each["summary"]["sentence"].startswith("Who won"))
    assert one["user"] == "person-004"
    assert one["summary"]["reason"] == "not_in_documents"
    assert one["summary"]["not_understood"] == ["Who won the war of the roses?"]
    assert one["summary"]["slots"] == {"cuisine": "Sichuan", "price": "cheap"}
    desk.take(one["number"], "Ann")
    with pytest.raises(InvalidRequestError, match="Ann has conversation"):
        desk.take(one["number"], "Bob")
    with pytest.raises(InvalidRequestError, match="Bob has not taken"):
        desk.answer(one["number"], "Bob", "hello")
    kept = desk.say("two", "hello?", "")
    assert (kept["source"], kept["staff"]) == ("person", "Ann")
    desk.give_back(one["number"], "Ann")
    assert desk.say("two", "thank you", "")["source"] == "dialogue"
    texts = [each.get("user") or each["text"] for each in desk.conversation("two")["entries"]]
    assert texts[2:] == ["hello?", "thank you"]
    assert desk.forget("two")
    assert desk.conversation("two")["entries"] == []
