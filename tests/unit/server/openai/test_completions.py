"""/v1/completions: choices, echo, log-probabilities, streams that equal the whole, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.models.tokenizer.infilling import KNOWN, InfillingTokens
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.server.config import ServerConfig
from patience import HANG_S

PATH = "/v1/completions"
TEXT = "从前 fox 🦊, 月亮。"
Serve = Callable[..., Any]
Events = Callable[[str], list[Any]]


def post(serve: Serve, body: dict[str, Any], *, config: ServerConfig | None = None, **info: Any) -> Any:
    """The answer to one request, parsed; raises unless it is a success."""

    async def main() -> Any:
        async with serve(config, **info) as server:
            answer = await server.post(PATH, body)
            assert answer.status_code == 200, answer.text
            return answer.json()

    return asyncio.run(main())


def stream(serve: Serve, body: dict[str, Any], text: str | list[str] = TEXT, **info: Any) -> str:
    """The text of one stream."""

    async def main() -> str:
        async with serve(**info) as server:
            server.engine.text = text
            answer = await server.post(PATH, {**body, "stream": True})
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            return str(answer.text)

    return asyncio.run(main())


def test_the_answer_has_openais_form(serve: Serve) -> None:
    answer = post(serve, {"prompt": "Once", "max_tokens": 50})
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["model"] == "fake"
    (choice,) = answer["choices"]
    assert (choice["text"], choice["finish_reason"], choice["index"], choice["logprobs"]) == (TEXT, "stop", 0, None)


def test_usage_counts_prompt_completion_and_cached_tokens(serve: Serve, tokenizer: Tokenizer) -> None:
    usage = post(serve, {"prompt": "Once upon", "max_tokens": 50})["usage"]
    num_prompt, num_new = len(tokenizer.encode("Once upon")), len(tokenizer.encode(TEXT, add_special_tokens=False))
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (num_prompt, num_new)
    assert usage["total_tokens"] == num_prompt + num_new
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2}


def test_sixteen_tokens_are_generated_if_none_are_asked_for(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.text = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
            answer = (await server.post(PATH, {"prompt": "x"})).json()
            assert answer["usage"]["completion_tokens"] == 16
            assert answer["choices"][0]["finish_reason"] == "length"

    asyncio.run(main())


def test_the_models_own_defaults_go_under_the_requests_fields(serve: Serve) -> None:
    async def main() -> None:
        async with serve(default_sampling_params={"temperature": 0.6, "top_p": 0.9, "max_tokens": 3}) as server:
            await server.post(PATH, {"prompt": "x", "top_p": 0.5})
            params = server.engine.added[0].params
            assert (params.temperature, params.top_p, params.max_tokens) == (0.6, 0.5, 3)

    asyncio.run(main())


def test_every_field_of_sampling_params_reaches_the_engine(serve: Serve) -> None:
    given: dict[str, Any] = {
        "n": 2, "temperature": 0.7, "top_p": 0.8, "top_k": 5, "min_p": 0.1, "seed": 7, "stop": ["狐", "."],
        "stop_token_ids": [5], "ignore_eos": True, "min_tokens": 1, "presence_penalty": 0.5, "frequency_penalty": 0.25,
        "repetition_penalty": 1.1, "logit_bias": {"17": 3}, "bad_words": ["moon"], "allowed_token_ids": [5, 6],
        "include_stop_str_in_output": True, "skip_special_tokens": False, "spaces_between_special_tokens": False,
        "max_tokens": 9, "logprobs": 2, "prompt_logprobs": 1, "structured_outputs": {"regex": "a+"},
    }  # fmt: skip

    async def main() -> None:
        async with serve() as server:
            answer = await server.post(PATH, {"prompt": "x", "priority": 4, **given})
            assert answer.status_code == 200, answer.text
            add = server.engine.added[0]
            assert add.priority == 4
            for name in set(given) - {"logit_bias", "structured_outputs"}:
                wanted = tuple(given[name]) if isinstance(given[name], list) else given[name]
                assert getattr(add.params, name) == wanted, name
            assert add.params.logit_bias == {17: 3.0}
            assert add.params.structured_outputs.regex == "a+"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"guided_regex": "a"}, "regex", "a"),
        ({"guided_choice": ["a", "b"]}, "choice", ("a", "b")),
        ({"guided_json": {"type": "object"}}, "json", {"type": "object"}),
        ({"guided_grammar": "root ::= 'a'"}, "grammar", "root ::= 'a'"),
        ({"response_format": {"type": "json_object"}}, "json_object", True),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}},
            "json",
            {"type": "array"},
        ),
    ],
)
def test_each_spelling_of_a_format_becomes_one_constraint(
    serve: Serve, fields: dict[str, Any], name: str, value: Any
) -> None:
    async def main() -> None:
        async with serve() as server:
            await server.post(PATH, {"prompt": "x", **fields})
            assert getattr(server.engine.added[0].params.structured_outputs, name) == value

    asyncio.run(main())


@pytest.mark.parametrize("prompt", ["Once", [5, 6], ["Once", "从前"], [[5, 6], [7]]])
def test_prompts_come_as_text_or_ids_one_or_many(serve: Serve, tokenizer: Tokenizer, prompt: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            answer = (await server.post(PATH, {"prompt": prompt, "n": 2})).json()
            prompts = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
            wanted = [tokenizer.encode(p) if isinstance(p, str) else p for p in prompts]
            assert [add.prompt_token_ids for add in server.engine.added] == wanted
            assert [choice["index"] for choice in answer["choices"]] == list(range(2 * len(prompts)))

    asyncio.run(main())


def test_special_tokens_can_be_left_off_a_prompt(serve: Serve, tokenizer: Tokenizer) -> None:
    async def main() -> None:
        async with serve() as server:
            await server.post(PATH, {"prompt": "Once", "add_special_tokens": False})
            assert server.engine.added[0].prompt_token_ids == tokenizer.encode("Once", add_special_tokens=False)

    asyncio.run(main())


# Echo and log-probabilities


def test_echo_puts_the_prompt_before_the_text(serve: Serve) -> None:
    assert post(serve, {"prompt": "前 Once", "echo": True, "max_tokens": 50})["choices"][0]["text"] == "前 Once" + TEXT


def test_echoed_ids_are_shown_as_their_text(serve: Serve, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("月亮", add_special_tokens=False)
    answer = post(serve, {"prompt": ids, "echo": True, "max_tokens": 50})
    assert answer["choices"][0]["text"] == "月亮" + TEXT


def test_logprobs_are_parallel_arrays_with_offsets_into_the_text(serve: Serve, tokenizer: Tokenizer) -> None:
    choice = post(serve, {"prompt": "x", "logprobs": 1, "max_tokens": 50})["choices"][0]
    logprobs = choice["logprobs"]
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    assert {len(values) for values in logprobs.values()} == {len(ids)}
    assert logprobs["token_logprobs"] == [-1.5] * len(ids)
    for name, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        if not name.startswith("bytes:"):
            assert choice["text"][offset:].startswith(name)


def test_the_sampled_token_stands_beside_the_likeliest(serve: Serve, tokenizer: Tokenizer) -> None:
    body = {"prompt": "x", "logprobs": 1, "return_tokens_as_token_ids": True}
    logprobs = post(serve, body)["choices"][0]["logprobs"]
    first = tokenizer.encode(TEXT, add_special_tokens=False)[0]
    assert logprobs["tokens"][0] == f"token_id:{first}"
    assert logprobs["top_logprobs"][0] == {f"token_id:{first}": -1.5, f"token_id:{first - 1}": -0.5}


def test_minus_infinity_is_written_as_a_number(serve: Serve, tokenizer: Tokenizer) -> None:
    body = {"prompt": "x", "logprobs": 3, "return_tokens_as_token_ids": True}
    first = tokenizer.encode(TEXT, add_special_tokens=False)[0]
    assert post(serve, body)["choices"][0]["logprobs"]["top_logprobs"][0][f"token_id:{first - 2}"] == -9999.0


def test_no_logprobs_beside_the_sampled_ones_where_none_are_asked_for(serve: Serve) -> None:
    logprobs = post(serve, {"prompt": "x", "logprobs": 0})["choices"][0]["logprobs"]
    assert logprobs["token_logprobs"][0] == -1.5


def test_a_half_character_is_named_by_its_bytes(serve: Serve, tokenizer: Tokenizer) -> None:
    tokens = post(serve, {"prompt": "x", "logprobs": 0, "max_tokens": 50})["choices"][0]["logprobs"]["tokens"]
    data = b"".join(
        bytes.fromhex(name.removeprefix("bytes:").replace("\\x", "")) if name.startswith("bytes:") else name.encode()
        for name in tokens
    )
    assert data.decode() == TEXT


def test_scoring_as_lm_eval_does_it(serve: Serve) -> None:
    body = {"prompt": [[5, 6, 7], [8, 9]], "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234}
    first, second = post(serve, body)["choices"]
    assert first["logprobs"]["token_logprobs"] == [None, -1.5, -1.5, -1.5]
    assert first["logprobs"]["top_logprobs"][0] is None
    assert all(max(top.values()) == -0.5 for top in first["logprobs"]["top_logprobs"][1:])
    assert len(second["logprobs"]["tokens"]) == 3
    assert first["logprobs"]["text_offset"][0] == 0


def test_max_tokens_0_with_echo_only_scores(serve: Serve) -> None:
    answer = post(serve, {"prompt": [5, 6, 7], "max_tokens": 0, "logprobs": 1, "echo": True})
    assert answer["choices"][0]["logprobs"]["token_logprobs"] == [None, -1.5, -1.5]
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 0)


def test_prompt_logprobs_come_in_vllms_form(serve: Serve) -> None:
    first, second = post(serve, {"prompt": [5, 6], "prompt_logprobs": 1})["choices"][0]["prompt_logprobs"]
    assert first is None
    assert second["6"]["logprob"] == -1.5
    assert second["5"]["rank"] == 1


def test_token_ids_come_where_they_are_asked_for(serve: Serve, tokenizer: Tokenizer) -> None:
    choice = post(serve, {"prompt": [5, 6], "return_token_ids": True, "max_tokens": 50})["choices"][0]
    assert choice["token_ids"] == tokenizer.encode(TEXT, add_special_tokens=False)
    assert choice["prompt_token_ids"] == [5, 6]


def test_timings_come_where_they_are_asked_for(serve: Serve) -> None:
    timings = post(serve, {"prompt": "x", "return_timings": True})["timings"]
    assert (timings["queue_ms"], timings["prefill_ms"], timings["decode_ms"]) == (1.0, 2.0, 4.0)
    assert (timings["cached_tokens"], timings["preemptions"]) == (2, 0)
    assert "timings" not in post(serve, {"prompt": "x"})


# Streams


@pytest.mark.parametrize("text", [TEXT, "🦊👨‍👩‍👧‍👦🇨🇳", "é ü 好", "a", "\\u0000 \n\r\n\u2028"])
@pytest.mark.parametrize("extra", [{}, {"echo": True, "logprobs": 1}, {"n": 3}, {"prompt": ["a", "月", "c"]}])
def test_streamed_pieces_join_to_the_whole(serve: Serve, events: Events, text: str, extra: dict[str, Any]) -> None:
    body = {"prompt": "前 Once", "max_tokens": 60, **extra}

    async def whole() -> Any:
        async with serve() as server:
            server.engine.text = text
            return (await server.post(PATH, body)).json()["choices"]

    joined: dict[int, dict[str, Any]] = {}
    for chunk in events(stream(serve, body, text)):
        (choice,) = chunk["choices"]
        so_far = joined.setdefault(choice["index"], choice)
        if so_far is choice:
            continue
        assert so_far["finish_reason"] is None
        so_far.update({name: choice[name] for name in ("finish_reason", "stop_reason")})
        so_far["text"] += choice["text"]
        for name, values in (so_far["logprobs"] or {}).items():
            values += choice["logprobs"][name]
    assert [joined[index] for index in sorted(joined)] == asyncio.run(whole())


def test_chunks_share_id_and_time_and_are_written_as_utf8(serve: Serve, events: Events) -> None:
    text = stream(serve, {"prompt": "x", "max_tokens": 60})
    assert "\\u" not in text
    chunks = events(text)
    assert len({(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_comes_in_a_last_chunk_without_choices(serve: Serve, events: Events) -> None:
    body = {"prompt": "x", "max_tokens": 60, "stream_options": {"include_usage": True}}
    *chunks, last = events(stream(serve, body))
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == len(chunks)
    assert all(chunk["usage"] is None for chunk in chunks)


def test_usage_comes_in_every_chunk_where_it_is_asked_for(serve: Serve, events: Events) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = events(stream(serve, {"prompt": "x", "max_tokens": 4, "stream_options": options}))
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 2, 3, 4, 4]


def test_an_engine_that_dies_in_the_middle_ends_the_stream_with_one_error(serve: Serve, events: Events) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.dies_after = 3
            *chunks, error = events((await server.post(PATH, {"prompt": "x", "stream": True})).text)
            assert len(chunks) <= 3
            assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
            assert set(error) == {"error"}
            assert error["error"]["code"] == "engine_dead"
            assert server.state._num_in_flight == 0

    asyncio.run(main())


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_the_engine_gave_up_is_an_error_and_no_finish_reason(serve: Serve, streamed: bool) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.finish_reason = "error"
            answer = await server.post(PATH, {"prompt": "x", "stream": streamed, "max_tokens": 60})
            assert answer.status_code == (200 if streamed else 500)
            assert '"error":{' in answer.text
            assert '"finish_reason":"error"' not in answer.text

    asyncio.run(main())


def test_silence_is_bridged_by_comments(serve: Serve, until: Any) -> None:
    async def main() -> None:
        async with serve(ServerConfig(access_log=False, keep_alive_s=0.001)) as server:
            server.engine.hold.clear()
            exchange = await server.exchange(PATH, json.dumps({"prompt": "x", "stream": True}).encode())
            await asyncio.wait_for(exchange.has_events(2), HANG_S)
            assert {m["body"] for m in exchange.sent if m["type"] == "http.response.body"} == {b": ping\n\n"}
            server.engine.hold.set()
            await exchange.finished()
            assert exchange.sent[-1]["body"] == b"data: [DONE]\n\n"

    asyncio.run(main())


# Clients that leave


@pytest.mark.parametrize("body", [{"stream": True}, {"stream": False}, {"stream": True, "prompt": ["a", "b"]}])
def test_a_client_that_leaves_has_its_requests_aborted(serve: Serve, until: Any, body: dict[str, Any]) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.hold.clear()
            exchange = await server.exchange(PATH, json.dumps({"prompt": "x", **body}).encode())
            num_prompts = len(body.get("prompt", "x"))
            await until(lambda: len(server.engine.added) == num_prompts, "the requests")
            if body["stream"]:
                await until(lambda: bool(exchange.sent), "the head of the answer")
            exchange.leave()
            await exchange.finished()
            assert sorted(server.engine.aborted) == sorted(add.request_id for add in server.engine.added)
            assert server.engine.num_live_requests == 0
            assert server.state._num_in_flight == 0

    asyncio.run(main())


def test_a_finished_request_is_not_aborted(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            await server.post(PATH, {"prompt": "x"})
            await server.post(PATH, {"prompt": "x", "stream": True})
            assert server.engine.aborted == []

    asyncio.run(main())


def test_where_one_prompt_is_refused_none_is_left_in_the_engine(serve: Serve) -> None:
    async def main() -> None:
        async with serve(max_num_seqs=1, max_num_waiting=1) as server:
            server.engine.hold.clear()
            answer = await server.post(PATH, {"prompt": ["a", "b", "c"]})
            assert answer.status_code == 503
            assert len(server.engine.aborted) == 2
            assert server.engine.num_live_requests == 0

    asyncio.run(main())


def _with_tokens(tokenizer: Tokenizer, tokens: Sequence[str]) -> Tokenizer:
    backend = BackendTokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.add_special_tokens(list(tokens))
    return Tokenizer(backend, special_tokens=tokenizer.special_tokens, chat_template=tokenizer.chat_template)


@pytest.mark.parametrize("tokens", KNOWN, ids=lambda tokens: tokens.prefix)
def test_a_suffix_is_filled_in_by_the_tokens_of_the_model(
    tokens: InfillingTokens, serve: Serve, tokenizer: Tokenizer
) -> None:
    own = _with_tokens(tokenizer, tokens)

    async def main() -> None:
        async with serve(vocab_size=own.num_tokens) as server:
            server.engine.tokenizer = server.engine._fake_tokenizer = own
            body = {"prompt": "def f(", "suffix": ")\n", "echo": True, "stop_token_ids": [7], "max_tokens": 50}
            answer = await server.post(PATH, body)
            assert answer.json()["choices"][0]["text"] == "def f(" + TEXT
            assert server.engine.prompts[0].endswith(f"{tokens.prefix}def f({tokens.suffix})\n{tokens.middle}")
            assert {7, *map(own.token_to_id, tokens)} <= {*server.engine.params[0].stop_token_ids}
            answer = await server.post(PATH, {"prompt": [5, 6], "suffix": ")"})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")

    asyncio.run(main())


def test_a_text_with_a_token_that_only_the_tokenizer_knows_is_blamed_on_that_token(
    serve: Serve, tokenizer: Tokenizer
) -> None:
    own = _with_tokens(tokenizer, ["<|later|>"])
    chat = "/v1/chat/completions"

    async def main() -> None:
        async with serve() as server:
            server.engine.tokenizer = own
            for path, body, param in (
                (PATH, {"prompt": "a <|later|> b"}, "prompt"),
                (PATH, {"prompt": [own.token_to_id("<|later|>")]}, "prompt"),
                ("/v1/embeddings", {"input": "<|later|>"}, "input"),
                (chat, {"messages": [{"role": "user", "content": "<|later|>"}]}, "messages"),
            ):
                answer = await server.post(path, body)
                error = answer.json()["error"]
                assert (answer.status_code, error["param"]) == (400, param)
                assert f"{param} contains '<|later|>', which the tokenizer knows as token 8192" in error["message"]

    asyncio.run(main())
