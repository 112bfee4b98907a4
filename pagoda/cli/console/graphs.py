"""The graph that a command line names: here the environment is read, where the password stands.

Beside the commands that talk over a graph or load one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pagoda.cli.console.options import Settings

if TYPE_CHECKING:
    from pagoda.graph.graph import Graph


def opened_graph(settings: Settings) -> Graph | None:
    """A server's graph, or None without an address; settings: `GRAPH_OPTIONS`. Raises as `GraphAddress.opened`."""
    from pagoda.graph.access import GraphAddress

    fields = ("graph", "graph_user", "graph_password_env", "graph_database")
    address = GraphAddress.given(*(settings.get(name) for name in fields))
    return None if address is None else address.opened(os.environ)
