"""Every way in which an embedded graph cannot be opened has a message of its own; and what its folder gives away."""

from __future__ import annotations

import importlib.util
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.graph import embedded as embedded_graph
from pagoda.graph.driver import Account, Endpoint
from pagoda.graph.errors import (
    GraphAuthError,
    GraphDatabaseError,
    GraphFolderError,
    GraphStartError,
    GraphUnavailableError,
)
from pagoda.graph.graph import Graph

HOLD_THE_LOCK = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, str(os.getpid()).encode())
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_uses_is_refused_with_its_process_id(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(GraphFolderError, match=rf"in use by another process \({other.pid}\)"):
            Graph.embedded(tmp_path, lock_timeout_s=0)
        other.communicate()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(GraphFolderError, match="cannot be written"):
        Graph.embedded(tmp_path / "file" / "graph")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(GraphFolderError, match=r"cannot be written \(Permission denied\)"):
        Graph.embedded(tmp_path / "graph")


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(GraphFolderError, match="no graph"):
        Graph.embedded(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(GraphStartError, match=f"port {port} is in use"):
            Graph.embedded(tmp_path, port=port)


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_graph, "_java", lambda: [sys.executable, "-c", "import sys; sys.exit('no memory')"])
    with pytest.raises(GraphStartError, match=r"ended while it started: .*server\.log"):
        Graph.embedded(tmp_path)
    assert "no memory" in (tmp_path / "server.log").read_text()


def test_a_folder_can_be_opened_after_a_start_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_graph, "_java", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    for _ in range(2):
        with pytest.raises(GraphStartError):
            Graph.embedded(tmp_path, lock_timeout_s=0)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "arcadedb_embedded", None)
    with pytest.raises(MissingExtraError, match=r"arcadedb-embedded.*pip install .*\[dialogue\]"):
        Graph.embedded(tmp_path)


def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neo4j", None)
    with pytest.raises(MissingExtraError, match=r"neo4j.*pip install .*\[dialogue\]"):
        Graph.connect("bolt://127.0.0.1:1", "neo4j", "secret")


def test_a_package_without_its_java_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hollow = SimpleNamespace(origin=str(tmp_path / "arcadedb_embedded" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: hollow)
    with pytest.raises(GraphStartError, match="no Java"):
        Graph.embedded(tmp_path / "graph")


def test_a_folder_that_is_open_with_other_settings_is_refused(city_graph: Graph) -> None:
    with pytest.raises(ConfigError, match="same settings"):
        Graph.embedded(_folder(city_graph), timeout_s=5.0)


def test_a_wrong_password_is_refused(city_graph: Graph) -> None:
    endpoint = _endpoint(city_graph)
    with pytest.raises(GraphAuthError, match="refuses this user and password") as caught:
        Graph.connect(endpoint.uri, "root", "wrong-password", endpoint.database)
    assert "wrong-password" not in str(caught.value)


def test_a_wrong_database_is_named(city_graph: Graph) -> None:
    endpoint = _endpoint(city_graph)
    with pytest.raises(GraphDatabaseError, match="atlantis"):
        Graph.connect(endpoint.uri, endpoint.writer.user, endpoint.writer.password, "atlantis")


def test_a_server_by_address_is_read_and_written_like_an_embedded_one(city_graph: Graph) -> None:
    endpoint = _endpoint(city_graph)
    assert endpoint.reader is not None
    reader = (endpoint.reader.user, endpoint.reader.password)
    account = endpoint.writer
    with Graph.connect(endpoint.uri, account.user, account.password, endpoint.database, reader=reader) as graph:
        graph.write("MERGE (b:Booking {id: 'by-address'})")
        assert graph.read("MATCH (b:Booking {id: 'by-address'}) RETURN count(b) AS n") == [{"n": 1}]
        assert graph.server_process_id is None


def test_an_address_where_nothing_listens_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"bolt://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(GraphUnavailableError, match=uri):
            Graph.connect(uri, "neo4j", "secret", timeout_s=0.5)


@pytest.mark.parametrize("uri", ["", "localhost", "http://localhost:7474", "bolt//localhost"])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="no address of a graph"):
        Graph.connect(uri, "neo4j", "secret")


def test_no_password_is_in_a_file_on_a_command_line_in_a_representation_or_in_the_environment(
    city_graph: Graph,
) -> None:
    endpoint = _endpoint(city_graph)
    assert endpoint.reader is not None
    secrets = [endpoint.writer.password, endpoint.reader.password]
    assert not any(secret in repr(endpoint) for secret in secrets)
    places = [path for path in _folder(city_graph).rglob("*") if path.is_file()]
    if sys.platform == "linux":
        processes = Path(f"/proc/{city_graph.server_process_id}")
        places += [processes / "cmdline", processes / "environ"]
    for place in places:
        contents = place.read_bytes()
        assert not any(secret.encode() in contents for secret in secrets), place


def test_other_users_of_the_machine_may_not_look_into_the_folder(city_graph: Graph) -> None:
    assert stat.S_IMODE(_folder(city_graph).stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_listens_on_loopback_alone(city_graph: Graph) -> None:
    sockets = {
        os.readlink(entry)[8:-1]
        for entry in Path(f"/proc/{city_graph.server_process_id}/fd").iterdir()
        if os.readlink(entry).startswith("socket:[")
    }
    listening = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in sockets
    ]
    # 127.0.0.1 in the kernel's byte order, plain and mapped into IPv6.
    loopback = ("0100007F", "0000000000000000FFFF00000100007F")
    assert len(listening) == 2
    assert all(fields[1].split(":")[0] in loopback for fields in listening)


def test_two_starts_have_nothing_in_common_but_the_data(tmp_path: Path) -> None:
    endpoints = []
    for _ in range(2):
        with Graph.embedded(tmp_path) as graph:
            endpoints.append(_endpoint(graph))
            graph.write("MERGE (n:Note {id: 1}) SET n.times = coalesce(n.times, 0) + 1")
            times = graph.read("MATCH (n:Note) RETURN n.times AS times")
    assert times == [{"times": 2}]
    assert endpoints[0].writer.password != endpoints[1].writer.password
    assert not (tmp_path / "server" / "password").exists()


def test_an_account_shows_its_user_and_not_its_password() -> None:
    assert repr(Account("reader", "s3cret")) == "Account(user='reader')"


def _folder(graph: Graph) -> Path:
    assert graph._server is not None
    return graph._server.folder


def _endpoint(graph: Graph) -> Endpoint:
    assert graph._server is not None
    return graph._server.endpoint()
