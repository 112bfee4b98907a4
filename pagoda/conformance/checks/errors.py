"""Mistakes of the caller's: each is answered at once with a 4xx and OpenAI's whole error object.

openai-python raises BadRequestError for 400 and tries again after 5xx: a 500 for a user's mistake triples the load.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, equal, error_object, expect, refused
from pagoda.conformance.client import JSON_BODY


async def _refused_value(server: Context, field: str, *values: Any, path: str = COMPLETIONS) -> None:
    """Each value alone is a 400 that names the field."""
    for value in values:
        refused(await server.client.post(path, {**server.body(path), field: value}), param=field)


@check("openai-python, every retrying client")
async def malformed_json(server: Context) -> None:
    """Malformed JSON is answered with 400, never with 500."""
    for path in (COMPLETIONS, CHAT):
        refused(await server.client.request("POST", path, b'{"prompt": "fox", "max_tokens": ', JSON_BODY))


@check("openai-python (reads .code, .param and .type), LangChain")
async def error_object_has_four_fields(server: Context) -> None:
    """An error has message, type, param and code, all of them."""
    reply = await server.send(COMPLETIONS, temperature=-1)
    expect(400 <= reply.status < 500, "a 4xx status", reply.summary(), reply)
    error_object(reply)


@check("plain HTTP")
async def empty_body(server: Context) -> None:
    """A POST without a body is answered with 400."""
    refused(await server.client.request("POST", CHAT, b"", JSON_BODY))


@check("plain HTTP")
async def body_that_is_no_object(server: Context) -> None:
    """JSON that is no object is answered with 400."""
    for content in (b"[]", b'"fox"', b"null", b"17"):
        refused(await server.client.request("POST", CHAT, content, JSON_BODY))


@check("plain HTTP")
async def body_that_is_no_utf8(server: Context) -> None:
    """A body that is not UTF-8 is answered with 400."""
    refused(await server.client.request("POST", COMPLETIONS, b'{"prompt": "\xff\xfe\xb0"}', JSON_BODY))


@check("openai-python")
async def nan_in_json(server: Context) -> None:
    """NaN and Infinity, which are no JSON, are answered with 400."""
    for number in (b"NaN", b"Infinity"):
        content = b'{"prompt": "fox", "max_tokens": 1, "temperature": ' + number + b"}"
        refused(await server.client.request("POST", COMPLETIONS, content, JSON_BODY))


@check("openai-python")
async def missing_prompt(server: Context) -> None:
    """A completion without a prompt is refused, and `param` says which field is missing."""
    refused(await server.send(COMPLETIONS, prompt=None), param="prompt")


@check("openai-python")
async def missing_messages(server: Context) -> None:
    """A chat without messages is refused, and `param` says which field is missing."""
    refused(await server.send(CHAT, messages=None), param="messages")


@check("LangChain")
async def empty_messages(server: Context) -> None:
    """A chat with an empty list of messages is refused with param `messages`."""
    await _refused_value(server, "messages", [], path=CHAT)


@check("openai-python, LangChain")
async def wrong_type(server: Context) -> None:
    """A value of the wrong type is refused, and `param` names the field."""
    await _refused_value(server, "temperature", "hot", [1])
    await _refused_value(server, "max_tokens", "ten", 1.5)


@check("openai-python, LangChain")
async def nested_param_is_dotted(server: Context) -> None:
    """The `param` of a mistake deep in the body leads there: `messages[0].role`, `response_format.type`."""
    error = refused(await server.send(CHAT, messages=[{"content": "no role"}]))
    param = str(error["param"])
    expect(param.startswith("messages") and param.endswith("role"), "param messages[0].role", param)
    error = refused(await server.send(CHAT, response_format={"type": "poem"}))
    param = str(error["param"])
    expect(param.startswith("response_format"), "param response_format.type", param)


@check("every person who reads an error")
async def message_names_value_and_field(server: Context) -> None:
    """The message of a value out of range names the field and the value that was given."""
    error = refused(await server.send(COMPLETIONS, temperature=-3.25))
    named = "temperature" in error["message"] and "-3.25" in error["message"]
    expect(named, "a message with temperature and -3.25", error["message"])


@check("plain HTTP: a server that takes -1 for endless runs for ever")
async def negative_max_tokens(server: Context) -> None:
    """A negative max_tokens is refused, on both endpoints."""
    for path in (COMPLETIONS, CHAT):
        await _refused_value(server, "max_tokens", -1, -100, path=path)


@check("openai-python")
async def temperature_out_of_range(server: Context) -> None:
    """A temperature outside of 0 to 2 is refused with its name."""
    await _refused_value(server, "temperature", -0.5, 2.5)


@check("openai-python")
async def top_p_out_of_range(server: Context) -> None:
    """A top_p outside of 0 to 1 is refused with its name."""
    await _refused_value(server, "top_p", -0.1, 1.5)


@check("openai-python")
async def penalties_out_of_range(server: Context) -> None:
    """Penalties outside of -2 to 2 are refused with their names."""
    await _refused_value(server, "presence_penalty", 2.5)
    await _refused_value(server, "frequency_penalty", -2.5)


@check("openai-python")
async def n_out_of_range(server: Context) -> None:
    """n below 1 is refused with its name."""
    await _refused_value(server, "n", 0, -2)


@check("openai-python")
async def logprobs_out_of_range(server: Context) -> None:
    """More log-probabilities than there may be, or fewer than none, are refused."""
    for value in (-5, 1_000_000):
        error = refused(await server.send(COMPLETIONS, logprobs=value))
        expect(error["param"] in ("logprobs", "max_logprobs"), "param logprobs", error)


@check("openai-python")
async def empty_stop_string(server: Context) -> None:
    """An empty stop string, which would stop before the first character, is refused."""
    error = refused(await server.send(COMPLETIONS, stop=["", "fox"]))
    expect(str(error["param"]).startswith("stop"), "param stop", error)


@check("openai-python raises NotFoundError; LangChain, litellm")
async def unknown_model(server: Context) -> None:
    """An unknown model is a 404 with param `model`, on every endpoint that takes one."""
    name = "no-such-model"
    embedding = {"model": name, "input": "fox"}
    for reply in (
        await server.send(COMPLETIONS, model=name),
        await server.send(CHAT, model=name),
        await server.client.post("/v1/embeddings", embedding),
    ):
        error = refused(reply, 404, param="model")
        expect(name in error["message"], f"a message that names {name}", error["message"], reply)


@check("openai-python, LangChain and litellm send these")
async def harmless_fields_are_ignored(server: Context) -> None:
    """Fields that change nothing (user, store, metadata, service_tier) and unknown ones are ignored."""
    extra: dict[str, Any] = {
        "user": "someone",
        "store": False,
        "metadata": {"purpose": "test"},
        "service_tier": "auto",
        "a_field_of_tomorrow": {"any": ["thing"]},
    }
    await server.complete(**extra, max_tokens=1)
    await server.chat(**extra, parallel_tool_calls=True, max_tokens=1)


@check("LangChain, litellm and instructor send these")
async def null_means_left_out(server: Context) -> None:
    """null stands for a field that was left out."""
    fields = ("stop", "seed", "logit_bias", "top_p", "n", "presence_penalty", "stream", "user", "stream_options")
    nulls = dict.fromkeys(fields)
    for path, more in ((COMPLETIONS, ("logprobs", "suffix")), (CHAT, ("tools", "tool_choice", "response_format"))):
        reply = await server.client.post(path, {**server.body(path), **nulls, **dict.fromkeys(more)})
        expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("code editors")
async def suffix_is_not_dropped_in_silence(server: Context) -> None:
    """A `suffix` that the model cannot use is refused by its name, and not ignored."""
    reply = await server.send(COMPLETIONS, suffix=" and that was the end.")
    if reply.status != 200:
        refused(reply, param="suffix")
        return
    plain = await server.complete()
    used = reply.json()["choices"][0]["text"] != plain["choices"][0]["text"]
    expect(used, "a text that the suffix changes, or 400 with param suffix", "the same text as without", reply)


@check("vision clients")
async def unreadable_part_is_refused(server: Context) -> None:
    """A part of a message that cannot be read is refused, and not left out in silence."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "hologram", "hologram": {"data": "AAAA"}}]
    error = refused(await server.send(CHAT, messages=[{"role": "user", "content": parts}]))
    expect(str(error["param"]).startswith("messages"), "a param that begins with messages", error)


@check("openai-python: the exception is raised by the call, not while reading")
async def refusal_before_the_stream(server: Context) -> None:
    """A mistake in a request for a stream is a plain 400, not an event."""
    for path in (COMPLETIONS, CHAT):
        reply = await server.send(path, stream=True, temperature=-1)
        refused(reply, param="temperature")
        kind = reply.headers.get("content-type", "")
        expect(kind.startswith("application/json"), "content-type application/json", kind, reply)


@check("every client that shares a server")
async def bad_among_good(server: Context) -> None:
    """Bad requests leave the good ones that run beside them alone."""
    alone = await server.complete(max_tokens=24)
    good = [server.complete(max_tokens=24) for _ in range(4)]
    bad = [server.send(COMPLETIONS, max_tokens=-1), server.send(COMPLETIONS, prompt=[-5]), server.send(CHAT, n=0)]
    answers, refusals = await asyncio.gather(asyncio.gather(*good), asyncio.gather(*bad))
    for reply in refusals:
        refused(reply)
    for answer in answers:
        equal(answer["choices"][0]["text"], alone["choices"][0]["text"], "the text of the request alone")
