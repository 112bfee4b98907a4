"""Every store keeps our vectors, refuses what is not ours, and a server that is away is said to be away."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.errors import MissingVectorsError, StoreError
from pagoda.rag.index.stores.chroma import ChromaStore, legal_name
from pagoda.rag.index.stores.opening import open_store
from pagoda.rag.index.stores.patience import StorePatience
from pagoda.rag.index.vector_store import VectorStore
from patience import HANG_S, until

PATIENT = StorePatience(timeout_s=HANG_S, deadline_s=HANG_S)
HASTY = StorePatience(timeout_s=2.0, deadline_s=0.3, first_pause_s=0.05)


def vectors(n: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def names(n: int) -> list[str]:
    return [f"chunk{i}#0-9" for i in range(n)]


def make(
    where: str | Path,
    name: str = "handbook",
    *,
    embedder_name: str = "fake",
    dimension: int = 8,
    patience: StorePatience = PATIENT,
) -> VectorStore:
    return open_store(where, name, embedder_name=embedder_name, dimension=dimension, patience=patience)


@pytest.fixture(params=["embedded", "chroma_server", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    where = tmp_path / "vectors" if request.param == "embedded" else request.getfixturevalue(request.param)
    # A server is shared by the tests of this file: each has a collection of its own.
    store = make(where, name=f"{request.node.name}-{tmp_path.name}")
    yield store
    store.close()


@pytest.fixture(scope="module")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Chroma server on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma")
    command = [sys.executable, "-c", "from chromadb.cli.cli import app; app()"]
    options = ["run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, "the server has ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_vectors_come_back_as_they_went_in(store: VectorStore) -> None:
    kept = vectors(5)
    store.add(names(5), kept)
    assert store.count() == 5
    assert np.allclose(store.get(names(5)[::-1]), kept[::-1], atol=1e-6)
    assert np.allclose(store.get([names(5)[2]] * 3), kept[[2, 2, 2]], atol=1e-6)
    ids, matrix = store.all()
    assert sorted(ids) == sorted(store.ids()) == names(5)
    assert np.allclose(matrix[[ids.index(name) for name in names(5)]], kept, atol=1e-6)


def test_the_nearest_vectors_are_found_with_their_similarity(store: VectorStore) -> None:
    kept = vectors(50)
    store.add(names(50), kept)
    found = store.query(kept[7], 3)
    assert found[0][0] == "chunk7#0-9"
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    assert [name for name, _ in found] == [f"chunk{i}#0-9" for i in np.argsort(-(kept @ kept[7]))[:3]]


def test_a_name_that_exists_takes_the_new_vector(store: VectorStore) -> None:
    store.add(names(2), vectors(2))
    store.add(names(2)[:1], vectors(1, seed=9))
    assert store.count() == 2
    assert np.allclose(store.get(names(1)), vectors(1, seed=9), atol=1e-6)


def test_deleted_vectors_are_gone_and_missing_ones_are_told(store: VectorStore) -> None:
    store.add(names(3), vectors(3))
    store.delete([names(3)[1], "unknown#0-1"])
    assert store.existing([*names(3), "unknown#0-1"]) == {names(3)[0], names(3)[2]}
    with pytest.raises(MissingVectorsError, match=r"1 of 3 vectors are missing from .*: index the documents again"):
        store.get(names(3))


def test_nothing_is_a_valid_amount(store: VectorStore) -> None:
    store.add([], np.zeros((0, 8), dtype=np.float32))
    store.delete([])
    assert store.existing([]) == set()
    assert store.get([]).shape == (0, 8)
    assert store.all()[1].shape == (0, 8)


def test_metadata_may_go_with_the_vectors(store: VectorStore) -> None:
    store.add(names(2), vectors(2), [{"source": "a.md"}, {"source": "手册.md", "page": 2}])
    assert store.count() == 2


def test_more_vectors_than_chroma_takes_at_once_are_written_in_parts(tmp_path: Path) -> None:
    store = make(tmp_path / "vectors")
    assert isinstance(store, ChromaStore)
    store._max_batch_size = 7
    store.add(names(20), vectors(20))
    assert np.allclose(store.get(names(20)), vectors(20), atol=1e-6)
    assert len(store.ids()) == len(store.all()[0]) == 20
    store.delete(names(20)[:15])
    assert store.count() == 5
    store.close()


def test_vectors_outlive_the_store_object_and_closing_twice_is_harmless(tmp_path: Path) -> None:
    store = make(tmp_path / "vectors")
    store.add(names(3), vectors(3))
    store.close()
    store.close()
    again = make(tmp_path / "vectors")
    assert np.allclose(again.get(names(3)), vectors(3), atol=1e-6)
    again.close()


def test_a_folder_that_was_removed_can_be_made_anew_in_the_same_process(tmp_path: Path) -> None:
    import shutil

    for round_ in range(2):
        store = make(tmp_path / "vectors")
        assert store.count() == 0
        store.add(names(3), vectors(3, seed=round_))
        store.close()
        shutil.rmtree(tmp_path / "vectors")


@pytest.mark.parametrize("name", ["手册", "a", "with space", "x" * 600, "-dash-"])
def test_any_name_is_mapped_to_one_that_chroma_takes(name: str, tmp_path: Path) -> None:
    assert legal_name(name) != name
    assert legal_name(name) == legal_name(name) != legal_name(name + "'")
    make(tmp_path / "vectors", name).close()


@pytest.mark.parametrize("options", [{"embedder_name": "other"}, {"dimension": 16}])
def test_another_embedder_is_refused_by_name_and_dimension(options: dict[str, object], tmp_path: Path) -> None:
    store = make(tmp_path / "vectors")
    store.add(names(2), vectors(2))
    store.close()
    with pytest.raises(
        ConfigError, match=r"holds vectors of fake \(dimension 8\), but the embedder is .* open it with"
    ):
        make(tmp_path / "vectors", **options)  # type: ignore[arg-type]
    again = make(tmp_path / "vectors")
    assert again.count() == 2
    again.close()


def test_a_collection_of_somebody_else_is_refused(tmp_path: Path) -> None:
    import chromadb

    with chromadb.PersistentClient(str(tmp_path), settings=chromadb.Settings(anonymized_telemetry=False)) as client:
        client.create_collection("handbook", embedding_function=None).add(["1"], embeddings=[[1.0, 2.0]])
    with pytest.raises(ConfigError, match=r"'handbook' of .* was not written by pagoda"):
        make(tmp_path)


def test_vectors_of_a_wrong_shape_are_refused(tmp_path: Path) -> None:
    store = make(tmp_path / "vectors")
    with pytest.raises(ConfigError, match=r"shape \[2, 4\], the store expects \[2, 8\]"):
        store.add(names(2), vectors(2, dimension=4))
    store.close()


def test_a_store_whose_files_are_damaged_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    make(folder).close()
    (folder / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"the vector store in .* fails .* delete that folder and index"):
        make(folder)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path / "vectors")
    store.add(names(2), vectors(2))
    assert isinstance(store, ChromaStore)

    def full(*args: object, **kwargs: object) -> None:
        raise RuntimeError("error returned from database: (code: 13) database or disk is full")

    monkeypatch.setattr(store._collection, "upsert", full)
    with pytest.raises(StoreError, match=r"no space left on the disk of .*: free some and run again"):
        store.add(["new#0-1"], vectors(1))
    assert store.count() == 2
    store.close()


def test_the_embedded_store_opens_no_connection(no_sockets: None, tmp_path: Path) -> None:
    store = make(tmp_path / "vectors")
    store.add(names(3), vectors(3))
    assert store.query(vectors(1)[0], 1)[0][0] == "chunk0#0-9"
    store.close()


def unused_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_dead_server_is_told_within_the_deadline() -> None:
    import chromadb.config  # noqa: F401 - which takes long by itself, and is not what is measured

    began = time.monotonic()
    with pytest.raises(
        StoreError, match=r"the vector store at http://127.* does not answer .*: start it, check the add"
    ):
        make(unused_address(), patience=HASTY)
    assert time.monotonic() - began < 30


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for_forever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patience = StorePatience(timeout_s=0.2, deadline_s=0.1)
        with pytest.raises(StoreError, match="does not answer"):
            ChromaStore(address, "x", embedder_name="fake", dimension=8, patience=patience)


@pytest.fixture
def web_server() -> Iterator[Callable[[int, bytes], str]]:
    """`web_server(status, body)`: the address of a server that always answers the same."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(status: int, body: bytes) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None: ...

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>Welcome</html>"), (404, b"{}"), (503, b"busy")])
def test_a_server_that_is_no_chroma_is_told(status: int, body: bytes, web_server: Callable[[int, bytes], str]) -> None:
    with pytest.raises(StoreError, match=r"the vector store at .* does not answer"):
        make(web_server(status, body), patience=HASTY)


def test_a_server_that_comes_back_within_the_deadline_is_waited_for(chroma_server: str) -> None:
    store = ChromaStore(chroma_server, "flaky", embedder_name="fake", dimension=8, patience=StorePatience())
    failures = iter([ConnectionError("reset"), ConnectionError("reset")])
    upsert = store._collection.upsert

    def flaky(*args: object, **kwargs: object) -> None:
        for failure in failures:
            raise failure
        upsert(*args, **kwargs)

    store._collection.upsert = flaky
    store.add(names(2), vectors(2))
    assert store.count() == 2
    store.close()
