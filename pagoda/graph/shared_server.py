"""One embedded server for a folder, however many Graphs of this process use it.

Stands between `graph` and `embedded`, outside a statement's path. The folder's lock lets in one server; so the Graphs
of one process must share it, and the last to close ends it.
"""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from pagoda.errors import ConfigError
from pagoda.graph.driver import Endpoint
from pagoda.graph.embedded import EmbeddedServer, ServerSettings

_MUTE_AFTER_S = 2.0


class SharedServer:
    """A server that is started when somebody asks where it is, and ended when nobody holds it any more."""

    # The one thing here that outlives its makers: which folders this process has a server for. It is the process's
    # own counterpart of the lock in the folder.
    _by_folder: ClassVar[dict[Path, SharedServer]] = {}
    _registry: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, folder: Path, settings: ServerSettings) -> None:
        self.folder = folder
        self._server = EmbeddedServer(folder, settings)
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._num_holders = 0

    @classmethod
    def of(cls, folder: Path, settings: ServerSettings) -> SharedServer:
        """The folder's server, held once more. Raises ConfigError if it runs with other settings."""
        folder = folder.expanduser().resolve()
        with cls._registry:
            shared = cls._by_folder.setdefault(folder, cls(folder, settings))
            if shared._server.settings != settings:
                raise ConfigError(
                    f"the graph in {folder} is open in this process with {shared._server.settings}: close it first, "
                    "or open it with the same settings"
                )
            shared._num_holders += 1
            return shared

    def endpoint(self) -> Endpoint:
        """Where the server is; started first, if it does not run. Raises as EmbeddedServer.start does."""
        with self._lock:
            if self._endpoint is None or not self._server.is_running():
                self._server.stop()
                with Console(stderr=True).status("starting the graph server ..."):
                    self._endpoint = self._server.start()
            return self._endpoint

    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._server.is_running()

    @property
    def process_id(self) -> int:
        """Of the server; 0 before it has started."""
        return self._server.process_id

    def end_if_mute(self) -> None:
        """End a server that takes no request any more, so that the next one to need it starts it again."""
        with self._lock:
            if self._server.is_running() and not _is_ready(self._server.http_port):
                self._server.kill()

    def release(self) -> None:
        """One holder less; the last one ends the server."""
        with self._registry:
            self._num_holders -= 1
            if self._num_holders:
                return
            self._by_folder.pop(self._server.folder, None)
            with self._lock:
                self._server.stop()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_MUTE_AFTER_S)
    try:
        connection.request("GET", "/api/v1/ready")
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
