"""A process that indexes is killed, for real, at every step of it: nothing is lost, and the next run continues.

The killed process runs the real catalog and the real Chroma; only the embedder is a small one that needs no model.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.embedding.token_vectors import packed
from pagoda.rag.embedding.vectors import TokenVectors
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from pagoda.rag.index.snapshot import vector_ids
from patience import HANG_S

# Steps of one run, by the function at whose n-th call the process dies: before it, or after it has done its work.
POINTS = [
    ("writer.IndexWriter._vectors", 1, "before"),
    ("writer.IndexWriter._vectors", 2, "after"),
    ("stores.chroma.ChromaStore.add", 1, "after"),
    ("stores.chroma.ChromaStore.add", 3, "before"),
    ("catalog.Catalog.add_tokens", 1, "after"),
    ("catalog.Catalog.add_tokens", 3, "before"),
    ("catalog.Catalog.delete_tokens", 1, "before"),
    ("catalog.Catalog.delete_tokens", 1, "after"),
    ("catalog.Catalog.replace", 1, "before"),
    ("catalog.Catalog.replace", 1, "after"),
    ("catalog.Catalog.replace", 2, "before"),
    ("stores.chroma.ChromaStore.delete", 1, "before"),
    ("stores.chroma.ChromaStore.delete", 2, "after"),
    ("catalog.Catalog.touch", 1, "after"),
    ("catalog.Catalog.mark_unfinished", 1, "after"),
    ("catalog.Catalog.mark_unfinished", 2, "before"),
    ("index.RagIndex.keep_snapshot", 1, "before"),
    ("index.RagIndex.keep_snapshot", 1, "after"),
]

SCRIPT = """
import os, runpy, signal, sys
from pathlib import Path
import pagoda.rag.index.catalog, pagoda.rag.index.index, pagoda.rag.index.writer, pagoda.rag.index.stores.chroma

module, owner, name, number, when, folder = sys.argv[1:]
owner = getattr(sys.modules[f"pagoda.rag.index.{module}"], owner)
function, calls = getattr(owner, name), []

def dying(*args, **kwargs):
    # As the system kills a process when memory runs out: no clean-up of any kind.
    calls.append(1)
    if len(calls) == int(number) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = function(*args, **kwargs)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, dying)
sys.path.insert(0, str(Path(os.environ["TEST_FILE"]).parents[1]))
runpy.run_path(os.environ["TEST_FILE"])["index_documents"](Path(folder))
"""


class Embedder:
    """A direction per text, by its hash, which is its only token, too."""

    name, dimension, max_tokens, num_embedded = "letters", 16, 256, 0

    def num_tokens_batch(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    def unknown_share(self, text: str) -> float:
        return 0.0

    def embed_tokens(self, texts: list[str], headings: Any = ()) -> tuple[np.ndarray, list[TokenVectors]]:
        vectors = self.embed(texts)
        rows = zip(texts, vectors, strict=True)
        return vectors, [TokenVectors(np.array([len(text)]), row[None]) for text, row in rows]

    def embed(self, texts: list[str]) -> np.ndarray:
        self.num_embedded += len(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).standard_normal(16) for seed in seeds]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class LineSplitter:
    """A chunk per line."""

    def split(self, document: Document) -> list[Chunk]:
        return [self._chunk(document, match) for match in re.finditer(r"[^\n]+", document.text)]

    @staticmethod
    def _chunk(document: Document, match: re.Match[str]) -> Chunk:
        name = hashlib.sha256(f"{document.source}|{match.start()}|{match[0]}".encode()).hexdigest()[:32]
        return Chunk(name, document.source, match[0], match.start(), match.end(), document.line_at(match.start()))


def index_documents(folder: Path) -> int:
    """One run; gives the number of sentences that it had to embed."""
    embedder: Any = Embedder()
    splitter: Any = LineSplitter()
    index = RagIndex.open(folder / "index", embedder)
    Indexer(index, splitter, embedder, batch_sentences=1).add([folder / "documents"])
    with index.writing() as store:
        expected = sorted(name for chunk in index.chunks() for name in vector_ids(chunk))
        assert sorted(store().ids()) == expected, "vectors without a document"
        assert sorted(index.catalog.token_names()) == expected, "tokens without a document, or none for one"
    return embedder.num_embedded


def lines_by_document(folder: Path) -> dict[str, list[str]]:
    """What a reader finds; fails where a vector is missing or wrong."""
    embedder: Any = Embedder()
    snapshot = RagIndex.open(folder / "index", embedder, read_only=True).snapshot()
    texts = [chunk.text for chunk in snapshot.chunks]
    vectors, tokens = embedder.embed_tokens(texts)
    assert np.allclose(snapshot.vectors, vectors, atol=1e-6)
    assert list(snapshot.tokens) == packed(tokens)
    found: dict[str, list[str]] = {}
    for chunk in snapshot.chunks:
        found.setdefault(chunk.source, []).append(chunk.text)
    return found


def killed_run(folder: Path, *point: str) -> None:
    """A run in a process that dies on the way."""
    command = [sys.executable, "-c", SCRIPT, *point, str(folder)]
    environment = {**os.environ, "TEST_FILE": __file__}
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


def write(folder: Path, documents: dict[str, list[str]]) -> None:
    shutil.rmtree(folder / "documents", ignore_errors=True)
    (folder / "documents").mkdir()
    for name, lines in documents.items():
        (folder / "documents" / name).write_text("\n".join(lines), encoding="utf-8")


OLD = {
    "changes.txt": ["first", "second", "third"],
    "goes.txt": ["farewell", "再见"],
    "stays.txt": ["same", "相同"],
    "touched.txt": ["touched"],
}
NEW = {
    "changes.txt": ["zeroth", "first", "third"],
    "comes.txt": ["hello", "你好", "3", "4", "5", "6"],
    "stays.txt": OLD["stays.txt"],
    "touched.txt": OLD["touched.txt"],
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose old documents are indexed; its index is also in `backup`."""
    folder = tmp_path_factory.mktemp("rag")
    write(folder, OLD)
    index_documents(folder)
    shutil.copytree(folder / "index", folder / "backup")
    return folder


@pytest.fixture
def folder(indexed: Path) -> Path:
    """The index is of the old documents, and the folder holds the new ones."""
    shutil.rmtree(indexed / "index")
    shutil.copytree(indexed / "backup", indexed / "index")
    write(indexed, NEW)
    return indexed


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(("point", "number", "when"), POINTS)
def test_a_killed_run_loses_nothing_and_the_next_one_continues(
    point: str, number: int, when: str, folder: Path
) -> None:
    killed_run(folder, *point.rsplit(".", 2), str(number), when)
    found = lines_by_document(folder)
    for name in OLD.keys() | NEW.keys():
        assert found.get(name) in (OLD.get(name), NEW.get(name)), f"{name} is neither as it was nor as it is to be"
    index_documents(folder)
    assert lines_by_document(folder) == NEW
    assert index_documents(folder) == 0, "a further run has nothing left to embed"
