"""Several collections in one server, and which key may do what with each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pagoda.server.access import Collection
from pagoda.server.applications.rag_service import RagOpening

SERVER, READER, WRITER, STRANGER = "server-key", "reader-key", "writer-key", "stranger-key"
QUESTION = {"question": "When does the shop open?"}
READING: Mapping[str, tuple[str, str, Any]] = {
    "query": ("POST", "/v1/rag/query", QUESTION),
    "retrieve": ("POST", "/v1/rag/retrieve", QUESTION),
    "status": ("GET", "/v1/rag/status", None),
    "documents": ("GET", "/v1/rag/documents", None),
    "document": ("GET", "/v1/rag/documents/shop.md", None),
    "picture": ("GET", "/v1/rag/pictures/shop.md?page=1", None),
    "rating": ("POST", "/v1/rag/feedback", {"question": "When?", "rating": "up"}),
}
WRITING: Mapping[str, tuple[str, str, Any]] = {
    "feedback": ("GET", "/v1/rag/feedback", None),
    "questions": ("GET", "/v1/rag/feedback/questions", None),
    "delete": ("DELETE", "/v1/rag/documents/nosuch.md", None),
    "upload": ("POST", "/v1/rag/documents", "files"),
}


def collections(folder: Path) -> tuple[Collection, ...]:
    """One for all callers, one for keys of its own, one that nobody changes, one that all may read."""
    return (
        Collection("open", folder / "a"),
        Collection("closed", folder / "b", readers=(READER,), writers=(WRITER,)),
        Collection("fixed", folder / "c", readers=(READER,)),
        Collection("edited", folder / "d", writers=(WRITER,)),
    )


async def status_of(s: Any, what: tuple[str, str, Any], name: str, key: str | None) -> int:
    """The status that a request to a collection gets with a key."""
    method, path, body = what
    given: dict[str, Any] = {"files": [("file", ("new.md", b"New."))]} if body == "files" else {"json": body}
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    path += ("&" if "?" in path else "?") + f"collection={name}"
    response = await s.client.request(method, path, headers=headers, **(given if body else {}))
    for secret in (SERVER, READER, WRITER, STRANGER):
        assert secret not in response.text
    status: int = response.status_code
    return status


async def fill(s: Any, name: str, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    files = ("shop.md", f"The shop {name} opens at 9:00.".encode())
    assert (await s.upload(files, params={"collection": name}, headers=headers)).status_code == 200


def test_each_answers_from_its_own_documents_and_the_first_where_none_is_named(
    site: Callable[..., Any], tmp_path: Path
) -> None:
    async def scenario() -> None:
        named = (Collection("one", tmp_path / "a"), Collection("二", tmp_path / "b"))
        async with site(rag=None, collections=named) as s:
            for name in ("one", "二"):
                await fill(s, name, None)
            for params, said in (({}, "one"), ({"collection": "one"}, "one"), ({"collection": "二"}, "二")):
                hits = (await s.client.post("/v1/rag/retrieve", json=QUESTION, params=params)).json()["data"]
                assert [hit["text"] for hit in hits] == [f"The shop {said} opens at 9:00."]
            unknown = await s.client.get("/v1/rag/status", params={"collection": "three"})
            assert unknown.status_code == 404
            assert "no collection 'three'" in unknown.json()["error"]["message"]
            listed = (await s.client.get("/v1/rag/collections")).json()["data"]
            assert [(each["name"], each["is_default"], each["may_write"]) for each in listed] == [
                ("one", True, True),
                ("二", False, True),
            ]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "key", "reads", "writes"),
    [
        ("open", None, 200, 200),
        ("open", STRANGER, 200, 200),
        ("closed", None, 401, 401),
        ("closed", STRANGER, 401, 401),
        ("closed", READER, 200, 403),
        ("closed", WRITER, 200, 200),
        ("fixed", READER, 200, 403),
        ("fixed", WRITER, 403, 403),
        ("fixed", None, 401, 403),
        ("edited", None, 200, 401),
        ("edited", WRITER, 200, 200),
    ],
)
def test_without_keys_of_the_server_a_collection_is_opened_by_its_own(
    site: Callable[..., Any], tmp_path: Path, name: str, key: str | None, reads: int, writes: int
) -> None:
    async def scenario() -> None:
        async with site(rag=None, collections=collections(tmp_path)) as s:
            await _check(s, name, key, reads, writes)
            assert (await s.client.get("/v1/models")).status_code == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "key", "reads", "writes"),
    [
        ("open", None, 401, 401),
        ("open", SERVER, 200, 200),
        ("open", READER, 403, 403),
        ("closed", None, 401, 401),
        ("closed", SERVER, 403, 403),
        ("closed", READER, 200, 403),
        ("closed", WRITER, 200, 200),
        ("edited", SERVER, 200, 403),
        ("edited", WRITER, 200, 200),
        ("edited", READER, 403, 403),
    ],
)
def test_with_keys_of_the_server_these_open_the_rest_and_a_collections_key_nothing_else(
    site: Callable[..., Any], tmp_path: Path, name: str, key: str | None, reads: int, writes: int
) -> None:
    async def scenario() -> None:
        async with site(rag=None, collections=collections(tmp_path), api_keys=(SERVER,)) as s:
            await _check(s, name, key, reads, writes)
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            elsewhere = (await s.client.get("/v1/models", headers=headers)).status_code
            assert elsewhere == {None: 401, SERVER: 200}.get(key, 403)

    asyncio.run(scenario())


async def _check(s: Any, name: str, key: str | None, reads: int, writes: int) -> None:
    """Every endpoint; where the caller may, it is found to work or to have nothing of that name."""
    if writes == 200:
        await fill(s, name, key)
    for expected, endpoints in ((reads, READING), (writes, WRITING)):
        for what, request in endpoints.items():
            status = await status_of(s, request, name, key)
            is_let_in = status in (200, 400, 404)
            assert is_let_in if expected == 200 else status == expected, f"{what}: {status}"


def test_only_collections_that_the_caller_may_read_are_listed(site: Callable[..., Any], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with site(rag=None, collections=collections(tmp_path)) as s:
            listed = {}
            for key in (None, READER, WRITER):
                headers = {} if key is None else {"Authorization": f"Bearer {key}"}
                data = (await s.client.get("/v1/rag/collections", headers=headers)).json()["data"]
                listed[key] = {each["name"]: each["may_write"] for each in data}
            assert listed == {
                None: {"open": True, "edited": False},
                READER: {"open": True, "closed": False, "fixed": False, "edited": False},
                WRITER: {"open": True, "closed": True, "edited": True},
            }
        async with site(rag=None, collections=collections(tmp_path)[1:3]) as s:
            assert (await s.client.get("/v1/rag/collections")).status_code == 401

    asyncio.run(scenario())


def test_keys_stand_in_no_log_and_no_description(
    site: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with site(rag=None, collections=collections(tmp_path), access_log=True) as s:
            for key in (READER, WRITER, STRANGER):
                await status_of(s, READING["status"], "closed", key)
            described = repr((s.config, s.server.app.state.applications)) + (await s.client.get("/openapi.json")).text
            assert not any(key in described for key in (READER, WRITER))

    with caplog.at_level(logging.DEBUG):
        asyncio.run(scenario())
    assert not any(key in caplog.text for key in (READER, WRITER, STRANGER))


def test_indexes_that_were_made_with_one_embedder_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word_embedder: Any
) -> None:
    loaded: list[str | None] = []
    monkeypatch.setattr("pagoda.engine.chat_model.EngineChatModel.shared", lambda engine: None)
    monkeypatch.setattr("pagoda.rag.index.index.embedder_of_index", {tmp_path / "c": "bilingual"}.get)
    monkeypatch.setattr("pagoda.rag.inputs.embedder_of", lambda name: loaded.append(name) or word_embedder)
    opening = RagOpening()
    for name in ("a", "b", "c"):
        opening(tmp_path / name, None, None).close()  # type: ignore[arg-type]
    assert loaded == [None, "bilingual"]
