"""A server with collections of documents. The embedder counts words; nothing else is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pagoda.chat.model import Message
from pagoda.chat.scripted import ScriptedChatModel
from pagoda.rag.pipeline import RAG
from pagoda.server.applications.application import service_of
from pagoda.server.applications.rag_collections import RagCollections
from pagoda.server.config import ServerConfig
from word_embedder import WordEmbedder

Script = Callable[[Sequence[Message]], str] | list[str | Exception]


class Site:
    """One server with documents. script: of its model."""

    def __init__(self, serve: Any, folder: Path, script: Script = (), **config: Any) -> None:  # type: ignore[assignment]
        self._serve, self._script = serve, script
        self.path = folder / "index"
        self.config = ServerConfig(**{"access_log": False, "rag": self.path, **config})

    async def __aenter__(self) -> Site:
        self._context = self._serve(self.config)
        self.server = await self._context.__aenter__()
        for service in service_of(self.server.app, RagCollections).services():
            service._opener = self._open
        self.client = self.server.client
        return self

    async def __aexit__(self, *error: Any) -> None:
        await service_of(self.server.app, RagCollections).close()
        await self._context.__aexit__(*error)

    def _open(self, path: Path, engine: Any, loop: asyncio.AbstractEventLoop) -> RAG:
        return RAG(path, ScriptedChatModel(self._script), embedder=WordEmbedder(), loop=loop)  # type: ignore[arg-type]

    async def upload(self, *files: tuple[str, bytes], **options: Any) -> Any:
        return await self.client.post("/v1/rag/documents", files=[("file", file) for file in files], **options)


@pytest.fixture
def site(serve: Any, tmp_path: Path) -> Callable[..., Site]:
    """`async with site(script, **config) as s`."""
    return lambda *script, **config: Site(serve, tmp_path, *script, **config)


@pytest.fixture
def word_embedder() -> WordEmbedder:
    """The embedder of the sites' indexes."""
    return WordEmbedder()
