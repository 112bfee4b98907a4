"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from pagoda.cli.app import app


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """`invoke(*arguments, stdin=None, **environment)`: what the command prints, in English unless told otherwise."""

    def run(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
        runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
        return runner.invoke(app, list(arguments), input=stdin)

    return run
