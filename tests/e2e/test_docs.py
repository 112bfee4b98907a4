"""What README and docs tell a reader to type works: Python blocks run, and so do `$ ` lines of console blocks.

In shell-session blocks stands what a command prints as well, and in a dialogue what a person types: there the command
has to print it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pagoda.cli.app import app
from patience import HANG_S

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
# Set-up and two commands are what runs this test; training, experiments and benchmarks take minutes and have their own.
SERVER = "http://127.0.0.1:8000"
NOT_RUN = (
    "git clone",
    "make",
    "pip install",
    "source ",
    "pagoda train",
    "pagoda lab",
    "pagoda chat",
    "pagoda serve\n",
    "python benchmarks/",
    "cd ",
)
# What differs from day to day and from machine to machine.
MASKS = {
    r"[\d.]+ (s|MB)\b": r"N \1",
    r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ [A-Z][a-z]{2}\b": "DAY",
    r"reference is \w+": "reference is ID",
}
TYPED = "you > "
_BLOCK = re.compile(r"^```([\w-]+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


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


@dataclass(frozen=True)
class Transcript:
    """A command of a shell-session block, with what a person types in it and what it shows."""

    command: str
    typed: tuple[str, ...]
    shown: tuple[str, ...]


def transcripts() -> list[Transcript]:
    """In the order of the pages; what several of them show stands here once."""
    found = []
    for block in blocks("shell-session"):
        for part in re.split(r"^\$ ", block.values[0], flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            typed = tuple(line.removeprefix(TYPED) for line in lines if line.startswith(TYPED))
            shown = tuple(masked(line) for line in lines if not line.startswith(TYPED))
            found.append(Transcript(command, typed, shown))
    return list(dict.fromkeys(found))


def masked(text: str) -> str:
    for pattern, mask in MASKS.items():
        text = re.sub(pattern, mask, text)
    return text


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Transcript], None]:
    """`replay(transcript)`: the command, in a folder with our examples, prints what is shown, in this order."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"LC_ALL": "C.UTF-8", "COLUMNS": "120"})

    def replay_one(transcript: Transcript) -> None:
        name, *arguments = shlex.split(transcript.command)
        assert name == "pagoda"
        result = runner.invoke(app, arguments, input="".join(f"{line}\n" for line in transcript.typed))
        assert result.exit_code == 0, result.output
        printed = iter(masked(result.output.replace(f"{tmp_path}/", "")).splitlines())
        for line in transcript.shown:
            assert line in printed, f"{transcript.command} does not print {line!r} there:\n{result.output}"

    return replay_one


@pytest.fixture
def noon() -> Iterator[None]:
    """In this process's time zone it is noon, whenever the test runs: "tonight at seven" is still to come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", f"NOON{datetime.now(UTC).hour - 12:+d}")
        time.tzset()
        yield
    time.tzset()


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
    if "DialogueAgent()" in program:  # it would train for a minute what the tests have
        request.getfixturevalue("city_understanding")
        (tmp_path / "pagoda-dialogue").mkdir()
        place = request.getfixturevalue("city_understanding_folder")
        (tmp_path / "pagoda-dialogue" / "understanding").symlink_to(place)
    if "pagoda.keras" in program and find_spec("keras") is None:  # imported here, it would choose its backend here
        pytest.skip("needs keras, which is not installed")
    if "openai" in program:
        pytest.importorskip("openai", reason="needs the openai package")
    result = run([sys.executable, "-c", at_server(program, request)], cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", commands())
def test_a_command_runs_and_prints_something(command: str, request: pytest.FixtureRequest) -> None:
    # Its own 20 seconds for a check are enough for a server that has the machine to itself.
    patient = re.sub(r"^pagoda conformance http\S+", r"\g<0> --timeout 240", command)
    result = run(["bash", "-c", at_server(patient, request)], cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.strip(), f"{shlex.split(command)[0]} printed nothing; stderr: {result.stderr}"


def test_the_handbook_is_indexed_and_asked_as_shown(replay: Callable[[Transcript], None]) -> None:
    shown = [each for each in transcripts() if each.command.startswith("pagoda rag") and each.shown]
    assert {each.command.split()[2] for each in shown} == {"index", "ask", "eval", "status", "export", "import"}
    for transcript in shown:
        replay(transcript)


def test_visits_are_learned_and_lists_asked_as_shown(replay: Callable[[Transcript], None]) -> None:
    shown = [each for each in transcripts() if each.command.startswith("pagoda recommend") and each.shown]
    assert {each.command.split()[2] for each in shown} == {"train", "ask"}
    for transcript in shown:
        replay(transcript)


@pytest.mark.usefixtures("noon")
def test_tables_are_loaded_and_dialogues_go_as_shown(replay: Callable[[Transcript], None]) -> None:
    beginnings = ("pagoda graph load", "pagoda dialogue chat")
    shown = [each for each in transcripts() if each.command.startswith(beginnings) and each.shown]
    assert [each.command.split()[1] for each in shown].count("dialogue") == 2
    for transcript in shown:
        replay(transcript)


def test_options_of_commands_that_need_more_than_a_checkout_exist() -> None:
    assert transcripts()
    for transcript in transcripts():
        name, *arguments = shlex.split(transcript.command, comments=True)
        options = [word for word in arguments if word.startswith("--")]
        if name != "pagoda" or transcript.shown or not options:
            continue
        command = [word for word in arguments[:2] if re.fullmatch("[a-z]+", word)]
        told = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, "--help"]).output
        assert not [option for option in options if option not in told], transcript.command


ACTIVATED = "source .venv/bin/activate"
# Import name -> its package, where they differ.
PACKAGES = {"yaml": "pyyaml", "bs4": "beautifulsoup4"}


def extras() -> dict[str, list[str]]:
    """Extra, or "" for what pagoda always needs -> names of its packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [re.match(r"[\w.-]+", each)[0].lower() for each in needed] for extra, needed in lists.items()}  # type: ignore[index]


def missing_advice(text: str) -> list[str]:
    """What a page tells to run before it has told how to set that up: `pagoda` and `python`, extras and packages."""
    known, missing = extras(), []
    for block in re.finditer(r"^```(python|console|shell-session)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        before, body = text[: block.start()], block[2]
        needs_pagoda = block[1] == "python" or re.search(r"^\$ (pagoda|python|pip) ", body, re.MULTILINE)
        if needs_pagoda and ACTIVATED not in before:
            missing.append(ACTIVATED)
        needed = {
            f"-e '.[{extra}]'" for extra in re.findall(r"^\$ pagoda (rag|dialogue|opinions)\b", body, re.MULTILINE)
        }
        if block[1] == "python":
            names = set(re.findall(r"^(?:from|import) (\w+)", body, re.MULTILINE)) - {
                "pagoda",
                *sys.stdlib_module_names,
            }
            present = [*known[""], *known["server"]]  # what `make setup` installs
            needed |= {PACKAGES.get(name, name) for name in names if PACKAGES.get(name, name) not in present}
        missing += [f"pip install {each}" for each in sorted(needed) if f"pip install {each}" not in before]
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_how_to_set_up_what_it_shows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert missing_advice(text) == []
    assert "pip install 'pagoda-llm" not in text  # pagoda is on no index
    for extra in re.findall(r"pip install -e '\.\[(\w+)\]'", text):
        assert extra in extras()


def test_advice_that_is_missing_is_found() -> None:
    shown = "```python\nfrom openai import OpenAI\nimport json\n```\n```shell-session\n$ pagoda rag status\n```\n"
    assert missing_advice(shown) == [ACTIVATED, "pip install openai", ACTIVATED, "pip install -e '.[rag]'"]
    told = f"{ACTIVATED} `pip install openai` `pip install -e '.[rag]'`\n"
    assert missing_advice(told + shown) == []


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = (
        [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("$ ")] for page in PAGES[:2]
    )
    assert english == chinese


def test_every_linked_file_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_file_that_is_named_exists() -> None:
    """As architecture pages name them: from the root of the checkout, or from the package's."""
    for page in PAGES:
        for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|toml|html|jsonl?))`", page.read_text("utf-8")):
            assert any((place / name).exists() for place in (ROOT, ROOT / "pagoda")), f"{page.name} names {name}"
