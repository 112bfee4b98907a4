"""Both ends of the chat page: a scripted endpoint that speaks OpenAI's API, and a person at the keyboard.

The endpoint is the standard library's server, so what fails in front of it is the page and nothing behind it. The last
words of a message choose what it answers: see `SCRIPT`.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from patience import HANG_S

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra").expect

PAGE = Path(__file__).parents[1] / "pagoda" / "server" / "page" / "index.html"
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

REFUSALS = {
    "busy": (503, "256 requests are waiting already", "overloaded"),
    "hasty": (429, "this key has 4 requests under way", "rate_limit_exceeded"),
    "early": (503, "the model is not ready, the engine is loading: try again in a moment", "unavailable"),
    "endless-prompt": (
        400,
        "This model's maximum context length is 64 tokens. However, your prompt contains 90 input tokens",
        "context_length_exceeded",
    ),
    "faulty": (500, "the server met an error of its own", 500),
    "gone": (404, "the model `x` does not exist", 404),
    "proxied": (502, "Bad Gateway", None),
    "barred": (403, "not for you", None),
}
"""Last word of a message -> how it is refused, once: status, message, code."""


@dataclass
class Endpoint:
    """What the tests know of the scripted server, and what they tell it."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    left: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    failures: int = 0
    card: dict[str, Any] = field(default_factory=dict)
    is_loading: bool = False

    def forget(self) -> None:
        self.requests, self.key, self.failures = [], None, 0
        self.card, self.is_loading = {}, False
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
                if endpoint.is_loading:
                    self.refuse(503, "the model is loading: try again in a moment", "unavailable", {"Retry-After": "2"})
                    return
                models = [{"id": name, "object": "model", **endpoint.card} for name in ("builtin", "other")]
                self.answer_json(200, {"object": "list", "data": models})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.requests.append(body)
            if not self.allowed():
                return
            if self.path == "/v1/completions":
                self.go_on_with(STORY)
                return
            said = body["messages"][-1]["content"].split()[-1]
            if said in REFUSALS and endpoint.failures == 0:
                endpoint.failures += 1
                status, message, code = REFUSALS[said]
                self.refuse(status, message, code, {"Retry-After": "30"} if status in (429, 503) else None)
            elif said == "long" and len(body["messages"]) > 3:
                self.refuse(*REFUSALS["endless-prompt"])
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

        def go_on_with(self, pieces: list[str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.end_headers()
            for i, piece in enumerate(pieces):
                finish_reason = "length" if i == len(pieces) - 1 else None
                choice = {"index": 0, "text": piece, "finish_reason": finish_reason}
                self.event(f"data: {json.dumps({'object': 'text_completion', 'choices': [choice]})}\n\n")
            self.event("data: [DONE]\n\n")

        def answer_to(self, said: str, body: dict[str, Any]) -> None:
            pieces = SCRIPT.get(said, STORY)
            for i, piece in enumerate(pieces):
                if said in ("hold", "broken") and i == 3:
                    endpoint.go_on.wait(HANG_S)
                    endpoint.go_on.clear()
                if said == "cut" and i == 3:
                    self.wfile.write(b"data: {")  # and the connection ends, as when a server is killed
                    raise ConnectionAbortedError
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

        def refuse(self, status: int, message: str, code: Any, headers: dict[str, str] | None = None) -> None:
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


def ask(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def finished(page: Any, number: int = 1) -> Any:
    """The last of `number` answers, once it is complete."""
    expect(page.locator(".assistant")).to_have_count(number)
    expect(page.locator(".streaming")).to_have_count(0)
    return page.locator(".assistant").last
