"""The engine's own process: `python -m pagoda.engine.process.engine_process FD`, started by `async_engine`.

On the token's path: between the server, which only passes messages, and `engine.step`. One thread reads the socket and
prepares requests, so that nobody's stream waits while another's grammar is compiled; the main thread takes what has
come, steps, and tells what the step brought. A process of its own keeps Python's lock, the memory and a crash of the
engine away from the server; it ends by itself when the server is gone.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pagoda.engine.args import EngineArgs
from pagoda.engine.execution.executor import DistributedExecutor
from pagoda.engine.execution.frames import frame, receive
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
    StepStats,
    refusal,
    stepped,
)
from pagoda.errors import EngineDeadError, PagodaError
from pagoda.startup import collector_paused, end_with_socket

if TYPE_CHECKING:
    from pagoda.engine.engine import LLMEngine, PreparedRequest
    from pagoda.engine.outputs import EmbeddingRequestOutput, RequestOutput

MAX_SILENCE_S = 0.1
"""How old the figures at /metrics may be: waking the server's process for them alone costs the engine time."""
MAX_ADMISSION_S = 0.005
"""Time for new requests before a step, so that a flood of arrivals does not hold up those that run."""


class EngineProcess:
    """Drives one engine by messages. `send` takes bytes; `inbox` holds what `prepared` made of messages, an exception
    that it met, and None when the server is gone.
    """

    def __init__(self, engine: LLMEngine, inbox: SimpleQueue[Any], send: Callable[[bytes], None]) -> None:
        self.engine = engine
        self._inbox = inbox
        self._send = send
        self._arrivals: OrderedDict[str, PreparedRequest | Refused] = OrderedDict()
        self._num_scheduled_tokens = engine.core.scheduler.stats.num_scheduled_tokens
        self._untold: list[StepStats] = []
        self._told_at = time.monotonic()

    def run(self) -> None:
        """Until the server is gone."""
        while self._receive():
            self._admit()
            if self.engine.has_unfinished_requests():
                self._step()

    def prepared(self, message: Any) -> Any:
        """What goes into the inbox for a message; for another thread than that of `run`."""
        if not isinstance(message, Add):
            return message
        prompt = {"prompt_token_ids": message.prompt_token_ids}
        try:
            return self.engine.prepare(
                message.request_id, prompt, message.params, priority=message.priority, cache_salt=message.cache_salt
            )
        except PagodaError as error:
            return refusal(message.request_id, error)

    def _receive(self) -> bool:
        """Take all messages that have come, waiting for one if there is nothing else to do; False at the end.

        Departures are acted upon at once, arrivals queue up.
        """
        block = not self._arrivals and not self.engine.has_unfinished_requests()
        while True:
            try:
                message = self._inbox.get(block)
            except Empty:
                return True
            if message is None:
                return False
            if isinstance(message, EngineDeadError):
                if self.engine.core.has_lost_ranks:  # or the step that met it has brought them back
                    self._recover(message)
            elif isinstance(message, Exception):
                raise message
            elif isinstance(message, Abort):
                self._abort(message.request_id)
            else:
                self._arrivals[message.request_id] = message
            block = False

    def _abort(self, request_id: str) -> None:
        self._arrivals.pop(request_id, None)
        self.engine.abort_request(request_id)
        if not self.engine.has_unfinished_requests():
            self._tell([], self._stats())

    def _admit(self) -> None:
        deadline = time.monotonic() + MAX_ADMISSION_S
        while self._arrivals and time.monotonic() < deadline:
            _, arrival = self._arrivals.popitem(last=False)
            self._send(frame(arrival if isinstance(arrival, Refused) else self._queued(arrival)))

    def _queued(self, arrival: PreparedRequest) -> Accepted | Refused:
        try:
            self.engine.queue(arrival)
        except PagodaError as error:
            return refusal(arrival.request_id, error)
        return Accepted(arrival.request_id)

    def _step(self) -> None:
        try:
            outputs = self.engine.step()
        except EngineDeadError as error:
            if not self.engine.core.has_lost_ranks:
                raise
            self._recover(error)
        else:
            self._tell(outputs, self._stats())

    def _recover(self, error: EngineDeadError) -> None:
        """Ranks have ended: tell whose requests are given up, and start them again, which the server hears of.

        It counts how often they end, and ends this process where that is too often.
        """
        for request_id in self.engine.give_up():
            self._send(frame(refusal(request_id, error)))
        while self.engine.core.has_lost_ranks:
            self._send(frame(RanksEnded(str(error))))
            try:
                self.engine.core.recover(error)
            except EngineDeadError as again:
                error = again
        self._send(frame(RanksBack()))

    def _tell(self, outputs: Sequence[RequestOutput | EmbeddingRequestOutput], step: StepStats) -> None:
        """Send what a step brought; where that is nothing but figures, they may wait for company."""
        self._untold.append(step)
        now = time.monotonic()
        if outputs or now - self._told_at > MAX_SILENCE_S or not self.engine.has_unfinished_requests():
            self._send(frame(stepped(outputs, self._untold)))
            self._untold, self._told_at = [], now

    def _stats(self) -> StepStats:
        stats = self.engine.core.scheduler.stats
        step = StepStats(stats, stats.num_scheduled_tokens - self._num_scheduled_tokens)
        self._num_scheduled_tokens = stats.num_scheduled_tokens
        return step


def main(descriptor: int) -> int:
    """Load what the server asks for, tell it, and serve until it is gone. Returns the exit code."""
    began = time.monotonic()
    # Ctrl-C and a service manager's SIGTERM reach the whole group, but the server decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        end_with_socket(connection)
        inbox: SimpleQueue[Any] = SimpleQueue()
        try:
            args = receive(connection)
            engine, info = _load(args, began)
            connection.sendall(frame(Loaded(info, engine.tokenizer)))
            _watch_ranks(engine, inbox)
            process = EngineProcess(engine, inbox, connection.sendall)
            threading.Thread(target=_read, args=(connection, inbox, process.prepared), daemon=True).start()
            process.run()
        except (BrokenPipeError, ConnectionResetError):
            return 0
        except Exception as error:
            return _fail(connection, error)
    return 0


def _load(args: EngineArgs, began: float) -> tuple[LLMEngine, EngineInfo]:
    with collector_paused():
        from pagoda.engine.engine import LLMEngine

        imported = time.monotonic()
        engine = LLMEngine.from_args(args)
        # What is there now stays: the collector need not look at it again and again, nor once before the first token.
        gc.freeze()
    loaded = time.monotonic()
    return engine, _info(engine, {"import torch": imported - began, "load the model": loaded - imported})


def _watch_ranks(engine: LLMEngine, inbox: SimpleQueue[Any]) -> None:
    """Where ranks are processes: should one end while nothing runs, that is known before the next request comes."""
    if isinstance(engine.core.executor, DistributedExecutor):
        engine.core.executor.watch(inbox.put)


def _info(engine: LLMEngine, startup_s: dict[str, float]) -> EngineInfo:
    parts, config = engine.parts, engine.config
    return EngineInfo(
        model=parts.args.public_name,
        path=str(parts.path),
        max_model_len=engine.max_model_len,
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_parameters=config.num_parameters,
        dtype=parts.dtype,
        device=str(parts.device),
        kernels=parts.kernels.name,
        block_size=parts.memory_plan.block_size,
        num_blocks=parts.memory_plan.num_blocks,
        max_num_seqs=parts.args.max_num_seqs,
        max_logprobs=parts.args.max_logprobs,
        eos_token_ids=parts.eos_token_ids,
        default_sampling_params=parts.generation_defaults.sampling_params(),
        startup_s=startup_s,
        pid=os.getpid(),
        embedder=parts.embedder,
        card=parts.card,
    )


def _fail(connection: socket.socket, error: Exception) -> int:
    """Tell the server why; where the fault is pagoda's own, the log gets the traceback."""
    if not isinstance(error, PagodaError):
        traceback.print_exc()
    try:
        connection.sendall(frame(Failed(type(error).__name__, str(error))))
    except OSError:
        print(f"the engine failed: {error}", file=sys.stderr, flush=True)
    return 1


def _read(connection: socket.socket, inbox: SimpleQueue[Any], prepared: Callable[[Any], Any]) -> None:
    try:
        while True:
            inbox.put(prepared(receive(connection)))
    except (EOFError, OSError):
        inbox.put(None)
    except Exception as error:
        inbox.put(error)


if __name__ == "__main__":
    # Leaving without the interpreter's own clean-up, which for torch takes longer than a restart may.
    sys.stderr.flush()
    os._exit(main(int(sys.argv[1])))
