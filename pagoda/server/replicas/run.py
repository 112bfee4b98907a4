"""`pagoda serve` with several replicas: start, signals, rolling restart, end.

Around the request's path; what `server/serve` is for one. SIGHUP restarts the replicas one by one, each when what it
answers has ended; the first SIGTERM or Ctrl-C drains, the second stops at once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from types import FrameType

import ray
from ray import serve
from ray.serve.config import HTTPOptions

from pagoda.engine.args import EngineArgs
from pagoda.engine.cluster.rank_actors import connect, last_line
from pagoda.errors import ConfigError, EngineDeadError
from pagoda.server.config import ServerConfig
from pagoda.server.replicas.config import ReplicasConfig
from pagoda.server.replicas.deployment import FRONT, REPLICAS, front_of, replicas_of
from pagoda.server.serve import Announce

_TELLING_S = 15.0
"""For a cluster of others to take ours down. Not longer: it goes on with it alone."""
logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_replicas(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig, announce: Announce) -> None:
    """Run a deployment in this thread until it is told to stop. Raises PagodaError."""
    began = time.monotonic()
    if config.port == 0:
        config = replace(config, port=free_port(config.host))
    is_ours = connect()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with _signals() as arrived:
        try:
            if not _unless_stopped(arrived, lambda: start(engine_args, config, wanted, announce)):
                return
            seconds = time.monotonic() - began
            announce("ready", {"url": _url(config), "seconds": seconds, "phases": {"start replicas": seconds}})
            while arrived.get() == signal.SIGHUP:
                if not _unless_stopped(arrived, lambda: _restart_aloud(engine_args, config, wanted, announce)):
                    break
            announce("draining", {"seconds": config.drain_timeout_s})
            _drain(arrived, announce)
        finally:
            end(is_ours)


def _restart_aloud(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig, announce: Announce) -> None:
    announce("restarting", {"count": wanted.data_parallel_size})
    try:
        restart(engine_args, config, wanted)
        announce("restarted", {})
    except EngineDeadError as error:
        # Whatever still answers goes on: ending it is for whoever sent the signal to decide.
        announce("restart_failed", {"reason": str(error)})


def _unless_stopped(arrived: queue.SimpleQueue[int], work: Callable[[], object]) -> bool:
    """Do the work, which Ray may take for ever for, in a thread: False where a signal to end comes before its end.

    Raises what the work does.
    """
    ended: Future[object] = Future()

    def run() -> None:
        try:
            ended.set_result(work())
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=run, name="pagoda-replicas", daemon=True).start()
    while not ended.done():
        with contextlib.suppress(queue.Empty):
            if arrived.get(timeout=0.1) != signal.SIGHUP:
                return False
    ended.result()
    return True


def start(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig, announce: Announce) -> str:
    """Deploy on the cluster that this process has joined; the address, when all are there. Raises PagodaError."""
    if serve.status().proxies:
        raise ConfigError(
            "Ray Serve runs on this cluster already, and listens where it was told first: deploy there with "
            "`serve deploy` (docs/parallel.md), or leave RAY_ADDRESS out for a cluster of this server's own"
        )
    serve.start(
        proxy_location="HeadOnly",
        http_options=HTTPOptions(
            host=config.host,
            port=config.port,
            ssl_keyfile=None if config.ssl_keyfile is None else str(config.ssl_keyfile),
            ssl_certfile=None if config.ssl_certfile is None else str(config.ssl_certfile),
        ),
    )
    announce("listening", {"url": _url(config)})
    restart(engine_args, config, wanted)
    with _told(FRONT):
        serve.run(front_of(config), name=FRONT, route_prefix="/")
    return _url(config)


def _url(config: ServerConfig) -> str:
    return f"{'https' if config.ssl_certfile else 'http'}://{config.host}:{config.port}"


def restart(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig) -> None:
    """Start the replicas, or new ones in place of those that run, one by one. Returns when all are there."""
    with _told(REPLICAS):
        serve.run(replicas_of(engine_args, config, wanted), name=REPLICAS, route_prefix=None)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """What kept a deployment from starting, in one line. Raises EngineDeadError."""
    try:
        yield
    except RuntimeError as error:
        told = serve.status().applications.get(name)
        reasons = [each.message for each in told.deployments.values() if each.message] if told is not None else []
        raise EngineDeadError(
            f"{name} could not start: {last_line(Exception(reasons[0])) if reasons else error}"
        ) from error


def _drain(arrived: queue.SimpleQueue[int], announce: Announce) -> None:
    """Take nothing new, let what runs end; a second signal cuts it off."""
    deleting = threading.Thread(target=_delete, daemon=True)
    deleting.start()
    while deleting.is_alive():
        with contextlib.suppress(queue.Empty):
            arrived.get(timeout=0.1)
            announce("cut", {})
            return


def _delete() -> None:
    for name in (FRONT, REPLICAS):
        while ray.is_initialized():  # asked after that, Ray would join the cluster once more
            try:
                serve.delete(name)
                break
            except TimeoutError:  # Ray's own, of a minute; a drain may take longer
                continue
            except Exception as error:
                logger.warning("%s could not be taken down: %s", name, error)
                break


def end(is_ours: bool) -> None:
    """Leave the cluster. is_ours: it was made here, and ends with all that is in it; of another, others' work stays."""
    if not is_ours:
        deleting = threading.Thread(target=_delete, daemon=True)
        deleting.start()
        deleting.join(_TELLING_S)
    ray.shutdown()


@contextlib.contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """Those that arrive, in a queue."""
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def on_signal(number: int, frame: FrameType | None) -> None:
        arrived.put(number)

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port(host: str) -> int:
    """Ray Serve takes no port 0. Raises ConfigError where there is none."""
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
            port: int = found.getsockname()[1]
            return port
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}: {error.strerror or error}; give another --host") from error
