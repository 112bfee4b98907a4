"""A chat that searches the server's documents: rounds, citations, streams, bounds, rights and refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.rag.errors import StoreError
from pagoda.server.access import Collection
from pagoda.server.applications.application import service_of
from pagoda.server.applications.rag_collections import RagCollections
from searching_chats import OPENING, SEARCH, SHOP, WEATHER, calling, roomy, scripted

Sites = Callable[..., Any]


async def chat(s: Any, *texts: str, **fields: Any) -> Any:
    """What the server answers to a chat whose model says these texts."""
    scripted(s.server.engine, *texts)
    body = {"messages": [{"role": "user", "content": OPENING}], "tools": [SEARCH], **fields}
    return await s.client.post("/v1/chat/completions", json=body)


def run(site: Sites, *texts: str, **fields: Any) -> tuple[Any, list[str], list[Any]]:
    """(the reply, the prompts, what the engine was asked for) of a chat over SHOP."""

    async def scenario() -> tuple[Any, list[str], list[Any]]:
        async with site() as s:
            s.server.engine._fake_info = s.server.engine._info = roomy(s.server.engine)
            assert (await s.upload(SHOP)).status_code == 200
            reply = await chat(s, *texts, **fields)
            return reply, s.server.engine.prompts, s.server.engine.params

    return asyncio.run(scenario())


def choice_of(reply: Any) -> Any:
    assert reply.status_code == 200, reply.text
    (choice,) = reply.json()["choices"]
    return choice


def test_what_the_model_looks_up_is_found_and_its_answer_cites_it(site: Sites) -> None:
    said = "The shop opens at 9:00 [1]. Bananas are blue."
    reply, prompts, _ = run(site, calling(OPENING), said)
    choice = choice_of(reply)
    message = choice["message"]
    assert (message["content"], choice["finish_reason"]) == (said, "stop")
    assert "tool_calls" not in message
    (search,) = message["file_search_calls"]
    assert (search["status"], search["queries"]) == ("completed", [OPENING])
    assert search["results"][0]["filename"] == "shop.md"
    (cited,) = message["annotations"]
    assert said[cited["start_index"] : cited["end_index"]] == "The shop opens at 9:00 [1]."
    assert cited["file_citation"]["quote"] == "The shop opens at 9:00 on weekdays."
    assert cited["file_citation"]["line"] == 3
    assert "The shop opens at 9:00 on weekdays." not in prompts[0]
    assert "The shop opens at 9:00 on weekdays." in prompts[1]
    usage = reply.json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_sentence_without_a_mark_is_cited_where_a_passage_bears_it_and_a_wrong_mark_is_not_believed(
    site: Sites,
) -> None:
    reply, _, _ = run(site, calling(OPENING), "The shop opens at 9:00. The deposit is 90 euros [1].")
    cited = choice_of(reply)["message"]["annotations"]
    assert [(each["start_index"], each["file_citation"]["number"]) for each in cited] == [(0, 1)]


def test_a_model_that_invents_a_question_reads_what_the_users_own_finds(site: Sites) -> None:
    reply, prompts, _ = run(site, calling("What is the capital of France?"), "At 9:00 [1].", tool_choice="required")
    (search,) = choice_of(reply)["message"]["file_search_calls"]
    assert search["queries"] == ["What is the capital of France?", OPENING]
    assert "capital of France" not in prompts[1], "or the model answers that"
    assert "The shop opens at 9:00 on weekdays." in prompts[1]


def test_a_stream_gives_the_same_as_the_whole_answer(site: Sites, events: Callable[[str], list[Any]]) -> None:
    texts = (
        f"Let me look. {calling(OPENING)}",
        calling("How much is the deposit?"),
        "It opens at 9:00 [1]. The deposit is 40 euros [2].",
    )
    whole = choice_of(run(site, *texts)[0])
    streamed, _, _ = run(site, *texts, stream=True, stream_options={"include_usage": True})
    chunks = events(streamed.text)
    deltas = [choice["delta"] for each in chunks for choice in each["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == whole["message"]["content"]
    assert whole["message"]["content"] == "Let me look.\n\nIt opens at 9:00 [1]. The deposit is 40 euros [2]."
    for name in ("file_search_calls", "annotations"):
        told = [item for delta in deltas for item in delta.get(name, [])]
        assert [_without_id(item) for item in told] == [_without_id(item) for item in whole["message"][name]]
        assert told
    ends = [choice["finish_reason"] for each in chunks for choice in each["choices"] if choice.get("finish_reason")]
    assert ends == ["stop"]
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def _without_id(item: Any) -> Any:
    return {name: value for name, value in item.items() if name != "id"}


def test_a_passage_that_was_shown_keeps_its_number_and_is_not_shown_again(site: Sites) -> None:
    reply, prompts, _ = run(site, calling(OPENING), calling(OPENING), "At 9:00 [1].")
    first, second = (each["results"] for each in choice_of(reply)["message"]["file_search_calls"])
    assert first == second
    assert prompts[2].count("opens at 9:00 on weekdays") == 1
    assert "(as above)" in prompts[2]


@pytest.mark.parametrize("most", [1, 2])
def test_a_model_that_never_stops_searching_is_stopped(site: Sites, most: int) -> None:
    reply, prompts, params = run(site, calling("The fees?"), calling(OPENING), calling(OPENING), max_tool_calls=most)
    choice = choice_of(reply)
    assert len(choice["message"]["file_search_calls"]) == most
    assert len(prompts) == most + 1
    told = "Answer the question from these passages now"
    assert [told in prompt for prompt in prompts] == [False] * most + [True]
    # In the last round nothing is offered that it could call.
    assert [each.structured_outputs is None for each in params] == [False] * most + [True]
    assert choice["message"]["content"] == calling(OPENING)


def test_a_model_that_asks_the_same_again_is_asked_to_answer(site: Sites) -> None:
    reply, prompts, params = run(site, calling(OPENING), calling(OPENING), "At 9:00.", max_tool_calls=20)
    assert choice_of(reply)["message"]["content"] == "At 9:00."
    assert "Answer the question from these passages now" in prompts[2]
    assert params[2].structured_outputs is None


def test_more_calls_at_once_than_are_left_are_answered_with_a_refusal(site: Sites) -> None:
    both = f"{calling(OPENING)}\n{calling('How much is the deposit?')}"
    reply, prompts, _ = run(site, both, "At 9:00.", max_tool_calls=1)
    calls = choice_of(reply)["message"]["file_search_calls"]
    assert [call["status"] for call in calls] == ["completed", "failed"]
    assert "error: no further search is possible" in prompts[1]


@pytest.mark.parametrize("choice", ["required", {"type": "file_search"}])
def test_a_search_that_is_demanded_is_demanded_once(site: Sites, choice: Any) -> None:
    reply, _, params = run(site, calling(OPENING), "At 9:00.", tool_choice=choice)
    assert choice_of(reply)["message"]["content"] == "At 9:00."
    first, second = (params_.structured_outputs.grammar for params_ in params)
    assert "ANY" not in first
    assert "ANY" in second


def test_a_call_of_the_clients_own_ends_the_answer(site: Sites) -> None:
    texts = (calling(OPENING), f"One moment. {calling('x', 'get_weather')}")
    choice = choice_of(run(site, *texts, tools=[WEATHER, SEARCH])[0])
    assert choice["finish_reason"] == "tool_calls"
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["get_weather"]
    assert len(choice["message"]["file_search_calls"]) == 1


def test_without_need_of_a_search_none_is_made(site: Sites) -> None:
    message = choice_of(run(site, "Hello!")[0])["message"]
    assert (message["content"], message["annotations"]) == ("Hello!", [])
    assert "file_search_calls" not in message


def test_the_clients_tokens_are_those_of_the_whole_answer(site: Sites) -> None:
    reply, _, params = run(site, calling(OPENING), "At 9:00 on weekdays, says the handbook.", max_tokens=60)
    choice = choice_of(reply)
    assert params[0].max_tokens == 60
    assert params[1].max_tokens == 60 - (reply.json()["usage"]["completion_tokens"] - params[1].max_tokens)
    assert choice["finish_reason"] == "length"


def test_a_search_that_the_clients_tokens_cut_off_is_not_shown(site: Sites) -> None:
    reply, _, _ = run(site, f"Let me look. {calling(OPENING)}", max_tokens=30)
    choice = choice_of(reply)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Let me look.", "length")


def test_the_same_question_is_searched_for_once(site: Sites) -> None:
    async def scenario() -> tuple[Any, list[str]]:
        async with site() as s:
            s.server.engine._info = roomy(s.server.engine)
            assert (await s.upload(SHOP)).status_code == 200
            (service,) = service_of(s.server.app, RagCollections).services()
            rag, asked = await service._opened(), []
            found = rag.retrieve

            def counted(question: str, *args: Any) -> Any:
                asked.append(question)
                return found(question, *args)

            rag.retrieve = counted
            texts = (calling(OPENING), calling("How much is the deposit?"), calling(f" {OPENING.lower()}"), "At 9:00.")
            return await chat(s, *texts), asked

    reply, asked = asyncio.run(scenario())
    assert asked == [OPENING, "How much is the deposit?"]
    first, _, third = (each["results"] for each in choice_of(reply)["message"]["file_search_calls"])
    assert first == third


def test_passages_that_the_context_has_no_room_for_are_left_out(site: Sites) -> None:
    async def scenario() -> tuple[Any, str]:
        async with site() as s:
            s.server.engine._info = roomy(s.server.engine, 800)
            page = "# Shop {n}\n\nThe shop {n} opens at {n}:00. " + "It is blue. " * 20
            pages = [(f"{n}.md", page.format(n=n).encode()) for n in range(6)]
            assert (await s.upload(*pages)).status_code == 200
            reply = await chat(s, calling(OPENING), "At 9:00.")
            return choice_of(reply), s.server.engine.prompts[1]

    choice, prompt = asyncio.run(scenario())
    (search,) = choice["message"]["file_search_calls"]
    assert 1 <= len(search["results"]) < 5
    for result in search["results"]:
        assert result["filename"] in prompt


def test_filters_and_collections_hold_whatever_the_model_asks(site: Sites, tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        named = (Collection("one", tmp_path / "a"), Collection("two", tmp_path / "b"))
        async with site(rag=None, collections=named) as s:
            s.server.engine._info = roomy(s.server.engine)
            for name in ("one", "two"):
                files = [(f"{kind}.md", f"The shop {name} {kind} opens at 9:00.".encode()) for kind in ("old", "new")]
                assert (await s.upload(*files, params={"collection": name})).status_code == 200
            tool = {**SEARCH, "vector_store_ids": ["two"], "max_num_results": 1}
            new = {"type": "and", "filters": [{"type": "in", "key": "path", "value": ["new.md"]}]}
            found = [await chat(s, calling(OPENING), "At 9:00.", tools=[{**tool, "filters": new}])]
            found += [await chat(s, "x", tools=[{**SEARCH, "vector_store_ids": ["three"]}])]
            found += [await chat(s, "x", tools=[{**SEARCH, "vector_store_ids": ["one", "two"]}])]
            return found

    reply, unknown, both = asyncio.run(scenario())
    (search,) = choice_of(reply)["message"]["file_search_calls"]
    assert [result["filename"] for result in search["results"]] == ["new.md"]
    assert (unknown.status_code, both.status_code) == (404, 400)
    assert "no collection 'three'" in unknown.json()["error"]["message"]
    assert unknown.json()["error"]["param"] == "vector_store_ids"
    assert "one is searched" in both.json()["error"]["message"]


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("stranger", 401), ("reader", 200)])
def test_a_collection_with_keys_of_its_own_is_searched_by_these_alone(
    site: Sites, tmp_path: Path, key: str | None, status: int
) -> None:
    async def scenario() -> int:
        closed = Collection("closed", tmp_path / "a", readers=("reader",), writers=("writer",))
        async with site(rag=None, collections=(closed,)) as s:
            s.server.engine._info = roomy(s.server.engine)
            writer = {"Authorization": "Bearer writer"}
            assert (await s.upload(SHOP, headers=writer)).status_code == 200
            s.client.headers.update({} if key is None else {"Authorization": f"Bearer {key}"})
            found: int = (await chat(s, calling(OPENING), "At 9:00.")).status_code
            return found

    assert asyncio.run(scenario()) == status


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"n": 2}, "n is 2, which does not go with file_search"),
        ({"logprobs": True}, "logprobs is True, which does not go with file_search"),
        ({"max_tool_calls": 0}, "max_tool_calls is 0, expected 1 to 32"),
        ({"tools": [SEARCH, SEARCH]}, "tools holds file_search twice"),
        ({"tools": [{**SEARCH, "max_num_results": 0}]}, "max_num_results of file_search: k is 0, expected 1 to 100"),
        ({"tools": [{**SEARCH, "filters": {"type": "like"}}]}, "filters holds {'type': 'like'}, expected"),
        ({"tools": [{**SEARCH, "filters": {"type": "eq", "key": "$x", "value": 1}}]}, "filters holds {'type': 'eq'"),
        ({"tools": [{**SEARCH, "filter": {}}]}, "file_search[0].filter is no field of this tool: did you mean"),
        (
            {"tools": [{**SEARCH, "ranking_options": {"ranker": "x"}}]},
            "file_search[0].ranking_options is not supported",
        ),
        (
            {"tools": [{**SEARCH, "max_num_results": "5"}]},
            "file_search[0].max_num_results: Input should be a valid int",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "search_documents"}}, SEARCH]},
            "tools[1].function.name is 'search_documents', a name that a tool before it has",
        ),
        ({"tools": [WEATHER], "max_tool_calls": 3}, "give a tool of the type file_search"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(site: Sites, fields: Any, told: str) -> None:
    reply, prompts, _ = run(site, "x", **fields)
    assert reply.status_code == 400
    assert told in reply.json()["error"]["message"]
    assert prompts == []


def test_a_server_without_documents_says_so(serve: Any) -> None:
    async def scenario() -> Any:
        async with serve() as server:
            body = {"messages": [{"role": "user", "content": "Hi"}], "tools": [SEARCH]}
            return await server.post("/v1/chat/completions", body)

    reply = asyncio.run(scenario())
    assert reply.status_code == 400
    assert "this server has none: start it with --rag DIR" in reply.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_index_that_fails_is_one_clear_error(site: Sites, stream: bool) -> None:
    def failing(*args: Any) -> Any:
        raise StoreError("the vector store at somewhere does not answer")

    async def scenario() -> Any:
        async with site() as s:
            s.server.engine._info = roomy(s.server.engine)
            await s.upload(SHOP)
            (service,) = service_of(s.server.app, RagCollections).services()
            (await service._opened()).retrieve = failing
            return await chat(s, calling(OPENING), "x", stream=stream)

    reply = asyncio.run(scenario())
    assert reply.status_code == (200 if stream else 503)
    assert reply.text.count("the vector store at somewhere does not answer") == 1


def test_one_key_may_search_within_its_share_of_requests(site: Sites) -> None:
    async def scenario() -> Any:
        async with site(max_requests_per_key=1) as s:
            s.server.engine._info = roomy(s.server.engine)
            await s.upload(SHOP)
            reply = await chat(s, calling(OPENING), "At 9:00.")
            assert s.server.state._num_in_flight == 0
            return reply

    assert choice_of(asyncio.run(scenario()))["message"]["content"] == "At 9:00."


def test_a_client_that_leaves_ends_the_round_under_way(site: Sites, until: Any) -> None:
    async def scenario() -> None:
        async with site() as s:
            engine = s.server.engine
            engine._info = roomy(engine)
            await s.upload(SHOP)
            scripted(engine, calling(OPENING), "At 9:00.")
            engine.hold.clear()
            body = {"messages": [{"role": "user", "content": OPENING}], "tools": [SEARCH]}
            exchange = await s.server.exchange("/v1/chat/completions", json.dumps(body).encode())
            while not engine.added:
                await asyncio.sleep(0.01)
            exchange.leave()
            await exchange.finished()
            assert engine.aborted == [engine.added[0].request_id]
            assert s.server.state._num_in_flight == 0

    asyncio.run(scenario())
