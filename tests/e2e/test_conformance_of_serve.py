"""`pagoda conformance` against `pagoda serve`: every check holds, those for keys, CORS and overload too."""

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

from patience import HANG_S

Serving = Callable[..., AbstractContextManager[Any]]
SETTINGS = ("--no-access-log", "--allowed-origin", "https://example.org", "--max-num-waiting", "8")


def conformance(*arguments: str, **environment: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("pagoda")), "conformance", *arguments, "--json"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=HANG_S, env=os.environ | environment, check=False
    )
    assert ended.returncode in (0, 1), ended.stderr
    return dict(json.loads(ended.stdout))


@pytest.fixture(scope="module")
def report(serving: Serving) -> dict[str, Any]:
    """The checks' results for a server that uses what there is to check."""
    with serving(*SETTINGS, "--max-num-seqs", "16", environment={"PAGODA_API_KEY": "one-key"}) as server:
        return conformance(server.url, "--api-key-env", "KEY", "--timeout", "240", KEY="one-key")


def test_no_check_fails(report: dict[str, Any]) -> None:
    failed = {check["name"]: check for check in report["checks"] if check["verdict"] == "failed"}
    assert not failed, "\n".join(f"{name}: {check}" for name, check in failed.items())


def test_next_to_nothing_is_skipped(report: dict[str, Any]) -> None:
    """The built-in model may not end a free JSON object; everything else applies."""
    skipped = {check["name"] for check in report["checks"] if check["verdict"] == "skipped"}
    assert skipped <= {"structured.json_object"}
    assert report["score"]["held"] >= 160
