"""The application around the endpoints: keys, limits, tenants, draining, health, models, the page, and its own
description, which must hold.
"""

from __future__ import annotations

import asyncio
import base64
import re
import struct
from collections.abc import Callable
from typing import Any

import pytest

from pagoda.engine.process.async_engine import EngineState
from pagoda.errors import ConfigError, InvalidParameterError
from pagoda.models.embedder import EmbedderConfig
from pagoda.models.model_card import ModelCard
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.server.access import read_api_keys
from pagoda.server.config import ServerConfig
from pagoda.version import __version__

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hi"}]
Serve = Callable[..., Any]


def config(**settings: Any) -> ServerConfig:
    return ServerConfig(access_log=False, **settings)


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer two"},
        {"Authorization": "bearer one"},
        {"x-api-key": "one"},
        {"api-key": "two"},
    ],
)
def test_any_of_the_keys_opens_in_each_clients_way(serve: Serve, headers: dict[str, str]) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one", "two"))) as server:
            assert (await server.post(COMPLETIONS, {"prompt": "x"}, headers=headers)).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer three"}, {"Authorization": "Basic one"}, {"x-api-key": "on"}, {"x-api-key": "ö"}],
)
@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/tokenize", "/nowhere"])
def test_without_a_known_key_the_answer_is_a_whole_401(serve: Serve, headers: dict[str, str], path: str) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one", "two"))) as server:
            encoded = {name: value.encode() for name, value in headers.items()}
            answer = await server.post(path, {"prompt": "x"}, headers=encoded)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("AuthenticationError", "invalid_api_key")
            assert server.engine.added == []

    asyncio.run(main())


def test_probes_and_the_page_need_no_key_and_metrics_do(serve: Serve) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one",))) as server:
            for path in ("/health", "/ready", "/ping", "/version", "/"):
                assert (await server.client.get(path)).status_code == 200, path
            for path in ("/metrics", "/v1/models", "/openapi.json"):
                assert (await server.client.get(path)).status_code == 401, path

    asyncio.run(main())


def test_keys_are_read_from_a_file_one_a_line(tmp_path: Any) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\none\n\n  two \n", encoding="utf-8")
    assert read_api_keys(file) == ("one", "two")
    file.write_text("# none\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no API key"):
        read_api_keys(file)


# Tenants


async def _salts(server: Any, key: str | None, *given: str | None) -> list[str | None]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    begin = len(server.engine.added)
    for salt in given:
        body = {"prompt": "x"} if salt is None else {"prompt": "x", "cache_salt": salt}
        assert (await server.post(COMPLETIONS, body, headers=headers)).status_code == 200
    return [add.cache_salt for add in server.engine.added[begin:]]


def test_each_key_has_a_prefix_cache_of_its_own(serve: Serve) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one", "two"))) as server:
            first = await _salts(server, "one", None, None, "a", "a", "b")
            second = await _salts(server, "two", None, None, "a", "a", "b")
            assert (first[0], first[2]) == (first[1], first[3])
            assert len({*first, *second}) == 6
            # A key cannot be read off its salt, and nobody reaches another's salt by giving it.
            assert all(re.fullmatch("[0-9a-f]{64}", str(salt)) for salt in first)
            assert await _salts(server, "two", first[0]) != [first[0]]

    asyncio.run(main())


def test_embeddings_keep_to_their_keys_prefix_cache(serve: Serve) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one", "two"))) as server:
            for key in ("one", "two", "one"):
                await server.post("/v1/embeddings", {"input": "x"}, headers={"x-api-key": key})
            first, second, again = (add.cache_salt for add in server.engine.added)
            assert first == again != second

    asyncio.run(main())


def test_without_keys_only_a_salt_that_is_given_parts_the_cache(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            none, first, again, other = await _salts(server, None, None, "a", "a", "b")
            assert none is None
            assert first == again != other

    asyncio.run(main())


def test_salts_are_new_with_each_start(serve: Serve) -> None:
    async def salt() -> Any:
        async with serve(config(api_keys=("one",))) as server:
            return await _salts(server, "one", None)

    assert asyncio.run(salt()) != asyncio.run(salt())


def test_one_keys_requests_are_bounded_and_anothers_go_on(serve: Serve, until: Any) -> None:
    async def main() -> None:
        async with serve(config(api_keys=("one", "two"), max_requests_per_key=2)) as server:
            one, two = ({"Authorization": f"Bearer {key}"} for key in ("one", "two"))
            server.engine.hold.clear()
            running = [
                asyncio.ensure_future(server.post(COMPLETIONS, {"prompt": "x", "stream": stream}, headers=one))
                for stream in (True, False)
            ]
            await until(lambda: len(server.engine.added) == 2, "two requests")
            refused = await server.post(CHAT, {"messages": HELLO}, headers=one)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["type"] == "RateLimitError"
            others = asyncio.ensure_future(server.post(COMPLETIONS, {"prompt": "x"}, headers=two))
            await until(lambda: len(server.engine.added) == 3, "the other key's request")
            server.engine.hold.set()
            assert [answer.status_code for answer in await asyncio.gather(*running, others)] == [200] * 3
            assert (await server.post(COMPLETIONS, {"prompt": "x"}, headers=one)).status_code == 200

    asyncio.run(main())


# Overload, draining, loading


def test_a_full_queue_answers_503_with_the_time_to_come_back(serve: Serve, until: Any) -> None:
    async def main() -> None:
        async with serve(max_num_seqs=1, max_num_waiting=1) as server:
            server.engine.hold.clear()
            running = [asyncio.ensure_future(server.post(COMPLETIONS, {"prompt": "x"})) for _ in range(2)]
            await until(lambda: len(server.engine.added) == 2, "two requests")
            refused = await server.post(COMPLETIONS, {"prompt": "x", "stream": True})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert "x-should-retry" not in refused.headers
            server.engine.hold.set()
            await asyncio.gather(*running)
            page = (await server.client.get("/metrics")).text
            assert re.search(r'admission_rejections_total\{.*reason="queue_full".*\} 1.0', page)

    asyncio.run(main())


def test_draining_refuses_what_is_new_and_waits_for_what_runs(serve: Serve, until: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.hold.clear()
            running = asyncio.ensure_future(server.post(COMPLETIONS, {"prompt": "x"}))
            await until(lambda: len(server.engine.added) == 1, "the request")
            draining = asyncio.ensure_future(server.state.drain(60))
            await asyncio.sleep(0)
            assert (await server.client.get("/ready")).status_code == 503
            assert (await server.client.get("/health")).status_code == 200
            refused = await server.post(COMPLETIONS, {"prompt": "x"})
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            assert not draining.done()
            server.engine.hold.set()
            assert (await running).status_code == 200
            assert await draining

    asyncio.run(main())


def test_draining_gives_up_on_what_does_not_end(serve: Serve, until: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.hold.clear()
            running = asyncio.ensure_future(server.post(COMPLETIONS, {"prompt": "x"}))
            await until(lambda: len(server.engine.added) == 1, "the request")
            assert not await server.state.drain(0.01)
            server.engine.hold.set()
            await running

    asyncio.run(main())


def test_while_the_model_loads_everything_that_needs_it_says_503(serve: Serve) -> None:
    async def main() -> None:
        async with serve(loaded=False) as server:
            for path in ("/health", "/ready", "/ping", "/v1/models", "/tokenizer_info"):
                answer = await server.client.get(path)
                assert (answer.status_code, "retry-after" in answer.headers) == (503, True), path
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            for path in (COMPLETIONS, "/tokenize", "/v1/embeddings"):
                assert (await server.post(path, {"prompt": "x", "input": "x"})).status_code == 503, path
            assert (await server.client.get("/version")).json() == {"version": __version__}
            assert (await server.client.get("/metrics")).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize("state", [EngineState.RESTARTING, EngineState.DEAD])
def test_a_lost_engine_shows_in_health_and_models_stay_listed(serve: Serve, state: EngineState) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.state = state
            assert (await server.client.get("/health")).status_code == 503
            assert (await server.client.get("/ready")).status_code == 503
            assert (await server.post(COMPLETIONS, {"prompt": "x"})).status_code == 503
            assert (await server.client.get("/v1/models")).status_code == 200

    asyncio.run(main())


# Models, ids, the page


def test_the_model_answers_under_its_served_names_or_none_at_all(serve: Serve) -> None:
    async def main() -> None:
        async with serve(served_model_name=("big", "org/small")) as server:
            listed = (await server.client.get("/v1/models")).json()
            assert [card["id"] for card in listed["data"]] == ["big", "org/small"]
            assert [card["root"] for card in listed["data"]] == ["fake", "fake"]
            assert listed["data"][0]["max_model_len"] == 64
            assert (await server.client.get("/v1/models/org/small")).json()["id"] == "org/small"
            assert (await server.client.get("/v1/models/fake")).status_code == 404
            for given in ({"model": "org/small"}, {"model": "big"}, {}, {"model": None}):
                assert (await server.post(COMPLETIONS, {"prompt": "x", **given})).json()["model"] == "big"

    asyncio.run(main())


def test_the_models_card_tells_what_the_page_needs_to_know(serve: Serve) -> None:
    async def main() -> None:
        async with serve(num_parameters=2_000_000_000, card=ModelCard(("en", "zh"))) as server:
            meta = (await server.client.get("/v1/models")).json()["data"][0]["meta"]
            assert meta == {
                "n_params": 2_000_000_000,
                "has_chat_template": True,
                "languages": ["en", "zh"],
                "is_for_code": False,
                "is_builtin": False,
                "chat_sampling_params": {"temperature": 0.7, "top_p": 0.95},
                "chat_system_message": "",
            }
            # Of the page's own values nothing comes into the API.
            await server.post(COMPLETIONS, {"prompt": "x"})
            assert server.engine.params[0].temperature == 1.0

    asyncio.run(main())


def test_an_unknown_name_is_refused_with_those_that_there_are(serve: Serve) -> None:
    async def main() -> None:
        async with serve(served_model_name="acme/Tiny-Llama") as server:
            for name in ("fake", "Tiny-Llama", "None", "acme/tiny-llama"):
                answer = await server.post(COMPLETIONS, {"prompt": "x", "model": name})
                assert answer.status_code == 404
                assert answer.json()["error"]["message"] == (
                    f"The model `{name}` does not exist. This server has acme/Tiny-Llama."
                )
            for path in ("acme/Tiny-Llama", "acme%2FTiny-Llama"):
                assert (await server.client.get(f"/v1/models/{path}")).json()["id"] == "acme/Tiny-Llama"
            await server.post(COMPLETIONS, {"prompt": "x"})
            assert 'model_name="acme/Tiny-Llama"' in (await server.client.get("/metrics")).text

    asyncio.run(main())


def test_every_answer_has_a_request_id_and_a_harmless_one_is_kept(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            for given, kept in (("abc-1", True), ("a b", False), ("x" * 200, False)):
                answer = await server.client.get("/health", headers={"x-request-id": given})
                assert (answer.headers["x-request-id"] == given) is kept
            first, second = [(await server.client.get("/health")).headers["x-request-id"] for _ in range(2)]
            assert first != second

    asyncio.run(main())


def test_two_requests_of_one_client_id_do_not_meet(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            headers = {"x-request-id": "same"}
            answers = await asyncio.gather(
                *(server.post(COMPLETIONS, {"prompt": "x"}, headers=headers) for _ in range(3))
            )
            assert [answer.status_code for answer in answers] == [200] * 3

    asyncio.run(main())


def test_the_page_may_load_nothing_from_outside(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            answer = await server.client.get("/")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "connect-src 'self'" in policy
            assert "http" not in policy
        async with serve(config(page=False)) as server:
            assert (await server.client.get("/")).status_code == 404

    asyncio.run(main())


def test_pages_of_other_origins_may_call_only_where_the_operator_says_so(serve: Serve) -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}

    async def main() -> None:
        async with serve(config(allowed_origins=("https://app.example",), api_keys=("one",))) as server:
            preflight = await server.client.options(COMPLETIONS, headers=headers)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == "https://app.example"
            refused = await server.post(COMPLETIONS, {"prompt": "x"}, headers=headers)
            assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (401, True)
        async with serve() as server:
            answer = await server.post(COMPLETIONS, {"prompt": "x"}, headers=headers)
            assert answer.status_code == 403, "a browser sends such a request, and hides its answer alone"
            assert "--allowed-origin" in answer.text
            assert "access-control-allow-origin" not in answer.headers

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://shop.example", "Host": "shop.example"},
        {"Origin": "https://shop.example", "Host": "127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Host": "shop.example"},
    ],
)
def test_pages_of_the_server_itself_and_programs_call_without_ado(serve: Serve, headers: dict[str, str]) -> None:
    async def main() -> None:
        async with serve(config(allowed_hosts=("shop.example",))) as server:
            assert (await server.post(COMPLETIONS, {"prompt": "x"}, headers=headers)).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "rebound.example", 403),
        ({}, "rebound.example:8000", 403),
        ({}, "127.0.0.1.rebound.example", 403),
        ({}, "localhost:8000", 200),
        ({}, "127.0.0.1:9", 200),
        ({}, "[::1]:8000", 200),
        ({}, "192.168.0.7:8000", 200),
        ({"allowed_hosts": ("shop.example",)}, "Shop.Example.:80", 200),
        ({"allowed_hosts": ("*.shop.example",)}, "a.shop.example", 200),
        ({"allowed_hosts": ("*.shop.example",)}, "shop.example.rebound.example", 403),
        ({"allowed_hosts": ("shop.example",), "host": "0.0.0.0"}, "rebound.example", 403),
        ({"host": "0.0.0.0"}, "anything.example", 200),
        ({"api_keys": ("one",)}, "behind-a-proxy.example", 200),
    ],
)
def test_a_page_that_has_its_own_name_lead_here_reads_nothing(
    serve: Serve, settings: dict[str, Any], host: str, status: int
) -> None:
    async def main() -> None:
        async with serve(config(**settings)) as server:
            headers = {"Host": host, "Authorization": "Bearer one"}
            answer = await server.client.get("/v1/models", headers=headers)
            assert answer.status_code == status
            assert status == 200 or "--allowed-host" in answer.json()["error"]["message"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 70000},
        {"ssl_keyfile": "key.pem"},
        {"metrics_prefix": "my"},
        {"api_keys": ("one", " ")},
        {"max_body_bytes": 0},
        {"max_requests_per_key": 0},
        {"keep_alive_s": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="(?i)" + next(iter(settings)).split("_")[0]):
        ServerConfig(**settings)


# Embeddings and tokens


@pytest.mark.parametrize("given", ["x", ["x", "月"], [5, 6], [[5, 6], [7]]])
def test_embeddings_come_in_order_as_numbers_or_base64(serve: Serve, given: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            plain = (await server.post("/v1/embeddings", {"input": given})).json()
            coded = (await server.post("/v1/embeddings", {"input": given, "encoding_format": "base64"})).json()
            assert [item["index"] for item in plain["data"]] == list(range(len(plain["data"])))
            assert plain["data"][0]["embedding"] == [0.5, -0.25, 1.0, 0.0]
            data = base64.b64decode(coded["data"][0]["embedding"])
            assert struct.unpack("<4f", data) == (0.5, -0.25, 1.0, 0.0)
            assert plain["usage"]["prompt_tokens"] == plain["usage"]["total_tokens"] > 0

    asyncio.run(main())


@pytest.mark.parametrize("given", ["x", ["x", "y"]])
def test_an_embedding_that_the_engine_refuses_is_a_400(serve: Serve, given: Any) -> None:
    async def main() -> None:
        async with serve() as server:
            server.engine.refusal = InvalidParameterError("dimensions is 9, but there are 4", param="dimensions")
            answer = await server.post("/v1/embeddings", {"input": given, "dimensions": 9})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dimensions")
            assert server.state._num_in_flight == server.engine.num_live_requests == 0

    asyncio.run(main())


def test_an_embedders_prompt_stands_before_the_text_that_is_embedded(serve: Serve) -> None:
    embedder = EmbedderConfig(prompts={"query": "Q: ", "document": ""}, default_prompt_name="query")

    async def main() -> None:
        async with serve(embedder=embedder) as server:
            for name in ({}, {"prompt_name": "query"}, {"prompt_name": "document"}):
                assert (await server.post("/v1/embeddings", {"input": ["fox", "月"], **name})).status_code == 200
            read = [prompt.removeprefix("<|endoftext|>") for prompt in server.engine.prompts]
            assert read == ["Q: fox", "Q: 月", "Q: fox", "Q: 月", "fox", "月"]
            for given, said in (("fox", "passage"), ([5, 6], "query")):
                answer = await server.post("/v1/embeddings", {"input": given, "prompt_name": said})
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt_name")

    asyncio.run(main())


def test_tokens_and_text_are_turned_into_each_other(serve: Serve, tokenizer: Tokenizer) -> None:
    text = "从前 fox 🦊"

    async def main() -> None:
        async with serve() as server:
            answer = (await server.post("/tokenize", {"prompt": text, "return_token_strs": True})).json()
            assert answer["tokens"] == tokenizer.encode(text)
            assert (answer["count"], answer["max_model_len"]) == (len(answer["tokens"]), 64)
            assert len(answer["token_strs"]) == answer["count"]
            bare = (await server.post("/tokenize", {"prompt": text, "add_special_tokens": False})).json()
            assert bare["tokens"] == tokenizer.encode(text, add_special_tokens=False)
            assert bare["token_strs"] is None
            back = await server.post("/detokenize", {"tokens": bare["tokens"]})
            assert back.json() == {"prompt": text}
            assert (await server.post("/tokenize", {"prompt": ""})).json()["count"] == 0

    asyncio.run(main())


def test_rendering_shows_exactly_what_the_engine_gets(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            await server.post(CHAT, {"messages": HELLO})
            await server.post(COMPLETIONS, {"prompt": "x"})
            chat = (await server.post(CHAT + "/render", {"messages": HELLO})).json()["prompts"]
            text = (await server.post(COMPLETIONS + "/render", {"prompt": "x"})).json()["prompts"]
            tokens = (await server.post("/tokenize", {"messages": HELLO})).json()["tokens"]
            sent = [add.prompt_token_ids for add in server.engine.added]
            assert [chat[0]["prompt_token_ids"], text[0]["prompt_token_ids"]] == sent
            assert tokens == sent[0]
            assert "hi" in chat[0]["prompt"]

    asyncio.run(main())


def test_the_tokenizer_describes_itself(serve: Serve) -> None:
    async def main() -> None:
        async with serve() as server:
            facts = (await server.client.get("/tokenizer_info")).json()
            assert (facts["eos_token_ids"], facts["has_chat_template"], facts["max_model_len"]) == ([0], True, 64)

    asyncio.run(main())


# The description


def test_every_route_describes_its_errors(serve: Serve) -> None:
    async def main() -> Any:
        async with serve() as server:
            return (await server.client.get("/openapi.json")).json()

    description = asyncio.run(main())
    assert COMPLETIONS in description["paths"]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation["responses"], (method, path)
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (path, status)
