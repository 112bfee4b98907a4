"""Uploaded files: the folder changes as a whole or not at all, and no name stands for two files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.rag.errors import IndexLockedError
from pagoda.server.applications.uploads import changed_files, plainly_named


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_written_replaced_and_removed(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_bytes(b"old")
    (tmp_path / "gone.md").write_bytes(b"gone")
    with changed_files(tmp_path, {"old.md": b"new", "gone.md": None, "more.md": b"more"}):
        pass
    assert contents(tmp_path) == {"old.md": b"new", "more.md": b"more"}


def test_where_the_index_cannot_be_changed_the_files_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_bytes(b"old")
    (tmp_path / "gone.md").write_bytes(b"gone")
    before = contents(tmp_path)
    change = {"old.md": b"new", "gone.md": None, "more.md": b"more"}
    with pytest.raises(IndexLockedError), changed_files(tmp_path, change):
        raise IndexLockedError("another process writes")
    assert contents(tmp_path) == before


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"two files of the request are called 'x\.md'"):
        plainly_named([("a/x.md", b"1"), ("b/x.md", b"2")])
