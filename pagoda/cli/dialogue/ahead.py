"""What takes seconds before the first turn, begun at once: the graph's server, and the import of what reads sentences.

Before a turn's path. The server starts in a process of its own while this one imports the agent and torch; whoever
opens the graph of the folder afterwards shares the server that is there, and tells what went wrong if it is not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pagoda.errors import PagodaError

if TYPE_CHECKING:
    from pagoda.graph.graph import Graph


@contextmanager
def begun_ahead(folder: Path) -> Iterator[None]:
    """Begins in threads what an agent over the folder will ask for, and gives the graph back at the end."""
    held: list[Graph] = []
    starting = threading.Thread(target=_start, args=(folder, held), name="pagoda-graph", daemon=True)
    starting.start()
    threading.Thread(target=_import, name="pagoda-import", daemon=True).start()
    try:
        yield
    finally:
        # The agent holds the server by now, or nobody will.
        starting.join()
        for graph in held:
            graph.close()


def _import() -> None:
    from pagoda.dialogue.learned import import_readers

    import_readers()


def _start(folder: Path, held: list[Graph]) -> None:
    from pagoda.graph.graph import Graph

    try:
        held.append(Graph.embedded(folder / "graph"))
    except PagodaError:
        return  # The agent meets the same, and tells it.
