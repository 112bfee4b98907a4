"""The command tree, and the one place where errors become a line on stderr and an exit code.

A mistake of the caller's is one clear line and exit code 2; anything else that fails is one line and 1. A traceback
appears only where PAGODA_TRACEBACK=1 asks for it.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pagoda import __version__
from pagoda.cli.bench.offline import bench
from pagoda.cli.bench.roofline import roofline
from pagoda.cli.bench.serve import serve as bench_serve
from pagoda.cli.chat import chat
from pagoda.cli.conformance import conformance
from pagoda.cli.console.environment import Language, preferred_language, wants_traceback
from pagoda.cli.console.messages import messages_in
from pagoda.cli.console.terminal import NoteHandler, Terminal
from pagoda.cli.console.vllm_flags import ServeCommand
from pagoda.cli.dialogue.commands import dialogue
from pagoda.cli.generate import generate
from pagoda.cli.graph import graph
from pagoda.cli.lab.commands import lab
from pagoda.cli.opinions.commands import opinions
from pagoda.cli.plan import plan
from pagoda.cli.quantize.commands import quantize
from pagoda.cli.rag.commands import rag
from pagoda.cli.recommend import recommend
from pagoda.cli.serve import serve
from pagoda.cli.service import service
from pagoda.cli.shelf import list_models, pull, rm, show
from pagoda.cli.simulate import simulate_command
from pagoda.cli.train import train
from pagoda.errors import CheckpointError, ConfigError, InvalidRequestError, PagodaError
from pagoda.installation import program

FAILURE, CALLERS_MISTAKE, INTERRUPTED, READER_GONE = 1, 2, 130, 141
_CALLERS_MISTAKES = (InvalidRequestError, ConfigError, CheckpointError)
# Newer typer brings click along under a private name; its base of all usage errors is reached by neither name.
UsageError: type[Any] = typer.BadParameter.__bases__[0]


class Commands(TyperGroup):
    """The root command. Whatever a command raises leaves here as an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _exit_codes(None):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _exit_codes(ctx):
            return super().invoke(ctx)


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command(short_help="Complete prompts.")(generate)
app.command(short_help="Talk with a model.")(chat)
app.command(cls=ServeCommand, short_help="Serve a model over OpenAI's API, with a chat page.")(serve)
app.command(short_help="Fetch a model.")(pull)
app.command(name="list", short_help="List the models that were fetched, or that can be.")(list_models)
app.command(short_help="Say what a model is, and whether it is here.")(show)
app.command(short_help="Delete a model that was fetched.")(rm)
app.command(short_help="Check a server against what clients rely on.")(conformance)
app.command(short_help="Train a model from a recipe.")(train)
app.add_typer(
    lab, name="lab", short_help="Train variants of a network side by side, and check what is claimed of them."
)
bench.command(short_help="Hold a model's steps against what this machine can.")(roofline)
bench.command(name="serve", short_help="Measure a running server under load.")(bench_serve)
app.add_typer(bench, name="bench", short_help="Measure throughput, latency, or a server under load.")
app.command(short_help="Say what a model needs and how much fits.")(plan)
app.command(name="simulate", short_help="Say what a load would see of a layout.")(simulate_command)
app.command(short_help="Write a model in fewer bits, and say what that cost.")(quantize)
app.add_typer(rag, name="rag", short_help="Ask a folder of documents; answers name their sources.")
app.add_typer(recommend, name="recommend", short_help="Say what a person would like next, and why.")
app.add_typer(graph, name="graph", short_help="Load tables of your own into a graph.")
app.add_typer(dialogue, name="dialogue", short_help="Talk over a graph: sentences become Cypher, rows become replies.")
app.add_typer(opinions, name="opinions", short_help="Watch what is said of companies: feeds in, alerts out.")
app.command(short_help="Serve a desk: graph, documents, recommendations, and people.")(service)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A locale that cannot write a model's characters gets question marks instead of an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(arguments, prog_name=program())
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return _flushed(code)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    lang: Annotated[
        Language | None, typer.Option(help="Language of messages; otherwise the locale's (LC_ALL, LANG).")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    """Llama-architecture models on this machine. Without --model, commands use the model that ships with pagoda."""
    terminal = ctx.obj = Terminal(messages_in(lang or preferred_language(os.environ)))
    if version:
        terminal.result(f"pagoda {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
    logger, handler = logging.getLogger("pagoda"), NoteHandler(terminal)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    ctx.call_on_close(lambda: logger.removeHandler(handler))


@contextmanager
def _exit_codes(ctx: Any) -> Iterator[None]:
    """Turn errors into a message and typer's Exit."""
    try:
        yield
    except KeyboardInterrupt as error:
        terminal = _terminal(ctx)
        # After the ^C that the terminal itself shows.
        terminal.note("\n" * terminal.err.is_terminal + terminal.say.interrupted)
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError as error:
        raise typer.Exit(READER_GONE) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if wants_traceback(os.environ):
            traceback.print_exc()
        _terminal(ctx).error(_sentence(error, _terminal(ctx)))
        raise typer.Exit(_exit_code(error)) from error


def _terminal(ctx: Any) -> Terminal:
    """The run's terminal, or one in the locale's language where the run did not come so far."""
    known = None if ctx is None else ctx.find_object(Terminal)
    return known or Terminal(messages_in(preferred_language(os.environ)))


def _sentence(error: Exception, terminal: Terminal) -> str:
    if isinstance(error, UsageError):
        command = error.ctx.command_path if error.ctx is not None else program()
        return terminal.say.usage.format(message=error.format_message().rstrip("."), command=command)
    if isinstance(error, OSError) and not isinstance(error, PagodaError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    if isinstance(error, PagodaError):
        return str(error)
    return terminal.say.internal_error.format(kind=type(error).__name__, message=error)


def _exit_code(error: Exception) -> int:
    return CALLERS_MISTAKE if isinstance(error, (*_CALLERS_MISTAKES, UsageError)) else FAILURE


def _flushed(code: int) -> int:
    """Write out what is left; a reader that has gone must not make the interpreter complain at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code
