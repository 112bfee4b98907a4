"""The benchmarks measure what they say: traces repeat, accounts of memory add up, and both servers answer alike."""

from __future__ import annotations

import ast
import importlib
import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pagoda
from pagoda.llm import LLM
from pagoda.models.checkpoint.gguf_saving import GGUFDraft
from pagoda.models.checkpoint.loading import load_config, load_tokenizer
from pagoda.models.gguf.block_encoding import type_for
from pagoda.models.quantise.job import Texts
from pagoda.models.quantise.running import GGUF, QuantisationRequest, Quantiser
from pagoda.models.quantise.streamed import StreamedNetwork
from pagoda.models.quantise.texts import read_windows
from pagoda.models.tokenizer.gguf_writing import tokenizer_metadata

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # they are scripts, which import what lies beside them

batching_speedup = importlib.import_module("batching_speedup")
bookkeeping = importlib.import_module("bookkeeping")
headline = importlib.import_module("headline")
headline_report = importlib.import_module("headline_report")
opinions_capacity = importlib.import_module("opinions_capacity")
quantised = importlib.import_module("quantised")
rag_generated = importlib.import_module("rag_generated")
recommend = importlib.import_module("recommend")
static_batching = importlib.import_module("static_batching")
subject = importlib.import_module("subject")
traces = importlib.import_module("traces")
ContinuousServer = importlib.import_module("continuous_batching").ContinuousServer

NUM_ROWS = 3
CONTEXT = 128
CAP = 30


class StepClock:
    """Each step of the runner takes one second; waiting takes none."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait_until(self, seconds: float) -> None:
        self.seconds = max(self.seconds, seconds)


class SteppingRunner:
    """Computes nothing; notes which requests were in a step and what they were fed."""

    def __init__(self, clock: StepClock) -> None:
        self.kv_cache = SimpleNamespace(block_size=16)
        self.plans: list[Any] = []
        self._clock = clock

    def execute(self, plan: Any) -> Any:
        self.plans.append(plan)
        self._clock.seconds += 1
        return SimpleNamespace(logits=torch.zeros(len(plan.scheduled), 8))


class NotingUsage(bookkeeping.Usage):  # type: ignore[misc]
    """Usage that also keeps every entry."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, int]] = []

    def add(self, seconds: float, **entry: int) -> None:
        self.entries.append(entry)
        super().add(seconds, **entry)


def _job(prompt_len: int, num_output_tokens: int, arrival_s: float = 0.0, max_tokens: int = 12) -> Any:
    return traces.Job(list(range(4, 4 + prompt_len)), num_output_tokens, max_tokens, arrival_s)


def _static(reserve: str, jobs: list[Any], num_blocks: int = 4) -> tuple[Any, list[Any]]:
    """The result of a run on made-up steps, and the plans that were run. Rows of 32 tokens, blocks of 16."""
    clock = StepClock()
    runner = SteppingRunner(clock)
    server = static_batching.StaticServer(runner, num_blocks=num_blocks, max_model_len=32, reserve=reserve)
    return server.serve(jobs, clock), runner.plans


# --- traces -------------------------------------------------------------------------------------------------------


def _as_values(jobs: list[Any]) -> list[Any]:
    return [(job.prompt_token_ids, job.num_output_tokens, job.max_tokens, job.arrival_s) for job in jobs]


def test_a_trace_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, again, other = (traces.make_trace(20, vocab_size=320, max_tokens=64, rate=3.0, seed=s) for s in (1, 1, 2))
    assert _as_values(first) == _as_values(again) != _as_values(other)


def test_a_seed_gives_the_same_requests_at_every_rate() -> None:
    at_once = traces.make_trace(20, vocab_size=320, max_tokens=64)
    slowly = traces.make_trace(20, vocab_size=320, max_tokens=64, rate=0.5)
    assert [job.prompt_token_ids for job in at_once] == [job.prompt_token_ids for job in slowly]
    assert [job.num_output_tokens for job in at_once] == [job.num_output_tokens for job in slowly]
    assert {job.arrival_s for job in at_once} == {0.0}


@pytest.mark.parametrize("lengths", traces.MEAN_LENGTHS)
def test_lengths_and_arrivals_are_those_that_were_asked_for(lengths: str) -> None:
    jobs = traces.make_trace(4000, vocab_size=320, max_tokens=512, lengths=lengths, rate=2.0)
    outputs = [job.num_output_tokens for job in jobs]
    assert 4 <= min(outputs) < max(outputs) == 512
    assert all(4 <= len(job.prompt_token_ids) <= traces.MAX_PROMPT for job in jobs)
    # The cuts take the longest from the mean, so it lies below that of the collection, but in its neighbourhood.
    mean_prompt, mean_output = traces.MEAN_LENGTHS[lengths]
    assert 0.6 * mean_output < sum(outputs) / len(outputs) < mean_output
    assert 0.8 * mean_prompt < sum(len(job.prompt_token_ids) for job in jobs) / len(jobs) < mean_prompt
    assert [job.arrival_s for job in jobs] == sorted(job.arrival_s for job in jobs)
    assert jobs[-1].arrival_s == pytest.approx(len(jobs) / 2.0, rel=0.1)


# --- the static server --------------------------------------------------------------------------------------------


def test_a_static_batch_runs_until_its_last_request_ends_and_the_next_one_waits() -> None:
    jobs = [_job(4, 1), _job(4, 3), _job(4, 2)]
    result, plans = _static("context", jobs)
    assert [len(plan.scheduled) for plan in plans] == [2, 2, 2, 1, 1]
    assert [job.finished_s for job in jobs] == [1.0, 3.0, 5.0]
    assert result.seconds == 5.0
    assert [len(job.output_token_ids) for job in jobs] == [1, 3, 2]


def test_the_account_of_a_static_run_is_the_one_made_by_hand() -> None:
    result, _ = _static("context", [_job(4, 1), _job(4, 3), _job(4, 2)])
    usage = result.usage
    assert usage.reserved_slot_seconds == 3 * 64 + 2 * 32
    assert usage.used_slot_seconds == (4 + 4) + 5 + 6 + 4 + 5
    assert usage.waste == 1 - 28 / 256
    assert (usage.mean_running, usage.peak_running, usage.peak_reserved) == (6 / 5, 2, 64)


def test_the_kind_static_server_reserves_what_was_asked_for_and_computes_no_ended_row() -> None:
    result, plans = _static("request", [_job(4, 1), _job(4, 3), _job(4, 2)])
    assert [len(plan.scheduled) for plan in plans] == [3, 2, 1]
    assert result.usage.reserved_slot_seconds == 3 * 48
    assert result.usage.used_slot_seconds == 12 + (5 + 5) + 6


def test_a_batch_computes_its_prompts_together_over_consecutive_blocks_of_each_rows_own() -> None:
    _, plans = _static("context", [_job(4, 2), _job(7, 2)])
    first, second = plans
    assert [len(entry.token_ids) for entry in first.scheduled] == [4, 7]
    assert [len(entry.token_ids) for entry in second.scheduled] == [1, 1]
    assert [entry.block_ids for entry in first.scheduled] == [(0, 1), (2, 3)]


def test_who_arrives_while_a_batch_runs_waits_for_the_next() -> None:
    jobs = [_job(4, 3), _job(4, 1, arrival_s=0.5), _job(4, 1, arrival_s=20.0)]
    result, plans = _static("context", jobs)
    assert [len(plan.scheduled) for plan in plans] == [1, 1, 1, 1, 1]
    assert [job.latency_s for job in jobs] == [3.0, 3.5, 1.0]
    assert result.usage.seconds == 5.0, "the time in which nothing ran counts for no memory"


def test_an_ended_row_is_computed_on_no_further_than_its_context() -> None:
    _, plans = _static("context", [_job(30, 1, max_tokens=2), _job(4, 6)])
    assert [len(plan.scheduled) for plan in plans] == [2, 2, 1, 1, 1, 1]


# --- both servers on one model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llm_of_few_rows(make_llm: Callable[..., LLM]) -> LLM:
    """KV blocks for three sequences of full length."""
    num_blocks = NUM_ROWS * CONTEXT // 16
    return make_llm(enable_prefix_caching=False, max_model_len=CONTEXT, num_gpu_blocks_override=num_blocks)


@pytest.fixture
def comparison(llm_of_few_rows: LLM, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Eight requests short enough for a tiny model."""
    monkeypatch.setattr(traces, "MAX_PROMPT", 60)
    monkeypatch.setitem(traces.MEAN_LENGTHS, "sharegpt", (20, 20))
    settings = headline.Settings(
        num_requests=8, num_rows=NUM_ROWS, lengths="sharegpt", max_tokens=CAP, load=5.0, seed=1
    )
    return headline.Comparison(llm_of_few_rows, settings)


def _token_ids(result: Any) -> list[list[int]]:
    return [job.output_token_ids for job in result.jobs]


def test_the_static_server_gives_the_same_greedy_tokens_as_the_engine(comparison: Any) -> None:
    engine = comparison.continuous(comparison._trace())
    assert [len(tokens) for tokens in _token_ids(engine)] == [job.num_output_tokens for job in engine.jobs]
    assert len({token_id for tokens in _token_ids(engine) for token_id in tokens}) > 10, "text that stands still"
    for reserve in ("context", "request"):
        assert _token_ids(comparison.static(reserve, comparison._trace())) == _token_ids(engine)


def _noted(comparison: Any, jobs: list[Any], **settings: Any) -> NotingUsage:
    """The account of an engine's run, with every entry."""
    server = ContinuousServer(comparison.engine, **settings)
    server.usage = usage = NotingUsage()
    server.serve(jobs)
    return usage


def test_the_account_of_a_run_of_the_engine_is_the_one_made_by_hand(comparison: Any) -> None:
    """After each step the cache holds the prompt and all outputs but the one just sampled."""
    usage = _noted(comparison, [_job(14, 5), _job(3, 2)], max_at_once=1)
    assert [(entry["used"], entry["reserved"], entry["running"]) for entry in usage.entries] == [
        (14, 16, 1),
        (15, 16, 1),
        (16, 16, 1),
        (17, 32, 1),
        (18, 32, 1),
        (3, 16, 1),
        (4, 16, 1),
    ]


def test_the_engines_waste_is_the_end_of_each_requests_last_block_and_nothing_else(comparison: Any) -> None:
    usage = _noted(comparison, comparison._trace())
    assert sum(entry["running"] > 1 for entry in usage.entries) > 10
    for entry in usage.entries:
        assert 0 <= entry["reserved"] - entry["used"] <= 15 * entry["running"]
    assert 0 < usage.waste < 15 / 16


def test_the_engine_is_told_the_cap_and_not_where_the_answer_ends(
    comparison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    add_request = comparison.engine.core.add_request

    def noting(core_request: Any) -> None:
        told.append(core_request.request.max_tokens)
        add_request(core_request)

    monkeypatch.setattr(comparison.engine.core, "add_request", noting)
    result = comparison.continuous(comparison._trace())
    assert told == [CAP] * 8
    assert min(job.num_output_tokens for job in result.jobs) < CAP


def test_a_load_of_so_many_requests_is_never_more(comparison: Any) -> None:
    assert comparison.continuous(comparison._trace(), max_at_once=2).usage.peak_running == 2
    assert comparison.continuous(comparison._trace()).usage.peak_running > NUM_ROWS


def test_the_whole_comparison_writes_table_figures_and_picture(comparison: Any, tmp_path: Path) -> None:
    told: list[str] = []
    results = comparison.run(lambda name, result: told.append(name))
    assert told == list(results)
    table = headline_report.render(headline.claims(results), "where")
    headline.write(tmp_path, table, results, "where")
    figures = json.loads((tmp_path / "headline.json").read_text())
    assert figures[headline.STATIC]["peak_running"] == NUM_ROWS
    assert (
        figures[headline.OURS]["kv_waste"] < figures[headline.KIND]["kv_waste"] < figures[headline.STATIC]["kv_waste"]
    )
    assert (tmp_path / "headline.md").read_text().count("\n| ") == len(headline.claims(results))
    assert (tmp_path / "headline.png").read_bytes().startswith(b"\x89PNG")


def test_other_tokens_in_one_run_end_the_comparison(comparison: Any) -> None:
    results = {name: comparison.continuous(comparison._trace(3)) for name in (headline.STATIC, headline.OURS)}
    headline.check_same_tokens(results)
    results[headline.OURS].jobs[1].output_token_ids[-1] += 1
    with pytest.raises(AssertionError, match="continuous gave other tokens than static"):
        headline.check_same_tokens(results)


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "against", "verdict"),
    [
        ({"aim": "x 3", "static": 10.0, "ours": 31.0}, "x 3.1", "yes"),
        ({"aim": "x 3", "static": 10.0, "ours": 29.0}, "x 2.9", "no"),
        ({"aim": "- 60 %", "static": 10.0, "ours": 3.0, "less": True}, "- 70 %", "yes"),
        ({"aim": "- 60 %", "static": 10.0, "ours": 5.0, "less": True}, "- 50 %", "no"),
        ({"aim": "- 60 %", "static": 10.0, "ours": 12.0, "less": True}, "+ 20 %", "no"),
        ({"aim": "under 4 %", "static": 80.0, "ours": 3.9, "ceiling": 4.0}, "", "yes"),
        ({"aim": "under 4 %", "static": 80.0, "ours": 4.0, "ceiling": 4.0}, "", "no"),
        ({"aim": "", "static": 10.0, "ours": 20.0}, "x 2.0", ""),
    ],
)
def test_a_claim_is_judged_by_its_aim(fields: dict[str, Any], against: str, verdict: str) -> None:
    claim = headline_report.Claim("name", "", kind=None, **fields)
    assert claim.against(claim.static) == against
    assert claim.verdict == verdict


# --- the other benchmarks -----------------------------------------------------------------------------------------


def test_the_speedup_is_taken_from_rounds_of_both_ways(llm_of_few_rows: LLM) -> None:
    prompts = batching_speedup.make_prompts(4, 5, 320)
    assert prompts == batching_speedup.make_prompts(4, 5, 320)
    speedup = batching_speedup.measure(llm_of_few_rows, prompts, max_tokens=6, num_rounds=3)
    assert len(speedup.ratios) == 3
    assert speedup.together > speedup.one_by_one > 0
    assert speedup.ratio > 1


def test_the_random_shape_called_builtin_is_that_of_the_recipe() -> None:
    recipe = tomllib.loads((ROOT / "recipes" / "builtin.toml").read_text())
    shape = subject.SHAPES["builtin"]
    sizes = {name: value for name, value in recipe["model"].items() if name.startswith(("num_", "hidden_", "head_"))}
    assert len(sizes) == 5
    assert {name: getattr(shape, name) for name in sizes} == sizes
    assert shape.intermediate_size == recipe["model"]["intermediate_size"]
    assert shape.vocab_size == recipe["tokenizer"]["vocab_size"]
    assert shape.max_position_embeddings == recipe["train"]["length_schedule"][-1][1]


def test_the_pictures_of_the_docs_can_be_drawn_from_the_scheduler_as_it_is(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs" / "figures"))
    draw = importlib.import_module("draw")
    draw.draw_block_tables(tmp_path / "block-tables.png")
    draw.draw_timeline(tmp_path / "timeline.png")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("block-tables.png", "timeline.png"))


def _answered(answerable: bool, abstained: bool, cited: bool, f1: float) -> Any:
    answers = ["a"] if answerable else []
    return rag_generated.Row("q", "guided", answerable, "?", answers, "a", abstained, cited, f1 // 1, f1, 2.0)


def test_generated_answers_are_counted_over_those_with_an_answer_and_over_all() -> None:
    rows = [
        _answered(True, False, True, 1.0),
        _answered(True, False, False, 0.5),
        _answered(True, True, False, 0.0),
        _answered(False, True, False, 1.0),
    ]
    line = rag_generated.report(rows, "guided")
    # F1, EM | F1 over all | cited, of two answers | abstentions that are right, of two | of one | wrong ones, of three
    assert line == "| guided | 3 + 1 | 50.0 | 33.3 | 62.5 | 50.0 | 50.0 | 100.0 | 33.3 | 2.00 |"


@pytest.mark.parametrize("script", sorted(ROOT.glob("benchmarks/*.py")), ids=lambda path: path.stem)
def test_what_a_script_takes_from_another_is_there(script: Path) -> None:
    tree = ast.parse(script.read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    asked = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            asked += [(node.module, alias.name) for alias in node.names]
    for module, name in asked:
        for folder in (ROOT / "benchmarks", ROOT):
            file = folder / f"{module.replace('.', '/')}.py"
            assert not file.exists() or name in _names_of(file), f"{module} has no {name}"


def _names_of(file: Path) -> set[str]:
    """What a module defines or imports, under whatever condition."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_a_file_beside_its_source_is_measured_as_the_quantisation_that_made_it_was(tmp_path: Path) -> None:
    checkpoint = Path(pagoda.__file__).parent / "builtin"
    network, tokenizer = StreamedNetwork(checkpoint, load_config(checkpoint)), load_tokenizer(checkpoint)
    windows = read_windows(ROOT / "LICENSE", tokenizer, 2, 64)
    texts = Texts(windows[:0], {"licence": windows})
    made = Quantiser(network, checkpoint, texts, tmp_path / "work").run(QuantisationRequest("int8", "rtn", layout=GGUF))
    types = {name: type_for(*astuple(scheme)) for name, scheme in made.job.coded_tensors.items()}
    tokens = tokenizer_metadata(tokenizer, checkpoint, network.config.vocab_size)
    draft = GGUFDraft(network.config, network.shapes, tokens, network.tensor)
    draft.save(types, made.job.codes_of, tmp_path / "int8.gguf")
    row = quantised.Measured(network, texts).beside(tmp_path / "int8.gguf", tmp_path / "row")
    quality = made.outcome.quality["licence"]
    assert row["quality"]["licence"]["kl"] == pytest.approx(quality.kl, rel=1e-2)
    assert row["quality"]["licence"]["perplexity"] == pytest.approx(quality.perplexity, rel=1e-5)
    assert row["bits"] == pytest.approx(made.size.bits_per_weight, rel=0.01)


def test_a_stopped_run_goes_on_by_its_own_arguments_alone(tmp_path: Path) -> None:
    texts = [f"Alder results number {number}" for number in range(6)]
    opinions_capacity.measure(tmp_path / "one", texts, 6, 1.0, groups=False)
    again = opinions_capacity.measure(tmp_path / "one", texts, 6, 1.0, groups=False)
    assert (again.items, again.stories) == (6, 6)
    for given, count, days, groups in (
        (texts[1:], 6, 1.0, False), (texts, 7, 1.0, False), (texts, 6, 2.0, False), (texts, 6, 1.0, True),
    ):  # fmt: skip
        with pytest.raises(SystemExit, match="other arguments"):
            opinions_capacity.measure(tmp_path / "one", given, count, days, groups=groups)
    recommend.serving(tmp_path / "serving", 50, 20, 3)
    recommend.serving(tmp_path / "serving", 50, 20, 5)
    with pytest.raises(SystemExit, match="items 50"):
        recommend.serving(tmp_path / "serving", 100, 20, 3)
    (tmp_path / "one" / "arguments.json").unlink()
    with pytest.raises(SystemExit, match="not known"):
        opinions_capacity.measure(tmp_path / "one", texts, 6, 1.0, groups=False)
