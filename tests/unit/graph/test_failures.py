"""Errors of the driver become ours by class and code, and none of their words come through."""

from __future__ import annotations

import logging

import pytest
from neo4j import exceptions as driver

from pagoda.graph.errors import (
    GraphAuthError,
    GraphConflictError,
    GraphDatabaseError,
    GraphError,
    GraphQueryError,
    GraphReadOnlyError,
    GraphTimeoutError,
    GraphUnavailableError,
)
from pagoda.graph.failures import graph_error, timed_out

SECRET = "MATCH (n) -- the words of the driver"


class ServerError(driver.Neo4jError):
    """An answer of the server with a status code, as the driver would make it."""

    def __init__(self, code: str) -> None:
        super().__init__(SECRET)
        self._code = code

    @property
    def code(self) -> str:
        return self._code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Neo.ClientError.Security.Unauthorized", GraphAuthError),
        ("Neo.ClientError.Security.AuthenticationRateLimit", GraphAuthError),
        ("Neo.ClientError.Security.Forbidden", GraphReadOnlyError),
        ("Neo.ClientError.Statement.AccessMode", GraphReadOnlyError),
        ("Neo.ClientError.Database.DatabaseNotFound", GraphDatabaseError),
        ("Neo.ClientError.Transaction.TransactionTimedOut", GraphTimeoutError),
        ("Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration", GraphTimeoutError),
        ("Neo.ClientError.Schema.ConstraintValidationFailed", GraphConflictError),
        ("Neo.ClientError.Statement.SyntaxError", GraphQueryError),
        ("Neo.DatabaseError.General.UnknownError", GraphQueryError),
    ],
)
def test_a_status_code_becomes_an_error_of_ours_without_the_words_of_the_driver(
    code: str, kind: type[GraphError]
) -> None:
    error = graph_error(ServerError(code), where="bolt://here/pagoda", statement_id="find.1", timeout_s=2.0)
    assert type(error) is kind
    assert SECRET not in str(error)
    assert "Neo." not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        driver.ServiceUnavailable(SECRET),
        driver.SessionExpired(SECRET),
        driver.TransientError(SECRET),
        driver.DriverError(SECRET),
        ConnectionResetError(SECRET),
    ],
)
def test_a_connection_that_breaks_is_an_error_to_try_again_after(error: Exception) -> None:
    ours = graph_error(error, where="bolt://here/pagoda")
    assert isinstance(ours, GraphUnavailableError)
    assert "bolt://here/pagoda" in str(ours)
    assert SECRET not in str(ours)


def test_the_words_of_the_driver_go_to_the_log_under_the_id_of_the_statement(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        error = graph_error(ServerError("Neo.ClientError.Statement.SyntaxError"), where="x", statement_id="find.7")
    assert isinstance(error, GraphQueryError)
    assert error.statement_id == "find.7"
    assert SECRET in caplog.text
    assert "find.7" in caplog.text


def test_a_timeout_says_who_ended_the_statement() -> None:
    assert timed_out("find.1", 2.0).ended_by == "server"
    assert timed_out("find.1", 2.0, by_client=True).ended_by == "client"
