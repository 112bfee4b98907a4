"""`RAG`: documents in, cited answers out. The whole path of a document and of a question on one page.

    add:    file -> Document -> Chunks -> index
    query:  RagQuery -> Hits, without orders to whoever reads them
                     -> Answerer (quotes a sentence; or prompt -> model -> checked text) -> Answer

Every way of asking (one, many, async, streamed) takes the same steps, so that the same question gets the same answer.
Source: Lewis et al. 2020, "Retrieval-Augmented Generation for Knowledge-Intensive NLP Tasks" (arXiv 2005.11401).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatModel
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.installation import program
from pagoda.language import language_of
from pagoda.rag.answer import Answer
from pagoda.rag.answerer import LOOKED_THROUGH, Answerer, GroundedQuestion
from pagoda.rag.asked_version import told_version
from pagoda.rag.directives import readable_part, without_directives
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.extractive.answerer import QuotingAnswerer
from pagoda.rag.generative.answerer import GenerativeAnswerer, GenerativeSettings
from pagoda.rag.generative.backed import BackedAnswerer
from pagoda.rag.generative.guided import UNSURE, GuidedAnswerer
from pagoda.rag.generative.support import SupportCheck
from pagoda.rag.index.options import IndexOptions
from pagoda.rag.inputs import chat_model_of, check_question, embedder_of, named_place, reader_of, reranker_of
from pagoda.rag.query import AnswererName, RagQuery, Turn, Where
from pagoda.rag.retrieval.filters import fields_of
from pagoda.rag.retrieval.versions import told_copies
from pagoda.rag.words import words_in

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.index.catalog import DocumentRecord
    from pagoda.rag.index.index import IndexStatus
    from pagoda.rag.index.indexer import IndexEvent, IndexReport
    from pagoda.rag.index.snapshot import Snapshot
    from pagoda.rag.retrieval.lexical import Bm25Index
    from pagoda.rag.retrieval.reranker import Reranker
    from pagoda.rag.retrieval.retriever import Retriever
    from pagoda.rag.viewing.view import DocumentView

MAX_K = 100


@dataclass(frozen=True, kw_only=True)
class RagSettings:
    """How documents are cut and answers made. Raises ConfigError.

    indexing: how `add` chooses, reads and cuts files; what is not said there is as it was when the index was made
    support_threshold: share of a sentence's words that must stand in its source
    generative: how a model is asked
    answerer: who answers where a question does not say; None is the model where there is one
    """

    indexing: IndexOptions = field(default_factory=IndexOptions)
    support_threshold: float = 0.5
    generative: GenerativeSettings = field(default_factory=GenerativeSettings)
    answerer: AnswererName | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.support_threshold <= 1:
            raise ConfigError(f"support_threshold is {self.support_threshold}, expected a share from 0 to 1")
        if self.answerer not in (None, *get_args(AnswererName)):
            known = ", ".join(get_args(AnswererName))
            raise ConfigError(f"answerer is {self.answerer!r}, expected one of {known}")


class RAG:
    """An index of documents, and whoever answers from it.

    path: the index's folder, made if it is not there (with read_only it must be)
    model: a ChatModel, or the URL of an OpenAI-compatible server; None quotes the documents and needs no model
    embedder, reranker: a sentence-transformers name or path, or an object; None is the embedder that the index was made
        with, for a new one the packaged MiniLM, and no reranking. The embedder "bilingual" reads Chinese, too, and has
        the passages read that may answer a Chinese question
    store_url: address of a server that keeps the vectors: http://host:port of Chroma, or
        postgresql://user@host:port/database of pgvector
    loop: the running event loop that `model` belongs to, if any
    owns_model: `close` ends the model, too, as it does one that was named by its URL

    >>> with RAG("my-index") as rag:                                        # doctest: +SKIP
    ...     rag.add(["documents"])
    ...     print(rag.query("When is the shop open?").text)
    """

    def __init__(
        self,
        path: str | Path,
        model: ChatModel | str | None = None,
        *,
        embedder: Embedder | str | None = None,
        reranker: Reranker | str | None = None,
        store_url: str | None = None,
        read_only: bool = False,
        settings: RagSettings | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        owns_model: bool = False,
    ) -> None:
        from pagoda.rag.index.index import RagIndex, embedder_of_index

        embedder = embedder_of_index(path) if embedder is None else embedder
        self.settings = settings or RagSettings()
        self.model = chat_model_of(model)
        self._embedder = embedder_of(embedder)
        self._reranker = reranker_of(reranker)
        given = named_place(embedder) if isinstance(embedder, str) else None
        self._index = RagIndex.open(
            path, self._embedder, read_only=read_only, store_url=store_url, embedder_given=given
        )
        self._loop = LoopThread(loop, instead="the async one, aquery or astream")
        self._owns_model = owns_model or isinstance(model, str)
        self._mutex = threading.Lock()
        self._retriever: tuple[int, Retriever] | None = None
        self._answerers: dict[AnswererName, Answerer] = {"extractive": QuotingAnswerer()}
        self.support = SupportCheck(self._embedder, threshold=self.settings.support_threshold)
        """What every sentence of a model goes through."""
        if self.model is not None:
            writer = GenerativeAnswerer(self.model, self.support, self.settings.generative)
            reader = self._answerers["extractive"]
            unsure, deadline_s = QuotingAnswerer(min_confidence=UNSURE), self.settings.generative.deadline_s
            self._answerers["model"] = BackedAnswerer(writer, reader)
            self._answerers["guided"] = GuidedAnswerer(self.model, reader, unsure, deadline_s)

    # Documents

    def add(
        self,
        paths: Sequence[str | Path],
        root: str | Path | None = None,
        on_event: Callable[[IndexEvent], None] | None = None,
        *,
        alone: bool = False,
        drop_gone: bool = False,
    ) -> IndexReport:
        """Bring the index up to date with files and folders; see Indexer.add. Raises RagError, ConfigError.

        alone: the index holds these and nothing else from now on; drop_gone: what it has of a folder that was named
            and does not exist any more leaves it, too
        """
        from pagoda.rag.index.indexer import Indexer
        from pagoda.rag.splitting.splitter import Splitter

        options = self.settings.indexing.over(self._index.options)
        size, overlap = options.cutting
        size = min(size, self._embedder.max_tokens)
        splitter = Splitter(self._embedder.num_tokens_batch, max_tokens=size, overlap_sentences=overlap)
        indexer = Indexer(self._index, splitter, self._embedder, options=options)
        report = indexer.add(paths, root, on_event, alone=alone, drop_gone=drop_gone)
        if report.added or report.updated or report.deleted:
            # The words are counted here and kept, so that no question of another process has to wait for it.
            began = time.perf_counter()
            self._bm25(self._index.snapshot())
            report = replace(report, seconds=report.seconds + time.perf_counter() - began)
        return report

    def watch(
        self,
        paths: Sequence[str | Path],
        root: str | Path | None = None,
        on_event: Callable[[IndexEvent], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[IndexReport]:
        """As `add`, now and after each change of the files, until `stop` is set: a report for each run.

        Raises MissingExtraError without `watchfiles`, and what `add` raises.
        """
        from pagoda.rag.index.watching import changes

        for _ in changes([Path(path) for path in paths], [self._index.path], stop):
            yield self.add(paths, root, on_event)

    def export(
        self, file: str | Path, *, vectors: bool = False, on_progress: Callable[[int, int], None] | None = None
    ) -> tuple[int, int]:
        """Write all that the index holds to one file; see `export_index`. How many documents and chunks."""
        from pagoda.rag.index.interchange import export_index

        return export_index(self._index, file, vectors=vectors, on_progress=on_progress)

    def restore(self, file: str | Path, on_progress: Callable[[int], None] | None = None) -> tuple[int, int]:
        """Fill the empty index from what `export` wrote; see `import_index`. How many documents and chunks."""
        from pagoda.rag.index.interchange import import_index

        return import_index(file, self._index, self._embedder, on_progress)

    def documents(self) -> list[DocumentRecord]:
        """What is indexed, by name."""
        return sorted(self._index.catalog.documents(), key=lambda record: record.source)

    def status(self) -> IndexStatus:
        """Sizes and names."""
        return self._index.status()

    def view(self, source: str, start: int = 0, end: int = 0, page: int | None = None) -> DocumentView:
        """A document to look at, its characters from `start` to `end` marked; see viewing.view.view_of."""
        from pagoda.rag.viewing.view import view_of

        return view_of(self._index.catalog, source, start, end, page)

    def page_picture(self, source: str, page: int) -> bytes:
        """A page of a PDF of the index as PNG; see viewing.view.picture_of."""
        from pagoda.rag.viewing.view import picture_of

        return picture_of(self._index.catalog, source, page)

    # Hits

    def retrieve(self, question: str, k: int = 5, where: Where | None = None) -> list[Hit]:
        """The k best chunks, best first. Raises InvalidRequestError for a question that is none."""
        return self.retrieve_batch([question], k, where)[0]

    def retrieve_batch(self, questions: Sequence[str], k: int = 5, where: Where | None = None) -> list[list[Hit]]:
        """The same for many questions, embedded in one call."""
        return self._found(questions, k, where)[0]

    def _found(self, questions: Sequence[str], k: int, where: Where | None) -> tuple[list[list[Hit]], Retriever]:
        """The hits of each, and who found them: what stands around them is in the index as it was then."""
        for question in questions:
            check_question(question)
        check_k(k)
        retriever = self._current_retriever()
        return retriever.retrieve_batch(list(questions), k, where), retriever

    def warm_up(self) -> None:
        """Load what the first question would wait for. An empty index has nothing to load."""
        if self.status().num_chunks:
            self.retrieve("first", k=1)

    # Answers

    def query(
        self,
        question: str,
        k: int = 5,
        where: Where | None = None,
        *,
        history: Sequence[Turn] | None = None,
        answerer: AnswererName | None = None,
    ) -> Answer:
        """One answer, with its sources or with the statement that there is none.

        k: chunks to read; where: what their metadata must be; history: earlier turns, for a follow-up question
        answerer: "extractive" quotes although there is a model; "guided" has the model confirm what is quoted
        Raises InvalidRequestError, PromptTooLongError, ChatModelError, RagError.
        """
        return self._loop.run(self.answer(RagQuery.of(question, k, where, history, answerer)))

    def query_batch(
        self, questions: Sequence[str], k: int = 5, where: Where | None = None, *, answerer: AnswererName | None = None
    ) -> list[Answer]:
        """An answer for each question, in order, with one call of the embedder and one of the model."""
        began = time.perf_counter()
        chosen = self._chosen(answerer)
        if not questions:
            return []
        check_k(k)
        hits, retriever = self._found(questions, max(k, LOOKED_THROUGH), where)
        asked = [
            _with_hits(RagQuery(question, k, where=where), question, found, retriever)
            for question, found in zip(questions, hits, strict=True)
        ]
        found = time.perf_counter()
        answers = self._loop.run(chosen.answer_batch(asked))
        return [_whole(answer, question, began, found) for answer, question in zip(answers, asked, strict=True)]

    async def aquery(
        self,
        question: str,
        k: int = 5,
        where: Where | None = None,
        *,
        history: Sequence[Turn] | None = None,
        answerer: AnswererName | None = None,
    ) -> Answer:
        """As `query`, from any event loop; cancelling it ends the model's work."""
        return await self.answer(RagQuery.of(question, k, where, history, answerer))

    def astream(
        self,
        question: str,
        k: int = 5,
        where: Where | None = None,
        *,
        history: Sequence[Turn] | None = None,
        answerer: AnswererName | None = None,
    ) -> AsyncGenerator[str | Answer]:
        """Pieces of text as they come, at last the Answer. The pieces are not checked yet: the Answer's text counts."""
        return self.answer_stream(RagQuery.of(question, k, where, history, answerer))

    def stream(
        self,
        question: str,
        k: int = 5,
        where: Where | None = None,
        *,
        history: Sequence[Turn] | None = None,
        answerer: AnswererName | None = None,
    ) -> Generator[str | Answer]:
        """As `astream`, for plain code."""
        return self._loop.iterate(self.answer_stream(RagQuery.of(question, k, where, history, answerer)))

    async def answer(self, query: RagQuery) -> Answer:
        """What `query` and `aquery` give, from any event loop."""
        began = time.perf_counter()
        chosen = self._chosen(query.answerer)
        asked = await self._grounded(query, chosen)
        found = time.perf_counter()
        (answer,) = await self._loop.arun(chosen.answer_batch([asked]))
        return _whole(answer, asked, began, found)

    async def answer_stream(self, query: RagQuery) -> AsyncGenerator[str | Answer]:
        """What `stream` and `astream` give, in any event loop."""
        began = time.perf_counter()
        chosen = self._chosen(query.answerer)
        asked = await self._grounded(query, chosen)
        found = time.perf_counter()
        async with contextlib.aclosing(self._loop.aiterate(chosen.stream(asked))) as items:
            async for item in items:
                yield _whole(item, asked, began, found) if isinstance(item, Answer) else item

    def close(self) -> None:
        """Give back the index, the model if it is ours, and the thread."""
        if self._owns_model and self.model is not None:
            self._loop.run(self.model.aclose())
        self._loop.close()
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, name: AnswererName | None) -> Answerer:
        """Whoever was asked for; else the model, where there is one. Raises InvalidRequestError."""
        usual: AnswererName = "model" if "model" in self._answerers else "extractive"
        chosen = self._answerers.get(name or self.settings.answerer or usual)
        if chosen is None:
            raise InvalidRequestError("no model was given to answer with: leave answerer out", param="answerer")
        return chosen

    async def _grounded(self, query: RagQuery, answerer: Answerer) -> GroundedQuestion:
        """The question with its hits, which are found by its stand-alone form."""
        check_question(query.question)
        alone = await self._loop.arun(answerer.standalone(query.question, query.history))
        # Embedding takes milliseconds of processor time, which a server's loop must not wait for.
        check_k(query.k)
        found = partial(self._found, [alone], max(query.k, LOOKED_THROUGH), query.where)
        (hits,), retriever = await asyncio.to_thread(found)
        return _with_hits(query, alone, hits, retriever)

    def _current_retriever(self) -> Retriever:
        """For the index as it is now. Raises InvalidRequestError where it is empty."""
        from pagoda.rag.retrieval.retriever import Retriever

        snapshot = self._index.snapshot()
        if not snapshot.chunks:
            raise InvalidRequestError(
                f"the index {self._index.path} holds no documents: add some with `{program()} rag index PATH`"
            )
        with self._mutex:
            if self._retriever is None or self._retriever[0] != snapshot.generation:
                bm25 = self._bm25(snapshot)
                reader = reader_of(self._embedder) if self._reranker is None else None
                self._retriever = snapshot.generation, Retriever(snapshot, bm25, self._embedder, self._reranker, reader)
            return self._retriever[1]

    def _bm25(self, snapshot: Snapshot) -> Bm25Index:
        """From the cache, or built and kept there; a cache that cannot be read or written costs time only."""
        from pagoda.rag.retrieval.lexical import Bm25Index

        folder = self._index.cache_folder("bm25", snapshot.generation)
        with contextlib.suppress(Exception):
            return Bm25Index.load(folder)
        built = Bm25Index.build([chunk.heading + chunk.text for chunk in snapshot.chunks])
        with contextlib.suppress(OSError):
            built.save(folder)
        return built


def check_k(k: int) -> None:
    """Raise InvalidRequestError for a number of hits that no question gets."""
    if not 1 <= k <= MAX_K:
        raise InvalidRequestError(f"k is {k}, expected 1 to {MAX_K}", param="k")


def _with_hits(query: RagQuery, alone: str, hits: Sequence[Hit], retriever: Retriever) -> GroundedQuestion:
    """The question with what may be read of its hits, and what may not be in words."""
    kept, ordered = without_directives(hits[: query.k], alone)
    further, _ = without_directives(hits[query.k :], alone)
    words = words_in(language_of(query.question))
    told = tuple(words.directive.format(source=source, line=line) for source, line in ordered)
    unknown = sorted(fields_of(query.where).difference(retriever.fields)) if query.where and not hits else []
    if unknown:
        told += (words.unknown_field.format(names=", ".join(unknown), known=", ".join(retriever.fields)),)
    elif query.where and not hits and (known := retriever.values(query.where)):
        told += (words.unmatched_filter.format(known=known),)

    def beside(chunk: Chunk) -> tuple[Chunk | None, Chunk | None]:
        before, after = (found and readable_part(found, alone) for found in retriever.neighbours.beside(chunk))
        return before, after

    other_version = partial(told_version, alone, language=language_of(query.question))
    history = tuple(query.history)
    return GroundedQuestion(
        query.question, kept, history, alone, told, beside, retriever.nowhere, other_version, further
    )


def _whole(answer: Answer, asked: GroundedQuestion, began: float, found: float) -> Answer:
    """With what was left out before the answerer, and all seconds."""
    times = {"retrieve": found - began, **answer.timings, "total": time.perf_counter() - began}
    rounded = {name: round(seconds, 6) for name, seconds in times.items()}
    copies = told_copies([citation.source for citation in answer.citations], asked.hits, language_of(asked.text))
    missing = asked.nowhere(asked.alone) if answer.abstained and asked.hits else ()
    dropped = answer.dropped + asked.left_out + copies
    note = asked.other_version(answer.citations)
    notes = answer.notes + ((note,) if note else ())
    return replace(answer, dropped=dropped, notes=notes, missing=missing, timings=rounded)
