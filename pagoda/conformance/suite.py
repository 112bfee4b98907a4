"""All checks there are, and how they are run: a few at a time, each with a time limit, the lonely ones at the end."""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import httpx

from pagoda.conformance.check import Check, Context, Facts, Result
from pagoda.conformance.checks import (
    chat,
    completions,
    embeddings,
    errors,
    http,
    large,
    lifecycle,
    limits,
    logprobs,
    messages,
    responses,
    sampling,
    security,
    streaming,
    structured,
    tokenization,
    tools,
)
from pagoda.conformance.client import Client, Reply
from pagoda.conformance.evidence import CheckFailedError, NotApplicableError, Sent, Verdict
from pagoda.errors import ConfigError, nearest

_MODULES: tuple[ModuleType, ...] = (
    errors,
    limits,
    large,
    completions,
    sampling,
    logprobs,
    chat,
    messages,
    streaming,
    tools,
    structured,
    responses,
    embeddings,
    tokenization,
    http,
    security,
    lifecycle,
)
MAX_CONCURRENT = 4
"""Few enough for a small server to answer each in time, and enough for requests to meet in its batches."""


def all_checks() -> list[Check]:
    """Every check, in the order of the report."""
    return [value for module in _MODULES for value in vars(module).values() if isinstance(value, Check)]


def select(pattern: str | None) -> list[Check]:
    """Checks whose name contains the pattern or matches it as a glob. Raises ConfigError where none does."""
    checks = all_checks()
    if pattern is None:
        return checks
    chosen = [check for check in checks if pattern in check.name or fnmatch.fnmatch(check.name, pattern)]
    if not chosen:
        hint = nearest(pattern, {check.group for check in checks})
        raise ConfigError(f'no check is called "{pattern}": {hint}; --list shows all')
    return chosen


async def run_checks(
    url: str,
    checks: Sequence[Check],
    *,
    model: str | None = None,
    api_key: str | None = None,
    timeout_s: float = 20.0,
    on_result: Callable[[Result], Any] = lambda result: None,
) -> list[Result]:
    """Results in the order of `checks`. Raises ConfigError where nothing answers at the URL or no model is there."""
    base = url.rstrip("/").removesuffix("/v1")
    # A proxy in between would be what is tested.
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as http:
        facts = await _facts(Client(http, base, api_key), model)

        async def run(check: Check) -> Result:
            result = await run_check(check, Context(Client(http, base, api_key), facts), timeout_s)
            on_result(result)
            return result

        results = await _together(run, [check for check in checks if not check.alone])
        results |= {check.name: await run(check) for check in checks if check.alone}
    return [results[check.name] for check in checks]


async def run_check(check: Check, context: Context, timeout_s: float) -> Result:
    """One check, whatever happens in it."""
    began = time.perf_counter()
    verdict, facts = Verdict.HELD, {}
    try:
        async with asyncio.timeout(timeout_s):
            await check.body(context)
    except NotApplicableError as skipped:
        verdict, facts = Verdict.SKIPPED, {"reason": str(skipped)}
    except CheckFailedError as violation:
        sent = violation.sent or _last(context)
        verdict, facts = Verdict.FAILED, _failure(violation.expected, violation.got, sent)
    except TimeoutError:
        verdict, facts = Verdict.FAILED, _failure(f"an end within {timeout_s:g} s", "none", _last(context))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OSError) as error:
        # An answer of another shape than the check walks through is the server's failure, and not the end of the run.
        got = f"{type(error).__name__}: {error}"
        verdict, facts = Verdict.FAILED, _failure("an answer of the documented shape", got, _last(context))
    return Result(check=check, verdict=verdict, seconds=time.perf_counter() - began, **facts)


async def _together(run: Callable[[Check], Any], checks: Sequence[Check]) -> dict[str, Result]:
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def limited(check: Check) -> tuple[str, Result]:
        async with limit:
            return check.name, await run(check)

    return dict(await asyncio.gather(*(limited(check) for check in checks)))


async def _facts(client: Client, model: str | None) -> Facts:
    """What /v1/models tells, and whether strangers are let in."""
    try:
        reply = await client.get("/v1/models")
        stranger = await client.request("GET", "/v1/models", authorized=False)
    except CheckFailedError as violation:
        problem = f"nothing answers at {client.url} ({violation.got})"
        raise ConfigError(f"{problem}: start the server or correct the URL") from violation
    if reply.status in (401, 403):
        raise ConfigError(f"{client.url} wants an API key: put it into the environment and name it with --api-key-env")
    cards = _cards(reply)
    card = next((card for card in cards if model in (None, card.get("id"))), {})
    name = model or card.get("id")
    if not isinstance(name, str):
        raise ConfigError(f"{client.url}/v1/models lists no model: name one with --model")
    length = card.get("max_model_len")
    return Facts(name, length if isinstance(length, int) else None, stranger.status == 401)


def _cards(reply: Reply) -> list[dict[str, Any]]:
    """The models that are listed; none where the answer is of another shape."""
    try:
        cards = reply.json()["data"]
    except (CheckFailedError, KeyError, TypeError):
        return []
    return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []


def _last(context: Context) -> Sent | None:
    return context.client.sent[-1] if context.client.sent else None


def _failure(expected: str, got: str, sent: Sent | None) -> dict[str, str]:
    return {"expected": expected, "got": got, "sent": sent.curl() if sent is not None else ""}
