"""Messages in all the spellings that clients have: each is told to the model or refused, and none is lost in silence.

Whether a text was told shows in `prompt_tokens`: a longer text makes a longer prompt. A server may refuse any message
that its model cannot take; what no client can live with is an answer to a conversation that the model has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pagoda.conformance.check import CHAT, Context, check, equal, expect, refused
from pagoda.conformance.client import Reply
from pagoda.conformance.evidence import NotApplicableError

Messages = list[dict[str, Any]]
_SHORT, _LONG = "fox", "fox and moon and fox and moon and fox and moon and fox"
_USER = {"role": "user", "content": "What now?"}
_CALL = {"id": "call00001", "type": "function", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}


def _calling(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [{**_CALL, **fields}]}


async def _sent(server: Context, messages: Messages, **fields: Any) -> Reply:
    return await server.send(CHAT, messages=messages, max_tokens=1, **fields)


async def _told_or_refused(server: Context, conversation: Callable[[str], Messages]) -> None:
    """Raises CheckFailedError where a text that is in the conversation is not in the prompt."""
    counts = []
    for text in (_SHORT, _LONG):
        reply = await _sent(server, conversation(text))
        if reply.status != 200:
            refused(reply, 400, 422)
            return
        counts.append(reply.json()["usage"]["prompt_tokens"])
    expect(counts[1] >= counts[0] + 5, "a longer prompt for a longer text, or a refusal", f"{counts} prompt_tokens")


@check("openai-python, LangChain: the newer models' word for system")
async def developer_is_told_or_refused(server: Context) -> None:
    """What a `developer` message says is part of the prompt, or it is refused."""
    await _told_or_refused(server, lambda text: [{"role": "developer", "content": text}, _USER])


@check("clients of OpenAI's API before tools")
async def function_role_is_told_or_refused(server: Context) -> None:
    """What a message of the old `function` role says is part of the prompt, or it is refused."""
    call = {"role": "assistant", "content": None, "function_call": _CALL["function"]}
    answer = {"role": "function", "name": "get_time"}
    await _told_or_refused(server, lambda text: [_USER, call, {**answer, "content": text}])


@check("clients of OpenAI's API before tools")
async def function_call_is_told_or_refused(server: Context) -> None:
    """A call in the old form `function_call` is part of the prompt, or it is refused."""

    def conversation(text: str) -> Messages:
        call = {"name": "get_time", "arguments": f'{{"zone": "{text}"}}'}
        answer = {"role": "function", "name": "get_time", "content": "noon"}
        return [_USER, {"role": "assistant", "content": None, "function_call": call}, answer]

    await _told_or_refused(server, conversation)


@check("agents")
async def call_is_told_or_refused(server: Context) -> None:
    """The arguments of an earlier call are part of the prompt, or the call is refused."""

    def conversation(text: str) -> Messages:
        function = {"name": "get_time", "arguments": f'{{"zone": "{text}"}}'}
        return [_USER, _calling(function=function), {"role": "tool", "tool_call_id": _CALL["id"], "content": "noon"}]

    await _told_or_refused(server, conversation)


@check("agents that mistype a role")
async def unknown_role_is_told_or_refused(server: Context) -> None:
    """A message of a role that nobody knows is part of the prompt, or it is refused."""
    await _told_or_refused(server, lambda text: [_USER, {"role": "wizard", "content": text}, _USER])


@check("agents: instructions that change on the way")
async def late_system_is_told_or_refused(server: Context) -> None:
    """A system message in the middle of a conversation is part of the prompt, or it is refused."""
    answer = {"role": "assistant", "content": "Well."}
    await _told_or_refused(server, lambda text: [_USER, answer, {"role": "system", "content": text}, _USER])


@check("agents: a system and a developer message")
async def first_of_two_systems_is_told_or_refused(server: Context) -> None:
    """Of two system messages the first is part of the prompt, too, or they are refused."""
    second = {"role": "system", "content": "And be kind."}
    await _told_or_refused(server, lambda text: [{"role": "system", "content": text}, second, _USER])


@check("chat programs: a question that was sent twice")
async def first_of_two_questions_is_told_or_refused(server: Context) -> None:
    """Of two messages of the user's in a row the first is part of the prompt, too, or they are refused."""
    await _told_or_refused(server, lambda text: [{"role": "user", "content": text}, _USER])


@check("openai-python: an answer's message is sent back as it came")
async def refusal_is_told_or_refused(server: Context) -> None:
    """What the assistant said in `refusal` in place of a content is part of the prompt, or it is refused."""
    await _told_or_refused(server, lambda text: [_USER, {"role": "assistant", "content": None, "refusal": text}, _USER])


@check("agents: text beside parts")
async def every_part_is_told(server: Context) -> None:
    """Each text part of a message is part of the prompt."""
    parts = [{"type": "text", "text": text} for text in (_SHORT, _LONG, _SHORT)]
    counts = []
    for number in (1, 2, 3):
        reply = await _sent(server, [{"role": "user", "content": parts[:number]}])
        expect(reply.status == 200, "status 200", reply.summary(), reply)
        counts.append(reply.json()["usage"]["prompt_tokens"])
    expect(counts[0] < counts[1] < counts[2], "more prompt_tokens with each part", counts)


@check("openai-python, LangChain")
async def answers_with_a_call_have_no_content(server: Context) -> None:
    """An assistant's message with a call may have a content of null, of "" or none, and the prompt is the same."""
    answer = {"role": "tool", "tool_call_id": _CALL["id"], "content": "noon"}
    without = {key: value for key, value in _calling().items() if key != "content"}
    counts = []
    for message in (_calling(), {**without, "content": ""}, without):
        reply = await _sent(server, [_USER, message, answer])
        if reply.status != 200:
            refused(reply, 400, 422)
            raise NotApplicableError("this model takes no earlier calls")
        counts.append(reply.json()["usage"]["prompt_tokens"])
    equal(len(set(counts)), 1, "one number of prompt_tokens")


@check("agents after a cut answer")
async def cut_arguments_do_no_harm(server: Context) -> None:
    """An earlier call whose arguments are no JSON, or half a character, is told or refused, and never a 5xx."""
    for arguments in ('{"zone": "UT', "", '{"zone": "\\ud83d"}', "[" * 20_000, '{"zone": NaN}'):
        call = _calling(function={"name": "get_time", "arguments": arguments})
        reply = await _sent(server, [_USER, call, {"role": "tool", "tool_call_id": _CALL["id"], "content": "noon"}])
        expect(reply.status < 500, "a status below 500", reply.summary(), reply)


@check("agents that mix up ids")
async def answer_to_no_call_does_no_harm(server: Context) -> None:
    """A tool's answer to a call that was not made is told or refused, and never a 5xx."""
    wrong = {"role": "tool", "tool_call_id": "call00009", "content": "noon"}
    for messages in ([_USER, wrong], [_USER, _calling(), wrong]):
        reply = await _sent(server, messages)
        expect(reply.status < 500, "a status below 500", reply.summary(), reply)


@check("vision and speech clients")
async def sound_is_read_or_refused(server: Context) -> None:
    """A part that holds sound is read, or refused in a way that says where it stands."""
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    reply = await _sent(server, [_USER, {"role": "user", "content": [{"type": "text", "text": "?"}, sound]}])
    if reply.status == 200:
        raise NotApplicableError("this server takes sound")
    error = refused(reply, 400, 422)
    told = f"{error['param']} {error['message']}"
    expect("messages" in told or "audio" in told, "messages or audio in param or message", told, reply)


@check("Qwen 3, DeepSeek: what the model thought comes beside its answer")
async def reasoning_does_no_harm(server: Context) -> None:
    """An earlier answer may come back with its `reasoning_content`."""
    thought = {"role": "assistant", "content": "4", "reasoning_content": "Two and two."}
    reply = await _sent(server, [_USER, thought, _USER])
    expect(reply.status == 200, "status 200", reply.summary(), reply)


@check("vLLM's clients: chat_template_kwargs")
async def variables_do_not_take_the_place_of_fields(server: Context) -> None:
    """Template variables named as fields of the chat have their meaning or are refused, and never a 5xx."""
    plain = (await server.chat(messages=[_USER], max_tokens=1))["usage"]["prompt_tokens"]
    for name, value in (("messages", []), ("tools", []), ("conversation", []), ("tokenize", False)):
        reply = await _sent(server, [_USER], chat_template_kwargs={name: value})
        expect(reply.status in (200, 400, 422), "status 200 or 400", reply.summary(), reply)
        if reply.status == 200:
            equal(reply.json()["usage"]["prompt_tokens"], plain, "prompt_tokens")
