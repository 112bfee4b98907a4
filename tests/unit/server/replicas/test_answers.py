"""What of an answer another replica may do better, and figures of several replicas on one page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pagoda.errors import EngineDeadError, EngineOverloadedError, InvalidRequestError
from pagoda.server.errors import UnavailableError, body_for, response_for
from pagoda.server.observing.metrics import Metrics
from pagoda.server.replicas.answers import (
    another_may,
    broken_off,
    ended,
    is_full,
    is_loss,
    is_opening,
    is_stream,
    merged_metrics,
    nobody_can,
)
from pagoda.server.streaming import event

EVENTS: dict[str, Any] = {"status": 200, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]}


def _start(error: Exception) -> dict[str, Any]:
    response = response_for(error)
    return {"status": response.status_code, "headers": response.raw_headers}


def _whole(error: Exception) -> list[dict[str, Any]]:
    return [_start(error), {"body": json.dumps(body_for(error)).encode()}]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EngineDeadError("gone"), True),
        (UnavailableError("loading"), True),
        (EngineOverloadedError("full", retry_after_s=3.0), True),
        (InvalidRequestError("no"), False),
        (RuntimeError("a fault of ours"), False),
    ],
)
def test_only_what_says_nothing_of_the_request_is_asked_again(error: Exception, expected: bool) -> None:
    assert another_may(_whole(error)) is expected
    assert another_may([EVENTS, {"body": event(body_for(error))}]) is expected


def test_a_replica_that_took_nothing_has_not_lost_the_request() -> None:
    assert is_loss(_whole(EngineDeadError("gone")))
    assert not is_loss(_whole(UnavailableError("loading")))
    assert not is_loss([_start(UnavailableError("loading"))])
    assert is_full(_whole(EngineOverloadedError("full", retry_after_s=3.0)))
    assert not is_full(_whole(UnavailableError("loading")))


def test_a_stream_of_which_only_the_first_event_was_fetched_has_an_end() -> None:
    first = {"type": "http.response.body", "body": event(body_for(EngineDeadError("gone"))), "more_body": True}
    *told, last = ended([EVENTS, first])
    assert told == [EVENTS, first]
    assert (last["more_body"], b"[DONE]" in last["body"]) == (False, True)
    whole = [_start(EngineDeadError("gone")), {"body": b"{}", "more_body": False}]
    assert list(ended(whole)) == whole


def test_answers_are_not_asked_again_whatever_they_say() -> None:
    said = {"choices": [{"text": '{"error": {"code": "engine_dead"}}'}]}
    assert not another_may([{"status": 200, "headers": []}, {"body": json.dumps(said).encode()}])
    assert not another_may([EVENTS, {"body": event(said)}])
    assert not another_may([{"status": 500, "headers": []}, {"body": b"no JSON"}])
    assert not is_opening(event(said))


def test_a_stream_that_breaks_ends_with_one_error() -> None:
    (message,) = broken_off()
    lines = [line for line in message["body"].decode().splitlines() if line]
    assert json.loads(lines[0].removeprefix("data: "))["error"]["code"] == "engine_dead"
    assert lines[1:] == ["data: [DONE]"]
    assert message["more_body"] is False


def test_where_nobody_can_clients_are_told_to_come_back() -> None:
    start, body = nobody_can()
    assert start["status"] == 503
    assert (b"retry-after", b"2") in [(name.lower(), value) for name, value in start["headers"]]
    assert not is_stream(start)
    assert json.loads(body["body"])["error"]["code"] == "unavailable"


def test_figures_of_replicas_stand_beside_one_another() -> None:
    pages = []
    for count in (1, 2):
        metrics = Metrics()
        for _ in range(count):
            metrics.on_http("POST", "/v1/completions", 200, 0.5)
        pages.append((f"r{count}", metrics.render()[0].decode()))
    families = {family.name: family for family in text_string_to_metric_families(merged_metrics(pages))}
    samples = [each for each in families["pagoda:http_requests"].samples if each.name.endswith("_total")]
    assert {each.labels["replica"]: each.value for each in samples} == {"r1": 1.0, "r2": 2.0}
    assert {each.labels["replica"] for each in families["process_open_fds"].samples} == {"r1", "r2"}
