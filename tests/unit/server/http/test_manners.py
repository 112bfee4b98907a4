"""HTTP as its standard has it, over all routes of the application."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from pagoda.server.config import ServerConfig
from pagoda.server.http.manners import PlainPaths

Serve = Callable[..., Any]
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
BODY = {"prompt": "从前", "max_tokens": 2}
JSON = {"content-type": "application/json"}


def ask(serve: Serve, work: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with serve(**options) as server:
            return await work(server)

    return asyncio.run(main())


def paths(app: Any, method: str) -> list[str]:
    """All paths that take this method, with names filled in."""
    described = [path for path, taken in app.openapi()["paths"].items() if method.lower() in taken]
    beside = ["/", "/openapi.json"] if method == "GET" else []
    return [path.replace("{model}", "fake").replace("{response_id}", "resp_1") for path in [*beside, *described]]


def is_error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# --- methods ------------------------------------------------------------------------------------------------------


def test_head_is_get_without_a_body_on_every_route(serve: Serve) -> None:
    async def work(server: Any) -> None:
        found = paths(server.app, "GET")
        assert {"/", "/health", "/ready", "/v1/models", "/v1/models/fake", "/metrics", "/openapi.json"} <= set(found)
        for path in found:
            got, head = await server.client.get(path), await server.client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["content-type"] == got.headers["content-type"], path
            if path != "/metrics":
                assert head.headers["content-length"] == got.headers["content-length"], path

    ask(serve, work)


def test_a_method_that_is_not_taken_is_a_405_that_says_which_are(serve: Serve) -> None:
    async def work(server: Any) -> None:
        for path in paths(server.app, "POST"):
            answer = await server.client.get(path)
            is_error(answer, 405)
            assert answer.headers["allow"] == "POST", path
        for path in paths(server.app, "GET"):
            answer = await server.client.put(path)
            is_error(answer, 405)
            assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", ")), path

    ask(serve, work)


def test_options_tell_what_may_be_done_without_cors_too(serve: Serve) -> None:
    async def work(server: Any) -> None:
        for path in [*paths(server.app, "GET"), *paths(server.app, "POST")]:
            answer = await server.client.request("OPTIONS", path)
            assert (answer.status_code, answer.content) == (204, b""), path
            assert {"GET", "POST", "DELETE"} & set(answer.headers["allow"].split(", ")), path
        is_error(await server.client.request("OPTIONS", "/v1/nowhere"), 404)

    ask(serve, work)


def test_a_browser_s_preflight_is_answered_where_cors_is_on(serve: Serve) -> None:
    asked = {"origin": "http://a.test", "access-control-request-method": "POST"}

    async def work(server: Any) -> httpx.Response:
        return await server.client.request("OPTIONS", COMPLETIONS, headers=asked)

    config = ServerConfig(allowed_origins=("http://a.test",), access_log=False)
    assert ask(serve, work, config=config).headers["access-control-allow-origin"] == "http://a.test"


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}/", "/{}", "{}//", "//{}///"])
def test_more_slashes_than_needed_change_nothing(serve: Serve, spelling: str) -> None:
    async def work(server: Any) -> None:
        for path in paths(server.app, "GET"):
            plain, odd = (
                await server.client.get(path),
                await server.client.get("http://localhost" + spelling.format(path)),
            )
            assert odd.status_code == plain.status_code, path
            if path != "/metrics":
                assert odd.content == plain.content, path
        answer = await server.client.post("http://localhost" + spelling.format(COMPLETIONS), json=BODY)
        assert answer.json()["object"] == "text_completion"

    ask(serve, work)


@pytest.mark.parametrize(
    ("raw", "served"),
    [
        ("/v1//names/a", "/v1/names/a"),
        ("//v1/names/%2Fa%2F%2Fb%2F/", "/v1/names//a//b/"),
        ("/v1/names/%2Fa", "/v1/names//a"),
        ("/v1/names/a%0Ab//", "/v1/names/a\nb"),
        ("//", "/"),
    ],
)
def test_a_slash_of_a_name_is_not_one_of_the_path(raw: str, served: str) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    async def work() -> None:
        scope = {"type": "http", "path": unquote(raw), "raw_path": raw.encode(), "query_string": b""}
        await PlainPaths(app)(scope, receive=None, send=None)  # type: ignore[arg-type]

    asyncio.run(work())
    assert seen == [served]


def test_more_slashes_open_nothing_that_needs_a_key(serve: Serve) -> None:
    async def work(server: Any) -> None:
        for path in ("//v1/models", "/v1/models/", "/health//../v1/models"):
            is_error(await server.client.get(f"http://test{path}"), 401)
        assert (await server.client.get("/health/")).status_code == 200

    ask(serve, work, config=ServerConfig(api_keys=("k",), access_log=False))


@pytest.mark.parametrize("url", ["/v1/" + "x" * 9000, "/health?" + "x" * 9000, "/v1/models/" + "%F0%9F%A6%8A" * 900])
def test_a_url_beyond_all_measure_is_a_414(serve: Serve, url: str) -> None:
    async def work(server: Any) -> httpx.Response:
        return await server.client.get(url)

    is_error(ask(serve, work), 414)


@pytest.mark.parametrize(
    "url", ["/v1/models/%ED%A0%BD", "/v1/models/%00", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models?x=%ff"]
)
def test_odd_urls_are_no_fault_of_the_server_s(serve: Serve, url: str) -> None:
    async def work(server: Any) -> httpx.Response:
        return await server.client.get(url)

    assert ask(serve, work).status_code in (200, 404)


# --- bodies -------------------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def post(
    serve: Serve, content: Any, headers: dict[str, str], path: str = COMPLETIONS, **options: Any
) -> httpx.Response:
    async def work(server: Any) -> httpx.Response:
        return await server.client.post(path, content=content, headers={**JSON, **headers})

    answer: httpx.Response = ask(serve, work, **options)
    return answer


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZip", lambda data: gzip.compress(data[:5], mtime=0) + gzip.compress(data[5:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/v1/embeddings", "/tokenize"])
def test_compressed_bodies_are_read(serve: Serve, encoding: str, pack: Callable[[bytes], bytes], path: str) -> None:
    body: dict[str, Any] = {"prompt": "从前"} if path in (COMPLETIONS, "/tokenize") else {"input": "从前"}
    body = {"messages": [{"role": "user", "content": "从前"}]} if path == CHAT else body
    packed = pack(json.dumps(body).encode())

    async def in_pieces() -> Any:
        for start in range(0, len(packed), 7):
            yield packed[start : start + 7]

    headers = {"content-encoding": encoding}
    for content in (packed, in_pieces()):
        assert post(serve, content, headers, path).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_other_encodings_are_refused_by_name(serve: Serve, encoding: str) -> None:
    answer = post(serve, b"\x28\xb5\x2f\xfd", {"content-encoding": encoding})
    assert f"Content-Encoding is {encoding}" in is_error(answer, 415)["message"]
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("content", [b"{}", gzip.compress(b'{"prompt": "x"}', mtime=0)[:-9], b"\x1f\x8b", b""])
def test_a_body_that_is_not_what_it_says_is_a_400(serve: Serve, content: bytes) -> None:
    assert "not sound gzip" in is_error(post(serve, content, {"content-encoding": "gzip"}), 400)["message"]


def test_what_a_small_body_inflates_to_counts(serve: Serve) -> None:
    bomb = gzip.compress(b'{"prompt": "' + b"x" * (10 << 20) + b'"}')
    assert len(bomb) < 16_000
    config = ServerConfig(max_body_bytes=1 << 20, access_log=False)
    is_error(post(serve, bomb, {"content-encoding": "gzip"}, config=config), 413)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_encoding_of_unicode_is_read(serve: Serve, encoding: str) -> None:
    content = json.dumps({**BODY, "echo": True}, ensure_ascii=False).encode(encoding)
    assert post(serve, content, {}).json()["choices"][0]["text"].startswith("从前")


@pytest.mark.parametrize(
    "kind",
    ["", "application/json; charset=latin-1", "application/json;", "Application/JSON", "application/vnd.api+json"],
)
def test_kinds_of_json_are_json(serve: Serve, kind: str) -> None:
    headers = {"content-type": kind}
    assert post(serve, json.dumps(BODY).encode(), headers).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "🦊".encode().decode("latin-1"),
    ],
)
def test_other_kinds_are_a_415(serve: Serve, kind: str) -> None:
    is_error(post(serve, json.dumps(BODY).encode(), {"content-type": kind.encode("latin-1")}), 415)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "content",
    [
        rb'{"prompt": "\ud83d"}',
        b'{"prompt": "\xed\xa0\xbd"}',
        b'{"prompt": NaN}',
        b'{"prompt": "x", "temperature": Infinity}',
        b'{"prompt": "x"} {"prompt": "y"}',
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b'\xff\xfe{\x00"',
        b"",
        b"null",
        b"[]",
        b'"prompt"',
        b"{" * 100_000,
    ],
)
def test_what_is_no_sound_json_object_is_a_400(serve: Serve, content: bytes) -> None:
    is_error(post(serve, content, {}), 400)


def test_of_two_fields_of_one_name_the_last_counts(serve: Serve) -> None:
    answer = post(serve, b'{"prompt": "a", "prompt": "b", "echo": true}', {})
    assert answer.json()["choices"][0]["text"].startswith("b")


LONE = r"\ud83d"
TOOL = '{"type": "function", "function": {"name": "f", "description": "LONE"}}'
HELLO = '{"role": "user", "content": "hi"}'


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (CHAT, '{"messages": [{"role": "user", "content": "LONE"}]}'),
        (CHAT, '{"messages": [{"role": "user", "content": [{"type": "text", "text": "LONE"}]}]}'),
        (CHAT, '{"messages": [{"role": "LONE", "content": "x"}]}'),
        (CHAT, '{"messages": [HELLO], "tools": [TOOL]}'),
        (CHAT, '{"messages": [HELLO], "stop": "LONE"}'),
        (CHAT, '{"messages": [HELLO], "stop": ["x", "LONE"]}'),
        (CHAT, '{"messages": [HELLO], "user": "LONE"}'),
        (CHAT, '{"messages": [HELLO], "chat_template_kwargs": {"x": "LONE"}}'),
        (CHAT, '{"messages": [HELLO], "model": "LONE"}'),
        (COMPLETIONS, '{"prompt": ["x", "LONE"]}'),
        (COMPLETIONS, '{"prompt": "x", "bad_words": ["LONE"]}'),
        (COMPLETIONS, '{"prompt": "x", "guided_choice": ["LONE"]}'),
        (COMPLETIONS, '{"prompt": "x", "LONE": 1}'),
        ("/v1/embeddings", '{"input": "LONE"}'),
        ("/v1/responses", '{"input": "LONE"}'),
        ("/v1/responses", '{"input": "x", "instructions": "LONE"}'),
        ("/tokenize", '{"prompt": "LONE"}'),
    ],
)
def test_half_a_character_is_refused_wherever_it_stands(serve: Serve, path: str, content: str) -> None:
    content = content.replace("HELLO", HELLO).replace("TOOL", TOOL).replace("LONE", LONE)
    is_error(post(serve, content.encode(), {}, path), 400)


@pytest.mark.parametrize("arguments", ['{"a": "\\ud83d"}', "[" * 50_000, '{"a": NaN}', "9" * 5000])
def test_json_within_json_is_no_fault_of_the_server_s(serve: Serve, arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    answer = post(serve, json.dumps({"messages": messages}).encode(), {}, CHAT, max_model_len=200_000)
    assert answer.status_code == 200, answer.text
