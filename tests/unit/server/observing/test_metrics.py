"""The figures of `/metrics`: names and labels are vLLM's, and what is counted is what happened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pagoda.engine.outputs import CompletionOutput, RequestMetrics, RequestOutput
from pagoda.engine.process.messages import EngineInfo, StepStats
from pagoda.engine.scheduling.plan import SchedulerStats
from pagoda.opinions.watching.running import WatchTotals
from pagoda.sampling_params import SamplingParams
from pagoda.server.applications.opinions_service import OpinionMetrics
from pagoda.server.observing.metrics import COUNTERS, FINISH_REASONS, FIRST_TOKEN_BUCKETS, GAUGES, HISTOGRAMS, Metrics
from patience import HANG_S

DOCUMENT = Path(__file__).parents[4] / "docs" / "metrics.md"
LABELS = {"model_name": "tiny", "engine": "0"}
INFO = EngineInfo(
    model="tiny",
    path="tiny",
    max_model_len=64,
    vocab_size=100,
    hidden_size=8,
    num_parameters=1000,
    dtype="bfloat16",
    device="cpu",
    kernels="reference",
    block_size=16,
    num_blocks=40,
    max_num_seqs=4,
    max_logprobs=20,
    eos_token_ids=(2,),
    default_sampling_params={},
    startup_s={"load weights": 1.5, "warm up": 0.5},
    pid=1,
)
VLLM_NAMES = {
    *("num_requests_running", "num_requests_waiting", "num_requests_waiting_by_reason", "kv_cache_usage_perc"),
    *("cache_config_info", "prompt_tokens", "prompt_tokens_cached", "generation_tokens", "request_success"),
    *("num_preemptions", "prefix_cache_queries", "prefix_cache_hits", "admission_rejections"),
    *("spec_decode_num_drafts", "spec_decode_num_draft_tokens", "spec_decode_num_accepted_tokens"),
    *("time_to_first_token_seconds", "inter_token_latency_seconds", "request_time_per_output_token_seconds"),
    *("e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds"),
    *("request_decode_time_seconds", "request_inference_time_seconds", "request_prompt_tokens"),
    *("request_generation_tokens", "request_params_n", "request_params_max_tokens", "iteration_tokens_total"),
    "request_num_preemptions",
}


def values(metrics: Metrics) -> dict[str, float]:
    """`name{a="b",...}`, labels sorted and without model and engine, -> value; without histogram buckets."""
    found = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            shown = {key: value for key, value in sorted(sample.labels.items()) if key not in LABELS}
            name = sample.name.split(":")[-1]
            found[name + (str(shown) if shown else "")] = sample.value
    return found


def families(metrics: Metrics) -> set[str]:
    found = {family.name for family in text_string_to_metric_families(metrics.render()[0].decode())}
    return {name.split(":")[1] for name in found if ":" in name and not name.endswith("_created")}


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.on_loaded(INFO, "tiny")
    return metrics


def finished(times: RequestMetrics | None = None, reasons: tuple[str, ...] = ("stop",)) -> RequestOutput:
    return RequestOutput(
        request_id="r",
        prompt=None,
        prompt_token_ids=range(10),
        prompt_logprobs=None,
        outputs=tuple(CompletionOutput(i, "", (), finish_reason=reason) for i, reason in enumerate(reasons)),
        finished=True,
        metrics=times,
        num_cached_tokens=4,
    )


def test_every_name_of_vllms_is_there(metrics: Metrics) -> None:
    assert families(metrics) >= VLLM_NAMES


def test_the_prefix_is_the_operators_choice() -> None:
    metrics = Metrics("vllm")
    metrics.on_loaded(INFO, "tiny")
    page = metrics.render()[0].decode()
    assert 'vllm:num_requests_running{engine="0",model_name="tiny"} 0.0' in page
    assert "pagoda:" not in page


def test_whatever_is_about_the_model_carries_its_name_and_the_engine(metrics: Metrics) -> None:
    about_model = {*GAUGES, *COUNTERS, *HISTOGRAMS, "request_success", "admission_rejections"}
    seen = set()
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        name = family.name.removeprefix("pagoda:")
        if name in about_model:
            seen.add(name)
            assert all(sample.labels.items() >= LABELS.items() for sample in family.samples), name
    assert seen == about_model


def test_the_first_token_has_vllms_buckets() -> None:
    assert FIRST_TOKEN_BUCKETS[0] == 0.001
    assert FIRST_TOKEN_BUCKETS[-1] == 2560.0
    assert len(FIRST_TOKEN_BUCKETS) == 22


def test_buckets_rise() -> None:
    for name, (_, buckets) in HISTOGRAMS.items():
        assert list(buckets) == sorted(set(buckets)), name


def test_a_step_shows_in_gauges_and_counters(metrics: Metrics) -> None:
    metrics.on_step(StepStats(SchedulerStats(3, 2, 0.25, 1, 100, 60, 17, 4, 12, 7), 17))
    found = values(metrics)
    assert found["num_requests_running"] == 3
    assert found["num_requests_waiting"] == 2
    assert found["num_requests_waiting_by_reason{'reason': 'capacity'}"] == 2
    assert found["kv_cache_usage_perc"] == 0.25
    assert found["num_preemptions_total"] == 1
    assert (found["prefix_cache_queries_total"], found["prefix_cache_hits_total"]) == (100, 60)
    proposed = [found[f"spec_decode_num_{name}_total"] for name in ("drafts", "draft_tokens", "accepted_tokens")]
    assert proposed == [4, 12, 7]
    assert (found["iteration_tokens_total_sum"], found["iteration_tokens_total_count"]) == (17, 1)


def test_cumulative_figures_of_the_engine_are_counted_once(metrics: Metrics) -> None:
    for queries in (100, 100, 130):
        metrics.on_step(StepStats(SchedulerStats(prefix_cache_queries=queries), 1))
    assert values(metrics)["prefix_cache_queries_total"] == 130


def test_an_engine_that_starts_again_at_zero_takes_nothing_away(metrics: Metrics) -> None:
    for queries in (100, 30, 50):
        metrics.on_step(StepStats(SchedulerStats(prefix_cache_queries=queries), 1))
    assert values(metrics)["prefix_cache_queries_total"] == 150


def test_an_engine_that_died_holds_nothing_and_its_restart_counts_once(metrics: Metrics) -> None:
    metrics.on_step(StepStats(SchedulerStats(num_running=3), 3))
    metrics.on_engine_lost(1)
    assert values(metrics)["num_requests_running"] == 0
    metrics.on_step(StepStats(SchedulerStats(num_running=2), 3))
    metrics.on_engine_lost(1)
    found = values(metrics)
    assert (found["engine_restarts_total"], found["num_requests_running"]) == (1, 2)


def test_a_step_without_tokens_is_no_iteration(metrics: Metrics) -> None:
    metrics.on_step(StepStats(SchedulerStats(), 0))
    assert values(metrics)["iteration_tokens_total_count"] == 0


def test_deltas_that_arrived_together_share_their_time(metrics: Metrics) -> None:
    metrics.on_tokens(1, None)
    metrics.on_tokens(4, 0.2)
    metrics.on_tokens(0, 0.5)
    found = values(metrics)
    assert found["generation_tokens_total"] == 5
    assert found["inter_token_latency_seconds_count"] == 1
    assert found["inter_token_latency_seconds_sum"] == pytest.approx(0.05)


def test_a_request_is_taken_apart_into_its_phases(metrics: Metrics) -> None:
    times = RequestMetrics(100.0, 101.0, 103.0, 111.0, 111.5, num_preemptions=2)
    metrics.on_request_finished(finished(times), 5, SamplingParams(n=2, max_tokens=8))
    found = values(metrics)
    sums = {name.removesuffix("_sum"): value for name, value in found.items() if name.endswith("_sum") and value}
    assert sums == {
        "request_queue_time_seconds": 1.0,
        "time_to_first_token_seconds": 3.0,
        "request_prefill_time_seconds": 2.0,
        "request_decode_time_seconds": 8.0,
        "request_inference_time_seconds": 10.0,
        "e2e_request_latency_seconds": 11.5,
        "request_time_per_output_token_seconds": 2.0,
        "request_prompt_tokens": 10.0,
        "request_generation_tokens": 5.0,
        "request_params_n": 2.0,
        "request_params_max_tokens": 8.0,
        "request_num_preemptions": 2.0,
    }
    assert (found["prompt_tokens_total"], found["prompt_tokens_cached_total"]) == (10, 4)
    assert found["request_success_total{'finished_reason': 'stop'}"] == 1


def test_a_single_token_has_no_time_per_further_token(metrics: Metrics) -> None:
    metrics.on_request_finished(finished(RequestMetrics(0.0, 1.0, 2.0, 2.0, 2.0)), 1, SamplingParams())
    assert values(metrics)["request_time_per_output_token_seconds_count"] == 0


def test_a_request_that_never_ran_has_no_latencies(metrics: Metrics) -> None:
    metrics.on_request_finished(finished(RequestMetrics(0.0)), 0, SamplingParams())
    metrics.on_request_finished(finished(None), 0, SamplingParams())
    found = values(metrics)
    assert found["e2e_request_latency_seconds_count"] == 0
    assert found["request_success_total{'finished_reason': 'stop'}"] == 2


def test_each_completion_counts_by_its_reason(metrics: Metrics) -> None:
    metrics.on_request_finished(finished(reasons=("length",)), 9, SamplingParams(n=3), ["stop", "stop", "length"])
    metrics.on_request_finished(finished(reasons=("new kind",)), 1, SamplingParams())
    metrics.on_request_aborted(7, 3)
    found = values(metrics)
    counted = [found[f"request_success_total{{'finished_reason': '{reason}'}}"] for reason in FINISH_REASONS]
    assert counted == [2, 1, 1, 1]
    assert found["prompt_tokens_total"] == 10 + 10 + 7


def test_rejections_count_by_reason_from_zero_on(metrics: Metrics) -> None:
    metrics.on_rejection("queue_full")
    found = values(metrics)
    assert found["admission_rejections_total{'reason': 'queue_full'}"] == 1
    assert found["admission_rejections_total{'reason': 'per_key_limit'}"] == 0


def test_http_answers_count_by_route_and_status_and_methods_that_do_not_exist_are_one() -> None:
    metrics = Metrics()
    metrics.on_http("POST", "/v1/completions", 200, 0.5)
    metrics.on_http("BREW", "/v1/completions", 405, 0.1)
    metrics.on_http("PROPFIND", "/v1/completions", 405, 0.1)
    found = values(metrics)
    assert found["http_requests_total{'method': 'POST', 'route': '/v1/completions', 'status': '200'}"] == 1
    assert found["http_requests_total{'method': 'other', 'route': '/v1/completions', 'status': '405'}"] == 2
    assert found["http_request_duration_seconds_count{'route': '/v1/completions'}"] == 3


def test_cache_and_start_up_are_told(metrics: Metrics) -> None:
    found = values(metrics)
    facts = {"block_size": "16", "cache_dtype": "bfloat16", "num_gpu_blocks": "40"}
    assert found[f"cache_config_info{facts}"] == 1
    assert found["startup_seconds{'phase': 'load weights'}"] == 1.5


def test_before_the_model_is_there_everything_may_be_called() -> None:
    metrics = Metrics()
    metrics.on_step(StepStats(SchedulerStats(1), 1))
    metrics.on_tokens(1, 0.1)
    metrics.on_request_finished(finished(), 1, SamplingParams())
    metrics.on_request_aborted(1)
    metrics.on_rejection("queue_full")
    assert "engine_restarts_total" in values(metrics)
    assert "num_requests_running" not in values(metrics)


def test_loading_again_keeps_the_figures(metrics: Metrics) -> None:
    metrics.on_tokens(5, None)
    metrics.on_loaded(INFO, "tiny")
    assert values(metrics)["generation_tokens_total"] == 5


def test_two_servers_count_apart(metrics: Metrics) -> None:
    other = Metrics()
    other.on_loaded(INFO, "tiny")
    metrics.on_tokens(5, None)
    assert values(other)["generation_tokens_total"] == 0


def test_every_name_is_documented_and_nothing_else_is(metrics: Metrics) -> None:
    database = SimpleNamespace(rows=lambda *asked: [(0, 0)])
    monitor = SimpleNamespace(look=lambda ask: ask(database), writer=SimpleNamespace(clock=0))
    watch = SimpleNamespace(totals=WatchTotals(), monitor=monitor)
    metrics.register(OpinionMetrics(SimpleNamespace(running=watch), "pagoda"))  # type: ignore[arg-type]
    documented = re.findall(r"^\| `(\w+)(?:\{[\w, ]*\})?` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    counters = {f"{name}_total" for name in documented if name not in families(metrics)}
    assert not counters, "documented under a name that is not there"
    assert set(documented) == families(metrics)
    assert len(documented) == len(set(documented))


def test_the_module_loads_without_torch() -> None:
    script = (
        "import sys\n"
        "from pagoda.server.observing import access_log, metrics, tracing\n"
        "assert not {'torch', 'opentelemetry'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_S)
