"""What a check is, what it may say, and what it is given.

A check is a function whose docstring is the sentence in the report. It returns where the server holds, raises
`CheckFailedError` where it does not, and `NotApplicableError` where the server may legitimately do without. Checks
know the server by its URL alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pagoda.conformance.evidence import CheckFailedError, Verdict

if TYPE_CHECKING:
    from pagoda.conformance.client import Client, Reply, Stream

PROMPT = "Once upon a time there was"
CHINESE = "从前有一只小狐狸🦊，月亮🌕很圆。"
QUESTION = "Tell me a story about a fox and the moon."
COMPLETIONS, CHAT, RESPONSES = "/v1/completions", "/v1/chat/completions", "/v1/responses"


@dataclass(frozen=True)
class Facts:
    """What is known of the server beforehand. `needs_key`: it refuses whoever has none."""

    model: str
    max_model_len: int | None = None
    needs_key: bool = False


@dataclass(frozen=True)
class Context:
    """One run of one check: its client, the facts, and the requests that most checks make."""

    client: Client
    facts: Facts

    def body(self, path: str, **fields: Any) -> dict[str, Any]:
        """A short greedy request for an endpoint; `fields` come on top, and None takes one away."""
        subject: dict[str, Any] = {COMPLETIONS: {"prompt": PROMPT}, RESPONSES: {"input": QUESTION}}.get(
            path, {"messages": [{"role": "user", "content": QUESTION}]}
        )
        limit = "max_output_tokens" if path == RESPONSES else "max_tokens"
        body = {"model": self.facts.model, **subject, limit: 16, "temperature": 0, **fields}
        return {name: value for name, value in body.items() if value is not None}

    async def send(self, path: str, **fields: Any) -> Reply:
        """POST `body`."""
        return await self.client.post(path, self.body(path, **fields))

    async def answer(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST `body`; the object that came. Raises CheckFailedError for any other status than 200."""
        return answered(await self.send(path, **fields))

    async def stream(self, path: str, **fields: Any) -> Stream:
        """POST `body` with `stream`. Raises CheckFailedError for another status than 200 and for an error event."""
        stream = await self.client.stream(path, self.body(path, **fields))
        expect(stream.status == 200, "status 200", stream.summary(), stream)
        errors = [chunk for chunk in stream.chunks if chunk.get("error")]
        expect(not errors, "no error in the stream", errors, stream)
        return stream

    async def complete(self, **fields: Any) -> dict[str, Any]:
        """A whole answer of /v1/completions."""
        return await self.answer(COMPLETIONS, **fields)

    async def chat(self, **fields: Any) -> dict[str, Any]:
        """A whole answer of /v1/chat/completions."""
        return await self.answer(CHAT, **fields)


@dataclass(frozen=True)
class Check:
    """One promise. `alone`: not beside other checks, since it watches or loads the whole server."""

    name: str
    sentence: str
    needed_by: str
    body: Callable[[Context], Awaitable[None]] = field(repr=False, compare=False)
    alone: bool = False

    @property
    def group(self) -> str:
        """The subject, which is the part of the name before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one check. `reason`: why it was skipped; `sent`: the request that failed, for a shell."""

    check: Check
    verdict: Verdict
    seconds: float
    expected: str = ""
    got: str = ""
    reason: str = ""
    sent: str = ""


def check(needed_by: str, *, alone: bool = False) -> Callable[[Callable[[Context], Awaitable[None]]], Check]:
    """Make a check of a function in a file `checks/GROUP`; `needed_by` names the clients that depend on it."""

    def decorate(function: Callable[[Context], Awaitable[None]]) -> Check:
        group = function.__module__.rpartition(".")[2]
        sentence = (function.__doc__ or "").strip()
        assert sentence, f"{function.__name__} needs a docstring: it is the sentence of the report"
        return Check(f"{group}.{function.__name__}", sentence, needed_by, function, alone)

    return decorate


def expect(held: object, expected: str, got: object, reply: Reply | None = None) -> None:
    """Raise CheckFailedError unless `held` is true."""
    if not held:
        raise CheckFailedError(expected, got, sent=None if reply is None else reply.sent)


def equal(got: object, expected: object, what: str) -> None:
    """Raise CheckFailedError unless both are equal."""
    expect(got == expected, f"{what}: {expected!r}", repr(got))


def answered(reply: Reply) -> dict[str, Any]:
    """The object of a success. Raises CheckFailedError."""
    expect(reply.status == 200, "status 200", reply.summary(), reply)
    body = reply.json()
    expect(isinstance(body, dict), "a JSON object", reply.summary(), reply)
    return dict(body)


def refused(reply: Reply, *statuses: int, param: str | None = None) -> dict[str, Any]:
    """The error object of a refusal with one of `statuses` (400 if none is named). Raises CheckFailedError."""
    wanted = statuses or (400,)
    expect(reply.status in wanted, f"status {' or '.join(map(str, wanted))}", reply.summary(), reply)
    error = error_object(reply)
    if param is not None:
        expect(error["param"] == param, f"error.param {param!r}", f"{error['param']!r} in {error}", reply)
    return error


def error_object(reply: Reply) -> dict[str, Any]:
    """OpenAI's error object with all of its four fields. Raises CheckFailedError."""
    body = reply.json()
    error: Any = body.get("error") if isinstance(body, Mapping) else None
    shape = '{"error": {"message": str, "type": str, "param": str | null, "code": str | int | null}}'
    expect(isinstance(error, Mapping), shape, reply.summary(), reply)
    missing = {"message", "type", "param", "code"} - set(error)
    expect(not missing, shape, f"without {', '.join(sorted(missing))}: {reply.summary()}", reply)
    sound = isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
    expect(sound and isinstance(error["param"], str | None), shape, reply.summary(), reply)
    expect(isinstance(error["code"], str | int | None), shape, reply.summary(), reply)
    return dict(error)
