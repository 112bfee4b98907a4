"""GET /v1/rag/documents/NAME: a cited passage is marked in its document, and nothing but documents is shown."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest

SHOP = "# Shop\n\nThe shop opens at **9:00** on weekdays.\n\n<script>alert(1)</script>\n\n<b onclick=x>bold</b>\n"


def test_what_an_answer_cites_is_marked_in_its_document(site: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with site() as s:
            await s.upload((["指南", "shop (a).md"][1], SHOP.encode()))
            answer = (await s.client.post("/v1/rag/query", json={"question": "When does the shop open?"})).json()
            cited = answer["citations"][0]
            place = {"start": cited["start"], "end": cited["end"]}
            view = (await s.client.get(f"/v1/rag/documents/{cited['source']}", params=place)).json()
            assert (view["object"], view["kind"], view["is_marked"]) == ("rag.document.view", "markdown", True)
            assert "<mark>9:00</mark>" in view["html"]
            assert "script" not in view["html"]
            assert "onclick" not in view["html"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("nosuch.md", {}, 404),
        ("..%2Foutside.md", {}, 404),
        ("%2Fetc%2Fpasswd", {}, 404),
        ("shop.md", {"start": 5, "end": 2}, 400),
        ("shop.md", {"end": 99999}, 400),
        ("shop.md", {"start": -1}, 400),
        ("shop.md", {"end": "x"}, 400),
    ],
)
def test_what_is_no_document_or_no_place_in_it_is_refused(
    site: Callable[..., Any], path: str, params: Any, status: int
) -> None:
    async def scenario() -> None:
        async with site() as s:
            (s.path.parent / "outside.md").write_text("secret", "utf-8")
            await s.upload(("shop.md", SHOP.encode()))
            response = await s.client.get(f"/v1/rag/documents/{path}", params=params)
            assert response.status_code == status, response.text
            assert response.json()["error"]["message"]
            assert "secret" not in response.text

    asyncio.run(scenario())


def test_a_page_of_a_pdf_comes_with_its_picture(site: Callable[..., Any]) -> None:
    canvas_module = pytest.importorskip("reportlab.pdfgen.canvas", reason="makes PDFs for tests")
    file = io.BytesIO()
    canvas = canvas_module.Canvas(file)
    canvas.drawString(100, 700, "The shop opens at 9:00.")
    canvas.save()

    async def scenario() -> None:
        async with site() as s:
            await s.upload(("shop.pdf", file.getvalue()), ("shop.md", SHOP.encode()))
            view = (await s.client.get("/v1/rag/documents/shop.pdf", params={"start": 4, "end": 14})).json()
            assert (view["kind"], view["page"], view["num_pages"], len(view["boxes"])) == ("pages", 1, 1, 1)
            picture = await s.client.get("/v1/rag/pictures/shop.pdf", params={"page": 1})
            assert picture.headers["content-type"] == "image/png"
            assert picture.content.startswith(b"\x89PNG")
            refused = [("shop.pdf", 2), ("shop.pdf", 0), ("shop.md", 1)]
            statuses = [
                (await s.client.get(f"/v1/rag/pictures/{name}", params={"page": page})).status_code
                for name, page in refused
            ]
            assert statuses == [400, 400, 400]

    asyncio.run(scenario())
