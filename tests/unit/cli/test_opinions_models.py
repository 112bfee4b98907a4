"""`pagoda opinions train | eval` in this process: what is written, printed and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from pagoda.cli.app import app
from pagoda.opinions.sentiment import SentimentModel

ROWS = [
    {"text": f"{name}股价{word}第{day}日", "label": label}
    for word, label in (("大跌", "negative"), ("跌停", "negative"), ("大涨", "positive"), ("涨停", "positive"))
    for name in ("远山", "海门", "青石")
    for day in range(4)
]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["--lang", "en", "opinions", *map(str, arguments)])


def _rows(folder: Path, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def test_a_model_is_trained_and_written(tmp_path: Path) -> None:
    done = run("train", _rows(tmp_path), "--out", tmp_path / "model", "--encoder", "none")
    assert done.exit_code == 0, done.output
    assert "trained on 48 texts, labels negative, positive" in done.stderr
    assert SentimentModel.load(tmp_path / "model").predict(["东林股价涨停"])[0].label == "positive"


def test_what_cannot_be_trained_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "label": "x"}\n{\n')
    assert "line 2 is no JSON" in run("train", tmp_path / "bad.jsonl", "--out", tmp_path / "model").stderr
    assert run("train", tmp_path / "nothing.jsonl", "--out", tmp_path / "model").exit_code == 2
    assert "not empty" in run("train", _rows(tmp_path), "--out", tmp_path).stderr


def test_lines_are_printed_for_the_sets_that_are_there(tmp_path: Path) -> None:
    _rows(tmp_path, "stock_comments_zh.jsonl")
    done = run("eval", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    (line,) = json.loads(done.stdout)
    assert line["name"] == "stock_comments_zh"
    assert line["aims"] == {"accuracy": 0.9}
    assert "commonest label" in run("eval", tmp_path).stdout


def test_an_empty_folder_and_a_misspelt_set_are_told(tmp_path: Path) -> None:
    assert "none of the sets" in run("eval", tmp_path).stderr
    assert 'did you mean "finfe"?' in run("eval", tmp_path, "--only", "finef").stderr
