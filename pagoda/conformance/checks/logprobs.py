"""Log-probabilities in both formats, exactly as evaluations slice them.

lm-eval asks for a prompt's own log-probabilities (`echo`, `logprobs: 1`, `max_tokens: 1`), takes
`token_logprobs[ctxlen:-1]` and compares each with `max(top_logprobs.values())`.
"""

from __future__ import annotations

from typing import Any

from pagoda.conformance.check import CHAT, COMPLETIONS, PROMPT, Context, check, equal, expect, refused
from pagoda.conformance.shapes import close, contents, is_logprob, token_ids

_FIELDS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


async def _completion_logprobs(server: Context, **fields: Any) -> dict[str, Any]:
    answer = await server.complete(**fields)
    logprobs = answer["choices"][0]["logprobs"]
    expect(isinstance(logprobs, dict), "an object in choices[0].logprobs", logprobs)
    return dict(logprobs)


async def _chat_logprobs(server: Context, **fields: Any) -> list[dict[str, Any]]:
    answer = await server.chat(logprobs=True, **fields)
    logprobs = answer["choices"][0]["logprobs"]
    expect(isinstance(logprobs, dict) and logprobs.get("content"), "tokens in choices[0].logprobs.content", logprobs)
    return list(logprobs["content"])


@check("lm-eval, LangChain")
async def completion_shape(server: Context) -> None:
    """A completion's logprobs are four lists of one length, one entry for each token."""
    answer = await server.complete(max_tokens=8, logprobs=3)
    logprobs = answer["choices"][0]["logprobs"]
    lengths = {name: len(logprobs[name]) for name in _FIELDS}
    equal(set(lengths.values()), {answer["usage"]["completion_tokens"]}, f"the lengths {lengths}")
    expect(all(map(is_logprob, logprobs["token_logprobs"])), "finite numbers up to 0", logprobs["token_logprobs"])
    expect(all(isinstance(token, str) for token in logprobs["tokens"]), "tokens as text", logprobs["tokens"])


@check("lm-eval: is_greedy compares with the largest")
async def completion_top_k(server: Context) -> None:
    """logprobs: k gives k or k+1 alternatives, the token itself among them with the same number."""
    logprobs = await _completion_logprobs(server, max_tokens=8, logprobs=3)
    for token, own, top in zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True):
        expect(1 <= len(top) <= 4, "3 or 4 alternatives (fewer where texts coincide)", top)
        expect(token in top and abs(top[token] - own) < 1e-3, f"{token!r} with {own} among them", top)
        expect(max(top.values()) <= own + 1e-3, "the greedy token as the likeliest", (token, own, top))


@check("openai-python")
async def logprobs_0_is_the_token_alone(server: Context) -> None:
    """logprobs: 0 is no request for nothing: each token's own number comes."""
    logprobs = await _completion_logprobs(server, max_tokens=4, logprobs=0)
    expect(all(map(is_logprob, logprobs["token_logprobs"])), "numbers up to 0", logprobs["token_logprobs"])
    tops = logprobs["top_logprobs"] or []
    expect(all(top is None or len(top) <= 1 for top in tops), "no alternatives beyond the token", tops)


@check("tools that mark tokens in a text")
async def text_offset(server: Context) -> None:
    """text_offset says where in the text each token begins."""
    answer = await server.complete(max_tokens=12, logprobs=0)
    logprobs, text = answer["choices"][0]["logprobs"], answer["choices"][0]["text"]
    first = logprobs["text_offset"][0]
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        there = text[offset - first :]
        # The first token of a text may lose its leading space; half a character and special tokens are not in it.
        sound = there.startswith((token, token.lstrip())) or "\ufffd" in token or token.startswith("<")
        expect(sound, f"{token!r} at {offset}", repr(there[:20]))


@check("lm-eval's local-completions, word for word")
async def lm_eval_loglikelihood(server: Context) -> None:
    """lm-eval's request for token ids gets one entry for each token of the prompt, null first, and one more."""
    ids = await token_ids(server, "The fox looked at the moon and smiled")
    fields = {"max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234}
    logprobs = await _completion_logprobs(server, prompt=[ids], **fields)
    own, tops = logprobs["token_logprobs"], logprobs["top_logprobs"]
    equal([len(own), len(tops), len(logprobs["tokens"])], [len(ids) + 1] * 3, "entries")
    expect(own[0] is None and not tops[0], "null for the first token", (own[0], tops[0]))
    for number, top in zip(own[1:-1], tops[1:-1], strict=True):
        expect(is_logprob(number), "a number up to 0", number)
        expect(top and max(top.values()) >= number - 1e-4, f"a likeliest token with at least {number}", top)


@check("lm-eval, batch_size > 1")
async def lm_eval_batch(server: Context) -> None:
    """Several prompts in one request are scored as each of them alone, in their order."""
    prompts = [await token_ids(server, text) for text in ("The fox sat down", "A moon", "One day a small fox ran")]
    fields = {"max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0, "seed": 1234}
    together = await server.complete(prompt=prompts, **fields)
    for ids, choice in zip(prompts, together["choices"], strict=True):
        alone = await _completion_logprobs(server, prompt=[ids], **fields)
        close(choice["logprobs"]["token_logprobs"], alone["token_logprobs"], "log-probabilities")


@check("lm-eval, perplexity tools")
async def scoring_without_generating(server: Context) -> None:
    """max_tokens 0 with echo and logprobs scores the prompt: the same numbers, and no token more."""
    more = await _completion_logprobs(server, max_tokens=1, echo=True, logprobs=1)
    only = await _completion_logprobs(server, max_tokens=0, echo=True, logprobs=1)
    close(only["token_logprobs"], more["token_logprobs"][:-1], "the prompt's log-probabilities")


@check("perplexity tools")
async def prompt_and_completion_agree(server: Context) -> None:
    """A token's number is the same whether it was generated or stands in the prompt."""
    ids = await token_ids(server, PROMPT)
    answer = await server.complete(prompt=ids, max_tokens=4, logprobs=1, return_token_ids=True)
    choice = answer["choices"][0]
    more = choice.get("token_ids") or (await token_ids(server, PROMPT + choice["text"]))[len(ids) :]
    longer = [*ids, *more]
    scored = await _completion_logprobs(server, prompt=longer, max_tokens=0, echo=True, logprobs=1)
    # Where the first ids were cut off a text that is encoded otherwise as a whole, nothing can be compared.
    if scored["tokens"][len(ids) :] == choice["logprobs"]["tokens"]:
        close(scored["token_logprobs"][len(ids) :], choice["logprobs"]["token_logprobs"], "numbers", 0.05)


@check("streaming clients")
async def streamed_completion_logprobs(server: Context) -> None:
    """A streamed completion's logprobs are those of the whole one."""
    whole = await _completion_logprobs(server, max_tokens=8, logprobs=2)
    stream = await server.stream(COMPLETIONS, max_tokens=8, logprobs=2)
    parts = [choice["logprobs"] for choice in stream.choices() if choice.get("logprobs")]
    for name in ("tokens", "text_offset"):
        equal([item for part in parts for item in part[name]], whole[name], name)
    close([item for part in parts for item in part["token_logprobs"]], whole["token_logprobs"], "token_logprobs")


@check("openai-python: ChatCompletionTokenLogprob")
async def chat_shape(server: Context) -> None:
    """A chat's logprobs have token, logprob, bytes and top_logprobs for each token."""
    for entry in await _chat_logprobs(server, top_logprobs=3, max_tokens=8):
        expect(isinstance(entry["token"], str) and is_logprob(entry["logprob"]), "a token and its number", entry)
        expect(3 <= len(entry["top_logprobs"]) <= 4, "3 alternatives", entry["top_logprobs"])
        numbers = [top["logprob"] for top in entry["top_logprobs"]]
        expect(all(map(is_logprob, numbers)), "alternatives with numbers", entry["top_logprobs"])
        expect(abs(max(numbers) - entry["logprob"]) < 1e-3, "the greedy token as the likeliest", entry)


@check("LangChain sends it so")
async def chat_without_top_logprobs(server: Context) -> None:
    """logprobs: true without top_logprobs, or with 0, is legal and gives no alternatives."""
    for fields in ({}, {"top_logprobs": 0}):
        for entry in await _chat_logprobs(server, max_tokens=4, **fields):
            equal(entry["top_logprobs"], [], "top_logprobs")


@check("openai-python")
async def top_logprobs_need_logprobs(server: Context) -> None:
    """top_logprobs without logprobs is refused with its name."""
    refused(await server.send(CHAT, top_logprobs=2), param="top_logprobs")
    refused(await server.send(CHAT, top_logprobs=2, logprobs=False), param="top_logprobs")


@check("openai-python")
async def top_logprobs_out_of_range(server: Context) -> None:
    """top_logprobs below 0 or far above 20 is refused with its name."""
    for value in (-1, 1_000_000):
        refused(await server.send(CHAT, logprobs=True, top_logprobs=value), param="top_logprobs")


@check("Chinese: a token may be half a character")
async def bytes_make_the_text(server: Context) -> None:
    """The bytes of a chat's tokens, joined, are the text in UTF-8, Chinese and emoji included."""
    text = "狐狸🦊看月亮🌕"
    schema = {"type": "object", "properties": {"text": {"enum": [text]}}, "required": ["text"]}
    form = {"type": "json_schema", "json_schema": {"name": "text", "schema": schema}}
    answer = await server.chat(response_format=form, logprobs=True, max_tokens=120)
    (content,) = contents(answer)
    expect(text in content, f"{text} in the answer", content)
    entries = answer["choices"][0]["logprobs"]["content"]
    expect(all(isinstance(entry["bytes"], list) for entry in entries), "bytes of every token", entries[:4])
    joined = bytes(byte for entry in entries for byte in entry["bytes"])
    # The token that ends the answer may be listed; it is not in the text.
    expect(joined.startswith(content.encode()), f"the bytes of {content}", joined)


@check("streaming clients")
async def streamed_chat_logprobs(server: Context) -> None:
    """A streamed chat's logprobs are those of the whole one, each beside its text."""
    whole = await _chat_logprobs(server, top_logprobs=2, max_tokens=8)
    stream = await server.stream(CHAT, logprobs=True, top_logprobs=2, max_tokens=8)
    parts = [choice["logprobs"] for choice in stream.choices() if choice.get("logprobs")]
    entries = [entry for part in parts for entry in part.get("content") or []]
    equal([entry["token"] for entry in entries], [entry["token"] for entry in whole], "tokens")
    equal([entry["bytes"] for entry in entries], [entry["bytes"] for entry in whole], "bytes")
    close([entry["logprob"] for entry in entries], [entry["logprob"] for entry in whole], "logprobs")


@check("JavaScript, jq, every strict parser")
async def no_infinity_in_json(server: Context) -> None:
    """Where a token is impossible its number is still JSON: no Infinity, no NaN."""
    ids = await token_ids(server, "fox moon")
    fields = {"logit_bias": {str(ids[-1]): -100}, "allowed_token_ids": ids[:1]}
    answer = await server.complete(**fields, logprobs=5, max_tokens=3)
    numbers = answer["choices"][0]["logprobs"]["token_logprobs"]
    expect(all(map(is_logprob, numbers)), "finite numbers", numbers)


@check("LangChain sends its default")
async def top_logprobs_0_asks_for_nothing(server: Context) -> None:
    """top_logprobs: 0 without logprobs asks for nothing, and so it is taken."""
    reply = await server.send(CHAT, top_logprobs=0, max_tokens=1)
    expect(reply.status == 200, "status 200", reply.summary(), reply)
