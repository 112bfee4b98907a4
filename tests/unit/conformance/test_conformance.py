"""The tester, tested: a good little server holds the checks, and each fault it is given fails those about it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pagoda.cli import conformance as command
from pagoda.cli.console.messages import CHINESE, ENGLISH
from pagoda.cli.console.terminal import Terminal
from pagoda.conformance import report, words
from pagoda.conformance.check import Check, Context, Result, expect
from pagoda.conformance.evidence import Verdict
from pagoda.conformance.suite import all_checks, run_checks, select
from pagoda.errors import ConfigError, PagodaError

uvicorn = pytest.importorskip("uvicorn")
responses = pytest.importorskip("starlette.responses")
requests = pytest.importorskip("starlette.requests")

MODEL = "stand-in"
KEY = "a-key"
STORY = " a fox 🦊 who looked at the 月亮 every night, and one night the moon looked back."
HELD = [
    "errors.malformed_json",
    "errors.error_object_has_four_fields",
    "errors.body_that_is_no_object",
    "errors.missing_prompt",
    "errors.temperature_out_of_range",
    "errors.refusal_before_the_stream",
    "completions.shape",
    "completions.usage_adds_up",
    "completions.n_at_temperature_0",
    "completions.utf8_is_not_escaped",
    "completions.echo",
    "sampling.greedy_is_reproducible",
    "sampling.stop_string_ends_the_text",
    "sampling.stop_string_never_leaks",
    "streaming.pieces_come_one_by_one",
    "streaming.echo_is_streamed",
    "http.unknown_route",
    "http.connection_outlives_errors",
    "http.charset_is_taken",
    "security.errors_tell_no_insides",
    "lifecycle.models_are_listed",
    "lifecycle.model_by_name",
    "lifecycle.answers_do_not_mix",
]
"""What the good one is good enough for."""
FAULTS = {
    "malformed JSON is a 500": ["errors.malformed_json", "http.connection_outlives_errors"],
    "no param": ["errors.error_object_has_four_fields", "errors.missing_prompt", "http.unknown_route"],
    "stop leaks": ["sampling.stop_string_never_leaks"],
    "stop is ignored": ["sampling.stop_string_ends_the_text", "sampling.stop_string_never_leaks"],
    "ids differ": ["completions.shape"],
    "escapes": ["completions.utf8_is_not_escaped", "streaming.echo_is_streamed"],
    "usage does not add up": ["completions.usage_adds_up"],
    "one piece": ["streaming.pieces_come_one_by_one"],
    "one choice": ["completions.n_at_temperature_0"],
    "errors in the stream": ["errors.refusal_before_the_stream"],
    "traceback": ["security.errors_tell_no_insides"],
    "answers mix": ["lifecycle.answers_do_not_mix", "sampling.greedy_is_reproducible"],
    "closes after errors": ["http.connection_outlives_errors"],
}
"""What is wrong with the broken one, and the checks that say so."""


class RefusalError(Exception):
    """A 4xx of the stand-in's."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param = status, param


class StandIn:
    """A server whose model tells one story; a token is a character. `fault` is what is wrong with it."""

    def __init__(self, fault: str = "", key: str | None = None) -> None:
        self._fault, self._key = fault, key
        self._numbers = itertools.count()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "http":
            request = requests.Request(scope, receive)
            try:
                answer = await self._answer(request)
            except RefusalError as refusal:
                answer = self._error(refusal)
            await answer(scope, receive, send)

    async def _answer(self, request: Any) -> Any:
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            raise RefusalError(401, "a key is needed")
        card = {"id": MODEL, "object": "model", "created": 1_700_000_000, "owned_by": "test"}
        if request.url.path == "/v1/models":
            return self._json({"object": "list", "data": [card]})
        if request.url.path == f"/v1/models/{MODEL}":
            return self._json(card)
        if request.url.path not in ("/v1/completions", "/v1/chat/completions"):
            raise RefusalError(404, "no such route")
        body = self._checked(await request.body())
        if "messages" in body:
            return self._json(self._chat(body))
        return self._stream(body) if body.get("stream") else self._json(self._whole(body))

    def _checked(self, content: bytes) -> dict[str, Any]:
        """The fields of a body. Raises RefusalError."""
        try:
            body = json.loads(content)
        except ValueError as error:
            raise RefusalError(500 if "500" in self._fault else 400, "malformed JSON") from error
        if not isinstance(body, dict):
            raise RefusalError(400, "no object")
        if "messages" not in body and not isinstance(body.get("prompt"), str):
            raise RefusalError(400, "no prompt", "prompt")
        if not 0 <= body.get("temperature", 1) <= 2:
            raise RefusalError(400, "temperature is out of range", "temperature")
        if body.get("max_tokens", 16) < 0 or not isinstance(body.get("n", 1), int):
            raise RefusalError(400, "out of range", "max_tokens")
        return body

    def _error(self, refusal: RefusalError) -> Any:
        error = {"message": str(refusal), "type": "BadRequestError", "param": refusal.param, "code": refusal.status}
        if self._fault == "no param":
            del error["param"]
        if self._fault == "traceback":
            error["message"] = 'Traceback (most recent call last): File "/srv/server.py"'
        if self._fault == "errors in the stream" and refusal.param == "temperature":
            return responses.Response(f"data: {json.dumps({'error': error})}\n\n", media_type="text/event-stream")
        headers = {"Connection": "close"} if self._fault == "closes after errors" else {}
        return responses.Response(json.dumps({"error": error}), refusal.status, headers, "application/json")

    def _json(self, value: Any) -> Any:
        return responses.Response(self._encoded(value), media_type="application/json")

    def _encoded(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self._fault == "escapes")

    def _text(self, body: dict[str, Any]) -> tuple[str, str]:
        """Text and finish_reason."""
        story = str(next(self._numbers)) + STORY if self._fault == "answers mix" else body["prompt"][:3] + STORY
        text, reason = story[: body.get("max_tokens", 16)], "length"
        stops = body.get("stop") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            if stop in text and self._fault != "stop is ignored":
                text, reason = text[: text.index(stop)], "stop"
        return text, reason

    def _head(self) -> dict[str, Any]:
        number = next(self._numbers)
        kind = "answer" if self._fault == "ids differ" else "cmpl"
        return {"id": f"{kind}-{number}", "object": "text_completion", "created": 1_700_000_000, "model": MODEL}

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        text, reason = self._text(body)
        count = 1 if self._fault == "one choice" else body.get("n", 1)
        said = (body["prompt"] if body.get("echo") else "") + text
        choice = {"text": said, "logprobs": None, "finish_reason": reason}
        choices = [{"index": index, **choice} for index in range(count)]
        prompt, completion = len(body["prompt"]), len(text) * count
        total = prompt + completion + ("add up" in self._fault)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
        return {**self._head(), "choices": choices, "usage": usage}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "object": "chat.completion",
            "choices": [{"message": {"content": self._text({"prompt": "", **body})[0]}}],
        }

    def _stream(self, body: dict[str, Any]) -> Any:
        text, reason = self._text(body)
        if self._fault == "stop leaks" and reason == "stop":
            text += str(body["stop"][0])[0]
        head = self._head()
        pieces = [text] if self._fault == "one piece" else [*text]
        if body.get("echo"):
            pieces.insert(0, body["prompt"])
        events = [{**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in pieces]
        events.append({**head, "choices": [{"index": 0, "text": "", "finish_reason": reason}]})
        lines = [f"data: {self._encoded(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
        return responses.StreamingResponse(iter(lines), media_type="text/event-stream; charset=utf-8")


@contextmanager
def serving(fault: str = "", key: str | None = None) -> Iterator[str]:
    """The stand-in's URL, at a free port."""
    config = uvicorn.Config(StandIn(fault, key), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()  # so that whoever is faster than the thread has only to wait
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        sockets[0].close()


def checks_called(names: Sequence[str]) -> list[Check]:
    return [check for check in all_checks() if check.name in names]


def verdicts(url: str, checks: Sequence[Check], **options: Any) -> dict[str, Result]:
    found = asyncio.run(run_checks(url, checks, **options))
    return {result.check.name: result for result in found}


def test_a_good_server_holds() -> None:
    with serving() as url:
        found = verdicts(url, checks_called(HELD))
    assert {name: (result.expected, result.got) for name, result in found.items() if result.verdict != "held"} == {}
    assert set(found) == set(HELD)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_checks_about_it_and_says_how_to_see_it(fault: str) -> None:
    with serving(fault) as url:
        found = verdicts(url, checks_called(FAULTS[fault]))
    for name in FAULTS[fault]:
        result = found[name]
        assert result.verdict is Verdict.FAILED, name
        assert result.expected, name
        assert result.got, name
        assert result.sent.startswith(f"curl -i {url}/v1/"), name


def test_missing_endpoints_and_shapes_are_failures_not_skips_or_crashes() -> None:
    with serving() as url:
        found = verdicts(url, select("lifecycle.metrics_can_be_read") + select("embeddings.*") + select("chat.s*"))
    assert found["lifecycle.metrics_can_be_read"].verdict is Verdict.FAILED
    assert {result.verdict for result in found.values()} == {Verdict.FAILED}


def test_a_check_that_hangs_fails_at_its_time_limit() -> None:
    async def endless(server: Context) -> None:
        await server.client.get("/v1/models")
        await asyncio.Event().wait()

    check = Check("errors.endless", "It ends.", "nobody", endless)
    with serving() as url:
        (result,) = verdicts(url, [check], timeout_s=2.0).values()
    assert (result.verdict, result.expected) == (Verdict.FAILED, "an end within 2 s")
    assert result.sent == f"curl -i {url}/v1/models"


def test_a_key_is_sent_and_shown_only_by_the_name_of_a_variable() -> None:
    async def fails(server: Context) -> None:
        reply = await server.client.get("/v1/models")
        expect(reply.status == 500, "status 500", reply.status, reply)

    names = ["errors.missing_prompt", "security.with_a_wrong_key"]
    with serving(key=KEY) as url:
        found = verdicts(url, [*checks_called(names), Check("errors.x", "x", "x", fails)], api_key=KEY)
        with pytest.raises(ConfigError, match="--api-key-env"):
            verdicts(url, checks_called(HELD))
    assert [result.verdict for result in found.values()] == ["held", "held", "failed"]
    assert found["errors.x"].sent.endswith('-H "Authorization: Bearer $API_KEY"')
    assert KEY not in str(found)


def test_without_keys_the_checks_about_them_do_not_apply() -> None:
    with serving() as url:
        (result,) = verdicts(url, checks_called(["security.without_a_key"])).values()
    assert (result.verdict, result.reason) == (Verdict.SKIPPED, "this server has no keys")


def test_names_are_unique_and_every_check_has_a_sentence_in_both_languages() -> None:
    names = [check.name for check in all_checks()]
    assert len(names) == len(set(names)) >= 100
    assert list(words.CHINESE.sentences) == names
    for check in all_checks():
        assert check.sentence.endswith(".")
        assert "\n" not in check.sentence, check.name
        assert check.needed_by, check.name
        assert words.CHINESE.sentence(check) != check.sentence


def test_a_pattern_selects_by_part_or_glob_and_an_unknown_one_is_refused() -> None:
    assert {check.group for check in select("tools.*")} == {"tools"}
    assert {check.name for check in select("malformed")} == {"errors.malformed_json"}
    with pytest.raises(ConfigError, match='did you mean "embeddings"'):
        select("embedings")


def invoke(*arguments: str, language: Any = ENGLISH) -> Any:
    """The command by itself, as the root runs it."""
    app = typer.Typer()
    app.command()(command.conformance)
    return CliRunner().invoke(app, list(arguments), obj=Terminal(language))


def test_the_command_reports_and_exits_with_1_where_a_check_failed() -> None:
    with serving() as url:
        held = invoke(f"{url}/v1/", "--only", "malformed_json")
        failed = invoke(url, "--only", "lifecycle.health*", language=CHINESE)
    assert held.exit_code == 0, held.output
    assert "1 of 1 checks held, 0 failed, 0 did not apply" in held.output
    assert failed.exit_code == 1
    assert "1 项检查中通过 0 项，失败 1 项" in failed.output
    assert f"curl -i {url}/health" in failed.output


def test_the_command_writes_json_and_markdown() -> None:
    with serving() as url:
        written = invoke(url, "--only", "errors.m*", "--json")
        page = invoke(url, "--only", "lifecycle.health*", "--markdown")
    found = json.loads(written.stdout)
    assert found["url"] == url
    assert found["score"]["counted"] == len(found["checks"]) == found["score"]["held"] + found["score"]["failed"]
    assert {"name", "sentence", "needed_by", "verdict", "seconds"} <= set(found["checks"][0])
    assert "| lifecycle | 0 | 1 | 0 |" in page.stdout
    assert f"```sh\ncurl -i {url}/health\n```" in page.stdout


def test_the_command_lists_what_it_would_check_without_a_server() -> None:
    listed = invoke("--list", "--only", "tools.")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == len(select("tools."))
    assert listed.stdout.startswith("tools.required  tool_choice `required` brings")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no URL was given"),
        (["localhost:8000"], "http://"),
        (["http://127.0.0.1:1"], "nothing answers at"),
        (["http://127.0.0.1:1", "--api-key-env", "PAGODA_NO_SUCH_VARIABLE"], "no such variable is set"),
        (["http://127.0.0.1:1", "--timeout", "0"], "timeout is 0"),
        (["http://127.0.0.1:1", "--only", "no-such-check"], "no check is called"),
    ],
)
def test_mistakes_in_usage_are_config_errors_which_the_root_turns_into_2(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert isinstance(result.exception, PagodaError)


def test_scores_count_what_applies() -> None:
    check = all_checks()[0]
    results = [Result(check=check, verdict=verdict, seconds=0.1) for verdict in (*Verdict, Verdict.HELD)]
    assert report.as_json(results, "")["score"] == {"held": 2, "failed": 1, "skipped": 1, "counted": 3}
