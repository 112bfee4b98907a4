"""A third application: one file, which this one stands for, and one entry in the list. All the rest comes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pagoda.engine.args import EngineArgs
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError
from pagoda.graph.errors import GraphError, GraphUnavailableError
from pagoda.server import app as server_app
from pagoda.server import serve as server_serve
from pagoda.server.applications.application import Application, LazyService, service_of
from pagoda.server.config import ServerConfig
from pagoda.server.routing import READING, JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/toy")


class Box:
    """What the toy opens."""

    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Toy(LazyService[Box]):
    """Opens a box and finds nothing in it. failure: what opening it raises."""

    def __init__(self, path: Path, engine: AsyncEngine, failure: Exception | None = None) -> None:
        super().__init__(path, engine, self._open_box)
        self.failure = failure
        self.opened: list[tuple[Path, bool]] = []
        self.box: Box | None = None

    async def find(self, name: str) -> str:
        box = await self._opened()
        if name == "graph":
            raise GraphUnavailableError("the graph cannot be reached")
        if name == "nothing":
            raise InvalidRequestError("nothing cannot be found", param="name")
        return f"{name} is {'here' if box.is_open else 'gone'}"

    def _open_box(self, path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> Box:
        self.opened.append((path, loop.is_running()))
        if self.failure is not None:
            raise self.failure
        self.box = Box()
        return self.box


@router.get("/{name}", responses=READING)
async def find(name: str, request: Request) -> Response:
    return JSONResponse({"found": await service_of(request.app, Toy).find(name)})


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Toy]:
    """The toy stands in the list; holds the toys that were made."""
    made: list[Toy] = []
    page = tmp_path / "toy.html"
    page.write_text("<body>toys</body>", encoding="utf-8")

    def application(config: ServerConfig, engine: AsyncEngine) -> Application:
        made.append(Toy(tmp_path / "toys", engine))
        return Application("toy", router, made[-1], page, panel="data-toys")

    monkeypatch.setattr(server_app, "APPLICATIONS", (*server_app.APPLICATIONS, application))
    return made


def get(serve: Any, *paths: str, **config: Any) -> list[Any]:
    """The answers to these paths, asked at once."""

    async def main() -> Any:
        async with serve(ServerConfig(access_log=False, **config)) as server:
            return await asyncio.gather(*(server.client.get(path) for path in paths))

    answers: list[Any] = asyncio.run(main())
    return answers


def test_its_route_answers_and_what_it_needs_is_opened_once(serve: Any, listed: list[Toy], tmp_path: Path) -> None:
    answers = get(serve, "/v1/toy/ball", "/v1/toy/doll")
    assert [answer.json() for answer in answers] == [{"found": "ball is here"}, {"found": "doll is here"}]
    assert listed[0].opened == [(tmp_path / "toys", True)]


def test_its_page_is_served_to_anybody_and_the_chat_page_knows_of_it(serve: Any, listed: list[Toy]) -> None:
    page, chat, route = get(serve, "/toy", "/", "/v1/toy/ball", api_keys=("secret",))
    assert (page.text, "default-src 'none'" in page.headers["content-security-policy"]) == ("<body>toys</body>", True)
    assert "<body data-toys>" in chat.text
    assert route.status_code == 401
    assert get(serve, "/toy", page=False)[0].status_code == 404


def test_a_server_without_applications_has_an_unmarked_page_and_no_other_open_path(serve: Any) -> None:
    chat, page = get(serve, "/", "/toy", api_keys=("secret",))
    assert "<body>" in chat.text
    assert page.status_code == 401


def test_its_errors_get_the_tables_answers(serve: Any, listed: list[Toy]) -> None:
    refused, unavailable = get(serve, "/v1/toy/nothing", "/v1/toy/graph")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "name")
    assert (unavailable.status_code, unavailable.headers["retry-after"]) == (503, "10")
    assert unavailable.json()["error"]["message"] == "the graph cannot be reached"


def test_opening_that_failed_is_tried_again_with_the_next_request(serve: Any, listed: list[Toy]) -> None:
    async def main() -> None:
        async with serve() as server:
            listed[0].failure = GraphError("the folder is in use")
            assert (await server.client.get("/v1/toy/ball")).status_code == 503
            listed[0].failure = None
            assert (await server.client.get("/v1/toy/ball")).status_code == 200

    asyncio.run(main())


def test_the_server_starts_and_closes_it(
    fake_engine: AsyncEngine, listed: list[Toy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_serve, "AsyncEngine", lambda *_, **__: fake_engine)
    seen: dict[str, Any] = {}

    def stop_when_ready() -> Callable[[str, dict[str, object]], None]:
        def announce(event: str, facts: dict[str, object]) -> None:
            box = listed[0].box
            seen[event] = box is not None and box.is_open
            if event == "ready":
                asyncio.get_running_loop().call_soon(runner._asked_to_stop.set)

        return announce

    async def main() -> None:
        nonlocal runner
        runner = server_serve._Runner(EngineArgs(), ServerConfig(port=0, access_log=False), stop_when_ready())
        await runner.run()

    runner: Any = None
    asyncio.run(main())
    assert seen == {"listening": False, "ready": True, "draining": True}
    assert listed[0].box is not None
    assert not listed[0].box.is_open
