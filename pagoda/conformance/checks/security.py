"""Strangers and hostile requests: keys, and bodies that are made to break a server."""

from __future__ import annotations

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, expect, refused
from pagoda.conformance.client import JSON_BODY, Reply, encoded
from pagoda.conformance.evidence import NotApplicableError


def _kept(reply: Reply) -> None:
    """The server neither failed nor told of its insides."""
    expect(reply.status < 500, "a status below 500", reply.summary(), reply)
    for betrayal in ("Traceback", 'File "/', ".py\\"):
        expect(betrayal not in reply.text, "no traceback or path in the answer", reply.summary(), reply)


def _with_model(server: Context, rest: bytes) -> bytes:
    """A body whose other fields no JSON writer would write."""
    return b'{"model": ' + encoded(server.facts.model) + b', "prompt": "a", ' + rest + b"}"


@check("openai-python: AuthenticationError")
async def without_a_key(server: Context) -> None:
    """Without a key: 401 with WWW-Authenticate and the error object, if the server has keys."""
    if not server.facts.needs_key:
        raise NotApplicableError("this server has no keys")
    reply = await server.client.request("GET", "/v1/models", authorized=False)
    refused(reply, 401)
    challenge = reply.headers.get("www-authenticate", "")
    expect(challenge.lower().startswith("bearer"), "WWW-Authenticate: Bearer", challenge or "no such header", reply)


@check("openai-python: AuthenticationError")
async def with_a_wrong_key(server: Context) -> None:
    """A wrong key, an odd scheme or an empty one: 401, if the server has keys."""
    if not server.facts.needs_key:
        raise NotApplicableError("this server has no keys")
    for value in ("Bearer no-such-key", "Bearer", "Basic Zm94OmZveA==", "fox"):
        headers = {**JSON_BODY, "Authorization": value}
        refused(await server.client.request("POST", CHAT, b"{}", headers, authorized=False), 401)


@check("every operator")
async def errors_tell_no_insides(server: Context) -> None:
    """No error has a traceback or a path of the server's in it."""
    for content in (b"{", b"[]", b'{"prompt": {"a": 1}}', b'{"messages": 5}', b'{"prompt": "a", "n": "x"}'):
        for path in (COMPLETIONS, CHAT):
            _kept(await server.client.request("POST", path, content, JSON_BODY))


@check("every operator")
async def endless_nesting(server: Context) -> None:
    """JSON that is nested 100,000 deep is a 400."""
    knot = b'"x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    for deep in (b"[" * 100_000, _with_model(server, knot)):
        refused(await server.client.request("POST", COMPLETIONS, deep, JSON_BODY))


@check("every operator")
async def enormous_numbers(server: Context) -> None:
    """Numbers beyond all bounds are 400, for a seed at least no 5xx."""
    for field in (b'"max_tokens": ', b'"temperature": ', b'"n": '):
        content = _with_model(server, field + b"9" * 400)
        refused(await server.client.request("POST", COMPLETIONS, content, JSON_BODY))
    _kept(await server.send(COMPLETIONS, seed=2**70))


@check("every operator")
async def odd_characters(server: Context) -> None:
    """NUL, control characters and lone surrogates in a prompt are answered with 200 or 400."""
    for text in (rb"\u0000fox", rb"\u0007\u001b[2J", rb"\ud800 fox", rb"\udc00\ud800"):
        content = _with_model(server, b'"max_tokens": 2, "user": "' + text + b'", "prompt": "' + text + b'"')
        _kept(await server.client.request("POST", COMPLETIONS, content, JSON_BODY))


@check("plain HTTP")
async def token_ids_that_do_not_exist(server: Context) -> None:
    """Token ids below 0 or beyond the vocabulary are 400 with param `prompt`."""
    for ids in ([-1], [5, 10**9], [2**63]):
        error = refused(await server.send(COMPLETIONS, prompt=ids))
        expect(str(error["param"]).startswith("prompt"), "param prompt", error)


@check("every operator")
async def special_tokens_in_odd_places(server: Context) -> None:
    """Biases and stops for tokens that do not exist, or thousands of stop strings, are never a 5xx."""
    _kept(await server.send(COMPLETIONS, logit_bias={str(10**9): 5}))
    _kept(await server.send(COMPLETIONS, stop_token_ids=[10**9, -7]))
    _kept(await server.send(COMPLETIONS, stop=[f"word {number}" for number in range(5000)]))


@check("every operator")
async def regex_that_explodes(server: Context) -> None:
    """A regular expression or schema that would grow without bounds is refused or served, and in time."""
    _kept(await server.send(COMPLETIONS, structured_outputs={"regex": "(a{1,9999}){1,9999}"}))
    knot = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    form = {"type": "json_schema", "json_schema": {"name": "knot", "schema": knot}}
    _kept(await server.send(CHAT, response_format=form))


@check("every operator")
async def half_a_character_anywhere(server: Context) -> None:
    """A lone surrogate in a message, a tool, a stop string or a field's name is answered with 200 or 400."""
    lone = rb"\ud83d"
    user = b'{"role": "user", "content": "x"}'
    tool = b'{"type": "function", "function": {"name": "f", "description": "%s"}}' % lone
    for fields in (
        b'"messages": [{"role": "user", "content": "%s"}]' % lone,
        b'"messages": [{"role": "user", "content": [{"type": "text", "text": "%s"}]}]' % lone,
        b'"messages": [%s], "tools": [%s]' % (user, tool),
        b'"messages": [%s], "stop": ["%s"]' % (user, lone),
        b'"messages": [%s], "%s": 1' % (user, lone),
    ):
        content = _with_model(server, b'"max_tokens": 1, ' + fields)
        _kept(await server.client.request("POST", CHAT, content, JSON_BODY))
