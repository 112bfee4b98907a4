"""The model that a conversation is held with where none is named, and fetching one before it is served.

In front of `pagoda serve` and `pagoda chat`. FIRST_MODEL is what `make run` fetches; where it lies on the shelf, it is
what a person expects to talk with. Nothing is fetched but by `fetched`, which only `--pull` calls.
"""

from __future__ import annotations

from pathlib import Path

from pagoda.cli.console.downloads import DownloadProgress
from pagoda.cli.console.terminal import Terminal
from pagoda.engine.args import BUILTIN_NAMES
from pagoda.errors import PagodaError
from pagoda.installation import program
from pagoda.models.shelf.catalogue import shelf_name
from pagoda.models.shelf.folder import Shelf
from pagoda.models.shelf.pulling import pull
from pagoda.models.shelf.settings import shelf_settings

FIRST_MODEL = "smollm2-135m-instruct"


def first_model(terminal: Terminal) -> str | None:
    """FIRST_MODEL where it was pulled, else None for the built-in model; either is told in a line."""
    say = terminal.say
    if Shelf(shelf_settings().folder).get(FIRST_MODEL) is not None:
        terminal.note(say.first_is_pulled.format(model=FIRST_MODEL, builtin=BUILTIN_NAMES[0]))
        return FIRST_MODEL
    terminal.note(say.first_is_builtin.format(model=FIRST_MODEL, program=program()), style="yellow")
    return None


def fetched(model: str | None, terminal: Terminal) -> None:
    """Pull a model that is named and not here; where none is named FIRST_MODEL, without which the door opens too.

    Raises CheckpointError where a named one cannot be had.
    """
    if model is not None and (model in BUILTIN_NAMES or Path(model).expanduser().exists()):
        return
    name = model or FIRST_MODEL
    try:
        with DownloadProgress(terminal, shelf_name(name)) as progress:
            pull(name, shelf_settings(), progress)
    except PagodaError as error:
        if model is not None:
            raise
        terminal.note(terminal.say.first_not_had.format(model=name, reason=error), style="yellow")
