"""The API's description against the API: what schemathesis makes of the one must not surprise the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig

schemathesis = pytest.importorskip("schemathesis")
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


def test_no_status_and_no_body_comes_that_the_description_does_not_tell(fake_engine: Any) -> None:
    from schemathesis import checks

    app = build_app(fake_engine, ServerConfig(access_log=False, allowed_hosts=("testserver",)))
    operations = [found.ok() for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        _check(operation, [getattr(checks, name) for name in CHECKED])


def _check(operation: Any, checks: list[Any]) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(checks=checks)

    holds()
