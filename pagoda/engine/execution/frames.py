"""Messages between processes of one engine: how they are framed, and how an error comes over.

On the token's path: between a server's process and the engine's, and between that and its ranks. A message is a pickle
behind its length. Only a parent and the child that it started itself share a socket, so nothing from outside is ever
unpickled. Imports no torch.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

import pagoda.errors
from pagoda.errors import EngineDeadError, PagodaError

LENGTH = struct.Struct("!Q")


def frame(message: object) -> bytes:
    """A message as bytes on the socket."""
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(payload)) + payload


def receive(connection: socket.socket) -> Any:
    """The next message. Raises EOFError where the other side is gone."""
    (length,) = LENGTH.unpack(exactly(connection, LENGTH.size))
    return pickle.loads(exactly(connection, length))


def revive(kind: str, message: str, param: str | None = None) -> PagodaError:
    """The error that the other side met: of the same class where it is pagoda's own, else an EngineDeadError."""
    known = getattr(pagoda.errors, kind, None)
    if not (isinstance(known, type) and issubclass(known, PagodaError)):
        return EngineDeadError(f"the engine failed: {kind}: {message}")
    error: PagodaError = known.__new__(known)
    # Around the constructor: some build their message from other arguments.
    Exception.__init__(error, message)
    error.__dict__.update({} if param is None else {"param": param})
    return error


def exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes. Raises EOFError where the other side is gone before."""
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(count - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
