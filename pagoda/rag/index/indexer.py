"""Files into the index, as few as have changed.

Stations one to three of a document's path: *file -> Document -> Chunks -> index* -> Hits -> answer. Sentences of many
documents are embedded in one call, because the embedder is what takes the time; a document enters the catalog when
all of its vectors are in the store. What a killed run embedded is found by name and not embedded again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.files import FoundFile, Scan, find_files
from pagoda.rag.documents.loaders import LOADERS_VERSION, load_bytes, read_file
from pagoda.rag.errors import EmptyFileError, LoadError, RagError, UnknownKindError
from pagoda.rag.index.catalog import DocumentRecord
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.known_files import KnownFiles, Sighting
from pagoda.rag.index.options import IndexOptions
from pagoda.rag.index.snapshot import seen_by, vector_ids
from pagoda.rag.index.writer import CutDocument, IndexWriter

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.splitting.splitter import Splitter


# The store writes beside the embedder within a commit only. What a kill leaves uncommitted is not embedded again.
_CALLS_PER_COMMIT = 4
_GONE = (
    "does not exist any more; what the index has of it ({count:,} documents) stays: put it back, or let it go with "
    "`pagoda rag index --gone` (drop_gone=True)"
)


@dataclass(frozen=True)
class IndexEvent:
    """One step of progress.

    kind: "file" (one more file was looked at), "embedded" (more sentences have vectors), "committed" (documents
        stand in the index), "skipped" (a file was left out, see `reason`)
    num_files, num_files_done; num_sentences: of the documents cut so far; num_sentences_done: with vectors
    """

    kind: Literal["file", "embedded", "committed", "skipped"]
    source: str = ""
    reason: str = ""
    num_files: int = 0
    num_files_done: int = 0
    num_sentences: int = 0
    num_sentences_done: int = 0


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What one run did, by the names of the documents.

    skipped: (name, reason) of each file that was not read; warned: (name, warning) of each file that was read and may
    have lost something; options: what the index keeps for the next run; changed: name -> (before, now) of those that
    are not as they were; num_chunks: of the index now; num_embedded: sentences that went through the embedder
    """

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warned: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    num_chunks: int = 0
    num_embedded: int = 0
    seconds: float = 0.0


class Indexer:
    """Brings an index up to date with files.

    options: how files are chosen and read, which the index keeps; the splitter cuts them, whatever they say of that
    batch_sentences: given to the embedder at once; more are a little faster, fewer lose less work to a kill
    """

    def __init__(
        self,
        index: RagIndex,
        splitter: Splitter,
        embedder: Embedder,
        *,
        options: IndexOptions | None = None,
        batch_sentences: int = 2048,
    ) -> None:
        if batch_sentences < 1:
            raise ConfigError(f"batch_sentences is {batch_sentences}, expected at least 1")
        self.index = index
        self.splitter = splitter
        self.embedder = embedder
        self.options = options or IndexOptions()
        self.loader_settings = self.options.loading
        self.batch_sentences = batch_sentences

    @property
    def recipe(self) -> str:
        """How files become chunks, as far as settings say; documents made by another recipe are made anew."""
        parts = {name: getattr(self.splitter, name, None) for name in ("max_tokens", "overlap_sentences", "version")}
        return repr({"loaders": LOADERS_VERSION, "encoding": self.loader_settings.encoding, **parts})

    def add(
        self,
        paths: Sequence[str | Path],
        root: str | Path | None = None,
        on_event: Callable[[IndexEvent], None] | None = None,
        *,
        alone: bool = False,
        drop_gone: bool = False,
    ) -> IndexReport:
        """Index files and folders: what is new or changed enters, what is gone from them leaves.

        root: names are relative to it, and nothing outside it is read
        alone: documents of other places leave the index, too
        drop_gone: what the index has of a folder that was named and does not exist any more leaves it; else it stays,
            and the folder is told among what was skipped
        Raises ConfigError where a new choice of files leaves none of an index that holds documents.
        Files that cannot be read are reported. Raises RagError where a path does not exist or is outside `root`,
        IndexLockedError where another process writes, StoreError where the store fails; what was committed before
        stays, and the next run continues.
        """
        if not paths:
            raise RagError("no path was given: name files or folders")
        began = time.perf_counter()
        scan = find_files(paths, root, exclude=self.index.path, choice=self.options.choice)
        self._check_choice(scan)
        with self.index.writing() as open_store:
            changed = self._keep_options()
            writer = IndexWriter(self.index, open_store, self.embedder, self.batch_sentences)
            run = _Run(self, scan, writer, on_event or (lambda event: None), alone=alone, drop_gone=drop_gone)
            run.execute()
            if writer.has_written:
                self.index.keep_snapshot(open_store())
        _, num_chunks, _ = self.index.catalog.counts()
        report = run.report(num_chunks, time.perf_counter() - began)
        return replace(report, options=self.options.said(), changed=changed)

    def _check_choice(self, scan: Scan) -> None:
        """A pattern with a slip in it must not empty an index. Raises ConfigError."""
        choice = self.options.choice
        if scan.files or choice == self.index.options.choice or not self.index.catalog.counts()[0]:
            return
        given = f"include={list(choice.include)} and exclude={list(choice.exclude)}"
        raise ConfigError(
            f"{given} leave no file, and all documents would leave the index: nothing was changed. Patterns are like "
            "'*.md' or 'guide/*'"
        )

    def _keep_options(self) -> dict[str, tuple[Any, Any]]:
        """What is not as it was in an index that holds documents. Before anything is written: a killed run goes on."""
        kept = self.index.options
        if self.options == kept:
            return {}
        self.index.keep_options(self.options)
        return self.options.changes(kept) if self.index.generation else {}


class _Run:
    """One call of `Indexer.add`: what it has seen, and what waits to be written."""

    def __init__(
        self,
        indexer: Indexer,
        scan: Scan,
        writer: IndexWriter,
        on_event: Callable[[IndexEvent], None],
        *,
        alone: bool,
        drop_gone: bool,
    ) -> None:
        self._indexer = indexer
        self._catalog = indexer.index.catalog
        self._recipe = indexer.recipe
        self._scan = scan
        self._writer = writer
        self._on_event = on_event
        self._alone, self._drop_gone = alone, drop_gone
        self._known = KnownFiles(self._catalog.documents())
        self._pending: list[CutDocument] = []
        self._refreshed: list[DocumentRecord] = []
        self._emptied: list[str] = []
        self._has_told_kinds = False
        self._skipped: list[tuple[str, str]] = []
        self._warned: list[tuple[str, str]] = []
        self._outcomes: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": [], "deleted": []}
        self._num_pending_sentences = self._num_files_done = self._num_sentences = self._num_sentences_done = 0

    def execute(self) -> None:
        """Look at every file, and write whenever enough has come together."""
        self._check_gone()
        for source, reason in (*self._scan.skipped, *self._empty_folders()):
            self._skip(source, reason)
        self._writer.repair(lambda num_sentences: self._tell("embedded"))
        for file in self._scan.files:
            self._look(file)
            if self._num_pending_sentences >= _CALLS_PER_COMMIT * self._indexer.batch_sentences:
                self._commit()
        self._commit(deleted=self._deleted())
        if self._refreshed:
            self._catalog.touch(self._refreshed)
        self._writer.finish()

    def report(self, num_chunks: int, seconds: float) -> IndexReport:
        """What was done."""
        outcomes: dict[str, Any] = {kind: tuple(names) for kind, names in self._outcomes.items()}
        return IndexReport(
            **outcomes,
            skipped=tuple(self._skipped),
            warned=tuple(self._warned),
            num_chunks=num_chunks,
            num_embedded=self._writer.num_embedded,
            seconds=seconds,
        )

    def _look(self, file: FoundFile) -> None:
        """Load a file if it is new or changed; whatever is wrong with it is noted, and the next one follows."""
        source = next(file.names())
        try:
            sighting = self._known.sight(file)
            source = sighting.source
            self._take(sighting)
        except EmptyFileError as error:
            self._emptied += [record.source for record in [self._known.by_location.get(file.location)] if record]
            self._skip(source, str(error))
        except (LoadError, OSError) as error:
            kept = "; the version that was indexed before is kept" if file.location in self._known.by_location else ""
            self._skip(source, self._reason(error) + kept)
        self._num_files_done += 1
        self._tell("file", source)

    def _reason(self, error: LoadError | OSError) -> str:
        """Why a file is left out; which kinds are read is told once a run."""
        if isinstance(error, OSError):
            return f"cannot be read ({error.strerror})"
        if isinstance(error, UnknownKindError):
            is_told, self._has_told_kinds = self._has_told_kinds, True
            return error.brief if is_told else str(error)
        return str(error)

    def _take(self, sighting: Sighting) -> None:
        if sighting.is_untouched(self._recipe):
            self._outcomes["unchanged"].append(sighting.source)
            return
        data = read_file(sighting.file.path, self._indexer.loader_settings)
        file_hash = hashlib.sha256(data).hexdigest()
        if sighting.has_hash(self._recipe, file_hash=file_hash):
            self._refresh(sighting, file_hash)
            return
        document = load_bytes(data, sighting.source, self._indexer.loader_settings)
        self._warned += [(sighting.source, warning) for warning in document.warnings]
        if sighting.has_hash(self._recipe, content_hash=document.content_hash):
            self._refresh(sighting, file_hash)
        else:
            self._cut(sighting, document, file_hash)

    def _refresh(self, sighting: Sighting, file_hash: str) -> None:
        self._refreshed.append(sighting.refreshed(file_hash))
        self._outcomes["unchanged"].append(sighting.source)

    def _cut(self, sighting: Sighting, document: Document, file_hash: str) -> None:
        record = DocumentRecord(
            source=sighting.source,
            location=sighting.file.location,
            content_hash=document.content_hash,
            file_hash=file_hash,
            mtime_ns=sighting.mtime_ns,
            size=sighting.size,
            recipe=self._recipe,
            title=document.title,
            num_chars=len(document.text),
        )
        embedder = self._indexer.embedder
        cut = self._indexer.splitter.split(document)
        chunks = [seen_by(embedder, chunk) for chunk in cut]
        num_sentences = sum(len(vector_ids(chunk)) for chunk in chunks)
        self._pending.append(CutDocument(record, chunks, frozenset(self._known.replaced(sighting))))
        self._num_pending_sentences += num_sentences
        self._num_sentences += num_sentences

    def _commit(self, deleted: Sequence[str] = ()) -> None:
        documents, self._pending, self._num_pending_sentences = self._pending, [], 0
        if not documents and not deleted:
            return
        self._writer.write(documents, deleted, self._count_embedded)
        for document in documents:
            self._outcomes["updated" if document.replaces else "added"].append(document.record.source)
        self._outcomes["deleted"] += deleted
        self._tell("committed")

    def _count_embedded(self, num_sentences: int) -> None:
        self._num_sentences_done += num_sentences
        self._tell("embedded")

    def _deleted(self) -> list[str]:
        """Documents whose file is gone from the paths that were named, or elsewhere, or has no text any more."""
        seen = {file.location for file in self._scan.files}
        gone = [
            record.source
            for record in self._known.by_location.values()
            if record.location not in seen
            and (self._scan.covers(record.location) or (self._alone and not self._scan.is_closed(record.location)))
            and not self._known.is_given(record.source)
        ]
        return sorted({*gone, *self._emptied})

    def _check_gone(self) -> None:
        """A path that does not exist is a deletion where the index knows it as a file, else a mistake.

        A folder that is gone with all that it held may be a disk that is not there: its documents stay, unless asked.
        """
        for path in self._scan.gone:
            known = [location for location in self._known.by_location if Path(location).is_relative_to(path)]
            if not known:
                raise RagError(f"{path} does not exist: check the path; the index is as it was")
            if not self._drop_gone and str(path) not in known:
                self._scan.closed.append(path)
                self._skip(path.name, _GONE.format(count=len(known)))

    def _empty_folders(self) -> list[tuple[str, str]]:
        """Folders that were named and hold nothing to read, with the reason to tell."""
        reason = "holds no files: put documents into it, or name another folder"
        full = {folder for file in self._scan.files for folder in file.path.parents}
        return [(root.name, reason) for root in self._scan.roots if root.is_dir() and root not in full]

    def _skip(self, source: str, reason: str) -> None:
        self._skipped.append((source, reason))
        self._tell("skipped", source, reason)

    def _tell(
        self, kind: Literal["file", "embedded", "committed", "skipped"], source: str = "", reason: str = ""
    ) -> None:
        self._on_event(
            IndexEvent(
                kind=kind,
                source=source,
                reason=reason,
                num_files=len(self._scan.files),
                num_files_done=self._num_files_done,
                num_sentences=self._num_sentences,
                num_sentences_done=self._num_sentences_done,
            )
        )
