"""The address of a graph on a command line: where its password comes from, and what is told where it does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.errors import ConfigError
from pagoda.graph.access import GraphAddress
from pagoda.graph.errors import GraphAuthError
from pagoda.graph.graph import Graph

URI = "bolt://graph.example.org:7687"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What a connection was asked for, in place of one."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Graph, "connect", lambda *given: calls.append(given))
    return calls


@pytest.mark.parametrize(
    ("address", "environment", "given"),
    [
        (GraphAddress(URI), {"NEO4J_PASSWORD": "p"}, (URI, "neo4j", "p", None)),
        (GraphAddress(URI), {}, (URI, "neo4j", None, None)),
        (GraphAddress(URI, "me", "MINE", "films"), {"MINE": "q", "NEO4J_PASSWORD": "p"}, (URI, "me", "q", "films")),
        (GraphAddress(URI), {"NEO4J_PASSWORD": ""}, (URI, "neo4j", "", None)),
    ],
)
def test_the_password_comes_from_the_environment_or_there_is_none(
    asked: list[tuple[Any, ...]], address: GraphAddress, environment: dict[str, str], given: tuple[Any, ...]
) -> None:
    address.opened(environment)
    assert asked == [given]


def test_a_variable_that_is_named_must_be_set(asked: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ConfigError, match="MINE is not set"):
        GraphAddress(URI, password_env="MINE").opened({"NEO4J_PASSWORD": "p"})
    assert not asked


@pytest.mark.parametrize(("environment", "told"), [({}, "asks for a password"), ({"NEO4J_PASSWORD": "p"}, "refused")])
def test_a_server_that_wants_a_password_says_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], told: str
) -> None:
    def refuse(*given: Any) -> Graph:
        raise GraphAuthError("refused")

    monkeypatch.setattr(Graph, "connect", refuse)
    with pytest.raises(GraphAuthError, match=told):
        GraphAddress(URI).opened(environment)


def test_no_password_is_no_authentication_of_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    import neo4j

    seen: list[Any] = []
    monkeypatch.setattr(neo4j.GraphDatabase, "driver", lambda uri, auth, **settings: seen.append(auth))
    from pagoda.graph.driver import Account, Endpoint, GraphDriver

    GraphDriver(Endpoint(URI, Account("neo4j", None)), retry_s={"read": 1, "write": 1}, connect_s=1)
    GraphDriver(Endpoint(URI, Account("neo4j", "p")), retry_s={"read": 1, "write": 1}, connect_s=1)
    assert seen == [None, None, ("neo4j", "p"), ("neo4j", "p")]


def test_options_that_were_left_out_are_the_usual_ones_and_no_address_is_none() -> None:
    assert GraphAddress.given(URI) == GraphAddress.given(URI, None, "", None) == GraphAddress(URI)
    assert GraphAddress.given(URI, "me", "MINE", "films") == GraphAddress(URI, "me", "MINE", "films")
    assert GraphAddress.given(None, "me") is None
