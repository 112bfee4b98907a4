"""`pagoda serve [MODEL]`: the OpenAI-compatible server and its chat page.

The place where the server's settings, the environment and the terminal meet; the work is in `server.serve`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pagoda.cli.console.environment import api_keys, staff_keys
from pagoda.cli.console.first_model import FIRST_MODEL, fetched, first_model
from pagoda.cli.console.options import (
    ENGINE_OPTIONS,
    REPLICA_OPTIONS,
    SERVED_ENGINE_OPTIONS,
    SERVER_OPTIONS,
    Settings,
    engine_settings,
    server_settings,
    with_options,
    without,
)
from pagoda.cli.console.terminal import Terminal
from pagoda.cli.console.vllm_flags import IGNORED, why_ignored
from pagoda.engine.args import EngineArgs
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.models.tokenizer.chat_template import read_template


@with_options(
    server=SERVER_OPTIONS,
    engine=(*without(ENGINE_OPTIONS, "model"), *SERVED_ENGINE_OPTIONS),
    replicas=REPLICA_OPTIONS,
)
def serve(
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help=f"Path, name, hub id, builtin; otherwise {FIRST_MODEL} if pulled, or builtin.")
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="A key; everyone on this machine can read it, unlike PAGODA_API_KEY and --api-key-file."),
    ] = None,
    model_option: Annotated[str | None, typer.Option("--model", help="The same, as a flag.")] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help=f"Fetch the model first, as `pull` does; {FIRST_MODEL} if none is named.")
    ] = False,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="Keys, one a line; PAGODA_API_KEY holds some, too.")
    ] = None,
    *,
    server: Settings,
    engine: Settings,
    replicas: Settings,
) -> None:
    """Serve a model over OpenAI's API, with a chat page at the same address."""
    terminal: Terminal = ctx.obj
    try:
        from pagoda.server.access import collections_of, read_api_keys
        from pagoda.server.config import ServerConfig
        from pagoda.server.observing.access_log import log_to_stderr
        from pagoda.server.replicas.config import ReplicasConfig, check_one_server_only
        from pagoda.server.serve import serve as run
    except ModuleNotFoundError as error:
        raise MissingExtraError("pagoda serve", "server") from error
    keys = [*(api_key or ()), *api_keys(os.environ), *(read_api_keys(api_key_file) if api_key_file else ())]
    if "chat_template" in server:
        server["chat_template"] = read_template(server["chat_template"])
    settings: Settings = {**server_settings(server), "api_keys": tuple(dict.fromkeys(keys))}
    if "service" in server:
        settings["staff_keys"] = staff_keys(os.environ)
    config = ServerConfig(**settings | {"collections": collections_of(server.get("collections", ()), os.environ)})
    wanted = ReplicasConfig(**replicas)
    if wanted.are_several:
        check_one_server_only(server)
        run = partial(_replicas_runner(), wanted=wanted)
    keywords, named = engine_settings(engine), _only_model(model, model_option)
    if pull:
        fetched(named, terminal)
    arguments = EngineArgs(**keywords, model=first_model(terminal) if named is None else named)
    if ignored := ctx.meta.get(IGNORED):
        terminal.note(terminal.say.serve_ignored.format(flags=why_ignored(ignored)), style="yellow")
    if api_key:
        terminal.note(terminal.say.serve_visible_key, style="yellow")
    if config.access_log:
        log_to_stderr()
    if config.host not in ("127.0.0.1", "localhost", "::1") and not config.api_keys:
        terminal.note(terminal.say.serve_open.format(host=config.host), style="yellow")
    run(arguments, config, announce=lambda event, facts: tell(terminal, event, facts))


def _replicas_runner() -> Callable[..., None]:
    """What serves several replicas. Raises MissingExtraError."""
    try:
        from pagoda.server.replicas.run import serve_replicas
    except ModuleNotFoundError as error:
        raise MissingExtraError("pagoda serve --data-parallel-size", "ray") from error
    return serve_replicas


def _only_model(argument: str | None, flag: str | None) -> str | None:
    """The model, which vLLM's scripts give either way. Raises ConfigError where two are named."""
    if argument is not None and flag is not None and argument != flag:
        raise ConfigError(f"the model is {argument}, and --model says {flag}: give it once")
    return argument if flag is None else flag


def tell(terminal: Terminal, event: str, facts: dict[str, Any]) -> None:
    """One event of the server's life, in a line."""
    say = terminal.say
    if event == "listening":
        terminal.note(say.serve_listening.format(**facts))
    elif event == "ready":
        phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in facts["phases"].items())
        terminal.note(say.serve_ready.format(url=facts["url"], seconds=facts["seconds"], phases=phases), style="bold")
    elif event == "draining":
        terminal.note(say.serve_draining.format(**facts))
    elif event == "restart_failed":
        terminal.note(say.serve_restart_failed.format(**facts))
    elif event == "restarting":
        terminal.note(say.serve_restarting.format(**facts))
    else:
        terminal.note({"cut": say.serve_cut, "restarted": say.serve_restarted}[event])
