"""HTTP itself: routes, methods, kinds of bodies, connections that stay open."""

from __future__ import annotations

import asyncio
import gzip
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


@check("load balancers, link checkers")
async def head_is_get_without_a_body(server: Context) -> None:
    """HEAD on what can be read is answered as GET, without the body: HTTP asks it of every server."""
    got, head = await server.client.get("/v1/models"), await server.client.request("HEAD", "/v1/models")
    equal(head.status, got.status, "the status of HEAD")
    equal(head.headers.get("content-type"), got.headers.get("content-type"), "its content-type")
    expect(not head.content, "no body", head.summary(), head)


@check("plain HTTP")
async def allow_lists_get(server: Context) -> None:
    """A 405 on what can be read names GET in its Allow header."""
    reply = await server.client.request("DELETE", "/v1/models")
    if reply.status == 404:
        raise NotApplicableError("DELETE of /v1/models is a 404 here")
    equal(reply.status, 405, "the status")
    expect("GET" in reply.headers.get("allow", ""), "Allow with GET", reply.headers.get("allow"), reply)


@check("clients whose base URL ends with a slash")
async def trailing_slash_is_no_other_thing(server: Context) -> None:
    """/v1/models/ is the list, a redirect to it, or a 404, and no other object."""
    reply = await server.client.get("/v1/models/")
    if reply.status == 200:
        equal(reply.json().get("object"), "list", "object")
    else:
        expect(reply.status in (301, 302, 307, 308, 404), "the list, a redirect or 404", reply.summary(), reply)


@check("clients whose base URL ends with a slash")
async def spare_slashes_do_no_harm(server: Context) -> None:
    """//v1/models is the list, a redirect, or a 404."""
    reply = await server.client.get("//v1/models")
    if reply.status == 200:
        equal(reply.json().get("object"), "list", "object")
    else:
        expect(300 <= reply.status < 500, "the list, a redirect or 404", reply.summary(), reply)


@check("clients that compress large prompts")
async def gzip_is_read_or_refused_by_name(server: Context) -> None:
    """A gzip body is read, or refused with 415 and a word about its encoding, and not as malformed JSON."""
    content = gzip.compress(encoded(server.body(COMPLETIONS, max_tokens=1)))
    reply = await server.client.request("POST", COMPLETIONS, content, {**JSON_BODY, "Content-Encoding": "gzip"})
    if reply.status != 200:
        message = refused(reply, 415)["message"].lower()
        expect("encoding" in message, "a message about the encoding", message, reply)


@check("clients that compress large prompts")
async def broken_gzip_is_refused(server: Context) -> None:
    """A body that says gzip and is none is refused, and never a 5xx."""
    headers = {**JSON_BODY, "Content-Encoding": "gzip"}
    refused(await server.client.request("POST", COMPLETIONS, b"\x1f\x8b\x08 no", headers), 400, 415)


@check("every operator")
async def gzip_bomb_is_refused(server: Context) -> None:
    """A small body that inflates to 16 MiB is refused."""
    body = server.body(COMPLETIONS, max_tokens=1, user="x" * _LARGE)
    # In a thread: connections of other checks would time out meanwhile.
    content = await asyncio.to_thread(lambda: gzip.compress(encoded(body), compresslevel=1))
    reply = await server.client.request("POST", COMPLETIONS, content, {**JSON_BODY, "Content-Encoding": "gzip"})
    if reply.status == 200:
        raise NotApplicableError("this server takes bodies of 16 MiB")
    refused(reply, 413, 415, 400)


@check("clients that compress large prompts")
async def unknown_encoding_is_refused_by_name(server: Context) -> None:
    """A Content-Encoding that nobody knows is refused with 415, and not as malformed JSON."""
    headers = {**JSON_BODY, "Content-Encoding": "x-nobody"}
    refused(await server.client.request("POST", COMPLETIONS, b"\x00\x01", headers), 415)


@check("netcat, HAProxy: RFC 9112, 9.6")
async def half_closed_connection_gets_its_answer(server: Context) -> None:
    """A client that closes its half of the connection after the request gets the answer."""
    if server.client.url.startswith("https"):
        raise NotApplicableError("TLS has no half-closed connections")
    content = encoded(server.body(COMPLETIONS, max_tokens=16))
    length = {"Content-Length": str(len(content))}
    reply = await server.client.spoken(COMPLETIONS, content, length, half_close=True)
    expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("curl, Java: they stream a body whose length they do not know")
async def chunked_body_is_read(server: Context) -> None:
    """A body in chunks is read."""
    content = encoded(server.body(COMPLETIONS, max_tokens=1))
    pieces = (content[:20], content[20:])
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    reply = await server.client.spoken(COMPLETIONS, chunks, {"Transfer-Encoding": "chunked"})
    expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("curl, .NET: they ask before they send a large body")
async def expectation_is_met(server: Context) -> None:
    """A request with `Expect: 100-continue` is answered."""
    content = encoded(server.body(COMPLETIONS, max_tokens=1))
    fields = {"Content-Length": str(len(content)), "Expect": "100-continue"}
    reply = await server.client.spoken(COMPLETIONS, content, fields)
    expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("programs on Windows")
async def byte_order_mark_does_no_harm(server: Context) -> None:
    """JSON behind a byte order mark is read or refused with 400, and never a 5xx."""
    content = b"\xef\xbb\xbf" + encoded(server.body(COMPLETIONS, max_tokens=1))
    reply = await server.client.request("POST", COMPLETIONS, content, JSON_BODY)
    if reply.status != 200:
        refused(reply)


@check("every operator")
async def endless_url_does_no_harm(server: Context) -> None:
    """A URL of 20,000 characters is a 4xx."""
    reply = await server.client.get("/v1/models/" + "x" * 20_000)
    expect(400 <= reply.status < 500, "a 4xx", reply.summary(), reply)
