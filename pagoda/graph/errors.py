"""A property graph over Cypher, and what can go wrong with it, below `PagodaError`.

The room in one line: data -> loading -> *server* <- driver <- Graph <- statement, and rows back. `Graph.embedded` runs
a server of its own over a folder (`embedded`, `keeper`, `shared_server`), `Graph.connect` uses any Neo4j; `schema` says
what is in it, `subgraph` draws a piece. The room knows of nobody who asks: a dialogue is one, other applications are
others.

    GraphError                       the graph did not answer
    |-- GraphUnavailableError          it cannot be reached now; the same call may succeed later
    |   `-- GraphStartError              the embedded server did not come up
    |-- GraphTimeoutError              the statement ran longer than it may; `.ended_by` says who ended it
    |-- GraphAuthError                 user or password are refused
    |-- GraphDatabaseError             there is no such database on the server
    |-- GraphFolderError               the embedded graph's folder is locked, not writable or no graph
    |-- GraphLoadError                 data do not fit together, or did not arrive in full
    |   `-- GraphTableError              a file of nodes or relations is wrong, told with its lines
    `-- GraphQueryError                the server refused a statement: a fault of ours; `.statement_id` names it
        |-- GraphReadOnlyError           a statement that may only read tried to write
        `-- GraphConflictError           a second node with a key that must be unique

Stands beside the whole path statement -> driver -> rows. No message holds a word of the database driver's: those go to
the log, under the statement's id.
"""

from __future__ import annotations

from typing import Literal

from pagoda.errors import ConfigError, PagodaError


class GraphError(PagodaError):
    """The graph did not answer; nothing is known of its contents from this."""


class GraphUnavailableError(GraphError):
    """The graph cannot be reached now. Retryable: apologise, keep the state, ask again."""


class GraphStartError(GraphUnavailableError):
    """The embedded graph server did not come up."""


class GraphTimeoutError(GraphError):
    """A statement ran longer than it may. ended_by: "server", or "client" where the server said nothing in time."""

    def __init__(self, message: str, *, ended_by: Literal["server", "client"]) -> None:
        super().__init__(message)
        self.ended_by = ended_by


class GraphAuthError(GraphError):
    """The server refuses user and password."""


class GraphDatabaseError(GraphError):
    """The server has no database of this name."""


class GraphFolderError(GraphError):
    """The folder of an embedded graph is in use by another process, cannot be written, or holds something else."""


class GraphLoadError(GraphError):
    """Rows to load do not fit together, or not all of them are in the graph afterwards."""


class GraphTableError(GraphLoadError, ConfigError):
    """A file of nodes or relations is wrong: one line for each mistake, with file and line."""


class GraphQueryError(GraphError):
    """The server refused a statement. `statement_id` finds the driver's own words in the log."""

    def __init__(self, message: str, *, statement_id: str = "") -> None:
        super().__init__(message)
        self.statement_id = statement_id


class GraphReadOnlyError(GraphQueryError):
    """A statement that may only read tried to write; nothing was written."""


class GraphConflictError(GraphQueryError):
    """A node with the same unique key exists; nothing was written."""
