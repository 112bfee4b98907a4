"""Errors on their way to a client: one table from what was raised to status, type and code.

Every answer that is not a success has OpenAI's form, `{"error": {"message", "type", "param", "code"}}`, whatever went
wrong and wherever: a bad field, a wrong route, a missing key, a dead engine, a locked index, a graph that is away. The
types are vLLM's, for clients that compare them; `context_length_exceeded` is OpenAI's code, by which agents know that
they must shorten. Rooms below are known here by their errors alone, which load nothing else.
"""

from __future__ import annotations

import logging
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from pagoda.chat.places import blamed, dotted, expectation
from pagoda.dialogue.errors import DialogueError, SessionError
from pagoda.errors import (
    ChatModelError,
    ConstraintError,
    EngineDeadError,
    EngineOverloadedError,
    InvalidRequestError,
    PagodaError,
    PromptTooLongError,
)
from pagoda.graph.errors import GraphError
from pagoda.opinions.errors import OpinionStoreError
from pagoda.rag.errors import IndexLockedError, LoadError, StoreError, UnknownDocumentError
from pagoda.recommend.errors import RecommendStoreError

logger = logging.getLogger(__name__)


class ModelNotFoundError(InvalidRequestError):
    """The request names a model that is not served here."""


class UnauthorizedError(PagodaError):
    """The key is missing or not known."""


class ForbiddenError(PagodaError):
    """The key is known, and not for this."""


class BodyTooLargeError(PagodaError):
    """The request has more bytes than the operator allows."""


class UnsupportedMediaTypeError(PagodaError):
    """The body is not JSON."""


class UriTooLongError(PagodaError):
    """The URL has more bytes than any here has need of."""


class UnavailableError(PagodaError):
    """The server is loading, restarting or draining. `retry_after_s`: seconds until it is worth another try."""

    def __init__(self, message: str, *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequestsError(UnavailableError):
    """One key has too many requests under way."""


class ErrorRow(NamedTuple):
    """How one class of error is told.

    retry_after_s, param: for classes that do not carry these themselves; seconds, and the field at fault
    """

    status: int
    type: str
    code: str | int
    retry_after_s: float | None = None
    param: str | None = None


_UNAVAILABLE = ErrorRow(503, "ServiceUnavailableError", "unavailable")
TABLE: dict[type[BaseException], ErrorRow] = {
    PromptTooLongError: ErrorRow(400, "BadRequestError", "context_length_exceeded"),
    ModelNotFoundError: ErrorRow(404, "NotFoundError", 404),
    UnknownDocumentError: ErrorRow(404, "NotFoundError", 404),
    InvalidRequestError: ErrorRow(400, "BadRequestError", 400),
    UnauthorizedError: ErrorRow(401, "AuthenticationError", "invalid_api_key"),
    ForbiddenError: ErrorRow(403, "PermissionDeniedError", 403),
    BodyTooLargeError: ErrorRow(413, "RequestEntityTooLargeError", 413),
    UriTooLongError: ErrorRow(414, "BadRequestError", 414),
    UnsupportedMediaTypeError: ErrorRow(415, "UnsupportedMediaTypeError", 415),
    TooManyRequestsError: ErrorRow(429, "RateLimitError", "rate_limit_exceeded"),
    EngineOverloadedError: ErrorRow(503, "ServiceUnavailableError", "overloaded"),
    UnavailableError: _UNAVAILABLE,
    ChatModelError: _UNAVAILABLE._replace(retry_after_s=10.0),
    # Another process is at the index or the vector store, for as long as one indexing run takes.
    IndexLockedError: _UNAVAILABLE._replace(retry_after_s=5.0),
    StoreError: _UNAVAILABLE._replace(retry_after_s=5.0),
    # Over HTTP, files come as a form's field of this name.
    LoadError: ErrorRow(400, "BadRequestError", 400, param="file"),
    GraphError: _UNAVAILABLE._replace(retry_after_s=10.0),
    DialogueError: _UNAVAILABLE._replace(retry_after_s=10.0),
    # Two turns met at one session, or at the file of all: over in a moment.
    SessionError: _UNAVAILABLE._replace(retry_after_s=1.0),
    OpinionStoreError: _UNAVAILABLE._replace(retry_after_s=10.0),
    RecommendStoreError: _UNAVAILABLE._replace(retry_after_s=5.0),
    EngineDeadError: ErrorRow(500, "InternalServerError", "engine_dead"),
    Exception: ErrorRow(500, "InternalServerError", 500),
}
"""The mapping; of several that fit, the most derived class counts."""

_STATUS_TYPES = {400: "BadRequestError", 404: "NotFoundError", 405: "MethodNotAllowedError"}
_INTERNAL = "the server met an error of its own while it handled this request; its log says more"


def answer_for(error: BaseException) -> ErrorRow:
    """The row of the table for an error."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def error_body(message: str, type: str, param: str | None, code: str | int | None) -> dict[str, Any]:
    """OpenAI's error object. What is no Unicode text in a message becomes question marks."""
    plain = message.encode("utf-8", errors="replace").decode()
    return {"error": {"message": plain, "type": type, "param": param, "code": code}}


def body_for(error: BaseException) -> dict[str, Any]:
    """The error object of whatever was raised; faults of our own tell no internals."""
    answer = answer_for(error)
    message = str(error) if isinstance(error, PagodaError) else _INTERNAL
    return error_body(message, answer.type, getattr(error, "param", answer.param), answer.code)


def response_for(error: BaseException) -> JSONResponse:
    """The whole answer, with the headers by which clients decide whether to try again."""
    answer = answer_for(error)
    return JSONResponse(body_for(error), answer.status, headers=_headers(error, answer))


def install(app: FastAPI) -> None:
    """Have the application answer every error from the table."""
    app.add_exception_handler(PagodaError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_error)


def log_fault(error: BaseException) -> None:
    """A fault of our own belongs into the log; what a client did wrong does not."""
    if not isinstance(error, PagodaError):
        logger.error("a request failed", exc_info=error)


def _headers(error: BaseException, answer: ErrorRow) -> dict[str, str]:
    if answer.status == 401:
        return {"WWW-Authenticate": "Bearer"}
    retry_after_s = getattr(error, "retry_after_s", answer.retry_after_s)
    if retry_after_s is not None:
        return {"Retry-After": str(math.ceil(retry_after_s))}
    # Trying again would triple the load and meet the same fault.
    is_hopeless = answer.status >= 500 or isinstance(error, ConstraintError)
    return {"x-should-retry": "false"} if is_hopeless else {}


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    log_fault(error)
    return response_for(error)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this class"
    first = blamed(error.errors())
    expected = expectation(error.errors(), first)
    param = dotted(first["loc"])
    message = f"{param or 'the body'}: {expected}{_shown(first)}"
    return JSONResponse(error_body(message, "BadRequestError", param or None, 400), 400)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class"
    if isinstance(error.__cause__, PagodaError):
        return response_for(error.__cause__)
    message = {
        404: f"there is no {request.url.path:.200} here: GET /openapi.json lists what there is",
        405: f"{request.url.path:.200} does not take {request.method:.20}",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    kind = _STATUS_TYPES.get(error.status_code, "BadRequestError")
    return JSONResponse(error_body(message, kind, None, error.status_code), error.status_code, headers=headers)


def _allowed(request: Request) -> set[str]:
    """The methods that are taken at the path of a request, by whichever of its routes."""
    taken: set[str] = set().union(
        *(route.methods or () for route in _matching(request.app.router.routes, request.scope))
    )
    return taken | ({"HEAD"} if "GET" in taken else set())


def _matching(routes: Iterable[BaseRoute], scope: Scope) -> Iterator[Route]:
    """Routes of this path, whatever their methods. Newer versions of FastAPI keep included routers as they are."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _matching(included.routes, scope)
        elif isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            yield route


def _shown(detail: Mapping[str, Any]) -> str:
    given = detail.get("input")
    return f" (given: {reprlib.repr(given):.80})" if given is not None and not isinstance(given, (dict, bytes)) else ""
