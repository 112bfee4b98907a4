"""Servers for the end-to-end tests: those that tests share, a graph among them, and as many as they start."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from pagoda.dialogue.assembly import lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import understanding_of
from pagoda.dialogue.reading.linking import Linker
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.nlu.understanding import Understander
from patience import HANG_S, until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


class RunningServer:
    """A `pagoda serve` of its own, at a free port."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [str(Path(sys.executable).with_name("pagoda")), "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: any("/v1" in line for line in self.log) or self.process.poll() is not None)
        self.url = re.findall(r"https?://[0-9.:]+", "".join(self.log))[0]
        self.client = httpx.Client(base_url=self.url, timeout=HANG_S)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def metric(self, name: str) -> float:
        """The sum over a metric's series."""
        page = self.client.get("/metrics").text
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"pagoda:{name}{{"))

    def engine_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[-1])

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """The engine does nothing, so that what runs or waits goes on to do so."""
        engine = self.engine_pid()
        os.kill(engine, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(engine, signal.SIGCONT)

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end, and for the last line of its log; its exit code."""
        code = self.process.wait(HANG_S)
        self._reader.join(HANG_S)
        return code


@contextmanager
def _serving(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[RunningServer]:
    server = RunningServer(*arguments, environment=environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[RunningServer]]:
    """`with serving(*arguments, environment=None) as server`: a `pagoda serve` of the test's own."""
    return _serving


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """One that tests share; each leaves it idle."""
    with _serving("--no-access-log") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium; each test opens contexts of its own."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the clients extra")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"needs one of {', '.join(BROWSERS)} on PATH (Debian: apt-get install chromium)")
    playwright_api.expect.set_options(timeout=HANG_S * 1000)
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def city_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The embedded graph with the shipped city, the same that the unit tests share: one server for a session."""
    with Graph.embedded(tmp_path_factory.getbasetemp() / "city-graph", timeout_s=60.0) as graph:
        load(graph, city())
        yield graph


@pytest.fixture(scope="session")
def city_understanding_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shipped domain's fast understanding is kept while the suite runs; parallel workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "understanding"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def city_understanding(city_graph: Graph, city_understanding_folder: Path) -> Understander:
    """The shipped domain's fast understanding, trained once, by whichever worker comes first."""
    domain = Domain.load()
    lexicon = lexicon_of(domain, Linker.from_graph(domain, city_graph))
    with FileLock(city_understanding_folder.with_suffix(".lock")):
        return understanding_of(domain, lexicon, city_understanding_folder)
