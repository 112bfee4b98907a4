"""A watch that runs: batches are acknowledged once committed, a source that fails begins again, others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from opinion_items import START, ByTitle, ToldReader, config, item, rule
from pagoda.opinions.alerts.addresses import AlertMessage
from pagoda.opinions.connectors.connector import ItemBatch
from pagoda.opinions.errors import ConnectorError
from pagoda.opinions.watching import running
from pagoda.opinions.watching.config import WatchedSource
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.watching.running import RunningWatch
from patience import HANG_S


class Source:
    """Gives batches; the first time it fails after one."""

    name = "source"

    def __init__(self, monitor: Monitor) -> None:
        self.monitor, self.tries, self.acknowledged, self.closed = monitor, 0, list[int](), False

    async def batches(self) -> AsyncIterator[ItemBatch]:
        self.tries += 1
        for number in range(3):

            async def committed(number: int = number) -> None:
                rows = self.monitor.look(lambda d: d.rows("SELECT COUNT(*) FROM articles WHERE source = 'wire'"))
                self.acknowledged.append(int(rows[0][0]))

            yield ItemBatch((item(f"n {number} negative/Acme", 60 + number),), committed, ("a broken line",))
            if self.tries == 1:
                raise ConnectorError("the line is dead")

    async def close(self) -> None:
        self.closed = True


def run(watch: RunningWatch, until: Callable[[], bool]) -> None:
    """Until something holds."""

    async def main() -> None:
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(HANG_S):
            while not until():
                if task.done():
                    task.result()
                await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_batches_are_acknowledged_after_the_commit_and_a_failing_source_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_FIRST_PAUSE_S", 0.01)
    changes: list[int] = []
    settings = config(tmp_path, sources=(WatchedSource("file", "x.csv", "x"),))
    with Monitor(settings, reader=ToldReader(), stories=ByTitle) as monitor:
        watch = RunningWatch(monitor, on_change=lambda: changes.append(1))
        source = Source(monitor)
        monkeypatch.setattr(watch, "_connector", lambda _: source)
        run(watch, lambda: watch.totals.ended_sources == 1)
        assert source.acknowledged == [1, 1, 2, 3]
        assert (source.tries, source.closed, len(changes)) == (2, True, 3)
        assert watch.totals.items == {"new": 3, "known": 1, "refused": 4}


class Broken:
    """Fails otherwise than a source should; the third time it brings something."""

    name = "broken"
    tries = 0

    def __init__(self) -> None:
        type(self).tries += 1
        if type(self).tries == 1:
            raise ConnectorError("the file is missing")

    async def batches(self) -> AsyncIterator[ItemBatch]:
        if type(self).tries == 2:
            raise RuntimeError("no broker")
        yield ItemBatch((item("late negative/Acme", 60),))

    async def close(self) -> None:
        """Nothing is held."""


def test_a_source_that_fails_in_any_way_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_FIRST_PAUSE_S", 0.01)
    faults: list[str] = []
    sources = (WatchedSource("file", "x", "broken"), WatchedSource("file", str(tmp_path / "none.csv"), "none"))
    with Monitor(config(tmp_path, sources=sources), reader=ToldReader(), stories=ByTitle) as monitor:
        watch = RunningWatch(monitor, beat_s=0.01)
        usual = watch._connector
        monkeypatch.setattr(watch, "_connector", lambda of: Broken() if of.name == "broken" else usual(of))

        def ended() -> bool:
            faults.append(watch.totals.faults.get("broken", ""))
            return watch.totals.ended_sources == 1

        run(watch, ended)
        assert {"the file is missing", "RuntimeError: no broker"} <= {*faults}
        assert watch.totals.items["new"] == 1
        assert "none.csv does not exist" in watch.totals.faults["none"]
        assert "broken" not in watch.totals.faults


def test_time_passes_without_items_and_people_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[AlertMessage] = []

    class Notes:
        key = name = "x"

        def __init__(self, address: str, number: int) -> None:
            assert (address, number) == ("json://x", 1)

        def tell(self, message: AlertMessage) -> bool:
            told.append(message)
            return True

    monkeypatch.setattr("pagoda.opinions.watching.monitor.AppriseNotifier", Notes)
    file = tmp_path / "items.csv"
    file.write_text("title,published,fetched\n" + "".join(
        f"n {n} negative/Acme,2026-03-02T01:0{n}:00Z,2026-03-02T01:0{n}:00Z\n" for n in range(3)
    ))  # fmt: skip
    settings = config(
        tmp_path, rule(stories=3), notify=("json://x",), sources=(WatchedSource("file", str(file), "file"),)
    )
    with Monitor(settings, reader=ToldReader(), stories=ByTitle) as monitor:
        watch = RunningWatch(monitor, beat_s=0.01, now=lambda: START + timedelta(hours=2))
        run(watch, lambda: watch.totals.told == 1)
    assert [message.title for message in told] == ["Acme: wave"]
