"""What README and docs tell a reader to type works: Python blocks run, and so do `$ ` lines of console blocks."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from patience import HANG_S

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
# Set-up and the two commands are what runs this test; training and benchmarks take minutes and have tests of their own.
SERVER = "http://127.0.0.1:8000"
NOT_RUN = (
    "git clone",
    "make",
    "pip install",
    "pagoda train",
    "pagoda chat",
    "pagoda serve\n",
    "python benchmarks/",
    "cd ",
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[pytest.param]:  # type: ignore[valid-type]
    found = []
    for page in PAGES:
        matches = [body for name, body in _BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]
        found += [pytest.param(body, id=f"{page.relative_to(ROOT)}-{i}") for i, body in enumerate(matches)]
    return found


def commands() -> list[pytest.param]:  # type: ignore[valid-type]
    found = {}
    for block in blocks("console"):
        for line in block.values[0].splitlines():
            command = line.removeprefix("$ ")
            if line.startswith("$ ") and not f"{command}\n".startswith(NOT_RUN):
                found[command] = pytest.param(command, id=command[:60])
    return list(found.values())


def run(arguments: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        env=environment,
        stdin=subprocess.DEVNULL,
        **settings,  # type: ignore[call-overload]
    )


def at_server(text: str, request: pytest.FixtureRequest) -> str:
    """The text with the running server's address, if it speaks of one."""
    return text.replace(SERVER, request.getfixturevalue("server").url) if SERVER in text else text


@pytest.mark.parametrize("program", blocks("python"))
def test_a_python_block_runs(program: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "openai" in program:
        pytest.importorskip("openai", reason="needs the openai package")
    result = run([sys.executable, "-c", at_server(program, request)], cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", commands())
def test_a_command_runs_and_prints_something(command: str, request: pytest.FixtureRequest) -> None:
    result = run(["bash", "-c", at_server(command, request)], cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip(), f"{shlex.split(command)[0]} printed nothing; stderr: {result.stderr}"


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = (
        [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("$ ")] for page in PAGES[:2]
    )
    assert english == chinese


def test_every_linked_file_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
