"""What the description tells of /v1/rag against what it does: no status that is not told, and no fault of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pagoda.chat.scripted import ScriptedChatModel
from pagoda.rag.pipeline import RAG
from pagoda.server.access import Collection
from pagoda.server.app import build_app
from pagoda.server.applications.application import service_of
from pagoda.server.applications.rag_collections import RagCollections
from pagoda.server.config import ServerConfig

schemathesis = pytest.importorskip("schemathesis")
CHECKED = ("not_a_server_error", "status_code_conformance", "content_type_conformance")


@pytest.mark.parametrize("readers", [None, ("key",)], ids=["open", "closed"])
def test_every_operation_does_what_it_tells(
    fake_engine: Any, word_embedder: Any, tmp_path: Path, readers: tuple[str, ...] | None
) -> None:
    from schemathesis import checks

    named = (Collection("first", tmp_path / "a", readers), Collection("second", tmp_path / "b"))
    app = build_app(fake_engine, ServerConfig(access_log=False, collections=named, allowed_hosts=("testserver",)))
    for service in service_of(app, RagCollections).services():
        service._opener = lambda path, engine, loop: RAG(path, ScriptedChatModel(["Yes."]), embedder=word_embedder)
    found = [result.ok() for result in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
    operations = [operation for operation in found if operation.path.startswith("/v1/rag")]
    assert len(operations) >= 12
    for operation in operations:
        _check(operation, [getattr(checks, name) for name in CHECKED])


def _check(operation: Any, checks: list[Any]) -> None:
    @settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(checks=checks)

    holds()
