"""How a server opens its dialogue: with the operator's domain, graph, understanding, clock; and how it is stopped."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pagoda.dialogue import agent as agents
from pagoda.errors import ConfigError
from pagoda.graph.access import GraphAddress
from pagoda.graph.graph import Graph
from pagoda.server.applications.dialogue import application
from pagoda.server.applications.dialogue_service import DialogueService, Opening
from pagoda.server.config import ServerConfig
from patience import HANG_S

ENGINE: Any = SimpleNamespace(args=SimpleNamespace(model=None))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What an agent was opened with, in place of one."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(agents, "DialogueAgent", lambda *given, **named: calls.append((given, named)))
    monkeypatch.setattr(Graph, "connect", lambda *given: given)
    return calls


def test_what_the_operator_says_reaches_the_agent(
    opened: list[tuple[tuple[Any, ...], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "secret")
    config = ServerConfig(
        dialogue=Path("d"), domain=Path("my.yaml"), graph="bolt://g:1", graph_user="me", graph_password_env="MINE",
        graph_database="films", trained=Path("t"), timezone="Asia/Shanghai",
    )  # fmt: skip
    made = application(config, ENGINE)
    assert made is not None
    made.service._opener(Path("d"), ENGINE, asyncio.new_event_loop())
    [((domain, graph, trained, model), named)] = opened
    assert (domain, trained, model) == (Path("my.yaml"), Path("t"), None)
    assert graph == ("bolt://g:1", "me", "secret", "films")
    assert (named["folder"], named["owns_graph"], named["settings"].timezone) == (Path("d"), True, "Asia/Shanghai")


def test_without_an_address_the_graph_is_the_folders_own(opened: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
    Opening()(Path("d"), ENGINE, asyncio.new_event_loop())
    [((domain, graph, trained, _), named)] = opened
    assert (domain, graph, trained, named["settings"].strategy) == (None, None, None, "intent_first")


def test_a_wrong_zone_or_variable_is_told_when_it_is_opened(
    opened: list[tuple[tuple[Any, ...], dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINE", raising=False)
    for opening, told in (
        (Opening(timezone="Mars"), "no zone of IANA's"),
        (Opening(graph=GraphAddress("bolt://g:1", password_env="MINE")), "MINE is not set"),
    ):
        with pytest.raises(ConfigError, match=told):
            opening(Path("d"), ENGINE, asyncio.new_event_loop())
    assert not opened


def test_closing_a_service_ends_the_learning_that_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a server learns its sentences: it must not go on learning for minutes."""
    learning, ended = threading.Event(), list[str]()

    def learn(*given: Any, settings: Any, **named: Any) -> Any:
        try:
            while True:
                settings.on_progress("training", 1, 2)
                learning.set()
        except ConfigError as error:
            ended.append(str(error))
            raise

    monkeypatch.setattr(agents, "DialogueAgent", learn)

    async def main() -> None:
        service = DialogueService(Path("d"), ENGINE, Opening())
        starting = asyncio.create_task(service.start())
        await asyncio.to_thread(learning.wait, HANG_S)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.close()

    asyncio.run(main())  # waits for its threads
    assert ended == ["the server is stopping: nothing was learned"]
