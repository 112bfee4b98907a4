"""The door of the room: statements of Cypher go in, plain rows or one of our errors come out.

Stands between whoever asks and the driver: statement -> *Graph* -> driver -> server -> rows. One code path for an
embedded server and for any Neo4j. A statement has a time limit on both sides; an embedded server that has died, or
hangs, is started again under the call that finds it so. Threads may share a Graph.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pagoda.errors import ConfigError, PagodaError
from pagoda.graph.driver import Access, Account, Endpoint, GraphDriver, Row
from pagoda.graph.embedded import ServerSettings
from pagoda.graph.errors import GraphError, GraphTimeoutError, GraphUnavailableError
from pagoda.graph.failures import graph_error, timed_out
from pagoda.graph.schema import GraphSchema, read_schema
from pagoda.graph.shared_server import SharedServer
from pagoda.graph.subgraph import Subgraph, read_subgraph

# What the server's own limit may overrun, and what conflicts of writers may take, before the client gives up.
_GRACE_S, _RETRY_S = 0.5, 5.0
_CONNECT_S = 5.0
# How often a wait for rows looks whether the server is still there.
_LOOK_S = 0.1
_ADDRESS = re.compile(r"(bolt|neo4j)(\+s|\+ssc)?://[^/\s]+")


class Graph:
    """Reads and writes one graph. Made by `connect` or `embedded`; close it, or use it in a `with` statement."""

    def __init__(self, endpoint: Callable[[], Endpoint], timeout_s: float, server: SharedServer | None = None) -> None:
        self._timeout_s = timeout_s
        self._find_endpoint = endpoint
        self._server = server
        self._lock = threading.Lock()
        self._driver: GraphDriver | None = None
        self._where = ""
        self._is_closed = False
        self._schema: GraphSchema | None = None

    @classmethod
    def connect(
        cls,
        uri: str,
        user: str = "neo4j",
        password: str | None = None,
        database: str | None = None,
        *,
        reader: tuple[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Graph:
        """A graph on a Neo4j server, or any that speaks Bolt 5. Asks it one thing, so that mistakes show here.

        uri: such as neo4j+s://graph.example.org or bolt://localhost:7687
        password: None for a server that asks for none (NEO4J_AUTH=none)
        reader: user and password for what only reads; None reads as `user`, in sessions that Neo4j holds to reading

        Raises GraphUnavailableError, GraphAuthError, GraphDatabaseError, ConfigError for an address that is none.
        """
        if not _ADDRESS.match(uri):
            raise ConfigError(f"{uri!r} is no address of a graph: give one such as bolt://localhost:7687")
        endpoint = Endpoint(uri, Account(user, password), Account(*reader) if reader else None, database)
        graph = cls(lambda: endpoint, timeout_s)
        try:
            graph._check()
        except BaseException:
            graph.close()
            raise
        return graph

    @classmethod
    def embedded(
        cls,
        folder: str | Path,
        *,
        timeout_s: float = 10.0,
        port: int | None = None,
        heap_mb: int = 256,
        lock_timeout_s: float = 5.0,
    ) -> Graph:
        """A graph in a folder, over a server process that starts with it and ends when its last Graph is closed.

        Graphs of one folder share the server, within this process; another process gets GraphFolderError.
        timeout_s: of a statement, which is also the server's own limit
        port: of Bolt on loopback; None for any that is free

        Raises GraphFolderError, GraphStartError, MissingExtraError.
        """
        settings = ServerSettings(timeout_s=timeout_s, port=port, heap_mb=heap_mb, lock_timeout_s=lock_timeout_s)
        server = SharedServer.of(Path(folder), settings)
        graph = cls(server.endpoint, timeout_s, server)
        try:
            graph._check()
        except BaseException:
            graph.close()
            raise
        return graph

    def read(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        statement_id: str = "",
    ) -> list[Row]:
        """The rows of a statement that only reads, as dictionaries of JSON's types.

        timeout_s: None for the graph's
        statement_id: names the statement in messages and in the log

        Raises GraphUnavailableError, GraphTimeoutError, GraphReadOnlyError, GraphQueryError.
        """
        return self._run("read", text, parameters or {}, timeout_s, statement_id)

    def write(
        self,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        statement_id: str = "",
    ) -> list[Row]:
        """The rows of a statement that writes. It may be run twice, where the first answer is lost: MERGE by a key.

        Raises as `read` does, and GraphConflictError.
        """
        return self._run("write", text, parameters or {}, timeout_s, statement_id)

    @property
    def server_process_id(self) -> int | None:
        """Of the embedded server, for those who watch it; None for a server elsewhere."""
        return self._server.process_id if self._server is not None else None

    def schema(self, *, refresh: bool = False) -> GraphSchema:
        """What the graph holds; remembered until a load or `refresh`."""
        if self._schema is None or refresh:
            self._schema = read_schema(self.read)
        return self._schema

    def subgraph(self, keys: Sequence[Any], *, limit: int = 60) -> Subgraph:
        """The nodes with these ids or names (either language), and what is one relation away, for drawing."""
        return read_subgraph(self.read, keys, limit)

    def close(self) -> None:
        """Close connections; the last Graph of an embedded server ends it. A second call does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._drop_driver()
        if self._server is not None:
            self._server.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        self.read("RETURN 1 AS one", statement_id="graph.check")

    def _run(
        self, access: Access, text: str, parameters: Mapping[str, Any], timeout_s: float | None, statement_id: str
    ) -> list[Row]:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        driver = self._connected()
        try:
            return self._attempt(driver, access, text, parameters, limit_s, statement_id)
        except GraphUnavailableError:
            self._forget(driver)
            # Only a server of our own can be brought back; every statement here may be run twice.
            if self._server is None:
                raise
        except GraphTimeoutError as error:
            if error.ended_by == "client":
                self._forget(driver)
            raise
        return self._attempt(self._connected(), access, text, parameters, limit_s, statement_id)

    def _attempt(
        self, driver: GraphDriver, access: Access, text: str, parameters: Mapping[str, Any], limit_s: float, name: str
    ) -> list[Row]:
        """One run under the client's own limit, with every error translated."""
        waits_s = limit_s + (_GRACE_S if access == "read" else _RETRY_S)
        try:
            return _within(
                waits_s, lambda: driver.run(access, text, parameters, limit_s), lambda: self._is_stale(driver)
            )
        except TimeoutError as error:
            raise timed_out(name, limit_s, by_client=True) from error
        except PagodaError:
            raise
        except Exception as error:
            raise graph_error(error, where=self._where, statement_id=name, timeout_s=limit_s) from error

    def _is_stale(self, driver: GraphDriver) -> bool:
        """Whether it looks for a server of ours that is gone; another thread may have started the next one already."""
        return self._server is not None and (driver is not self._driver or not self._server.is_running())

    def _connected(self) -> GraphDriver:
        """The driver, new where there is none or the embedded server is another than it was opened for."""
        with self._lock:
            if self._is_closed:
                raise GraphError("the graph is closed: open it again with Graph.connect or Graph.embedded")
            if self._driver is not None and not self._is_stale(self._driver):
                return self._driver
            self._drop_driver()
            endpoint = self._find_endpoint()
            self._where = endpoint.uri + (f"/{endpoint.database}" if endpoint.database else "")
            # Reads are to give up looking for a lost server before their own limit hides that it is lost.
            retries: dict[Access, float] = {"read": min(_RETRY_S, self._timeout_s / 3), "write": _RETRY_S}
            self._driver = GraphDriver(endpoint, retry_s=retries, connect_s=_CONNECT_S)
            return self._driver

    def _forget(self, driver: GraphDriver) -> None:
        """Open new connections next time, to a server that is seen to answer."""
        with self._lock:
            if self._driver is not driver:
                return
            self._drop_driver()
        if self._server is not None:
            self._server.end_if_mute()

    def _drop_driver(self) -> None:
        """A connection that hangs must not hold up the thread that drops it."""
        driver, self._driver = self._driver, None
        if driver is not None:
            threading.Thread(target=driver.close, name="pagoda-graph-close", daemon=True).start()


def _within(limit_s: float, work: Callable[[], list[Row]], is_lost: Callable[[], bool]) -> list[Row]:
    """The result of `work`. The thread is left behind where it takes too long: the driver has no limit on an answer.

    Raises TimeoutError, or ConnectionError as soon as the server is seen to be lost, which the driver would go on to
    look for.
    """
    results: list[list[Row]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="pagoda-graph", daemon=True)
    thread.start()
    ends = time.monotonic() + limit_s
    while thread.is_alive():
        thread.join(_LOOK_S)
        if thread.is_alive() and is_lost():
            raise ConnectionError("the server ended")
        if thread.is_alive() and time.monotonic() > ends:
            raise TimeoutError
    if errors:
        raise errors[0]
    return results[0]
