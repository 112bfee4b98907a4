"""The embedded graph with the shipped city in it, started once for a test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pagoda.dialogue.domain.city import city
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load


@pytest.fixture(scope="session")
def city_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """Shared by all tests of a session: what a test writes, it writes under ids of its own.

    The folder is the same for every conftest that asks for it, and Graphs of one folder share their server.
    """
    with Graph.embedded(tmp_path_factory.getbasetemp() / "city-graph", timeout_s=5.0) as graph:
        load(graph, city())
        yield graph
