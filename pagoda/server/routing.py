"""How bodies are read, and what every endpoint may answer.

Between the middleware and the endpoints. JSON is parsed by pydantic's reader, which refuses what Python's lets pass:
NaN, lone surrogates, endless nesting; the answer is a 400 that says where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from pagoda.chat.openai_types import ErrorResponse
from pagoda.errors import InvalidRequestError, PagodaError
from pagoda.server.errors import UnsupportedMediaTypeError, log_fault, response_for
from pagoda.server.streaming import ClientLeftError

CLIENT_CLOSED_REQUEST = 499
"""For the log; the client itself is gone."""

Documented = dict[int | str, dict[str, Any]]
"""Status -> what the API description says of it, as FastAPI takes it."""
_TEXTS = {
    400: "The request is malformed, or a field cannot be served",
    401: "The API key is missing or unknown",
    404: "The model is not served here",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "This key has too many requests under way",
    500: "A fault of the server's",
    503: "Loading, draining or overloaded: see Retry-After",
}


def documented(*statuses: int) -> Documented:
    """Entries of the API description for these errors."""
    return {status: {"model": ErrorResponse, "description": _TEXTS[status]} for status in statuses}


GENERATING = documented(400, 401, 404, 413, 415, 429, 500, 503) | {
    200: {
        "description": "The answer; with `stream`, server-sent events that end with `[DONE]`",
        "content": {"text/event-stream": {"schema": {}}},
    }
}
POSTING = documented(400, 401, 404, 413, 415, 429, 500, 503)
READING = documented(401, 500, 503)


class StrictRequest(Request):
    """A request whose body must be sound JSON."""

    async def json(self) -> Any:
        """The body. Raises InvalidRequestError where it is not JSON."""
        body = await self.body()
        try:
            return from_json(_as_utf8(body), allow_inf_nan=False)
        except ValueError as error:
            raise InvalidRequestError(f"the body is not valid JSON: {error}") from error


class JsonRoute(APIRoute):
    """A route that takes JSON only, and whose client may leave at any time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the body's kind checked first."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method in ("POST", "PUT", "PATCH"):
                _check_media_type(request)
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except ClientLeftError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except (PagodaError, HTTPException, RequestValidationError):
                raise
            except Exception as error:
                # Here, and not outside of all middleware, so that the answer has a request id as every other has.
                log_fault(error)
                return response_for(error)

        return checked


def _as_utf8(body: bytes) -> bytes:
    """JSON in any encoding of Unicode, with or without its mark, as Windows' programs write it."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding).encode()


def _check_media_type(request: Request) -> None:
    """Raises UnsupportedMediaTypeError where the body says that it is something else than JSON."""
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given and given != "application/json" and not (given.startswith("application/") and given.endswith("+json")):
        raise UnsupportedMediaTypeError(f"the body is {given}, but application/json is expected")
