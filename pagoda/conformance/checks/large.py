"""Large requests: answered or refused for their size, and nobody else waits for them.

Agents send whole files and long histories. A server whose event loop reads or encodes these by itself answers no probe
meanwhile, and whoever runs it takes it for dead.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, error_object, expect
from pagoda.conformance.client import Reply
from pagoda.conformance.evidence import NotApplicableError

_TOO_LARGE = (400, 413, 422)
_MAX_PAUSE_S = 2.0
"""Far more than an idle server's answer takes, since what else runs on the machine is not known."""
_WORD = "fox "


def _sized(reply: Reply) -> None:
    """An answer, or a refusal in the form of all errors; a fault of the server's is neither."""
    if reply.status != 200:
        expect(reply.status in _TOO_LARGE, f"status 200, or {', '.join(map(str, _TOO_LARGE))}", reply.summary(), reply)
        error_object(reply)


async def _probed(server: Context, path: str, **fields: Any) -> tuple[Reply, float]:
    """The answer to a large request, and the longest wait of a probe beside it in seconds."""
    if (await server.client.get("/health")).status != 200:
        raise NotApplicableError("there is no /health")
    answering = asyncio.ensure_future(server.send(path, **fields))
    longest = 0.0
    while not answering.done():
        began = time.monotonic()
        reply = await server.client.get("/health")
        longest = max(longest, time.monotonic() - began)
        expect(reply.status == 200, "/health is 200 meanwhile", reply.summary(), reply)
        await asyncio.wait((answering,), timeout=0.02)
    return await answering, longest


@check("Kubernetes, load balancers: a probe that is not answered restarts the server", alone=True)
async def health_beside_a_long_prompt(server: Context) -> None:
    """While a prompt of 200 kB is handled, /health is answered."""
    reply, longest = await _probed(server, COMPLETIONS, prompt=_WORD * 50_000)
    _sized(reply)
    expect(longest < _MAX_PAUSE_S, f"/health within {_MAX_PAUSE_S:g} s", f"{longest:.1f} s", reply)


@check("Kubernetes, load balancers: a probe that is not answered restarts the server", alone=True)
async def health_beside_many_messages(server: Context) -> None:
    """While a conversation of 2,000 messages is handled, /health is answered."""
    turns = [{"role": role, "content": f"{role} {i}"} for i in range(1_000) for role in ("user", "assistant")]
    reply, longest = await _probed(server, CHAT, messages=[*turns, {"role": "user", "content": "go on"}])
    _sized(reply)
    expect(longest < _MAX_PAUSE_S, f"/health within {_MAX_PAUSE_S:g} s", f"{longest:.1f} s", reply)


@check("agents: they shorten the conversation on this code")
async def a_prompt_of_a_whole_book_is_only_too_long(server: Context) -> None:
    """A prompt of 200 kB is refused as too long for the context, as one that is a word too long."""
    length = server.facts.max_model_len
    if length is None or length >= 50_000:
        raise NotApplicableError("a prompt of 200 kB may fit into this context")
    reply = await server.send(COMPLETIONS, prompt=_WORD * 50_000)
    expect(reply.status in (400, 413), "status 400 or 413", reply.summary(), reply)
    if reply.status == 400:
        code = error_object(reply)["code"]
        expect(code == "context_length_exceeded", "code context_length_exceeded", code, reply)


@check("clients that keep a list of stop strings for every language")
async def many_stop_strings(server: Context) -> None:
    """A thousand stop strings are looked for, or refused."""
    _sized(await server.send(COMPLETIONS, stop=[f"#{number}#" for number in range(1000)]))


@check("vLLM's clients")
async def many_biases(server: Context) -> None:
    """A bias for two hundred tokens is taken, or refused."""
    _sized(await server.send(COMPLETIONS, logit_bias={str(number): -1 for number in range(200)}))


@check("agents with the tools of many servers")
async def many_tools(server: Context) -> None:
    """A hundred tools are offered to the model, or refused for their number or their length."""
    parameters = {"type": "object", "properties": {"name": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": f"f{i}", "parameters": parameters}} for i in range(100)]
    _sized(await server.send(CHAT, tools=tools))


@check("lm-eval sends prompts in batches")
async def many_prompts(server: Context) -> None:
    """Sixty-four prompts in one request are all answered, in order, or refused for their number."""
    reply = await server.send(COMPLETIONS, prompt=["a fox"] * 64, max_tokens=1)
    _sized(reply)
    if reply.status == 200:
        indices = [choice["index"] for choice in reply.json()["choices"]]
        expect(indices == list(range(64)), "choices 0 to 63", indices[:5], reply)


@check("every client: a mistake in a long list must not cost a minute")
async def many_faults_are_one_error(server: Context) -> None:
    """A list of 200,000 wrong items is one refusal of some kilobytes, not as many errors."""
    reply = await server.send(COMPLETIONS, prompt=[True] * 200_000)
    expect(reply.status in _TOO_LARGE, "a refusal", reply.summary(), reply)
    expect(len(reply.content) < 100_000, "an answer below 100,000 bytes", f"{len(reply.content):,} bytes", reply)
