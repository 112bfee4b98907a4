"""Files as they come: names of any kind, files that change or go while they are read, doors that are closed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pagoda.rag.errors import IndexLockedError
from pagoda.rag.index import indexer as indexer_module
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from patience import HANG_S

MakeIndexer = Callable[..., Indexer]
NAMES = [
    "a name with blanks.md",
    "two\nlines.md",
    "tab\there.md",
    "\U0001f600 差旅.md",
    "\x1b[31mred\x1b[0m.md",
    "'quo\"ted'; rm -rf $HOME `x` %s {0}.md",
    "-dash.md",
    "e\u0301 and \u00e9.md",
    "\u202etxt.md",
]


def texts(index: RagIndex) -> dict[str, str]:
    return {chunk.source: chunk.text for chunk in index.chunks()}


def test_any_name_is_kept_to_the_letter_and_costs_nothing_the_second_time(
    make_indexer: MakeIndexer, open_index: Callable[..., RagIndex], tmp_path: Path
) -> None:
    folder = tmp_path / "odd \x1b[1m names"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_text(f"Number {number}.", "utf-8")
    index = open_index()
    report = make_indexer(index).add([folder])
    assert (set(report.added), report.skipped) == (set(NAMES), ())
    assert texts(index) == {name: f"Number {number}." for number, name in enumerate(NAMES)}
    assert set(make_indexer(index).add([folder]).unchanged) == set(NAMES)
    (folder / NAMES[1]).unlink()
    assert make_indexer(index).add([folder]).deleted == (NAMES[1],)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    make_indexer: MakeIndexer, open_index: Callable[..., RagIndex], documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, leave, read = open_index(), documents / "hr" / "leave.md", indexer_module.read_file

    def changing(path: Path, *settings: Any) -> bytes:
        data = read(path, *settings)
        if path == leave:
            # The same length, as a cell that is overwritten has.
            leave.write_bytes(data.replace(b"15", b"20"))
        return data

    monkeypatch.setattr(indexer_module, "read_file", changing)
    make_indexer(index).add([documents])
    monkeypatch.setattr(indexer_module, "read_file", read)
    assert make_indexer(index).add([documents]).updated == ("hr/leave.md",)
    assert any("20 days" in chunk.text for chunk in index.chunks())


def test_a_file_that_grows_beyond_the_limit_or_goes_while_it_is_read_stops_no_other(
    make_indexer: MakeIndexer, open_index: Callable[..., RagIndex], documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, read = open_index(), indexer_module.read_file

    def going(path: Path, *settings: Any) -> bytes:
        if path.name == "prices.csv":
            path.unlink()
        return read(path, *settings)

    monkeypatch.setattr(indexer_module, "read_file", going)
    report = make_indexer(index).add([documents])
    assert [name for name, _ in report.skipped] == ["prices.csv"]
    assert set(report.added) == {"hr/leave.md", "差旅.txt"}
    monkeypatch.setattr(indexer_module, "read_file", read)
    assert len(make_indexer(index).add([documents]).unchanged) == 2


def test_a_renamed_folder_keeps_its_vectors_and_leaves_no_document_behind(
    make_indexer: MakeIndexer, open_index: Callable[..., RagIndex], documents: Path, embedder: Any
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    before = embedder.num_embedded
    (documents / "hr").rename(documents / "people")
    report = make_indexer(index).add([documents])
    assert (report.added, report.deleted) == (("people/leave.md",), ("hr/leave.md",))
    assert {chunk.source for chunk in index.chunks()} == {"people/leave.md", "prices.csv", "差旅.txt"}
    assert embedder.num_embedded == before


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """`closed(path)`: from now on the system lets nobody in, as it does whoever is not the administrator."""
    shut: list[Path] = []

    def refuse(path: Any) -> None:
        if any(Path(path) == door or door in Path(path).parents for door in shut):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    real_open, real_scan = Path.open, os.scandir

    def opening(self: Path, *args: Any, **kwargs: Any) -> Any:
        refuse(self)
        return real_open(self, *args, **kwargs)

    def scanning(path: Any = ".") -> Iterator[Any]:
        refuse(path)
        return real_scan(path)

    monkeypatch.setattr(Path, "open", opening)
    monkeypatch.setattr(os, "scandir", scanning)
    return shut.append


def test_what_may_not_be_read_any_more_is_told_and_stays_as_it_was(
    make_indexer: MakeIndexer, open_index: Callable[..., RagIndex], documents: Path, closed: Callable[[Path], None]
) -> None:
    index = open_index()
    make_indexer(index).add([documents])
    (documents / "prices.csv").write_text("item,price\ntea,4\nmilk,1\n", "utf-8")
    closed(documents / "prices.csv")
    closed(documents / "hr")
    report = make_indexer(index).add([documents])
    told = dict(report.skipped)
    assert told["hr"] == "folder cannot be read (Permission denied)"
    assert told["prices.csv"].startswith("cannot be read (Permission denied)")
    assert told["prices.csv"].endswith("the version that was indexed before is kept")
    assert (report.deleted, set(report.unchanged)) == ((), {"差旅.txt"})
    assert len(texts(index)) == 3


WRITER = """
import runpy, sys
sys.path[:0] = [sys.argv[3], sys.argv[4]]
from pathlib import Path
from pagoda.rag.errors import IndexLockedError
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
tests = runpy.run_path(sys.argv[4] + "/unit/rag/conftest.py")
embedder = tests["FakeEmbedder"]()
while True:
    try:
        Indexer(RagIndex.open(sys.argv[1], embedder), tests["ParagraphSplitter"](), embedder).add([sys.argv[2]])
        break
    except IndexLockedError:
        pass
"""


def test_two_processes_that_index_at_once_lose_nothing_while_a_third_one_asks(
    open_index: Callable[..., RagIndex], documents: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for number in range(30):
        (more / f"{number}.txt").write_text(f"Number {number}.", "utf-8")
    index = open_index()
    root = Path(__file__).parents[4]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, index.path, folder, root, root / "tests"])
        for folder in (documents, more)
    ]
    generations = []
    while any(writer.poll() is None for writer in writers):
        try:
            snapshot = index.snapshot()
        except IndexLockedError:
            continue
        generations.append(snapshot.generation)
        assert len(snapshot.vectors) == len(snapshot.owner)
        # A document is there whole or not at all.
        assert sum(chunk.source == "hr/leave.md" for chunk in snapshot.chunks) in (0, 3)
    assert [writer.wait(HANG_S) for writer in writers] == [0, 0]
    assert generations == sorted(generations)
    assert index.catalog.counts()[0] == 33
    assert len(index.snapshot().chunks) == index.catalog.counts()[1] == 30 + 3 + 2 + 2
