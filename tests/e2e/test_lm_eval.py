"""lm-evaluation-harness over HTTP against the same task through transformers: equal log-likelihoods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pagoda.engine.args import BUILTIN_MODEL
from patience import HANG_S

QUESTIONS = [
    ("Once upon a time, there was a little", ["girl", "quantum", "tax"], 0),
    ("The sun is hot and the snow is", ["cold", "seven", "because"], 0),
    ("Tom was happy. He smiled and", ["laughed", "parliament", "of"], 0),
    ("I would like to book a table for", ["two", "yellow", "swim"], 0),
    ("床前明月光，疑是地上", ["霜", "三", "电"], 0),
    ("The cat sat on the", ["mat", "therefore", "eleven"], 0),
]
TASK = """
task: little_words
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: label
metric_list:
  - metric: acc
"""
SCRIPT = """
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager

settings = json.loads(sys.argv[1])
result = lm_eval.simple_evaluate(
    model=settings["model"], model_args=settings["args"], tasks=["little_words"], log_samples=True,
    task_manager=TaskManager(include_path=settings["tasks"], include_defaults=False), bootstrap_iters=0,
)
samples = result["samples"]["little_words"]
print("RESULT " + json.dumps([[pair[0][0] for pair in sample["resps"]] for sample in samples]))
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A folder with a multiple-choice task of our own."""
    data = tmp_path / "little_words.jsonl"
    rows = [{"context": context, "choices": choices, "label": label} for context, choices, label in QUESTIONS]
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    (tmp_path / "little_words.yaml").write_text(TASK.format(data=data), encoding="utf-8")
    return tmp_path


def _evaluate(task: Path, model: str, args: dict[str, Any]) -> list[list[float]]:
    """Log-likelihoods of each question's choices."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(task / "hf"), "OPENAI_API_KEY": "none"}
    settings = json.dumps({"model": model, "args": args, "tasks": str(task)})
    command = [sys.executable, "-c", SCRIPT, settings]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=HANG_S, check=False, env=os.environ | offline
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    line = next(line for line in ended.stdout.splitlines() if line.startswith("RESULT "))
    return [[float(value) for value in row] for row in json.loads(line.removeprefix("RESULT "))]


def test_lm_eval_sees_what_transformers_computes(
    task: Path, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    pytest.importorskip("lm_eval", reason="needs lm-eval[api]")
    path = str(BUILTIN_MODEL)
    with serving("--no-access-log", "--dtype", "float32") as server:
        served = {
            "base_url": f"{server.url}/v1/completions",
            "model": "pagoda-builtin",
            "tokenizer_backend": "huggingface",
            "tokenizer": path,
            "tokenized_requests": True,
            "max_length": 1024,
            "add_bos_token": True,
        }
        ours = _evaluate(task, "local-completions", served)
    theirs = _evaluate(task, "hf", {"pretrained": path, "dtype": "float32", "device": "cpu", "add_bos_token": True})
    assert len(ours) == len(QUESTIONS)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(reference, abs=1e-3)
