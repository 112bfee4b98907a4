"""The scripted endpoint, and the page in front of it, in a browser context (and localStorage) of each test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from chat_page import Endpoint, handler_for
from patience import HANG_S


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
