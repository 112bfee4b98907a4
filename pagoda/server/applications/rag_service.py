"""The documents of one server: an index that is opened at the start, and a folder for what is uploaded.

Between the endpoints of /v1/rag and `rag.pipeline`. One upload or deletion at a time; questions go on meanwhile, over
the index as it was. Uploads stand beside the index, so that they can be indexed anew by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError
from pagoda.rag.answer import Answer
from pagoda.rag.documents.document import Hit
from pagoda.rag.query import AnswererName, RagQuery
from pagoda.server.applications.application import LazyService, Opener
from pagoda.server.applications.uploads import changed_files, check_documents, plain_name, plainly_named

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.evaluation.feedback import Feedback, FeedbackLog
    from pagoda.rag.index.indexer import IndexReport
    from pagoda.rag.pipeline import RAG
    from pagoda.rag.tool import DocumentsTool
    from pagoda.rag.viewing.view import DocumentView


class RagService(LazyService["RAG"]):
    """The index at `path` and the uploads beside it. opener: for tests, of another index than that."""

    def __init__(self, path: Path, engine: AsyncEngine, opener: Opener[RAG] | None = None) -> None:
        super().__init__(path, engine, opener or RagOpening())
        self.uploads = self.path.with_name(self.path.name + "-uploads")
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Open the index and load what the first question needs. Raises ConfigError, RagError."""
        rag = await self._opened()
        await asyncio.to_thread(rag.warm_up)

    async def query(self, query: RagQuery) -> Answer:
        """See RAG.answer."""
        rag = await self._opened()
        return await rag.answer(self._with_answerer(query))

    async def stream(self, query: RagQuery) -> AsyncGenerator[str | Answer]:
        """See RAG.answer_stream."""
        rag = await self._opened()
        async with contextlib.aclosing(rag.answer_stream(self._with_answerer(query))) as items:
            async for item in items:
                yield item

    async def retrieve(self, question: str, k: int, where: Mapping[str, Any] | None) -> list[Hit]:
        """See RAG.retrieve."""
        rag = await self._opened()
        return await asyncio.to_thread(rag.retrieve, question, k, where)

    async def tool(self, k: int, where: Mapping[str, Any] | None) -> DocumentsTool:
        """The index as a tool of a chat model."""
        from pagoda.rag.tool import DocumentsTool

        return DocumentsTool(await self._opened(), k=k, where=where)

    async def status(self) -> dict[str, Any]:
        """Of the index, without the server's own paths."""
        rag = await self._opened()
        facts = asdict(await asyncio.to_thread(rag.status))
        facts.pop("path")
        return {**facts, "answerer": self._usual_answerer()}

    async def documents(self) -> list[dict[str, Any]]:
        """Every document by its name."""
        rag = await self._opened()
        return [
            {
                "object": "rag.document",
                "source": record.source,
                "title": record.title,
                "num_chars": record.num_chars,
                "size_bytes": record.size,
                "deletable": Path(record.location).parent == self.uploads.resolve(),
            }
            for record in await asyncio.to_thread(rag.documents)
        ]

    async def view(self, source: str, start: int, end: int, page: int | None) -> DocumentView:
        """See RAG.view."""
        rag = await self._opened()
        return await asyncio.to_thread(rag.view, source, start, end, page)

    async def page_picture(self, source: str, page: int) -> bytes:
        """See RAG.page_picture."""
        rag = await self._opened()
        return await asyncio.to_thread(rag.page_picture, source, page)

    async def add_feedback(self, feedback: Feedback) -> None:
        """Keep it on the disk. Raises RagError."""
        await asyncio.to_thread(self._feedback_log().add, feedback)

    async def feedback(self) -> list[Feedback]:
        """All of it, oldest first. Raises RagError."""
        return await asyncio.to_thread(self._feedback_log().entries)

    async def upload(self, files: Sequence[tuple[str, bytes]]) -> IndexReport:
        """Keep and index files. Raises LoadError for one that is no document; where it fails, none is kept."""
        rag = await self._opened()
        named = plainly_named(files)
        await asyncio.to_thread(check_documents, named)
        async with self._writing:
            return await asyncio.to_thread(self._change, rag, named)

    async def delete(self, name: str) -> bool:
        """Remove an uploaded document; False where there is none. Raises InvalidRequestError for a path elsewhere.

        Where the index cannot be changed, the file stays, too.
        """
        rag = await self._opened()
        if name != plain_name(name):
            raise InvalidRequestError(
                f"{name!r} is no name of an uploaded document: send it as it is listed", param="name"
            )
        async with self._writing:
            if not await asyncio.to_thread((self.uploads / name).is_file):
                return False
            await asyncio.to_thread(self._change, rag, {name: None})
        return True

    def _feedback_log(self) -> FeedbackLog:
        from pagoda.rag.evaluation.feedback import FeedbackLog, feedback_file

        return FeedbackLog(feedback_file(self.path))

    def _change(self, rag: RAG, contents: Mapping[str, bytes | None]) -> IndexReport:
        """Files and index together, or neither."""
        with changed_files(self.uploads, contents):
            return rag.add([self.uploads], self.uploads)

    def _with_answerer(self, query: RagQuery) -> RagQuery:
        return replace(query, answerer=query.answerer or self._usual_answerer())

    def _usual_answerer(self) -> AnswererName:
        """The built-in model is too small to be believed."""
        return "extractive" if self._engine.args.model is None else "model"


class RagOpening:
    """Opens indexes so that those that were made with one embedder share it, however many collections a server has."""

    def __init__(self) -> None:
        self._embedders: dict[str | None, Embedder] = {}
        self._mutex = threading.Lock()

    def __call__(self, path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> RAG:
        """The index in `path`, answered by the engine's model. Raises ConfigError, RagError, MissingExtraError."""
        from pagoda.engine.chat_model import EngineChatModel
        from pagoda.rag.index.index import embedder_of_index
        from pagoda.rag.inputs import embedder_of
        from pagoda.rag.pipeline import RAG

        name = embedder_of_index(path)
        with self._mutex:
            if name not in self._embedders:
                self._embedders[name] = embedder_of(name)
        return RAG(path, EngineChatModel.shared(engine), embedder=self._embedders[name], loop=loop)
