"""`pagoda bench roofline`: the work of a step counted by hand, and a report whose lines agree with one another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from pagoda.cli.bench import roofline
from pagoda.cli.bench.step_work import StepWork, work_of
from pagoda.models.config import ModelConfig
from pagoda.models.families.experts import ExpertsConfig

CONTEXT = 256
MATRICES, HEAD, NORMS = 2 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16), 10 * 8, 5 * 8
Invoke = Callable[..., Result]


@pytest.fixture(scope="session")
def checkpoint(cli_checkpoint: Callable[[int], str]) -> str:
    return cli_checkpoint(CONTEXT)


def config_with(**changes: Any) -> ModelConfig:
    config = ModelConfig(
        vocab_size=10, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4, max_position_embeddings=64, tie_word_embeddings=True,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


# --- the work of a step -------------------------------------------------------------------------------------------


def test_a_decode_step_reads_the_weights_once_and_each_rows_keys_and_values() -> None:
    work = work_of(config_with(), 4, rows=3, depth=5)
    kv_bytes_per_token = 2 * 2 * 1 * 4 * 4  # keys and values, layers, heads, size, bytes
    assert work.bytes_read == 4 * (MATRICES + HEAD + NORMS) + 3 * 5 * kv_bytes_per_token
    scores_and_sums = 3 * 2 * (4 * 2 * 4 * 6)  # rows, layers; both products of two heads over six positions
    assert work.flops == 2 * 3 * (MATRICES + HEAD) + scores_and_sums


def test_a_prompt_asks_for_one_row_of_logits_and_each_token_sees_those_before_it() -> None:
    work = work_of(config_with(), 2, rows=1, new_tokens=7)
    assert work.bytes_read == 2 * (MATRICES + HEAD + NORMS)
    assert work.flops == 2 * 7 * MATRICES + 2 * HEAD + 2 * (4 * 2 * 4) * (1 + 2 + 3 + 4 + 5 + 6 + 7)


def test_an_embedding_that_is_no_head_is_not_read() -> None:
    tied, untied = (work_of(config_with(tie_word_embeddings=tie), 4, rows=1) for tie in (True, False))
    assert tied == untied


def test_a_window_bounds_what_a_row_sees() -> None:
    full = work_of(config_with(), 4, rows=1, depth=40)
    sliding = config_with(sliding_window=16, layer_types=("full_attention", "sliding_attention"))
    half = work_of(sliding, 4, rows=1, depth=40)
    assert full.bytes_read - half.bytes_read == (40 - 16) * 2 * 4 * 4
    assert full.flops - half.flops == (41 - 16) * 4 * 2 * 4


def test_experts_that_a_token_is_not_sent_to_are_neither_read_nor_computed(mixture: ModelConfig) -> None:
    experts = mixture.experts
    assert experts is not None
    idle = (experts.num_experts - experts.num_experts_per_tok) * 3 * 8 * 16 * 2
    everything = 4 * mixture.num_parameters
    assert work_of(mixture, 4, rows=1).bytes_read == everything - 4 * idle


@pytest.fixture
def mixture() -> ModelConfig:
    experts = ExpertsConfig(
        num_experts=4, num_experts_per_tok=1, intermediate_size=16, norm_topk_prob=True,
        shared_intermediate_size=None, sparse_layers=(True, True),
    )  # fmt: skip
    return config_with(experts=experts)


def test_the_limit_is_that_of_the_scarcer_resource() -> None:
    work = StepWork(bytes_read=100, flops=1000)
    assert work.seconds_at(bytes_per_s=10, flops_per_s=1000) == 10
    assert work.seconds_at(bytes_per_s=1000, flops_per_s=10) == 100


# --- where the time goes ------------------------------------------------------------------------------------------


def test_the_executors_watch_counts_its_own_time_and_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.5])
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: next(clock))
    executor = SimpleNamespace(execute=lambda plan, rows: (plan, rows))
    llm: Any = SimpleNamespace(llm_engine=SimpleNamespace(core=SimpleNamespace(executor=executor)))
    with roofline.timed_executor(llm) as seconds:
        assert llm.llm_engine.core.executor.execute("plan", "rows") == ("plan", "rows")
        assert seconds() == 2.5
    assert llm.llm_engine.core.executor is executor


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def report(invoke: Invoke, checkpoint: str) -> dict[str, Any]:
    arguments = ("-m", checkpoint, "--max-num-seqs", "4", "--depth", "20", "--steps", "3", "--json")
    result = invoke("bench", "roofline", *arguments)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_roofline_times_the_rows_that_run_at_once_and_a_prompt_within_the_context(report: dict[str, Any]) -> None:
    assert [line["name"] for line in report["steps"]] == ["1 row", "4 rows", f"prompt of {CONTEXT - 1}"]
    assert report["timed"] == {"depth": 20, "steps": 3, "prompt_len": CONTEXT - 1}


def test_roofline_holds_each_step_against_its_work(report: dict[str, Any]) -> None:
    limits = report["limits"]
    peak = limits["flops_per_s"][report["machine"]["dtype"]]
    for line in report["steps"]:
        work = StepWork(line["bytes_read"], line["flops"])
        assert line["limit_ms"] == pytest.approx(1e3 * work.seconds_at(limits["bytes_per_s"], peak))
        assert line["share"] == pytest.approx(line["limit_ms"] / line["step_ms"])
        assert 0 < line["executor_ms"] <= line["step_ms"]
        memory_is_scarcer = work.bytes_read / limits["bytes_per_s"] > work.flops / peak
        assert line["limited_by"] == ("memory" if memory_is_scarcer else "cores")
    one, four, _ = report["steps"]
    assert one["bytes_read"] < four["bytes_read"] < 4 * one["bytes_read"]


def test_roofline_fits_a_terminal_of_80_columns(invoke: Invoke, checkpoint: str) -> None:
    shown = invoke("bench", "roofline", "-m", checkpoint, "--max-num-seqs", "1", "--depth", "4", "--steps", "1").stdout
    lines = [line for line in shown.splitlines() if line.startswith(("a step with", "1 row", "prompt of"))]
    assert len(lines) == 3
    assert all(line.rstrip().endswith(("the", "memory", "cores")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--depth", "250"), f"max_model_len is {CONTEXT}"),
        (("--steps", "0"), "steps is 0, but at least 1"),
        (("--depth", "100", "--kv-cache-memory-bytes", "8192"), "KV"),
    ],
)
def test_roofline_refuses_what_cannot_be_timed(
    invoke: Invoke, checkpoint: str, arguments: tuple[str, ...], told: str
) -> None:
    result = invoke("bench", "roofline", "-m", checkpoint, "--max-num-seqs", "1", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_roofline_says_what_its_options_are(invoke: Invoke) -> None:
    shown = invoke("bench", "roofline", "--help").stdout
    assert "How near to this machine's limits" in shown
    assert all(option in shown for option in ("--depth", "--steps", "--prompt-len", "--kernels"))
