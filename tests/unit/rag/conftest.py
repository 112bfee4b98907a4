"""Fixtures of the retrieval tests: an embedder and a splitter that need no model, and indexes over a few files."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.rag.documents.document import Chunk, Document
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from patience import HANG_S


class FakeEmbedder:
    """A vector per word, by its hash; a text is the sum of its words. Words are Latin words or Han characters."""

    max_tokens = 256

    def __init__(self, name: str = "fake", dimension: int = 32) -> None:
        self.name = name
        self.dimension = dimension
        self.calls: list[list[str]] = []

    @property
    def num_embedded(self) -> int:
        return sum(map(len, self.calls))

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        return [len(self._words(text)) for text in texts]

    def unknown_share(self, text: str) -> float:
        """As MiniLM: Han characters are mostly unknown."""
        words = self._words(text)
        return sum(word > "\u2e80" for word in words) / max(1, len(words))

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        self.calls.append(list(texts))
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in self._words(text) or [""]:
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
                vectors[row] += np.random.default_rng(seed).standard_normal(self.dimension)
        if on_progress is not None:
            on_progress(len(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @staticmethod
    def _words(text: str) -> list[str]:
        return re.findall(r"[\u2e80-\u9fff]|\w+", text.lower())


class ParagraphSplitter:
    """A chunk per paragraph, a sentence per line of it."""

    max_tokens = 200

    def split(self, document: Document) -> list[Chunk]:
        found = re.finditer(r"\S(?:[^\n]|\n(?!\n))*", document.text)
        return [self._chunk(document, match.start(), match.end()) for match in found]

    @staticmethod
    def _chunk(document: Document, start: int, end: int) -> Chunk:
        text = document.text[start:end]
        name = hashlib.sha256(f"{document.source}\0{start}\0{text}".encode()).hexdigest()[:32]
        lines = tuple((start + m.start(), start + m.end()) for m in re.finditer(r"[^\n]+", text))
        place = (start, end, document.line_at(start), document.page_at(start))
        return Chunk(name, document.source, text, *place, document.title, lines, dict(document.metadata))


@pytest.fixture
def embedder() -> FakeEmbedder:
    """An embedder that counts what it is given."""
    return FakeEmbedder()


@pytest.fixture
def make_embedder() -> type[FakeEmbedder]:
    """`make_embedder(name, dimension)`: another embedder."""
    return FakeEmbedder


@pytest.fixture
def paragraph_splitter() -> ParagraphSplitter:
    """A splitter whose chunks are the paragraphs."""
    return ParagraphSplitter()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with three documents: English, Chinese, a table."""
    folder = tmp_path / "documents"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "leave.md").write_text("# Leave\n\nStaff have 15 days of leave.\n\nAsk your lead.", "utf-8")
    (folder / "差旅.txt").write_text("住宿标准每晚五百元。\n\n机票须经审批。", "utf-8")
    (folder / "prices.csv").write_text("item,price\ntea,3\ncoffee,5\n", "utf-8")
    return folder


@pytest.fixture
def open_index(tmp_path: Path, embedder: FakeEmbedder) -> Iterator[Callable[..., RagIndex]]:
    """`open_index(**options)`: the index of this test, opened (again)."""
    opened: list[RagIndex] = []

    def open_(**options: Any) -> RagIndex:
        options = {"path": tmp_path / "index", "embedder": embedder, **options}
        opened.append(RagIndex.open(**options))
        return opened[-1]

    yield open_
    for index in opened:
        index.close()


@pytest.fixture
def make_indexer(
    open_index: Callable[..., RagIndex], paragraph_splitter: ParagraphSplitter, embedder: FakeEmbedder
) -> Callable[..., Indexer]:
    """`make_indexer(**options)`: an indexer of the test's index."""

    def make(index: RagIndex | None = None, **options: Any) -> Indexer:
        return Indexer(index or open_index(), paragraph_splitter, embedder, **options)

    return make


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or looks a name up fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a connection was attempted: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def run_as_reader(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    """`run_as_reader(script)`: the lines that a process prints which may read this test's files and not write there.

    It sees a copy of them in `folder`, because pytest keeps its own folders closed. The script calls `drop()` when it
    has imported all it needs: nobody else may be able to read Python's own files.
    """
    drop = "import os, sys\nfolder = sys.argv[1]\ndef drop():\n    if os.geteuid() == 0:\n        os.setuid(65534)\n"
    copy = Path(tempfile.mkdtemp()) / "copy"

    def run(script: str) -> list[str]:
        shutil.copytree(tmp_path, copy)
        for path in [*copy.rglob("*"), copy, copy.parent]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", drop + script, str(copy)]
        return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True).stdout.splitlines()

    yield run
    for path in [copy.parent, *copy.parent.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(copy.parent)
