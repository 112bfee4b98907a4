"""An index goes into one file and comes out of it as it was; what is no such file changes nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.embedding.vectors import TokenVectors
from pagoda.rag.errors import IndexLockedError, RagError
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from pagoda.rag.index.interchange import export_index, import_index

OpenIndex = Callable[..., RagIndex]


class TokenEmbedder:
    """The tests' embedder, whose texts have one token, too."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def embed_tokens(self, texts: Sequence[str], headings: Any = ()) -> tuple[np.ndarray, list[TokenVectors]]:
        vectors = self._inner.embed(texts)
        return vectors, [TokenVectors(np.array([len(t)]), v[None]) for t, v in zip(texts, vectors, strict=True)]


@pytest.fixture
def tokens(embedder: Any) -> TokenEmbedder:
    return TokenEmbedder(embedder)


@pytest.fixture
def filled(tmp_path: Path, tokens: Any, paragraph_splitter: Any, documents: Path) -> RagIndex:
    (documents / "手册 \U0001f600.md").write_text(
        "---\ntags: [hr, 人事]\n---\n# Hours\n\nOpen at 9.\u2028Closed.", "utf-8"
    )
    index = RagIndex.open(tmp_path / "index", tokens)
    Indexer(index, paragraph_splitter, tokens).add([documents])
    return index


def held(index: RagIndex) -> tuple[Any, ...]:
    snapshot = index.snapshot()
    records = [replace(record, location="") for record in index.catalog.documents()]
    return records, snapshot.chunks, snapshot.vectors.tobytes(), snapshot.owner.tolist(), list(snapshot.tokens)


@pytest.mark.parametrize("vectors", [True, False])
def test_an_index_comes_out_of_the_file_as_it_went_in(
    vectors: bool, filled: RagIndex, tokens: Any, embedder: Any, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    counts = export_index(filled, tmp_path / "a.jsonl", vectors=vectors, on_progress=lambda *done: seen.append(done))
    assert seen[-1] == (counts[1], counts[1])
    assert counts == filled.catalog.counts()[:2]
    before = embedder.num_embedded
    with RagIndex.open(tmp_path / "other", tokens) as other:
        assert import_index(tmp_path / "a.jsonl", other, tokens) == counts
        assert held(other) == held(filled)
        assert not other.catalog.is_unfinished()
    assert (embedder.num_embedded == before) == vectors


def test_another_program_can_read_the_file(filled: RagIndex, tmp_path: Path) -> None:
    export_index(filled, tmp_path / "a.jsonl", vectors=True)
    header, *lines, end = map(json.loads, (tmp_path / "a.jsonl").read_text("utf-8").split("\n")[:-1])
    assert (header["format"], header["version"], header["embedder"]) == ("pagoda-index", 1, "fake")
    assert end == {"end": {"documents": header["documents"], "chunks": header["chunks"]}}
    chunk = next(line for line in lines if line.get("chunk", {}).get("text", "").startswith("Staff"))
    vectors = np.frombuffer(base64.b64decode(chunk["vectors"]), "<f4").reshape(-1, header["dimension"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert chunk["chunk"]["source"] == "hr/leave.md"
    assert str(tmp_path) not in (tmp_path / "a.jsonl").read_text("utf-8")


def test_an_imported_index_goes_on_with_the_files_that_it_was_made_from(
    filled: RagIndex, tokens: Any, paragraph_splitter: Any, documents: Path, tmp_path: Path
) -> None:
    export_index(filled, tmp_path / "a.jsonl", vectors=True)
    with RagIndex.open(tmp_path / "other", tokens) as other:
        import_index(tmp_path / "a.jsonl", other, tokens)
        (documents / "prices.csv").write_text("item,price\ntea,4\n", "utf-8")
        report = Indexer(other, paragraph_splitter, tokens).add([documents])
        assert (report.added, report.updated, len(report.unchanged)) == ((), ("prices.csv",), 3)


def test_an_import_may_go_into_another_store(filled: RagIndex, tokens: Any, postgres: str, tmp_path: Path) -> None:
    export_index(filled, tmp_path / "a.jsonl", vectors=True)
    with RagIndex.open(tmp_path / "other", tokens, store_url=postgres) as other:
        import_index(tmp_path / "a.jsonl", other, tokens)
        assert held(other) == held(filled)


def test_another_embedder_takes_the_texts_and_not_the_vectors(
    filled: RagIndex, make_embedder: Any, tmp_path: Path
) -> None:
    other_embedder = make_embedder("other", 16)
    export_index(filled, tmp_path / "with.jsonl", vectors=True)
    export_index(filled, tmp_path / "without.jsonl")
    with RagIndex.open(tmp_path / "other", other_embedder) as other:
        with pytest.raises(ConfigError, match=r"holds vectors of fake \(dimension 32\), but .* --embedder fake, or"):
            import_index(tmp_path / "with.jsonl", other, other_embedder)
        assert import_index(tmp_path / "without.jsonl", other, other_embedder) == filled.catalog.counts()[:2]
        assert other.snapshot().vectors.shape[1] == 16


def damaged(lines: list[str]) -> dict[str, list[str]]:
    chunk = next(i for i, line in enumerate(lines) if '"chunk"' in line and '"Staff' in line)
    return {
        "no export of an index: its first": ['{"format": "other"}', *lines[1:]],
        "has version 9, this pagoda reads version 1": [lines[0].replace('"version": 1', '"version": 9'), *lines[1:]],
        "is not whole": lines[:-1],
        "is not whole: its": [*lines[:3], *lines[4:]],
        "is damaged in line 1 ": ["PK\x03\x04"],
        f"is damaged in line {chunk + 1} .*'wisdom'": [
            line.replace('"chunk": {', '"chunk": {"wisdom": 1, ') if i == chunk else line
            for i, line in enumerate(lines)
        ],
        f"is damaged in line {chunk + 2} .*stands in it twice": [
            *lines[: chunk + 1],
            lines[chunk],
            *lines[chunk + 1 :],
        ],
        f"is damaged in line {chunk + 1} .*reshape": [
            line.replace('"vectors": "', '"vectors": "AAAAAAAAAAAAAAAA') if i == chunk else line
            for i, line in enumerate(lines)
        ],
        f"is damaged in line {chunk + 1} .*expected str": [
            line.replace('"text": "Staff', '"text": 5, "section": "') if i == chunk else line
            for i, line in enumerate(lines)
        ],
        f"is damaged in line {chunk + 1} .*surrogates": [
            line.replace('"text": "Staff', '"text": "\\ud800taff') if i == chunk else line
            for i, line in enumerate(lines)
        ],
        f"is damaged in line {chunk + 1} .*is not where it says": [
            line.replace('"text": "Staff', '"text": "And staff') if i == chunk else line for i, line in enumerate(lines)
        ],
        "is damaged in line 3 .*stands in it twice": [*lines[:2], lines[1], *lines[2:]],
        "is damaged in line 2 .*expected int": [lines[0], lines[1].replace('"size": ', '"size": 1.'), *lines[2:]],
        "is damaged in line 1 .*recursion": ["[" * 200_000],
    }


@pytest.mark.parametrize("number", range(14))
def test_what_is_no_whole_export_changes_nothing(number: int, filled: RagIndex, tokens: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    export_index(filled, file, vectors=True)
    reason, lines = list(damaged(file.read_text("utf-8").split("\n")[:-1]).items())[number]
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    with RagIndex.open(tmp_path / "other", tokens) as other:
        with pytest.raises(ConfigError, match=reason):
            import_index(file, other, tokens)
        assert other.catalog.counts() == (0, 0, 0)
        assert not other.catalog.is_unfinished()


def test_an_index_that_holds_something_is_not_written_over(filled: RagIndex, tokens: Any, tmp_path: Path) -> None:
    export_index(filled, tmp_path / "a.jsonl")
    before = held(filled)
    with pytest.raises(ConfigError, match=r"holds documents already: name a new folder"):
        import_index(tmp_path / "a.jsonl", filled, tokens)
    assert held(filled) == before


def test_a_write_that_fails_leaves_the_file_as_it_was(
    filled: RagIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    export_index(filled, folder / "a.jsonl")
    before = (folder / "a.jsonl").read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RagError, match=r"cannot be written \(No space left on device\)"):
        export_index(filled, folder / "a.jsonl", on_progress=full)
    assert [path.name for path in folder.iterdir()] == ["a.jsonl"]
    assert (folder / "a.jsonl").read_bytes() == before
    with pytest.raises(RagError, match=r"cannot be written \(No such file or directory\)"):
        export_index(filled, tmp_path / "nosuch" / "a.jsonl")


def test_vectors_that_are_being_written_are_not_exported_in_part(
    filled: RagIndex, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = filled.snapshot()
    filled.catalog.replace((), ["prices.csv"])
    monkeypatch.setattr(filled, "snapshot", lambda: older)
    with pytest.raises(IndexLockedError, match="is being written"):
        export_index(filled, tmp_path / "a.jsonl", vectors=True)
    assert export_index(filled, tmp_path / "a.jsonl")[0] == 3
