"""What was asked for at the first run holds for the next, is told where it changes, and is kept with the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import ConfigError
from pagoda.rag.index.index import RagIndex, embedder_of_index
from pagoda.rag.index.indexer import IndexReport
from pagoda.rag.index.options import IndexOptions
from pagoda.rag.pipeline import RAG, RagSettings

SENTENCES = " ".join(f"Sentence number {number} of this file is here." for number in range(30))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes" / "old").mkdir(parents=True)
    for name in ("a.txt", "b.md", "old/c.txt"):
        (tmp_path / "notes" / name).write_text(f"{SENTENCES} {name}", encoding="utf-8")
    return tmp_path / "notes"


@pytest.fixture
def index(tmp_path: Path, notes: Path, embedder: Any) -> Callable[..., IndexReport]:
    """`index(**options)`: one more run over the notes, by an index that was opened anew."""

    def run(**options: Any) -> IndexReport:
        settings = RagSettings(indexing=IndexOptions(**options))
        with RAG(tmp_path / "index", embedder=embedder, settings=settings) as rag:
            return rag.add([notes])

    return run


def test_the_second_run_does_what_the_first_was_told(index: Callable[..., IndexReport]) -> None:
    first = index(max_chunk_tokens=20, overlap_sentences=0, exclude=("old",))
    again = index()
    assert (sorted(first.added), first.changed) == (["a.txt", "b.md"], {})
    assert (sorted(again.unchanged), again.deleted, again.added, again.updated) == (["a.txt", "b.md"], (), (), ())
    assert again.num_chunks == first.num_chunks
    assert again.options == first.options == {"max_chunk_tokens": 20, "overlap_sentences": 0, "exclude": ("old",)}


def test_what_is_said_again_replaces_what_was_kept_and_is_told(index: Callable[..., IndexReport]) -> None:
    first = index(max_chunk_tokens=20, exclude=("old",))
    changed = index(max_chunk_tokens=50)
    assert changed.changed == {"max_chunk_tokens": (20, 50)}
    assert sorted(changed.updated) == ["a.txt", "b.md"]
    assert changed.num_chunks < first.num_chunks
    all_again = index(exclude=())
    assert (all_again.added, all_again.changed) == (("old/c.txt",), {"exclude": (("old",), ())})
    assert index().unchanged == tuple(sorted([*changed.updated, "old/c.txt"]))


def test_the_same_again_is_no_change(index: Callable[..., IndexReport]) -> None:
    index()
    assert index(max_chunk_tokens=200, overlap_sentences=1).changed == {}


def test_a_run_that_fails_after_it_began_keeps_its_options(
    index: Callable[..., IndexReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pagoda.rag.index.indexer._Run.execute", killed)
        with pytest.raises(KeyboardInterrupt):
            index(max_chunk_tokens=20)
    assert RagIndex.open(tmp_path / "index", None).options == IndexOptions(max_chunk_tokens=20)


@pytest.mark.parametrize(("name", "value"), [("max_chunk_tokens", 7), ("overlap_sentences", -1), ("max_bytes", 0)])
def test_options_that_make_no_sense_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}, expected at least"):
        IndexOptions(**{name: value})


def test_options_come_back_as_they_were_kept_and_unknown_ones_are_left_alone() -> None:
    options = IndexOptions(encoding="gbk", include=("*.md", "手册/*"), max_bytes=5)
    assert IndexOptions.from_json(options.as_json()) == options
    assert IndexOptions.from_json('{"colour": "red", "max_bytes": 5}') == IndexOptions(max_bytes=5)


def test_an_index_is_opened_with_the_embedder_that_it_was_made_with(
    tmp_path: Path, notes: Path, make_embedder: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def load(name: str | None) -> Any:
        asked.append(name)
        return make_embedder(name or "packaged")

    monkeypatch.setattr("pagoda.rag.pipeline.embedder_of", load)
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    for _ in range(2):
        with RAG("by-name", embedder="some/model" if not asked else None) as rag:
            rag.add([notes])
    with RAG("by-folder", embedder="model"), RAG("packaged"):
        pass
    monkeypatch.setattr("pagoda.rag.pipeline.embedder_of", lambda name: make_embedder("model" if name else "packaged"))
    assert asked[:2] == ["some/model"] * 2
    assert embedder_of_index("by-folder") == str(tmp_path / "model")
    assert embedder_of_index("packaged") is None
    assert embedder_of_index(tmp_path / "nowhere") is None
    with RAG("by-folder") as rag:
        assert rag.status().embedder == "model"
