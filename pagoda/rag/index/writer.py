"""The order in which an index is written, so that no moment of it can be lost.

Third station of a document's path: file -> Document -> Chunks -> *index* -> Hits -> answer. Tokens first, then vectors,
so that whose vector is there has its tokens; then the catalog's chunks in one transaction, then what nobody names any
more goes. A flag in the catalog says that a run is under
way; where it is found at the beginning of the next, sentences without a vector are embedded anew, and at its end
vectors without a sentence are swept away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk
from pagoda.rag.embedding.token_vectors import HeadedText, embed_headed, packed
from pagoda.rag.embedding.vectors import TokenVectors
from pagoda.rag.index.catalog import DocumentRecord
from pagoda.rag.index.snapshot import vector_ids
from pagoda.rag.index.vector_store import VectorStore

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.index.index import RagIndex


@dataclass(frozen=True)
class CutDocument:
    """A document that is ready for the index. replaces: names in the index that it takes the place of."""

    record: DocumentRecord
    chunks: list[Chunk]
    replaces: frozenset[str]


class IndexWriter:
    """Writes documents to a catalog and a store. The caller holds the index's lock.

    batch_sentences: given to the embedder at once
    """

    def __init__(
        self, index: RagIndex, open_store: Callable[[], VectorStore], embedder: Embedder, batch_sentences: int
    ) -> None:
        self._catalog = index.catalog
        self._open_store = open_store
        self._embedder = embedder
        self._batch_sentences = batch_sentences
        # Without its snapshot an index is read from the store, which may have lost something, too.
        self._was_interrupted = index.catalog.is_unfinished() or index.has_lost_snapshot()
        self.has_written = False
        self.num_embedded = 0

    def repair(self, on_embedded: Callable[[int], None]) -> None:
        """Embed anew what the store lost of the catalog's sentences; their texts are there, no file is needed."""
        if self._was_interrupted:
            store = self._begin()
            named = _sentences(self._catalog.chunks())
            present = set(store.ids())
            self._embed_all({name: text for name, text in named.items() if name not in present}, store, on_embedded)

    def write(
        self, documents: Sequence[CutDocument], deleted: Sequence[str], on_embedded: Callable[[int], None]
    ) -> None:
        """Put documents into the index and take the `deleted` names out, all in one step."""
        store = self._begin()
        old_chunks = self._chunks_of({name for d in documents for name in d.replaces} | set(deleted))
        new_chunks = [chunk for document in documents for chunk in document.chunks]
        self._embed(_sentences(new_chunks), _sentences(old_chunks), store, on_embedded)
        self._catalog.replace(((d.record, d.chunks) for d in documents), (*deleted, *_renamed(documents)))
        self._delete(store, _sentences(old_chunks).keys() - _sentences(new_chunks).keys())

    def finish(self) -> None:
        """Sweep up after an interrupted run, and note that this one is at its end."""
        if self._was_interrupted:
            store = self._begin()
            kept = _sentences(self._catalog.chunks()).keys()
            self._delete(store, (set(store.ids()) | self._catalog.token_names()) - kept)
        if self.has_written:
            self._catalog.mark_unfinished(False)

    def _begin(self) -> VectorStore:
        store = self._open_store()
        if not self.has_written:
            self._catalog.mark_unfinished(True)
            self.has_written = True
        return store

    def _chunks_of(self, sources: Iterable[str]) -> list[Chunk]:
        return [chunk for source in sources for chunk in self._catalog.chunks(source)]

    def _embed(
        self,
        new: dict[str, HeadedText],
        old: dict[str, HeadedText],
        store: VectorStore,
        on_embedded: Callable[[int], None],
    ) -> None:
        """Vectors for the names of `new` (name -> text): what is there stays, what moved is copied, the rest is new."""
        present = store.existing([*new, *(old.keys() - new.keys())])
        missing = [name for name in new if name not in present]
        on_embedded(len(new) - len(missing))
        former = {text: name for name, text in old.items() if name in present}
        copied = [name for name in missing if new[name] in former]
        if copied:
            self._copy([former[new[name]] for name in copied], copied, store)
            on_embedded(len(copied))
        fresh = {name: new[name] for name in missing if new[name] not in former}
        self._embed_all(fresh, store, on_embedded)

    def _embed_all(self, texts: dict[str, HeadedText], store: VectorStore, on_embedded: Callable[[int], None]) -> None:
        """In calls of even size: a small rest would fill no batch of the model. All are in the store at the end.

        One call's vectors are packed and written while the embedder works on the next.
        """
        names = list(texts)
        num_calls = -(-len(names) // self._batch_sentences)
        with ThreadPoolExecutor(max_workers=1) as executor:
            written: Future[None] | None = None
            for call in range(num_calls):
                part = names[len(names) * call // num_calls : len(names) * (call + 1) // num_calls]
                vectors, tokens = self._vectors([texts[name] for name in part])
                if written is not None:
                    written.result()
                written = executor.submit(self._keep_new, store, part, vectors, tokens)
                on_embedded(len(part))
            if written is not None:
                written.result()

    def _keep_new(self, store: VectorStore, names: list[str], vectors: np.ndarray, tokens: list[TokenVectors]) -> None:
        self._keep(store, names, vectors, packed(tokens))

    def _keep(self, store: VectorStore, names: list[str], vectors: np.ndarray, tokens: list[bytes]) -> None:
        """Tokens before vectors: a sentence that has a vector is not embedded again."""
        if tokens:
            self._catalog.add_tokens(dict(zip(names, tokens, strict=True)))
        store.add(names, vectors)

    def _copy(self, sources: list[str], names: list[str], store: VectorStore) -> None:
        tokens = self._catalog.tokens(sources)
        copies = [tokens.get(source, b"") for source in sources] if tokens else []
        self._keep(store, names, store.get(sources), copies)

    def _delete(self, store: VectorStore, names: Iterable[str]) -> None:
        gone = sorted(names)
        store.delete(gone)
        if gone:
            self._catalog.delete_tokens(gone)

    def _vectors(self, texts: list[HeadedText]) -> tuple[np.ndarray, list[TokenVectors]]:
        """[len(texts), dimension], and the tokens of each; [] from an embedder that tells none.

        Neighbouring chunks share sentences: each text is embedded once.
        """
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        vectors, tokens = embed_headed(self._embedder, list(rows))
        self.num_embedded += len(rows)
        if vectors.shape != (len(rows), self._embedder.dimension) or not np.isfinite(vectors).all():
            raise ConfigError(
                f"the embedder {self._embedder.name} gave vectors of shape {list(vectors.shape)} or numbers that are "
                f"not finite, expected [{len(rows)}, {self._embedder.dimension}]: use another embedder"
            )
        places = [rows[text] for text in texts]
        return vectors[places], [tokens[place] for place in places] if tokens else []


def _sentences(chunks: Iterable[Chunk]) -> dict[str, HeadedText]:
    """Name of the vector -> the sentence behind the headings that it stands under."""
    return {
        name: (chunk.heading, chunk.text[start - chunk.start : end - chunk.start])
        for chunk in chunks
        for name, (start, end) in zip(vector_ids(chunk), chunk.embedded_spans, strict=True)
    }


def _renamed(documents: Iterable[CutDocument]) -> list[str]:
    """Names that go because their document has another one now."""
    return [name for document in documents for name in document.replaces if name != document.record.source]
