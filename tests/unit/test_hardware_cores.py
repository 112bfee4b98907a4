"""How many cores a process may keep busy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pagoda import hardware


@pytest.mark.parametrize(("limit", "expected"), [("max 100000", 4), ("200000 100000\n", 2), ("50000 100000", 1)])
def test_a_containers_limit_counts(limit: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(hardware, "Path", lambda name: tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert hardware.usable_cores() == expected
