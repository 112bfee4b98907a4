"""The application: routers, middleware and the error table around one engine.

First file of a request's path. `build_app` wires and does nothing else; `server.serve` runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.middleware.cors import CORSMiddleware

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.models.tokenizer.tool_formats import tool_format
from pagoda.server import errors, status
from pagoda.server.applications import dialogue, opinions, rag, recommend, service
from pagoda.server.applications.application import Application, MakeApplication
from pagoda.server.config import ServerConfig
from pagoda.server.http.manners import HeadAsGet, InflatedBodies, PlainPaths
from pagoda.server.middleware import ApiKeys, BodyLimit, OwnHosts, OwnOrigins, RequestId, is_loopback
from pagoda.server.observing.access_log import AccessLog
from pagoda.server.observing.metrics import Metrics
from pagoda.server.openai import chat_completions, completions, embeddings, responses, tokenization
from pagoda.server.state import ServerState
from pagoda.version import __version__

ROUTERS = (completions, chat_completions, responses, embeddings, tokenization, status)
APPLICATIONS: tuple[MakeApplication, ...] = (
    rag.application,
    dialogue.application,
    opinions.application,
    recommend.application,
    service.application,
)
"""Another one is another file in `applications`, and its name here."""
SUMMARY = "A language model behind OpenAI's API, with the further fields and endpoints of vLLM's server"
PAGE = files("pagoda.server") / "page" / "index.html"
_IMPORT = re.compile(
    r'^(?:@?import "(?P<code>applications\.(?:css|js))";| *<!-- import "(?P<markup>applications\.(?:svg|html))" -->)$',
    re.MULTILINE,
)
ShowPage = Callable[[], Coroutine[Any, Any, HTMLResponse]]
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def build_app(engine: AsyncEngine, config: ServerConfig) -> FastAPI:
    """The whole application. The engine may still be loading; /ready says when it is there.

    Raises ConfigError for a setting that is not known.
    """
    tool_format(config.tool_call_parser)
    app = FastAPI(title="pagoda", version=__version__, strict_content_type=False, docs_url=None, redoc_url=None)
    metrics = Metrics(config.metrics_prefix)
    app.state.server = ServerState(engine, config, metrics)
    errors.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    applications = tuple(made for make in APPLICATIONS if (made := make(config, engine)) is not None)
    app.state.applications = applications
    app.state.file_search = next((each.file_search for each in applications if each.file_search is not None), None)
    for application in applications:
        app.include_router(application.router)
        if application.collector is not None:
            metrics.register(application.collector)
    pages = _pages(applications) if config.page else {}
    for path, page in pages.items():
        app.add_api_route(path, page, include_in_schema=False, response_class=HTMLResponse)
    _add_middleware(app, config, metrics, applications, open_paths=frozenset(pages))
    setattr(app, "openapi", partial(_describe, app))  # noqa: B010 - FastAPI's way, which mypy takes for a mistake
    return app


def _add_middleware(
    app: FastAPI,
    config: ServerConfig,
    metrics: Metrics,
    applications: Sequence[Application],
    open_paths: frozenset[str],
) -> None:
    """What every request passes. The last one added is the outermost."""
    app.add_middleware(BodyLimit, max_bytes=config.max_body_bytes)
    app.add_middleware(InflatedBodies, max_bytes=config.max_body_bytes)
    own_keys = {application.router.prefix: application.keys for application in applications if application.keys}
    app.add_middleware(ApiKeys, keys=config.api_keys, open_paths=open_paths, own_keys=own_keys)
    app.add_middleware(OwnOrigins, allowed=config.allowed_origins)
    if config.allowed_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.allowed_origins), allow_methods=["*"], allow_headers=["*"]
        )
    # Whoever has no key reaches nothing by another name, and who listens to others is known by names of theirs.
    if config.allowed_hosts or (is_loopback(config.host) and not config.api_keys):
        app.add_middleware(OwnHosts, names=config.allowed_hosts)
    app.add_middleware(HeadAsGet)
    app.add_middleware(PlainPaths)
    app.add_middleware(RequestId)
    app.add_middleware(AccessLog, metrics=metrics, enabled=config.access_log)


def _describe(app: FastAPI) -> dict[str, Any]:
    """The API's description, without the 422 that FastAPI assumes for every body: here that is a 400."""
    if app.openapi_schema is None:
        description = get_openapi(title=app.title, version=app.version, summary=SUMMARY, routes=app.routes)
        for operations in description["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            description["components"]["schemas"].pop(unused, None)
        app.openapi_schema = description
    return app.openapi_schema


def _pages(applications: Sequence[Application]) -> dict[str, ShowPage]:
    """Path -> page: the chat, and those of the applications."""
    panels = [application.panel for application in applications if application.panel]
    own = {f"/{application.name}": application.page for application in applications}
    return {
        "/": partial(_shown, PAGE, panels),
        **{path: partial(_shown, page, []) for path, page in own.items() if page is not None},
    }


def page_text(page: Traversable) -> str:
    """A page as it is sent: one file, with what pages have in common in the place of its imports."""
    folder = files("pagoda.server") / "page"
    return _IMPORT.sub(
        lambda named: (folder / (named["code"] or named["markup"])).read_text(encoding="utf-8").rstrip("\n"),
        page.read_text(encoding="utf-8"),
    )


async def _shown(page: Traversable, panels: Sequence[str]) -> HTMLResponse:
    text = page_text(page)
    # So that the chat page need not ask for endpoints which most servers do not have.
    marked = text.replace("<body>", f"<body {' '.join(panels)}>", 1) if panels else text
    return HTMLResponse(marked, headers=_PAGE_HEADERS)
