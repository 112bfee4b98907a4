"""/tokenize and /detokenize: what the model sees. vLLM's clients and lm-eval's remote tokenizer use them."""

from __future__ import annotations

from typing import Any

from pagoda.conformance.check import CHINESE, PROMPT, QUESTION, Context, answered, check, equal, expect, refused


async def _tokenize(server: Context, **fields: Any) -> dict[str, Any]:
    return answered(await server.client.post("/tokenize", {"model": server.facts.model, **fields}))


@check("vLLM's clients, lm-eval's remote tokenizer")
async def round_trip(server: Context) -> None:
    """/detokenize gives back what /tokenize was given, Chinese and emoji included."""
    for text in (PROMPT, CHINESE, "tabs\tand\n\nlines  é"):
        ids = (await _tokenize(server, prompt=text, add_special_tokens=False))["tokens"]
        body = {"model": server.facts.model, "tokens": ids}
        equal(answered(await server.client.post("/detokenize", body))["prompt"], text, "the text")


@check("vLLM's clients")
async def shape(server: Context) -> None:
    """/tokenize tells the ids, their count and the context's length."""
    answer = await _tokenize(server, prompt=PROMPT)
    equal(answer["count"], len(answer["tokens"]), "count")
    expect(all(isinstance(token_id, int) for token_id in answer["tokens"]), "ids", answer["tokens"])
    expect(isinstance(answer.get("max_model_len"), int), "max_model_len", answer)


@check("clients that count before they send")
async def count_is_that_of_a_completion(server: Context) -> None:
    """The count for a prompt is the prompt_tokens of its completion."""
    count = (await _tokenize(server, prompt=CHINESE))["count"]
    usage = (await server.complete(prompt=CHINESE, max_tokens=1))["usage"]
    equal(count, usage["prompt_tokens"], "prompt_tokens")


@check("clients that count before they send")
async def count_is_that_of_a_chat(server: Context) -> None:
    """The count for messages is the prompt_tokens of their chat: one template, one start token."""
    messages = [{"role": "user", "content": QUESTION}]
    count = (await _tokenize(server, messages=messages))["count"]
    usage = (await server.chat(messages=messages, max_tokens=1))["usage"]
    equal(count, usage["prompt_tokens"], "prompt_tokens")


@check("vLLM's clients")
async def mistakes_are_refused(server: Context) -> None:
    """Words for ids, ids that do not exist and missing fields are 400."""
    model = {"model": server.facts.model}
    for path, body in (
        ("/detokenize", {**model, "tokens": ["fox"]}),
        ("/detokenize", {**model, "tokens": [10**9]}),
        ("/detokenize", {**model, "tokens": [-1]}),
        ("/detokenize", model),
        ("/tokenize", model),
        ("/tokenize", {**model, "prompt": 5}),
    ):
        refused(await server.client.post(path, body))
