"""A server's life: what operators ask it, many clients at once, and clients that leave.

Figures come from /metrics whatever their prefix: vLLM's, llama.cpp's and SGLang's names are known.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from pagoda.conformance.check import (
    CHAT,
    COMPLETIONS,
    PROMPT,
    Context,
    answered,
    check,
    equal,
    error_object,
    expect,
    refused,
)
from pagoda.conformance.evidence import NotApplicableError
from pagoda.conformance.shapes import texts

_SAMPLE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (NaN|[+-]?Inf|[-+0-9.eE]+)( \d+)?")
_RUNNING = re.compile(r"(num_requests_running|requests_processing|num_running_reqs)$")
_GENERATED = re.compile(r"(generation_tokens|generation_tokens_total|tokens_predicted_total)$")
_LEAVING_S = 5.0
"""How long a server may take to notice that a client has left."""


async def _figure(server: Context, name: re.Pattern[str]) -> float:
    """The sum over a metric's labels. Raises NotApplicableError where there is none; other checks are about that."""
    lines = (await server.client.get("/metrics")).text.splitlines()
    samples = [line for line in lines if name.search(line.partition("{")[0].split(" ")[0])]
    if not samples:
        raise NotApplicableError(f"/metrics has no {name.pattern}")
    return sum(float(line.rsplit("} ", 1)[-1].split(" ")[-1]) for line in samples)


async def _idle(server: Context) -> None:
    """Wait until nothing runs. Raises CheckFailedError where that takes too long."""
    until = time.monotonic() + _LEAVING_S
    while (running := await _figure(server, _RUNNING)) > 0:
        expect(time.monotonic() < until, f"no running request {_LEAVING_S:g} s after the client left", f"{running:g}")
        await asyncio.sleep(0.05)


def _long(server: Context) -> dict[str, Any]:
    """A request that goes on for as long as the context lasts."""
    max_tokens = min((server.facts.max_model_len or 2048) - 64, 4096)
    return server.body(COMPLETIONS, max_tokens=max_tokens, n=8, temperature=1, ignore_eos=True)


@check("load balancers, Kubernetes")
async def health_ready_and_version(server: Context) -> None:
    """/health and /ready, which are two things, are 200; /version tells one."""
    for path in ("/health", "/ready"):
        reply = await server.client.get(path)
        expect(reply.status == 200, f"{path} with status 200", reply.summary(), reply)
    version = answered(await server.client.get("/version"))
    expect(isinstance(version.get("version"), str), '{"version": str}', version)


@check("openai-python: models.list, chat pages")
async def models_are_listed(server: Context) -> None:
    """/v1/models lists the models with id, object, created and owned_by."""
    answer = answered(await server.client.get("/v1/models"))
    equal(answer["object"], "list", "object")
    for card in answer["data"]:
        expect({"id", "object", "created", "owned_by"} <= set(card), "id, object, created, owned_by", card)
        equal(card["object"], "model", "object")
    expect(server.facts.model in [card["id"] for card in answer["data"]], server.facts.model, answer["data"])


@check("openai-python: models.retrieve")
async def model_by_name(server: Context) -> None:
    """/v1/models/NAME tells of one model; an unknown one is 404."""
    equal(answered(await server.client.get(f"/v1/models/{server.facts.model}"))["id"], server.facts.model, "id")
    refused(await server.client.get("/v1/models/no-such-model"), 404)


@check("Open WebUI, LiteLLM: a model is chosen from the list")
async def listed_names_are_answered_to(server: Context) -> None:
    """Each id of /v1/models is a name to ask for, and answers carry one of them."""
    names = [card["id"] for card in answered(await server.client.get("/v1/models"))["data"]]
    expect(names and all(isinstance(name, str) and name.strip() for name in names), "ids that are names", names)
    for name in names[:3]:
        equal(answered(await server.client.get(f"/v1/models/{name}"))["id"], name, "id")
        told = (await server.answer(COMPLETIONS, model=name, max_tokens=1))["model"]
        expect(told in names, f"a model among {names}", told)


@check("Prometheus, Grafana, autoscalers")
async def metrics_can_be_read(server: Context) -> None:
    """/metrics is in Prometheus' form, and tells how many requests run and how many tokens were generated."""
    reply = await server.client.get("/metrics")
    expect(reply.status == 200, "status 200", reply.summary(), reply)
    kind = reply.headers.get("content-type", "")
    expect(kind.startswith(("text/plain", "application/openmetrics-text")), "content-type text/plain", kind, reply)
    lines = [line for line in reply.text.splitlines() if line and not line.startswith("#")]
    odd = [line for line in lines if not _SAMPLE.fullmatch(line)]
    expect(lines and not odd, "samples in Prometheus' form", odd[:3] or "none", reply)
    for name in (_RUNNING, _GENERATED):
        found = any(name.search(line.partition("{")[0].split(" ")[0]) for line in lines)
        expect(found, f"a metric whose name ends with {name.pattern}", "none", reply)


@check("dashboards, billing", alone=True)
async def metrics_count_tokens(server: Context) -> None:
    """The counter of generated tokens grows by just the usage of a request."""
    before = await _figure(server, _GENERATED)
    usage = (await server.complete(max_tokens=7, n=2, ignore_eos=True))["usage"]["completion_tokens"]
    until = time.monotonic() + _LEAVING_S
    while (grown := await _figure(server, _GENERATED) - before) < usage and time.monotonic() < until:
        await asyncio.sleep(0.05)
    equal(grown, float(usage), "tokens more")


@check("every server with more than one user")
async def answers_do_not_mix(server: Context) -> None:
    """Eight requests at once, whole and streamed, get what each gets alone, under ids of their own."""
    prompts = [f"{word} once saw a fox and said" for word in ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal")]
    alone = [texts(await server.complete(prompt=prompt))[0] for prompt in prompts]
    streams, answers = await asyncio.gather(
        asyncio.gather(*(server.stream(COMPLETIONS, prompt=prompt) for prompt in prompts)),
        asyncio.gather(*(server.complete(prompt=prompt) for prompt in prompts)),
    )
    equal([texts(answer)[0] for answer in answers], alone, "the texts of the requests alone")
    equal([stream.content_text() for stream in streams], alone, "the streamed texts")
    ids = [answer["id"] for answer in answers] + [stream.chunks[0]["id"] for stream in streams]
    equal(len(set(ids)), len(ids), "different ids")


@check("browsers: Stop; agents with deadlines", alone=True)
async def leaving_a_stream_ends_it(server: Context) -> None:
    """When a client leaves a stream, its request ends: nothing runs on, and the rest is never generated."""
    await _idle(server)
    before, body = await _figure(server, _GENERATED), _long(server)
    await server.client.leave_stream(COMPLETIONS, body)
    await _idle(server)
    generated, wanted = await _figure(server, _GENERATED) - before, body["max_tokens"] * body["n"]
    expect(generated < wanted, f"fewer tokens than the {wanted} that were asked for", f"{generated:g}")


@check("openai-python: a timed-out request is sent again", alone=True)
async def leaving_before_the_answer_ends_it(server: Context) -> None:
    """When a client that waits for a whole answer leaves, its request ends."""
    await _idle(server)
    if not await server.client.leave_waiting(COMPLETIONS, _long(server), after_s=0.3):
        raise NotApplicableError("the longest answer comes within 0.3 s: nobody can leave before it")
    await _idle(server)


@check("every client that shares a server", alone=True)
async def others_stay(server: Context) -> None:
    """Clients that leave take nothing from those who stay."""
    alone = await server.complete(max_tokens=40)
    leavers = [server.client.leave_stream(CHAT, server.body(CHAT, max_tokens=400)) for _ in range(3)]
    stayed, *_ = await asyncio.gather(server.complete(max_tokens=40), *leavers)
    equal(texts(stayed), texts(alone), "the text of the request alone")


@check("openai-python waits for as long as Retry-After says", alone=True)
async def overload_says_when_to_come_back(server: Context) -> None:
    """Whoever is refused for overload (429, 503) is told when to come back, with the error object."""
    burst = [server.send(COMPLETIONS, prompt=f"{PROMPT} {number}", max_tokens=8) for number in range(64)]
    replies = await asyncio.gather(*burst)
    odd = [reply for reply in replies if reply.status not in (200, 429, 503)]
    expect(not odd, "status 200, 429 or 503", odd[0].summary() if odd else "", odd[0] if odd else None)
    busy = [reply for reply in replies if reply.status != 200]
    if not busy:
        raise NotApplicableError("64 requests at once are no overload here")
    for reply in busy:
        error_object(reply)
        seconds = reply.headers.get("retry-after", "")
        expect(seconds.isdecimal(), "Retry-After in seconds", seconds or "no such header", reply)
