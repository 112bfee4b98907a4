"""/v1/completions: the shape of answers, prompts in all their forms, n, echo and usage."""

from __future__ import annotations

from pagoda.conformance.check import CHINESE, COMPLETIONS, PROMPT, Context, check, equal, expect, refused
from pagoda.conformance.shapes import check_usage, texts


@check("openai-python")
async def shape(server: Context) -> None:
    """An answer has id, object, created, model, choices and usage as OpenAI's has."""
    answer = await server.complete()
    equal(answer["object"], "text_completion", "object")
    expect(str(answer["id"]).startswith("cmpl-"), "an id that begins with cmpl-", answer["id"])
    expect(isinstance(answer["created"], int) and answer["created"] > 1_600_000_000, "created: Unix time", answer)
    equal(answer["model"], server.facts.model, "model")
    (choice,) = answer["choices"]
    expect({"index", "text", "logprobs", "finish_reason"} <= set(choice), "all fields of a choice", choice)
    expect(choice["finish_reason"] in ("stop", "length"), "finish_reason stop or length", choice["finish_reason"])


@check("openai-python: its default is the server's")
async def default_is_16_tokens(server: Context) -> None:
    """A completion without max_tokens has at most 16 tokens."""
    answer = await server.complete(max_tokens=None)
    expect(answer["usage"]["completion_tokens"] <= 16, "at most 16 completion tokens", answer["usage"])


@check("every client that goes on where an answer was cut")
async def cut_answer_says_length(server: Context) -> None:
    """An answer that max_tokens cut has exactly that many tokens and finish_reason `length`."""
    answer = await server.complete(max_tokens=3, ignore_eos=True)
    equal(answer["choices"][0]["finish_reason"], "length", "finish_reason")
    equal(answer["usage"]["completion_tokens"], 3, "completion_tokens")


@check("lm-eval, LangChain's batches")
async def several_prompts(server: Context) -> None:
    """Several prompts give choices in the prompts' order, each equal to that of its prompt alone."""
    prompts = [PROMPT, "The fox and the moon", "One day"]
    alone = [texts(await server.complete(prompt=prompt))[0] for prompt in prompts]
    answer = await server.complete(prompt=prompts)
    equal([choice["index"] for choice in answer["choices"]], [0, 1, 2], "indices")
    equal(texts(answer), alone, "texts")


@check("lm-eval sends token ids")
async def token_id_prompts(server: Context) -> None:
    """A prompt may be token ids, or a list of lists of them."""
    one = await server.complete(prompt=[40, 41, 42, 43])
    equal(one["usage"]["prompt_tokens"], 4, "prompt_tokens")
    two = await server.complete(prompt=[[40, 41, 42, 43], [50, 51]])
    equal(two["usage"]["prompt_tokens"], 6, "prompt_tokens")
    equal(texts(two)[0], texts(one)[0], "the first text")


@check("openai-python")
async def n_times_prompts(server: Context) -> None:
    """Two prompts with n=2 give four choices: index i * n + k for completion k of prompt i."""
    answer = await server.complete(prompt=[PROMPT, "One day"], n=2, max_tokens=4)
    equal([choice["index"] for choice in answer["choices"]], [0, 1, 2, 3], "indices")
    found = texts(answer)
    expect(found[0] == found[1] and found[2] == found[3], "greedy choices of a prompt that are equal", found)


@check("OpenAI's API; vLLM refuses it")
async def n_at_temperature_0(server: Context) -> None:
    """n=3 at temperature 0 gives three equal choices."""
    found = texts(await server.complete(n=3))
    expect(len(found) == 3 and len(set(found)) == 1, "three equal texts", found)


@check("billing, LangChain's token counts")
async def usage_adds_up(server: Context) -> None:
    """Usage counts the prompt once and all n completions, and the total is their sum."""
    one = await server.complete(max_tokens=5, ignore_eos=True)
    many = await server.complete(max_tokens=5, ignore_eos=True, n=3)
    for answer in (one, many):
        check_usage(answer["usage"])
    equal(many["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"], "prompt_tokens of n=3")
    equal(many["usage"]["completion_tokens"], 15, "completion_tokens of n=3")


@check("OpenAI's prompt caching, dashboards")
async def cached_tokens_are_told(server: Context) -> None:
    """Usage tells how many tokens of the prompt came from a cache, which are never more than all."""
    usage = (await server.complete())["usage"]
    details = usage.get("prompt_tokens_details")
    expect(isinstance(details, dict) and "cached_tokens" in details, "prompt_tokens_details.cached_tokens", usage)
    expect(0 <= details["cached_tokens"] <= usage["prompt_tokens"], "0 to prompt_tokens cached tokens", usage)


@check("lm-eval")
async def echo(server: Context) -> None:
    """With echo the text is the prompt followed by the completion, Chinese and emoji to the character."""
    for prompt in (PROMPT, CHINESE):
        (plain,) = texts(await server.complete(prompt=prompt, max_tokens=4))
        (echoed,) = texts(await server.complete(prompt=prompt, max_tokens=4, echo=True))
        equal(echoed, prompt + plain, "prompt + completion")


@check("lm-eval's loglikelihood of a whole text")
async def echo_without_generating(server: Context) -> None:
    """max_tokens 0 with echo gives the prompt back and generates nothing."""
    answer = await server.complete(max_tokens=0, echo=True)
    equal(texts(answer), [PROMPT], "text")
    equal(answer["usage"]["completion_tokens"], 0, "completion_tokens")


@check("plain HTTP")
async def utf8_is_not_escaped(server: Context) -> None:
    """Chinese and emoji stand in the body as UTF-8, not as \\u escapes, which would triple it."""
    reply = await server.send(COMPLETIONS, prompt=CHINESE, max_tokens=1, echo=True)
    expect(reply.status == 200, "status 200", reply.summary(), reply)
    expect(CHINESE.encode() in reply.content, f"{CHINESE} in UTF-8", reply.content[:300], reply)


@check("OpenAI's API")
async def best_of_is_not_dropped_in_silence(server: Context) -> None:
    """best_of below n is refused; one above n is served or refused by its name."""
    refused(await server.send(COMPLETIONS, n=3, best_of=2, temperature=1))
    reply = await server.send(COMPLETIONS, n=1, best_of=2, temperature=1)
    if reply.status != 200:
        refused(reply, param="best_of")
