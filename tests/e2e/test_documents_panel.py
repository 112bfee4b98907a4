"""The documents panel of the chat page in a real Chromium; what the server would say is written by the test."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pagoda.rag.answer import Answer, Citation
from patience import HANG_S

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "index.html"
ORIGIN = "http://pagoda.test/"
# As the server itself writes it: a field that the page reads can be missing in neither.
ANSWER = Answer(
    question="When does the shop open?",
    text="The shop opens at 9:00. [1]<img src=x onerror='window.harmed=1'>",
    citations=(Citation(number=1, source="shop.md", quote="The shop opens at <b>9:00</b>.", start=8, end=38, line=3),),
    unsupported=("It never closes.",),
).as_dict()
NOTE = "This is of version 2; you asked about version 3."


VIEW = {
    "source": "shop.md", "title": "The shop", "kind": "markdown", "is_marked": True, "is_current": True,
    "is_whole": True, "page": None, "num_pages": None, "has_picture": False, "boxes": [],
    "html": "<h1>The shop</h1><p>It <a href='javascript:window.harmed=2'>opens</a> <mark>at <b onclick="
    "'window.harmed=3'>9:00</b></mark>.</p><img src=x onerror='window.harmed=4'><script>window.harmed=5</script>",
}  # fmt: skip
# One white pixel.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTjZ7wAAAABJRU5ErkJggg==")


class Documents:
    """A server's documents as far as the panel sees them.

    received: (method, path, body) of each request; said: what a question gets; view: what a document is; collections:
    names and whether they may be changed; withheld: where it is a list, the routes of questions go there unanswered
    """

    def __init__(self) -> None:
        self.names = ["shop.md"]
        self.view: dict[str, Any] = VIEW
        self.collections = {"default": True}
        self.received: list[tuple[str, str, bytes]] = []
        self.said: dict[str, Any] = ANSWER
        self.withheld: list[Any] | None = None

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
        elif path.startswith("v1/rag/pictures/"):
            route.fulfill(body=PNG, content_type="image/png")
        elif self.withheld is not None and path.startswith("v1/rag/query"):
            self.withheld.append(route)
        else:
            route.fulfill(body=json.dumps(self._json(request.method, path)), content_type="application/json")

    def _json(self, method: str, given: str) -> Any:
        path = given.partition("?")[0]
        if path == "v1/rag/query":
            return self.said
        if path == "v1/rag/collections":
            names = list(self.collections.items())
            return {"data": [{"name": n, "may_write": may, "is_default": i == 0} for i, (n, may) in enumerate(names)]}
        if path == "v1/rag/feedback":
            return {"object": "rag.feedback"}
        if method == "GET" and path.startswith("v1/rag/documents/"):
            return {**self.view, "page": self.view["page"] and int(given.partition("page=")[2] or 2)}
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


def test_what_a_reader_should_know_of_an_answer_stands_below_it_once(page: Any, documents: Documents) -> None:
    documents.said = {**ANSWER, "notes": [NOTE]}
    ask(page)
    expect(page.locator(".documents-answer").get_by_text(NOTE)).to_have_count(1)
    documents.said = {**ANSWER, "text": f"At 9:00. [1] {NOTE}", "notes": [NOTE]}
    ask(page)
    expect(page.locator(".documents-answer").get_by_text(NOTE)).to_have_count(1)


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


def ask(page: Any) -> None:
    """Ask something, and wait for the answer."""
    page.get_by_label("Ask the documents…").fill("When does the shop open?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".said")).to_be_visible()


def bodies(documents: Documents, path: str) -> list[Any]:
    """What was posted to a path."""
    return [json.loads(body) for method, asked, body in documents.received if (method, asked) == ("POST", path)]


def test_a_citation_opens_its_document_at_the_mark_and_escape_leads_back(page: Any, documents: Documents) -> None:
    ask(page)
    page.locator("button.source").first.press("Enter")
    shown = page.locator("#source-body")
    expect(shown.locator("mark")).to_have_text("at 9:00")
    expect(shown).to_be_focused()
    expect(page.locator("#source-dialog")).to_contain_text("[1] shop.md, line 3")
    assert ("GET", "v1/rag/documents/shop.md?start=8&end=38", b"") in documents.received
    # Whatever a server sends: nothing of it runs.
    assert shown.locator("a, img, script, [onclick]").count() == 0
    assert page.evaluate("window.harmed") is None
    page.keyboard.press("Escape")
    expect(page.locator("#source-dialog")).to_be_hidden()
    expect(page.locator("button.source").first).to_be_focused()


def test_pages_of_a_pdf_are_turned_and_the_passage_has_a_box(page: Any, documents: Documents) -> None:
    documents.view = {**VIEW, "kind": "pages", "page": 2, "num_pages": 3, "has_picture": True}
    documents.view["boxes"] = [[0.1, 0.2, 0.3, 0.05]]
    page.locator(".document-list .name").first.click()
    expect(page.locator("#turning")).to_contain_text("Page 2 of 3")
    expect(page.get_by_role("img", name="Page 2 as it is printed")).to_be_visible()
    style = re.compile("left: 10%; top: 20%; width: 30%; height: 5%")
    expect(page.locator(".sheet i")).to_have_attribute("style", style)
    page.get_by_role("button", name="Next page").click()
    expect(page.locator("#turning")).to_contain_text("Page 3 of 3")
    expect(page.get_by_role("button", name="Next page")).to_be_disabled()


def test_a_passage_that_its_document_folds_away_is_unfolded(page: Any, documents: Documents) -> None:
    fold = "<details><summary>More</summary><details><summary>Still more</summary><mark>deep</mark></details></details>"
    documents.view = {**VIEW, "html": fold}
    ask(page)
    page.locator("button.source").first.click()
    expect(page.locator("#source-body mark")).to_be_visible()


def test_a_document_that_changed_is_told(page: Any, documents: Documents) -> None:
    documents.view = {**VIEW, "is_current": False}
    page.locator(".document-list .name").first.click()
    expect(page.locator("#source-notice")).to_contain_text("has changed since it was indexed")


def test_an_answer_is_rated_and_what_would_be_right_is_sent_along(page: Any, documents: Documents) -> None:
    ask(page)
    page.get_by_role("button", name="Yes, it was right").click()
    expect(page.locator(".rating")).to_have_text("Thank you. It is kept for measuring.")
    ask(page)
    page.get_by_role("button", name="No, it was wrong").click()
    page.keyboard.type("At ten.")
    page.get_by_role("button", name="Send", exact=True).last.click()
    expect(page.locator(".rating")).to_have_text("Thank you. It is kept for measuring.")
    first, second = bodies(documents, "v1/rag/feedback")
    assert (first["rating"], first["question"], first["source"]) == ("up", "When does the shop open?", "shop.md")
    assert (second["rating"], second["right_answer"], second["not_in_documents"]) == ("down", "At ten.", False)


def test_a_collection_is_chosen_and_one_that_is_not_ones_own_offers_no_changes(page: Any, documents: Documents) -> None:
    expect(page.locator("#collection-field")).to_be_hidden()
    documents.collections = {"handbook": True, "手册": False}
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Documents").click()
    expect(page.get_by_role("button", name="Add files…")).to_be_visible()
    page.get_by_label("Collection").select_option("手册")
    expect(page.get_by_role("button", name="Add files…")).to_be_hidden()
    ask(page)
    assert documents.received[-1][1] == "v1/rag/query?collection=%E6%89%8B%E5%86%8C"


def test_an_answer_that_comes_after_the_collection_changed_is_not_shown(page: Any, documents: Documents) -> None:
    documents.collections = {"handbook": True, "contracts": True}
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Documents").click()
    documents.withheld = []
    page.get_by_label("Ask the documents…").fill("When does the shop open?")
    with page.expect_request("**/v1/rag/query*"):
        page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#documents-answer")).not_to_be_empty()
    page.get_by_label("Collection").select_option("contracts")
    expect(page.locator("#documents-answer")).to_be_empty()
    (late,) = documents.withheld
    with page.expect_response("**/v1/rag/query*"):
        late.fulfill(body=json.dumps(ANSWER), content_type="application/json")
    page.evaluate("() => new Promise(done => setTimeout(done))")
    expect(page.locator("#documents-answer")).to_be_empty()
