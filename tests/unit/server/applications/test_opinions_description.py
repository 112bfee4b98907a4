"""What the description tells of /v1/opinions against what it does: no status that is not told, and no fault of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from opinion_items import ByTitle, ToldReader, stream
from pagoda.opinions.watching import monitor as monitor_module
from pagoda.opinions.watching.monitor import Monitor
from pagoda.server.app import build_app
from pagoda.server.applications.application import service_of
from pagoda.server.applications.opinions_service import OpinionsService
from pagoda.server.config import ServerConfig

schemathesis = pytest.importorskip("schemathesis")
CHECKED = ("not_a_server_error", "status_code_conformance", "content_type_conformance")


@pytest.fixture(params=["", "webhook: {keys: ['env:HOOKS']}\n"], ids=["open", "closed"])
def served(
    fake_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[FastAPI]:
    """A server whose watch has taken a stream of items."""
    monkeypatch.setattr(monitor_module, "default_reader", lambda config: ToldReader())
    monkeypatch.setattr(Monitor.__init__, "__kwdefaults__", {**Monitor.__init__.__kwdefaults__, "stories": ByTitle})
    monkeypatch.setenv("HOOKS", "hook")
    (tmp_path / "companies.csv").write_text("id,name\nacme,Acme\nborel,Borel\ncindal,Cindal\n")
    rules = "rules: [{name: wave, window: 2h, when: {negative: {at_least: 2}}}]\n"
    (tmp_path / "watch.yaml").write_text(f"companies: companies.csv\n{rules}{request.param}")
    with Monitor(tmp_path / "watch.yaml") as monitor:
        monitor.ingest(stream(3, 60))
    app = build_app(
        fake_engine, ServerConfig(access_log=False, opinions=tmp_path / "watch.yaml", allowed_hosts=("testserver",))
    )
    with TestClient(app) as client:
        assert client.get("/v1/opinions").json()["num_articles"] == 60
        yield app
        assert client.portal is not None
        client.portal.call(service_of(app, OpinionsService).close)


def test_every_operation_does_what_it_tells(served: FastAPI) -> None:
    from schemathesis import checks

    found = [result.ok() for result in schemathesis.openapi.from_asgi("/openapi.json", served).get_all_operations()]
    operations = [operation for operation in found if operation.path.startswith("/v1/opinions")]
    assert len(operations) == 12
    for operation in operations:
        _check(operation, [getattr(checks, name) for name in CHECKED])


def _check(operation: Any, checks: list[Any]) -> None:
    @settings(max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(checks=checks)

    holds()
