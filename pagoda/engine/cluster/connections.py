"""Sockets between an engine and ranks that it did not start itself: who connects has to know the engine's secret.

Beside the token's path, once for each rank: the engine listens on the address by which the cluster knows its host, a
rank connects and proves by a keyed hash (RFC 2104) of a number just drawn that it was handed the secret. The engine
proves itself likewise, and nothing is unpickled before that. Messages themselves are neither signed nor hidden: a
cluster's network is taken for its own, as Ray and gloo take it. Imports no torch.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
from dataclasses import dataclass, field

from pagoda.engine.execution.frames import exactly

_INDEX = struct.Struct("!I")
_NONCE_BYTES = _DIGEST_BYTES = 32
_PROOF_TIMEOUT_S = 10.0
_KEEPER = 2**32 - 1
"""The index of the engine itself, which proves itself in turn."""


@dataclass(frozen=True)
class Door:
    """Where an engine is to be found, and the secret that opens it."""

    host: str
    port: int
    secret: bytes = field(repr=False)

    def proof(self, nonce: bytes, index: int) -> bytes:
        """That rank `index` knows the secret."""
        return hmac.digest(self.secret, nonce + _INDEX.pack(index), "sha256")


class Doorkeeper:
    """Listens on `host`, a port of its own."""

    def __init__(self, host: str) -> None:
        self._listening = socket.create_server((host, 0), family=_family(host))
        self.door = Door(host, self._listening.getsockname()[1], secrets.token_bytes(32))

    def accept(self, timeout_s: float) -> tuple[int, socket.socket] | None:
        """The next rank that proves itself, by its index; None where nobody did in time."""
        self._listening.settimeout(timeout_s)
        try:
            connection, _ = self._listening.accept()
        except TimeoutError:
            return None
        try:
            connection.settimeout(_PROOF_TIMEOUT_S)
            nonce = secrets.token_bytes(_NONCE_BYTES)
            connection.sendall(nonce)
            (index,) = _INDEX.unpack(exactly(connection, _INDEX.size))
            if hmac.compare_digest(exactly(connection, _DIGEST_BYTES), self.door.proof(nonce, index)):
                connection.sendall(self.door.proof(nonce, _KEEPER))
                return index, prompt(connection)
        except (EOFError, OSError):
            pass
        connection.close()
        return None

    def close(self) -> None:
        """Let nobody in any more."""
        self._listening.close()


def enter(door: Door, index: int) -> socket.socket:
    """Connect as rank `index`. Raises OSError, EOFError."""
    connection = socket.create_connection((door.host, door.port), timeout=_PROOF_TIMEOUT_S)
    nonce = exactly(connection, _NONCE_BYTES)
    connection.sendall(_INDEX.pack(index) + door.proof(nonce, index))
    # Another program may have the port by now, and what comes is unpickled.
    if not hmac.compare_digest(exactly(connection, _DIGEST_BYTES), door.proof(nonce, _KEEPER)):
        connection.close()
        raise EOFError("whoever listens does not know the secret")
    connection.settimeout(None)
    return prompt(connection)


def prompt(connection: socket.socket) -> socket.socket:
    """Messages go out at once, and a host that is gone is noticed while nobody speaks."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return connection


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
