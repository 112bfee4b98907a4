"""What several rooms test with: the command line, called in this process, and the graph with the shipped city in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from pagoda.cli.app import app
from pagoda.dialogue.domain.city import city
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """`invoke(*arguments, stdin=None, **environment)`: what the command prints, in English unless told otherwise."""

    def run(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
        runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
        return runner.invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture(scope="session")
def city_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """Shared by all tests of a session: what a test writes, it writes under ids of its own.

    The folder is the same for every conftest that asks for it, and Graphs of one folder share their server.
    """
    with Graph.embedded(tmp_path_factory.getbasetemp() / "city-graph", timeout_s=60.0) as graph:
        load(graph, city())
        yield graph
