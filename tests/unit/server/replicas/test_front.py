"""What the front does with a request whose replicas are lost, without Ray's cluster."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("ray")

from pagoda.errors import EngineDeadError
from pagoda.server.errors import UnavailableError, body_for, response_for
from pagoda.server.replicas import front
from pagoda.server.replicas.prefixes import Beginning, beginning_of
from pagoda.server.replicas.replica import Forwarded


def _answer(error: Exception) -> list[dict[str, Any]]:
    response = response_for(error)
    start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    return [start, {"type": "http.response.body", "body": json.dumps(body_for(error)).encode(), "more_body": False}]


def _asked(monkeypatch: pytest.MonkeyPatch, tries: list[Any]) -> tuple[int, list[Any]]:
    """How often replicas are asked that answer so one after the other, and what the client gets."""
    asked, got = list[Any](), list[Any]()

    async def tried(*_: Any) -> Any:
        asked.append(tries[min(len(asked), len(tries) - 1)])
        return asked[-1]

    async def send(message: Any) -> None:
        got.append(message)

    monkeypatch.setattr(front, "_RETRY_S", 0.0)
    one = object.__new__(front.Front)
    monkeypatch.setattr(one, "_tried", tried)
    asyncio.run(one._answer(Forwarded({"headers": []}, b"{}"), send))
    return len(asked), got


@pytest.mark.parametrize("lost", [None, _answer(EngineDeadError("gone"))])
def test_a_request_that_two_replicas_are_lost_with_is_not_given_to_a_third(
    monkeypatch: pytest.MonkeyPatch, lost: list[Any] | None
) -> None:
    num_asked, got = _asked(monkeypatch, [lost])
    assert num_asked == 2
    assert got[0]["status"] >= 500
    assert got[-1]["more_body"] is False


def test_a_replica_that_only_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loading = _answer(UnavailableError("loading"))
    assert _asked(monkeypatch, [loading, loading, loading, []]) == (4, [])


def test_json_of_any_depth_is_no_fault_of_the_front() -> None:
    assert beginning_of(b"[" * 100_000) == Beginning()
    assert beginning_of(b'{"messages": ' + b"[" * 100_000) == Beginning()
