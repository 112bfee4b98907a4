"""/v1/recommend and /v1/events over HTTP: lists whose reasons sum, events once, blocks, a person who leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pagoda.errors import ConfigError
from pagoda.recommend.data.city import draw_visits, read_city
from pagoda.recommend.folder import set_up
from pagoda.recommend.recommender import Recommender
from pagoda.server.applications.application import service_of
from pagoda.server.applications.recommend import RecommendService
from pagoda.server.config import ServerConfig


@pytest.fixture(scope="module")
def trained() -> Any:
    city = read_city()
    visits = draw_visits(city, users=40, seed=5)
    return visits, city.things, Recommender.train(visits)


@pytest.fixture
def shop(serve: Any, tmp_path: Path, trained: Any) -> Callable[..., Any]:
    """`shop(steps, **config)`: runs `await steps(client)` against a server with a recommender."""

    def run(steps: Callable[..., Any], **config: Any) -> None:
        async def main() -> None:
            folder = config.pop("folder", None) or tmp_path / "shop"
            if folder == tmp_path / "shop":
                set_up(folder, *trained)
            async with serve(ServerConfig(recommend=folder, **{"access_log": False, **config})) as server:
                await steps(server.client)
                await service_of(server.app, RecommendService).close()

        asyncio.run(main())

    return run


def event(number: int, item: str, user: str = "someone") -> dict[str, Any]:
    return {"id": f"e{number}", "user": user, "item": item, "timestamp": 1_800_000_000 + number}


def test_a_list_has_names_kinds_and_reasons_that_sum_to_the_score(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        answer = await client.post("/v1/recommend", json={"user": "person-003", "k": 7})
        body = answer.json()
        assert (answer.status_code, body["object"], body["model"]) == (200, "recommend.list", "model-1")
        assert len(body["data"]) == 7
        for one in body["data"]:
            assert sum(reason["value"] for reason in one["reasons"]) == pytest.approx(one["score"], abs=1e-6)
            assert one["name"] != one["name_en"]
            own = {kind["id"] for kind in one["kinds"]}
            assert all(set(reason["shared"]) <= own for reason in one["reasons"])
        assert (await client.get("/v1/recommend")).json()["items"] > 100
        asked = (await client.get("/v1/recommend/questions")).json()["data"]
        assert len({one["item"] for one in asked}) == 3

    shop(steps)


def test_an_event_is_taken_once_and_the_next_list_knows_it(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        first = (await client.post("/v1/recommend", json={"user": "someone", "k": 3})).json()["data"]
        told = {"events": [event(1, first[0]["item"]), event(2, first[1]["item"])]}
        assert (await client.post("/v1/events", json=told)).json() == {
            "object": "events.recorded", "recorded": 2, "known": 0,
        }  # fmt: skip
        assert (await client.post("/v1/events", json=told)).json()["known"] == 2
        after = [one["item"] for one in (await client.post("/v1/recommend", json={"user": "someone"})).json()["data"]]
        assert not {first[0]["item"], first[1]["item"]} & set(after)
        stranger = {"history": [first[0]["item"], first[1]["item"]]}
        by_history = (await client.post("/v1/recommend", json=stranger)).json()["data"]
        assert first[0]["item"] not in [one["item"] for one in by_history]

    shop(steps)


def test_not_this_kind_holds_until_it_is_taken_back(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        first = (await client.post("/v1/recommend", json={"user": "person-001", "k": 1})).json()["data"][0]
        kind = first["kinds"][0]["id"]
        body = {"user": "person-001", "kind": kind}
        assert (await client.post("/v1/recommend/blocks", json=body)).json()["blocked"] is True
        shown = (await client.post("/v1/recommend", json={"user": "person-001", "k": 300})).json()["data"]
        assert shown
        assert not any(kind == own["id"] for one in shown for own in one["kinds"])
        await client.post("/v1/recommend/blocks", json={**body, "undo": True})
        again = (await client.post("/v1/recommend", json={"user": "person-001", "k": 1})).json()["data"][0]
        assert again["item"] == first["item"]

    shop(steps)


def test_a_person_gets_everything_that_is_kept_and_can_leave(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        kept = (await client.get("/v1/recommend/people/person-002")).json()
        assert len(kept["event"]) > 5
        assert (await client.delete("/v1/recommend/people/person-002")).json()["deleted"] >= len(kept["event"])
        assert (await client.get("/v1/recommend/people/person-002")).json()["event"] == []
        gone = await client.delete("/v1/recommend/people/person-002")
        assert (gone.status_code, gone.json()["error"]["param"]) == (404, "user")

    shop(steps)


def test_an_id_may_hold_a_slash_and_blocks_have_names(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        await client.post("/v1/events", json={"events": [event(1, "film-001", "sl/ash")]})
        shown = (await client.post("/v1/recommend", json={"user": "sl/ash", "k": 1})).json()["data"][0]
        await client.post("/v1/recommend/blocks", json={"user": "sl/ash", "item": shown["item"]})
        await client.post("/v1/recommend/blocks", json={"user": "sl/ash", "kind": shown["kinds"][0]["id"]})
        kept = (await client.get("/v1/recommend/people/sl%2Fash")).json()
        assert [one["item"] for one in kept["event"]] == ["film-001"]
        names = {one["name_en"] for one in kept["block"]}
        assert names == {shown["name_en"], shown["kinds"][0]["name_en"]}
        assert (await client.delete("/v1/recommend/people/sl%2Fash")).status_code == 200
        assert (await client.get("/v1/recommend/people/sl%2Fash")).json()["event"] == []

    shop(steps)


def test_a_store_that_is_held_is_told_to_come_back(shop: Callable[..., Any], tmp_path: Path) -> None:
    async def steps(client: Any) -> None:
        assert (await client.post("/v1/recommend", json={"user": "person-001", "k": 1})).status_code == 200
        other = sqlite3.connect(tmp_path / "shop" / "people.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = await client.post("/v1/events", json={"events": [event(1, "film-001")]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert "people.db" in answer.json()["error"]["message"]
        other.close()
        assert (await client.post("/v1/events", json={"events": [event(1, "film-001")]})).json()["recorded"] == 1

    shop(steps)


def test_the_access_log_does_not_say_whom_a_line_is_about(
    shop: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(client: Any) -> None:
        await client.delete("/v1/recommend/people/person-002")

    with caplog.at_level(logging.INFO, logger="pagoda.access"):
        shop(steps, access_log=True)
    lines = [record.getMessage() for record in caplog.records if record.name == "pagoda.access"]
    assert any("/recommend/people/{user" in line for line in lines)
    assert not any("person-002" in line for line in lines)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/recommend", {}, "user"),
        ("/v1/recommend", {"user": "a", "history": []}, "user"),
        ("/v1/recommend", {"user": "a", "k": 0}, "k"),
        ("/v1/recommend", {"user": "a", "diversity": 2}, "diversity"),
        ("/v1/events", {"events": []}, "events"),
        ("/v1/events", {"events": [{"id": "1", "user": "a", "item": "b"}]}, "events[0].timestamp"),
        ("/v1/recommend", {"user": "a", "diversity": True}, "diversity"),
        ("/v1/events", {"events": [{"id": "1", "user": "a", "item": "b", "timestamp": True}]}, "events[0].timestamp"),
        ("/v1/events", {"events": [{"id": "1", "user": "a", "item": "b", "timestamp": -1}]}, "events[0].timestamp"),
        (
            "/v1/events",
            {"events": [{"id": "1", "user": "a", "item": "b", "timestamp": 10**400}]},
            "events[0].timestamp",
        ),
        ("/v1/recommend", {"user": "  "}, "user"),
        ("/v1/recommend/blocks", {"user": "a", "item": "\0"}, "item"),
        ("/v1/recommend/blocks", {"user": "a"}, "item"),
        ("/v1/recommend/blocks", {"user": "a", "item": "b", "kind": "c"}, "item"),
    ],
)
def test_what_is_no_request_is_told_by_its_field(
    shop: Callable[..., Any], path: str, body: dict[str, Any], param: str
) -> None:
    async def steps(client: Any) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await client.post(path, content=json.dumps(body), headers=headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    shop(steps)


def test_keys_open_it_as_all_else_and_a_folder_without_a_recommender_is_an_error(
    shop: Callable[..., Any], tmp_path: Path
) -> None:
    async def steps(client: Any) -> None:
        assert (await client.post("/v1/recommend", json={"user": "a"})).status_code == 401
        assert (await client.get("/recommend")).status_code == 200, "the page itself is open"
        given = {"Authorization": "Bearer secret"}
        assert (await client.post("/v1/recommend", json={"user": "a"}, headers=given)).status_code == 500

    shop(
        steps,
        api_keys=("secret",),
        folder=tmp_path / "empty",
    )


def test_why_this_one_is_asked_of_the_graph(shop: Callable[..., Any]) -> None:
    pytest.importorskip("arcadedb_embedded", reason="needs the dialogue extra")

    async def steps(client: Any) -> None:
        (one, *_) = (await client.post("/v1/recommend", json={"user": "person-003", "k": 3})).json()["data"]
        asked = {"user": "person-003", "item": one["item"]}
        why = (await client.post("/v1/recommend/why", json=asked)).json()
        assert (why["object"], why["model"], why["name"]) == ("recommend.why", "model-1", one["name"])
        assert why["reasons"] == one["reasons"]
        past = {reason["item"] for reason in why["reasons"]}
        assert why["paths"]
        assert all(path["past"] in past and (path["kind"] or path["people"] > 0) for path in why["paths"])
        never = await client.post("/v1/recommend/why", json={**asked, "user": "a stranger"})
        assert (never.status_code, never.json()["error"]["param"]) == (404, "item")

    shop(steps, recommend_graph="embedded")


def test_without_a_graph_nobody_knows_why(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        answer = await client.post("/v1/recommend/why", json={"user": "person-003", "item": "film-001"})
        assert answer.status_code == 400
        assert "--recommend-graph" in answer.json()["error"]["message"]

    shop(steps)
    with pytest.raises(ConfigError, match="recommend_graph is of a recommender"):
        ServerConfig(recommend_graph="embedded")


@pytest.mark.parametrize("user", ["/ann", "ann/", "a//nn", "ann\nann", "an\u2028n", "安 娜?#%2F", "..", "<ann>"])
def test_a_person_of_any_id_can_leave_and_nobody_else_does(shop: Callable[..., Any], user: str) -> None:
    async def steps(client: Any) -> None:
        given = [event(1, "film-001", user), event(2, "film-002", "ann"), event(3, "film-003", "a/nn")]
        assert (await client.post("/v1/events", json={"events": given})).json()["recorded"] == 3
        path = "http://localhost/v1/recommend/people/" + quote(user, safe="").replace("..", "%2E%2E")
        kept = (await client.get(path)).json()
        assert [one["item"] for one in kept["event"]] == ["film-001"]
        assert (await client.delete(path)).json()["deleted"] == 1
        for other, item in (("ann", "film-002"), ("a%2Fnn", "film-003")):
            left = (await client.get(f"/v1/recommend/people/{other}")).json()["event"]
            assert [one["item"] for one in left] == [item]

    shop(steps)


def test_spaces_around_an_id_are_meant_by_nobody(shop: Callable[..., Any]) -> None:
    async def steps(client: Any) -> None:
        await client.post("/v1/events", json={"events": [event(1, " film-001 ", " ann ")]})
        for path in ("ann", "%20ann%20"):
            kept = (await client.get(f"/v1/recommend/people/{path}")).json()
            assert [(one["user"], one["item"]) for one in kept["event"]] == [("ann", "film-001")]
        await client.post("/v1/recommend/blocks", json={"user": "ann ", "item": "film-002"})
        shown = (await client.post("/v1/recommend", json={"user": " ann", "k": 500})).json()["data"]
        assert not {"film-001", "film-002"} & {one["item"] for one in shown}

    shop(steps)
