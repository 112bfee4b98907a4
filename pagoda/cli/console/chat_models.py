"""A chat model by what `--model` names: a server's address, or a model of this machine.

Beside the commands that ask a model for words of its own (`pagoda rag`, `pagoda dialogue`): here rooms are wired. What
is not there is told here, before anything else is opened: no answer waits for a server that nobody started.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pagoda.cli.console.environment import client_api_key
from pagoda.cli.console.options import Settings

if TYPE_CHECKING:
    from pagoda.chat.model import ChatModel

_CHECK_TIMEOUT_S = 5.0


def chat_model(reader: Settings) -> ChatModel | None:
    """Of the settings model, model_name and api_key_env; None where no model is named.

    model: an address, or what `pagoda serve` takes: a directory, a GGUF file, a name on the shelf or on the hub

    Raises ConfigError, CheckpointError for a name of nothing, ChatModelError for an address where nobody answers.
    """
    model = reader.get("model")
    if model is None:
        return None
    if model.startswith(("http://", "https://")):
        return _served(model, reader.get("model_name"), client_api_key(os.environ, reader.get("api_key_env")))
    from pagoda.engine.chat_model import EngineChatModel
    from pagoda.models.checkpoint.hub import resolve_model

    resolve_model(model)
    return EngineChatModel(model)


def _served(url: str, name: str | None, key: str | None) -> ChatModel:
    """The model at an address, where one is."""
    from pagoda.chat.openai_client import OpenAIChatModel

    async def check() -> None:
        # In a loop that ends here, and connections belong to theirs: the model that is given back has others.
        server = OpenAIChatModel(url, name, api_key=key, timeout_s=_CHECK_TIMEOUT_S)
        try:
            await server.check()
        finally:
            await server.aclose()

    asyncio.run(check())
    return OpenAIChatModel(url, name, api_key=key)
