"""What is begun before the agent is there: the graph's server and the readers, given back whatever comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.cli.dialogue.ahead import begun_ahead
from pagoda.graph.errors import GraphFolderError
from pagoda.graph.graph import Graph


class Opened:
    """A graph that knows whether it was given back."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagoda.dialogue.learned.import_readers", lambda: None)


def test_the_server_is_started_and_given_back_though_the_agent_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened, asked = Opened(), list[Path]()
    monkeypatch.setattr(Graph, "embedded", lambda folder: asked.append(folder) or opened)
    with pytest.raises(KeyError), begun_ahead(tmp_path):
        raise KeyError("the agent")
    assert asked == [tmp_path / "graph"]
    assert opened.is_closed


def test_what_goes_wrong_is_left_to_the_agent_to_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(folder: Path) -> Graph:
        raise GraphFolderError(f"{folder} is in use")

    monkeypatch.setattr(Graph, "embedded", refused)
    with begun_ahead(tmp_path):
        pass
