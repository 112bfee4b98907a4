"""`pagoda opinions train | eval`: a model of the user's own texts, and what the models reach on public sets.

Beside the path *item -> opinion of a company*. Figures go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pagoda.cli.console.bars import bars
from pagoda.cli.console.options import AsJson
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.opinions.model_words import model_words
from pagoda.errors import ConfigError, nearest
from pagoda.opinions.story import Encoder

if TYPE_CHECKING:
    from pagoda.opinions.evaluation.figures import Measured

AsEncoder = Annotated[
    Encoder,
    typer.Option(
        "--encoder",
        help="Network that is tuned: minilm (English), multilingual (both; extra bilingual), none; "
        "auto: minilm for English, for 300 Chinese texts and more multilingual where it is installed.",
    ),
]


def train(
    ctx: typer.Context,
    rows: Annotated[Path, typer.Argument(help='JSON lines: {"text", "label"}, maybe "target" and "others".')],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the model.")],
    encoder: AsEncoder = "auto",
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 0,
) -> None:
    """Train a model of texts. With labels positive, neutral and negative a watch file may name it.

    "target" is a name in the text of which the label is said, "others" are names of others in it.
    """
    from pagoda.opinions.reading.model_files import check_place
    from pagoda.opinions.sentiment import SentimentModel

    terminal: Terminal = ctx.obj
    place, known = check_place(out), read_rows(rows)
    with bars(terminal) as tell:
        model = SentimentModel.train(known, encoder=encoder, seed=seed, on_progress=tell)
    model.save(place)
    labels = ", ".join(map(str, model.labels))
    terminal.note(model_words(terminal.say).written.format(count=len(known), labels=labels, path=place), style="bold")


def evaluate(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder with public sets, as docs/opinions.md names them.")],
    only: Annotated[list[str] | None, typer.Option("--only", help="This set; may be repeated.")] = None,
    encoder: AsEncoder = "auto",
    as_json: AsJson = False,
) -> None:
    """Train and measure on every set that a folder holds, beside simpler means on the same rows."""
    from pagoda.opinions.evaluation.measuring import NAMES, measured_lines

    terminal: Terminal = ctx.obj
    for name in only or ():
        if name not in NAMES:
            raise ConfigError(f"no set is called {name!r}: {nearest(name, NAMES)}")
    lines = list(_shown(terminal, measured_lines(folder, frozenset(only or ()), encoder)))
    if not lines:
        told = model_words(terminal.say).nothing.format(folder=folder, names=", ".join(NAMES))
        raise ConfigError(told)
    if as_json:
        terminal.result(json.dumps([asdict(line) for line in lines], ensure_ascii=False, indent=2))
    else:
        terminal.table(_table(lines, model_words(terminal.say).heads))


def _shown(terminal: Terminal, lines: Iterator[Measured]) -> Iterator[Measured]:
    """Each as it comes, since some take minutes."""
    for line in lines:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in line.figures.items())
        terminal.note(f"{line.name}: {figures}")
        yield line


def _table(lines: Sequence[Measured], heads: tuple[str, ...]) -> Table:
    table = Table(*heads)
    for line in lines:
        first = (line.name, f"{line.num_trained}" if line.num_trained else "", f"{line.num_held}")
        for name, value in line.figures.items():
            aim = f"{line.aims[name]:g}" if name in line.aims else ""
            table.add_row(*first, name, f"{value:.4g}", aim, f"{line.cpu_s:.0f}" if first[0] else "")
            first = ("", "", "")
        for name, value in line.peers.items():
            table.add_row("", "", "", f"({name})", f"{value:.4g}", "", "")
    return table


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file. Raises ConfigError with the line that is to blame."""
    if not path.is_file():
        raise ConfigError(f"the rows {path} do not exist: give a file of JSON lines")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise ConfigError(f"{path}, line {number} is no JSON ({error})") from error
    return found
