"""benchmarks/peers.py: both files of a model hold the same bits, engines are asked in turn, and figures add up."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.llm import LLM
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.sampling_params import SamplingParams
from patience import until

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # they are scripts, which import what lies beside them

answering = importlib.import_module("rivals.answering")
catalogue = importlib.import_module("rivals.catalogue")
comparison = importlib.import_module("rivals.comparison")
llama_cpp = importlib.import_module("rivals.llama_cpp")
measures = importlib.import_module("rivals.measures")
pagoda_peer = importlib.import_module("rivals.pagoda_peer")
peers = importlib.import_module("peers")
process = importlib.import_module("rivals.process")
report = importlib.import_module("rivals.report")
weights = importlib.import_module("rivals.weights")
workload = importlib.import_module("rivals.workload")

TINY = ModelConfig(
    vocab_size=8192, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=512, tie_word_embeddings=True, dtype="bfloat16",
)  # fmt: skip
ECHO = """
import os, sys
from rivals.answering import serve
class Echo:
    def prefill(self, tokens): return {"seconds": float(tokens)}
    def fill(self, rows, depth, steps): sys.exit("the cache is full")
def load():
    print("a line of the engine's own")
    return Echo(), "echo"
serve(load)
"""


# --- the weights --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn model R, and G, which was read from R's GGUF file."""
    folder = tmp_path_factory.mktemp("models")
    weights.write_random(folder, "R", TINY, seed=3)
    weights.write_from_gguf(weights.file_of(folder, "R"), folder, "G")
    return folder


def _parameters(checkpoint: Path) -> dict[str, torch.Tensor]:
    config = load_config(checkpoint)
    model = LlamaForCausalLM(config, ReferenceKernels()).to(torch.bfloat16)
    load_weights(model, checkpoint, dtype=torch.bfloat16)
    return dict(model.named_parameters())


@pytest.mark.parametrize("shape", ["R", "G"])
def test_the_folder_and_the_file_of_a_model_hold_the_same_bits(models: Path, shape: str) -> None:
    folder, file = (_parameters(form(models, shape)) for form in (weights.folder_of, weights.file_of))
    assert folder.keys() == file.keys()
    assert all(torch.equal(folder[name], file[name]) for name in folder)
    assert len({float(parameter.detach().float().std()) for parameter in folder.values()}) > 10, "nothing was drawn"


def test_a_model_that_was_read_is_the_one_that_was_written(models: Path) -> None:
    drawn, read = (_parameters(weights.folder_of(models, shape)) for shape in "RG")
    assert all(torch.equal(drawn[name], read[name]) for name in drawn)


def test_contexts_are_long_enough_for_every_measure(models: Path) -> None:
    deepest = max(measure.depth for measure in measures.all_measures({}).values())
    for form in (weights.folder_of, weights.file_of):
        assert load_config(form(models, "G")).max_position_embeddings > deepest


# --- the requests -------------------------------------------------------------------------------------------------


def test_drawn_lists_repeat_and_lie_within_their_bounds() -> None:
    lists = workload.drawn_lists()
    assert lists == workload.drawn_lists() != workload.drawn_lists(seed=1)
    assert {name: len(requests) for name, requests in lists.items()} == {"b8": 8, "b32": 32}
    assert all(32 <= one.prompt_len <= 256 and 16 <= one.output_len <= 256 for one in lists["b32"])


def test_requests_differ_from_their_first_token_on_and_fit_every_vocabulary() -> None:
    prompts = [request.tokens() for request in workload.drawn_lists()["b32"]]
    assert len({prompt[0] for prompt in prompts}) == 32
    assert all(100 <= token < 7100 for prompt in prompts for token in prompt)


def test_lists_are_read_from_a_file(tmp_path: Path) -> None:
    rows = [{"prompt_len": 5, "output_len": 7}, {"prompt_len": 6, "output_len": 8}]
    (tmp_path / "lists.json").write_text(json.dumps({"seed": 1, "two": rows}))
    assert workload.read_lists(tmp_path / "lists.json") == {
        "two": [workload.Request(0, 5, 7), workload.Request(1, 6, 8)]
    }


# --- measures -----------------------------------------------------------------------------------------------------


def test_a_measures_limit_is_its_tokens_over_the_time_of_its_steps() -> None:
    decode = measures.decode("decode", rows=4, depth=10, steps=5)
    assert (decode.setup(rounds=3), decode.question, decode.tokens) == ("fill 4 10 20", "more 5", 20)
    work = measures.work_of(TINY, 2, rows=4, depth=10)
    assert decode.limit(TINY, "bfloat16", bandwidth=1e3, peak=1e30) == pytest.approx(4 * 1e3 / work.bytes_read)
    assert decode.limit(TINY, "bfloat16", bandwidth=1e30, peak=1e3) == pytest.approx(4 * 1e3 / work.flops)


def test_a_list_has_no_limit_and_counts_output_tokens() -> None:
    listed = measures.whole_list("b2", [workload.Request(0, 3, 4), workload.Request(1, 5, 6)])
    assert (listed.question, listed.tokens) == ("requests 3 4 5 6", 10)
    assert listed.setup(rounds=2) is listed.limit(TINY, "bfloat16", 1.0, 1.0) is None


# --- processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Any]:
    """An engine that answers at once."""
    command = process.Command([sys.executable, "-c", ECHO], {"PYTHONPATH": str(BENCHMARKS)})
    started = process.PeerProcess("echo", command, tmp_path / "log")
    yield started
    started.close()


def _is_stopped(peer: Any) -> bool:
    return Path(f"/proc/{peer._process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_an_engine_stands_still_until_it_is_asked(echo: Any) -> None:
    assert echo.about == "echo"
    until(lambda: _is_stopped(echo))
    assert echo.ask("prefill 3") == {"seconds": 3.0}
    until(lambda: _is_stopped(echo))
    assert echo.peak_bytes() > 1 << 20
    assert echo.start_s > 0


def test_an_engine_that_ends_is_told_with_its_last_line(echo: Any) -> None:
    with pytest.raises(process.PeerFailedError, match=r"echo ended; its last line .*the cache is full"):
        echo.ask("fill 1 2 3")
    with pytest.raises(process.PeerFailedError, match="echo ended"):
        echo.ask("prefill 3")


def test_closing_ends_the_process(echo: Any) -> None:
    pid = echo._process.pid
    echo.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


STARTER = """
import sys
from pathlib import Path
from rivals.process import Command, PeerProcess
peer = PeerProcess("echo", Command([sys.executable, "-c", sys.argv[1]]), Path(sys.argv[2]))
print(peer._process.pid, flush=True)
sys.stdin.readline()
"""


def test_an_engine_ends_with_whoever_started_it(tmp_path: Path) -> None:
    words = [sys.executable, "-c", STARTER, ECHO, str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    """Whether there is such a process that nobody has only to bury."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_an_engine_that_cannot_start_is_told(tmp_path: Path) -> None:
    command = process.Command([sys.executable, "-c", "raise SystemExit('no such weights')"])
    with pytest.raises(process.PeerFailedError, match="no such weights"):
        process.PeerProcess("broken", command, tmp_path / "log")


def test_an_engine_that_says_what_is_no_answer_is_told(tmp_path: Path) -> None:
    command = process.Command([sys.executable, "-c", "print('welcome')"])
    with pytest.raises(process.PeerFailedError, match="said 'welcome', expected is a line of JSON"):
        process.PeerProcess("chatty", command, tmp_path / "log")


def test_the_first_token_is_timed_from_a_fresh_process(tmp_path: Path) -> None:
    command = process.Command([sys.executable, "-c", ECHO], {"PYTHONPATH": str(BENCHMARKS)})
    assert process.seconds_to_first_token("echo", command, tmp_path / "log") > 0.01


def test_questions_reach_the_engines_methods() -> None:
    heard: list[Any] = []
    engine: Any = SimpleNamespace(
        prefill=lambda *numbers: heard.append(numbers), requests=lambda requests: heard.append(requests)
    )
    answering.answer(engine, "prefill 7\n")
    answering.answer(engine, "requests 3 4 5 6")
    assert heard == [(7,), [workload.Request(0, 3, 4), workload.Request(1, 5, 6)]]
    with pytest.raises(ValueError, match="asked 'sing 1', expected one of prefill"):
        answering.answer(engine, "sing 1\n")


# --- pagoda as one of them ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pagoda(models: Path) -> Any:
    settings = {"skip_tokenizer_init": True, "enable_prefix_caching": False, "disable_log_stats": True}
    llm = LLM(
        weights.folder_of(models, "R"), dtype="float32", max_model_len=256, num_gpu_blocks_override=64, **settings
    )
    return pagoda_peer.Pagoda(llm)


@pytest.fixture
def counted(pagoda: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Tokens computed and tokens chosen, of each step."""
    core, steps = pagoda._engine.core, []
    execute = core.executor.execute

    def noting(plan: Any, rows: Any) -> Any:
        steps.append((plan.total_num_scheduled_tokens, len(rows.samples)))
        return execute(plan, rows)

    monkeypatch.setattr(core.executor, "execute", noting)
    return steps


def test_a_prompt_is_one_step_and_a_row_gets_a_token_each_step(pagoda: Any, counted: list[tuple[int, int]]) -> None:
    answer = pagoda.prefill(40)
    assert counted == [(40, 1)]
    assert 0 < answer["network_s"] <= answer["executor_s"] <= answer["seconds"]
    assert pagoda.fill(3, 10, 8) == {}
    counted.clear()
    pagoda.more(5)
    assert counted == [(3, 3)] * 5


def test_a_list_is_computed_whole_and_rows_before_it_are_gone(pagoda: Any, counted: list[tuple[int, int]]) -> None:
    pagoda.fill(2, 10, 50)
    counted.clear()
    pagoda.requests([workload.Request(0, 8, 3), workload.Request(1, 4, 5)])
    assert counted == [(12, 2), (2, 2), (2, 2), (1, 1), (1, 1)]


def test_the_continuation_is_what_the_engine_generates(pagoda: Any) -> None:
    engine, prompt = pagoda._engine, workload.Request(0, 20, 6).tokens()
    params = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True, detokenize=False)
    engine.add_request("own", {"prompt_token_ids": prompt}, params)
    while engine.has_unfinished_requests():
        (output,) = engine.step()
    assert pagoda.continuation(20, 6)["tokens"] == list(output.outputs[0].token_ids)


# --- the comparison -----------------------------------------------------------------------------------------------

LIMITS = comparison.Limits(bandwidth=1e9, peak=1e12)


class ScriptedPeer:
    """Takes the seconds that it is given, one after the other, and notes when it was asked."""

    def __init__(self, name: str, seconds: list[float], heard: list[tuple[str, str]]) -> None:
        self.name, self._seconds, self._heard = name, iter(seconds), heard

    def ask(self, question: str) -> dict[str, float]:
        self._heard.append((self.name, question))
        seconds = next(self._seconds, None)
        if seconds is None:
            raise process.PeerFailedError(f"{self.name} ended")
        return {"seconds": seconds, "network_s": seconds / 2}


@pytest.fixture
def compared() -> Callable[..., tuple[Any, list[tuple[str, str]], list[str]]]:
    """`compared(measure, rounds, pagoda=[…], other=[…])`: samples, what was asked, what was said."""

    def run(measure: Any, rounds: int, **seconds: list[float]) -> tuple[Any, list[tuple[str, str]], list[str]]:
        heard: list[tuple[str, str]] = []
        said: list[str] = []
        peers = [ScriptedPeer(name, given, heard) for name, given in seconds.items()]
        return comparison.Comparison(peers, rounds, lambda: LIMITS, said.append).measure(measure), heard, said

    return run


def test_every_round_asks_every_engine_in_an_order_that_rotates(compared: Any) -> None:
    samples, heard, _ = compared(measures.prefill(8), 3, pagoda=[9, 1, 1, 1], other=[9, 2, 2, 2])
    assert [name for name, _ in heard] == ["pagoda", "other", "pagoda", "other", "other", "pagoda", "pagoda", "other"]
    assert [sample.rate for sample in samples["other"]] == [4, 4, 4], "the one to warm up does not count"


def test_caches_are_filled_once_and_a_list_is_not_run_to_warm_up(compared: Any) -> None:
    _, heard, _ = compared(measures.decode("d", 2, 5, 3), 2, pagoda=[9, 9, 1, 1])
    assert [question for _, question in heard] == ["fill 2 5 9", "more 3", "more 3", "more 3"]
    _, heard, _ = compared(measures.whole_list("b1", [workload.Request(0, 1, 2)]), 2, pagoda=[1, 1])
    assert [question for _, question in heard] == ["requests 1 2"] * 2


def test_what_takes_minutes_is_asked_in_fewer_rounds(compared: Any) -> None:
    samples, _, _ = compared(measures.whole_list("b1", [workload.Request(0, 1, 2)]), 50, pagoda=[1] * 50)
    assert len(samples["pagoda"]) == 3


def test_the_ratio_is_the_median_of_the_rounds_own_ratios(compared: Any) -> None:
    samples, _, _ = compared(measures.prefill(8), 3, pagoda=[9, 1, 2, 4], other=[9, 2, 2, 12])
    assert comparison.median_ratio(samples["pagoda"], samples["other"]) == 2.0
    assert comparison.median_rate(samples["pagoda"]) == 4.0


def test_an_engine_that_fails_is_told_and_left_out_from_then_on(compared: Any) -> None:
    samples, heard, said = compared(measures.prefill(8), 3, pagoda=[9, 1, 1, 1], other=[9, 2])
    assert list(samples) == ["pagoda"]
    assert said == ["other ended, asked 'prefill 8'"]
    assert [name for name, _ in heard].count("other") == 3


# --- the report ---------------------------------------------------------------------------------------------------


def _samples(*rates: float) -> list[Any]:
    return [comparison.Sample(rate, LIMITS, {"network_s": 1 / rate}) for rate in rates]


def test_a_row_holds_the_figure_against_pagoda_and_against_the_limit() -> None:
    measure = measures.decode("decode", rows=1, depth=4, steps=2)
    limit = measure.limit(TINY, "bfloat16", LIMITS.bandwidth, LIMITS.peak)
    samples = {"pagoda": _samples(limit / 2), "other": _samples(limit / 8)}
    ours, theirs = report.rows_of("R", measure, samples, TINY, "bfloat16")
    assert (ours.share, theirs.share, theirs.ratio) == pytest.approx((0.5, 0.125, 4.0))
    assert str(theirs).startswith("| R | decode | other |")
    assert "| x 4.00 | 12 % | 1.0 | 1000 |" in str(theirs)
    assert "| x" not in str(ours)


def test_without_pagoda_there_is_no_ratio() -> None:
    (row,) = report.rows_of("R", measures.prefill(4), {"other": _samples(5.0)}, TINY, "bfloat16")
    assert row.ratio is None
    assert row.told == {"network_s": 0.2}


def test_the_picture_has_a_panel_for_each_measure(tmp_path: Path) -> None:
    rows = [
        row
        for measure in (measures.prefill(4), measures.decode("d", 1, 4, 2))
        for row in report.rows_of("R", measure, {"pagoda": _samples(5.0), "x": _samples(4.0)}, TINY, "bfloat16")
    ]
    report.draw(rows, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").read_bytes().startswith(b"\x89PNG")


# --- where engines are looked for, and the whole ------------------------------------------------------------------


def _arguments(models: Path, *given: str) -> Any:
    return peers._parser().parse_args(
        ["compare", "--models", str(models), "--pagoda-kernels", "torch-reference", *given]
    )


def test_an_engine_that_is_not_there_is_told_with_what_is_missing(models: Path, tmp_path: Path) -> None:
    subject = catalogue.Subject("R", models, "bfloat16", 1)
    for name, given, told in [
        ("llama.cpp", (), "--llama-cpp is not given"),
        ("vllm", (), "--vllm-python is not given"),
        ("llama.cpp", ("--llama-cpp", str(tmp_path)), "has no include/llama.h"),
        ("lama", (), "'lama' is no engine"),
    ]:
        with pytest.raises(catalogue.PeerAbsentError, match=told):
            catalogue.command_for(name, _arguments(models, *given), subject)
    missing = catalogue.Subject("X", models, "bfloat16", 1)
    with pytest.raises(catalogue.PeerAbsentError, match=r"X-bf16\.gguf is not there"):
        catalogue.command_for("llama.cpp", _arguments(models, "--llama-cpp", str(tmp_path)), missing)


def test_other_kernels_are_named_behind_pagoda(models: Path) -> None:
    command = catalogue.command_for("pagoda:native", _arguments(models), catalogue.Subject("R", models, "float32", 2))
    words = list(command.words)
    assert words[words.index("--kernels") + 1] == "native"
    assert words[words.index("--dtype") + 1] == "float32"


def test_the_whole_comparison_writes_figures_table_and_picture(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--shapes", "R", "--peers", "pagoda,pagoda:torch-reference-tiled,vllm", "--rounds", "1", "--threads", "1")
    arguments = _arguments(models, *given, "--only", "prefill,start,memory", "--out", str(tmp_path / "out"))
    before = torch.get_num_threads()
    try:
        peers.compare(arguments)
    finally:
        torch.set_num_threads(before)
    shown = capsys.readouterr().out
    assert "R: without vllm: --vllm-python is not given" in shown
    figures = json.loads((tmp_path / "out" / "peers.json").read_text())
    assert {(row["measure"], row["engine"]) for row in figures["speeds"]} == {
        ("prefill512", "pagoda"), ("prefill512", "pagoda:torch-reference-tiled"),
    }  # fmt: skip
    assert [fact["name"] for fact in figures["facts"]] == ["memory", "memory", "start", "start"]
    assert figures["threads"] == 1
    assert "python " in figures["where"]
    assert (tmp_path / "out" / "peers.md").read_text().count("\n| R |") == 6
    assert (tmp_path / "out" / "peers.png").exists()
