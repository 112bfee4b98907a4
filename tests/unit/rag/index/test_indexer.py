"""Only what changed is embedded, in one step each; whatever is wrong with a file leaves the others and the index."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.documents.files import FileChoice, find_files
from pagoda.rag.errors import RagError, StoreError
from pagoda.rag.index import indexer as indexer_module
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer, IndexEvent, IndexReport
from pagoda.rag.index.options import IndexOptions
from pagoda.rag.index.snapshot import vector_ids
from pagoda.rag.index.stores.chroma import ChromaStore

MakeIndexer = Callable[..., Indexer]


def text_of(index: RagIndex, source: str) -> list[str]:
    return [chunk.text for chunk in index.chunks() if chunk.source == source]


def age(path: Path) -> None:
    """Make a file old enough for its time to be believed."""
    for file in [path, *path.rglob("*")]:
        os.utime(file, (1_000_000_000, 1_000_000_000))


def check_store(index: RagIndex) -> None:
    """The store holds the vectors of the catalog's chunks, and no others."""
    with index.writing() as store:
        assert sorted(store().ids()) == sorted(name for chunk in index.chunks() for name in vector_ids(chunk))


def test_files_and_folders_become_documents_named_from_the_folder(make_indexer: MakeIndexer, documents: Path) -> None:
    indexer = make_indexer()
    report = indexer.add([documents])
    assert sorted(report.added) == ["hr/leave.md", "prices.csv", "差旅.txt"]
    assert (report.updated, report.unchanged, report.deleted, report.skipped) == ((), (), (), ())
    assert (report.num_chunks, report.num_embedded) == (7, 5)
    assert text_of(indexer.index, "差旅.txt") == ["住宿标准每晚五百元。", "机票须经审批。"]
    check_store(indexer.index)


def test_documents_of_other_places_leave_where_the_given_ones_are_to_stand_alone(
    make_indexer: MakeIndexer, documents: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "shop.md").write_text("Open at nine.", encoding="utf-8")
    (documents / "prices.csv").rename(tmp_path / "prices.csv")
    indexer = make_indexer()
    indexer.add([documents, tmp_path / "prices.csv"])
    (tmp_path / "prices.csv").unlink()
    report = indexer.add([other], alone=True)
    assert (report.added, sorted(report.deleted)) == (("shop.md",), ["hr/leave.md", "prices.csv", "差旅.txt"])
    assert {chunk.source for chunk in indexer.index.chunks()} == {"shop.md"}
    check_store(indexer.index)


def test_what_the_embedder_cannot_read_is_not_embedded(
    make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    assert not [text for call in embedder.calls for text in call if "住宿" in text]
    by_source = {chunk.source: chunk.is_embedded for chunk in indexer.index.snapshot().chunks}
    assert by_source == {"hr/leave.md": True, "prices.csv": True, "差旅.txt": False}


def test_unchanged_files_cost_nothing(
    make_indexer: MakeIndexer, documents: Path, embedder: Any, monkeypatch: Any
) -> None:
    indexer = make_indexer()
    age(documents)
    indexer.add([documents])
    embedder.calls.clear()
    monkeypatch.setattr(indexer_module, "read_file", lambda *args: pytest.fail("a file was read"))
    monkeypatch.setattr(RagIndex, "_open_store", lambda *args: pytest.fail("the store was opened"))
    report = indexer.add([documents])
    assert (len(report.unchanged), report.added, report.updated, embedder.calls) == (3, (), (), [])
    assert indexer.index.generation == 1


def test_a_file_that_was_only_touched_is_read_and_not_embedded(
    make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    embedder.calls.clear()
    age(documents)
    assert len(indexer.add([documents]).unchanged) == 3
    assert (embedder.calls, indexer.index.generation) == ([], 1)


def test_a_change_that_keeps_size_and_time_is_noticed_shortly_after(make_indexer: MakeIndexer, documents: Path) -> None:
    indexer = make_indexer()
    path = documents / "prices.csv"
    indexer.add([documents])
    stat = path.stat()
    path.write_text(path.read_text().replace("3", "4"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert indexer.add([documents]).updated == ("prices.csv",)


def test_a_changed_file_replaces_its_chunks_and_embeds_only_what_is_new(
    make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    embedder.calls.clear()
    text = "# Leave\n\nA new rule.\n\nStaff have 15 days of leave.\n\nAsk your lead."
    (documents / "hr" / "leave.md").write_text(text)
    report = indexer.add([documents])
    assert (report.updated, len(report.unchanged)) == (("hr/leave.md",), 2)
    assert embedder.calls == [["Leave: A new rule."]]
    assert text_of(indexer.index, "hr/leave.md") == text.split("\n\n")
    snapshot = indexer.index.snapshot()
    embedded = [chunk for chunk in snapshot.chunks if chunk.is_embedded]
    sentences = [chunk.heading + text for chunk in embedded for text in chunk.sentence_texts()]
    assert np.allclose(snapshot.vectors, embedder.embed(sentences), atol=1e-6)
    check_store(indexer.index)


def test_a_deleted_file_goes_and_only_from_the_paths_that_were_named(
    make_indexer: MakeIndexer, documents: Path
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    (documents / "prices.csv").unlink()
    (documents / "hr" / "leave.md").unlink()
    assert indexer.add([documents / "hr"]).deleted == ("hr/leave.md",)
    assert {chunk.source for chunk in indexer.index.chunks()} == {"prices.csv", "差旅.txt"}
    assert indexer.add([documents / "prices.csv"]).deleted == ("prices.csv",)
    assert {chunk.source for chunk in indexer.index.chunks()} == {"差旅.txt"}
    check_store(indexer.index)


def test_a_moved_file_is_not_embedded_again_where_its_name_stays(
    make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    embedder.calls.clear()
    moved = documents.rename(documents.with_name("elsewhere"))
    report = indexer.add([moved])
    assert (len(report.unchanged), report.deleted, embedder.calls) == (3, (), [])
    assert all(str(moved) in record.location for record in indexer.index.catalog.documents())


def test_two_files_of_one_name_are_told_apart_and_keep_their_names(make_indexer: MakeIndexer, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(f"Text of {folder}.")
    indexer = make_indexer()
    assert indexer.add([tmp_path / "a", tmp_path / "b"]).added == ("x.txt", "b/x.txt")
    assert indexer.add([tmp_path / "b"]).unchanged == ("b/x.txt",)
    (tmp_path / "a" / "x.txt").write_text("New text of a.")
    assert indexer.add([tmp_path / "b", tmp_path / "a"]).updated == ("x.txt",)
    assert text_of(indexer.index, "b/x.txt") == ["Text of b."]


def test_names_are_relative_to_the_root_and_nothing_outside_it_is_read(
    make_indexer: MakeIndexer, documents: Path, tmp_path: Path
) -> None:
    indexer = make_indexer()
    assert indexer.add([documents / "hr"], root=documents).added == ("hr/leave.md",)
    (tmp_path / "secret.txt").write_text("secret")
    for path in (tmp_path / "secret.txt", documents / ".." / "secret.txt", "/etc/passwd"):
        with pytest.raises(RagError, match=r"is outside the folder .*: name files and folders within it"):
            indexer.add([path], root=documents)
    (documents / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RagError, match="is outside the folder"):
        indexer.add([documents / "link.txt"], root=documents)
    assert {chunk.source for chunk in indexer.index.chunks()} == {"hr/leave.md"}


def test_links_out_of_the_folder_are_not_followed_and_hidden_files_are_passed_over(
    make_indexer: MakeIndexer, documents: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (documents / "link.txt").symlink_to(tmp_path / "secret.txt")
    (documents / "up").symlink_to(tmp_path, target_is_directory=True)
    (documents / "loop").symlink_to(documents, target_is_directory=True)
    (documents / "same.csv").symlink_to(documents / "prices.csv")
    for name in (".git/config.txt", ".hidden.md", "node_modules/x/readme.md", "CVS/log.txt", "~$report.docx"):
        (documents / name).parent.mkdir(parents=True, exist_ok=True)
        (documents / name).write_text("hidden")
    report = make_indexer().add([documents])
    assert sorted(report.added) == ["hr/leave.md", "prices.csv", "差旅.txt"]
    assert sorted(name for name, _ in report.skipped) == ["link.txt", "up"]
    assert {reason for _, reason in report.skipped} == {"is a link out of the folder, which is not followed"}


def test_links_that_lead_in_a_circle_or_nowhere_are_named_and_the_rest_is_indexed(
    make_indexer: MakeIndexer, documents: Path
) -> None:
    (documents / "a.md").symlink_to("b.md")
    (documents / "b.md").symlink_to("a.md")
    (documents / "self").symlink_to("self")
    (documents / "gone.md").symlink_to("nothing.md")
    report = make_indexer().add([documents])
    assert len(report.added) == 3
    assert sorted(name for name, _ in report.skipped) == ["a.md", "b.md", "gone.md", "self"]
    assert {reason for _, reason in report.skipped} == {"is a link that leads nowhere: mend it, or remove it"}


def test_a_folder_whose_files_are_links_into_a_hidden_one_is_indexed_and_follows_its_switch(
    make_indexer: MakeIndexer, tmp_path: Path
) -> None:
    """As Kubernetes mounts a ConfigMap, and as it changes one: by a single rename of `..data`."""
    mount = tmp_path / "mount"
    for day, text in (("..day1", "Old text."), ("..day2", "New text.")):
        (mount / day / "sub").mkdir(parents=True)
        (mount / day / "a.md").write_text(text)
        (mount / day / "sub" / "b.md").write_text("Same text.")
    (mount / "..data").symlink_to("..day1")
    (mount / "a.md").symlink_to("..data/a.md")
    (mount / "sub").symlink_to("..data/sub")
    indexer = make_indexer()
    report = indexer.add([mount])
    assert (sorted(report.added), report.skipped) == (["a.md", "sub/b.md"], ())
    (mount / "..data").unlink()
    (mount / "..data").symlink_to("..day2")
    report = indexer.add([mount])
    assert (report.updated, report.deleted) == (("a.md",), ())
    assert [chunk.text for chunk in indexer.index.chunks()] == ["New text.", "Same text."]


def test_files_are_chosen_by_their_names_and_folders(documents: Path) -> None:
    def chosen(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
        scan = find_files([documents], choice=FileChoice(include, exclude))
        return sorted(next(file.names()) for file in scan.files)

    assert chosen(include=("*.md",)) == ["hr/leave.md"]
    assert chosen(include=("hr/*", "prices*")) == ["hr/leave.md", "prices.csv"]
    assert chosen(exclude=("hr",)) == ["prices.csv", "差旅.txt"]
    assert chosen(exclude=("hr/", "*.csv")) == ["差旅.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow only names that are text")
def test_a_file_whose_name_is_no_text_is_reported(make_indexer: MakeIndexer, documents: Path) -> None:
    Path(os.fsdecode(os.fsencode(documents) + b"/bad\xff.txt")).write_text("text")
    report = make_indexer().add([documents])
    assert (len(report.added), report.skipped) == (3, (("bad?.txt", "has a name that is no valid text: rename it"),))


def test_the_index_does_not_index_itself(make_indexer: MakeIndexer, open_index: Any, documents: Path) -> None:
    indexer = make_indexer(open_index(path=documents / "my-index"))
    for _ in range(2):
        assert indexer.add([documents]).skipped == ()


def test_broken_files_are_reported_and_the_others_are_indexed(make_indexer: MakeIndexer, documents: Path) -> None:
    (documents / "binary.txt").write_bytes(bytes(range(256)))
    (documents / "empty.pdf").write_bytes(b"")
    (documents / "torn.docx").write_bytes(b"PK\x03\x04")
    (documents / "photo.jpg").write_bytes(b"\xff\xd8")
    (documents / "large.txt").write_bytes(b"x" * 5000)
    indexer = make_indexer(options=IndexOptions(max_bytes=4000))
    report = indexer.add([documents])
    reasons = dict(report.skipped)
    assert len(report.added) == 3
    assert set(reasons) == {"binary.txt", "empty.pdf", "torn.docx", "photo.jpg", "large.txt"}
    assert "has 5,000 bytes, at most 4,000 are read" in reasons["large.txt"]
    assert reasons["empty.pdf"].startswith("is empty")
    check_store(indexer.index)


def test_a_document_whose_file_broke_is_kept_and_one_whose_file_was_emptied_goes(
    make_indexer: MakeIndexer, documents: Path
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    (documents / "prices.csv").write_bytes(bytes(range(256)))
    (documents / "差旅.txt").write_bytes(b"")
    report = indexer.add([documents])
    assert report.deleted == ("差旅.txt",)
    assert dict(report.skipped)["prices.csv"].endswith("; the version that was indexed before is kept")
    assert text_of(indexer.index, "prices.csv") == ["item: tea; price: 3", "item: coffee; price: 5"]


def test_an_empty_folder_says_so(make_indexer: MakeIndexer, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    report = make_indexer().add([tmp_path / "nothing"])
    assert report.skipped == (("nothing", "holds no files: put documents into it, or name another folder"),)
    assert report.num_chunks == 0


def test_a_path_that_does_not_exist_stops_the_run_before_it_begins(make_indexer: MakeIndexer, documents: Path) -> None:
    indexer = make_indexer()
    with pytest.raises(RagError, match="typo does not exist: check the path; the index is as it was"):
        indexer.add([documents, documents / "typo"])
    with pytest.raises(RagError, match="no path was given"):
        indexer.add([])
    assert indexer.index.generation == 0


def test_a_folder_that_is_gone_keeps_its_documents_unless_asked(make_indexer: MakeIndexer, documents: Path) -> None:
    indexer = make_indexer()
    num_documents = len(indexer.add([documents]).added)
    documents.rename(documents.with_name("elsewhere"))
    for alone in (False, True):
        report = indexer.add([documents], alone=alone)
        assert report.deleted == ()
        ((name, reason),) = report.skipped
        assert name == documents.name
        assert reason.startswith(f"does not exist any more; what the index has of it ({num_documents} documents) stays")
    assert len(indexer.add([documents], drop_gone=True).deleted) == num_documents


def test_a_file_that_was_named_and_is_gone_leaves(make_indexer: MakeIndexer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    indexer = make_indexer()
    indexer.add([tmp_path / "a.txt"])
    (tmp_path / "a.txt").unlink()
    assert indexer.add([tmp_path / "a.txt"]).deleted == ("a.txt",)


def test_the_kinds_that_are_read_are_told_once(make_indexer: MakeIndexer, tmp_path: Path) -> None:
    for name in ("a.css", "b.svg", "c"):
        (tmp_path / name).write_text("x")
    reasons = [reason for _, reason in make_indexer().add([tmp_path]).skipped]
    assert ["convert it to one of" in reason for reason in reasons] == [True, False, False]
    assert reasons[1] == "is of a kind that cannot be read (.svg)"


def test_another_way_of_cutting_makes_documents_anew(
    make_indexer: MakeIndexer, documents: Path, paragraph_splitter: Any
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    paragraph_splitter.max_tokens = 100
    assert len(indexer.add([documents]).updated) == 3
    assert len(indexer.add([documents]).unchanged) == 3


def test_sentences_that_stand_twice_are_embedded_once(make_indexer: MakeIndexer, tmp_path: Path, embedder: Any) -> None:
    (tmp_path / "a.txt").write_text("Same.\n\nSame.\n\nOther.")
    indexer = make_indexer()
    indexer.add([tmp_path / "a.txt"])
    assert embedder.calls == [["Same.", "Other."]]
    assert indexer.index.snapshot().vectors.shape == (3, 32)


def test_a_sentence_that_stands_twice_moves_with_the_others(
    make_indexer: MakeIndexer, tmp_path: Path, embedder: Any
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Same.\n\nSame.\n\nOther.")
    indexer = make_indexer()
    indexer.add([path])
    embedder.calls.clear()
    path.write_text("New.\n\nSame.\n\nSame.\n\nOther.")
    assert indexer.add([path]).updated == ("a.txt",)
    assert embedder.calls == [["New."]]
    check_store(indexer.index)


@pytest.mark.parametrize("batch_sentences", [1, 2, 1000])
def test_the_size_of_a_batch_changes_nothing_but_the_calls(
    batch_sentences: int, make_indexer: MakeIndexer, documents: Path, embedder: Any
) -> None:
    indexer = make_indexer(batch_sentences=batch_sentences)
    assert indexer.add([documents]).num_embedded == 5
    assert max(map(len, embedder.calls)) <= max(1, batch_sentences)
    assert indexer.index.snapshot().vectors.shape == (5, 32)
    check_store(indexer.index)


def test_a_batch_must_hold_a_sentence(make_indexer: MakeIndexer) -> None:
    with pytest.raises(ConfigError, match="batch_sentences is 0, expected at least 1"):
        make_indexer(batch_sentences=0)


def test_events_tell_how_far_it_is(make_indexer: MakeIndexer, documents: Path) -> None:
    (documents / "empty.txt").touch()
    events: list[IndexEvent] = []
    make_indexer().add([documents], on_event=events.append)
    assert [event.source for event in events if event.kind == "skipped"] == ["empty.txt"]
    assert [event.num_files_done for event in events if event.kind == "file"] == [1, 2, 3, 4]
    assert events[-1].kind == "committed"
    assert events[-1].num_sentences_done == events[-1].num_sentences == 5


@pytest.mark.parametrize("method", ["add", "delete"])
def test_a_store_that_fails_leaves_what_was_committed_and_the_next_run_continues(
    method: str, make_indexer: MakeIndexer, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexer = make_indexer()
    indexer.add([documents])
    before = indexer.index.snapshot()
    (documents / "prices.csv").write_text("item,price\nmilk,9\n")
    (documents / "new.txt").write_text("New.")

    def full(*args: object) -> None:
        raise StoreError("no space left on the disk")

    monkeypatch.setattr(ChromaStore, method, full)
    with pytest.raises(StoreError, match="no space left"):
        indexer.add([documents])
    monkeypatch.undo()
    after = indexer.index.snapshot()
    assert after.chunks == before.chunks or method == "delete"
    indexer.add([documents])
    assert text_of(indexer.index, "prices.csv") == ["item: milk; price: 9"]
    assert text_of(indexer.index, "new.txt") == ["New."]
    check_store(indexer.index)


def test_an_embedder_that_fails_leaves_the_index_and_one_that_gives_nonsense_is_told(
    make_indexer: MakeIndexer, documents: Path, embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexer = make_indexer()
    monkeypatch.setattr(embedder, "embed", lambda texts: np.full((len(texts), 32), np.nan, dtype=np.float32))
    with pytest.raises(ConfigError, match=r"the embedder fake gave vectors of shape .* not finite"):
        indexer.add([documents])
    monkeypatch.setattr(embedder, "embed", lambda texts: np.ones((1, 32), dtype=np.float32))
    with pytest.raises(ConfigError, match=r"gave vectors of shape \[1, 32\]"):
        indexer.add([documents])
    assert indexer.index.generation == 0
    monkeypatch.undo()
    assert len(indexer.add([documents]).added) == 3
    check_store(indexer.index)


def test_many_small_runs_give_the_same_index_as_one(
    make_indexer: MakeIndexer, open_index: Any, documents: Path, tmp_path: Path
) -> None:
    at_once = make_indexer(open_index(path=tmp_path / "at-once"))
    at_once.add([documents])
    step_by_step = make_indexer(open_index(path=tmp_path / "steps"))
    reports: list[IndexReport] = [step_by_step.add([path], root=documents) for path in sorted(documents.rglob("*.*"))]
    assert all(len(report.added) == 1 for report in reports)
    assert step_by_step.index.chunks() == at_once.index.chunks()
    assert np.allclose(step_by_step.index.snapshot().vectors, at_once.index.snapshot().vectors, atol=1e-6)


def test_indexing_opens_no_connection(no_sockets: None, make_indexer: MakeIndexer, documents: Path) -> None:
    assert len(make_indexer().add([documents]).added) == 3


def test_one_large_table_that_is_cut_off_goes_on_where_it_was(
    make_indexer: MakeIndexer, tmp_path: Path, embedder: Any
) -> None:
    rows = "".join(f"{n},film {n},{n % 5}\n" for n in range(300))
    (tmp_path / "ratings.csv").write_text("user,title,rating\n" + rows)
    num_told = 0

    def interrupted(event: IndexEvent) -> None:
        nonlocal num_told
        num_told += event.kind == "embedded"
        if num_told == 4:
            raise KeyboardInterrupt

    indexer = make_indexer(batch_sentences=32)
    with pytest.raises(KeyboardInterrupt):
        indexer.add([tmp_path / "ratings.csv"], on_event=interrupted)
    first = embedder.num_embedded
    assert 0 < first < 300
    report = make_indexer(batch_sentences=32).add([tmp_path / "ratings.csv"])
    # What the embedder was at when it was cut off is embedded once more, and nothing else.
    assert embedder.num_embedded <= 300 + 2 * 32
    assert report.num_embedded == embedder.num_embedded - first < 300
    assert sum(len(vector_ids(chunk)) for chunk in indexer.index.chunks()) == indexer.index.snapshot().vectors.shape[0]
    check_store(indexer.index)
