"""The context's end: what does not fit is refused in the words that agents and libraries look for.

LangChain, litellm and agents shorten a conversation when they read "maximum context length is N tokens" or the code
`context_length_exceeded`.
"""

from __future__ import annotations

import re
from typing import Any

from pagoda.conformance.check import CHAT, COMPLETIONS, QUESTION, Context, check, equal, expect, refused
from pagoda.conformance.evidence import NotApplicableError

_LIMIT = re.compile(r"maximum context length is (\d+) tokens")
_UNKNOWN_LENGTH = 300_000
_MOST = 400_000  # tokens, of 4 bytes each


def _too_long(server: Context) -> str:
    """More words than the context has tokens."""
    length = server.facts.max_model_len or _UNKNOWN_LENGTH
    if length > _MOST:
        raise NotApplicableError(f"a context of {length} tokens would take too large a request")
    return "fox " * (length + 100)


async def _overflow(server: Context, path: str) -> dict[str, Any]:
    text = _too_long(server)
    fields: dict[str, Any] = (
        {"prompt": text} if path == COMPLETIONS else {"messages": [{"role": "user", "content": text}]}
    )
    return refused(await server.send(path, **fields))


@check("LangChain, litellm, agents: they match on this text")
async def overlong_prompt(server: Context) -> None:
    """A prompt that is too long is a 400 that says "maximum context length is N tokens"."""
    for path in (COMPLETIONS, CHAT):
        message = (await _overflow(server, path))["message"]
        expect(_LIMIT.search(message), 'a message with "maximum context length is N tokens"', message)


@check("openai-python, LangChain: ContextOverflowError")
async def overlong_prompt_has_its_code(server: Context) -> None:
    """The code of that error is `context_length_exceeded`, as OpenAI's is."""
    for path in (COMPLETIONS, CHAT):
        equal((await _overflow(server, path))["code"], "context_length_exceeded", "error.code")


@check("lm-eval, litellm")
async def limit_is_the_one_that_is_listed(server: Context) -> None:
    """The N of that message is the max_model_len that /v1/models lists."""
    if server.facts.max_model_len is None:
        raise NotApplicableError("/v1/models does not list max_model_len")
    found = _LIMIT.search((await _overflow(server, COMPLETIONS))["message"])
    expect(found is not None, "a message that names the limit", "none")
    equal(int(found[1]) if found else None, server.facts.max_model_len, "the limit")


@check("LangChain: max_tokens is often set to the whole context")
async def max_tokens_beyond_the_context(server: Context) -> None:
    """A max_tokens beyond the context is cut to it or refused by its name, and never a 5xx."""
    if server.facts.max_model_len is None:
        raise NotApplicableError("/v1/models does not list max_model_len")
    body = server.body(CHAT, max_tokens=server.facts.max_model_len)
    reply = await server.client.stream(CHAT, {**body, "stop": [" ", ".", "e"]})
    if reply.status != 200:
        error = refused(reply)
        expect(error["param"] in ("max_tokens", "max_completion_tokens"), "param max_tokens", error, reply)


@check("every chat program")
async def chat_is_not_cut_at_16_tokens(server: Context) -> None:
    """A chat without max_tokens has the rest of the context, and not the 16 tokens of a completion."""
    body = {"model": server.facts.model, "messages": [{"role": "user", "content": QUESTION}], "ignore_eos": True}
    stream = await server.client.stream(CHAT, {**body, "temperature": 0, "logprobs": True}, max_pieces=40)
    expect(stream.status == 200, "status 200", stream.summary(), stream)
    reasons = [choice.get("finish_reason") for choice in stream.choices()]
    if "stop" in reasons:
        raise NotApplicableError("the model ended its answer itself")
    tokens = sum(len((choice.get("logprobs") or {}).get("content") or [0]) for choice in stream.choices())
    expect("length" not in reasons or tokens > 16, "more than 16 tokens", tokens, stream)


@check("LiteLLM's fallbacks, agents' compaction: they go by the words")
async def full_context_is_refused_as_a_longer_one(server: Context) -> None:
    """A prompt that fills the context exactly is refused in the words, and with the param, of one that is longer."""
    length = server.facts.max_model_len
    if length is None or length > _MOST:
        raise NotApplicableError("the length of the context is not known, or too large a request")
    errors = [refused(await server.send(COMPLETIONS, prompt=[100] * count)) for count in (length, length + 1)]
    words = [re.sub(r"\d+", "N", error["message"]) for error in errors]
    equal(words[0], words[1], "the message, but for its numbers")
    for name in ("param", "code"):
        equal(errors[0][name], errors[1][name], name)
