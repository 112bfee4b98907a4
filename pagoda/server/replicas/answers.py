"""Answers of replicas on their way to a client: what another replica may be asked for, what is told when one breaks.

On the token's path behind several replicas. As long as nothing that a model wrote has come, a request that its replica
could not answer is asked of another, and nobody notices; afterwards it ends with one error, as where an engine dies.
Imports neither Ray nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pagoda.errors import EngineDeadError, EngineOverloadedError
from pagoda.server.errors import UnavailableError, body_for, response_for
from pagoda.server.streaming import DONE, event

Message = dict[str, Any]
_FULL = "overloaded"
ELSEWHERE = frozenset({"engine_dead", "unavailable", _FULL})
"""Codes of errors that say nothing of the request, only of the replica."""
_OPENING_DELTA = {"role": "assistant", "content": ""}
_OPENING_EVENTS = (b"event: response.created\n", b"event: response.in_progress\n")
_RETRY_AFTER_S = 5.0
"""Where there is no replica at all: new ones load a model."""


def is_stream(start: Message) -> bool:
    """Whether an answer is one of events, which are passed on as they come."""
    return any(name.lower() == b"content-type" and b"event-stream" in value for name, value in start["headers"])


def is_whole(messages: list[Message]) -> bool:
    """Whether nothing of an answer is to come."""
    return len(messages) > 1 and not messages[-1].get("more_body", False)


def is_opening(body: bytes) -> bool:
    """Whether events say nothing but that an answer begins, as chats and responses do before their first token."""
    return all(_opens(each) for each in body.split(b"\n\n") if each)


def is_comment(body: bytes) -> bool:
    """Whether it only bridges a silence."""
    return body.startswith(b":")


def _opens(one: bytes) -> bool:
    if one.startswith(_OPENING_EVENTS):
        return True
    try:
        choices = json.loads(one.removeprefix(b"data: "))["choices"]
        return bool(choices) and all(each["delta"] == _OPENING_DELTA for each in choices)
    except (ValueError, KeyError, TypeError):
        return False


def another_may(messages: list[Message]) -> bool:
    """Whether an answer, of a stream what came before its first token, is the fault of the replica alone."""
    return _code(messages) in ELSEWHERE


def is_loss(messages: list[Message]) -> bool:
    """Whether an answer says that its replica's engine ended under it, not that it took nothing."""
    return _code(messages) == "engine_dead"


def is_full(messages: list[Message]) -> bool:
    """Whether an answer says that as many wait there as may."""
    return _code(messages) == _FULL


def ended(messages: list[Message]) -> Iterator[Message]:
    """An answer of which no more is fetched: of a stream only the first events were, and clients wait for its end."""
    yield from messages
    if messages[-1].get("more_body"):
        yield {"type": "http.response.body", "body": DONE, "more_body": False}


def as_events(messages: list[Message]) -> Iterator[Message]:
    """An answer that is no stream, for a client whose stream has its head already."""
    if is_stream(messages[0]):
        yield from messages[1:]
    else:
        body = b"".join(each["body"] for each in messages[1:])
        yield {"type": "http.response.body", "body": b"data: %b\n\n" % body + DONE, "more_body": False}


def _code(messages: list[Message]) -> str | None:
    """Of the error that an answer is, or that a stream's last event is."""
    start, *rest = messages
    if not rest:
        return None
    body: bytes = rest[-1]["body"] if is_stream(start) else b"".join(each["body"] for each in rest)
    if is_stream(start):
        if body.startswith(b"event: response.failed\n"):
            return "engine_dead" if b'"code":"server_error"' in body else None
        if not body.startswith(b'data: {"error"'):
            return None
    elif start["status"] < 500:
        return None
    try:
        code = json.loads(body.removeprefix(b"data: ").split(b"\n")[0])["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) else None


def broken_off() -> Iterator[Message]:
    """The end of a stream whose replica is gone."""
    lost = EngineDeadError(
        "the replica that wrote this answer has ended; the rest of it is lost: send the request again"
    )
    yield {"type": "http.response.body", "body": event(body_for(lost)) + DONE, "more_body": False}


def nobody_can() -> list[Message]:
    """The answer where every replica failed at a request."""
    return _refusal(UnavailableError("no replica could answer: send the request again in a moment"))


def too_many_wait() -> list[Message]:
    """The answer where there is no replica, and as many requests wait for one as all of them could hold."""
    told = "no replica is there, and as many requests wait for one as may: come back later"
    return _refusal(EngineOverloadedError(told, retry_after_s=_RETRY_AFTER_S))


def _refusal(error: Exception) -> list[Message]:
    response = response_for(error)
    start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    return [start, {"type": "http.response.body", "body": bytes(response.body), "more_body": False}]


def merged_metrics(pages: Iterable[tuple[str, str]]) -> str:
    """Pages of /metrics, each of the replica whose name goes before it, as one: all samples get the label `replica`."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for name, page in pages:
        head, samples = families.setdefault("", ([], []))
        for line in page.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                head, samples = families.setdefault(family, ([], []))
            if line.startswith("#"):
                head += [line] if line not in head else []
            elif line:
                samples.append(_labelled(line, name))
    return "".join(f"{line}\n" for head, samples in families.values() for line in (*head, *samples))


def _labelled(sample: str, replica: str) -> str:
    label = f'replica="{replica}"'
    brace, space = sample.find("{"), sample.find(" ")
    if 0 <= brace < space:
        return f"{sample[: brace + 1]}{label},{sample[brace + 1 :]}"
    return f"{sample[:space]}{{{label}}}{sample[space:]}"
