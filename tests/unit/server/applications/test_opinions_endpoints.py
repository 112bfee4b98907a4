"""/v1/opinions over HTTP: what is told, whose door it is, errors by the table. Titles say what is read of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opinion_items import START, ByTitle, ToldReader
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.opinions.watching import monitor as monitor_module
from pagoda.opinions.watching.monitor import Monitor
from pagoda.server.applications.application import service_of
from pagoda.server.applications.opinions_service import OpinionsService
from pagoda.server.config import ServerConfig
from patience import HANG_S

WATCH = """\
companies: companies.csv
rules:
  - name: wave
    window: 2h
    when: {negative: {at_least: 3}}
"""
COMPANIES = "id,name\nacme,Acme\nborel,Borel\n"


@pytest.fixture
def watch(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`watch(steps, extra="", **config)`: runs `await steps(client, service)` against a server with a watch."""
    monkeypatch.setattr(monitor_module, "default_reader", lambda config: ToldReader())
    monkeypatch.setattr(Monitor.__init__, "__kwdefaults__", {**Monitor.__init__.__kwdefaults__, "stories": ByTitle})

    def run(steps: Callable[..., Any], *, extra: str = "", **config: Any) -> None:
        (tmp_path / "companies.csv").write_text(COMPANIES)
        (tmp_path / "watch.yaml").write_text(WATCH + extra)

        async def main() -> None:
            async with serve(ServerConfig(access_log=False, opinions=tmp_path / "watch.yaml", **config)) as server:
                service = service_of(server.app, OpinionsService)
                try:
                    await steps(server.client, service)
                finally:
                    await service.close()

        asyncio.run(main())

    return run


def records(count: int = 4, **changes: Any) -> list[dict[str, Any]]:
    times = [START + timedelta(minutes=60 + n) for n in range(count)]
    return [
        {"id": str(n), "title": f"bad {n} negative/Acme", "text": "It fell.", "source": f"s{n % 2}",
         "published": at.isoformat(), "fetched": at.isoformat(), **changes}
        for n, at in enumerate(times)
    ]  # fmt: skip


async def filled(client: Any, service: OpinionsService) -> None:
    posted = await client.post("/v1/opinions/items", json={"items": records()})
    assert posted.json() == {"object": "opinions.report", "new": 4, "known": 0}
    monitor = await service.monitor()
    monitor.advance(START + timedelta(minutes=76))


def test_what_was_posted_is_there_once_and_raises_its_alert(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        await filled(client, service)
        again = await client.post("/v1/opinions/items", json={"items": records()})
        assert again.json()["known"] == 4
        (alert,) = (await client.get("/v1/opinions/alerts", params={"open": "true"})).json()["data"]
        assert (alert["name"], alert["rule"], len(alert["stories"])) == ("Acme", "wave", 4)
        seen = await client.post(f"/v1/opinions/alerts/{alert['id']}/acknowledge", json={"by": "Li"})
        assert seen.json()["by"] == "Li"
        (alert,) = (await client.get("/v1/opinions/alerts")).json()["data"]
        assert alert["acknowledged"]["by"] == "Li"
        missing = await client.post("/v1/opinions/alerts/none/acknowledge", json={"by": "Li"})
        assert (missing.status_code, missing.json()["error"]["param"]) == (404, "alert")

    watch(steps)


def test_status_companies_timeline_stories_sources_and_health_tell_of_it(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        await filled(client, service)

        async def get(path: str, **params: Any) -> Any:
            answer = await client.get(f"/v1/opinions{path}", params=params)
            assert answer.status_code == 200, answer.text
            return answer.json()

        status = await get("")
        assert (status["num_articles"], status["fault"], status["rules"]) == (4, "", ["wave"])
        assert status["outbox"] == {"waiting": 0, "given_up": 0, "addresses_failing": []}
        assert [company["id"] for company in status["companies"]] == ["acme", "borel"]
        (row,) = (await get("/companies"))["data"]
        assert (row["name"], row["negative"], row["negative_change"], row["sources"]) == ("Acme", 4, 4, 2)
        (bin,) = (await get("/timeline", company="acme"))["data"]
        assert (bin["stories"], bin["negative"], bin["reach"]) == (4, 4, 4)
        stories = (await get("/stories", company="acme", label="negative"))["data"]
        assert len(stories) == 4
        assert (await get("/stories", company="acme", label="positive"))["data"] == []
        told = await get(f"/stories/{stories[0]['story']}")
        assert (told["text"], told["opinions"][0]["label"], told["opinions"][0]["model"]) == (
            "It fell.", "negative", "told-1",
        )  # fmt: skip
        assert {row["source"]: row["articles"] for row in (await get("/sources"))["data"]} == {"s0": 2, "s1": 2}
        health = await get("/health")
        assert health["calibration"]["num"] == 0
        assert {row["verdict"] for row in health["drift"]} == {"too_few"}

    watch(steps)


def test_feedback_is_kept_and_calibration_measured_on_it(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        await filled(client, service)
        for story, label in ((1, "negative"), (2, "positive")):
            said = await client.post(f"/v1/opinions/stories/{story}/feedback", json={"company": "acme", "label": label})
            assert said.status_code == 200
        found = (await client.get("/v1/opinions/health")).json()["calibration"]
        assert (found["num"], found["accuracy"], found["calibration_error"]) == (2, 0.5, 0.4)
        wrong = await client.post("/v1/opinions/stories/1/feedback", json={"company": "acme", "label": "bad"})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "label")
        missing = await client.post("/v1/opinions/stories/1/feedback", json={"company": "x", "label": "neutral"})
        assert (missing.status_code, missing.json()["error"]["param"]) == (404, "company")

    watch(steps)


def test_reasons_are_the_models_and_each_stands_in_the_text(
    watch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"reasons": [{"quote": "It  fell", "why": "a fall"}, {"quote": "It rose", "why": "invented"}]}'
    monkeypatch.setattr(OpinionsService, "chat_model", lambda self: ScriptedChatModel([said, "nothing of the kind"]))

    async def steps(client: Any, service: OpinionsService) -> None:
        await filled(client, service)
        given = await client.post("/v1/opinions/stories/1/rationale", json={"company": "acme"})
        assert given.json()["data"] == [{"quote": "It fell", "why": "a fall"}]
        told = (await client.get("/v1/opinions/stories/1")).json()
        assert [reason["quote"] for reason in told["opinions"][0]["reasons"]] == ["It fell"]

    watch(steps)


def test_without_a_model_of_ones_own_no_reasons_are_given(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        await filled(client, service)
        refused = await client.post("/v1/opinions/stories/1/rationale", json={"company": "acme"})
        assert (refused.status_code, "--model" in refused.json()["error"]["message"]) == (400, True)

    watch(steps)


def test_a_webhooks_key_posts_items_and_nothing_else(
    watch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKS", "hook")

    async def steps(client: Any, service: OpinionsService) -> None:
        hook, key = ({"Authorization": f"Bearer {each}"} for each in ("hook", "key"))
        body = {"items": records(1)}
        assert (await client.post("/v1/opinions/items", json=body, headers=hook)).status_code == 200
        assert (await client.post("/v1/opinions/items", json=body, headers=key)).status_code == 200
        assert (await client.post("/v1/opinions/items", json=body)).status_code == 401
        assert (await client.get("/v1/opinions", headers=hook)).status_code == 403
        assert (await client.get("/v1/models", headers=hook)).status_code == 403
        assert (await client.get("/v1/opinions", headers=key)).status_code == 200

    watch(steps, extra="webhook: {keys: ['env:HOOKS']}\n", api_keys=("key",))


def test_a_webhook_without_other_keys_still_wants_its_own(
    watch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKS", "hook")

    async def steps(client: Any, service: OpinionsService) -> None:
        body = {"items": records(1)}
        assert (await client.post("/v1/opinions/items", json=body)).status_code == 401
        hook = {"Authorization": "Bearer hook"}
        assert (await client.post("/v1/opinions/items", json=body, headers=hook)).status_code == 200
        assert (await client.get("/v1/opinions", headers=hook)).status_code == 403
        assert (await client.get("/v1/opinions")).status_code == 200

    watch(steps, extra="webhook: {keys: ['env:HOOKS']}\n")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"title": "x"}] * 501}, "items"),
        ({"items": [{"title": "x", "fetched": "2936-01-01"}]}, "items.0.fetched"),
        ({"items": [{"id": "1"}]}, "items.0.title"),
        ({"items": [{"title": "x", "published": "yesterday"}]}, "items.0.published"),
        ({"items": [{"title": "x"}, {"title": 4}]}, "items.1.title"),
    ],
)
def test_a_body_that_holds_no_items_is_refused_by_its_place(
    watch: Callable[..., None], body: dict[str, Any], param: str
) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        refused = await client.post("/v1/opinions/items", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)

    watch(steps)


def test_stories_that_are_not_there_and_numbers_that_are_none_are_refused(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        for number, status in ((7, 404), (10**30, 400), (-1, 400), ("x", 400)):
            assert (await client.get(f"/v1/opinions/stories/{number}")).status_code == status
        assert (await client.get("/v1/opinions/timeline")).status_code == 400
        assert (await client.get("/v1/opinions/stories", params={"hours": 0})).status_code == 400

    watch(steps)


def test_the_metrics_page_has_the_watchs_figures(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        assert "opinions_items" not in (await client.get("/metrics")).text
        await filled(client, service)
        page = (await client.get("/metrics")).text
        assert 'pagoda:opinions_items_total{outcome="new"} 4.0' in page
        assert 'pagoda:opinions_alerts_open{severity="warning"} 1.0' in page
        assert "pagoda:opinions_deliveries_waiting 0.0" in page

    watch(steps)


def test_a_source_that_is_not_there_is_told_in_the_status_and_requests_are_answered(watch: Callable[..., None]) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        async with asyncio.timeout(HANG_S):
            while not (told := (await client.get("/v1/opinions")).json()["sources_failing"]):
                await asyncio.sleep(0.01)
        assert told[0]["source"] == "none"
        assert "none.jsonl does not exist" in told[0]["fault"]
        await filled(client, service)

    watch(steps, extra="sources: [{file: none.jsonl}]\n")


def test_a_file_among_the_sources_is_read(watch: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records()))

    async def steps(client: Any, service: OpinionsService) -> None:
        async with asyncio.timeout(HANG_S):
            while (await client.get("/v1/opinions")).json()["num_articles"] < 4:
                await asyncio.sleep(0.01)

    watch(steps, extra="sources: [{file: items.jsonl}]\n")


def test_the_page_is_served_and_a_server_without_a_watch_has_none(watch: Callable[..., None], serve: Any) -> None:
    async def steps(client: Any, service: OpinionsService) -> None:
        page = await client.get("/opinions")
        assert "default-src 'none'" in page.headers["content-security-policy"]

    watch(steps)

    async def bare() -> None:
        async with serve() as server:
            assert (await server.client.get("/opinions")).status_code == 404

    asyncio.run(bare())
