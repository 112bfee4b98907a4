"""The documents panel of the chat page in a real Chromium; what the server would say is written by the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "index.html"
ORIGIN = "http://pagoda.test/"
ANSWER = {
    "text": "The shop opens at 9:00. [1]<img src=x onerror='window.harmed=1'>",
    "citations": [
        {"number": 1, "source": "shop.md", "line": 3, "page": None, "quote": "The shop opens at <b>9:00</b>."},
    ],
    "unsupported": ["It never closes."],
    "dropped": [],
}  # fmt: skip


class Documents:
    """A server's documents as far as the panel sees them.

    received: (method, path, body) of each request; said: what a question gets
    """

    def __init__(self) -> None:
        self.names = ["shop.md"]
        self.received: list[tuple[str, str, bytes]] = []
        self.said: dict[str, Any] = ANSWER

    def answer(self, route: Any) -> None:
        """What each request gets."""
        request = route.request
        path = request.url.removeprefix(ORIGIN)
        self.received.append((request.method, path, request.post_data_buffer or b""))
        if path == "":
            body = PAGE.read_text("utf-8").replace("<body>", "<body data-documents>", 1)
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        elif path == "v1/models":
            route.fulfill(body=json.dumps({"data": [{"id": "pagoda"}]}), content_type="application/json")
        else:
            route.fulfill(body=json.dumps(self._json(request.method, path)), content_type="application/json")

    def _json(self, method: str, path: str) -> Any:
        if path == "v1/rag/query":
            return self.said
        if method == "POST":
            self.names.append("new.md")
            return {"added": ["new.md"], "updated": []}
        if method == "DELETE":
            self.names.remove(path.rsplit("/", 1)[1])
        return {"data": [{"source": name, "size_bytes": 1200, "deletable": name == "new.md"} for name in self.names]}


@pytest.fixture
def documents() -> Documents:
    """The server's side."""
    return Documents()


@pytest.fixture
def page(browser: Any, documents: Documents) -> Iterator[Any]:
    """The page with its panel open, in English; afterwards nothing may have thrown."""
    faults: list[str] = []
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.set_default_timeout(HANG_S * 1000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.route("**/*", documents.answer)
    page.goto(ORIGIN)
    page.get_by_role("button", name="Documents").click()
    yield page
    context.close()
    assert not faults


def test_an_answer_shows_its_sources_with_quotes_and_what_none_of_them_bears(page: Any, documents: Documents) -> None:
    page.get_by_label("Ask the documents…").fill("When does the shop open?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".documents-answer .said")).to_have_text(ANSWER["text"])
    expect(page.locator(".source").first).to_have_text("[1] shop.md, line 3The shop opens at <b>9:00</b>.")
    expect(page.locator(".source.unsupported")).to_contain_text("It never closes.")
    assert page.evaluate("window.harmed") is None
    asked = next(body for method, path, body in documents.received if path == "v1/rag/query")
    assert json.loads(asked) == {"question": "When does the shop open?"}


def test_a_sentence_is_shown_once_with_the_words_that_answer_marked(page: Any, documents: Documents) -> None:
    documents.said = {
        **ANSWER,
        "text": "It is never open at 9:00. [1]",
        "shown": "sentence",
        "span": "9:00",
        "unsupported": [],
    }
    page.get_by_label("Ask the documents…").fill("When does the shop open?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".documents-answer .said")).to_have_text("It is never open at 9:00. [1]")
    expect(page.locator(".documents-answer .said mark")).to_have_text("9:00")
    expect(page.locator(".source").first).to_have_text("[1] shop.md, line 39:00")


def test_files_are_uploaded_as_a_form_and_what_was_uploaded_can_be_removed(page: Any, documents: Documents) -> None:
    expect(page.locator(".document-list li")).to_have_count(1)
    page.locator("#documents-files").set_input_files(
        {"name": "new.md", "mimeType": "text/markdown", "buffer": b"# New"}
    )
    expect(page.locator(".document-list li")).to_have_count(2)
    sent = next(body for method, path, body in documents.received if (method, path) == ("POST", "v1/rag/documents"))
    assert b'filename="new.md"' in sent
    page.locator(".document-list").get_by_role("button", name="Delete").click()
    expect(page.locator(".document-list li")).to_have_count(1)
    assert documents.names == ["shop.md"]
