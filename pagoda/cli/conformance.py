"""`pagoda conformance URL`: whether a server keeps what clients of OpenAI's API rely on.

Beside the token's path: it knows the server by its URL alone, whoever made it. Exit code 0 if every check held,
1 if some failed, 2 where the command itself was at fault.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated

import typer
from rich.console import RenderableType

from pagoda.cli.console.environment import client_api_key
from pagoda.cli.console.messages import CHINESE
from pagoda.cli.console.options import ApiKeyEnv, AsJson
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.installation import program

SOME_FAILED = 1


def conformance(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Argument(help="Where the server is, as http://127.0.0.1:8000.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Name to ask for; otherwise the first that /v1/models lists.")
    ] = None,
    api_key_env: ApiKeyEnv = None,
    only: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only checks whose name has this in it, or matches it.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for each check.")] = 20.0,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="Say what would be checked.")] = False,
) -> None:
    """Check a server against what clients of OpenAI's API rely on; any server will do."""
    terminal: Terminal = ctx.obj
    try:
        from pagoda.conformance import report
        from pagoda.conformance.suite import run_checks, select
        from pagoda.conformance.words import CHINESE as CHINESE_WORDS
        from pagoda.conformance.words import ENGLISH as ENGLISH_WORDS
    except ModuleNotFoundError as error:
        raise MissingExtraError("pagoda conformance", "server") from error
    words = CHINESE_WORDS if terminal.say is CHINESE else ENGLISH_WORDS
    checks = select(only)
    if only_list:
        _show(terminal, report.as_list(checks, words))
        return
    address, key = _address(url), client_api_key(os.environ, api_key_env)
    if timeout <= 0:
        raise ConfigError(f"timeout is {timeout:g}, but more than 0 seconds are expected")
    terminal.note(words.running.format(count=len(checks), url=address))
    results = asyncio.run(run_checks(address, checks, model=model, api_key=key, timeout_s=timeout))
    if as_json:
        terminal.result(json.dumps(report.as_json(results, address), ensure_ascii=False, indent=2))
    elif as_markdown:
        terminal.result(report.as_markdown(results, address, words))
    else:
        _show(terminal, report.as_text(results, words))
    if report.Score.of(results).failed:
        raise typer.Exit(SOME_FAILED)


def _address(url: str | None) -> str:
    """The server's address. Raises ConfigError where it is none."""
    if not url:
        raise ConfigError(f"no URL was given: name the server, as in {program()} conformance http://127.0.0.1:8000")
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"the URL is {url}, but one that begins with http:// or https:// is expected")
    return url


def _show(terminal: Terminal, what: RenderableType) -> None:
    terminal.out.print(what, soft_wrap=not terminal.out.is_terminal)
