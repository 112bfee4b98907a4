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
    if settings.get("graph") is None:
        return None
    from pagoda.graph.access import GraphAddress

    fields = ("graph_user", "graph_password_env", "graph_database")
    given = {name.removeprefix("graph_"): settings[name] for name in fields if settings.get(name)}
    return GraphAddress(settings["graph"], **given).opened(os.environ)
