"""An index is opened by the embedder that wrote it, written by one at a time, and read by everybody meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.errors import IndexLockedError, MissingVectorsError, RagError, StoreError
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from pagoda.rag.index.snapshot import load_snapshot, owners, save_snapshot, vector_ids

OpenIndex = Callable[..., RagIndex]
MakeIndexer = Callable[..., Indexer]


def sentences_of(index: RagIndex) -> list[str]:
    """As they are embedded: behind the headings above them."""
    embedded = [chunk for chunk in index.snapshot().chunks if chunk.is_embedded]
    return [chunk.heading + text for chunk in embedded for text in chunk.sentence_texts()]


def test_a_snapshot_holds_each_sentence_with_its_vector_and_owner(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    snapshot = index.snapshot()
    assert snapshot.generation == index.generation == 1
    assert [chunk.source for chunk in snapshot.chunks] == sorted(chunk.source for chunk in snapshot.chunks)
    assert snapshot.vectors.dtype == np.float32
    assert np.allclose(snapshot.vectors, embedder.embed(sentences_of(index)), atol=1e-6)
    assert [snapshot.chunks[row].source for row in snapshot.owner] == [
        chunk.source for chunk in snapshot.chunks if chunk.is_embedded for _ in chunk.sentence_texts()
    ]
    assert index.chunks() == snapshot.chunks
    assert index.chunk(snapshot.chunks[0].chunk_id) == snapshot.chunks[0]
    assert index.chunk("unknown") is None


def test_a_snapshot_is_made_once_for_each_generation(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    first = index.snapshot()
    assert index.snapshot() is first
    (documents / "new.txt").write_text("New.")
    make_indexer(index).add([documents])
    assert index.snapshot().generation == 2
    assert len(index.snapshot().chunks) == len(first.chunks) + 1


def test_an_empty_index_has_an_empty_snapshot(open_index: OpenIndex) -> None:
    snapshot = open_index().snapshot()
    assert (snapshot.chunks, snapshot.vectors.shape, snapshot.owner.shape) == ([], (0, 32), (0,))


def test_a_new_process_reads_the_snapshot_without_the_store(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    before = index.snapshot()
    shutil.rmtree(index.path / "vectors")
    again = open_index(read_only=True).snapshot()
    assert again.chunks == before.chunks
    assert np.array_equal(again.vectors, before.vectors)
    assert np.array_equal(again.owner, before.owner)


@pytest.mark.parametrize("has_sizes", [True, False], ids=["with sizes", "of an older version"])
def test_a_writer_sees_what_a_snapshot_lost_without_reading_it(
    make_indexer: Callable[..., Indexer], documents: Path, open_index: OpenIndex, has_sizes: bool
) -> None:
    make_indexer().add([documents])
    index = open_index()
    folder = index.path / "snapshot-1"
    if not has_sizes:
        (folder / "sizes.json").unlink()
    assert not index.has_lost_snapshot()
    whole = (folder / "chunks.jsonl").read_bytes()
    (folder / "chunks.jsonl").write_bytes(whole[:-9])
    assert index.has_lost_snapshot()
    (folder / "chunks.jsonl").write_bytes(whole)
    assert not index.has_lost_snapshot()
    (folder / "vectors.npy").unlink()
    assert index.has_lost_snapshot()


def test_a_snapshot_that_is_damaged_or_gone_is_made_anew_from_the_store(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    before = index.snapshot()
    (index.path / "snapshot-1" / "vectors.npy").write_bytes(b"damaged")
    assert load_snapshot(index.path) is None
    again = open_index().snapshot()
    assert again.chunks == before.chunks
    assert np.allclose(again.vectors, before.vectors, atol=1e-6)
    assert load_snapshot(index.path) is not None


def test_a_large_snapshot_is_read_as_it_is_used_and_is_the_same(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    tokens = [bytes([number] * number) for number in range(len(index.snapshot().vectors))]
    whole = save_snapshot(replace(index.snapshot(), tokens=tokens), index.path)
    monkeypatch.setattr("pagoda.rag.index.snapshot._MAPPED_BYTES", 0)
    mapped = load_snapshot(index.path)
    assert mapped is not None
    assert isinstance(mapped.vectors, np.memmap)
    assert not isinstance(whole.vectors, np.memmap)
    assert mapped.vectors.tobytes() == whole.vectors.tobytes()
    assert list(mapped.tokens) == list(whole.tokens) == mapped.tokens[:] == tokens
    assert (mapped.tokens[-1], mapped.tokens[1:3]) == (tokens[-1], tokens[1:3])
    with pytest.raises(IndexError):
        mapped.tokens[len(tokens)]


def test_what_a_reader_found_lost_is_mended_by_the_next_run_though_no_file_changed(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    names = [name for chunk in index.chunks() for name in vector_ids(chunk)]
    with index.writing() as store:
        store().delete(names[:2])
    for folder in index.path.glob("snapshot-*"):
        shutil.rmtree(folder)
    with pytest.raises(MissingVectorsError, match="index the documents again"):
        open_index(read_only=True).snapshot()
    report = make_indexer(open_index()).add([documents])
    assert (len(report.unchanged), report.num_embedded) == (3, 2)
    assert len(open_index(read_only=True).snapshot().vectors) == len(names)


def test_vectors_that_the_store_lost_are_told_and_the_next_run_embeds_them(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    before, num_sentences = index.snapshot(), embedder.num_embedded
    shutil.rmtree(index.path / "vectors")
    shutil.rmtree(index.path / "snapshot-1")
    again = open_index()
    with pytest.raises(MissingVectorsError, match=r"vectors are missing .* index the documents again"):
        again.snapshot()
    (documents / "prices.csv").unlink()
    make_indexer(again).add([documents / "hr"])
    assert embedder.num_embedded == 2 * num_sentences
    assert again.snapshot().chunks == before.chunks
    assert np.allclose(again.snapshot().vectors, before.vectors, atol=1e-6)


def test_names_of_vectors_tell_what_was_embedded(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    chunks = index.chunks()
    names = [name for chunk in chunks for name in vector_ids(chunk)]
    assert len(set(names)) == len(names) == len(owners(chunks))
    with index.writing() as store:
        assert sorted(store().ids()) == sorted(names)


# Opening


@pytest.mark.parametrize(("name", "dimension"), [("other", 32), ("fake", 16)])
def test_another_embedder_is_refused_and_the_index_stays(
    name: str, dimension: int, open_index: OpenIndex, make_indexer: MakeIndexer, make_embedder: Any, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    with pytest.raises(ConfigError, match=rf"holds vectors of fake \(dimension 32\), but the embedder is {name}"):
        open_index(embedder=make_embedder(name, dimension))
    assert len(open_index().snapshot().chunks) == len(index.chunks())


def test_the_chroma_folder_of_another_program_is_refused_untouched(tmp_path: Path, open_index: OpenIndex) -> None:
    import chromadb

    folder = tmp_path / "theirs"
    with chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False)) as client:
        client.create_collection("notes", embedding_function=None).add(["1"], embeddings=[[1.0, 2.0]])
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ConfigError, match="is a Chroma store of another program, not an index of pagoda: name a new"):
        open_index(path=folder)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_database_of_another_program_is_refused(tmp_path: Path, open_index: OpenIndex) -> None:
    with sqlite3.connect(tmp_path / "catalog.sqlite3") as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    database.close()
    with pytest.raises(ConfigError, match="is a database of another program"):
        open_index(path=tmp_path)


def test_a_folder_with_other_files_is_refused(documents: Path, open_index: OpenIndex) -> None:
    before = sorted(documents.iterdir())
    with pytest.raises(
        ConfigError, match=r"holds other files \(hr, prices.csv, 差旅.txt\) and no index: name a new or"
    ):
        open_index(path=documents)
    assert sorted(documents.iterdir()) == before


@pytest.mark.parametrize("name", ["catalog.sqlite3.a1b2.new", "catalog.sqlite3.a1b2.new-journal"])
def test_a_folder_in_which_another_process_makes_an_index_is_no_other_folder(
    tmp_path: Path, open_index: OpenIndex, name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    assert open_index(path=tmp_path).generation == 0


def test_a_file_in_the_place_of_the_folder_is_refused(documents: Path, open_index: OpenIndex) -> None:
    with pytest.raises(ConfigError, match="is a file, expected the folder of an index"):
        open_index(path=documents / "prices.csv")
    with pytest.raises(RagError, match="cannot be made"):
        open_index(path=documents / "prices.csv" / "index")


def test_a_missing_index_is_not_made_by_a_reader(tmp_path: Path, open_index: OpenIndex) -> None:
    with pytest.raises(ConfigError, match=r"there is no index in .*: make one with `.*pagoda rag index PATH`"):
        open_index(path=tmp_path / "none", read_only=True)
    with pytest.raises(ConfigError, match="there is no index"):
        open_index(path=tmp_path / "none", embedder=None)
    assert not (tmp_path / "none").exists()


def test_the_remains_of_a_killed_creation_are_no_hindrance(tmp_path: Path, open_index: OpenIndex) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("catalog.sqlite3.1234.new", "writer.lock", "writer.pid"):
        (folder / name).write_bytes(b"half")
    assert open_index(path=folder).generation == 0


def test_an_index_that_is_removed_and_made_anew_is_noticed(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    shutil.rmtree(index.path)
    with pytest.raises(RagError, match="cannot be used"):
        index.snapshot()
    make_indexer(open_index()).add([documents / "hr"])
    assert {chunk.source for chunk in index.chunks()} == {"leave.md"}


# Stores behind an address


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", ""])
def test_an_address_must_be_one(url: str, open_index: OpenIndex) -> None:
    with pytest.raises(ConfigError, match="expected http://host:port"):
        open_index(store_url=url)


def test_an_embedded_index_does_not_become_a_server_by_an_address(open_index: OpenIndex) -> None:
    open_index()
    with pytest.raises(ConfigError, match="keeps its vectors in its own folder, but the store is given as http://x:1"):
        open_index(store_url="http://x:1")


def test_an_index_remembers_its_server_which_may_move(open_index: OpenIndex) -> None:
    open_index(store_url="http://first:8000")
    assert open_index().status().store == "http://first:8000"
    assert open_index(store_url="http://second:8000").status().store == "http://second:8000"


def test_a_dead_server_stops_indexing_and_leaves_the_index(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pagoda.rag.index.stores import patience

    monkeypatch.setattr(patience.StorePatience, "__init__", hasty)
    index = open_index(store_url="http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"the vector store at http://127.0.0.1:1 does not answer"):
        make_indexer(index).add([documents])
    assert index.generation == 0
    assert index.chunks() == []


def test_an_index_whose_server_died_still_answers(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    with sqlite3.connect(index.catalog.file) as database:
        database.execute("UPDATE meta SET value = 'http://127.0.0.1:1' WHERE key = 'store'")
    database.close()
    again = open_index()
    assert again.status().store == "http://127.0.0.1:1"
    assert len(again.snapshot().chunks) == 7


def hasty(self: Any) -> None:
    object.__setattr__(self, "timeout_s", 0.2)
    object.__setattr__(self, "deadline_s", 0.1)
    object.__setattr__(self, "first_pause_s", 0.05)


# Several at once


@pytest.fixture
def other_writer(open_index: OpenIndex) -> Iterator[str]:
    """Another process writes to the index of this test; gives its number."""
    script = (
        "import sys, time, filelock, os\nfolder = sys.argv[1]\n"
        "with filelock.FileLock(folder + '/writer.lock'):\n"
        "    open(folder + '/writer.pid', 'w').write(str(os.getpid()))\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(open_index().path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield str(process.pid)
        process.kill()


def test_a_second_writer_is_told_who_writes(
    other_writer: str, open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path
) -> None:
    with pytest.raises(
        IndexLockedError, match=rf"another process \(process {other_writer}\) writes to the index .* wait"
    ):
        make_indexer().add([documents])
    assert open_index().generation == 0


def test_a_reader_gets_the_last_whole_snapshot_while_another_writes(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    reader, seen = open_index(read_only=True), []
    embed = embedder.embed

    def embed_while_somebody_reads(texts: list[str]) -> np.ndarray:
        thread = threading.Thread(target=lambda: seen.append(reader.snapshot()))
        thread.start()
        thread.join()
        return embed(texts)

    monkeypatch.setattr(embedder, "embed", embed_while_somebody_reads)
    for number in range(8):
        (documents / f"new{number}.txt").write_text(f"New text {number}.")
    make_indexer(index, batch_sentences=1).add([documents])
    assert [snapshot.generation for snapshot in seen] == [1] * 8
    assert index.snapshot().generation == reader.snapshot().generation == 3


def test_a_first_reader_is_told_to_wait_for_the_writer(other_writer: str, open_index: OpenIndex) -> None:
    with pytest.raises(IndexLockedError, match="wait for it to end"):
        open_index(read_only=True).snapshot()


def test_a_reader_does_not_write(open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path) -> None:
    open_index()
    with pytest.raises(ConfigError, match="was opened with read_only=True"):
        make_indexer(open_index(read_only=True)).add([documents])


# What else it tells


def test_the_status_counts_what_is_there(open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path) -> None:
    index = open_index()
    assert index.status().updated_at == ""
    make_indexer(index).add([documents])
    status = index.status()
    assert (status.num_documents, status.num_chunks) == (3, 7)
    assert (status.embedder, status.dimension, status.store, status.generation) == ("fake", 32, "embedded", 1)
    assert status.size_bytes > 10_000
    assert status.updated_at.startswith("20")
    assert status.num_characters == sum(len(chunk.text) for chunk in index.chunks()) + 8


def test_the_status_needs_no_embedder(open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path) -> None:
    make_indexer().add([documents])
    index = open_index(embedder=None)
    assert index.status().embedder == "fake"
    with pytest.raises(ConfigError, match="was opened with read_only=True"), index.writing():
        pass


def test_a_cache_belongs_to_its_generation(open_index: OpenIndex) -> None:
    index = open_index()
    folder = index.cache_folder("bm25", 1)
    (folder / "postings").write_text("x")
    assert index.cache_folder("bm25", 1) == folder
    assert (folder / "postings").exists()
    assert index.cache_folder("bm25", 2) != folder
    assert not folder.exists()


READ_AND_WRITE = """
import numpy, filelock, chromadb
from pathlib import Path
from types import SimpleNamespace
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
drop()
embedder = SimpleNamespace(name="fake", dimension=32)
index = RagIndex.open(Path(folder) / "index", embedder, read_only=True)
print(len(index.snapshot().chunks), index.status().num_documents)
try:
    Indexer(RagIndex.open(Path(folder) / "index", embedder), None, embedder).add([Path(folder) / "documents"])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders as POSIX knows them")
def test_an_index_in_a_read_only_folder_answers_and_says_that_it_cannot_be_written(
    open_index: OpenIndex, make_indexer: MakeIndexer, documents: Path, run_as_reader: Callable[[str], list[str]]
) -> None:
    make_indexer(open_index()).add([documents])
    read, written = run_as_reader(READ_AND_WRITE)
    assert read == "7 3"
    assert written.startswith("RagError the index")
    assert "make the folder writable" in written


def test_a_file_that_goes_while_sizes_are_added_up_counts_nothing(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda folder: [*walk(folder), (str(index.path / "snapshot-0"), [], ["gone.npy"])])
    size = sum(file.stat().st_size for file in index.path.rglob("*") if file.is_file())
    assert index.status().size_bytes == size > 0
