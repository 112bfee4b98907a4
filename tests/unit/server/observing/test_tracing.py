"""One span for each request: its attributes, its times, its place in the caller's trace."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pagoda.engine.outputs import RequestMetrics
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.sampling_params import SamplingParams
from pagoda.server.observing.tracing import RequestFacts, Tracer, _traces_url

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


class Exported:
    """A tracer and what it has told."""

    def __init__(self) -> None:
        sdk = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self._exporter = memory.InMemorySpanExporter()
        self.tracer = Tracer.through(sdk.SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    yield exported
    exported.tracer.close()


def facts(**changed: Any) -> RequestFacts:
    now = time.monotonic()
    given = {
        "request_id": "chatcmpl-1",
        "operation": "chat",
        "model": "tiny",
        "num_prompt_tokens": 10,
        "params": SamplingParams(temperature=0.5, top_p=0.9, max_tokens=20, stop=["the secret"]),
        "num_cached_tokens": 4,
        "num_generation_tokens": 5,
        "finish_reasons": ["stop"],
        "times": RequestMetrics(now - 11.5, now - 10.5, now - 8.5, now - 0.5, now),
    }
    return RequestFacts(**(given | changed))


def test_a_span_follows_the_genai_conventions(exported: Exported) -> None:
    exported.tracer.record({}, facts())
    (span,) = exported.spans
    assert span.name == "llm_request"
    assert span.kind.name == "SERVER"
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
    }
    assert expected.items() <= dict(span.attributes).items()


def test_a_span_has_vllms_names_where_the_conventions_have_none(exported: Exported) -> None:
    exported.tracer.record({}, facts())
    told = dict(exported.spans[0].attributes)
    assert told["gen_ai.request.id"] == "chatcmpl-1"
    assert told["gen_ai.request.n"] == told["gen_ai.usage.num_sequences"] == 1
    assert (told["gen_ai.usage.prompt_tokens"], told["gen_ai.usage.completion_tokens"]) == (10, 5)
    latencies = {
        "time_in_queue": 1.0,
        "time_to_first_token": 3.0,
        "e2e": 11.5,
        "time_in_model_prefill": 2.0,
        "time_in_model_decode": 8.0,
        "time_in_model_inference": 10.0,
    }
    for name, seconds in latencies.items():
        assert told[f"gen_ai.latency.{name}"] == pytest.approx(seconds), name


def test_a_span_lasts_from_arrival_to_end_on_the_wall_clock(exported: Exported) -> None:
    before = time.time_ns()
    exported.tracer.record({}, facts())
    span = exported.spans[0]
    assert span.end_time - span.start_time == pytest.approx(11.5e9, rel=1e-6)
    assert abs(span.end_time - before) < 60e9, "the engine's clock counts from the machine's start"


def test_a_traceparent_makes_the_span_a_part_of_the_callers_trace(exported: Exported) -> None:
    exported.tracer.record({"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}, facts())
    span = exported.spans[0]
    assert format(span.context.trace_id, "032x") == TRACE_ID
    assert format(span.parent.span_id, "016x") == SPAN_ID


def test_a_caller_that_does_not_sample_is_not_told_of(exported: Exported) -> None:
    exported.tracer.record({"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"}, facts())
    assert not exported.spans


@pytest.mark.parametrize("header", ["", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{SPAN_ID}-01"])
def test_a_broken_traceparent_begins_a_trace_of_its_own(exported: Exported, header: str) -> None:
    exported.tracer.record({"traceparent": header}, facts())
    assert exported.spans[0].parent is None


def test_an_error_is_marked_as_one(exported: Exported) -> None:
    exported.tracer.record({}, facts(error="EngineDeadError", finish_reasons=(), times=None, params=None))
    span = exported.spans[0]
    assert span.status.status_code.name == "ERROR"
    assert span.attributes["error.type"] == "EngineDeadError"
    assert "gen_ai.response.finish_reasons" not in span.attributes


def test_a_request_that_never_ran_has_no_latencies(exported: Exported) -> None:
    exported.tracer.record({}, facts(times=RequestMetrics(time.monotonic())))
    assert not [name for name in exported.spans[0].attributes if name.startswith("gen_ai.latency")]


def test_no_text_of_the_request_is_told(exported: Exported) -> None:
    exported.tracer.record({"authorization": "Bearer sk-secret", "traceparent": ""}, facts())
    assert "secret" not in exported.spans[0].to_json()
    assert json.loads(exported.spans[0].to_json())["resource"]["attributes"]["service.name"] == "pagoda"


def test_a_tracer_that_is_off_tells_nobody_and_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)
    tracer = Tracer.off()
    tracer.record({}, facts())
    tracer.close()
    assert not tracer.enabled


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[otel\]'"):
        Tracer.to("http://localhost:4318")


def test_a_url_without_a_path_gets_the_usual_one() -> None:
    assert _traces_url("http://localhost:4318") == "http://localhost:4318/v1/traces"
    assert _traces_url("http://localhost:4318/") == "http://localhost:4318/v1/traces"
    assert _traces_url("https://collector/otlp/traces") == "https://collector/otlp/traces"


@pytest.mark.parametrize("endpoint", ["localhost:4317", "grpc://localhost", "http://", ""])
def test_what_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"otlp_endpoint is .*: give a URL"):
        Tracer.to(endpoint)


def test_two_tracers_tell_apart() -> None:
    first, second = Exported(), Exported()
    first.tracer.record({}, facts())
    assert (len(first.spans), len(second.spans)) == (1, 0)
