"""What is kept: the same rows and the same alerts in SQLite and PostgreSQL, texts once, Parquet as it is."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from opinion_items import ByTitle, ToldReader, alert_rows, config, item, rule, stream
from pagoda.errors import ConfigError
from pagoda.opinions.errors import OpinionStoreError
from pagoda.opinions.store import reading
from pagoda.opinions.store.database import open_database
from pagoda.opinions.store.writing import OpinionWriter
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.opinions.watching.monitor import Monitor
from pagoda.opinions.windows.drift import calibration, drift

RULES = (rule(share_negative=(0.6, 0.4), stories=2), rule("odd", 1, stories=1, deviation=2))


def test_both_databases_give_the_same_alerts_stories_and_figures(tmp_path: Path, postgres: str) -> None:
    settings = config(tmp_path, *RULES)
    told = []
    for where in (settings.database, postgres):
        with Monitor(replace(settings, database=where), reader=ToldReader(), stories=ByTitle) as monitor:
            monitor.ingest(stream(5, 120))
            assert monitor.ingest(stream(5, 120)).new == 0
            monitor.finish()
            (alert, *_) = monitor.alerts()
            monitor.acknowledge(alert["id"], "Li")
            monitor.add_feedback(1, monitor.look(lambda d: reading.story(d, 1))["opinions"][0]["company"], "neutral")
            count = monitor.export(tmp_path / "rows.parquet")
            look = monitor.look
            told.append(
                (
                    alert_rows(monitor.writer.database),
                    monitor.alerts(),
                    look(reading.overview),
                    look(lambda d: reading.stories(d, company="acme", start=0, end=10**10, limit=30)),
                    look(lambda d: reading.sources(d, 0, 10**10)),
                    look(lambda d: drift(d, monitor.writer.clock - 36_000, 0, monitor.writer.clock)),
                    look(calibration),
                    count,
                )
            )
    assert told[0] == told[1]
    assert told[0][0]


def test_a_second_watch_over_one_server_is_refused(postgres: str) -> None:
    first = OpinionWriter(postgres)
    with pytest.raises(ConfigError, match="another watch writes"):
        OpinionWriter(postgres)
    first.close()
    OpinionWriter(postgres).close()


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(OpinionStoreError, match="cannot be reached"):
        open_database("postgresql://nobody@127.0.0.1:1/none", writes=False)


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://me:s3cr%2Fet@127.0.0.1:1/none",
        "postgresql://me@127.0.0.1:1/none?password=s3cr/et",
        "postgresql://me:s3cr/et@127.0.0.1:1/none",
        "postgresql://me:s3cr et@127.0.0.1:port/none",
    ],
)
def test_the_password_of_a_server_stands_in_no_message(where: str) -> None:
    with pytest.raises(OpinionStoreError) as refused:
        open_database(where, writes=False)
    told = "".join(traceback.format_exception(refused.value))
    assert "s3cr" not in told
    assert "s3cr" not in repr(MonitorConfig((), where))


def test_equal_texts_are_kept_once_and_come_back_whole(sqlite_path: str) -> None:
    text = "一段很长的正文。" * 50
    writer = OpinionWriter(sqlite_path)
    with writer.transaction():
        for number in range(10):
            given = item(f"t {number}", 1, text=text, number=str(number))
            writer.add(given, str(number).encode(), "story", [])
    assert writer.database.rows("SELECT COUNT(*), MAX(LENGTH(body)) < 100 FROM texts") == [(1, 1)]
    assert [each.text for each, _ in writer.recent(0)] == [text] * 10
    writer.close()


def test_a_file_of_another_version_or_none_of_ours_is_refused(sqlite_path: str, tmp_path: Path) -> None:
    writer = OpinionWriter(sqlite_path)
    writer.database.rows("UPDATE facts SET value = '99' WHERE name = 'schema'")
    writer.close()
    with pytest.raises(ConfigError, match="version 99"):
        OpinionWriter(sqlite_path)
    (tmp_path / "text.db").write_text("not a database, " * 100)
    with pytest.raises(OpinionStoreError):
        OpinionWriter(tmp_path / "text.db")
    with pytest.raises(OpinionStoreError):
        open_database(tmp_path / "none.db", writes=False)


def test_parquet_has_a_row_for_each_article_and_company(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with Monitor(config(tmp_path), reader=ToldReader(), stories=ByTitle) as monitor:
        monitor.ingest([item("a negative/Acme!fraud positive/Borel", 5, text="words"), item("b", 6)])
        assert monitor.export(tmp_path / "out" / "rows.parquet") == 2
    rows = parquet.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    assert [(row["company"], row["label"], row["text"], row["events"]) for row in rows] == [
        ("acme", "negative", "words", ["fraud"]), ("borel", "positive", "words", []),
    ]  # fmt: skip
    assert rows[0]["published"].isoformat() == "2026-03-02T00:05:00+00:00"
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "rows.parquet"]
