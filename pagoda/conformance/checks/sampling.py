"""Sampling as clients steer it: seeds, stop strings, biases, penalties.

A stop string is looked for in the text, across the borders of tokens. Checks find one in what the model says anyway.
"""

from __future__ import annotations

import asyncio

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, equal, expect, refused
from pagoda.conformance.evidence import CheckFailedError, NotApplicableError
from pagoda.conformance.shapes import contents, texts, token_ids

_WILD = {"temperature": 1.4, "max_tokens": 24, "ignore_eos": True}


def _stop_within(text: str) -> str:
    """Four characters from the middle, so that most often they are parts of several tokens."""
    middle = len(text) // 2
    if len(text) < 12:
        raise NotApplicableError(f"the model says too little to stop in: {text!r}")
    return text[middle : middle + 4]


@check("every test that compares answers")
async def greedy_is_reproducible(server: Context) -> None:
    """The same request at temperature 0 gives the same text."""
    first, second = [texts(await server.complete(max_tokens=24)) for _ in range(2)]
    equal(second, first, "the same text")


@check("openai-python: seed")
async def seed_is_reproducible(server: Context) -> None:
    """The same seed gives the same text, on both endpoints."""
    first, second = [texts(await server.complete(**_WILD, seed=1234)) for _ in range(2)]
    equal(second, first, "the same completion")
    first, second = [contents(await server.chat(**_WILD, seed=1234)) for _ in range(2)]
    equal(second, first, "the same answer")


@check("evaluations that run requests side by side")
async def seed_is_reproducible_under_load(server: Context) -> None:
    """The same seed gives the same text whatever else the server computes."""
    alone = texts(await server.complete(**_WILD, seed=99))
    others = [server.complete(**_WILD, prompt=f"Number {number}", seed=number) for number in range(6)]
    beside, *_ = await asyncio.gather(server.complete(**_WILD, seed=99), *others)
    equal(texts(beside), alone, "the text of the request alone")


@check("every chat program's retry")
async def without_seed_texts_differ(server: Context) -> None:
    """Without a seed, or with another one, the text is another one."""
    unseeded = [texts(await server.complete(**_WILD))[0] for _ in range(3)]
    expect(len(set(unseeded)) > 1, "texts that differ", unseeded)
    seeded = [texts(await server.complete(**_WILD, seed=seed))[0] for seed in (1, 2, 3)]
    expect(len(set(seeded)) > 1, "texts that differ between seeds", seeded)


@check("self-consistency, LangChain's n")
async def choices_of_n_differ(server: Context) -> None:
    """n=4 at a high temperature gives different choices, the same four for the same seed."""
    first, second = [texts(await server.complete(**_WILD, n=4, seed=7)) for _ in range(2)]
    expect(len(first) == 4 and len(set(first)) > 1, "four texts that differ", first)
    equal(second, first, "the same four texts")


@check("agents, lm-eval's generate_until, LangChain")
async def stop_string_ends_the_text(server: Context) -> None:
    """The text ends before the stop string, wherever token borders lie, with finish_reason `stop`."""
    (full,) = texts(await server.complete(max_tokens=32))
    stop = _stop_within(full)
    answer = await server.complete(max_tokens=32, stop=stop)
    equal(texts(answer), [full[: full.index(stop)]], f"the text before {stop!r}")
    equal(answer["choices"][0]["finish_reason"], "stop", "finish_reason")


@check("agents, LangChain")
async def stop_string_in_chat(server: Context) -> None:
    """In chat, too, the text ends before whichever of several stop strings occurs."""
    (full,) = contents(await server.chat(max_tokens=32))
    stop = _stop_within(full)
    answer = await server.chat(max_tokens=32, stop=["\u2603 never said", stop, "\u2604"])
    equal(contents(answer), [full[: full.index(stop)]], f"the text before {stop!r}")
    equal(answer["choices"][0]["finish_reason"], "stop", "finish_reason")


@check("every streaming client: nothing can be taken back")
async def stop_string_never_leaks(server: Context) -> None:
    """A stream sends no character of a stop string, not even its beginning."""
    (full,) = texts(await server.complete(max_tokens=32))
    stop = _stop_within(full)
    before = full[: full.index(stop)]
    said = ""
    stream = await server.stream(COMPLETIONS, max_tokens=32, stop=[stop])
    for choice in stream.choices():
        said += choice["text"]
        expect(before.startswith(said), f"no more than {before!r}", repr(said), stream)
    expect(said == before, f"the text {before!r}", repr(said), stream)
    equal(stream.finish_reasons(), ["stop"], "finish reasons")


@check("agents that stream")
async def stop_string_never_leaks_in_chat(server: Context) -> None:
    """In chat, too, a stream sends no character of a stop string."""
    (full,) = contents(await server.chat(max_tokens=32))
    stop = _stop_within(full)
    stream = await server.stream(CHAT, max_tokens=32, stop=[stop])
    before = full[: full.index(stop)]
    expect(stream.content_text() == before, f"the text {before!r}", repr(stream.content_text()), stream)


@check("billing")
async def stop_ends_the_counting(server: Context) -> None:
    """Tokens after a stop string are neither counted nor listed."""
    full = await server.complete(max_tokens=32)
    (text,) = texts(full)
    answer = await server.complete(max_tokens=32, stop=_stop_within(text), logprobs=1)
    usage = answer["usage"]["completion_tokens"]
    expect(usage < full["usage"]["completion_tokens"], "fewer tokens than without stop", usage)
    listed = len(answer["choices"][0]["logprobs"]["tokens"])
    expect(usage - 1 <= listed <= usage, f"log-probabilities of {usage} tokens at most", listed)


@check("openai-python: logit_bias")
async def logit_bias_forces_a_token(server: Context) -> None:
    """A logit_bias of 100 brings a token about, one of -100 prevents it."""
    token_id = (await token_ids(server, "fox moon"))[-1]
    forced = await server.complete(logit_bias={str(token_id): 100}, max_tokens=4, logprobs=0)
    said = forced["choices"][0]["logprobs"]["tokens"]
    expect(len(said) == 4 and len(set(said)) == 1, "one token, four times", said)
    banned = await server.complete(
        prompt=forced["choices"][0]["text"], logit_bias={str(token_id): -100}, max_tokens=8, logprobs=0
    )
    others = banned["choices"][0]["logprobs"]["tokens"]
    expect(said[0] not in others, f"no {said[0]!r}", others)


@check("openai-python")
async def logit_bias_with_a_bad_key(server: Context) -> None:
    """A logit_bias for what is no token id is refused with its name."""
    error = refused(await server.send(COMPLETIONS, logit_bias={"fox": 1}))
    expect(str(error["param"]).startswith("logit_bias"), "param logit_bias", error)


@check("openai-python: penalties")
async def penalties_change_the_text(server: Context) -> None:
    """Strong penalties keep a greedy text from repeating itself."""
    plain = await server.complete(max_tokens=64, logprobs=0)
    fresh = await server.complete(max_tokens=64, logprobs=0, frequency_penalty=2, presence_penalty=2)
    repeats, fewer = (
        len(tokens) - len(set(tokens)) for tokens in (a["choices"][0]["logprobs"]["tokens"] for a in (plain, fresh))
    )
    if repeats == 0:
        raise NotApplicableError("the model repeats nothing here")
    if fewer >= repeats:
        raise CheckFailedError(f"fewer than {repeats} repeated tokens", fewer)
