"""How a request reaches its endpoint, and what every endpoint may answer.

Between the middleware and the endpoints. A body that is no sound JSON, or does not fit, is a 400 that says where. Large
bodies are read and made ready aside from the event loop, so that nobody else waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException

from pagoda.chat.openai_types import ErrorResponse, SchemaHolder
from pagoda.errors import PagodaError
from pagoda.server.aside.bodies import BodyField, read
from pagoda.server.aside.threads import LIGHT
from pagoda.server.errors import UnsupportedMediaTypeError, log_fault, response_for
from pagoda.server.state import state_of
from pagoda.server.streaming import ClientLeftError, unless_client_leaves

P = ParamSpec("P")
T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""For the log; the client itself is gone."""

Documented = dict[int | str, dict[str, Any]]
"""Status -> what the API description says of it, as FastAPI takes it."""
_TEXTS = {
    400: "The request is malformed, or a field cannot be served",
    401: "The API key is missing or unknown",
    403: "The API key is known, and not for this",
    404: "The model is not served here",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "This key has too many requests under way",
    500: "A fault of the server's",
    503: "Loading, draining or overloaded: see Retry-After",
}


class _AnyName(PathConvertor):
    """What is left of a path, with line breaks too: `{user:name}`."""

    regex = r"[\s\S]+"


register_url_convertor("name", _AnyName())


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


class ReadRequest(Request):
    """A request whose body FastAPI finds read: it is an instance of the endpoint's model already."""

    async def read(self, field: BodyField) -> None:
        """Raises InvalidRequestError where the body is not JSON, RequestValidationError where it does not fit."""
        if body := await self.body():
            self._json = await prepared(self, read, body, field)


async def prepared(request: Request, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` makes of a request, aside where its body is large or holds a schema. Raises ClientLeftError.

    A schema takes as long as the search for what of it a grammar can hold, however few its bytes are.
    """
    has_schema = any(isinstance(given, SchemaHolder) and given.has_schema for given in args)
    if len(await request.body()) <= LIGHT and not has_schema:
        return work(*args, **kwargs)
    return await unless_client_leaves(request, state_of(request).aside.run(work, *args, **kwargs))


class JsonRoute(APIRoute):
    """A route that takes JSON only, and whose client may leave at any time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the body's kind checked first."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method in ("POST", "PUT", "PATCH"):
                _check_media_type(request)
            try:
                reading = ReadRequest(request.scope, request.receive)
                if self.body_field is not None:
                    await reading.read(self.body_field)
                return await handle(reading)
            except ClientLeftError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except (PagodaError, HTTPException, RequestValidationError):
                raise
            except Exception as error:
                # Here, and not outside of all middleware, so that the answer has a request id as every other has.
                log_fault(error)
                return response_for(error)

        return checked


def _check_media_type(request: Request) -> None:
    """Raises UnsupportedMediaTypeError where the body says that it is something else than JSON."""
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given and given != "application/json" and not (given.startswith("application/") and given.endswith("+json")):
        raise UnsupportedMediaTypeError(f"the body is {given}, but application/json is expected")
