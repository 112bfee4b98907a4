"""One OpenTelemetry span for each request, told when it ends.

Beside the token's path, behind the endpoints. A span carries the GenAI semantic conventions' attributes and, where
these know no name (time in the queue, time to the first token), vLLM's, so that what reads vLLM's traces reads these.
A `traceparent` header (W3C Trace Context) makes the span a part of its caller's trace. Prompts and answers are never
told. OpenTelemetry is an optional dependency and imported when it is asked for; a tracer that is off costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from pagoda.engine.outputs import RequestMetrics
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.sampling_params import SamplingParams

SPAN_NAME = "llm_request"
TRACES_PATH = "/v1/traces"


@dataclass(frozen=True, kw_only=True)
class RequestFacts:
    """What a span tells about one request.

    operation: "chat", "text_completion" or "embeddings"; model: the name it was answered under; params: None for
    embeddings; num_generation_tokens: over all completions; finish_reasons: of each completion that ended; times: None
    where the engine never saw the request; error: class of what ended it, if not itself.
    """

    request_id: str
    operation: str
    model: str
    num_prompt_tokens: int
    params: SamplingParams | None = None
    num_cached_tokens: int = 0
    num_generation_tokens: int = 0
    finish_reasons: Sequence[str] = ()
    times: RequestMetrics | None = None
    error: str | None = None


class Tracer:
    """Tells of requests, to whoever was given at its making: see `off`, `to` and `through`."""

    def __init__(self, provider: Any = None) -> None:
        """`provider`: an opentelemetry.sdk.trace.TracerProvider, or None to tell nobody."""
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("pagoda")

    @classmethod
    def off(cls) -> Self:
        """Tells nobody."""
        return cls()

    @classmethod
    def to(cls, otlp_endpoint: str) -> Self:
        """Tells a collector at an http(s) URL, in OTLP over HTTP; "/v1/traces" is added to a URL without a path.

        Spans are sent by a thread, in batches. Raises ConfigError for what is no such URL, MissingExtraError where
        OpenTelemetry is not installed.
        """
        url = _traces_url(otlp_endpoint)
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise MissingExtraError("tracing", "otel") from error
        return cls.through(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))

    @classmethod
    def through(cls, processor: Any) -> Self:
        """Tells an opentelemetry.sdk.trace.SpanProcessor. Raises MissingExtraError like `to`."""
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
        except ImportError as error:
            raise MissingExtraError("tracing", "otel") from error
        resource = Resource.create({"service.name": "pagoda"})
        # Not OpenTelemetry's global provider: two servers in one process must not mix their spans.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return cls(provider)

    @property
    def enabled(self) -> bool:
        """Whether anybody is told; what only a span needs is not worth collecting otherwise."""
        return self._tracer is not None

    def record(self, headers: Mapping[str, str], facts: RequestFacts) -> None:
        """Tell of a request that has ended just now. `headers`: the request's, with names in lower case."""
        if self._tracer is None:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract(headers)
        start_ns, end_ns = _span_times(facts.times)
        span = self._tracer.start_span(SPAN_NAME, context, SpanKind.SERVER, attributes(facts), start_time=start_ns)
        if facts.error is not None:
            span.set_status(Status(StatusCode.ERROR, facts.error))
        span.end(end_ns)

    def close(self) -> None:
        """Send what has not been sent; nothing more can be told."""
        if self._provider is not None:
            self._provider.shutdown()


def attributes(facts: RequestFacts) -> dict[str, Any]:
    """The span's attributes; what is not known is left out. Times are in seconds."""
    found = {
        "gen_ai.operation.name": facts.operation,
        "gen_ai.provider.name": "pagoda",
        "gen_ai.request.model": facts.model,
        "gen_ai.response.model": facts.model,
        "gen_ai.request.id": facts.request_id,
        "gen_ai.response.id": facts.request_id,
        "gen_ai.response.finish_reasons": tuple(facts.finish_reasons) or None,
        "gen_ai.usage.input_tokens": facts.num_prompt_tokens,
        "gen_ai.usage.output_tokens": facts.num_generation_tokens,
        "gen_ai.usage.cache_read.input_tokens": facts.num_cached_tokens,
        "gen_ai.usage.prompt_tokens": facts.num_prompt_tokens,
        "gen_ai.usage.completion_tokens": facts.num_generation_tokens,
        "error.type": facts.error,
    }
    found |= _asked(facts.params) | _latencies(facts.times)
    return {name: value for name, value in found.items() if value is not None}


def _asked(params: SamplingParams | None) -> dict[str, Any]:
    if params is None:
        return {}
    return {
        "gen_ai.request.n": params.n,
        "gen_ai.request.choice.count": params.n,
        "gen_ai.usage.num_sequences": params.n,
        "gen_ai.request.max_tokens": params.max_tokens,
        "gen_ai.request.temperature": params.temperature,
        "gen_ai.request.top_p": params.top_p,
        "gen_ai.request.top_k": params.top_k,
        "gen_ai.request.presence_penalty": params.presence_penalty,
        "gen_ai.request.frequency_penalty": params.frequency_penalty,
        "gen_ai.request.seed": params.seed,
    }


def _latencies(times: RequestMetrics | None) -> dict[str, float | None]:
    if times is None:
        return {}
    began, first, last = times.first_scheduled_time, times.first_token_time, times.last_token_time
    return {
        "gen_ai.latency.time_in_queue": times.time_in_queue_s,
        "gen_ai.latency.time_to_first_token": times.time_to_first_token_s,
        "gen_ai.latency.e2e": times.e2e_latency_s,
        "gen_ai.latency.time_in_model_prefill": _between(began, first),
        "gen_ai.latency.time_in_model_decode": _between(first, last),
        "gen_ai.latency.time_in_model_inference": _between(began, last),
    }


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def _span_times(times: RequestMetrics | None) -> tuple[int, int]:
    """Start and end on the wall clock, in nanoseconds since 1970; the engine's own times are monotonic."""
    now_ns = time.time_ns()
    if times is None:
        return now_ns, now_ns
    now_s = time.monotonic()
    ended = now_s if times.finished_time is None else times.finished_time
    return now_ns - int((now_s - times.arrival_time) * 1e9), now_ns - int((now_s - ended) * 1e9)


def _traces_url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"otlp_endpoint is {endpoint!r}: give a URL such as http://localhost:4318")
    return endpoint.rstrip("/") + TRACES_PATH if parts.path in ("", "/") and not parts.query else endpoint
