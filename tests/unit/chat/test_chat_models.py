"""The seam `ChatModel` behind its three faces: a script, an OpenAI-compatible address, the engine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pagoda.chat.model import ChatModel, ChatParams, Message
from pagoda.chat.openai_client import OpenAIChatModel
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.engine.chat_model import EngineChatModel
from pagoda.errors import (
    ChatModelError,
    ConfigError,
    InvalidParameterError,
    InvalidRequestError,
    PromptTooLongError,
    StructuredOutputError,
)
from patience import HANG_S

ASK = [Message("user", "月亮 and the fox 🦊?")]
CARDS = {"data": [{"id": "small", "max_model_len": 77}, {"id": "large"}]}
SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}


def run(work: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await asyncio.wait_for(work, HANG_S)

    return asyncio.run(main())


async def streamed(model: ChatModel, params: ChatParams | None = None) -> list[str]:
    return [piece async for piece in model.stream(ASK, params)]


class Endpoint:
    """An address that answers what the test lays out, in order; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.bodies: list[dict[str, Any]] = []
        self.cards: tuple[int, dict[str, Any]] = (200, CARDS)
        self.url = ""

    def will(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, headers, data))

    def next(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, cards = state.cards
            self._reply(status, {}, json.dumps(cards).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.bodies.append({**body, "authorization": self.headers.get("authorization")})
            self._reply(*state.next())

        def _reply(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def answer(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


def events(*texts: str, end: bytes = b"data: [DONE]\n\n") -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return b": ping\n\n" + b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks) + end


def against(endpoint: Endpoint, work: Callable[[OpenAIChatModel], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        model = OpenAIChatModel(endpoint.url, **{"timeout_s": HANG_S, **settings})
        try:
            return await work(model)
        finally:
            await model.aclose()

    return run(main())


def test_a_script_answers_in_order_and_says_when_it_ends() -> None:
    model = ScriptedChatModel(["one", ChatModelError("down"), "three"])
    assert run(model.chat(ASK)).text == "one"
    with pytest.raises(ChatModelError, match="down"):
        run(model.chat(ASK))
    assert "".join(run(streamed(model))) == "three"
    with pytest.raises(ChatModelError, match="ends after 3 answers"):
        run(model.chat(ASK))
    assert model.conversations == [tuple(ASK)] * 4


def test_a_script_may_be_a_function_of_the_conversation() -> None:
    model = ScriptedChatModel(lambda messages: messages[-1].content.upper())
    answers = run(model.chat_batch([[Message("user", "a")], [Message("user", "b")]]))
    assert [a.text for a in answers] == ["A", "B"]


def test_an_address_gets_openais_request_and_gives_its_answer(endpoint: Endpoint) -> None:
    endpoint.will(200, answer("你好", "length"))
    params = ChatParams(max_tokens=7, temperature=0.5, seed=3, stop=("x",), json_schema=SCHEMA)
    got = against(endpoint, lambda model: model.chat(ASK, params), api_key="secret")
    assert (got.text, got.finish_reason, got.num_prompt_tokens, got.num_completion_tokens) == ("你好", "length", 5, 2)
    body = endpoint.bodies[0]
    assert body["authorization"] == "Bearer secret"
    assert body["model"] == "small"
    assert body["messages"] == [{"role": "user", "content": ASK[0].content}]
    assert (body["max_tokens"], body["temperature"], body["seed"], body["stop"]) == (7, 0.5, 3, ["x"])
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_an_address_says_how_long_its_context_is_if_it_knows(endpoint: Endpoint) -> None:
    assert against(endpoint, lambda model: model.max_context_tokens()) == 77
    assert against(endpoint, lambda model: model.max_context_tokens(), model="large") is None


def test_a_server_that_is_there_and_has_the_model_passes_the_check(endpoint: Endpoint) -> None:
    for name in (None, "small", "large"):
        assert against(endpoint, OpenAIChatModel.check, model=name) is None
    endpoint.cards = (404, {})
    assert against(endpoint, OpenAIChatModel.check, model="any") is None
    endpoint.cards = (503, {"error": {"message": "the model is loading"}})
    assert against(endpoint, OpenAIChatModel.check, timeout_s=2.0) is None


@pytest.mark.parametrize(
    ("cards", "name", "message"),
    [
        ((200, CARDS), "smal", r"has no model 'smal'.*small"),
        ((200, {"data": []}), None, "lists no model"),
        ((404, {}), None, "answered 404"),
        ((401, {}), "small", "answered 401"),
    ],
)
def test_a_server_without_the_model_is_told_before_it_is_asked(
    endpoint: Endpoint, cards: tuple[int, dict[str, Any]], name: str | None, message: str
) -> None:
    endpoint.cards = cards
    with pytest.raises((ConfigError, ChatModelError), match=message):
        against(endpoint, OpenAIChatModel.check, model=name)


def test_only_a_schema_of_an_object_is_asked_for_strictly(endpoint: Endpoint) -> None:
    endpoint.will(200, answer("{}"))
    for schema in (SCHEMA, {"anyOf": [SCHEMA]}):
        against(endpoint, lambda model, s=schema: model.chat(ASK, ChatParams(json_schema=s)))
    assert [body["response_format"]["json_schema"]["strict"] for body in endpoint.bodies] == [True, False]


def test_how_much_of_the_prompt_was_cached_is_passed_on(endpoint: Endpoint) -> None:
    body = answer("yes")
    body["usage"]["prompt_tokens_details"] = {"cached_tokens": 4}
    endpoint.will(200, body)
    assert against(endpoint, lambda model: model.chat(ASK)).num_cached_tokens == 4


def test_a_stream_gives_its_pieces(endpoint: Endpoint) -> None:
    endpoint.will(200, events("从前", "", " a fox"))
    assert against(endpoint, streamed) == ["从前", " a fox"]
    assert endpoint.bodies[0]["stream"] is True


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(endpoint: Endpoint, status: int) -> None:
    endpoint.will(status, {"error": {"message": "busy"}}, Retry_After="0")
    endpoint.will(status, b"<html>", Retry_After="0")
    endpoint.will(200, answer("at last"))
    assert against(endpoint, lambda model: model.chat(ASK)).text == "at last"
    assert len(endpoint.bodies) == 3


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "temperature is 9", InvalidRequestError),
        (400, "This model's maximum context length is 10 tokens.", PromptTooLongError),
        (401, "an API key is needed", ChatModelError),
        (404, "no such model", ChatModelError),
    ],
)
def test_what_will_not_pass_is_told_at_once(
    endpoint: Endpoint, status: int, message: str, error: type[Exception]
) -> None:
    endpoint.will(status, {"error": {"message": message}})
    with pytest.raises(error, match=message[:20]):
        against(endpoint, lambda model: model.chat(ASK), api_key="secret")
    assert len(endpoint.bodies) == 1


def test_the_deadline_ends_the_tries(endpoint: Endpoint) -> None:
    endpoint.will(503, {"error": {"message": "still loading"}}, Retry_After="60")
    with pytest.raises(ChatModelError, match=r"503: still loading.*after 1 tries"):
        against(endpoint, lambda model: model.chat(ASK), timeout_s=30.0)


def test_nobody_at_the_address_is_one_clear_message() -> None:
    nobody = Endpoint()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ChatModelError, match="is the server running") as failure:
            against(nobody, lambda model: model.chat(ASK), timeout_s=1.0, api_key="secret", model="m")
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
def test_another_shape_than_openais_is_told(endpoint: Endpoint, body: bytes) -> None:
    endpoint.will(200, body)
    with pytest.raises(ChatModelError, match="answered with"):
        against(endpoint, lambda model: model.chat(ASK))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (events("a", end=b""), "broke off"),
        (events("a", end=b'data: {"error": {"message": "the engine is gone"}}\n\n'), "the engine is gone"),
        (events("a", end=b"data: nonsense\n\n"), "something else"),
    ],
)
def test_a_stream_that_breaks_never_looks_whole(endpoint: Endpoint, body: bytes, message: str) -> None:
    endpoint.will(200, body)
    with pytest.raises(ChatModelError, match=message):
        against(endpoint, streamed)


def test_mistakes_in_settings_are_told_early() -> None:
    with pytest.raises(ConfigError, match="http://127"):
        OpenAIChatModel("localhost:8000")
    with pytest.raises(InvalidParameterError, match="max_tokens is 0"):
        ChatParams(max_tokens=0)


def test_the_engine_gives_the_same_whole_streamed_and_in_a_batch() -> None:
    async def main() -> None:
        model = EngineChatModel(max_num_seqs=4, max_model_len=256)
        try:
            params = ChatParams(max_tokens=12)
            whole = await model.chat(ASK, params)
            assert whole.text == "".join(await streamed(model, params))
            batch = await model.chat_batch([ASK, [Message("user", "hello")], ASK], params)
            assert [a.text for a in batch[::2]] == [whole.text] * 2
            assert whole.num_prompt_tokens == await model.count_tokens(ASK)
            assert (whole.finish_reason, whole.num_completion_tokens) == ("length", 12)
            assert await model.max_context_tokens() == 256
            shaped = await model.chat(ASK, ChatParams(max_tokens=60, json_schema=SCHEMA))
            assert json.loads(shaped.text)["a"] in (1, 2)
            with pytest.raises(PromptTooLongError):
                await model.chat([Message("user", "moon " * 400)])
            with pytest.raises(StructuredOutputError):
                await model.chat(ASK, ChatParams(json_schema={"type": "odd"}))
            outgrown = ChatParams(
                max_tokens=250, json_schema={"type": "string", "pattern": "^([a-z]{1,100}){300,1000}$"}
            )
            for work in (model.chat(ASK, outgrown), streamed(model, outgrown)):
                with pytest.raises(ChatModelError, match="grew too large"):
                    await work
        finally:
            await model.aclose()
        with pytest.raises(ChatModelError):
            await model.chat(ASK)

    run(main())


def test_a_model_without_a_template_cannot_chat(changed_checkpoint: Callable[..., Path]) -> None:
    async def main() -> None:
        path = changed_checkpoint()
        settings = json.loads((path / "tokenizer_config.json").read_text())
        del settings["chat_template"]
        (path / "tokenizer_config.json").write_text(json.dumps(settings))
        model = EngineChatModel(path, num_gpu_blocks_override=64)
        try:
            await model.chat(ASK)
        finally:
            await model.aclose()

    with pytest.raises(InvalidRequestError, match="template"):
        run(main())
