"""`pagoda plan --devices` and `pagoda simulate` in this process: what they print, and what they refuse by name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from pagoda.planning import machine
from pagoda.planning.devices import DeviceTable
from patience import HANG_S

Invoke = Callable[..., Result]
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(LLAMA_8B))
    return str(tmp_path / "model")


def test_plan_finds_the_cheapest_layout_and_its_command(invoke: Invoke, model: str) -> None:
    arguments = ("plan", model, "--devices", "4xH100-80GB", "--target-tpot", "10", "--target-throughput", "2000")
    plan = json.loads(invoke(*arguments, "--json").stdout)["devices"]
    assert plan["device"] == "H100-80GB"
    chosen = plan["chosen"]
    assert chosen["tpot_ms"] <= 10
    assert chosen["output_tokens_per_s"] >= 2000
    fewest = min(each["replicas"] * each["tensor_parallel_size"] * each["pipeline_parallel_size"]
                 for each in plan["layouts"])  # fmt: skip
    assert chosen["replicas"] * chosen["tensor_parallel_size"] * chosen["pipeline_parallel_size"] == fewest
    text = invoke(*arguments).stdout
    assert f"cheapest that meets the target: {chosen['format']}" in text
    assert plan["command"] in text
    assert plan["command"].startswith(f"pagoda serve {model} --dtype bfloat16")


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("small", ["--quantization int8"]),
        ("medium", ["--tensor-parallel-size 2"]),
        ("large", ["--tensor-parallel-size 4", "--pipeline-parallel-size 2"]),
    ],
)
def test_presets_are_ready_made_layouts(invoke: Invoke, model: str, preset: str, words: Sequence[str]) -> None:
    command = json.loads(invoke("plan", model, "--devices", "H100-80GB", "--preset", preset, "--json").stdout)
    assert all(word in command["devices"]["command"] for word in words)


def test_plan_takes_as_many_at_once_as_asked(invoke: Invoke, model: str) -> None:
    arguments = ("plan", model, "--devices", "H200-141GB", "--input-len", "16", "--output-len", "16", "--json")
    chosen = json.loads(invoke(*arguments, "--concurrency", "600").stdout)["devices"]["chosen"]
    assert chosen["concurrency"] == 600


def test_plan_says_whose_efficiency_it_takes_and_what_does_not_fit(invoke: Invoke, model: str) -> None:
    assert "efficiencies are those of H100-80GB" in invoke("plan", model, "--devices", "L4-24GB").stdout
    nothing = invoke("plan", model, "--devices", "L4-24GB", "--target-tpot", "1")
    assert "nothing fits and meets the target: ask for less" in nothing.stdout
    assert nothing.exit_code == 1


def test_plan_and_simulate_speak_chinese(invoke: Invoke, model: str) -> None:
    arguments = (model, "--devices", "2xL4-24GB")
    text = invoke("--lang", "zh", "plan", *arguments).stdout
    assert all(words in text for words in ("个参数", "权重", "未经测量", "每秒 token 最多的布局", "pagoda serve"))
    text = invoke("--lang", "zh", "plan", model, "--devices", "L4-24GB", "--target-tpot", "1").stdout
    assert "没有既放得下又达到目标的布局" in text
    text = invoke("--lang", "zh", "simulate", *arguments, "--num-requests", "5", "--format", "int8").stdout
    assert "2 个副本" in text


def test_plan_divides_this_machine_over_ranks(invoke: Invoke, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = DeviceTable.load()
    whole = replace(table.device("H100-80GB"), name="cpu (2 cores)")
    monkeypatch.setattr(machine, "measured_machine", lambda: (whole, table.program("vllm")))
    plan = json.loads(invoke("plan", model, "--devices", "2xCPU", "--json").stdout)["devices"]
    assert (plan["device"], plan["count"]) == ("1/2 of cpu (2 cores)", 2)
    assert {each["tensor_parallel_size"] for each in plan["layouts"]} == {1, 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--devices", "8xTPU-v9"), "device 'TPU-v9' is not known: give one of cpu, H100-80GB"),
        (("--target-ttft", "100"), "target_ttft without devices"),
        (("--devices", "H100-80GB", "--formats", "fp8"), "read and widened, not kept"),
        (("--devices", "H100-80GB", "--preset", "huge"), "preset 'huge' is not known"),
        (("--devices", "2xH100-80GB", "--preset", "large"), "the preset large is 4 ranks by 2 stages"),
        (("--devices", "H100-80GB", "--input-len", "0"), "input_len is 0"),
        (("--devices", "H100-80GB", "--input-len", "200000"), "but the context has 131072"),
        (("--devices", "1xH100-80GB", "--preset", "large"), "which 1 devices"),
        (("--devices", "H100-80GB", "--concurrency", "3000"), "concurrency is 3000"),
        (("--devices", "H100-80GB", "--device-table", "none.json"), "cannot read the table of devices none.json"),
    ],
)
def test_plan_refuses_what_it_cannot_answer(invoke: Invoke, model: str, arguments: Sequence[str], words: str) -> None:
    result = invoke("plan", model, *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_planning_and_simulating_import_no_torch(model: str) -> None:
    script = (
        "import sys\nfrom pagoda.cli.app import run\n"
        f"run(['plan', {model!r}, '--devices', '2xH100-80GB'])\n"
        f"run(['simulate', {model!r}, '--devices', 'H100-80GB', '--num-requests', '5'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_S, capture_output=True)


def test_simulate_prints_the_same_figures_each_time(invoke: Invoke, model: str) -> None:
    arguments = ("simulate", model, "--devices", "4xH100-80GB", "--num-requests", "60", "--rate", "20", "--json",
                 "--routing", "least-loaded", "--goodput", "ttft:500", "--input-len", "lognormal:300")  # fmt: skip
    first, second = (invoke(*arguments) for _ in range(2))
    assert first.stdout == second.stdout
    figures = json.loads(first.stdout)
    assert figures["completed"] == 60
    assert 0 < figures["request_goodput"] <= figures["request_throughput"]
    assert 0 < figures["p50_ttft_ms"] < figures["p99_e2el_ms"]


def test_simulate_reads_a_trace_and_writes_one_page_without_links(invoke: Invoke, model: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    names = [[0, 1], [0, 1, 2], [0, 5]]
    lines = (
        {"timestamp": 400 * place, "input_length": 512 * len(each) - 12, "output_length": 20, "hash_ids": each}
        for place, each in enumerate(names)
    )
    trace.write_text("\n".join(map(json.dumps, lines)))
    page = tmp_path / "page.html"
    result = invoke("simulate", model, "--devices", "2xH100-80GB", "--trace", str(trace), "--html", str(page),
                    "--routing", "prefix-affinity", "--json")  # fmt: skip
    assert json.loads(result.stdout)["prefix_cache_hit_rate"] > 0.3
    text = page.read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert "/*DATA*/" not in text
    data = json.loads(text.split("const data = ")[1].split(";\n")[0].replace("<\\/", "</"))
    assert len(data["requests"]) == 3
    assert len(data["replicas"]) == 2
    assert all(0 <= share <= 1 for bins in data["replicas"] for *_, share in bins)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "devices is missing"),
        (("--devices", "H100-80GB", "--routing", "random"), "routing 'random' is not known"),
        (("--devices", "H100-80GB", "--replicas", "2"), "2 replicas of 1 devices each"),
        (("--devices", "H100-80GB", "--tensor-parallel-size", "0"), "tensor_parallel_size is 0"),
        (("--devices", "8xH100-80GB", "--tensor-parallel-size", "3"), "32 attention heads with 8 KV heads divide over"),
        (("--devices", "H100-80GB", "--block-size", "0"), "block_size is 0"),
        (("--devices", "H100-80GB", "--max-model-len", "0"), "max_model_len is 0"),
        (("--devices", "H100-80GB", "--max-model-len", "200000"), "context holds 1 to 131072"),
        (("--devices", "H100-80GB", "--speed", "2"), "speed is of a trace, and none is given"),
        (
            ("--devices", "H100-80GB", "--trace", "none.csv", "--rate", "2"),
            "rate is of drawn loads, and trace is given",
        ),
        (("--devices", "H100-80GB", "--num-requests", "0"), "num_requests is 0"),
        (("--devices", "H100-80GB", "--trace", "none.csv"), "cannot read the trace none.csv"),
        (("--devices", "L4-24GB", "--format", "float32"), "leave no room for a KV cache"),
    ],
)
def test_simulate_refuses_what_it_cannot_do(invoke: Invoke, model: str, arguments: Sequence[str], words: str) -> None:
    result = invoke("simulate", model, *arguments)
    assert result.exit_code != 0
    assert words in " ".join(result.stderr.split())
