"""The official `neo4j` driver, held to what pagoda needs of it: two accounts, managed retries, plain rows.

Stands between the door and the server: statement -> Graph -> *driver* -> server -> rows. Reads go through the reader's
account in a READ session (Neo4j enforces the mode, ArcadeDB only the account), writes through the writer's.
Synchronous, to be called from threads. Bolt protocol 5; Neo4j Driver Manual, "Run your own transactions".
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from pagoda.errors import MissingExtraError

if TYPE_CHECKING:
    import neo4j

Row = dict[str, Any]
Access = Literal["read", "write"]
# A conflict of two writers is over in milliseconds; the driver's own first wait is a second.
_FIRST_RETRY_S = 0.02
_NUM_CONFLICTS = 5
# The driver writes nanoseconds that nobody stored: 10:00:00.000000000.
_EMPTY_FRACTION = re.compile(r"\.0+(?=\D|$)")


@dataclass(frozen=True)
class Account:
    """A user of the server. password: None where the server asks for none"""

    user: str
    password: str | None = field(repr=False)


@dataclass(frozen=True)
class Endpoint:
    """Where a graph is and who asks. database: None for the user's home database; reader: None to read as the writer"""

    uri: str
    writer: Account
    reader: Account | None = None
    database: str | None = None


class GraphDriver:
    """Connections to one endpoint. Safe to use from many threads; raises the driver's own errors.

    retry_s: how long the driver tries a transaction again that the server or the network ended
    """

    def __init__(self, endpoint: Endpoint, *, retry_s: Mapping[Access, float], connect_s: float) -> None:
        bolt = _neo4j()
        self._database = endpoint.database
        settings = {
            "connection_timeout": connect_s,
            "connection_acquisition_timeout": connect_s + 5.0,
            "initial_retry_delay": _FIRST_RETRY_S,
            "telemetry_disabled": True,
            "user_agent": "pagoda",
        }
        accounts: dict[Access, Account] = {"write": endpoint.writer, "read": endpoint.reader or endpoint.writer}
        self._drivers: dict[Access, neo4j.Driver] = {
            access: bolt.GraphDatabase.driver(
                endpoint.uri,
                auth=None if account.password is None else (account.user, account.password),
                max_transaction_retry_time=retry_s[access],
                **settings,
            )
            for access, account in accounts.items()
        }

    def run(self, access: Access, text: str, parameters: Mapping[str, Any], timeout_s: float) -> list[Row]:
        """Run one statement in a transaction of its own, again where the server asks for it, and give its rows.

        timeout_s: asked of the server; one that ignores it (ArcadeDB) has a limit of its own
        """
        bolt = _neo4j()

        @bolt.unit_of_work(timeout=timeout_s)
        def work(transaction: neo4j.ManagedTransaction) -> list[Row]:
            return [plain(record.items()) for record in transaction.run(text, dict(parameters))]

        mode = bolt.READ_ACCESS if access == "read" else bolt.WRITE_ACCESS
        with self._drivers[access].session(database=self._database, default_access_mode=mode) as session:
            if access == "read":
                rows: list[Row] = session.execute_read(work)
                return rows
            return _again_after_conflict(lambda: session.execute_write(work))

    def close(self) -> None:
        """Close every connection; one that is broken already is no error."""
        for driver in self._drivers.values():
            with contextlib.suppress(Exception):
                driver.close()


def _again_after_conflict(write: Callable[[], list[Row]]) -> list[Row]:
    """Two MERGEs of one new key: ArcadeDB tells the later that the key is taken, where Neo4j would make it wait.

    Run again, it finds the node. A statement that really makes a duplicate fails every time.
    """
    from neo4j.exceptions import ConstraintError

    for attempt in range(1, _NUM_CONFLICTS):
        try:
            return write()
        except ConstraintError:
            time.sleep(random.uniform(0, _FIRST_RETRY_S * attempt))
    return write()


def plain(items: Any) -> Row:
    """A record or the properties of a node as a dictionary of JSON's types; times become ISO 8601 text."""
    return {key: _plain(value) for key, value in items}


def _plain(value: Any) -> Any:
    # Before lists: a duration is a tuple, too.
    if hasattr(value, "iso_format"):
        return _EMPTY_FRACTION.sub("", value.iso_format())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # Node, Relationship and a map all have items().
    if hasattr(value, "items"):
        return plain(value.items())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    # JSON has no such numbers, and a client of ours would stumble over them.
    return None if isinstance(value, float) and not isfinite(value) else value


def _neo4j() -> Any:
    try:
        import neo4j
    except ModuleNotFoundError as error:
        raise MissingExtraError("the graph (neo4j)", "dialogue") from error
    # The driver warns of each retry, and Python would print that where no log is set up.
    log = logging.getLogger("neo4j")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return neo4j
