"""The watch: each item once, alerts to the bit, late items where they belong, whatever ends the process."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opinion_items import START, ByTitle, ToldReader, alert_rows, config, item, rule, stream
from pagoda.errors import ConfigError
from pagoda.opinions.alerts.addresses import AlertMessage
from pagoda.opinions.alerts.delivery import MOST_TRIES, Outbox, outbox
from pagoda.opinions.alerts.messages import _MEASURES
from pagoda.opinions.alerts.rules import MEASURES
from pagoda.opinions.story import Item
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.windows.measures import counts, timeline
from patience import HANG_S

WAVE = rule(share_negative=(0.6, 0.4), stories=3, sources=2)


def opened(settings: MonitorConfig, **options: object) -> Monitor:
    return Monitor(settings, reader=ToldReader(), stories=ByTitle, **options)  # type: ignore[arg-type]


def bad_news(start: float = 60, count: int = 4, **options: object) -> list[Item]:
    return [
        item(f"bad {start} {n} negative/Acme", start + n, source=f"s{n % 2}", **options)  # type: ignore[arg-type]
        for n in range(count)
    ]


def test_a_wave_of_bad_news_opens_one_alert_that_names_its_stories_and_ends(tmp_path: Path) -> None:
    with opened(config(tmp_path, WAVE)) as monitor:
        report = monitor.ingest([*bad_news(), item("calm neutral/Borel", 70)])
        assert (report.new, report.known) == (5, 0)
        assert monitor.alerts() == []
        monitor.advance(START + timedelta(minutes=76))
        (alert,) = monitor.alerts()
        assert (alert["company"], alert["name"], alert["closed"]) == ("acme", "Acme", None)
        assert alert["opened"] == int((START + timedelta(minutes=75)).timestamp())
        assert alert["facts"] == {"share_negative": 1.0, "stories": 4, "sources": 2}
        assert {story["title"] for story in alert["stories"]} == {each.title for each in bad_news()}
        monitor.advance(START + timedelta(hours=4))
        (alert,) = monitor.alerts()
        assert alert["closed"] == int((START + timedelta(minutes=195)).timestamp())


def test_thirty_reprints_are_one_story_of_reach_thirty(tmp_path: Path) -> None:
    with opened(config(tmp_path, rule(stories=2))) as monitor:
        monitor.ingest([item(f"one negative/Acme|{n}", 60, source=f"s{n}", number=str(n)) for n in range(30)])
        monitor.finish()
        assert monitor.alerts() == []
        start = int(START.timestamp())
        (found,) = counts(monitor.writer.database, start, start + 7200).values()
        assert (found.stories, found.negative, found.reach, found.sources) == (1, 1, 30, 30)


def test_an_item_is_taken_once_however_often_it_comes(tmp_path: Path) -> None:
    items = bad_news()
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([*items, items[0]])
        before = alert_rows(monitor.writer.database)
        report = monitor.ingest(items)
        assert (report.new, report.known) == (0, 4)
        assert alert_rows(monitor.writer.database) == before
        assert monitor.writer.database.rows("SELECT COUNT(*) FROM articles") == [(4,)]


def test_a_late_item_changes_exactly_the_windows_it_belongs_to(tmp_path: Path) -> None:
    start = int(START.timestamp())

    def windows(monitor: Monitor) -> dict[tuple[str, int], object]:
        edges = range(start, start + 6 * 3600, 900)
        return {
            (name, at): found for at in edges for name, found in counts(monitor.writer.database, at, at + 3600).items()
        }

    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([*bad_news(), item("later neutral/Acme", 300), item("other neutral/Borel", 61)])
        before = windows(monitor)
        late = item("late news negative/Acme", 65, late=240)
        monitor.ingest([late])
        after = windows(monitor)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    at = int(late.published.timestamp())
    holding = {("acme", edge) for edge in range(start, start + 6 * 3600, 900) if edge <= at < edge + 3600}
    assert changed == holding
    assert len(holding) == 4


def test_a_late_item_raises_the_alert_that_it_would_have_raised_in_time(tmp_path: Path) -> None:
    early, last = bad_news(count=2), item("bad last negative/Acme", 64, source="s9")
    with opened(config(tmp_path / "in-time", WAVE)) as monitor:
        monitor.ingest([*early, last, item("x neutral/Borel", 240)])
        monitor.advance(START + timedelta(hours=6))
        (in_time,) = monitor.alerts()
    with opened(config(tmp_path / "late", WAVE)) as monitor:
        monitor.ingest([*early, item("x neutral/Borel", 180)])
        assert monitor.alerts() == []
        monitor.ingest([item("bad last negative/Acme", 64, late=120, source="s9")])
        monitor.advance(START + timedelta(hours=6))
        (late,) = monitor.alerts()
    assert (late["opened"], late["closed"], late["facts"]) == (in_time["opened"], in_time["closed"], in_time["facts"])
    assert late["told"] > in_time["told"]


def test_a_late_item_withdraws_an_alert_that_no_longer_holds_and_deletes_nothing(tmp_path: Path) -> None:
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([*bad_news(count=3), item("x neutral/Borel", 100)])
        assert len(monitor.alerts(is_open=True)) == 1
        monitor.ingest([item(f"good {n} positive/Acme", 61, late=60) for n in range(9)])
        monitor.advance(START + timedelta(minutes=200))
        (alert,) = monitor.alerts()
        assert alert["withdrawn"]
        assert monitor.alerts(is_open=True) == []


def test_an_alert_that_was_withdrawn_before_it_was_told_is_told_when_it_holds_again(tmp_path: Path) -> None:
    told = Told()
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([*bad_news(count=3), item("x neutral/Borel", 100)])
        monitor.ingest([item(f"good {n} positive/Acme", 61, late=60) for n in range(3)])
        monitor.advance(START + timedelta(minutes=150))
        assert monitor.alerts()[0]["withdrawn"]
        assert monitor.deliver(told) == 0
        monitor.ingest([item(f"worse {n} negative/Acme", 62, late=120, source=f"s{n}") for n in range(6)])
        monitor.advance(START + timedelta(minutes=240))
        assert not monitor.alerts()[0]["withdrawn"]
        assert (monitor.deliver(told), monitor.deliver(told)) == (1, 0)
    assert [message.title for message in told.messages] == ["Acme: wave"]


def test_days_without_items_and_a_restart_make_no_second_story_of_a_reprint(tmp_path: Path) -> None:
    text = "The plant of Acme burned down on Monday, and nobody was hurt, says a report of the town's fire brigade."
    with Monitor(config(tmp_path), reader=ToldReader()) as monitor:
        monitor.ingest([item("Fire at Acme negative/Acme", 60, text=text)])
        monitor.advance(START + timedelta(days=12))
    with Monitor(config(tmp_path), reader=ToldReader()) as monitor:
        monitor.ingest([item("Fire at Acme negative/Acme", 90, late=60 * 24 * 12, source="other", text=text)])
        assert monitor.look(lambda d: d.rows("SELECT COUNT(*) FROM stories")) == [(1,)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_and_restarts_change_nothing(tmp_path: Path, seed: int, size: int) -> None:
    rules = (WAVE, rule("many", 4, 1, stories=4, negative=(3, 1)), rule("odd", 1, stories=1, deviation=2))
    items = stream(seed)
    with opened(config(tmp_path / "whole", *rules)) as monitor:
        monitor.ingest(items)
        monitor.finish()
        whole = alert_rows(monitor.writer.database)
    assert whole
    for start in range(0, len(items), 60):
        with opened(config(tmp_path / "parts", *rules)) as monitor:
            given = items[: start + 60]
            for at in range(0, len(given), size):
                monitor.ingest(given[at : at + size])
    with opened(config(tmp_path / "parts", *rules)) as monitor:
        monitor.finish()
        monitor.finish()
        assert alert_rows(monitor.writer.database) == whole


def test_what_fails_in_the_middle_of_a_batch_leaves_nothing_of_it(tmp_path: Path) -> None:
    class Failing(ByTitle):
        fails = True

        def assign(self, item: Item) -> str:
            if self.fails and "4" in item.title:
                raise OSError("the disk is full")
            return super().assign(item)

    items = [item(f"n {n} negative/Acme", 60 + n) for n in range(8)]
    with Monitor(config(tmp_path, WAVE), reader=ToldReader(), stories=Failing) as monitor:
        with pytest.raises(OSError, match="full"):
            monitor.ingest(items)
        assert monitor.writer.database.rows("SELECT COUNT(*) FROM articles") == [(0,)]
        Failing.fails = False
        assert monitor.ingest(items).new == 8


def test_two_watches_over_one_database_are_refused(tmp_path: Path) -> None:
    with opened(config(tmp_path)), pytest.raises(ConfigError, match="another watch writes"):
        opened(config(tmp_path))


class Told:
    """Notes what it is given. fails: so many times first."""

    def __init__(self, fails: int = 0, key: str = "one") -> None:
        self.messages: list[AlertMessage] = []
        self.fails, self.key, self.name, self.tries = fails, key, key, 0

    def tell(self, message: AlertMessage) -> bool:
        self.tries += 1
        self.fails -= 1
        if self.fails >= 0:
            return False
        self.messages.append(message)
        return True


def test_an_alert_is_told_once_with_its_stories_and_tried_again_where_that_failed(tmp_path: Path) -> None:
    told = Told(fails=1)
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(minutes=76))
        assert monitor.deliver(told) == 0
        monitor.advance(START + timedelta(minutes=90))
        assert (monitor.deliver(told), monitor.deliver(told)) == (1, 0)
    (message,) = told.messages
    assert message.title == "Acme: wave"
    assert "share negative 1, stories 4, sources 2" in message.body
    assert "- bad 60 0 negative/Acme" in message.body


def test_each_address_gets_each_alert_once_and_a_dead_one_holds_no_other(tmp_path: Path) -> None:
    well, dead = Told(), Told(fails=10_000, key="dead")
    with opened(config(tmp_path, WAVE, rule("bad", negative=1))) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(minutes=76))
        assert monitor.deliver(dead, well) == 2
        # One that takes nothing is asked once in a round, not once for each alert.
        assert (len(well.messages), dead.tries) == (2, 1)
        assert monitor.look(outbox).failing == {"dead": 2}
        for hour in range(1, 14):
            monitor.advance(START + timedelta(minutes=76, hours=hour))
            monitor.deliver(dead, well)
        assert len(well.messages) == 2
        assert dead.tries == MOST_TRIES
        assert monitor.look(outbox) == Outbox(0, 2, {})


def test_what_an_address_took_is_noted_before_the_next_is_told_and_nobody_waits_for_it(tmp_path: Path) -> None:
    class Killed(BaseException):
        """The process ends here."""

    class Ends(Told):
        """Items are taken while it tells; at the second message the process ends."""

        def tell(self, message: AlertMessage) -> bool:
            taken = threading.Thread(target=monitor.ingest, args=([item(f"x{self.tries} neutral/Borel", 70)],))
            taken.start()
            taken.join(HANG_S)
            assert not taken.is_alive()
            if self.tries:
                raise Killed
            return super().tell(message)

    told, again = Ends(), Told()
    with opened(config(tmp_path, WAVE, rule("bad", negative=1))) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(minutes=76))
        with pytest.raises(Killed):
            monitor.deliver(told)
    with opened(config(tmp_path, WAVE, rule("bad", negative=1))) as monitor:
        assert (monitor.deliver(again), monitor.deliver(again)) == (1, 0)
    assert len({message.title for message in (*told.messages, *again.messages)}) == 2


def test_what_came_together_is_one_message_and_what_ended_meanwhile_is_none(tmp_path: Path) -> None:
    told = Told()
    rules = [replace(rule(f"r{n}", stories=1, window_h=24 if n else 4), remind=3600) for n in range(4)]
    with opened(config(tmp_path, *rules)) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(hours=2))
        assert monitor.deliver(told) == 4
        # An outage of ten hours: the first alert ended, the others would have been told of ten times each.
        monitor.advance(START + timedelta(hours=12))
        assert monitor.deliver(told) == 3
        assert (len(told.messages), told.messages[-1].title) == (5, "3 alerts are still open")
        assert told.messages[-1].body.count("Acme") == 3
        monitor.advance(START + timedelta(hours=12, minutes=30))
        assert monitor.deliver(told) == 0


def test_many_new_alerts_at_once_are_one_message(tmp_path: Path) -> None:
    told = Told()
    with opened(config(tmp_path, *(rule(f"r{n}", stories=1) for n in range(6)), language="zh")) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(minutes=76))
        assert monitor.deliver(told) == 6
    assert [message.title for message in told.messages] == ["6 条新预警"]
    assert told.messages[0].body.count("事件 4") == 6
    assert all(set(words) == set(MEASURES) for words in _MEASURES.values())


def test_a_corrected_alert_has_the_figures_and_stories_that_it_would_have_had_in_time(tmp_path: Path) -> None:
    more = [item(f"more {n} negative/Acme", 62, source="s9") for n in range(2)]
    rows = []
    for folder, late in (("in-time", 0), ("late", 60)):
        with opened(config(tmp_path / folder, WAVE)) as monitor:
            monitor.ingest([*bad_news(), *(more if not late else ()), item("x neutral/Borel", 100)])
            monitor.ingest([replace(each, fetched=each.fetched + timedelta(minutes=late)) for each in more])
            monitor.advance(START + timedelta(minutes=140))
            (alert,) = monitor.alerts()
            rows.append((alert["facts"], {story["title"] for story in alert["stories"]}, alert["revision"] > 0))
    assert rows[0][0] == rows[1][0] == {"share_negative": 1.0, "stories": 6, "sources": 3}
    assert rows[0][1] == rows[1][1]
    assert (rows[0][2], rows[1][2]) == (False, True)


def test_an_alert_that_people_heard_of_is_told_again_when_it_holds_again(tmp_path: Path) -> None:
    told = Told()
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([*bad_news(count=3), item("x neutral/Borel", 100)])
        assert monitor.deliver(told) == 1
        monitor.ingest([item(f"good {n} positive/Acme", 61, late=60) for n in range(3)])
        monitor.advance(START + timedelta(minutes=150))
        assert (monitor.alerts()[0]["withdrawn"], monitor.deliver(told)) == (True, 0)
        monitor.ingest([item(f"worse {n} negative/Acme", 62, late=120, source=f"s{n}") for n in range(6)])
        monitor.advance(START + timedelta(minutes=240))
        assert (monitor.deliver(told), monitor.deliver(told)) == (1, 0)
    assert [message.title for message in told.messages] == ["Acme: wave", "again: Acme: wave"]
    assert "worse 0" in told.messages[1].body


def test_an_item_from_the_future_takes_no_clock_with_it(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=4000)
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.ingest([replace(item("odd neutral/Borel", 60), fetched=ahead, published=ahead)])
        monitor.advance(ahead)
        assert monitor.writer.clock <= datetime.now(UTC).timestamp() + 300
        with monitor.writer.transaction():
            monitor.writer.clock = monitor.writer.tick = int(ahead.timestamp())
    with opened(config(tmp_path, WAVE)) as monitor:
        assert monitor.writer.tick <= monitor.writer.clock <= datetime.now(UTC).timestamp() + 1200


def test_reminders_come_until_somebody_acknowledges(tmp_path: Path) -> None:
    told, reminding = Told(), replace(rule(stories=1, window_h=48), remind=3600)
    with opened(config(tmp_path, reminding)) as monitor:
        monitor.ingest(bad_news())
        for hour in (2, 3, 4):
            monitor.advance(START + timedelta(hours=hour))
            monitor.deliver(told)
        assert [message.title for message in told.messages] == ["Acme: wave"] + ["again: Acme: wave"] * 2
        (alert,) = monitor.alerts()
        assert monitor.acknowledge(alert["id"], "Li", "calling them")
        assert not monitor.acknowledge("nothing", "Li")
        monitor.advance(START + timedelta(hours=7))
        assert monitor.deliver(told) == 0
        assert monitor.alerts()[0]["acknowledged"]["note"] == "calling them"


def test_quiet_hours_hold_the_telling_and_not_the_alert(tmp_path: Path) -> None:
    from pagoda.opinions.alerts.quiet_hours import QuietHours

    told, quiet = Told(), replace(rule(stories=1, window_h=48), quiet=QuietHours(0, 6 * 60))
    with opened(config(tmp_path, quiet)) as monitor:
        monitor.ingest(bad_news())
        monitor.advance(START + timedelta(hours=3))
        assert (len(monitor.alerts(is_open=True)), monitor.deliver(told)) == (1, 0)
        monitor.advance(START + timedelta(hours=6))
        assert monitor.deliver(told) == 1


def test_without_telling_nothing_waits_for_a_later_watch(tmp_path: Path) -> None:
    told = Told()
    with opened(config(tmp_path, WAVE), tells=False) as monitor:
        monitor.ingest(bad_news())
        monitor.finish()
        assert len(monitor.alerts()) == 1
    with opened(config(tmp_path, WAVE)) as monitor:
        monitor.advance(START + timedelta(minutes=90))
        assert monitor.deliver(told) == 0


def test_a_timeline_counts_stories_of_each_hour(tmp_path: Path) -> None:
    with opened(config(tmp_path)) as monitor:
        monitor.ingest([*bad_news(), item("good positive/Acme", 200)])
        start = int(START.timestamp())
        found = timeline(monitor.writer.database, "acme", start, start + 86_400, 3600)
    assert [(at - start, each.stories, each.negative) for at, each in found] == [(3600, 4, 4), (10_800, 1, 0)]


def test_a_replay_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    items, seen = stream(1, 200), []
    file = tmp_path / "items.csv"
    rows = (f'{each.id},"{each.title}",{each.published.isoformat()},{each.fetched.isoformat()}\n' for each in items)
    file.write_text("id,title,published,fetched\n" + "".join(rows))
    with opened(config(tmp_path, WAVE)) as monitor:
        stop = lambda: len(seen) == 2  # noqa: E731
        first = monitor.replay(file, on_progress=lambda report, faults: seen.append(report), stop=stop)
        second = monitor.replay(file)
        assert (first.new, second.known, second.new) == (128, 128, 72)
        assert monitor.writer.tick * 1.0 > items[-1].fetched.timestamp()


def test_a_file_that_does_not_say_when_items_came_is_played_by_when_they_were_published(tmp_path: Path) -> None:
    told = [item(f"{number} negative/Acme", 60 + number) for number in range(6)]
    file = tmp_path / "items.csv"
    rows = [f'{each.id},"{each.title}",{each.published.isoformat()}\n' for each in told]
    file.write_text(
        "id,title,published\n" + "".join(rows) + '7,"undated negative/Acme",\n8,"of 1970 negative/Acme",0\n'
    )
    with opened(config(tmp_path, rule("bad", negative=3))) as monitor:
        assert monitor.replay(file).new == 7  # what is no time is refused
        assert [alert["company"] for alert in monitor.alerts()] == ["acme"]
        (last,) = monitor.look(lambda database: database.rows("SELECT MAX(fetched) FROM articles"))
    assert int(last[0]) == told[-1].published.timestamp()


def test_an_event_alert_names_the_stories_in_which_it_happened_whatever_they_say(tmp_path: Path) -> None:
    from pagoda.opinions.alerts.rules import AlertCondition

    asks = rule("asked", negative=1)
    event = replace(asks, conditions=(*asks.conditions, AlertCondition("events", 2, 1, ("fraud", "lawsuit"))))
    with opened(config(tmp_path, event)) as monitor:
        monitor.ingest([item("a neutral/Acme!fraud", 60), item("b negative/Acme!lawsuit", 61)])
        monitor.ingest([item("c negative/Acme", 62), item("d negative/Borel!fraud", 63)])
        monitor.finish()
        (alert,) = monitor.alerts()
    assert (alert["company"], alert["facts"]) == ("acme", {"negative": 2, "events": 2})
    assert {story["title"][0] for story in alert["stories"]} == {"a", "b"}
