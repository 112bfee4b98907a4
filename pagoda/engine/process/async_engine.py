"""The engine for asyncio: it runs in a process of its own, and this side only passes messages.

On the token's path: the first stop behind the server and the last before it. `add_request` sends a request over and
waits until the engine has taken it or refused it; the stream that it returns brings the news of every step. What piles
up behind a slow reader is merged, so that nobody's slowness costs memory or holds up a step. Should the engine's
process die, it is started anew and gets the requests again of which nothing had come; all others end with an
EngineDeadError at once. Where only the model's ranks end, the process brings them back, and nobody loses anything.
Imports no torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import logging
import pickle
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from pagoda.engine.args import EngineArgs
from pagoda.engine.execution.frames import LENGTH, frame, revive
from pagoda.engine.outputs import EmbeddingOutput, EmbeddingRequestOutput
from pagoda.engine.process.messages import (
    Abort,
    Accepted,
    Add,
    EngineInfo,
    Failed,
    Loaded,
    RanksBack,
    RanksEnded,
    Refused,
    Stepped,
    StepStats,
    id_and_end,
)
from pagoda.engine.process.request_stream import RequestStream
from pagoda.engine.scheduling.plan import SchedulerStats
from pagoda.engine.text.prompt import Prompt, cache_salt_of, prompt_to_embed, text_or_ids
from pagoda.errors import EngineDeadError, EngineOverloadedError, InvalidRequestError, PagodaError
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams

logger = logging.getLogger(__name__)

RESTART_WINDOW_S = 600.0
"""Deaths of the engine's process that lie further back no longer count."""
STOP_TIMEOUT_S = 5.0
DRAIN_WINDOW = 256
"""Finished requests over which the rate of draining is measured."""
LARGE = 16 * 1024
"""Characters of a text, or bytes of a message, that a thread takes over, so that others are not held up meanwhile."""
MAX_RETRY_AFTER_S = 60.0


class EngineState(enum.StrEnum):
    """Where the engine's process stands."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    DEAD = "dead"


class AsyncEngine:
    """One engine process and the requests on their way to and from it. Everything is called in one event loop.

    max_num_waiting: requests that may wait beside those that run; more are refused. max_restarts: how often the
    process may die within ten minutes before it is given up.
    """

    def __init__(self, args: EngineArgs, *, max_num_waiting: int = 1024, max_restarts: int = 3) -> None:
        self.args = args
        self.state = EngineState.LOADING
        self.stats = SchedulerStats()
        self.tokenizer: Tokenizer | None = None
        self.num_restarts = 0
        self.dead = asyncio.Event()
        """Set when the process has died and is not started again."""
        self._info: EngineInfo | None = None
        self._max_num_waiting = max_num_waiting
        self._max_restarts = max_restarts
        self._deaths: deque[float] = deque()
        self._finished_at: deque[float] = deque(maxlen=DRAIN_WINDOW)
        self._streams: dict[str, RequestStream] = {}
        self._embeddings: dict[str, tuple[Add, asyncio.Future[tuple[float, ...]]]] = {}
        self._num_sequences = 0
        self._listeners: list[Callable[[StepStats], None]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def info(self) -> EngineInfo:
        """Facts of the model. Raises EngineDeadError while it is not loaded for the first time."""
        if self._info is None:
            raise EngineDeadError(f"the engine is {self.state.value}: no model is there yet")
        return self._info

    @property
    def num_live_requests(self) -> int:
        """Requests that were added and have not ended; for tests, which hold that none is left behind."""
        return len(self._streams) + len(self._embeddings)

    def add_stats_listener(self, listener: Callable[[StepStats], None]) -> None:
        """`listener` is called in the event loop after each step; it must be quick."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Start the process and load the model. Raises what the engine met: CheckpointError, ConfigError, ..."""
        reader = await self._spawn()
        try:
            await self._load(reader)
        except BaseException:
            self._kill()
            self.state = EngineState.DEAD
            raise
        self._reading = asyncio.create_task(self._read(reader))

    async def stop(self) -> None:
        """End the process; requests under way get an EngineDeadError."""
        self._stopping = True
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        self._fail(EngineDeadError("the engine was stopped"))
        self.state = EngineState.DEAD
        if self._process is not None:
            await asyncio.to_thread(_end, self._process)

    def kill(self) -> None:
        """End the process at once, from outside a coroutine too; requests under way get an EngineDeadError."""
        self._stopping = True
        if self._reading is not None:
            self._reading.cancel()
        self._fail(EngineDeadError("the engine was stopped"))
        self.state = EngineState.DEAD
        self._kill()

    async def add_request(
        self,
        request_id: str,
        prompt: Prompt,
        params: SamplingParams,
        *,
        priority: int = 0,
        cache_salt: str | None = None,
    ) -> RequestStream:
        """Queue a request; it is accepted when this returns. Its outputs are deltas, or one at the end (FINAL_ONLY).

        Raises InvalidRequestError where it cannot be served, EngineOverloadedError where too many wait,
        EngineDeadError where there is no engine.
        """
        num_sequences = 1 if params.is_greedy else params.n
        self._check_room(request_id, num_sequences)
        text, token_ids = await self._encoded(prompt)
        self._check_room(request_id, num_sequences)
        if params.output_kind is RequestOutputKind.CUMULATIVE:
            params = params.clone(output_kind=RequestOutputKind.DELTA)
        added = Add(request_id, token_ids, params, priority, cache_salt or cache_salt_of(prompt))
        stream = RequestStream(self._abort, added, text, num_sequences)
        self._streams[request_id] = stream
        self._num_sequences += num_sequences
        try:
            self._send(added)
            await stream.accepted
        except BaseException:
            stream.abort()
            raise
        return stream

    async def embed(
        self, request_id: str, prompt: Prompt, params: PoolingParams, *, cache_salt: str | None = None
    ) -> EmbeddingRequestOutput:
        """The embedding of a prompt; errors as with `add_request`. Cancelling it ends the request."""
        self._check_room(request_id, 1)
        _, token_ids = await self._encoded(prompt_to_embed(prompt, self.info.embedder, params.prompt_name))
        params = replace(params, prompt_name=None)  # it is among the ids now
        result: asyncio.Future[tuple[float, ...]] = asyncio.get_running_loop().create_future()
        added = Add(request_id, token_ids, params, 0, cache_salt or cache_salt_of(prompt))
        self._embeddings[request_id] = added, result
        try:
            self._send(added)
            return EmbeddingRequestOutput(request_id, EmbeddingOutput(await result), token_ids)
        except asyncio.CancelledError:
            self._send_if_alive(Abort(request_id))
            raise
        finally:
            self._embeddings.pop(request_id, None)
            self._finished_at.append(time.monotonic())

    def encode(self, prompt: Prompt, *, add_special_tokens: bool = True) -> tuple[str | None, list[int]]:
        """`(text or None, ids)` of a prompt; may be called in any thread, and for a long text should not be in the
        event loop's. Raises InvalidRequestError for a prompt that is neither.
        """
        text, given = text_or_ids(prompt)
        if given is not None:
            return text, list(given)
        if self.tokenizer is None:
            raise InvalidRequestError("the model has no tokenizer: send the prompt as token ids", param="prompt")
        return text, self.tokenizer.encode(text or "", add_special_tokens)

    async def _encoded(self, prompt: Prompt) -> tuple[str | None, list[int]]:
        """The same, in a thread where the prompt is long."""
        text, given = text_or_ids(prompt)
        if given is None and len(text or "") > LARGE:
            return await asyncio.to_thread(self.encode, prompt)
        return self.encode(prompt)

    def retry_after_s(self) -> float:
        """Seconds until what waits now has drained, at the rate at which requests have ended lately; 1 to 60."""
        num_waiting = max(1, self._num_sequences - self.info.max_num_seqs)
        if len(self._finished_at) < 2:
            return 1.0
        rate = len(self._finished_at) / max(time.monotonic() - self._finished_at[0], 1e-3)
        return min(max(num_waiting / rate, 1.0), MAX_RETRY_AFTER_S)

    # Arrival and departure

    def _check_room(self, request_id: str, num_sequences: int) -> None:
        if self._stopping:
            raise EngineDeadError("the engine was stopped: make a new one")
        if self.state is not EngineState.READY:
            raise EngineDeadError(f"the engine is {self.state.value}: send the request again later")
        if request_id in self._streams or request_id in self._embeddings:
            raise InvalidRequestError(f"request id {request_id!r} is in use: give every request its own id")
        limit = self.info.max_num_seqs + self._max_num_waiting
        # Beside nobody, even a request that is larger than the queue is welcome.
        if self._num_sequences and self._num_sequences + num_sequences > limit:
            raise EngineOverloadedError(
                f"{self._num_sequences} sequences run or wait and at most {limit} may: come back later",
                retry_after_s=self.retry_after_s(),
            )

    def _abort(self, request_id: str) -> None:
        self._forget(request_id)
        self._send_if_alive(Abort(request_id))

    def _forget(self, request_id: str) -> RequestStream | None:
        stream = self._streams.pop(request_id, None)
        if stream is not None:
            self._num_sequences -= stream.num_sequences
            self._finished_at.append(time.monotonic())
        return stream

    def _send(self, message: object) -> None:
        if self._writer is None or self._writer.is_closing():
            raise EngineDeadError("the engine's process has ended: send the request again later")
        self._writer.write(frame(message))

    def _send_if_alive(self, message: object) -> None:
        with contextlib.suppress(EngineDeadError):
            self._send(message)

    # The process

    async def _spawn(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            command = [sys.executable, "-m", "pagoda.engine.process.engine_process", str(descriptor)]
            self._process = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._writer.write(frame(self.args))
        return reader

    async def _load(self, reader: asyncio.StreamReader) -> None:
        try:
            message = await _receive(reader)
        except (EOFError, ConnectionError) as error:
            raise EngineDeadError(f"the engine's process ended while loading ({self._exit_status()})") from error
        if isinstance(message, Failed):
            raise revive(message.kind, message.message)
        self._info, self.tokenizer = cast(Loaded, message)
        self.stats = SchedulerStats()
        self.state = EngineState.READY

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the engine says, until it says nothing more; then bring it back."""
        reason = ""
        try:
            while True:
                message = await _receive(reader)
                if isinstance(message, Failed):
                    reason = f"{message.kind}: {message.message}"
                elif isinstance(message, RanksEnded):
                    reason = self._take_loss(message.reason)
                else:
                    self._take(message)
        except (EOFError, ConnectionError):
            if not self._stopping:
                await self._recover(reason)

    def _take(self, message: object) -> None:
        if isinstance(message, Stepped):
            self._take_step(message)
        elif isinstance(message, Accepted):
            stream = self._streams.get(message.request_id)
            if stream is not None and not stream.accepted.done():
                stream.accepted.set_result(None)
        elif isinstance(message, RanksBack):
            self.state = EngineState.READY
        elif isinstance(message, Refused):
            self._take_refusal(message.request_id, revive(message.kind, message.message, message.param))

    def _take_step(self, message: Stepped) -> None:
        for packed in message.outputs:
            request_id, is_finished = id_and_end(packed)
            stream = self._streams.get(request_id)
            if stream is not None:
                stream.put(packed)
                if is_finished:
                    self._forget(request_id)
        for request_id, embedding in message.embeddings:
            if request_id in self._embeddings and not (result := self._embeddings[request_id][1]).done():
                result.set_result(embedding)
        self.stats = message.steps[-1].stats
        for listener, step in itertools.product(self._listeners, message.steps):
            listener(step)

    def _take_refusal(self, request_id: str, error: PagodaError) -> None:
        stream = self._forget(request_id)
        if stream is not None:
            stream.end(error)
        if request_id in self._embeddings and not (result := self._embeddings[request_id][1]).done():
            result.set_exception(error)

    def _take_loss(self, reason: str) -> str:
        """The process brings its ranks back, unless that has happened too often: then it is ended, for `reason`."""
        if not self._may_restart():
            self._kill()
            return reason
        self.state = EngineState.RESTARTING
        self.num_restarts += 1
        return ""

    async def _recover(self, reason: str) -> None:
        """The process has died: tell whose answers had begun, and start another unless that has happened too often."""
        self.state = EngineState.RESTARTING
        while True:
            cause = reason or self._exit_status()
            error = EngineDeadError(f"the engine's process has ended ({cause}); this request is lost")
            self._kill()
            if not self._may_restart():
                break
            self._fail(error, keep_new=True)
            logger.error("the engine's process has ended (%s): starting it again", cause)
            self.num_restarts += 1
            try:
                await self.start()
            except PagodaError as failed:
                self.state, reason = EngineState.RESTARTING, str(failed)
            else:
                self._send_again()
                return
        logger.critical("the engine's process has ended (%s) and is not started again", cause)
        self.state = EngineState.DEAD
        self._fail(error)
        self.dead.set()

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > RESTART_WINDOW_S:
            self._deaths.popleft()
        return len(self._deaths) <= self._max_restarts

    def _send_again(self) -> None:
        """Once: a request with which two processes died may be what kills them."""
        for stream in self._streams.values():
            stream.added = stream.added._replace(is_again=True)
            self._send_if_alive(stream.added)
        for request_id, (added, result) in self._embeddings.items():
            self._embeddings[request_id] = added._replace(is_again=True), result
            self._send_if_alive(added)

    def _fail(self, error: EngineDeadError, *, keep_new: bool = False) -> None:
        """End requests. keep_new: but those of which nothing has come, and that were sent once."""
        for request_id, stream in list(self._streams.items()):
            if not keep_new or stream.has_begun or stream.added.is_again:
                del self._streams[request_id]
                self._num_sequences -= stream.num_sequences
                stream.end(error)
        for added, result in self._embeddings.values():
            if not (result.done() or (keep_new and not added.is_again)):
                result.set_exception(error)
        self.stats = SchedulerStats()

    def _exit_status(self) -> str:
        """In words; the end of the socket comes a moment before the process can be waited for."""
        if self._process is None:
            return "it never started"
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=1.0)
            return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return "it closed its connection"

    def _kill(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def _receive(reader: asyncio.StreamReader) -> object:
    """The next message. Raises EOFError at the end."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    data = await reader.readexactly(length)
    return pickle.loads(data) if length <= LARGE else await asyncio.to_thread(pickle.loads, data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process whose connection is closed, and kill one that does not end."""
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
