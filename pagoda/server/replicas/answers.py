"""Answers of replicas on their way to a client: what another replica may be asked for, what is told when one breaks.

On the token's path behind several replicas. As long as a client has got nothing, a request that its replica could
not answer is asked of another, and nobody notices; afterwards it ends with one error, as where an engine dies. Imports
neither Ray nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pagoda.errors import EngineDeadError
from pagoda.server.errors import UnavailableError, body_for, response_for
from pagoda.server.streaming import DONE, event

Message = dict[str, Any]
ELSEWHERE = frozenset({"engine_dead", "unavailable"})
"""Codes of errors that say nothing of the request, only of the replica."""


def is_stream(start: Message) -> bool:
    """Whether an answer is one of events, which are passed on as they come."""
    return any(name.lower() == b"content-type" and b"event-stream" in value for name, value in start["headers"])


def another_may(start: Message, body: bytes) -> bool:
    """Whether an answer, of a stream its first event, is the fault of the replica alone."""
    if start["status"] < 500 and not (is_stream(start) and body.startswith(b'data: {"error"')):
        return False
    return _code(body) in ELSEWHERE


def is_loss(messages: list[Message]) -> bool:
    """Whether an answer says that its replica's engine ended under it, not that it took nothing."""
    return len(messages) > 1 and _code(messages[1]["body"]) == "engine_dead"


def ended(messages: list[Message]) -> Iterator[Message]:
    """An answer of which no more is fetched: of a stream only the first event was, and clients wait for its end."""
    yield from messages
    if messages[-1].get("more_body"):
        yield {"type": "http.response.body", "body": DONE, "more_body": False}


def _code(body: bytes) -> str | None:
    """Of the error that an answer, of a stream its first event, is."""
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


def nobody_can() -> Iterator[Message]:
    """The answer where every replica failed at a request."""
    response = response_for(UnavailableError("no replica could answer: send the request again in a moment"))
    yield {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    yield {"type": "http.response.body", "body": bytes(response.body), "more_body": False}


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
