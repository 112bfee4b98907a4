"""HTTP itself: routes, methods, kinds of bodies, connections that stay open."""

from __future__ import annotations

import json

from pagoda.conformance.check import CHAT, COMPLETIONS, PROMPT, Context, check, equal, expect, refused
from pagoda.conformance.client import JSON_BODY, encoded
from pagoda.conformance.evidence import NotApplicableError

_LARGE = 16 << 20


@check("openai-python: NotFoundError with its message")
async def unknown_route(server: Context) -> None:
    """An unknown route is a 404 with the error object."""
    refused(await server.client.get("/v1/no/such/route"), 404)
    refused(await server.client.post("/v1/audio/no-such-thing", {}), 404)


@check("plain HTTP")
async def wrong_method(server: Context) -> None:
    """A GET where a POST is expected is a 405 with the error object and the Allow header."""
    reply = await server.client.get(CHAT)
    refused(reply, 405)
    allow = reply.headers.get("allow", "")
    expect("POST" in allow, "Allow: POST", allow or "no such header", reply)


@check("plain HTTP, proxies")
async def too_large_a_body(server: Context) -> None:
    """A body of 16 MiB is refused with 413 (or 400) and the error object."""
    content = encoded(server.body(COMPLETIONS, max_tokens=1, user="x" * _LARGE))
    reply = await server.client.request("POST", COMPLETIONS, content, JSON_BODY)
    if reply.status == 200:
        raise NotApplicableError("this server takes bodies of 16 MiB")
    refused(reply, 413, 400)


@check("plain HTTP")
async def body_of_another_kind(server: Context) -> None:
    """A body that says it is no JSON is refused with 415 (or 400) and the error object."""
    content = encoded(server.body(CHAT))
    refused(await server.client.request("POST", CHAT, content, {"Content-Type": "text/plain"}), 415, 400)


@check("Java and .NET clients send it so")
async def charset_is_taken(server: Context) -> None:
    """application/json with a charset is JSON."""
    content = encoded(server.body(CHAT, max_tokens=1))
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = await server.client.request("POST", CHAT, content, headers)
    expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("every client")
async def answers_say_json(server: Context) -> None:
    """Answers and errors are application/json."""
    for reply in (await server.send(COMPLETIONS), await server.send(CHAT, n=0), await server.client.get("/v1/models")):
        kind = reply.headers.get("content-type", "")
        expect(kind.startswith("application/json"), "content-type application/json", kind, reply)


@check("connection pools: httpx, requests, aiohttp")
async def connection_outlives_errors(server: Context) -> None:
    """One connection carries a bad request, malformed JSON and then a good one."""
    good = encoded({"model": server.facts.model, "prompt": PROMPT, "max_tokens": 2})
    bad = encoded({"model": server.facts.model, "prompt": PROMPT, "max_tokens": -1})
    replies = await server.client.raw([good, bad, b'{"prompt": ', good])
    equal([reply.status for reply in replies], [200, 400, 400, 200], "statuses")
    expect(json.loads(replies[-1].content)["choices"], "choices in the last answer", replies[-1].summary())


@check("load balancers")
async def head_and_options(server: Context) -> None:
    """HEAD and OPTIONS are answered, if only with 405, and never with a 5xx."""
    for method, path in (("HEAD", "/health"), ("OPTIONS", "/v1/models"), ("HEAD", "/v1/models")):
        reply = await server.client.request(method, path)
        expect(reply.status < 500, "a status below 500", reply.summary(), reply)
        expect(method != "HEAD" or not reply.content, "no body after HEAD", reply.summary(), reply)


@check("browsers")
async def cors_preflight(server: Context) -> None:
    """Where CORS is on, a browser's preflight is allowed its headers."""
    headers = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    reply = await server.client.request("OPTIONS", CHAT, b"", headers)
    if "access-control-allow-origin" not in reply.headers:
        raise NotApplicableError("CORS is not configured for example.org")
    expect(reply.status in (200, 204), "status 200 or 204", reply.summary(), reply)
    allowed = reply.headers.get("access-control-allow-headers", "").lower()
    expect("*" in allowed or "authorization" in allowed, "authorization among the allowed headers", allowed, reply)
