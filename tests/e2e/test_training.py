"""Train until a sentence is memorised, then serve it; kill and resume; transformers agrees with what is saved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pagoda.errors import CheckpointError
from pagoda.llm import LLM
from pagoda.sampling_params import SamplingParams
from pagoda.train.config import Recipe
from pagoda.train.curves import read_metrics, write_curves
from pagoda.train.trainer import Trainer

SENTENCE = "The little fox looked at the moon, and the moon looked back at the little fox."


def recipe(folder: Path, **train: object) -> Recipe:
    (folder / "corpus.txt").write_text("\n<|endoftext|>\n".join([SENTENCE] * 400), encoding="utf-8")
    model = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_ids": [0],
    }
    settings = {
        "tokens": 512 * 80,
        "tokens_per_step": 512,
        "micro_batch_tokens": 256,
        "length_schedule": [[0.0, 32], [0.5, 64]],
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "save_every": 10,
        "eval_every": 40,
        "held_back": 50,
        "precision": "fp32",
    }
    raw = {
        "model": model,
        "tokenizer": {"vocab_size": 320},
        "train": settings | train,
        "sources": [{"path": "corpus.txt"}],
    }
    return Recipe.from_dict(raw, folder)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    for _ in Trainer(recipe(folder), folder / "run", device="cpu").run():
        pass
    return folder


def test_a_memorised_sentence_is_served(trained: Path) -> None:
    llm = LLM(trained / "run" / "step-0000080", disable_log_stats=True)
    output = llm.generate("The little", SamplingParams(temperature=0, max_tokens=40), use_tqdm=False)[0]
    assert "The little" + output.outputs[0].text == SENTENCE
    assert output.outputs[0].finish_reason == "stop"


def test_loss_falls_and_held_back_loss_is_reported(trained: Path) -> None:
    reports = read_metrics(trained / "run")
    assert [report["step"] for report in reports] == list(range(1, 81))
    assert reports[-1]["loss"] < 0.2 < 4 < reports[0]["loss"]
    assert set(reports[-1]["eval_loss"]) == {"corpus"}
    assert [report["sequence_length"] for report in reports] == [32] * 40 + [64] * 40


def test_transformers_loads_the_checkpoint_and_agrees(trained: Path) -> None:
    transformers = pytest.importorskip("transformers")
    directory = trained / "run" / "step-0000080"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    ids = tokenizer("The little fox looked", return_tensors="pt").input_ids
    expected = theirs.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :].tolist()
    llm = LLM(directory, disable_log_stats=True)
    ours = llm.generate(
        {"prompt_token_ids": ids[0].tolist()}, SamplingParams(temperature=0, max_tokens=12), use_tqdm=False
    )
    assert list(ours[0].outputs[0].token_ids) == expected[: len(ours[0].outputs[0].token_ids)]
    rendered = tokenizer.apply_chat_template(
        [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert rendered == "<|endoftext|><|user|>s\nhi<|end|><|assistant|>"


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_resuming_gives_the_same_weights_as_never_stopping(tmp_path: Path, optimizer: str) -> None:
    plan = recipe(tmp_path, tokens=512 * 20, optimizer=optimizer, learning_rate=2e-3)
    for _ in Trainer(plan, tmp_path / "whole", device="cpu").run():
        pass
    for report in Trainer(plan, tmp_path / "halves", device="cpu").run():
        if report.step == 13:  # after the checkpoint of step 10: three steps are lost and done again
            break
    resumed = Trainer(plan, tmp_path / "halves", device="cpu")
    assert resumed.step == 10
    for _ in resumed.run():
        pass
    whole, halves = weights(tmp_path / "whole/step-0000020"), weights(tmp_path / "halves/step-0000020")
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    strip = [{k: v for k, v in report.items() if k != "tokens_per_s"} for report in read_metrics(tmp_path / "whole")]
    again = [{k: v for k, v in report.items() if k != "tokens_per_s"} for report in read_metrics(tmp_path / "halves")]
    assert strip == again


def test_a_range_that_grows_gives_later_steps_positions_further_apart(tmp_path: Path) -> None:
    plan = recipe(tmp_path, positions="random_integers", position_range_schedule=[[0.0, 64], [0.5, 4096]])
    trainer = Trainer(plan, tmp_path / "run", device="cpu")
    assert int(trainer.positions((8, 32), 39).max()) < 64
    assert int(trainer.positions((8, 32), 40).max()) > 3000
    assert int(trainer.positions((8, 32), plan.train.num_steps).max()) > 3000, "what is held back is read as at the end"


def test_a_killed_process_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    plan = recipe(tmp_path, tokens=512 * 4000, save_every=5)
    program = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_training import recipe\n"
        "from pagoda.train.trainer import Trainer\n"
        "folder = Path(sys.argv[1])\n"
        "trainer = Trainer(recipe(folder, tokens=512 * 4000, save_every=5), folder / 'run', 'cpu')\n"
        "for report in trainer.run():\n"
        "    print(report.step, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 12:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    resumed = Trainer(plan, tmp_path / "run", device="cpu")
    assert resumed.step >= 10
    assert resumed.step % 5 == 0


def test_another_recipe_does_not_resume_by_accident(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    with pytest.raises(CheckpointError, match="another recipe"):
        Trainer(recipe(tmp_path, learning_rate=5e-3), tmp_path / "run", device="cpu")


def test_only_the_newest_checkpoints_are_kept_and_hold_no_pickle(trained: Path) -> None:
    kept = sorted(path.name for path in (trained / "run").glob("step-*"))
    assert kept == ["step-0000070", "step-0000080"]
    files = {path.suffix for path in (trained / "run" / kept[-1]).iterdir()}
    assert files == {".json", ".safetensors"}
    assert json.loads((trained / "run" / kept[-1] / "trainer.json").read_text())["step"] == 80


def test_curves_are_drawn(trained: Path) -> None:
    pytest.importorskip("matplotlib")
    path = write_curves(trained / "run")
    assert path.read_bytes().startswith(b"\x89PNG")
