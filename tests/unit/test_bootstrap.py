"""`bootstrap.py` sets an environment up on machines of all kinds: what it does, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from patience import HANG_S

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script for a clone in tmp_path; what it would have pip do is kept in `.done`."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.done = []  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(module, "PLACE", str(tmp_path / ".venv" / ".place"))
    monkeypatch.setattr(module, "pip", lambda *arguments: module.done.append(arguments))
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "TORCH_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return module


@pytest.fixture
def machine(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`machine(platform, gpu, index, torch)`: what the script finds."""

    def is_such(platform: str = "linux", gpu: bool = False, index: bool = True, torch: bool = False) -> None:
        monkeypatch.setattr(bootstrap.sys, "platform", platform)
        monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: gpu)
        monkeypatch.setattr(bootstrap, "holds_torch", lambda url: index)
        monkeypatch.setattr(bootstrap, "works", lambda *arguments: torch)

    return is_such


def test_without_a_gpu_the_cpu_build_is_taken_within_pagodas_range(
    bootstrap: ModuleType, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    bootstrap.install_torch()
    assert bootstrap.done == [
        ("install", "--no-deps", "--index-url", bootstrap.CPU_INDEX, bootstrap.torch_requirement())
    ]
    assert bootstrap.torch_requirement().startswith("torch>=")
    monkeypatch.setenv("TORCH_INDEX", "https://mirror.example/cpu")
    bootstrap.install_torch()
    assert bootstrap.done[1][3] == "https://mirror.example/cpu"


@pytest.mark.parametrize(
    ("found", "variable", "told"),
    [
        ({"gpu": True}, None, "as pip takes it"),
        ({"platform": "darwin"}, None, "as pip takes it"),
        ({}, "pypi", "as pip takes it"),
        ({}, "", "as pip takes it"),
        ({"index": False}, None, "cannot be had from https://download.pytorch.org/whl/cpu"),
        ({"torch": True}, None, "torch is there"),
    ],
)
def test_otherwise_torch_is_left_to_pip_and_that_is_said(
    found: dict[str, object],
    variable: str | None,
    told: str,
    bootstrap: ModuleType,
    machine: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(**found)
    if variable is not None:
        monkeypatch.setenv("TORCH_INDEX", variable)
    bootstrap.install_torch()
    assert bootstrap.done == []
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"version": (3, 10, 9)}, "needs Python 3.11 to 3.14, this is 3.10"),
        ({"version": (3, 15, 0)}, "needs Python 3.11 to 3.14, this is 3.15"),
        ({"system": "Darwin", "machine": "x86_64"}, "no builds for Macs with Intel"),
        ({"bits": 2**31 - 1}, "no builds for 32-bit Python"),
    ],
)
def test_a_machine_that_torch_has_no_builds_for_is_told_so_at_once(
    settings: dict[str, object],
    told: str,
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", settings.get("version", (3, 12, 1)))
    monkeypatch.setattr(bootstrap.sys, "maxsize", settings.get("bits", 2**63 - 1))
    monkeypatch.setattr(bootstrap.platform, "system", lambda: settings.get("system", "Linux"))
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: settings.get("machine", "aarch64"))
    with pytest.raises(SystemExit) as leaving:
        bootstrap.check_machine()
    assert leaving.value.code == 1
    assert told in capsys.readouterr().out


def test_an_environment_is_made_where_none_runs_and_again_where_it_was_moved(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def make(arguments: list[str]) -> int:
        made.append(arguments)
        (tmp_path / ".venv").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(bootstrap, "followed", make)
    monkeypatch.setattr(bootstrap, "works", lambda *arguments: (tmp_path / ".venv").exists())
    bootstrap.make_environment()
    bootstrap.make_environment()  # now it is there
    assert len(made) == 1
    (tmp_path / ".venv" / ".place").write_text("/somewhere/else\n", encoding="utf-8")
    bootstrap.make_environment()
    assert made[1][1:] == ["-m", "venv", "--clear", str(tmp_path / ".venv")]
    assert "in another folder" in capsys.readouterr().out


def test_an_environment_behind_a_link_is_left_alone(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".venv").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(bootstrap, "works", lambda *arguments: False)
    monkeypatch.setattr(bootstrap, "followed", lambda *arguments: pytest.fail("made anew"))
    bootstrap.make_environment()


def test_what_a_process_says_is_passed_on_and_its_exit_code_is_told(
    bootstrap: ModuleType, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    says = "import sys, os; print(os.environ['WORD'], flush=True); sys.stderr.write('and fails'); sys.exit(3)"
    assert bootstrap.followed([sys.executable, "-c", says], WORD="speaks") == 3
    assert capfdbinary.readouterr().out == b"speaks\nand fails"
    assert bootstrap.followed([sys.executable, "-c", says], is_heard=False, WORD="speaks") == 3
    assert capfdbinary.readouterr().out == b""


def test_seconds_of_silence_are_counted_but_never_inside_a_line(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    now = [0.0]
    monkeypatch.setattr(bootstrap.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bootstrap.sys.stdout, "isatty", lambda: True, raising=False)
    read_end, write_end = os.pipe()
    relay = bootstrap.Relay(read_end)
    for second in (1, 2):
        now[0] = second
        relay.count()
    os.write(write_end, b"half a")
    os.close(write_end)
    relay.run()
    now[0] = 9
    relay.count()
    shown = capfdbinary.readouterr().out
    assert shown == b"      1 s\r\x1b[K      2 s\r\x1b[Khalf a"


def test_it_speaks_the_locales_language_and_survives_one_that_cannot_write_it() -> None:
    program = "import sys; sys.argv = ['x']; import bootstrap; bootstrap.say('venv')"
    for settings, told in {
        ("zh_CN.UTF-8", "utf-8"): "[1/3] 在 .venv 中建立 Python 环境",
        ("zh_CN.GBK", "ascii"): "[1/3] ? .venv ??? Python ??",
        ("C", "ascii"): "[1/3] a Python environment in .venv",
    }.items():
        environment = {**os.environ, "LC_ALL": settings[0], "PYTHONIOENCODING": settings[1]}
        shown = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env=environment, cwd=ROOT, timeout=HANG_S
        )
        assert shown.stdout.decode().strip() == told


def test_both_languages_say_the_same_things(bootstrap: ModuleType) -> None:
    assert bootstrap.ENGLISH.keys() == bootstrap.CHINESE.keys()
    for name, english in bootstrap.ENGLISH.items():
        fields = [
            sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in (english, bootstrap.CHINESE[name])
        ]
        assert set(fields[0]) == set(fields[1]), name
