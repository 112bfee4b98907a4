"""The front of several replicas: takes a request whole, has the router find who gets it, passes the answer on.

On the token's path behind several replicas: between Ray Serve's HTTP proxy and the replicas. It holds no model. Where a
replica is lost, ends, restarts or is full, another one is asked, unless the client has got some of the answer already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from pagoda.server.access import given_key
from pagoda.server.replicas.answers import (
    Message,
    another_may,
    broken_off,
    is_full,
    is_loss,
    is_whole,
    merged_metrics,
    nobody_can,
    too_many_wait,
)
from pagoda.server.replicas.delivery import Delivery
from pagoda.server.replicas.prefixes import beginning_of
from pagoda.server.replicas.replica import Forwarded
from pagoda.server.replicas.table import RoutedRequest

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentResponseGenerator

_LARGE = 16 * 1024
_MOST_TRIES = 8
_MOST_LOSSES = 2
"""Replicas that one request may be lost with: it may be what breaks them."""
_RETRY_S = 0.25
_PLAIN = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers", "client")
"""Of ASGI's scope; `server` is the proxy's business."""


class Front:
    """Ray Serve makes one. replicas: (application, deployment) to ask; max_body_bytes: a body beyond it is cut there,
    and refused by whichever replica gets it.
    """

    def __init__(self, replicas: tuple[str, str], max_body_bytes: int) -> None:
        self._handle = serve.get_deployment_handle(replicas[1], replicas[0]).options(stream=True)
        self._max_body_bytes = max_body_bytes

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        request = Forwarded({name: scope[name] for name in _PLAIN if name in scope}, await self._body(receive))
        if scope["path"] == "/metrics":
            answering = asyncio.ensure_future(self._metrics(request, send))
        else:
            answering = asyncio.ensure_future(self._answer(request, send))
        leaving = asyncio.ensure_future(_until_disconnected(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body") or len(body) > self._max_body_bytes:
                break
        return bytes(body)

    async def _answer(self, request: Forwarded, send: Send) -> None:
        key = given_key(Headers(raw=request.scope["headers"])) or ""
        if len(request.body) > _LARGE:
            beginning = await asyncio.to_thread(beginning_of, request.body, key)
        else:
            beginning = beginning_of(request.body, key)
        client = Delivery(send)
        failed: set[str] = set()
        last: list[Message] | None = None
        num_losses = 0
        for number in range(_MOST_TRIES):
            ticket = RoutedRequest(beginning, avoid=frozenset(failed))
            try:
                if (last := await self._tried(request, ticket, client)) == []:
                    return
            finally:
                ticket.ended()
            num_losses += last is None or is_loss(last)
            # Whoever is asked a second time is the best that there is: all of them are full.
            if num_losses >= _MOST_LOSSES or (last and is_full(last) and (ticket.replica or "") in {"", *failed}):
                break
            failed |= {ticket.replica} if ticket.replica is not None else set()
            await asyncio.sleep(_RETRY_S * number)
        await client.end(last or nobody_can())

    async def _tried(self, request: Forwarded, ticket: RoutedRequest, client: Delivery) -> list[Message] | None:
        """[] where the client has its answer, or its end; else what a replica said that another may do better."""
        held: list[Message] = []
        try:
            async with aclosing(self._messages(request, ticket)) as messages:
                async for message in messages:
                    if client.has_begun:
                        await client.send([message])
                    elif await client.hold(held, message):
                        return held
        except BackPressureError:
            return too_many_wait()
        except (RayError, RayServeException):
            if client.has_begun:
                if not client.has_all:
                    await client.send(list(broken_off()))
                return []
            # What was there as a whole before its replica was lost is an answer.
            if not is_whole(held):
                return None
        if client.has_begun:
            return []
        if not held or another_may(held):
            return held or None
        await client.send(held)
        return []

    async def _messages(self, request: Forwarded, ticket: RoutedRequest) -> AsyncGenerator[Message]:
        """Of the replica that the router finds. Raises RayError where it is lost."""
        response = cast("DeploymentResponseGenerator[list[Message]]", self._handle.handle.remote(request, ticket))
        ended = False
        try:
            async for messages in response:
                ticket.began()
                for message in messages:
                    yield message
            ended = True
        finally:
            if not ended:
                response.cancel()

    async def _metrics(self, request: Forwarded, send: Send) -> None:
        """Those of all replicas."""
        first = RoutedRequest()
        answers: list[tuple[RoutedRequest, list[Message]]] = []
        try:
            with contextlib.suppress(RayError, RayServeException):
                answers.append((first, [each async for each in self._messages(request, first)]))
        finally:
            first.ended()
        for name in first.table.names if first.table is not None else []:
            ticket = RoutedRequest(to=name)
            with contextlib.suppress(RayError, RayServeException):
                told = [each async for each in self._messages(request, ticket)] if name != first.replica else []
                # Where it has just gone, another one was asked: once is enough of that.
                answers += [(ticket, told)] if told and ticket.replica == name else []
        if not answers or answers[0][1][0]["status"] != 200:
            await Delivery(send).end(answers[0][1] if answers else nobody_can())
            return
        start = answers[0][1][0]
        pages = [
            (ticket.replica or "", b"".join(each["body"] for each in told[1:]).decode()) for ticket, told in answers
        ]
        body = merged_metrics(pages).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class AsgiFront:
    """The ASGI application that Ray Serve's proxy calls in the front's process; a class, as it takes functions for
    builders of one.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the front that stands in this process."""
        if scope["type"] == "http":
            own: Any = serve.get_replica_context().servable_object
            await own.answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
