"""What is PostgreSQL's own: tables and who wrote them, transactions, connections that break, secrets."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.rag.errors import StoreError
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer
from pagoda.rag.index.stores.patience import StorePatience
from pagoda.rag.index.stores.pgvector import PgVectorStore, table_name
from pagoda.rag.pipeline import RAG
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever
from patience import HANG_S

PATIENT = StorePatience(timeout_s=HANG_S, deadline_s=HANG_S)
HASTY = StorePatience(timeout_s=2.0, deadline_s=0.3, first_pause_s=0.05)


def make(where: str, name: str, *, embedder: str = "fake", dimension: int = 8) -> PgVectorStore:
    return PgVectorStore(where, name, embedder_name=embedder, dimension=dimension, patience=PATIENT)


@pytest.fixture
def store(postgres: str, request: pytest.FixtureRequest) -> Iterator[PgVectorStore]:
    opened = make(postgres, request.node.name)
    yield opened
    opened.close()


@pytest.fixture
def handbook() -> Path:
    """The documents that the repository shows: four formats, two languages."""
    return Path(__file__).parents[4] / "examples" / "handbook"


@pytest.fixture
def handbook_questions(handbook: Path) -> list[str]:
    """What they are asked in the docs."""
    lines = (handbook.parent / "handbook-questions.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


@pytest.fixture
def database(postgres: str) -> Iterator[Any]:
    """A connection of somebody else."""
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32)


def test_every_bit_of_a_vector_comes_back_by_way_of_the_server(store: PgVectorStore) -> None:
    kept = np.concatenate([vectors(5), np.array([[1e-38, -0.0, 3.4e38, 1e-45, 1 / 3, -1, 2**-24, 7]], np.float32)])
    names = [f"号'\"%s{{}}\\ {i}" for i in range(6)]
    store.add(names, kept)
    assert store.get(names).tobytes() == kept.tobytes()


def test_a_batch_that_fails_leaves_nothing_of_itself(store: PgVectorStore) -> None:
    store.add(["a"], vectors(1))
    with pytest.raises(StoreError, match=r"the vector store at .* fails \(.*expected 8 dimensions"):
        store._patiently(lambda cursor: store._upsert(cursor, [("b", good(8), "{}"), ("c", good(4), "{}")]))
    assert store.ids() == ["a"]
    store.add(["b"], vectors(1))
    assert store.ids() == ["a", "b"]


def good(dimension: int) -> bytes:
    return dimension.to_bytes(2, "big") + bytes(2) + np.ones(dimension, dtype=">f4").tobytes()


def test_a_table_of_somebody_else_is_refused_and_left_alone(postgres: str, database: Any) -> None:
    database.execute(f'CREATE TABLE "{table_name("theirs")}" (id int)')
    with pytest.raises(ConfigError, match=r"table 'pagoda-vectors-.*' of .* was not written by pagoda"):
        make(postgres, "theirs")
    assert database.execute(f'SELECT count(*) FROM "{table_name("theirs")}"').fetchone() == (0,)


@pytest.mark.parametrize("options", [{"embedder": "other"}, {"dimension": 16}])
def test_another_embedder_is_refused(options: dict[str, Any], postgres: str) -> None:
    store = make(postgres, "handbook")
    store.add(["a"], vectors(1))
    with pytest.raises(
        ConfigError, match=r"holds vectors of fake \(dimension 8\), but the embedder is .* open it with"
    ):
        make(postgres, "handbook", **options)
    assert store.count() == 1
    store.close()


def test_the_type_is_found_where_it_was_installed(postgres: str, database: Any) -> None:
    database.execute("CREATE DATABASE elsewhere")
    import psycopg

    address = postgres.replace("/postgres?", "/elsewhere?")
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("CREATE SCHEMA odd")
        other.execute("CREATE EXTENSION vector SCHEMA odd")
    store = make(address, "x")
    store.add(["a", "b"], np.eye(8, dtype=np.float32)[:2])
    assert store.query(np.eye(8)[1], 1) == [("b", 1.0)]
    store.close()


def test_a_user_who_may_not_install_the_type_is_told_who_may(postgres: str, database: Any) -> None:
    database.execute("CREATE ROLE guest LOGIN")
    database.execute("CREATE DATABASE bare")
    with pytest.raises(ConfigError, match=r"lacks the extension vector .*let its owner run CREATE EXTENSION vector"):
        make(postgres.replace("postgres:@/postgres?", "guest@/bare?"), "x")


def test_a_connection_that_the_server_ends_is_made_anew(store: PgVectorStore, database: Any) -> None:
    store.add(["a"], vectors(1))
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pagoda'")
    assert store.count() == 1


def test_two_who_come_at_once_make_one_table(postgres: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as executor:
        stores = list(executor.map(lambda _: make(postgres, "at once"), range(4)))
    stores[0].add(["a"], vectors(1))
    assert [store.count() for store in stores] == [1, 1, 1, 1]
    for store in stores:
        store.close()


# Servers that are away, and secrets


def test_a_dead_server_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"postgresql://ada@127.0.0.1:{free.getsockname()[1]}/docs"
    with pytest.raises(
        StoreError, match=r"the vector store at postgresql://ada@.* does not answer .*refused.*start it"
    ):
        PgVectorStore(address, "x", embedder_name="fake", dimension=8, patience=HASTY)


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for_forever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/docs"
        with pytest.raises(StoreError, match="does not answer"):
            PgVectorStore(address, "x", embedder_name="fake", dimension=8, patience=HASTY)


def test_a_database_that_is_not_there_is_told_at_once(postgres: str) -> None:
    with pytest.raises(StoreError, match='"nosuch" does not exist'):
        make(postgres.replace("/postgres?", "/nosuch?"), "x")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada:hunter2@db/docs",
        "postgresql://ada@db/docs?password=hunter2",
        "postgresql://ada@db/docs?sslmode=require&PASSWORD=hunter2",
        "postgresql://ada:hunter2#x@db/docs",
        "postgresql://ada:hunter2?x@db/docs",
        "postgresql://ada:x/hunter2@db/docs",
        "http://ada:hunter2@chroma:8000",
        "mysql://ada:hunter2@db/docs",
    ],
)
def test_a_password_in_an_address_is_refused_and_shown_nowhere(
    address: str, tmp_path: Path, embedder: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError) as caught:
        RagIndex.open(tmp_path / "index", embedder, store_url=address)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"
    assert not (tmp_path / "index").exists()


def test_the_password_of_the_environment_is_used_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"postgresql://ada@127.0.0.1:{server.getsockname()[1]}/docs?sslmode=disable&gssencmode=disable"
        from threading import Thread

        thread = Thread(target=lambda: heard.append(ask_for_password(server)))
        thread.start()
        with pytest.raises(StoreError, match=r"does not let this user in .*: set PGPASSWORD") as caught:
            PgVectorStore(address, "x", embedder_name="fake", dimension=8, patience=HASTY)
        thread.join()
    assert b"hunter2" in heard[0]
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"


def ask_for_password(server: socket.socket) -> bytes:
    """As PostgreSQL does (protocol 3.0): AuthenticationCleartextPassword, and then an error of class 28."""
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"))
        heard = connection.recv(1024)
        fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "ada"\0\0'
        connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        return heard


# An index over it


def test_an_index_gives_the_same_over_every_store(
    postgres: str, tmp_path: Path, documents: Path, make_embedder: Any, paragraph_splitter: Any
) -> None:
    (documents / "hr" / "old.md").write_text("---\nversion: 1.9\n---\nStaff have 12 days of leave.", "utf-8")

    def run(name: str, store_url: str | None) -> list[Any]:
        embedder = make_embedder()
        index = RagIndex.open(tmp_path / name, embedder, store_url=store_url)
        Indexer(index, paragraph_splitter, embedder).add([documents])
        seen = [found(index, embedder)]
        leave = documents / "hr" / "leave.md"
        before = leave.read_text("utf-8")
        leave.write_text(before.replace("15", "20"), "utf-8")
        (documents / "prices.csv").rename(documents / "fees.csv")
        Indexer(index, paragraph_splitter, embedder).add([documents])
        seen.append(found(index, embedder))
        leave.write_text(before, "utf-8")
        (documents / "fees.csv").rename(documents / "prices.csv")
        with index.writing() as open_store:
            names = set(open_store().ids())
        index.close()
        return [*seen, names, embedder.num_embedded]

    assert run("local", None) == run("server", postgres)


CONDITIONS = [
    None,
    {"format": "md"},
    {"version": {"$lt": "1.10"}},
    {"path": {"$prefix": "hr/"}},
    {"$or": [{"language": "zh"}, {"title": {"$contains": "eave"}}]},
    {"$not": {"format": ["md", "csv"]}},
]


def found(index: RagIndex, embedder: Any) -> list[Any]:
    snapshot = index.snapshot()
    bm25 = Bm25Index.build([chunk.heading + chunk.text for chunk in snapshot.chunks])
    retriever = Retriever(snapshot, bm25, embedder, None)
    hits = [retriever.retrieve_batch(["How many days of leave?", "住宿标准"], 3, where) for where in CONDITIONS]
    return [[(hit.source, hit.text, hit.score) for hit in part] for parts in hits for part in parts]


def test_questions_to_real_documents_find_the_same_over_every_store(
    postgres: str, tmp_path: Path, handbook: Path, handbook_questions: list[str]
) -> None:
    def found(name: str, store_url: str | None) -> list[Any]:
        with RAG(tmp_path / name, store_url=store_url) as rag:
            rag.add([handbook])
            conditions = (None, {"format": "md"}, {"$not": {"format": "md"}})
            hits = [rag.retrieve_batch(handbook_questions, 5, where) for where in conditions]
        return [hit for parts in hits for part in parts for hit in part]

    local, remote = found("local", None), found("server", postgres)
    assert [(hit.source, hit.text) for hit in local] == [(hit.source, hit.text) for hit in remote]
    # Chroma makes the length of a vector 1 once more, which changes its last bit.
    assert [hit.score for hit in local] == pytest.approx([hit.score for hit in remote], abs=1e-3)


def test_two_indexes_of_one_database_are_written_at_once_and_hold_their_own(
    postgres: str, tmp_path: Path, make_embedder: Any, paragraph_splitter: Any
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def written(number: int) -> tuple[list[str], int]:
        folder = tmp_path / f"documents-{number}"
        folder.mkdir()
        for page in range(20):
            (folder / f"{page}.txt").write_text(f"Page {page} of {number}.")
        embedder = make_embedder()
        index = RagIndex.open(tmp_path / f"index-{number}", embedder, store_url=postgres)
        Indexer(index, paragraph_splitter, embedder, batch_sentences=3).add([folder])
        with index.writing() as open_store:
            return [chunk.text for chunk in index.chunks()], open_store().count()

    with ThreadPoolExecutor(2) as executor:
        for number, (texts, count) in enumerate(executor.map(written, range(2))):
            assert sorted(texts) == sorted(f"Page {page} of {number}." for page in range(20))
            assert count == 20


def test_a_server_that_goes_in_the_middle_is_one_clear_error_and_the_next_run_goes_on(
    postgres: str, tmp_path: Path, make_embedder: Any, paragraph_splitter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    folder = tmp_path / "documents"
    folder.mkdir()
    for page in range(20):
        (folder / f"{page}.txt").write_text(f"Page {page}.")
    embedder = make_embedder()
    index = RagIndex.open(tmp_path / "index", embedder, store_url=postgres)
    upsert, calls = PgVectorStore._upsert, []

    def lost(self: PgVectorStore, cursor: Any, rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) > 2:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        upsert(self, cursor, rows)

    monkeypatch.setattr(PgVectorStore, "_upsert", lost)
    monkeypatch.setattr(PgVectorStore, "_may_pass", lambda self, error: False)
    with pytest.raises(StoreError, match=r"the vector store at .* does not answer \(server closed the connection"):
        Indexer(index, paragraph_splitter, embedder, batch_sentences=3).add([folder])
    monkeypatch.undo()
    kept = embedder.num_embedded
    Indexer(index, paragraph_splitter, embedder, batch_sentences=3).add([folder])
    assert len(index.chunks()) == 20
    assert 20 <= embedder.num_embedded < kept + 20


def test_what_the_server_lost_is_embedded_anew(
    postgres: str, open_index: Callable[..., RagIndex], make_indexer: Callable[..., Indexer], documents: Path
) -> None:
    index = open_index(store_url=postgres)
    report = make_indexer(index).add([documents])
    with index.writing() as open_store:
        open_store().delete(open_store().ids()[:1])
    index.catalog.mark_unfinished(True)
    assert make_indexer(index).add([documents]).num_embedded == 1
    with index.writing() as open_store:
        assert open_store().count() == report.num_embedded


def test_an_index_does_not_move_from_one_kind_of_server_to_another(open_index: Callable[..., RagIndex]) -> None:
    open_index(store_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"keeps its vectors at http://127.0.0.1:1, but the store is given as postg"):
        open_index(store_url="postgresql://ada@db/docs")
