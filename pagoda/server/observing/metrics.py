"""What the server counts, in Prometheus' text format and under vLLM's names.

Beside the token's path: the engine's steps and the endpoints report here, `/metrics` reads. With the prefix "vllm",
dashboards and autoscalers made for vLLM work unchanged. A server has a registry of its own. `on_step` and `on_tokens`
are called thousands of times a second, so their children are looked up once and gauges are set only when somebody
reads. Meaning and unit of every name: docs/metrics.md. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from pagoda.engine.outputs import RequestMetrics, RequestOutput
from pagoda.engine.process.messages import EngineInfo, StepStats
from pagoda.engine.scheduling.plan import SchedulerStats
from pagoda.sampling_params import SamplingParams

# vLLM's bounds, with finer ones below them where a small model is faster than its first: quantiles stay comparable.
FIRST_TOKEN_BUCKETS: tuple[float, ...] = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75)
FIRST_TOKEN_BUCKETS += (1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)
PER_TOKEN_BUCKETS: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
PER_TOKEN_BUCKETS += (0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
LATENCY_BUCKETS: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0)
LATENCY_BUCKETS += (30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0)
TOKEN_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
STEP_BUCKETS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
COUNT_BUCKETS = (1, 2, 5, 10, 20)
PREEMPTION_BUCKETS = (0, 1, 2, 5, 10, 20)

FINISH_REASONS = ("stop", "length", "abort", "error")
REJECTION_REASONS = ("queue_full", "per_key_limit")
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LABELS = ("model_name", "engine")

GAUGES = {
    "num_requests_running": "Sequences that take part in the engine's steps",
    "num_requests_waiting": "Sequences that wait for their first step, or again after a preemption",
    "kv_cache_usage_perc": "Share of the KV blocks in use, 0 to 1",
}
COUNTERS = {
    "num_preemptions": "Times that a sequence lost its KV blocks and was computed again",
    "prefix_cache_queries": "Prompt tokens that were looked up in the prefix cache",
    "prefix_cache_hits": "Prompt tokens that were found in the prefix cache",
    "spec_decode_num_drafts": "Times that tokens were proposed ahead of the model for a sequence",
    "spec_decode_num_draft_tokens": "Tokens proposed ahead of the model",
    "spec_decode_num_accepted_tokens": "Tokens proposed ahead of the model that it then said itself",
    "prompt_tokens": "Prompt tokens of ended requests",
    "prompt_tokens_cached": "Prompt tokens of ended requests that came from the prefix cache",
    "generation_tokens": "Tokens generated",
}
_ENGINE_COUNTERS = (
    "num_preemptions",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "spec_decode_num_drafts",
    "spec_decode_num_draft_tokens",
    "spec_decode_num_accepted_tokens",
)
"""Of SchedulerStats."""
HISTOGRAMS: dict[str, tuple[str, Sequence[float]]] = {
    "time_to_first_token_seconds": ("From arrival to the first token", FIRST_TOKEN_BUCKETS),
    "inter_token_latency_seconds": ("Between one token of a request and the next", PER_TOKEN_BUCKETS),
    "request_time_per_output_token_seconds": ("Mean time per token after the first", PER_TOKEN_BUCKETS),
    "e2e_request_latency_seconds": ("From arrival to the end", LATENCY_BUCKETS),
    "request_queue_time_seconds": ("From arrival to the first step", LATENCY_BUCKETS),
    "request_prefill_time_seconds": ("From the first step to the first token", LATENCY_BUCKETS),
    "request_decode_time_seconds": ("From the first token to the last", LATENCY_BUCKETS),
    "request_inference_time_seconds": ("From the first step to the last token", LATENCY_BUCKETS),
    "request_prompt_tokens": ("Tokens of a prompt", TOKEN_BUCKETS),
    "request_generation_tokens": ("Tokens generated for a request, over its n completions", TOKEN_BUCKETS),
    "request_params_n": ("n of a request", COUNT_BUCKETS),
    "request_params_max_tokens": ("max_tokens of a request", TOKEN_BUCKETS),
    "request_num_preemptions": ("Preemptions of a request, over its n completions", PREEMPTION_BUCKETS),
    "iteration_tokens_total": ("Tokens that one step computed, of prompts and outputs", STEP_BUCKETS),
}


class _Factory:
    """Makes metrics of one prefix in one registry."""

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = prefix

    def make(self, kind: Any, name: str, text: str, labels: Sequence[str] = (), **options: Any) -> Any:
        return kind(f"{self._prefix}:{name}", text, labels, registry=self.registry, **options)


class _ModelMetrics:
    """The figures that carry a model's name, each with its labels already bound."""

    def __init__(self, factory: _Factory, info: EngineInfo, model_name: str) -> None:
        self._factory = factory
        self._labels = {"model_name": model_name, "engine": "0"}
        self.gauges = {name: self._bound(Gauge, name, text) for name, text in GAUGES.items()}
        self.counters = {name: self._bound(Counter, name, text) for name, text in COUNTERS.items()}
        self.histograms = {
            name: self._bound(Histogram, name, text, buckets=buckets) for name, (text, buckets) in HISTOGRAMS.items()
        }
        self._waiting = self._by_value(
            Gauge, "num_requests_waiting_by_reason", "Waiting sequences by what they wait for", "reason", ("capacity",)
        )
        # Bound in advance: a series that begins at 0 shows its first event in rate().
        self._success = self._by_value(
            Counter, "request_success", "Ended completions by finish reason", "finished_reason", FINISH_REASONS
        )
        self._rejections = self._by_value(
            Counter, "admission_rejections", "Requests turned away for want of room", "reason", REJECTION_REASONS
        )
        self._tell(info)

    def observe(self, name: str, value: float | None) -> None:
        """Note a value; None where it never came to be."""
        if value is not None:
            self.histograms[name].observe(value)

    def set_gauges(self, stats: SchedulerStats) -> None:
        """The engine as it is now."""
        self.gauges["num_requests_running"].set(stats.num_running)
        self.gauges["num_requests_waiting"].set(stats.num_waiting)
        self.gauges["kv_cache_usage_perc"].set(stats.kv_cache_usage)
        self._waiting["capacity"].set(stats.num_waiting)

    def count_ended(self, finish_reason: str) -> None:
        """A completion ended."""
        self._success[finish_reason if finish_reason in self._success else "error"].inc()

    def count_rejection(self, reason: str) -> None:
        """A request was turned away."""
        self._rejections[reason].inc()

    def _tell(self, info: EngineInfo) -> None:
        facts = {"block_size": str(info.block_size), "num_gpu_blocks": str(info.num_blocks), "cache_dtype": info.dtype}
        cache = self._factory.make(Gauge, "cache_config_info", "The KV cache; always 1", (*LABELS, *facts))
        cache.labels(**self._labels, **facts).set(1)
        startup = self._factory.make(Gauge, "startup_seconds", "Seconds of the engine's start by phase", ("phase",))
        for phase, seconds in info.startup_s.items():
            startup.labels(phase=phase).set(seconds)

    def _bound(self, kind: Any, name: str, text: str, **options: Any) -> Any:
        return self._factory.make(kind, name, text, LABELS, **options).labels(**self._labels)

    def _by_value(self, kind: Any, name: str, text: str, label: str, values: Sequence[str]) -> dict[str, Any]:
        family = self._factory.make(kind, name, text, (*LABELS, label))
        return {value: family.labels(**self._labels, **{label: value}) for value in values}


class Metrics:
    """All figures of one server. `prefix` is "pagoda" or "vllm"; `on_...` may be called before a model is there.

    Everything is called in one thread, `render` perhaps from another.
    """

    def __init__(self, prefix: str = "pagoda") -> None:
        self._factory = _Factory(prefix)
        ProcessCollector(registry=self._factory.registry)
        make = self._factory.make
        self._http = make(Counter, "http_requests", "Answers by route and status", ("method", "route", "status"))
        self._http_seconds = make(
            Histogram,
            "http_request_duration_seconds",
            "From a request's head to its answer's end",
            ("route",),
            buckets=LATENCY_BUCKETS,
        )
        self._restarts = make(Counter, "engine_restarts", "Times that the engine's process was started again")
        self._model: _ModelMetrics | None = None
        self._stats = SchedulerStats()
        self._totals = (0,) * len(_ENGINE_COUNTERS)
        self._num_restarts = 0

    def on_loaded(self, info: EngineInfo, model_name: str) -> None:
        """The model is there, and its figures begin; calls after the first, as after a restart, change nothing."""
        if self._model is None:
            self._model = _ModelMetrics(self._factory, info, model_name)
            self._step_tokens = self._model.histograms["iteration_tokens_total"]
            self._generation_tokens = self._model.counters["generation_tokens"]
            self._inter_token_latency = self._model.histograms["inter_token_latency_seconds"]

    def on_step(self, step: StepStats) -> None:
        """The engine made a step."""
        if self._model is None:
            return
        self._count_engine(step.stats, self._model)
        self._stats = step.stats
        if step.num_tokens:
            self._step_tokens.observe(step.num_tokens)

    def on_engine_lost(self, num_restarts: int) -> None:
        """The engine's process was started again, so many times by now; nothing runs. Telling it twice does no harm."""
        if num_restarts > self._num_restarts:
            self._restarts.inc(num_restarts - self._num_restarts)
            self._num_restarts = num_restarts
            self._stats = SchedulerStats()

    def on_tokens(self, num_new_tokens: int, inter_token_latency_s: float | None) -> None:
        """A request got tokens; seconds since it got the ones before, None for the first."""
        if self._model is None or not num_new_tokens:
            return
        self._generation_tokens.inc(num_new_tokens)
        if inter_token_latency_s is not None:
            # Deltas that waited together arrive as one: each of their tokens took its share.
            self._inter_token_latency.observe(inter_token_latency_s / num_new_tokens)

    def on_request_finished(
        self,
        output: RequestOutput,
        num_tokens: int,
        params: SamplingParams,
        finish_reasons: Sequence[str] | None = None,
    ) -> None:
        """A request ended by itself. `output` is its last, `num_tokens` what it generated in all.

        finish_reasons: of all its completions; by default those that `output` still tells.
        """
        reasons = finish_reasons or [completion.finish_reason or "error" for completion in output.outputs]
        self._count_ended(reasons, len(output.prompt_token_ids), output.num_cached_tokens)
        if self._model is None:
            return
        observe = self._model.observe
        observe("request_prompt_tokens", len(output.prompt_token_ids))
        observe("request_generation_tokens", num_tokens)
        observe("request_params_n", params.n)
        observe("request_params_max_tokens", params.max_tokens)
        if output.metrics is not None:
            self._observe_times(output.metrics, num_tokens, self._model)

    def on_request_aborted(self, num_prompt_tokens: int, num_cached_tokens: int = 0) -> None:
        """A request ended because its client left, or with an error: no latency of it says anything."""
        self._count_ended(["abort"], num_prompt_tokens, num_cached_tokens)

    def on_rejection(self, reason: str) -> None:
        """A request was turned away for want of room: one of REJECTION_REASONS."""
        if self._model is not None:
            self._model.count_rejection(reason)

    def on_http(self, method: str, route: str, status: int, duration_s: float) -> None:
        """An answer ended. `route` is the route's template, so that a client cannot make series without end."""
        method = method if method in HTTP_METHODS else "other"
        self._http.labels(method=method, route=route, status=str(status)).inc()
        self._http_seconds.labels(route=route).observe(duration_s)

    def register(self, collector: Any) -> None:
        """Figures of an application's own, on the same page."""
        self._factory.registry.register(collector)

    def render(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        if self._model is not None:
            self._model.set_gauges(self._stats)
        return generate_latest(self._factory.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _count_engine(self, now: SchedulerStats, model: _ModelMetrics) -> None:
        """The engine counts from its own start; what is new since the last step is added."""
        totals = tuple(getattr(now, name) for name in _ENGINE_COUNTERS)
        if totals == self._totals:
            return
        for name, total, before in zip(_ENGINE_COUNTERS, totals, self._totals, strict=True):
            # An engine that was started again counts from 0, and all of that is new.
            model.counters[name].inc(total - before if total >= before else total)
        self._totals = totals

    def _count_ended(self, reasons: Sequence[str], num_prompt_tokens: int, num_cached_tokens: int) -> None:
        if self._model is None:
            return
        for reason in reasons:
            self._model.count_ended(reason)
        self._model.counters["prompt_tokens"].inc(num_prompt_tokens)
        self._model.counters["prompt_tokens_cached"].inc(num_cached_tokens)

    def _observe_times(self, times: RequestMetrics, num_tokens: int, model: _ModelMetrics) -> None:
        model.observe("request_num_preemptions", times.num_preemptions)
        model.observe("e2e_request_latency_seconds", times.e2e_latency_s)
        model.observe("time_to_first_token_seconds", times.time_to_first_token_s)
        model.observe("request_queue_time_seconds", times.time_in_queue_s)
        first, last, began = times.first_token_time, times.last_token_time, times.first_scheduled_time
        if first is None or last is None or began is None:
            return
        model.observe("request_prefill_time_seconds", first - began)
        model.observe("request_decode_time_seconds", last - first)
        model.observe("request_inference_time_seconds", last - began)
        if num_tokens > 1:
            model.observe("request_time_per_output_token_seconds", (last - first) / (num_tokens - 1))
