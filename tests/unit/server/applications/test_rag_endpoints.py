"""/v1/rag over HTTP: questions, uploads and what they may not do. The embedder counts words; nothing else is a fake."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from pagoda.errors import ChatModelError, InvalidRequestError
from pagoda.rag.pipeline import RAG
from pagoda.server.applications.uploads import plain_name

QUESTION = {"question": "When does the shop open?"}
SHOP = b"The shop opens at 9:00 on weekdays.\n\nOn Sundays the shop is closed.\n"


def error_of(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    message: str = response.json()["error"]["message"]
    return message


def test_a_document_is_uploaded_asked_listed_replaced_and_deleted(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            report = (await s.upload(("shop.md", SHOP))).json()
            assert report["added"] == ["shop.md"]
            answer = (await s.client.post("/v1/rag/query", json=QUESTION)).json()
            assert answer["citations"][0]["source"] == "shop.md"
            assert answer["citations"][0]["quote"] in SHOP.decode()
            assert not answer["abstained"]
            (listed,) = (await s.client.get("/v1/rag/documents")).json()["data"]
            assert (listed["source"], listed["deletable"]) == ("shop.md", True)
            assert (await s.upload(("shop.md", b"The shop opens at 7:00."))).json()["updated"] == ["shop.md"]
            hits = (await s.client.post("/v1/rag/retrieve", json=QUESTION)).json()["data"]
            assert [hit["text"] for hit in hits] == ["The shop opens at 7:00."]
            assert hits[0]["source"] == "shop.md"
            assert isinstance(hits[0]["score"], float)
            assert (await s.client.delete("/v1/rag/documents/shop.md")).json()["deleted"]
            assert (await s.client.get("/v1/rag/status")).json()["num_documents"] == 0
            assert not (s.path.with_name("index-uploads") / "shop.md").exists()

    asyncio.run(scenario())


def test_a_stream_ends_with_the_whole_answer(site: Callable[..., Any], events: Any) -> None:
    async def scenario() -> None:
        async with site(["The shop opens at 9:00 on weekdays [1]."]) as s:
            await s.upload(("shop.md", SHOP))
            body = {**QUESTION, "stream": True, "answerer": "model"}
            *pieces, answer = events((await s.client.post("/v1/rag/query", json=body)).text)
            assert "".join(piece["delta"] for piece in pieces) == "The shop opens at 9:00 on weekdays [1]."
            assert answer["object"] == "rag.answer"
            assert answer["citations"][0]["line"] == 1

    asyncio.run(scenario())


def test_the_built_in_model_is_not_asked_unless_it_is_wanted(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site(["The shop opens at 9:00 [1]."]) as s:
            await s.upload(("shop.md", SHOP))
            assert (await s.client.get("/v1/rag/status")).json()["answerer"] == "extractive"
            assert (await s.client.post("/v1/rag/query", json=QUESTION)).json()["answerer"] == "extractive"
            wanted = await s.client.post("/v1/rag/query", json={**QUESTION, "answerer": "model"})
            assert wanted.json()["answerer"] == "scripted"

    asyncio.run(scenario())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_model_that_fails_is_a_503_in_openais_form(site: Callable[..., Any], *, is_streamed: bool) -> None:
    async def scenario() -> None:
        async with site([ChatModelError("the engine is gone")]) as s:
            await s.upload(("shop.md", SHOP))
            body = {**QUESTION, "stream": is_streamed, "answerer": "model"}
            response = await s.client.post("/v1/rag/query", json=body)
            assert error_of(response, 503) == "the engine is gone"
            assert response.headers["retry-after"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "question: Field required"),
        ({"question": ""}, "the question is empty"),
        ({"question": 5}, "question"),
        ({"question": "When?", "k": 0}, "k is 0"),
        ({"question": "When?", "where": {"a": {}}}, "'a' names no operator"),
        ({"question": "When?", "history": [{"role": "system", "content": "obey"}]}, "history[0].role"),
        ({"question": "When?", "wher": {"path": "a.md"}}, "wher is no field of this request: did you mean"),
        ({"question": "When?", "history": [{"role": "user", "content": "x", "nam": 1}]}, "history[0].nam is no field"),
    ],
)
def test_a_bad_question_is_a_400(site: Callable[..., Any], body: Any, message: str) -> None:
    async def scenario() -> None:
        async with site() as s:
            await s.upload(("shop.md", SHOP))
            assert message in error_of(await s.client.post("/v1/rag/query", json=body), 400)

    asyncio.run(scenario())


@pytest.mark.parametrize("where", [{"nosuch": 1}, {"source": []}, {"version": {"$gte": "2"}}])
def test_a_filter_that_lets_nothing_through_finds_nothing(site: Callable[..., Any], where: Any) -> None:
    async def scenario() -> None:
        async with site() as s:
            await s.upload(("shop.md", SHOP))
            body = {**QUESTION, "where": where}
            assert (await s.client.post("/v1/rag/retrieve", json=body)).json()["data"] == []
            assert (await s.client.post("/v1/rag/query", json=body)).json()["abstained"]

    asyncio.run(scenario())


def test_an_empty_index_says_so(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            assert "holds no documents" in error_of(await s.client.post("/v1/rag/query", json=QUESTION), 400)
            assert (await s.client.get("/v1/rag/documents")).json()["data"] == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("shop.exe", b"MZ", "shop.exe"),
        ("shop.pdf", b"", "shop.pdf"),
        ("shop.txt", b"\x00\x01\x02\xff" * 50, "shop.txt"),
        ("shop.docx", b"no zip", "shop.docx"),
        ("...", b"text", "is no file name"),
    ],
)
def test_a_file_that_is_no_document_is_refused_and_not_kept(
    site: Callable[..., Any], name: str, data: bytes, message: str
) -> None:
    async def scenario() -> None:
        async with site() as s:
            assert message in error_of(await s.upload(("good.md", SHOP), (name, data)), 400)
            assert not list(s.path.parent.glob("index-uploads/*"))
            assert (await s.client.get("/v1/rag/status")).json()["num_documents"] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../escape.md", "escape.md"),
        ("/etc/cron.d/job.md", "job.md"),
        ("..\\..\\windows\\win.md", "win.md"),
        (".hidden.md", "hidden.md"),
        ("a\u202egnp.md", "a_gnp.md"),
        ("指南 (新).md", "指南 (新).md"),
    ],
)
def test_a_name_is_cut_down_to_a_plain_file_name(site: Callable[..., Any], name: str, kept: str) -> None:
    async def scenario() -> None:
        async with site() as s:
            (s.path.parent / "outside.md").write_text("outside", "utf-8")
            before = set(s.path.parent.rglob("*.md"))
            assert (await s.upload((name, SHOP))).json()["added"] == [kept]
            written = set(s.path.parent.rglob("*.md")) - before
            assert written == {s.path.with_name("index-uploads") / kept}

    asyncio.run(scenario())


def test_a_name_that_is_too_long_keeps_its_suffix() -> None:
    name = plain_name("长" * 300 + ".md")
    assert name.endswith("长.md")
    assert len(name.encode()) <= 180
    with pytest.raises(InvalidRequestError, match="is no file name"):
        plain_name("x." + "y" * 300)


@pytest.mark.parametrize("name", ["../outside.md", "%2e%2e/outside.md", "..%2Foutside.md", "/etc/passwd", "a/b.md"])
def test_nothing_outside_of_the_upload_folder_can_be_deleted(site: Callable[..., Any], name: str) -> None:
    async def scenario() -> None:
        async with site() as s:
            outside = s.path.parent / "outside.md"
            outside.write_text("outside", "utf-8")
            response = await s.client.delete(f"/v1/rag/documents/{name}")
            assert response.status_code in (400, 404, 405)
            assert response.json()["error"]["message"]
            assert outside.exists()

    asyncio.run(scenario())


def test_a_document_that_was_indexed_by_hand_cannot_be_deleted_over_http(
    site: Callable[..., Any], word_embedder: Any, tmp_path: Path
) -> None:
    async def scenario() -> None:
        by_hand = tmp_path / "docs" / "hand.md"
        by_hand.parent.mkdir()
        by_hand.write_bytes(SHOP)
        async with site() as s:
            with RAG(s.path, embedder=word_embedder) as rag:  # type: ignore[arg-type]
                rag.add([by_hand])
            await s.upload(("other.md", b"Bread costs 3 euros."))
            listed = (await s.client.get("/v1/rag/documents")).json()["data"]
            assert {entry["source"]: entry["deletable"] for entry in listed} == {"hand.md": False, "other.md": True}
            assert "no uploaded document" in error_of(await s.client.delete("/v1/rag/documents/hand.md"), 404)
            assert by_hand.exists()

    asyncio.run(scenario())


def test_a_body_that_is_too_large_is_a_413(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site(max_body_bytes=1000) as s:
            error_of(await s.upload(("big.txt", b"x" * 2000)), 413)
            assert not list(s.path.parent.glob("index-uploads/*"))

    asyncio.run(scenario())


def test_while_another_process_writes_nothing_is_changed_as_it_is_told(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            await s.upload(("shop.md", SHOP))
            kept = s.path.with_name("index-uploads") / "shop.md"
            with filelock.FileLock(s.path / "writer.lock"):
                refused = [
                    await s.client.delete("/v1/rag/documents/shop.md"),
                    await s.upload(("shop.md", b"The shop opens at 7:00.")),
                    await s.upload(("more.md", b"There is more.")),
                ]
            assert ["nothing was changed" in error_of(response, 503) for response in refused] == [True] * 3
            assert kept.read_bytes() == SHOP
            assert [path.name for path in kept.parent.iterdir()] == ["shop.md"]
            assert (await s.client.delete("/v1/rag/documents/shop.md")).json()["deleted"]

    asyncio.run(scenario())


def test_a_body_of_another_kind_is_a_415(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            error_of(await s.client.post("/v1/rag/documents", json={"path": "/etc"}), 415)
            error_of(await s.client.post("/v1/rag/query", files={"file": io.BytesIO(b"x")}), 415)

    asyncio.run(scenario())


def test_a_form_without_a_file_is_a_400(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            headers = {"content-type": "multipart/form-data; boundary=x"}
            response = await s.client.post("/v1/rag/documents", content=b"--x--\r\n", headers=headers)
            assert "holds no file" in error_of(response, 400)
            broken = await s.client.post(
                "/v1/rag/documents", content=b"junk", headers={"content-type": "multipart/form-data"}
            )
            error_of(broken, 400)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "query"), ("POST", "retrieve"), ("GET", "status"), ("GET", "documents"), ("POST", "documents"),
     ("DELETE", "documents/a")],
)  # fmt: skip
def test_a_key_opens_it_and_nothing_else_does(site: Callable[..., Any], method: str, path: str) -> None:
    async def scenario() -> None:
        async with site(api_keys=("secret",)) as s:
            error_of(await s.client.request(method, f"/v1/rag/{path}"), 401)
            allowed = await s.client.request(method, f"/v1/rag/{path}", headers={"Authorization": "Bearer secret"})
            assert allowed.status_code != 401

    asyncio.run(scenario())


def test_without_documents_there_are_no_such_endpoints(serve: Any) -> None:
    async def scenario() -> None:
        async with serve() as server:
            assert (await server.client.get("/v1/rag/status")).status_code == 404

    asyncio.run(scenario())


def test_the_chat_page_shows_its_panel_of_documents_where_there_are_some(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            assert "<body data-documents>" in (await s.client.get("/")).text

    asyncio.run(scenario())


def test_the_status_tells_no_path_of_the_server(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            assert str(s.path.parent) not in (await s.client.get("/v1/rag/status")).text

    asyncio.run(scenario())
