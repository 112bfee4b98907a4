"""The catalog changes in one step or not at all, and knows its own files from others."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk
from pagoda.rag.documents.places import Places
from pagoda.rag.errors import RagError
from pagoda.rag.index import catalog as catalog_module
from pagoda.rag.index.catalog import SCHEMA_VERSION, Catalog, DocumentRecord


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.create(tmp_path / "catalog.sqlite3", {"embedder": "fake"})


def record(source: str, content_hash: str = "hash", *, location: str = "") -> DocumentRecord:
    return DocumentRecord(source, location or f"/docs/{source}", content_hash, "file hash", 1, 2, "recipe", num_chars=9)


def chunks(source: str, *texts: str) -> list[Chunk]:
    return [
        Chunk(
            chunk_id=f"{source}-{text}",
            source=source,
            text=text,
            start=0,
            end=len(text),
            line=1,
            page=3,
            title="标题",
            sentences=((0, 2), (2, len(text))),
            metadata={"year": 2026},
            places=Places(pages=((0, 3), (2, 4)), lines=((0, 1),)),
        )
        for text in texts
    ]


def test_chunks_come_back_as_they_went_in(catalog: Catalog) -> None:
    written = chunks("a.md", "zebra", "苹果和梨")
    catalog.replace([(record("a.md"), written)])
    assert catalog.chunks() == catalog.chunks("a.md") == written
    assert catalog.chunk("a.md-苹果和梨") == written[1]
    assert catalog.chunk("unknown") is None
    assert catalog.counts() == (1, 2, 9)


def test_chunks_are_ordered_by_source_and_position(catalog: Catalog) -> None:
    catalog.replace([(record("b.md"), chunks("b.md", "2nd", "1st")), (record("a.md"), chunks("a.md", "only"))])
    assert [chunk.text for chunk in catalog.chunks()] == ["only", "2nd", "1st"]
    assert [document.source for document in catalog.documents()] == ["a.md", "b.md"]


def test_a_document_is_replaced_and_others_stay(catalog: Catalog) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "old")), (record("b.md"), chunks("b.md", "other"))])
    catalog.replace([(record("a.md", "new hash"), chunks("a.md", "new", "newer"))])
    assert [chunk.text for chunk in catalog.chunks()] == ["new", "newer", "other"]
    assert catalog.generation == 2
    catalog.replace([], deleted=["b.md", "unknown"])
    assert [chunk.text for chunk in catalog.chunks()] == ["new", "newer"]


def test_a_file_under_a_new_name_takes_the_place_of_the_old(catalog: Catalog) -> None:
    catalog.replace([(record("a.md", location="/docs/x"), chunks("a.md", "old"))])
    catalog.replace([(record("b.md", location="/docs/x"), chunks("b.md", "new"))])
    assert [document.source for document in catalog.documents()] == ["b.md"]


def test_a_step_that_fails_changes_nothing(catalog: Catalog) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "old"))])
    twice = chunks("b.md", "same", "same")
    with pytest.raises(ConfigError, match="UNIQUE constraint"):
        catalog.replace([(record("a.md"), chunks("a.md", "new")), (record("b.md"), twice)], deleted=["a.md"])
    assert [chunk.text for chunk in catalog.chunks()] == ["old"]
    assert catalog.generation == 1


def test_touching_makes_no_generation(catalog: Catalog) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "text"))])
    catalog.touch([DocumentRecord("a.md", "/moved/a.md", "ignored", "other", 7, 8, "ignored")])
    (document,) = catalog.documents()
    assert (document.location, document.file_hash, document.mtime_ns, document.size) == ("/moved/a.md", "other", 7, 8)
    assert (document.content_hash, catalog.generation) == ("hash", 1)


def test_a_reader_sees_one_moment_while_a_writer_works(catalog: Catalog) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "old"))])
    with catalog._reading() as reader:
        before = reader.execute("SELECT text FROM chunks").fetchall()
        catalog.replace([(record("a.md"), chunks("a.md", "new"))])
        assert reader.execute("SELECT text FROM chunks").fetchall() == before == [("old",)]
    assert catalog.chunks()[0].text == "new"


def test_many_threads_may_use_one_catalog(catalog: Catalog) -> None:
    def write(number: int) -> None:
        catalog.replace([(record(f"{number}.md"), chunks(f"{number}.md", "text"))])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (catalog.generation, catalog.counts()[0]) == (8, 8)


def test_tokens_are_kept_by_name_and_forgotten(catalog: Catalog) -> None:
    names = [f"c#{i}" for i in range(1200)]
    catalog.add_tokens({name: name.encode() for name in names})
    catalog.add_tokens({"c#1": b""})
    catalog.delete_tokens(["c#0", "unknown"])
    assert catalog.tokens(names) == {name: name.encode() for name in names[2:]} | {"c#1": b""}
    assert catalog.token_names() == set(names[1:])
    assert catalog.generation == 0


def test_the_mark_of_an_unfinished_run_is_kept(catalog: Catalog) -> None:
    assert not catalog.is_unfinished()
    catalog.mark_unfinished(True)
    assert Catalog(catalog.file).is_unfinished()
    catalog.mark_unfinished(False)
    assert not catalog.is_unfinished()


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    database.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="is a database of another program, not an index of pagoda: name a new"):
        Catalog(file).check()
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    file.write_text("Dear diary, " * 200)
    with pytest.raises(ConfigError, match="is not an index of pagoda, or is damaged"):
        Catalog(file).check()


def test_a_catalog_of_a_later_version_is_refused(catalog: Catalog) -> None:
    with sqlite3.connect(catalog.file) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigError, match=f"has schema version 99, this pagoda reads version {SCHEMA_VERSION}"):
        catalog.check()


def test_a_catalog_locked_by_another_program_says_so(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(catalog.file)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RagError, match="is locked by another process: wait for it to end and run again; nothing was"):
        catalog.replace([(record("a.md"), chunks("a.md", "text"))])
    other.close()
    assert catalog.chunks() == []


def test_a_full_disk_leaves_the_catalog_as_it_was(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "old"))])
    limit_pages(monkeypatch, 30)
    with pytest.raises(RagError, match=r"no space left on the disk of .*: free some and run again; what was committed"):
        catalog.replace([(record("a.md"), chunks("a.md", *(f"{i} " * 500 for i in range(500))))])
    monkeypatch.undo()
    assert [chunk.text for chunk in catalog.chunks()] == ["old"]


def limit_pages(monkeypatch: pytest.MonkeyPatch, num_pages: int) -> None:
    """SQLite itself says that the disk is full when a database reaches its greatest size."""
    connect = sqlite3.connect

    def small(*args: object, **kwargs: object) -> sqlite3.Connection:
        database = connect(*args, **kwargs)  # type: ignore[call-overload]
        database.execute(f"PRAGMA max_page_count = {num_pages}")
        return database

    monkeypatch.setattr(sqlite3, "connect", small)


READ_AND_WRITE = """
from pathlib import Path
from pagoda.rag.index.catalog import Catalog
drop()
catalog = Catalog(Path(folder) / "catalog.sqlite3")
print([chunk.text for chunk in catalog.chunks()])
try:
    catalog.replace([], deleted=["a.md"])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders as POSIX knows them")
def test_a_read_only_folder_can_be_read_and_says_why_it_cannot_be_written(
    catalog: Catalog, run_as_reader: Callable[[str], list[str]]
) -> None:
    catalog.replace([(record("a.md"), chunks("a.md", "text"))])
    read, written = run_as_reader(READ_AND_WRITE)
    assert read == "['text']"
    assert written.startswith("RagError")
    assert "cannot be written" in written
    assert "read_only=True" in written
