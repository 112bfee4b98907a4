"""The embedded graph: a server process of our own over a folder, for those who have no Neo4j.

Stands below `Graph`, which talks to it as to any Neo4j: Graph -> Bolt on loopback -> *ArcadeDB* -> folder. The server
comes with its own Java (package arcadedb-embedded) and is run as a child process, never inside Python: it may crash
alone, and `keeper` ends it with us. Nobody else gets in: it listens on 127.0.0.1 only, both accounts get new random
passwords at every start, and neither stands on a command line, in the environment or in a log.

    folder/lock           locked by whoever uses the folder, down to the last process; holds its process id
    folder/server.log     what the server says
    folder/server/        the server's own: databases/, config/
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.graph import keeper as graph_keeper
from pagoda.graph.driver import Account, Endpoint
from pagoda.graph.errors import GraphFolderError, GraphStartError

DATABASE = "pagoda"
_HOST = "127.0.0.1"
_LOCK_NAME, _LOG_NAME = "lock", "server.log"
_POLL_S = 0.02
# Somebody may take a free port between our look and the server's; other ports are tried then.
_NUM_ATTEMPTS = 3


@dataclass(frozen=True)
class ServerSettings:
    """How the embedded server runs.

    timeout_s: a statement that runs longer is ended by the server
    port: of Bolt on loopback; None for any free one
    heap_mb: the most that Java may use, beside some 100 MB of its own
    start_timeout_s, lock_timeout_s: how long to wait for the server, and for the process that used the folder before
    """

    timeout_s: float = 10.0
    port: int | None = None
    heap_mb: int = 256
    start_timeout_s: float = 60.0
    lock_timeout_s: float = 5.0


class EmbeddedServer:
    """The server over one folder. start, stop and start again; not safe to call from several threads at once."""

    def __init__(self, folder: Path, settings: ServerSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.process_id = 0
        self.http_port = 0
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> Endpoint:
        """Start the server and wait until it answers. Raises GraphFolderError, GraphStartError, MissingExtraError."""
        java = _java()
        _prepare_folder(self.folder)
        with _locked(self.folder, self.settings.lock_timeout_s) as lock_fd:
            for attempts_left in reversed(range(_NUM_ATTEMPTS)):
                try:
                    return self._start_once(java, lock_fd)
                except GraphStartError:
                    self.stop()
                    if self.settings.port is not None or not attempts_left:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def is_running(self) -> bool:
        """Whether the process is alive; it may be too busy to answer all the same."""
        return self._keeper is not None and self._keeper.poll() is None and _is_alive(self.process_id)

    def stop(self) -> None:
        """End the server and wait for it. Pages are written out; a server that hangs is killed after some seconds."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        keeper.wait()

    def kill(self) -> None:
        """End the server at once, as if it had crashed; what was committed is in its journal."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, signal.SIGKILL)
        self.stop()

    def _start_once(self, java: list[str], lock_fd: int) -> Endpoint:
        bolt_port, self.http_port = _ports(self.settings.port)
        writer, reader = Account("root", _password()), Account("reader", _password())
        server_folder = self.folder / "server"
        password_file = _write_security(server_folder, writer, self.settings.timeout_s)
        try:
            self._spawn(
                [*java, *_arguments(server_folder, password_file, bolt_port, self.http_port, self.settings)], lock_fd
            )
            self._wait_for(bolt_port, self.http_port)
        finally:
            password_file.unlink(missing_ok=True)
        _create_user(self.http_port, writer, reader)
        return Endpoint(f"bolt://{_HOST}:{bolt_port}", writer, reader, DATABASE)

    def _spawn(self, command: list[str], lock_fd: int) -> None:
        log_file = self.folder / _LOG_NAME
        if log_file.exists():
            log_file.replace(log_file.with_suffix(".log.1"))
        keeper = [sys.executable, "-I", "-S", graph_keeper.__file__, str(lock_fd), *command]
        with log_file.open("wb") as log:
            self._keeper = subprocess.Popen(
                keeper,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder / "server",
                env=_environment(),
                pass_fds=[lock_fd],
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        self.process_id = int(self._keeper.stdout.readline() or 0)

    def _wait_for(self, *ports: int) -> None:
        ends = time.monotonic() + self.settings.start_timeout_s
        while not all(_answers(port) for port in ports):
            if not self.is_running():
                raise GraphStartError(f"the graph server ended while it started: {self.folder / _LOG_NAME} says why")
            if time.monotonic() > ends:
                raise GraphStartError(
                    f"the graph server did not answer within {self.settings.start_timeout_s:g} s: look into "
                    f"{self.folder / _LOG_NAME}, or allow more time with start_timeout_s"
                )
            time.sleep(_POLL_S)


def _java() -> list[str]:
    """The bundled Java with the server's class path. The package is found, not imported: that would start a JVM."""
    spec = importlib.util.find_spec("arcadedb_embedded")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the embedded graph (arcadedb-embedded)", "dialogue")
    package = Path(spec.origin).parent
    java = package / "jre" / "bin" / "java"
    if not java.is_file():
        raise GraphStartError(
            f"arcadedb-embedded has no Java at {java}: reinstall it, or give the address of a Neo4j server"
        )
    return [str(java), "-cp", str(package / "jars" / "*")]


def _arguments(
    server_folder: Path, password_file: Path, bolt_port: int, http_port: int, settings: ServerSettings
) -> list[str]:
    """Java's arguments. The password stands in a file that is gone when the server is up."""
    options: dict[str, object] = {
        "server.rootPath": server_folder,
        "server.rootPasswordPath": password_file,
        "server.mode": "production",
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server.httpIncomingHost": _HOST,
        "server.httpIncomingPort": http_port,
        "server.defaultDatabases": f"{DATABASE}[]",
        "bolt.host": _HOST,
        "bolt.port": bolt_port,
        "bolt.defaultDatabase": DATABASE,
        "command.timeout": max(1, round(settings.timeout_s * 1000)),
        "studio.enabled": "false",
        "serverMetrics": "false",
    }
    # The first compiler alone: half the processor time at the start, and small graphs never repay the second.
    flags = [f"-Xmx{settings.heap_mb}m", "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    # The server's own classes need no proof of well-formedness at every start, which takes a fifth of it.
    flags += ["-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"]
    native = ["--enable-native-access=ALL-UNNAMED", "--add-modules", "jdk.incubator.vector"]
    return [*flags, *native, *(f"-Darcadedb.{k}={v}" for k, v in options.items()), "com.arcadedb.server.ArcadeDBServer"]


def _environment() -> dict[str, str]:
    """Ours without what would add options to Java or settings to the server behind our back."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
        and not name.lower().startswith("arcadedb")
    }


def _write_security(server_folder: Path, writer: Account, timeout_s: float) -> Path:
    """Forget the accounts of earlier starts, say what a reader may do, and leave the writer's password in a file."""
    config = server_folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "server-users.jsonl").unlink(missing_ok=True)
    (config / "server-groups.json").write_text(json.dumps(_groups(timeout_s)), encoding="utf-8")
    password_file = server_folder / "password"
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(writer.password or "")
    return password_file


def _groups(timeout_s: float) -> dict[str, Any]:
    """The server's own groups, and `reader`, which may read records and nothing else."""
    everything = ["createRecord", "readRecord", "updateRecord", "deleteRecord"]
    may = ["updateSecurity", "updateSchema", "updateDatabaseSettings"]

    def group(access: list[str], records: list[str], read_timeout: int) -> dict[str, Any]:
        limits = {"resultSetLimit": -1, "readTimeout": read_timeout}
        return {**limits, "access": access, "types": {"*": {"access": records}}}

    standard = {"admin": group(may, everything, -1), "*": group([], [], -1)}
    reader = {"reader": group([], ["readRecord"], max(1, round(timeout_s * 1000)))}
    return {"databases": {"*": {"groups": standard}, DATABASE: {"groups": reader}}, "version": 2}


def _create_user(http_port: int, writer: Account, reader: Account) -> None:
    """Ask the server for the reader's account. A plain connection: proxies of the environment are not for loopback."""
    user = {"name": reader.user, "password": reader.password, "databases": {DATABASE: ["reader"]}}
    body = json.dumps({"command": f"create user {json.dumps(user)}"})
    token = base64.b64encode(f"{writer.user}:{writer.password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(_HOST, http_port, timeout=30)
    try:
        connection.request("POST", "/api/v1/server", body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise GraphStartError("the graph server ended while the reader's account was made: start it again") from error
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise GraphStartError(f"the graph server refused to make the reader's account (HTTP {status}): start it again")


def _prepare_folder(folder: Path) -> None:
    """Make the folder, closed to other users, or check that it is ours."""
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / _LOCK_NAME).is_file():
            raise GraphFolderError(f"{folder} holds something that is no graph: name an empty folder or a new one")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "server").mkdir(mode=0o700, exist_ok=True)
        (folder / _LOCK_NAME).touch(mode=0o600)
    except OSError as error:
        raise GraphFolderError(
            f"the graph's folder {folder} cannot be written ({error.strerror}): name one that you may write to"
        ) from error


@contextlib.contextmanager
def _locked(folder: Path, timeout_s: float) -> Iterator[int]:
    """Lock the folder and give the lock's descriptor. Processes that inherit it keep it locked when we let go."""
    descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR)
    try:
        ends = time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if time.monotonic() > ends:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise GraphFolderError(
                    f"the graph in {folder} is in use by another process ({holder}): close it there, or name another "
                    "folder; for several processes at once, run a Neo4j server"
                )
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ModuleNotFoundError as error:
        raise ConfigError("the embedded graph runs on Linux and macOS: give the address of a Neo4j server") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ports(wanted: int | None) -> tuple[int, int]:
    """Ports for Bolt and HTTP. Both are held while they are chosen, so that they differ."""
    with socket.socket() as bolt, socket.socket() as web:
        try:
            # A port that only waits for the last packets of a server before is free.
            bolt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bolt.bind((_HOST, wanted or 0))
        except OSError as error:
            raise GraphStartError(
                f"port {wanted} is in use by another program: name another, or none to take any that is free"
            ) from error
        web.bind((_HOST, 0))
        return bolt.getsockname()[1], web.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except OSError:
        return False
    return True


def _password() -> str:
    return secrets.token_urlsafe(24)
