"""What a failure of the driver or the server means to whoever asked: one of the errors in `errors`.

Stands where rows would come back: statement -> driver -> *failure* -> caller. Told apart by class and status code,
never by text: ArcadeDB in production mode blanks its texts, and Neo4j's differ by version. The text goes to the log
under the statement's id. Status codes: Neo4j manual, "Neo4j error codes".
"""

from __future__ import annotations

import logging

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

_LOGGER = logging.getLogger(__name__)
# Who sets up no log is to see none of the driver's words on the terminal either.
_LOGGER.addHandler(logging.NullHandler())
_TIMED_OUT = (
    "Neo.ClientError.Transaction.TransactionTimedOut",
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
    "Neo.TransientError.Transaction.TransactionTimedOut",
)
_MAY_NOT_WRITE = ("Neo.ClientError.Security.Forbidden", "Neo.ClientError.Statement.AccessMode")
_NOT_THERE = ("Neo.ClientError.Database.DatabaseNotFound",)
_DUPLICATE = ("Neo.ClientError.Schema.ConstraintValidationFailed",)


def graph_error(error: Exception, *, where: str, statement_id: str = "", timeout_s: float = 0.0) -> GraphError:
    """Our error for one of the driver's.

    where: the address and database, for messages to the operator
    timeout_s: that the statement had
    """
    _LOGGER.warning("statement %s: %s: %s", statement_id or "-", type(error).__name__, error)
    code = str(getattr(error, "code", "") or "")
    if code in _TIMED_OUT:
        return timed_out(statement_id, timeout_s)
    if code in _NOT_THERE:
        return GraphDatabaseError(f"the graph server has no database as named in {where}: check the name")
    if code in _MAY_NOT_WRITE:
        return GraphReadOnlyError(
            f"the statement{_named(statement_id)} may not do what it tried: send what writes through Graph.write, "
            "and check the account's rights",
            statement_id=statement_id,
        )
    if code in _DUPLICATE:
        return GraphConflictError(
            f"the statement{_named(statement_id)} would give a second node the same unique key: nothing was written",
            statement_id=statement_id,
        )
    if code.startswith("Neo.ClientError.Security"):
        return GraphAuthError(f"the graph server at {where} refuses this user and password: check both")
    return _unavailable_or_faulty(error, code, where, statement_id)


def timed_out(statement_id: str, timeout_s: float, *, by_client: bool = False) -> GraphTimeoutError:
    """The error of a statement that ran too long."""
    return GraphTimeoutError(
        f"the statement{_named(statement_id)} ran longer than {timeout_s:g} s and was given up: ask for less, or "
        "allow more with timeout_s",
        ended_by="client" if by_client else "server",
    )


def _unavailable_or_faulty(error: Exception, code: str, where: str, statement_id: str) -> GraphError:
    """A server that cannot answer now, or else a statement that it will never take."""
    import neo4j.exceptions as driver

    passing = (driver.ServiceUnavailable, driver.SessionExpired, driver.TransientError, driver.ConnectionPoolError)
    # A driver that another thread has closed to open a new one says so with a plain DriverError.
    if isinstance(error, passing) or (isinstance(error, driver.DriverError) and not code) or isinstance(error, OSError):
        return GraphUnavailableError(
            f"the graph at {where} does not answer: check that the server runs and is reached from here, and try again"
        )
    return GraphQueryError(
        f"the graph server refused the statement{_named(statement_id)}: the log has its reason",
        statement_id=statement_id,
    )


def _named(statement_id: str) -> str:
    return f' "{statement_id}"' if statement_id else ""
