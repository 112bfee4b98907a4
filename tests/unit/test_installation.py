"""What pagoda tells a person to type works as it stands, wherever pagoda came from and however it was called."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import MissingExtraError
from pagoda.installation import install_command, program, requirement, typed
from patience import HANG_S

ROOT = Path(__file__).parents[2]


def test_wheels_are_built_for_the_pythons_that_make_looks_for() -> None:
    wheels = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["cibuildwheel"]
    (candidates,) = re.findall("^CANDIDATES := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    versions = sorted(re.findall(r"python3\.(\d+)", candidates))
    assert wheels["build"].split() == [f"cp3{minor}-*" for minor in versions]
    assert wheels["linux"]["archs"] == ["x86_64", "aarch64"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({}, "pagoda-llm[rag]"),
        ({"url": "file:///src/my%20p%C3%A0goda", "dir_info": {"editable": True}}, "-e /src/my pàgoda[rag]"),
        ({"url": "file:///src/o'pagoda", "dir_info": {}}, "/src/o'pagoda[rag]"),
        (
            {"url": "https://example.org/p.git", "vcs_info": {"vcs": "git", "commit_id": "a1b2"}},
            "pagoda-llm[rag] @ git+https://example.org/p.git@a1b2",
        ),
        (
            {"url": "file:///tmp/pagoda_llm-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pagoda-llm[rag] @ file:///tmp/pagoda_llm-0.1.0-py3-none-any.whl",
        ),
    ],
)
def test_pip_is_given_the_place_that_pagoda_came_from(origin: dict[str, Any], expected: str, tmp_path: Path) -> None:
    given = shlex.split(requirement("rag", tmp_path, origin))
    assert " ".join(given) == expected
    assert len(given) == (2 if expected.startswith("-e") else 1)  # a shell takes it whole


def test_a_clone_is_named_by_its_folder_whatever_pip_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "it's a [clone]"
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    elsewhere = {"url": "file:///src/other", "dir_info": {"editable": True}}
    assert shlex.split(requirement("rag", clone, elsewhere)) == ["-e", f"{clone}[rag]"]
    monkeypatch.chdir(clone)
    assert requirement("rag", clone, {}) == "-e '.[rag]'"


def test_the_error_of_a_missing_extra_names_this_interpreter_and_this_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    told = str(MissingExtraError("the index", "rag"))
    assert told.startswith("the index needs an optional dependency: ")
    python, *arguments = shlex.split(told.partition(": ")[2])
    assert arguments == ["-m", "pip", "install", "-e", ".[rag]"]
    prefix = "import sys; print(sys.prefix)"
    shown = subprocess.run([python, "-c", prefix], capture_output=True, text=True, check=True, timeout=HANG_S)
    assert shown.stdout.strip() == sys.prefix


def test_an_environment_without_pip_gets_its_extra_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagoda.installation.find_spec", lambda name: None)
    assert install_command("rag").startswith("uv pip install --python ")


@pytest.mark.parametrize("script", ["bin/pagoda", "sub folder/bin/pagoda", "bin/python"])
def test_a_program_is_shown_as_it_can_be_typed_here(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / script
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert shlex.split(typed(path)) == [script]
    monkeypatch.chdir("/")
    assert shlex.split(typed(path)) == [str(path).lstrip("/")]  # from here
    monkeypatch.setenv("PATH", f"/nowhere:{path.parent}")
    assert typed(path) == path.name


def test_another_program_of_the_same_name_on_the_path_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "other" / "python").touch(mode=0o755)
    (tmp_path / "here" / "python").symlink_to(tmp_path / "other" / "python")  # as an environment's interpreter is
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    monkeypatch.chdir(tmp_path / "other")
    assert typed(tmp_path / "here" / "python") == str(tmp_path / "here" / "python")


def test_hints_use_the_way_that_pagoda_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pagoda").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pagoda"), "serve"])
    assert program() == "pagoda"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "pagoda" / "__main__.py"), "serve"])
    assert shlex.split(program())[1:] == ["-m", "pagoda"]
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))  # a library's user: no script beside it
    monkeypatch.setattr(sys, "argv", ["notebook.py"])
    assert program() == "bin/python -m pagoda"


def test_the_package_runs_as_a_program() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "pagoda", "--version"], capture_output=True, text=True, timeout=HANG_S, cwd=ROOT
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith("pagoda ")
