"""A `pagoda serve` of the benchmark's own, and a client light enough not to be what is measured.

The client writes requests and reads answers over bare sockets: a client with all comforts takes as much of a core for
each chunk as the server does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Server:
    """Address and process of a running server; `log` is what it said until it was ready."""

    url: str
    process: subprocess.Popen[str]
    log: list[str]

    def engine_pid(self) -> int:
        """The engine's process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[-1])


@contextmanager
def serving(*arguments: str, code: Path | None = None) -> Iterator[Server]:
    """A server at a free port, ready; ended with the block. code: the checkout that it runs, in place of this one."""
    command = [str(Path(sys.executable).with_name("pagoda")), "serve", "--port", "0", "--no-access-log", *arguments]
    environment = os.environ if code is None else {**os.environ, "PYTHONPATH": str(code)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            log = []
            for line in process.stderr:
                log.append(line)
                if "/v1" in line:
                    break
            yield Server(re.findall(r"http://[0-9.:]+", log[-1])[0], process, log)
        finally:
            process.terminate()
            process.wait(60)


@dataclass
class Answer:
    """What came back: status, body, and when each piece of it did, in seconds of time.perf_counter()."""

    status: int
    body: bytes
    sent: float
    times: list[float] = field(default_factory=list)

    @property
    def num_events(self) -> int:
        """Chunks of a stream, without [DONE]."""
        return self.body.count(b"data: {")


async def post(url: str, path: str, body: dict[str, Any] | bytes, *, leave_after: int | None = None) -> Answer:
    """One request on a connection of its own. leave_after: close it once so many pieces have come."""
    address = urlsplit(url)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        sent = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
        answer = Answer(int((await reader.readline()).split()[1]), b"", sent)
        while piece := await reader.read(65536):
            answer.body += piece
            answer.times += [time.perf_counter()] * piece.count(b"data: {")
            if leave_after is not None and len(answer.times) >= leave_after:
                break
        return answer
    finally:
        writer.close()
