"""`pagoda lab RECIPE | claims | positions`: experiments with the network's own layers, and what they say of claims.

Beside the token's path. Ctrl-C takes effect between two steps, after a checkpoint; the same command goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from pagoda.cli.console.interrupts import StopOnInterrupt
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.lab.words import LabWords, lab_words
from pagoda.errors import ConfigError

if TYPE_CHECKING:
    from pagoda.lab.far_positions import PerplexityByPosition
    from pagoda.lab.recipe import LabRecipe
    from pagoda.lab.runner import Laboratory, LabProgress

_SECONDS_BETWEEN_LINES = 15.0
_INTERRUPTED = 130


class LabCommands(TyperGroup):
    """What is no command's name is a recipe's, and is run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


lab = typer.Typer(cls=LabCommands, help="Train variants of a network side by side.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the recipe's corpora lie.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
AsItIs = Annotated[bool, typer.Option("--as-it-is", help="Train and measure nothing: report what has ended.")]
Quick = Annotated[bool, typer.Option("--quick", help="The recipe's small edition: fewer steps, seeds and rounds.")]


@lab.command(name="run", short_help="Run a recipe; `pagoda lab RECIPE` does the same.")
def run(
    ctx: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A TOML recipe, or the name of one that ships with pagoda.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the experiment; otherwise runs/lab/RECIPE.")
    ] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    quick: Quick = False,
    as_it_is: AsItIs = False,
) -> None:
    """Train every arm of a recipe with every seed, or go on where that stopped, and write a report.

    The same command in another terminal takes a share of the runs.
    """
    from pagoda.lab.recipe import LabRecipe

    parsed = LabRecipe.open(recipe, quick=quick, data_dir=data_dir)
    # torch takes seconds to import: only once the recipe is sound.
    from pagoda.lab.runner import Laboratory

    folder = out or Path("runs") / "lab" / (f"{parsed.name}-quick" if quick else parsed.name)
    terminal: Terminal = ctx.obj
    with StopOnInterrupt(lambda: terminal.note(lab_words(terminal.say).stopping)) as interrupt:
        _experiment(Laboratory(parsed, folder, device), terminal, interrupt, trains=not as_it_is)
    if interrupt.requested:
        raise typer.Exit(_INTERRUPTED)


@lab.command(short_help="Check what is said of RMSNorm, RoPE and RMSProp.")
def claims(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder of the experiments.")] = Path("runs/lab"),
    page: Annotated[
        Path | None, typer.Option("--page", help="File to write; otherwise claims.md in that folder.")
    ] = None,
    kept_in: Annotated[
        Path | None, typer.Option("--results", help="Folder of results to read, and to keep those that are complete.")
    ] = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    quick: Quick = False,
    as_it_is: AsItIs = False,
) -> None:
    """Run the experiment of every claim, or go on with them, and write a page: claim, protocol, figure, verdict.

    An experiment whose results stand in --results is not run again.
    """
    from pagoda.lab.claims import CLAIMS, recipes_of
    from pagoda.lab.claims_page import write_claims
    from pagoda.lab.kept import keep, kept
    from pagoda.lab.recipe import LabRecipe
    from pagoda.lab.runner import Laboratory

    terminal: Terminal = ctx.obj
    results = {}
    with StopOnInterrupt(lambda: terminal.note(lab_words(terminal.say).stopping)) as interrupt:
        for name in recipes_of(CLAIMS):
            recipe = LabRecipe.open(name, quick=quick, data_dir=data_dir)
            own = f"{name}-quick" if quick else name
            file = None if kept_in is None else kept_in / f"{own}.jsonl"
            if file is not None and (found := kept(recipe, file)) is not None:
                results[name] = found
                terminal.note(lab_words(terminal.say).kept.format(name=name, path=file))
                continue
            results[name] = _experiment(Laboratory(recipe, out / own, device), terminal, interrupt, trains=not as_it_is)
            if interrupt.requested:
                raise typer.Exit(_INTERRUPTED)
            if file is not None:
                keep(recipe, results[name], file)
    path = write_claims(results, page or out / "claims.md", quick=quick)
    terminal.note(lab_words(terminal.say).claims.format(path=path), style="bold")


@lab.command(short_help="Perplexity by position beyond the length of training, for each kind of RoPE.")
def positions(
    ctx: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint whose RoPE is not scaled.")],
    text: Annotated[Path, typer.Argument(help="A long text, plain or gzip.")],
    out: Annotated[Path, typer.Option("--out", help="Picture to write.")] = Path("positions.png"),
    factor: Annotated[int, typer.Option("--factor", min=1, help="How many times the length of training.")] = 4,
    windows: Annotated[int, typer.Option("--windows", min=1, help="Pieces of the text that are read.")] = 4,
) -> None:
    """Read a text in pieces longer than the model was trained on, and show what tokens cost by position."""
    from pagoda.lab.far_positions import draw_perplexities, perplexity_by_position
    from pagoda.models.config import ModelConfig
    from pagoda.train.config import SourceConfig
    from pagoda.train.data import read_documents

    if not text.is_file():
        raise ConfigError(f"the text {text} does not exist: give a file")
    terminal: Terminal = ctx.obj
    length = ModelConfig.from_directory(checkpoint).max_position_embeddings
    whole = "\n\n".join(read_documents(SourceConfig(path=str(text)), text))
    found = perplexity_by_position(checkpoint, whole, factor=factor, windows=windows)
    terminal.table(_perplexities(found))
    drawn = draw_perplexities(found, length, out)
    terminal.note(lab_words(terminal.say).positions.format(path=drawn), style="bold")


def _perplexities(found: Sequence[PerplexityByPosition]) -> Table:
    table = Table("position", *(each.kind for each in found))
    for index, start in enumerate(found[0].starts):
        table.add_row(f"{start}", *(f"{each.perplexities[index]:.1f}" for each in found))
    return table


def _experiment(
    laboratory: Laboratory, terminal: Terminal, interrupt: StopOnInterrupt, *, trains: bool
) -> dict[str, Any]:
    """Train, measure, report; what the results are."""
    from pagoda.lab.norm_time import measured_once
    from pagoda.lab.report import write_report

    words, recipe, folder = lab_words(terminal.say), laboratory.recipe, laboratory.directory
    done = sum(one.result is not None for one in laboratory.runs)
    if recipe.axes:
        told = words.started.format(
            name=recipe.name, runs=len(laboratory.runs), arms=len(recipe.arms()), seeds=len(recipe.lab.seeds),
            done=done, directory=folder,
        )  # fmt: skip
        terminal.note(told)
    lines = ProgressLines(terminal, words, recipe)
    for progress in laboratory.run(lambda: interrupt.requested) if trains else ():
        lines.show(progress)
    results = laboratory.results()
    times = folder / "timing.json"
    if recipe.timing is not None and (trains or times.is_file()) and not interrupt.requested:
        terminal.note(words.timing.format(name=recipe.name, widths=len(recipe.timing.widths)))
        results["timing"] = measured_once(recipe.timing, times)
    terminal.note(words.report.format(path=write_report(recipe, results, folder)), style="bold")
    if interrupt.requested:
        terminal.note(words.stopped)
    return results


class ProgressLines:
    """A line for each run that ends, and one every few seconds."""

    def __init__(self, terminal: Terminal, words: LabWords, recipe: LabRecipe) -> None:
        self._terminal, self._words, self._recipe = terminal, words, recipe
        self._told = time.perf_counter()

    def show(self, progress: LabProgress) -> None:
        """Tell what is worth a line."""
        from pagoda.lab.recipe import arm_name

        place = {
            "run": progress.run, "runs": progress.num_runs, "arm": arm_name(progress.arm), "seed": progress.seed,
        }  # fmt: skip
        if progress.ended is not None:
            self._terminal.note(self._ending(progress.ended, place))
        elif progress.step is not None and time.perf_counter() - self._told >= _SECONDS_BETWEEN_LINES:
            step = progress.step
            line = self._words.step.format(**place, step=step.step, steps=step.num_steps, loss=step.loss)
            self._terminal.note(line)
        else:
            return
        self._told = time.perf_counter()

    def _ending(self, result: dict[str, Any], place: dict[str, Any]) -> str:
        if result["has_diverged"]:
            return self._words.diverged.format(**place)
        metric = self._recipe.lab.metric
        return self._words.ended.format(**place, metric=metric, value=result["metrics"][metric])
