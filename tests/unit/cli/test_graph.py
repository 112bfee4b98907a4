"""`pagoda graph load` in this process: what it prints, and what it refuses before it opens anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pagoda.cli.app import app


def invoke(*arguments: str, language: str = "C") -> Result:
    return CliRunner(env={"LC_ALL": language, "LANG": language}).invoke(app, ["graph", *arguments])


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [
        ("id,name\n1,a\n1,b\n", [], 'Book.csv:3: id "1" stands in line 2 already'),
        ("id,name\n1\n", [], "Book.csv:2: has 1 cells"),
        ("id\n1\n", ["--key", "Book"], "expected LABEL=PROPERTY, such as Book=isbn"),
        ("id\n1\n", ["--key", "Bok=id"], 'no file holds: did you mean "Book"'),
        ("id\n1\n", ["--graph", "nonsense"], "is no address of a graph"),
        ("id\n1\n", ["--graph", "bolt://localhost:1", "--graph-password-env", "NO_SUCH_VARIABLE"], "is not set"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_opened(
    tmp_path: Path, table: str, options: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Book.csv").write_text(table)
    monkeypatch.chdir(tmp_path)
    result = invoke("load", "Book.csv", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split()), result.stderr
    assert not (tmp_path / "pagoda-dialogue").exists()


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    result = invoke("load", str(tmp_path / "none.csv"))
    assert (result.exit_code, "none.csv:1: cannot be read" in result.stderr) == (2, True)
