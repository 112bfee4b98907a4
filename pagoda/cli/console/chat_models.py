"""A chat model by what `--model` names: a server's address, or a model of this machine.

Beside the commands that ask a model for words of its own (`pagoda rag`, `pagoda dialogue`): here rooms are wired.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pagoda.cli.console.environment import client_api_key
from pagoda.cli.console.options import Settings

if TYPE_CHECKING:
    from pagoda.chat.model import ChatModel


def chat_model(reader: Settings) -> ChatModel | None:
    """Of the settings model, model_name and api_key_env; None where no model is named. Raises ConfigError."""
    model = reader.get("model")
    if model is None:
        return None
    if not model.startswith(("http://", "https://")):
        from pagoda.engine.chat_model import EngineChatModel

        return EngineChatModel(model)
    from pagoda.chat.openai_client import OpenAIChatModel

    key = client_api_key(os.environ, reader.get("api_key_env"))
    return OpenAIChatModel(model, reader.get("model_name"), api_key=key)
