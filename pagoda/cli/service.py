"""`pagoda service`: the desk of the shipped city, its page and the people who take over, in one command.

Around everything: arguments become settings of `server.serve`, whose further options stand at `pagoda serve --service`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pagoda.cli.console.environment import api_keys, staff_keys
from pagoda.cli.console.messages import CHINESE
from pagoda.cli.console.options import ADDRESS_OPTIONS, Settings, server_settings, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import MissingExtraError

_DEFAULT_FOLDER = Path("pagoda-service")
_KV_BYTES = 64 * 1024 * 1024
"""For the built-in model behind the chat page, which nobody needs much of here."""
_OPENING = {
    "en": "opening the desk in {folder}: documents, graph and visits; the first time takes half a minute",
    "zh": "正在 {folder} 中打开服务台：文档、图和访问记录；第一次需要约半分钟",
}
_PAGE = {
    "en": "the customer's page: {url}/service   the staff's desk: {url}/service#staff",
    "zh": "顾客页面：{url}/service   客服工作台：{url}/service#staff",
}


@with_options(address=ADDRESS_OPTIONS)
def service(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="Folder of graph, documents, people and conversations; filled if it is not there.")
    ] = _DEFAULT_FOLDER,
    documents: Annotated[
        list[Path] | None, typer.Option("--documents", help="What to answer from, instead of the handbook that ships.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help='Zone of "tonight", such as Asia/Shanghai.')
    ] = None,
    *,
    address: Settings,
) -> None:
    """Serve one conversation over graph, documents and recommender, and the desk of the people who take over.

    PAGODA_API_KEY and PAGODA_STAFF_KEY hold the keys of customers' programs and of staff; with neither whoever reaches
    the address may do both, and the first does not go without the second.
    """
    try:
        from pagoda.server.config import ServerConfig
        from pagoda.server.serve import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError("pagoda service", "server") from error
    from pagoda.engine.args import EngineArgs

    terminal: Terminal = ctx.obj
    language = "zh" if terminal.say is CHINESE else "en"
    settings = ServerConfig(
        **server_settings(address), service=folder, service_documents=tuple(documents or ()), timezone=timezone,
        api_keys=api_keys(os.environ), staff_keys=staff_keys(os.environ), access_log=False,
    )  # fmt: skip
    terminal.note(_OPENING[language].format(folder=folder))

    def announce(event: str, facts: dict[str, Any]) -> None:
        if event == "ready":
            terminal.note(_PAGE[language].format(url=facts["url"]), style="bold")

    serve(EngineArgs(model="builtin", kv_cache_memory_bytes=_KV_BYTES), settings, announce)
