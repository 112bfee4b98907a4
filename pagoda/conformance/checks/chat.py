"""/v1/chat/completions: the shape of answers, and messages in all their forms."""

from __future__ import annotations

from typing import Any

from pagoda.conformance.check import CHINESE, QUESTION, Context, check, equal, expect
from pagoda.conformance.shapes import check_usage, contents


def _user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@check("openai-python, LangChain")
async def shape(server: Context) -> None:
    """An answer has id, object, created, model, choices and usage as OpenAI's has."""
    answer = await server.chat()
    equal(answer["object"], "chat.completion", "object")
    expect(str(answer["id"]).startswith("chatcmpl-"), "an id that begins with chatcmpl-", answer["id"])
    expect(isinstance(answer["created"], int), "created: Unix time", answer["created"])
    (choice,) = answer["choices"]
    equal(choice["message"]["role"], "assistant", "role")
    expect(isinstance(choice["message"]["content"], str), "content as text", choice["message"])
    expect({"index", "logprobs", "finish_reason"} <= set(choice), "all fields of a choice", choice)
    check_usage(answer["usage"])


@check("LangChain, instructor and vision clients send parts")
async def content_may_be_parts(server: Context) -> None:
    """A message's content may be a list of text parts, which mean the same as one text."""
    text = await server.chat(messages=_user(QUESTION))
    parts = await server.chat(messages=_user([{"type": "text", "text": QUESTION}]))
    equal(parts["usage"]["prompt_tokens"], text["usage"]["prompt_tokens"], "prompt_tokens")
    equal(contents(parts), contents(text), "the answer")


@check("every agent")
async def system_message_is_read(server: Context) -> None:
    """A system message is part of the prompt."""
    plain = await server.chat(messages=_user("Hello"))
    system = [{"role": "system", "content": "You are a small fox who likes the moon."}]
    steered = await server.chat(messages=system + _user("Hello"))
    more = steered["usage"]["prompt_tokens"] - plain["usage"]["prompt_tokens"]
    expect(more > 4, "a longer prompt than without it", f"{more} tokens more")


@check("every chat program")
async def conversation_is_read(server: Context) -> None:
    """Earlier turns, the assistant's own among them, are part of the prompt."""
    turns = [*_user("Hello"), {"role": "assistant", "content": "Hi, I am a fox."}, *_user("What are you?")]
    one = await server.chat(messages=_user("What are you?"))
    all_turns = await server.chat(messages=turns)
    grown = all_turns["usage"]["prompt_tokens"] > one["usage"]["prompt_tokens"] + 4
    expect(grown, "a longer prompt than the last turn's", all_turns["usage"])


@check("openai-python: max_tokens is deprecated there")
async def max_completion_tokens(server: Context) -> None:
    """max_completion_tokens limits the answer."""
    answer = await server.chat(max_tokens=None, max_completion_tokens=3, ignore_eos=True)
    equal(answer["usage"]["completion_tokens"], 3, "completion_tokens")
    equal(answer["choices"][0]["finish_reason"], "length", "finish_reason")


@check("LangChain's n")
async def n_choices(server: Context) -> None:
    """n=2 gives choices 0 and 1, and the prompt counts once."""
    one = await server.chat(max_tokens=6)
    two = await server.chat(max_tokens=6, n=2)
    equal([choice["index"] for choice in two["choices"]], [0, 1], "indices")
    equal(contents(two), contents(one) * 2, "the greedy answer, twice")
    equal(two["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"], "prompt_tokens")


@check("Chinese users")
async def chinese_is_understood(server: Context) -> None:
    """Chinese and emoji in a message are as good as English."""
    answer = await server.chat(messages=_user(CHINESE))
    expect(answer["usage"]["prompt_tokens"] > 4, "a prompt of several tokens", answer["usage"])


@check("multi-agent programs")
async def message_names_are_taken(server: Context) -> None:
    """A message may carry the name of its author."""
    await server.chat(messages=[{"role": "user", "name": "Ada", "content": "Hello"}], max_tokens=2)
