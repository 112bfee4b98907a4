"""`pagoda quantize`: what it writes and tells, what it refuses, and what it keeps when it is interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from typer.testing import Result

from pagoda import LLM, SamplingParams
from pagoda.engine.args import BUILTIN_MODEL
from pagoda.models.quantise.job import QuantisationJob
from pagoda.models.tokenizer.tokenizer import Tokenizer

LICENCE = Path(__file__).resolve().parents[3] / "LICENSE"
SMALL = ("--calibration", LICENCE, "--windows", 10, "--length", 64)
Quantise = Callable[..., Result]


@pytest.fixture
def quantise(invoke: Callable[..., Result]) -> Quantise:
    """`quantise(*arguments)`: the command on the model that ships with pagoda."""
    return lambda *arguments: invoke("quantize", "builtin", *map(str, arguments))


def _facts(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_folder_is_written_that_answers(quantise: Quantise, tmp_path: Path) -> None:
    out = tmp_path / "small"
    facts = _facts(quantise("--to", "int4", "--out", out, *SMALL, "--json"))
    assert (facts["to"], facts["method"], list(facts["quality"])) == ("int4", "gptq", ["withheld"])
    assert 0 < facts["quality"]["withheld"]["kl"] < 0.2
    assert facts["schemes"] == {"4 bits, groups of 64, symmetric": 42}
    assert len(facts["layer_drift"]) == 6
    written = json.loads((out / "quantisation.json").read_text())
    assert written == {key: value for key, value in facts.items() if key != "out"}
    assert (out / "quantisation.svg").read_text().startswith("<?xml")
    assert not out.with_name("small.quantising").exists()
    llm = LLM(str(out), disable_log_stats=True, num_gpu_blocks_override=32)
    (output,) = llm.generate(["Once upon a time"], SamplingParams(temperature=0, max_tokens=8), use_tqdm=False)
    assert len(output.outputs[0].token_ids) == 8


def test_rounding_needs_no_text_and_tells_no_quality(quantise: Quantise, tmp_path: Path) -> None:
    facts = _facts(quantise("--to", "int8", "--method", "rtn", "--out", tmp_path / "o", "--json"))
    assert facts["quality"] == {}
    assert facts["bits_per_weight"] == pytest.approx(10.6, abs=0.2)  # its embedding is floats, and a third of it


def test_a_mixed_plan_is_held_to_its_bits_and_told_in_words(quantise: Quantise, tmp_path: Path) -> None:
    result = quantise("--to", "mixed", "--target-bits", 5, "--out", tmp_path / "o", *SMALL)
    assert result.exit_code == 0, result.stderr
    facts = json.loads((tmp_path / "o" / "quantisation.json").read_text())
    assert 4.8 < facts["bits_per_weight"] <= 5
    assert f"{facts['bits_per_weight']:.2f} bits each on average" in result.stdout
    assert "what each matrix costs: 12 of 12" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--to", "int3", *SMALL), "to='int3' is not known: did you mean"),
        (("--method", "awq", *SMALL), "method='awq' is not known"),
        (("--group-size", 48, *SMALL), "groups of 48"),
        (("--to", "int8", "--group-size", 64), "group_size=64, but int8 has a scale a row"),
        (("--to", "mixed", "--group-size", 64, *SMALL), "a mixed plan chooses a group for each matrix"),
        (("--to", "int8", "--asymmetric"), "int8 is symmetric always"),
        ((), "needs a text: give --calibration FILE, or --method rtn"),
        (("--method", "rtn", "--max-kl", 1), "max_kl is to be measured"),
        (("--calibration", LICENCE, "--length", 4096), "the model's context holds 1024"),
        (("--to", "mixed", "--target-bits", 3, *SMALL), "the smallest plan has 4."),
        # With the head in floats of 16 bits, as the folder has it, and before anything is rounded.
        (("--to", "int4", "--method", "rtn", "--target-bits", 6), "the plan has 8.03 bits a weight, but target_bits=6"),
        (("--to", "int8", "--windows", 0, *SMALL[:2]), "0 windows of"),
        (("--max-kl", 1e-9, *SMALL), "max_kl=1e-09: nothing is written"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[Any, ...], told: str, quantise: Quantise, tmp_path: Path) -> None:
    result = quantise("--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--group-size", 64), "a GGUF file has the groups of its block types"),
        (("--to", "mixed", "--asymmetric"), "a mixed GGUF file takes block types as they are"),
    ],
)
def test_what_a_gguf_file_cannot_be_is_refused(
    arguments: tuple[Any, ...], told: str, quantise: Quantise, tmp_path: Path
) -> None:
    result = quantise("--out", tmp_path / "out.gguf", *arguments, *SMALL)
    assert result.exit_code == 2
    assert told in result.stderr


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        (("--to", "int4", *SMALL), {"Q4_K", "Q4_0", "Q6_K"}),
        (("--to", "int4", "--symmetric", *SMALL), {"Q4_0", "Q8_0"}),
        (("--to", "int8", "--method", "rtn"), {"Q8_0"}),
    ],
)
def test_the_folder_of_a_model_becomes_a_gguf_file_that_says_the_same(
    arguments: tuple[Any, ...], types: set[str], quantise: Quantise, tmp_path: Path
) -> None:
    out = tmp_path / "small.gguf"
    _facts(quantise("--out", out, *arguments, "--json"))
    assert (tmp_path / "small-report" / "quantisation.json").is_file()
    found = {tensor.tensor_type.name for tensor in gguf.GGUFReader(out).tensors}
    assert found == types | {"F32"}
    ours, theirs = (
        LLM(disable_log_stats=True, num_gpu_blocks_override=32),
        LLM(str(out), disable_log_stats=True, num_gpu_blocks_override=32),
    )
    chat = [{"role": "user", "content": "Tell me a story about 12 cats, s'il vous plaît."}]
    tokenizers = [llm.get_tokenizer() for llm in (ours, theirs)]
    assert tokenizers[0].encode_chat(chat) == tokenizers[1].encode_chat(chat)
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=1)
    text = "Once upon a time there was a little girl who had a dog"
    likely = [llm.generate([text], params, use_tqdm=False)[0].prompt_logprobs for llm in (ours, theirs)]
    means = [sum(next(iter(each.values())).logprob for each in found[1:]) / (len(found) - 1) for found in likely]
    assert means[0] == pytest.approx(means[1], abs=0.2)


def test_all_calibration_files_are_read(quantise: Quantise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.jsonl"
    one.write_text("The cat sat on the mat. " * 200)
    other.write_text(json.dumps({"text": "A dog ran over the hill. " * 200}) + "\n")
    read: list[torch.Tensor] = []
    run = QuantisationJob.run

    def watched(self: QuantisationJob, *arguments: Any) -> Any:
        read.append(torch.cat([self.texts.calibration, self.texts.all_measured]))
        return run(self, *arguments)

    monkeypatch.setattr(QuantisationJob, "run", watched)
    files = ("--calibration", one, "--calibration", other)
    _facts(quantise("--out", tmp_path / "out", *files, "--windows", 6, "--length", 32, "--json"))
    tokenizer = Tokenizer.from_directory(BUILTIN_MODEL)
    texts = [tokenizer.decode(row.tolist()) for row in read[0]]
    assert sorted("cat" in text for text in texts) == [False] * 3 + [True] * 3
    assert sum("dog" in text for text in texts) == 3
    told = quantise("--out", tmp_path / "o", *files, "--windows", 1, "--length", 32)
    assert (told.exit_code, "1 windows of 2 files" in told.stderr) == (2, True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"prompt": "x", "answer": "y"}', "line 1: this is an object with 'prompt', 'answer', but an object with"),
        ('["x"]', "line 1: this is ['x'], but"),
        ('{"messages": "x"}', "line 1: this is an object with 'messages', but"),
        ('{"messages": [{"content": "x"}]}', "line 1: messages[0]"),
        ("{", "line 1: this is no JSON"),
    ],
)
def test_a_calibration_of_another_form_is_told(line: str, told: str, quantise: Quantise, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(line + "\n")
    result = quantise("--out", tmp_path / "out", "--calibration", tmp_path / "c.jsonl")
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Error(" not in result.stderr


def test_a_model_that_is_quantised_already_is_told_to_be(
    invoke: Callable[..., Result], quantise: Quantise, tmp_path: Path
) -> None:
    rounded = ("--to", "int8", "--method", "rtn")
    for out, how in (("folder", "by compressed-tensors"), ("file.gguf", "the codes of a GGUF file")):
        first = quantise("--out", tmp_path / out, *rounded)
        assert (first.exit_code, "quantised already" in first.stderr) == (0, False)
        again = invoke("quantize", str(tmp_path / out), "--out", str(tmp_path / f"again-{out}"), *rounded)
        assert (again.exit_code, f"is quantised already ({how})" in again.stderr) == (0, True), again.stderr


def test_it_speaks_chinese(invoke: Callable[..., Result], tmp_path: Path) -> None:
    arguments = ("quantize", "builtin", "--out", str(tmp_path / "out"), *map(str, SMALL))
    result = invoke(*arguments, LC_ALL="zh_CN.UTF-8")
    assert result.exit_code == 0, result.stderr
    assert "平均每个权重" in result.stdout
    assert "最可能 token 相同" in result.stdout
    assert "层：6 / 6" in result.stderr
    assert "weights" not in result.stdout


def test_what_is_there_is_not_written_over(quantise: Quantise, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    assert "exists already" in quantise("--out", tmp_path / "out", *SMALL).stderr
    (tmp_path / "empty.gguf").mkdir()
    assert "exists already" in quantise("--out", tmp_path / "empty.gguf", *SMALL).stderr


def test_an_interrupt_says_that_the_work_is_kept(
    quantise: Quantise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = QuantisationJob._keep
    kept: list[int] = []

    def interrupted(self: QuantisationJob, next_layer: int, streams: Any) -> None:
        keep(self, next_layer, streams)
        kept.append(next_layer)
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(QuantisationJob, "_keep", interrupted)
    result = quantise("--out", tmp_path / "out", *SMALL)
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.stderr
    assert not (tmp_path / "out").exists()
    assert _facts(quantise("--out", tmp_path / "out", *SMALL, "--json"))["layer_drift"]
    assert kept == [1, 2, 3, 4, 5, 6]
    assert torch.is_grad_enabled()
