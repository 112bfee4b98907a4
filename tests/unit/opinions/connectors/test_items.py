"""From records to items: what is made sound, and what is refused by its field."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.opinions.connectors.files import FileConnector
from pagoda.opinions.connectors.items import MAX_TEXT, item_of
from pagoda.opinions.errors import ConnectorError
from pagoda.opinions.store.keys import item_key

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_an_item_without_date_and_id_is_as_old_as_its_arrival_and_known_by_its_words() -> None:
    first = item_of({"title": "Shares FELL", "text": "by half"}, "wire", NOW)
    again = item_of({"title": "shares  fell", "text": "by half"}, "wire", NOW.replace(hour=20))
    assert (first.published, first.fetched, first.source, first.language) == (NOW, NOW, "wire", "en")
    assert item_key(first) == item_key(again)
    assert item_key(first) != item_key(item_of({"title": "Shares rose", "text": "by half"}, "wire", NOW))
    assert item_key(first) != item_key(item_of({"title": "Shares FELL", "text": "by half"}, "other", NOW))


def test_times_are_utc_in_whole_seconds_and_none_is_in_the_future() -> None:
    given = item_of({"title": "x", "published": "2026-03-02T18:30:05.9+08:00", "fetched": 1772447410}, "s", NOW)
    assert given.published == datetime(2026, 3, 2, 10, 30, 5, tzinfo=UTC)
    ahead = item_of({"title": "x", "published": "2027-01-01"}, "s", NOW)
    assert ahead.published == NOW
    assert item_of({"title": "x", "published": 0}, "s", NOW).published == NOW


def test_a_text_is_cut_and_loses_what_no_database_takes() -> None:
    given = item_of({"text": "一\0二\ud800" + "三" * MAX_TEXT}, "s", NOW)
    assert given.title.startswith("一二")
    assert (len(given.text), given.language) == (MAX_TEXT, "zh")


@pytest.mark.parametrize(
    ("record", "param"),
    [
        ({}, "title"),
        ({"title": ["x"]}, "title"),
        ({"title": "x", "published": "soon"}, "published"),
        ({"title": "x", "published": True}, "published"),
        ({"title": "x", "fetched": 1e30}, "fetched"),
        ({"title": "x", "fetched": "2036-01-01"}, "fetched"),
        ({"title": "x", "language": "de"}, "language"),
        ({"title": "x", "id": "y" * 3000}, "id"),
        ({"title": "x", "titel": "y"}, None),
    ],
)
def test_what_is_no_item_is_refused_by_its_field(record: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        item_of(record, "s", NOW)
    assert refused.value.param == param


def test_an_address_is_one_of_the_web_or_none() -> None:
    given = ("https://news.example/1", "javascript:alert(1)", "file:///etc/passwd")
    assert [item_of({"title": "t", "url": url}, "s", NOW).url for url in given] == [given[0], "", ""]


def read(path: Path) -> tuple[list[str], list[str]]:
    batches = list(FileConnector(path).read())
    return [item.title for batch in batches for item in batch.items], [f for batch in batches for f in batch.faults]


def test_json_lines_and_csv_are_read_and_broken_lines_told(tmp_path: Path) -> None:
    lines = tmp_path / "items.jsonl"
    lines.write_text('{"title": "a", "id": 4}\n\nnot json\n[1]\n{"title": 3}\n{"title": "b"}\n', encoding="utf-8")
    titles, faults = read(lines)
    assert titles == ["a", "b"]
    assert [fault.split(":")[0] for fault in faults] == [f"items.jsonl, line {n}" for n in (3, 4, 5)]
    table = tmp_path / "items.csv"
    table.write_text('title,published,text\na,2026-03-02T10:00:00Z,\n"b, c",,words\nd,,e,f\n', encoding="utf-8")
    titles, faults = read(table)
    assert (titles, len(faults)) == (["a", "b, c"], 1)


def test_a_quote_that_does_not_close_costs_its_own_line_and_no_other(tmp_path: Path) -> None:
    table = tmp_path / "items.csv"
    table.write_text(
        'title,text\na,"one\ntwo"\nb,"open\nc,plain\n"d" x,y\ne,"said ""no"""\nf,"open too\n', encoding="utf-8"
    )
    titles, faults = read(table)
    assert titles == ["a", "c", "e"]
    assert [fault.split(":")[0] for fault in faults] == [f"items.csv, line {n}" for n in (4, 6, 8)]
    assert "quote" in faults[0]


@pytest.mark.parametrize(("encoding", "told"), [("gb18030", "GB18030"), ("utf-16", "UTF-16")])
def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path, encoding: str, told: str) -> None:
    (tmp_path / "items.jsonl").write_bytes('{"title": "远山能源拟回购股份"}\n'.encode(encoding))
    with pytest.raises(ConnectorError, match=rf"items.jsonl is no UTF-8.*iconv -f {told}"):
        read(tmp_path / "items.jsonl")


@pytest.mark.parametrize("rest", ['1,"Net up"\n2,"Net down"\n', "1,Net up\n2,Net down\n"])
def test_a_header_that_cannot_be_read_is_an_error_of_the_file(tmp_path: Path, rest: str) -> None:
    table = tmp_path / "items.csv"
    table.write_text(f'\nid,"title\n{rest}', encoding="utf-8")
    with pytest.raises(ConnectorError, match=r"the header of .*items\.csv, line 2, cannot be read: a quote"):
        list(FileConnector(table).read())
    table.write_text(f"\nid,title\n{rest}", encoding="utf-8")
    assert [item.title for batch in FileConnector(table).read() for item in batch.items] == ["Net up", "Net down"]


@pytest.mark.parametrize("name", ["items.txt", "none.jsonl", "wrong.jsonl", "latin.csv"])
def test_a_file_that_holds_no_items_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "items.txt").write_text("x")
    (tmp_path / "wrong.jsonl").write_text("<html>\n<p>\n")
    (tmp_path / "latin.csv").write_bytes("title\nGr\xfc\xdfe\n".encode("latin-1"))
    with pytest.raises(ConnectorError, match=name.split(".")[0]):
        read(tmp_path / name)
