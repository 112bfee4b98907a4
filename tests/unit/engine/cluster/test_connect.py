"""Which cluster a driver joins, without starting one."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

pytest.importorskip("ray")

import ray

from pagoda.engine.cluster import rank_actors


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray is asked for; an argument that it does not take, or takes twice, raises as it would there."""
    takes = inspect.signature(ray.init)
    found = list[dict[str, Any]]()
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *args, **given: found.append(takes.bind(*args, **given).arguments))
    monkeypatch.setattr(rank_actors, "_check_reachable", lambda address: None)
    return found


def test_without_an_address_a_cluster_of_this_host_alone_is_made(
    joined: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert rank_actors.connect() is True
    assert joined[0]["address"] == "local"
    assert joined[0]["include_dashboard"] is False
    assert joined[0]["kwargs"]["_node_ip_address"] == "127.0.0.1"


def test_a_named_cluster_is_joined_and_is_not_ours(
    joined: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert rank_actors.connect() is False
    assert joined[0]["address"] == "10.0.0.1:6379"


def test_where_ray_runs_already_nothing_is_made(joined: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    assert rank_actors.connect() is False
    assert joined == []
