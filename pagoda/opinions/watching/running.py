"""A watch that runs: every source in a task of its own, time that passes, and people who are told.

On the path *feed -> item*, around `watching.monitor`. A batch is acknowledged when the monitor has committed it. A
source that fails is told and begins again, later and later; the others go on. Everything slow runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pagoda.errors import ConfigError, MissingExtraError, PagodaError
from pagoda.opinions.connectors.connector import Connector, ItemBatch
from pagoda.opinions.connectors.feeds import FeedConnector
from pagoda.opinions.connectors.fetching import Fetcher
from pagoda.opinions.connectors.files import FileConnector
from pagoda.opinions.connectors.kafka import KafkaConnector
from pagoda.opinions.store.feeds import FeedStates
from pagoda.opinions.story import Item
from pagoda.opinions.watching.config import WatchedSource
from pagoda.opinions.watching.monitor import IngestReport, Monitor

BEAT_S = 15.0
"""From one look at the clock to the next."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 900.0
logger = logging.getLogger(__name__)


@dataclass
class WatchTotals:
    """What happened since the watch began."""

    items: Counter[str] = field(default_factory=lambda: Counter(new=0, known=0, refused=0))
    told: int = 0
    ended_sources: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    """Of sources whose last try failed, by their names."""


class RunningWatch:
    """A monitor and its sources. on_change: called after each batch that brought anything new.

    beat_s, now: for tests
    """

    def __init__(
        self,
        monitor: Monitor,
        *,
        on_change: Callable[[], None] = lambda: None,
        beat_s: float = BEAT_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.monitor, self.totals = monitor, WatchTotals()
        self._on_change, self._beat_s, self._now = on_change, beat_s, now
        self._fetcher: Fetcher | None = None

    async def run(self) -> None:
        """Until it is cancelled. Raises what no other try would change: ConfigError, MissingExtraError."""
        config = self.monitor.config
        if any(source.kind == "feed" and "://" in source.where for source in config.sources):
            self._fetcher = Fetcher(allows_private=config.allow_private_addresses)
        try:
            async with asyncio.TaskGroup() as tasks:
                for source in config.sources:
                    tasks.create_task(self._follow(source))
                tasks.create_task(self._beat(lambda: asyncio.to_thread(self.monitor.advance, self._now())))
                # By itself: time does not wait for an address that does not answer.
                tasks.create_task(self._beat(self._deliver))
        finally:
            if self._fetcher is not None:
                await self._fetcher.close()

    async def take(self, items: Sequence[Item], faults: Sequence[str] = ()) -> IngestReport:
        """Items of any source; on return they are committed."""
        report = await asyncio.to_thread(self.monitor.ingest, items)
        self.totals.items.update(new=report.new, known=report.known, refused=len(faults))
        for fault in faults:
            logger.warning("passed over: %s", fault)
        if report.new:
            self._on_change()
        return report

    async def _follow(self, source: WatchedSource) -> None:
        """Whatever one source does is its own fault: the others, and the clock, go on."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async for _ in self._batches(source):
                    pause = _FIRST_PAUSE_S
                    self.totals.faults.pop(source.name, None)
                self.totals.ended_sources += 1
                return
            except (ConfigError, MissingExtraError):
                raise
            except Exception as error:
                told = str(error) if isinstance(error, PagodaError) else f"{type(error).__name__}: {error}"
                self.totals.faults[source.name] = told
                logger.warning("%s: %s; trying again in %.0f s", source.name, told, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _batches(self, source: WatchedSource) -> AsyncIterator[ItemBatch]:
        """Those of a connector of its own, each when it is committed."""
        connector = self._connector(source)
        try:
            async with contextlib.aclosing(connector.batches()) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    await self.take(batch.items, batch.faults)
                    await batch.committed()
                    yield batch
        finally:
            with contextlib.suppress(Exception):
                await connector.close()

    async def _beat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            await self._guarded(work)

    async def _deliver(self) -> None:
        self.totals.told += await asyncio.to_thread(self.monitor.deliver)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A beat that fails is told, and the next one tries again."""
        try:
            await work()
        except PagodaError as error:
            logger.warning("%s", error)
        except Exception:
            logger.exception("a beat of the watch failed; the next one tries again")

    def _connector(self, source: WatchedSource) -> Connector:
        if source.kind == "kafka":
            return KafkaConnector(source.servers, source.where, source.group, source.name)
        if source.kind == "file":
            return FileConnector(source.where, source.name)
        states = FeedStates(self.monitor.writer)
        return FeedConnector(source.where, source.name, states, self._fetcher, every=source.every)
