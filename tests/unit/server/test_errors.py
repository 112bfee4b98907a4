"""Every way in which a request can fail: status, type, code, the field at fault, and headers for retrying."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from pagoda.chat.places import dotted
from pagoda.dialogue.errors import DomainError, SessionError
from pagoda.errors import (
    ChatModelError,
    EngineDeadError,
    EngineOverloadedError,
    InvalidParameterError,
    InvalidRequestError,
    PagodaError,
    PromptTooLongError,
)
from pagoda.graph.errors import GraphUnavailableError
from pagoda.rag.errors import EmptyFileError, IndexLockedError, MissingVectorsError, RagError
from pagoda.server.config import ServerConfig
from pagoda.server.errors import answer_for, body_for, response_for

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hi"}]
POSTS = (
    COMPLETIONS,
    CHAT,
    "/v1/responses",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
    "/v1/completions/render",
    "/v1/chat/completions/render",
)
Serve = Callable[..., Any]


def assert_error(answer: httpx.Response, status: int, **wanted: Any) -> dict[str, Any]:
    """The answer is an error with OpenAI's whole object; gives that back."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert "x-request-id" in answer.headers
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    for name, value in wanted.items():
        assert error[name] == value, error
    return error


def ask(serve: Serve, path: str, body: Any = None, *, config: ServerConfig | None = None, **options: Any) -> Any:
    """The answer to one POST."""

    async def main() -> httpx.Response:
        async with serve(config) as server:
            answer: httpx.Response = await server.post(path, body, **options)
            return answer

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 10**6}, "n"),
        ({"n": 10**400}, "n"),
        ({"seed": 2**70}, "seed"),
        ({"stop": [1]}, "stop[0]"),
        ({"stop": ""}, "stop"),
        ({"stop_token_ids": [-1]}, "stop_token_ids"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"9" * 5000: 1}}, "logit_bias"),
        ({"logit_bias": {"1": "much"}}, "logit_bias"),
        ({"temperature": 10**400}, "temperature"),
        ({"repetition_penalty": 10**400}, "repetition_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
        ({"structured_outputs": {"regexp": "a"}}, "structured_outputs.regexp"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "structured_outputs"),
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "structured_outputs"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"top_k": 10**400}, "top_k"),
        ({"stop_token_ids": [10**400]}, "stop_token_ids"),
        ({"min_tokens": 9, "max_tokens": 3}, "min_tokens"),
        ({"model": 5}, "model"),
        ({"priority": "high"}, "priority"),
    ],
)
@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
def test_a_bad_field_is_named(serve: Serve, path: str, fields: dict[str, Any], param: str) -> None:
    answer = ask(serve, path, {"prompt": "x", "messages": HELLO, **fields})
    assert_error(answer, 400, type="BadRequestError", code=400, param=param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (COMPLETIONS, {}, "prompt"),
        (COMPLETIONS, {"prompt": ""}, "prompt"),
        (COMPLETIONS, {"prompt": []}, "prompt"),
        (COMPLETIONS, {"prompt": [[]]}, "prompt"),
        (COMPLETIONS, {"prompt": [1, "a"]}, "prompt[1]"),
        (COMPLETIONS, {"prompt": 5}, "prompt"),
        (COMPLETIONS, {"prompt": ["a"] * 3000}, "prompt"),
        (COMPLETIONS, {"prompt": [10**30]}, "prompt"),
        (COMPLETIONS, {"prompt": [[5], [-1]], "echo": True}, "prompt"),
        (COMPLETIONS + "/render", {"prompt": [10**30]}, "prompt"),
        (COMPLETIONS, {"prompt": "x", "suffix": "y"}, "suffix"),
        (COMPLETIONS, {"prompt": "x", "best_of": 3}, "best_of"),
        (COMPLETIONS, {"prompt": "x", "logprobs": -1}, "logprobs"),
        (COMPLETIONS, {"prompt": "x", "logprobs": True}, "logprobs"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": 0}, "max_tokens"),
        (CHAT, {}, "messages"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "hi"}, "messages"),
        (CHAT, {"messages": [{"content": "hi"}]}, "messages[0].role"),
        (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (CHAT, {"messages": HELLO, "modalities": ["audio"]}, "modalities"),
        (CHAT, {"messages": HELLO, "audio": {"voice": "alloy"}}, "audio"),
        (CHAT, {"messages": HELLO, "functions": [{"name": "f"}]}, "functions"),
        (CHAT, {"messages": HELLO, "top_logprobs": 2}, "top_logprobs"),
        (CHAT, {"messages": HELLO, "logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (CHAT, {"messages": HELLO, "chat_template": "x"}, "chat_template"),
        ("/v1/embeddings", {}, "input"),
        ("/v1/embeddings", {"input": ""}, "input"),
        ("/v1/embeddings", {"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ("/v1/embeddings", {"input": [[9999]]}, "input"),
        ("/v1/embeddings", {"input": "x", "dimensions": 0}, "dimensions"),
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "x", "messages": HELLO}, "prompt"),
        ("/detokenize", {"tokens": [-1]}, "tokens"),
        ("/detokenize", {"tokens": [10**30]}, "tokens"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
    ],
)
def test_what_an_endpoint_cannot_serve_is_refused_by_name(serve: Serve, path: str, body: Any, param: str) -> None:
    assert_error(ask(serve, path, body), 400, type="BadRequestError", param=param)


def test_best_of_that_chooses_among_nothing_is_welcome(serve: Serve) -> None:
    assert ask(serve, COMPLETIONS, {"prompt": "x", "best_of": 2, "n": 2}).status_code == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"prompt": NaN}',
        b'{"prompt": "x", "temperature": Infinity}',
        b'{"prompt": "\\ud800", "input": "\\ud800", "messages": "\\ud800"}',
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"prompt": "x", "seed": ' + b"9" * 6000 + b"}",
    ],
)
def test_a_body_that_is_no_sound_json_object_is_a_400(serve: Serve, path: str, body: bytes) -> None:
    answer = ask(serve, path, content=body, headers={"content-type": "application/json"})
    assert_error(answer, 400, type="BadRequestError", code=400)


def test_infinite_numbers_in_json_are_refused(serve: Serve) -> None:
    body = b'{"prompt": "x", "temperature": 1e999}'
    assert_error(ask(serve, COMPLETIONS, content=body), 400, param="temperature")


def test_nul_is_a_character_like_others(serve: Serve) -> None:
    assert ask(serve, COMPLETIONS, {"prompt": "a\0b"}).status_code == 200


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_is_no_json_by_its_header_is_a_415(serve: Serve, path: str) -> None:
    answer = ask(serve, path, content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})
    assert_error(answer, 415, type="UnsupportedMediaTypeError")


def test_a_body_without_a_content_type_is_read_as_json(serve: Serve) -> None:
    assert ask(serve, COMPLETIONS, content=b'{"prompt": "x"}').status_code == 200


@pytest.mark.parametrize("path", POSTS)
def test_an_unknown_model_is_a_404_and_the_message_says_which_there_are(serve: Serve, path: str) -> None:
    body = {"model": "gpt-x", "prompt": "x", "messages": HELLO, "input": "x", "tokens": [1]}
    left_out = {"/tokenize": "messages", "/v1/responses": "prompt"}.get(path, "")
    body.pop(left_out, None)
    error = assert_error(ask(serve, path, body), 404, type="NotFoundError", param="model", code=404)
    assert "The model `gpt-x` does not exist" in error["message"]
    assert "fake" in error["message"]


def test_an_unknown_route_is_a_404_with_the_error_object(serve: Serve) -> None:
    assert_error(ask(serve, "/v1/nowhere"), 404, type="NotFoundError", param=None)


def test_a_wrong_method_is_a_405_that_says_which_are_allowed(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            answer = await server.client.get(COMPLETIONS)
            assert_error(answer, 405, type="MethodNotAllowedError")
            assert answer.headers["allow"] == "POST"

    asyncio.run(main())


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/v1/embeddings"])
def test_a_prompt_beyond_the_context_has_openais_code_and_the_text_that_agents_look_for(
    serve: Serve, path: str
) -> None:
    long = "fox " * 100
    answer = ask(serve, path, {"prompt": long, "messages": [{"role": "user", "content": long}], "input": long})
    error = assert_error(answer, 400, code="context_length_exceeded")
    assert "maximum context length is 64 tokens" in error["message"]


@pytest.mark.parametrize("num_tokens", [63, 64, 65, 400])
def test_a_prompt_that_fills_the_context_is_refused_like_one_that_is_longer(serve: Serve, num_tokens: int) -> None:
    """LiteLLM's fallbacks and agents' compaction go by these words."""
    ids = [504] * num_tokens
    for body in ({"prompt": ids}, {"prompt": ids, "max_tokens": 3}, {"prompt": [[5], ids]}):
        answer = ask(serve, COMPLETIONS, body)
        if num_tokens < 64:
            assert answer.status_code == 200
            continue
        error = assert_error(answer, 400, code="context_length_exceeded", param="prompt")
        assert error["message"].startswith("This model's maximum context length is 64 tokens. However, you requested ")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "fox " * 100}]}, "messages"),
        ("/v1/responses", {"input": "fox " * 100}, "input"),
        ("/v1/responses", {"input": [{"role": "user", "content": "fox " * 100}]}, "input"),
        ("/v1/embeddings", {"input": [5] * 65}, "input"),
        ("/v1/embeddings", {"input": ["x", "fox " * 100]}, "input"),
        (COMPLETIONS, {"prompt": [5] * 65, "echo": True, "max_tokens": 0}, "prompt"),
    ],
)
def test_every_door_names_the_field_of_a_prompt_that_is_too_long(
    serve: Serve, path: str, body: dict[str, Any], param: str
) -> None:
    error = assert_error(ask(serve, path, body), 400, code="context_length_exceeded", param=param)
    assert error["message"].startswith("This model's maximum context length is 64 tokens")
    config = ServerConfig(max_prompt_tokens=40, access_log=False)
    error = assert_error(ask(serve, path, body, config=config), 400, code="context_length_exceeded", param=param)
    assert error["message"].startswith("This model's maximum context length is 64 tokens")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": [5] * 64}),
        (COMPLETIONS, {"prompt": [5] * 64, "echo": True, "max_tokens": 0}),
        ("/tokenize", {"prompt": "fox " * 100}),
    ],
)
def test_where_nothing_is_generated_a_prompt_may_fill_the_context(
    serve: Serve, path: str, body: dict[str, Any]
) -> None:
    assert ask(serve, path, body).status_code == 200


def test_prompt_and_answer_beyond_the_context_are_cut_or_refused_as_the_operator_says(serve: Serve) -> None:
    body = {"prompt": "x", "max_tokens": 1000}
    assert ask(serve, COMPLETIONS, body).status_code == 200
    answer = ask(serve, COMPLETIONS, body, config=ServerConfig(refuse_overlong=True, access_log=False))
    assert_error(answer, 400, code="context_length_exceeded", param="max_tokens")


def test_the_operator_may_limit_prompts_below_the_context(serve: Serve) -> None:
    config = ServerConfig(max_prompt_tokens=5, access_log=False)
    assert_error(ask(serve, COMPLETIONS, {"prompt": "fox " * 9}, config=config), 400, code="context_length_exceeded")
    assert ask(serve, COMPLETIONS, {"prompt": "fox"}, config=config).status_code == 200


def test_harmless_unknown_fields_are_ignored(serve: Serve) -> None:
    body = {"prompt": "x", "store": True, "metadata": {"a": "b"}, "user": "me", "service_tier": "auto", "other": 1}
    assert ask(serve, COMPLETIONS, body).status_code == 200


def test_a_strict_server_names_the_nearest_field(serve: Serve) -> None:
    config = ServerConfig(strict=True, access_log=False)
    error = assert_error(ask(serve, COMPLETIONS, {"prompt": "x", "temprature": 1}, config=config), 400)
    assert (error["param"], '"temperature"' in error["message"]) == ("temprature", True)
    assert ask(serve, COMPLETIONS, {"prompt": "x", "user": "me"}, config=config).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"content-length": "x"}])
def test_a_body_beyond_the_limit_is_a_413_even_in_pieces(serve: Serve, headers: dict[str, str]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    config = ServerConfig(max_body_bytes=1000, access_log=False)
    assert_error(ask(serve, COMPLETIONS, {"prompt": "x" * 1000}, config=config), 413)
    assert_error(ask(serve, COMPLETIONS, content=pieces(), headers=headers, config=config), 413)


# What the engine refuses, and what happens to it


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (InvalidParameterError("logprobs is 99", param="logprobs"), 400, 400),
        (InvalidRequestError("no"), 400, 400),
        (PromptTooLongError("maximum context length is 64 tokens", param="prompt"), 400, "context_length_exceeded"),
        (EngineOverloadedError("full", retry_after_s=2.5), 503, "overloaded"),
        (EngineDeadError("gone"), 500, "engine_dead"),
    ],
)
def test_what_the_engine_refuses_has_its_status_before_any_stream(
    serve: Serve, raised: PagodaError, status: int, code: Any, streamed: bool
) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.refusal = raised
            for path in (COMPLETIONS, CHAT):
                body = {"prompt": "x", "messages": HELLO, "stream": streamed}
                error = assert_error(await server.post(path, body), status, code=code)
                assert (error["param"], error["message"]) == (getattr(raised, "param", None), str(raised))
            assert server.state._num_in_flight == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body"),
    [(COMPLETIONS, {"prompt": ["x", "y"]}), (CHAT, {"messages": HELLO}), ("/v1/responses", {"input": "x"})],
)
@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_answer_that_the_engine_could_not_finish_is_an_error_and_counted_as_ended(
    serve: Serve, path: str, body: dict[str, Any], reason: str
) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.finish_reason = reason
            error = assert_error(await server.post(path, body), 500, code="engine_dead")
            assert "send the request again" in error["message"]
            streamed = await server.post(path, {**body, "stream": True})
            assert (streamed.status_code, error["message"] in streamed.text) == (200, True)
            metrics = (await server.client.get("/metrics")).text
            assert re.search(rf'request_success_total{{[^}}]*finished_reason="{reason}"[^}}]*}} [2-4]', metrics)

    asyncio.run(main())


def test_retries_are_timed_where_they_help_and_forbidden_where_they_do_not() -> None:
    overloaded = response_for(EngineOverloadedError("full", retry_after_s=2.5))
    assert overloaded.headers["retry-after"] == "3"
    assert response_for(EngineDeadError("gone")).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in response_for(InvalidRequestError("no")).headers


def test_a_fault_of_our_own_is_a_500_that_tells_no_internals(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve() as server:
            monkeypatch.setattr(server.state, "generate", lambda *_: 1 / 0)
            answer = await server.post(COMPLETIONS, {"prompt": "x"})
            error = assert_error(answer, 500, type="InternalServerError", param=None)
            assert "division" not in error["message"]
            assert answer.headers["x-should-retry"] == "false"

    asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_one_bad_request_leaves_the_others_alone(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            bodies = [{"prompt": "x", "temperature": 9}, {"prompt": "x"}, {"prompt": "fox " * 99}, {"prompt": "y"}]
            answers = await asyncio.gather(*(server.post(COMPLETIONS, body) for body in bodies))
            assert [answer.status_code for answer in answers] == [400, 200, 400, 200]

    asyncio.run(main())


# The table itself


def test_the_most_derived_row_counts() -> None:
    class SpecialError(PromptTooLongError):
        pass

    assert answer_for(SpecialError("x")).code == "context_length_exceeded"
    assert answer_for(KeyError("x")).status == 500


@pytest.mark.parametrize(
    ("raised", "status", "retry_after", "param"),
    [
        (ChatModelError("away"), 503, "10", None),
        (IndexLockedError("locked"), 503, "5", None),
        (MissingVectorsError("lost"), 503, "5", None),
        (EmptyFileError("no text"), 400, None, "file"),
        (GraphUnavailableError("away"), 503, "10", None),
        (DomainError("does not fit"), 503, "10", None),
        (SessionError("busy"), 503, "1", None),
        (RagError("a fault"), 500, None, None),
    ],
)
def test_errors_of_the_rooms_below_have_their_rows(
    raised: PagodaError, status: int, retry_after: str | None, param: str | None
) -> None:
    answer = response_for(raised)
    error = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
    assert (error["message"], error["param"]) == (str(raised), param)
    assert status != 503 or (error["type"], error["code"]) == ("ServiceUnavailableError", "unavailable")


def test_the_table_loads_nothing_of_the_rooms_below_but_their_errors() -> None:
    script = (
        "import sys, pagoda.server.errors\n"
        "rooms = ('graph', 'rag', 'dialogue')\n"
        "loaded = sorted(name for name in sys.modules if name.startswith(tuple(f'pagoda.{room}.' for room in rooms)))\n"
        "assert loaded == sorted(f'pagoda.{room}.errors' for room in rooms), loaded\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_message_that_is_no_text_can_be_told_all_the_same() -> None:
    assert body_for(InvalidRequestError("a\ud800b"))["error"]["message"] == "a?b"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (("body",), ""),
        (("body", "prompt", "str"), "prompt"),
        (("body", "prompt", "list[int]", 3), "prompt[3]"),
        (("body", "messages", 0, "content", "list[ContentPart]", 1, "type"), "messages[0].content[1].type"),
        (("body", "stream_options", "include_usage"), "stream_options.include_usage"),
    ],
)
def test_a_place_in_the_body_is_told_as_a_client_writes_it(location: tuple[int | str, ...], name: str) -> None:
    assert dotted(location) == name


def test_every_message_ends_in_one_piece(serve: Serve) -> None:
    error = assert_error(ask(serve, COMPLETIONS, {"prompt": "x", "temperature": 9}), 400)
    assert re.search(r"temperature is 9", error["message"])
