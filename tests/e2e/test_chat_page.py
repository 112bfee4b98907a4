"""The chat page in a real Chromium, against a scripted endpoint that speaks OpenAI's API.

The endpoint is the standard library's server, so what fails here is the page and nothing behind it. The last words of
a message choose what it answers: see `SCRIPT`. Every test has a browser context, and so a localStorage, of its own.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from patience import HANG_S

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (pip install 'pagoda-llm[clients]')"
)
expect = playwright_api.expect

PAGE = Path(__file__).parents[2] / "pagoda" / "server" / "page" / "index.html"
STORY = ["Once upon", " a time there", " was a little", " fox. 从前", "有一只小", "狐狸。🦊"]
MARKDOWN = """# A *fine* title

Some **bold**, `code` and [a link](https://example.org/a_(b)).

- one
- two
  1. deeper

| word | meaning |
| --- | ---: |
| 月 | moon |

> said the fox

```python
print("<b>not bold</b>")
```
"""
HOSTILE = """<script>window.harmed = 1</script><img src=x onerror="window.harmed = 2">

[click](javascript:window.harmed=3) [data](data:text/html,<script>alert(1)</script>) ![picture](https://evil.example/x.png)

**<svg onload=window.harmed=4>** `<iframe src="https://evil.example">`

| <b>cell</b> | x |
|---|---|
| <script>window.harmed = 5</script> | [y](vbscript:z) |
"""
SCRIPT = {"markdown": [MARKDOWN[i : i + 7] for i in range(0, len(MARKDOWN), 7)], "hostile": [HOSTILE]}


@dataclass
class Endpoint:
    """What the tests know of the scripted server, and what they tell it."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    left: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    failures: int = 0

    def forget(self) -> None:
        self.requests, self.key, self.failures = [], None, 0
        self.left.clear()
        self.go_on.clear()


def handler_for(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    """The page at `/`, and the two calls it makes."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/":
                self.answer(200, PAGE.read_bytes(), "text/html; charset=utf-8")
            elif self.allowed():
                models = {
                    "object": "list",
                    "data": [{"id": "builtin", "object": "model"}, {"id": "other", "object": "model"}],
                }
                self.answer_json(200, models)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.requests.append(body)
            if not self.allowed():
                return
            said = body["messages"][-1]["content"].split()[-1]
            if said == "busy" and endpoint.failures == 0:
                endpoint.failures += 1
                self.refuse(503, "256 requests are waiting already", "overloaded", {"Retry-After": "2"})
            elif said == "long" and len(body["messages"]) > 3:
                message = (
                    "This model's maximum context length is 64 tokens. However, your prompt contains 90 input tokens"
                )
                self.refuse(400, message, "context_length_exceeded")
            else:
                self.stream(said, body)

        def stream(self, said: str, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.end_headers()
            try:
                self.event(": ping\n\n")
                self.delta({"role": "assistant", "content": ""})
                self.answer_to(said, body)
                self.event("data: [DONE]\n\n")
            except OSError:
                endpoint.left.set()

        def answer_to(self, said: str, body: dict[str, Any]) -> None:
            pieces = SCRIPT.get(said, STORY)
            for i, piece in enumerate(pieces):
                if said in ("hold", "broken") and i == 3:
                    endpoint.go_on.wait(HANG_S)
                    endpoint.go_on.clear()
                if said == "broken" and i == 3:
                    self.event('data: {"error": {"message": "the engine stopped", "code": "engine_dead"}}\n\n')
                    return
                self.delta({"content": piece})
            while said == "endless":
                self.delta({"content": " and on"})
                endpoint.go_on.wait(0.02)
            self.delta({}, finish_reason="stop")
            usage = {
                "prompt_tokens": 21,
                "completion_tokens": len(pieces),
                "prompt_tokens_details": {"cached_tokens": 16},
            }
            if body["stream_options"]["include_usage"]:
                self.event(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n")

        def delta(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            chunk = {"object": "chat.completion.chunk", "model": "builtin", "choices": [choice], "usage": None}
            self.event(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n")

        def event(self, text: str) -> None:
            data = text.encode()
            self.wfile.write(data[: len(data) // 2])  # readers must bear a cut inside a character
            self.wfile.flush()
            self.wfile.write(data[len(data) // 2 :])

        def allowed(self) -> bool:
            if endpoint.key in (None, self.headers.get("Authorization", "").removeprefix("Bearer ")):
                return True
            self.refuse(401, "the API key is missing or wrong", "invalid_api_key")
            return False

        def refuse(self, status: int, message: str, code: str, headers: dict[str, str] | None = None) -> None:
            self.answer_json(status, {"error": {"message": message, "type": "x", "param": None, "code": code}}, headers)

        def answer_json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            self.answer(status, json.dumps(body).encode(), "application/json", headers)

        def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(endpoint))
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    endpoint.url = f"http://127.0.0.1:{http.server_port}/"
    yield endpoint
    http.shutdown()
    http.server_close()


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    server.forget()
    return server


@pytest.fixture
def open_page(browser: Any, endpoint: Endpoint) -> Iterator[Callable[..., Any]]:
    """Opens the page in a fresh context; afterwards nothing may have left the origin, nor thrown."""
    contexts, strays, faults = [], [], []

    def note(request: Any) -> None:
        if not request.url.startswith((endpoint.url, "data:", "blob:")):
            strays.append(request.url)

    def opened(**options: Any) -> Any:
        settings = {"locale": "en-US", "viewport": {"width": 1180, "height": 780}, "reduced_motion": "reduce"} | options
        contexts.append(browser.new_context(**settings))
        contexts[-1].on("request", note)
        page = contexts[-1].new_page()
        page.set_default_timeout(HANG_S * 1000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(endpoint.url)
        return page

    yield opened
    for context in contexts:
        context.close()
    endpoint.go_on.set()
    assert strays == []
    assert faults == []


def ask(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def finished(page: Any, number: int = 1) -> Any:
    """The last of `number` answers, once it is complete."""
    expect(page.locator(".assistant")).to_have_count(number)
    expect(page.locator(".streaming")).to_have_count(0)
    return page.locator(".assistant").last


def test_an_answer_streams_and_tells_its_counts_when_it_is_done(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "tell me a story and hold")
    expect(page.locator(".streaming .md")).to_have_text("Once upon a time there was a little")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    endpoint.go_on.set()
    answer = finished(page)
    expect(answer.locator(".md")).to_have_text("".join(STORY))
    expect(answer.locator(".stats")).to_contain_text("6 tokens")
    expect(answer.locator(".stats")).to_contain_text(
        re.compile(r"tokens/s.*first after .*prompt 21, 16 cached", re.DOTALL)
    )
    expect(page.locator("#announcer")).to_contain_text("小狐狸")
    assert endpoint.requests[0]["stream"] is True
    assert endpoint.requests[0]["model"] == "builtin"


def test_stop_ends_an_endless_answer_and_the_connection(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "endless")
    expect(page.locator(".md")).to_contain_text("and on and on")
    page.get_by_role("button", name="Stop").click()
    expect(finished(page).locator(".stats")).to_contain_text("stopped by you")
    assert endpoint.left.wait(HANG_S)
    ask(page, "endless")
    expect(page.locator(".streaming .md")).to_contain_text("and on")
    page.keyboard.press("Escape")
    expect(finished(page, 2).locator(".stats")).to_contain_text("stopped by you")


def test_a_reload_keeps_the_conversation_even_in_the_middle_of_an_answer(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "first words")
    finished(page)
    ask(page, "then hold")
    expect(page.locator(".streaming .md")).to_contain_text("little")
    page.reload()
    expect(page.locator(".user .text")).to_have_text(["first words", "then hold"])
    expect(page.locator(".assistant .md")).to_have_text(["".join(STORY), "".join(STORY[:3])])
    expect(page.locator(".assistant .stats").last).to_contain_text("interrupted")
    expect(page.get_by_role("button", name="first words")).to_have_attribute("aria-current", "true")


def test_editing_a_message_resends_from_there(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "one")
    finished(page)
    ask(page, "two")
    finished(page, 2)
    page.locator(".user").first.hover()
    page.locator(".user").first.get_by_role("button", name="Edit").click()
    page.locator(".editor textarea").fill("uno")
    page.keyboard.press("Enter")
    finished(page)
    expect(page.locator(".user .text")).to_have_text(["uno"])
    assert [m["content"] for m in endpoint.requests[-1]["messages"]] == ["uno"]


def test_trying_again_replaces_the_answer(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "one")
    finished(page).get_by_role("button", name="Try again").click()
    finished(page)
    page.wait_for_function("JSON.parse(Object.values(localStorage)[0]).messages.length === 2")
    assert [request["messages"] for request in endpoint.requests] == [[{"role": "user", "content": "one"}]] * 2


def test_markdown_becomes_elements(open_page: Any) -> None:
    page = open_page()
    ask(page, "markdown")
    md = finished(page).locator(".md")
    expect(md.locator("h1 em")).to_have_text("fine")
    expect(md.locator("strong")).to_have_text("bold")
    expect(md.locator("a")).to_have_attribute("href", "https://example.org/a_(b)")
    expect(md.locator("a")).to_have_attribute("rel", re.compile("noopener"))
    expect(md.locator("ul > li > ol > li")).to_have_text("deeper")
    expect(md.locator("tbody td")).to_have_text(["月", "moon"])
    expect(md.locator("blockquote")).to_have_text("said the fox")
    expect(md.locator("pre code")).to_have_text('print("<b>not bold</b>")')
    expect(md.locator("pre").get_by_role("button", name="Copy")).to_be_visible()


def test_the_text_of_a_model_cannot_become_markup_or_script(open_page: Any) -> None:
    page = open_page()
    ask(page, "<b>hostile</b> hostile")
    md = finished(page).locator(".md")
    expect(md).to_contain_text("<script>window.harmed = 1</script>")
    assert md.locator("script, img, svg:not(.icon), iframe, b, [onerror], [onload]").count() == 0
    assert [link.get_attribute("href") for link in md.locator("a").all()] == ["https://evil.example/x.png"]
    expect(page.locator(".user .text")).to_have_text("<b>hostile</b> hostile")
    assert page.evaluate("window.harmed") is None


def test_an_error_is_shown_and_can_be_tried_again(open_page: Any) -> None:
    page = open_page()
    ask(page, "busy")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("256 requests are waiting already")
    expect(alert).to_contain_text("wait about 2 s")
    alert.get_by_role("button", name="Try again").click()
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
    expect(alert).to_have_count(0)


def test_an_error_in_the_middle_keeps_what_came_before_it(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    ask(page, "broken")
    expect(page.locator(".streaming .md")).to_contain_text("little")
    endpoint.go_on.set()
    expect(finished(page).locator(".md")).to_have_text("".join(STORY[:3]))
    expect(page.get_by_role("alert")).to_contain_text("the engine stopped")


def test_a_full_context_drops_the_oldest_turns_and_says_so(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    for number, text in enumerate(("one", "two", "long"), 1):
        ask(page, text)
        finished(page, number)
    expect(page.locator(".notice")).to_contain_text("no longer sent")
    expect(page.locator(".user .text")).to_have_text(["one", "two", "long"])
    assert [m["content"] for m in endpoint.requests[-1]["messages"] if m["role"] == "user"] == ["two", "long"]


def test_a_key_is_asked_for_and_kept_for_the_session_only(open_page: Any, endpoint: Endpoint) -> None:
    endpoint.key = "sesame"
    page = open_page()
    page.get_by_label("API key", exact=True).and_(page.locator("input")).fill("sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_value("builtin")
    ask(page, "hello")
    expect(finished(page).locator(".md")).to_have_text("".join(STORY))
    assert "sesame" not in page.evaluate("JSON.stringify({...localStorage})")


def test_parameters_are_sent_as_given_and_not_at_all_when_empty(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    expect(page.locator("#model")).to_have_value("builtin")  # until the list has come, none is sent
    ask(page, "one")
    finished(page)
    assert set(endpoint.requests[0]) == {"model", "messages", "stream", "stream_options"}
    page.get_by_role("button", name="Parameters").click()
    for label, value in {"System message": "Be brief.", "Temperature": "0.5", "Max tokens": "7", "Seed": "3"}.items():
        page.get_by_label(label).fill(value)
    page.get_by_label("Stop at").fill("END\n。")
    page.keyboard.press("Escape")
    page.locator("#model").select_option("other")
    ask(page, "two")
    finished(page, 2)
    sent = endpoint.requests[1]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert {name: sent[name] for name in ("temperature", "max_tokens", "seed", "stop", "model")} == {
        "temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END", "。"], "model": "other",
    }  # fmt: skip


def test_conversations_are_listed_renamed_exported_and_deleted(open_page: Any) -> None:
    page = open_page()
    ask(page, "the first")
    finished(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#empty")).to_be_visible()
    ask(page, "the second")
    finished(page)
    entries = page.locator(".entry .open")
    expect(entries).to_have_text(["the second", "the first"])
    page.locator(".entry").first.hover()
    page.locator(".entry").first.get_by_role("button", name="Rename").click()
    page.keyboard.type("renamed")
    page.keyboard.press("Enter")
    expect(entries).to_have_text(["renamed", "the first"])
    page.locator(".entry").first.hover()
    with page.expect_download() as download:
        page.locator(".entry").first.get_by_role("button", name="Export").click()
    exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert exported["messages"][0] == {"role": "user", "content": "the second"}
    page.locator(".entry").first.get_by_role("button", name="Delete").click()
    expect(entries).to_have_text(["the first"])
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_text(["renamed", "the first"])


def test_the_language_follows_the_browser_and_the_switch(open_page: Any) -> None:
    page = open_page(locale="zh-CN")
    expect(page.get_by_role("heading", level=1)).to_have_text("今天写点什么？")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="Switch to English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What shall we write today?")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_an_example_prompt_starts_a_conversation(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    page.get_by_role("button", name="写一首关于明月的诗").click()
    finished(page)
    assert endpoint.requests[0]["messages"] == [{"role": "user", "content": "写一首关于明月的诗"}]


def test_dark_follows_the_system_until_it_is_switched(open_page: Any) -> None:
    page = open_page(color_scheme="dark")
    lightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"
    assert page.evaluate(lightness) < 120
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(lightness) > 650
    page.reload()
    assert page.evaluate(lightness) > 650


def test_a_phone_has_no_horizontal_scroll_and_a_drawer_for_the_list(open_page: Any) -> None:
    page = open_page(viewport={"width": 360, "height": 720}, has_touch=True, is_mobile=True)
    ask(page, "markdown")
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(
        "document.getElementById('scroll').scrollWidth <= document.getElementById('scroll').clientWidth"
    )
    expect(page.locator("#side")).to_be_hidden()
    page.get_by_role("button", name="Show the list").click()
    expect(page.locator(".entry")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#side")).to_be_hidden()


def test_enter_inside_an_input_method_does_not_send(open_page: Any, endpoint: Endpoint) -> None:
    page = open_page()
    composer = page.get_by_label("Message", exact=True)
    composer.fill("ni hao")
    enter = {"key": "Enter", "bubbles": True, "cancelable": True}
    composer.dispatch_event("keydown", {**enter, "isComposing": True})
    composer.dispatch_event("keydown", {**enter, "keyCode": 229})
    expect(composer).to_have_value("ni hao")
    composer.press("Shift+Enter")
    expect(composer).to_have_value("ni hao\n")
    assert endpoint.requests == []
    composer.press("Enter")
    finished(page)
    assert len(endpoint.requests) == 1
