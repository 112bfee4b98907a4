"""`pagoda graph load`: tables of nodes and relations into a graph, so that a dialogue can talk over them.

The beginning of the way of one's own data: *files* -> graph -> domain -> dialogue. Without --graph the graph is the one
in a dialogue's folder. Everything is checked before anything is written; a load that was interrupted is run again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pagoda.cli.console.bars import bars
from pagoda.cli.console.graphs import opened_graph
from pagoda.cli.console.options import GRAPH_OPTIONS, Settings, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError

graph = typer.Typer(help="Graphs to talk over: load your own tables.", no_args_is_help=True, rich_markup_mode=None)


@graph.callback()
def _group() -> None:
    """Keeps `load` a command of its own while it is the only one."""


@graph.command(short_help="Load CSV or JSON lines into a graph.")
@with_options(address=GRAPH_OPTIONS)
def load(
    ctx: typer.Context,
    tables: Annotated[
        list[Path],
        typer.Argument(help="Folders or files: Book.csv holds nodes, Book-HELD_AT-Branch.csv relations (from, to)."),
    ],
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Folder of the dialogue whose graph it is, without --graph.")
    ] = Path("pagoda-dialogue"),
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="LABEL=PROPERTY", help="A label's key, where the header does not mark it."),
    ] = None,
    *,
    address: Settings,
) -> None:
    """Put nodes and relations into a graph; the same files again change nothing, changed ones change what they hold."""
    from pagoda.graph.graph import Graph
    from pagoda.graph.loading import load as load_data
    from pagoda.graph.tables import read_tables

    terminal: Terminal = ctx.obj
    data = read_tables(tables, _keys(key or []))
    with opened_graph(address) or Graph.embedded(folder / "graph") as opened, bars(terminal) as tell:
        counts = load_data(opened, data, partial(tell, terminal.say.loading))
    say = terminal.say.was_loaded if counts.was_loaded else terminal.say.loaded
    terminal.result(say.format(nodes=counts.num_nodes, relations=counts.num_relations))
    for table in data.nodes:
        terminal.note(terminal.say.loaded_label.format(label=table.label, count=len(table.rows), key=table.key))


def _keys(given: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    for label, sign, name in pairs:
        if not (label and sign and name):
            raise ConfigError(f"--key is {label + sign + name!r}, expected LABEL=PROPERTY, such as Book=isbn")
    return {label: name for label, _, name in pairs}
