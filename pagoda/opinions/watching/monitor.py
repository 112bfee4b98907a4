"""The watch itself: items in, alerts out, over one database. `from pagoda.opinions import Monitor`.

The whole path *item -> story -> opinion of a company -> window -> alert* in one place. What a batch of items changes,
windows, alerts and outbox included, is committed as one; a process that ends at any moment leaves whole batches, and
the same items played again change nothing up to where it was. So a replay gives the same alerts to the bit, however
often it was interrupted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.opinions.alerts.addresses import AppriseNotifier, Notifier
from pagoda.opinions.alerts.delivery import deliver
from pagoda.opinions.alerts.evaluation import AlertEvaluator
from pagoda.opinions.connectors.files import FileConnector
from pagoda.opinions.store import reading
from pagoda.opinions.store.database import Database, open_database
from pagoda.opinions.store.export import export_parquet
from pagoda.opinions.store.keys import item_key
from pagoda.opinions.store.schema import NUMBERS
from pagoda.opinions.store.writing import OpinionWriter, seconds_of, time_of, upsert
from pagoda.opinions.story import Item, ItemReader, Label, StoryGrouping, StoryOpinion
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.opinions.watching.readers import default_reader, new_stories

REMEMBERED_S = 8 * 86_400
"""Of the items that reprints are looked for among, after a restart."""
_AHEAD_S = 300
"""Seconds that another machine's clock may be before ours."""
Record = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestReport:
    """What became of items. known: their keys were there before."""

    new: int
    known: int

    def __add__(self, other: IngestReport) -> IngestReport:
        return IngestReport(self.new + other.new, self.known + other.known)


class Monitor:
    """A watch over a database. Methods may be called from any thread; they take turns.

    config: settings, or the path of a watch file
    reader: who understands items; otherwise the trained weights that the settings name or that ship
    stories: makes who groups reprints
    tells: alerts enter the outbox, from which `deliver` tells people; not so while a replay is only looked at
    Raises ConfigError, OpinionStoreError, MissingExtraError.
    """

    def __init__(
        self,
        config: MonitorConfig | str | Path,
        *,
        reader: ItemReader | None = None,
        stories: Callable[[], StoryGrouping] = new_stories,
        tells: bool = True,
    ) -> None:
        self.config = config if isinstance(config, MonitorConfig) else MonitorConfig.read(config)
        self._new_stories = stories
        self._reader = reader or default_reader(self.config)
        self._mutex = threading.RLock()
        self.writer = OpinionWriter(self.config.database)
        self._evaluator = AlertEvaluator(
            self.writer, self.config.rules, every=self.config.every, lateness=self.config.lateness, tells=tells
        )
        try:
            self._set_back()
            self._stories = self._remembered()
            self._looking: Database = open_database(self.config.database, writes=False)
        except BaseException:
            self.writer.close()
            raise
        self._telling = threading.Lock()
        self._notifiers: list[Notifier] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the database back; a second call does nothing."""
        with self._mutex:
            self._looking.close()
            self.writer.close()

    def ingest(self, items: Sequence[Item]) -> IngestReport:
        """Take items, in the order in which they came. On return all are committed, with the alerts that they raise."""
        with self._mutex:
            latest = time_of(_latest())
            fresh = self._unknown([_whole_seconds(item, latest) for item in items])
            read = [(item, key, self._reader.read(item)) for item, key in fresh.items()]
            if read:
                self._commit([(item, key, opinions) for item, key, opinions in read])
            return IngestReport(len(fresh), len(items) - len(fresh))

    def advance(self, now: datetime) -> None:
        """Let time pass without items: windows move on, alerts end. Not beyond this machine's own clock."""
        with self._mutex, self.writer.transaction():
            self._evaluator.advance(min(seconds_of(now), _latest()))

    def finish(self) -> None:
        """Evaluate the tick that the last item fell into, as the end of a replay does."""
        last = self.writer.database.rows("SELECT MAX(fetched) FROM articles")[0][0]
        if last is not None:
            with self._mutex, self.writer.transaction():
                self._evaluator.advance((int(last) // self.config.every + 1) * self.config.every)

    def replay(
        self,
        path: str | Path,
        *,
        on_progress: Callable[[IngestReport, Sequence[str]], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> IngestReport:
        """Play a file of items at full speed, by the times that stand in it. Raises ConnectorError.

        on_progress: called with the report so far and the lines that are no items, after each batch
        stop: asked between batches; the same call goes on from there
        """
        total = IngestReport(0, 0)
        for batch in FileConnector(path, played=True).read():
            if stop():
                return total
            total += self.ingest(batch.items)
            if on_progress is not None:
                on_progress(total, batch.faults)
        self.finish()
        return total

    def deliver(self, *notifiers: Notifier) -> int:
        """Tell what is due; how many alerts were told to anybody. Items are taken meanwhile, whatever the network does.

        notifiers: instead of the addresses of the settings
        """
        with self._telling:
            if not notifiers and not self._notifiers:
                addresses = enumerate(self.config.notify, start=1)
                self._notifiers = [AppriseNotifier(address, number) for number, address in addresses]
            return deliver(self.writer, notifiers or self._notifiers, self.config.names, self.config.language)

    def look(self, ask: Callable[[Database], Any]) -> Any:
        """What a question to the database finds, such as `store.reading.stories`; the writer does not wait for it."""
        return ask(self._looking)

    def alerts(self, **filters: Any) -> list[Record]:
        """See `store.reading.alerts`; companies by their names."""
        names = self.config.names
        found: list[Record] = self.look(lambda database: reading.alerts(database, **filters))
        return [{**alert, "name": names.get(alert["company"], alert["company"])} for alert in found]

    def acknowledge(self, alert: str, by: str, note: str = "") -> bool:
        """Somebody has seen it: no more reminders. False where there is no such alert."""
        with self._mutex, self.writer.transaction():
            database = self.writer.database
            if not database.rows("SELECT id FROM alerts WHERE id = ?", [alert]):
                return False
            row = {"alert": alert, "by_whom": by, "note": note, "at": self.writer.clock}
            upsert(database, "acknowledgements", ("alert",), row)
            return True

    def add_feedback(self, story: int, company: str, label: Label) -> bool:
        """What a story says of a company by a person's judgement; False where there is no such opinion."""
        if label not in NUMBERS:
            raise InvalidRequestError(f"label is {label!r:.40}, expected {', '.join(NUMBERS)}", param="label")
        with self._mutex, self.writer.transaction():
            database = self.writer.database
            if not database.rows("SELECT 1 FROM opinions WHERE story = ? AND company = ?", [story, company]):
                return False
            row = {"story": story, "company": company, "label": NUMBERS[label], "at": self.writer.clock}
            upsert(database, "feedback", ("story", "company"), row)
            return True

    def keep_rationale(self, story: int, company: str, model: str, reasons: str) -> None:
        """Reasons, in JSON, that a language model gave and that were checked."""
        with self._mutex, self.writer.transaction():
            row = {"story": story, "company": company, "model": model, "reasons": reasons}
            upsert(self.writer.database, "rationales", ("story", "company"), row)

    def export(self, path: str | Path) -> int:
        """All rows as Parquet; how many. Raises MissingExtraError."""
        count: int = self.look(lambda database: export_parquet(database, Path(path)))
        return count

    def _unknown(self, items: Iterable[Item]) -> dict[Item, bytes]:
        """Those that are new, the first of each key."""
        keyed: dict[bytes, Item] = {}
        for item in items:
            keyed.setdefault(item_key(item), item)
        known = self.writer.known(list(keyed))
        return {item: key for key, item in keyed.items() if key not in known}

    def _commit(self, read: Sequence[tuple[Item, bytes, list[StoryOpinion]]]) -> None:
        try:
            with self.writer.transaction():
                for item, key, opinions in read:
                    self._evaluator.advance(seconds_of(item.fetched))
                    self.writer.add(item, key, self._stories.assign(item), opinions)
        except BaseException:
            # The grouping knows items that are not kept: it begins again from those that are.
            self._stories = self._remembered()
            raise

    def _set_back(self) -> None:
        """A watch whose clock went ahead of this machine's, while that one was wrong, would stand still until then."""
        latest = _latest() + self.config.every
        if self.writer.clock > latest:
            logger.warning(
                "the watch's clock was ahead of this machine's by %d s: set back", self.writer.clock - latest
            )
            with self.writer.transaction():
                self.writer.clock = latest
                self.writer.tick = min(self.writer.tick, latest // self.config.every * self.config.every)

    def _remembered(self) -> StoryGrouping:
        stories = self._new_stories()
        stories.restore(self.writer.recent(REMEMBERED_S))
        return stories


def _latest() -> int:
    """Up to when a clock may say that something came."""
    return int(time.time()) + _AHEAD_S


def _whole_seconds(item: Item, latest: datetime) -> Item:
    """As it is kept. What was published after it came was published when it came, and nothing comes after `latest`:
    one item from the future would take the clock of all others with it."""
    if item.published.utcoffset() is None or item.fetched.utcoffset() is None:
        raise ConfigError(f"the times of item {item.id!r:.60} have no zone: give them in UTC")
    fetched = min(item.fetched.replace(microsecond=0), latest)
    return replace(item, published=min(item.published.replace(microsecond=0), fetched), fetched=fetched)
