"""The page of the watch in a real Chromium, before the real endpoints; titles say what is to be read of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from opinion_items import START, ByTitle, ToldReader, item
from pagoda.engine.args import EngineArgs
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.opinions.watching import monitor as monitor_module
from pagoda.opinions.watching.monitor import Monitor
from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig
from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
expect = playwright_api.expect

HOST = "pagoda.test"
ORIGIN = f"http://{HOST}/"
HOSTILE = "<img src=x onerror='window.harmed=1'>"
WATCH = """\
companies: companies.csv
rules:
  - {name: wave, window: 4h, severity: critical, when: {negative: {at_least: 3}}}
"""
COMPANIES = (
    "id,name,aliases,industry,country\nacme,Acme,Acme Works,tools,GB\nborel,Borel,,glass,FR\ncindal,Cindal,,tin,GB\n"
)


def news() -> list[Any]:
    bad = [
        item(f"{HOSTILE} {n} negative/Acme!fraud", 26 * 60 + n * 20, source=f"s{n}", text="It fell.") for n in range(5)
    ]
    again = [item(f"reprint negative/Acme|{n}", 27 * 60, source=f"s{n}", number=f"r{n}") for n in range(4)]
    calm = [item(f"calm {n} {label}/Borel", 60 * n) for n, label in enumerate(("positive", "neutral", "neutral"))]
    return sorted([*bad, *again, *calm], key=lambda each: each.fetched)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The real server's endpoints over a watch with news; its engine is never started."""
    monkeypatch.setattr(monitor_module, "default_reader", lambda config: ToldReader())
    monkeypatch.setattr(Monitor.__init__, "__kwdefaults__", {**Monitor.__init__.__kwdefaults__, "stories": ByTitle})
    (tmp_path / "companies.csv").write_text(COMPANIES)
    (tmp_path / "watch.yaml").write_text(WATCH)
    with Monitor(tmp_path / "watch.yaml") as monitor:
        monitor.ingest(news())
        monitor.advance(START + timedelta(hours=29))
    config = ServerConfig(opinions=tmp_path / "watch.yaml", access_log=False, allowed_hosts=(HOST,))
    app = build_app(AsyncEngine(EngineArgs()), config)
    (application,) = app.state.applications
    with TestClient(app, base_url=ORIGIN) as client:
        yield client
        assert client.portal is not None
        client.portal.call(application.service.close)


@pytest.fixture
def page(browser: Any, served: TestClient) -> Iterator[Any]:
    """The page in English; afterwards nothing may have thrown."""
    faults: list[str] = []

    def answer(route: Any) -> None:
        request = route.request
        found = served.request(request.method, request.url, content=request.post_data, headers=request.headers)
        route.fulfill(status=found.status_code, body=found.content, headers=dict(found.headers))

    context = browser.new_context(locale="en-US", timezone_id="UTC")
    page = context.new_page()
    page.set_default_timeout(HANG_S * 1000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("**/*", answer)
    page.goto(f"{ORIGIN}opinions")
    yield page
    context.close()
    assert not faults


def test_it_opens_at_the_company_with_an_alert_and_shows_its_hours_and_stories(page: Any) -> None:
    expect(page.locator("#company-name")).to_have_text("Acme")
    expect(page.locator("#about")).to_have_text("tools · GB · Acme Works")
    expect(page.locator(".chart rect.negative").first).to_be_visible()
    expect(page.locator(".chart rect.alert")).to_have_count(1)
    expect(page.locator("#stories .story")).to_have_count(6)
    expect(page.locator("#stories .story").first).to_contain_text("4 articles of 4 sources")
    expect(page.locator("#companies button")).to_have_count(3)
    expect(page.locator("#companies button").first).to_contain_text("+6 negative")
    expect(page.locator("#alerts .alert")).to_contain_text("wave")
    expect(page.locator("#sources tbody tr").first).to_contain_text("wire")
    expect(page.locator("#health")).to_contain_text("Nobody has judged")
    assert page.evaluate("window.harmed") is None


def test_a_story_shows_its_text_and_words_and_takes_a_persons_judgement(page: Any) -> None:
    page.locator("#stories .story button").nth(1).click()
    inside = page.locator(".inside")
    expect(inside).to_contain_text("It fell.")
    expect(inside).to_contain_text("fraud")
    expect(inside.locator("mark").first).to_be_visible()
    inside.get_by_role("button", name="positive").click()
    expect(inside.get_by_role("button", name="positive")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("#health")).to_contain_text("1 judged by people: 0 % right")
    assert page.evaluate("window.harmed") is None


def test_an_alert_can_be_acknowledged_and_stays_so(page: Any) -> None:
    page.get_by_role("button", name="I have seen it").click()
    expect(page.locator("#alerts")).to_contain_text("seen by someone at the page")
    page.reload()
    expect(page.locator("#alerts")).to_contain_text("seen by someone at the page")


def test_stories_are_filtered_and_another_company_chosen(page: Any) -> None:
    page.locator("#companies button", has_text="Borel").click()
    expect(page.locator("#company-name")).to_have_text("Borel")
    expect(page.locator("#stories .story")).to_have_count(3)
    page.locator("#filters").get_by_text("positive").click()
    expect(page.locator("#stories .story")).to_have_count(1)
    page.locator("#companies button", has_text="Cindal").click()
    expect(page.locator("#timeline")).to_contain_text("No stories")


def test_chinese_and_dark_are_one_press_away_and_stay(page: Any) -> None:
    page.get_by_text("中文", exact=True).click()
    expect(page.locator("#h-alerts")).to_have_text("预警")
    expect(page.locator("#companies button").first).to_contain_text("负面 +6")
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_shows_one_of_three_at_a_time_and_nothing_is_wider_than_it(page: Any, language: str) -> None:
    page.set_viewport_size({"width": 375, "height": 720})
    expect(page.locator("#company-name")).to_have_text("Acme")
    if language == "zh":
        page.get_by_text("中文", exact=True).click()
    expect(page.locator("#alerts")).to_be_hidden()
    page.locator("#companies button").first.click()
    expect(page.locator("#timeline")).to_be_visible()
    page.locator("#stories .story button").nth(1).click()
    expect(page.locator(".inside")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.locator("#view-alerts").click()
    expect(page.locator("#alerts")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_server_that_is_away_is_told_and_the_page_stays(page: Any) -> None:
    expect(page.locator("#company-name")).to_have_text("Acme")
    page.unroute_all()
    page.route("**/*", lambda route: route.abort())
    page.locator("#companies button", has_text="Borel").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.locator("#companies button")).to_have_count(3)
