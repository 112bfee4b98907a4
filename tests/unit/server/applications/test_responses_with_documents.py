"""Responses that search the server's documents: items, events, citations, what is shown of them and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from searching_chats import OPENING, SEARCH, SHOP, calling, roomy, scripted

Sites = Callable[..., Any]
SAID = "The shop opens at 9:00 [1]. Bananas are blue."


def respond(site: Sites, *texts: str, **fields: Any) -> tuple[Any, Any]:
    """(the reply, the engine) of a request whose model says these texts."""

    async def scenario() -> tuple[Any, Any]:
        async with site() as s:
            engine = s.server.engine
            engine._fake_info = engine._info = roomy(engine)
            assert (await s.upload(SHOP)).status_code == 200
            scripted(engine, *texts)
            body = {"input": OPENING, "tools": [SEARCH], **fields}
            return await s.client.post("/v1/responses", json=body), engine

    return asyncio.run(scenario())


def output(reply: Any) -> list[Any]:
    assert reply.status_code == 200, reply.text
    items: list[Any] = reply.json()["output"]
    return items


def test_a_search_is_an_item_and_the_answer_behind_it_cites_what_was_found(site: Sites) -> None:
    reply, engine = respond(site, calling(OPENING), SAID)
    search, message = output(reply)
    assert (search["type"], search["status"], search["queries"]) == ("file_search_call", "completed", [OPENING])
    assert search["results"] is None, "they are for those who include them"
    (part,) = message["content"]
    assert part["text"] == SAID
    (cited,) = part["annotations"]
    assert SAID[cited["start_index"] : cited["end_index"]] == "The shop opens at 9:00 [1]."
    assert (cited["type"], cited["filename"], cited["index"]) == ("file_citation", "shop.md", cited["end_index"])
    assert cited["quote"] == "The shop opens at 9:00 on weekdays."
    assert "The shop opens at 9:00 on weekdays." in engine.prompts[1]
    usage = reply.json()["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert (reply.json()["status"], reply.json()["tools"]) == ("completed", [SEARCH])


def test_what_was_found_is_shown_to_those_who_include_it(site: Sites) -> None:
    search, _ = output(respond(site, calling(OPENING), SAID, include=["file_search_call.results"])[0])
    assert search["results"][0]["filename"] == "shop.md"
    assert "The shop opens at 9:00 on weekdays." in search["results"][0]["text"]


def test_each_rounds_text_is_a_message_and_its_citations_count_within_it(site: Sites) -> None:
    texts = (f"Let me look. {calling(OPENING)}", "\n\n" + SAID)
    first, search, second = output(respond(site, *texts)[0])
    assert [each["type"] for each in (first, search, second)] == ["message", "file_search_call", "message"]
    assert (first["content"][0]["text"].strip(), first["content"][0]["annotations"]) == ("Let me look.", [])
    (part,) = second["content"]
    assert part["text"] == SAID
    assert part["annotations"][0]["start_index"] == 0


def test_a_stream_ends_with_the_same_response(site: Sites) -> None:
    texts = (f"Let me look. {calling(OPENING)}", calling("How much is the deposit?"), SAID)
    whole = output(respond(site, *texts)[0])
    streamed = respond(site, *texts, stream=True)[0].text
    told = [json.loads(line.removeprefix("data: ")) for line in streamed.splitlines() if line.startswith("data: ")]
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert [each["type"] for each in told[:2]] == ["response.created", "response.in_progress"]
    assert told[-1]["type"] == "response.completed"
    assert [_nameless(item) for item in told[-1]["response"]["output"]] == [_nameless(item) for item in whole]
    kinds = [each["type"] for each in told]
    assert kinds.count("response.file_search_call.searching") == 2
    assert kinds.count("response.file_search_call.completed") == 2
    (added,) = [each for each in told if each["type"] == "response.output_text.annotation.added"]
    assert added["annotation"] == whole[-1]["content"][0]["annotations"][0]
    assert told[-1]["response"]["output"][added["output_index"]]["id"] == added["item_id"]
    deltas = "".join(each["delta"] for each in told if each["type"] == "response.output_text.delta")
    assert deltas == "".join(item["content"][0]["text"] for item in whole if item["type"] == "message")


def _nameless(item: Any) -> Any:
    return {name: value for name, value in item.items() if name != "id"}


def test_a_call_of_the_clients_own_ends_the_answer_and_a_citation_finds_the_message_before_it(site: Sites) -> None:
    texts = (calling(OPENING), f"{SAID} {calling('x', 'get_weather')}")
    weather = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
    search, message, call = output(respond(site, *texts, tools=[weather, SEARCH])[0])
    assert [search["type"], message["type"], call["type"]] == ["file_search_call", "message", "function_call"]
    assert len(message["content"][0]["annotations"]) == 1
    assert call["name"] == "get_weather"


def test_items_of_an_earlier_answer_may_be_sent_again(site: Sites) -> None:
    earlier = output(respond(site, calling(OPENING), SAID, include=["file_search_call.results"])[0])
    begun = {"role": "user", "content": OPENING}
    more = {"role": "user", "content": "And the deposit?"}
    reply, engine = respond(site, "40 euros.", input=[begun, *earlier, more])
    assert output(reply)[0]["content"][0]["text"] == "40 euros."
    assert SAID in engine.prompts[0]


@pytest.mark.parametrize("choice", ["required", {"type": "file_search"}])
def test_a_search_that_is_demanded_is_demanded_once(site: Sites, choice: Any) -> None:
    reply, engine = respond(site, calling(OPENING), "At 9:00.", tool_choice=choice)
    assert output(reply)[-1]["content"][0]["text"] == "At 9:00."
    first, second = (each.structured_outputs.grammar for each in engine.params)
    assert "ANY" not in first
    assert "ANY" in second


def test_only_as_many_searches_are_made_as_the_client_allows(site: Sites) -> None:
    reply, _ = respond(site, calling("The fees?"), calling(OPENING), "At 9:00.", max_tool_calls=1)
    assert [item["type"] for item in output(reply)].count("file_search_call") == 1


def test_the_clients_tokens_are_those_of_the_whole_answer(site: Sites) -> None:
    reply, _ = respond(site, calling(OPENING), "At 9:00 on weekdays, says the handbook.", max_output_tokens=60)
    assert reply.json()["status"] == "incomplete"
    assert reply.json()["incomplete_details"] == {"reason": "max_output_tokens"}
    assert reply.json()["usage"]["output_tokens"] == 60


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"tools": [{**SEARCH, "filter": {}}]}, "tools", "tools[0].filter is no field of this tool: did you mean"),
        ({"tools": [{**SEARCH, "max_num_results": "5"}]}, "tools[0].max_num_results", "should be a valid integer"),
        ({"tools": [{**SEARCH, "max_num_results": 0}]}, "max_num_results", "max_num_results of file_search"),
        ({"tools": [SEARCH, SEARCH]}, "tools", "tools holds file_search twice"),
        ({"tools": [{**SEARCH, "ranking_options": {"ranker": "x"}}]}, "tools[0].ranking_options", "is not supported"),
        ({"tools": [{**SEARCH, "vector_store_ids": ["other"]}]}, "vector_store_ids", "no collection 'other'"),
        ({"max_tool_calls": 33}, "max_tool_calls", "max_tool_calls is 33, expected 1 to 32"),
        ({"tools": [], "max_tool_calls": 3}, "max_tool_calls", "give a tool of the type file_search"),
        ({"input": "word " * 3000}, "input", "maximum context length"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_makes_no_sense_is_refused_by_the_clients_name_for_it(
    site: Sites, fields: Any, param: str, told: str, stream: bool
) -> None:
    reply, engine = respond(site, "x", stream=stream, **fields)
    assert reply.status_code in (400, 404)
    assert told in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"] == param
    assert engine.prompts == []


def test_searches_have_ids_of_their_own_and_are_told_even_where_no_answer_has_room(site: Sites) -> None:
    replies = [respond(site, calling(OPENING), "word " * 5000)[0] for _ in range(2)]
    first, second = (output(reply)[0] for reply in replies)
    assert first["type"] == second["type"] == "file_search_call"
    assert first["id"] != second["id"]
    assert replies[0].json()["id"].removeprefix("resp_") in first["id"]


def test_what_a_schema_is_not_held_to_is_told_in_the_clients_names(site: Sites) -> None:
    schema = {
        "type": "object",
        "properties": {"at": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}},
    }
    form = {"format": {"type": "json_schema", "name": "hours", "schema": schema}}
    heads = [respond(site, '{"at": ["9"]}', text=form, tools=tools)[0].headers for tools in ([], [SEARCH])]
    told = [{name: value for name, value in head.items() if name == "x-pagoda-unenforced"} for head in heads]
    assert told[0] == told[1]
    assert "text.format" in str(told[1])
