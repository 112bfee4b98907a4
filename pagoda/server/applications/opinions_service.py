"""The watch of one server: a monitor that is opened at the start, and its sources, which run beside the requests.

Between the endpoints of /v1/opinions and `opinions.watching`. Questions to the database run in threads. A watch that
cannot run on (a source's extra is missing) is told in its status; requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError, PagodaError
from pagoda.opinions.alerts.addresses import address_key
from pagoda.opinions.connectors.items import item_of
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.server.applications.application import LazyService

if TYPE_CHECKING:
    from pagoda.chat.model import ChatModel
    from pagoda.opinions.alerts.delivery import Outbox
    from pagoda.opinions.store.database import Database
    from pagoda.opinions.story import Item
    from pagoda.opinions.watching.monitor import IngestReport
    from pagoda.opinions.watching.running import RunningWatch

T = TypeVar("T")
_LONGEST_END_S = 10.0
logger = logging.getLogger(__name__)


class _HeldWatch:
    """What is opened: the watch, and the task that it runs in."""

    def __init__(self, watch: RunningWatch, loop: asyncio.AbstractEventLoop) -> None:
        self.watch, self.fault = watch, ""
        self._loop, self._ended = loop, threading.Event()
        self._task: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(self._begin)

    def close(self) -> None:
        """Called in a thread: end the task, then give the database back."""
        self._loop.call_soon_threadsafe(self._end)
        self._ended.wait(_LONGEST_END_S)
        self.watch.monitor.close()

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    def _end(self) -> None:
        if self._task is None or self._task.done():
            self._ended.set()
        else:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self.watch.run()
        except* PagodaError as told:
            self.fault = "; ".join(str(error) for error in told.exceptions)
            logger.error("the watch stands still: %s", self.fault)
        except* Exception as group:
            self.fault = "an error of pagoda's own; the server's log says more"
            logger.error("the watch stands still", exc_info=group)
        finally:
            self._ended.set()


class OpinionsService(LazyService[_HeldWatch]):
    """The watch of a file. `start` raises ConfigError, OpinionStoreError, MissingExtraError."""

    def __init__(self, path: Path, config: MonitorConfig, engine: AsyncEngine) -> None:
        super().__init__(path, engine, self._open)
        self.config = config

    async def ask(self, question: Callable[[Database], T]) -> T:
        """What a question to the database finds."""
        monitor = (await self._opened()).watch.monitor
        found: T = await asyncio.to_thread(monitor.look, question)
        return found

    async def monitor(self) -> Any:
        """The monitor, for what is written."""
        return (await self._opened()).watch.monitor

    async def take(self, items: Sequence[Item]) -> IngestReport:
        """Items that were posted; on return they are committed."""
        return await (await self._opened()).watch.take(items)

    async def status(self) -> dict[str, Any]:
        """Whether the watch runs, and what it did since the server began."""
        held = await self._opened()
        totals = held.watch.totals
        outbox = await self.ask(_outbox)
        failing = [{"source": source, "fault": fault} for source, fault in sorted(totals.faults.items())]
        return {
            "fault": held.fault, "items": dict(totals.items), "told": totals.told, "sources_failing": failing,
            "outbox": {
                "waiting": outbox.waiting, "given_up": outbox.given_up, "addresses_failing": self._refusing(outbox)
            },
        }  # fmt: skip

    def _refusing(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Addresses by their places in the list: they hold passwords."""
        return [
            {"address": number, "kind": address.partition("://")[0], "waiting": outbox.failing[address_key(address)]}
            for number, address in enumerate(self.config.notify, start=1)
            if address_key(address) in outbox.failing
        ]

    def chat_model(self) -> ChatModel:
        """The server's own. Raises InvalidRequestError where that is the built-in one, which is not believed."""
        from pagoda.engine.chat_model import EngineChatModel

        if self._engine.args.model is None:
            raise InvalidRequestError("the built-in model is too small to give reasons: serve another one, --model")
        return EngineChatModel.shared(self._engine)

    def _open(self, path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop) -> _HeldWatch:
        from pagoda.opinions.watching.monitor import Monitor
        from pagoda.opinions.watching.running import RunningWatch

        # Without an address nobody would ever empty the outbox.
        return _HeldWatch(RunningWatch(Monitor(self.config, tells=bool(self.config.notify))), loop)

    @property
    def running(self) -> RunningWatch | None:
        """The watch, if it is open."""
        return None if self._held is None else self._held.watch


class OpinionMetrics:
    """What Prometheus reads of a watch, counted when it asks. prefix: of the server's other metrics"""

    def __init__(self, service: OpinionsService, prefix: str) -> None:
        self._service, self._prefix = service, prefix

    def describe(self) -> Iterator[Any]:
        """Nothing: the names are known when there is a watch."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The figures now; none before the watch is open."""
        watch = self._service.running
        if watch is None:
            return
        items = CounterMetricFamily(
            f"{self._prefix}:opinions_items", "Items by what became of them", labels=["outcome"]
        )
        for outcome, count in watch.totals.items.items():
            items.add_metric([outcome], count)
        yield items
        yield CounterMetricFamily(
            f"{self._prefix}:opinions_alerts_told", "Alerts that people were told of", value=watch.totals.told
        )
        yield from self._gauges(watch)

    def _gauges(self, watch: RunningWatch) -> Iterator[Any]:
        rows = watch.monitor.look(
            lambda database: database.rows(
                "SELECT severity, COUNT(*) FROM alerts WHERE closed IS NULL AND withdrawn = 0 GROUP BY severity"
            )
        )
        found = dict(rows)
        alerts = GaugeMetricFamily(f"{self._prefix}:opinions_alerts_open", "Alerts that are open", labels=["severity"])
        for severity in ("info", "warning", "critical"):
            alerts.add_metric([severity], int(found.get(severity, 0)))
        yield alerts
        outbox = watch.monitor.look(_outbox)
        failing = watch.monitor.look(lambda d: d.rows("SELECT COUNT(*) FROM feeds WHERE fault <> ''"))[0][0]
        for name, text, value in (
            ("opinions_deliveries_waiting", "Alerts in the outbox", outbox.waiting),
            ("opinions_deliveries_given_up", "Alerts that an address never took", outbox.given_up),
            ("opinions_addresses_failing", "Addresses that did not take an alert", len(outbox.failing)),
            ("opinions_feeds_failing", "Feeds whose last look failed", failing),
            ("opinions_clock_seconds", "Up to when items were taken, since 1970", watch.monitor.writer.clock),
        ):
            yield GaugeMetricFamily(f"{self._prefix}:{name}", text, value=int(value))


def _outbox(database: Database) -> Outbox:
    from pagoda.opinions.alerts.delivery import outbox

    return outbox(database)


def posted_items(records: Sequence[dict[str, Any]], source: str, now: Any) -> list[Item]:
    """Items of a request. Raises InvalidRequestError with the place of the field at fault."""
    found = []
    for number, record in enumerate(records):
        try:
            found.append(item_of(record, source, now))
        except InvalidRequestError as error:
            place = f"items.{number}" + (f".{error.param}" if error.param else "")
            raise InvalidRequestError(f"{place}: {error}", param=place) from error
    return found
