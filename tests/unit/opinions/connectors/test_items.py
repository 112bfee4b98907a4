"""From records to items: what is made sound, and what is refused by its field."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "utf-8-sig", "big5"])
@pytest.mark.parametrize("name", ["items.jsonl", "items.csv"])
def test_a_file_in_another_encoding_is_read_in_it(tmp_path: Path, encoding: str, name: str) -> None:
    wanted = ["遠山能源公司公告，擬回購股份，不在本月", "和平銀行的年度利潤是九百億元，不及上年"]
    rows = [{"title": title} for title in wanted]
    lines = ["title", *wanted] if name.endswith("csv") else [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / name).write_bytes("\r\n".join(lines).encode(encoding))
    assert read(tmp_path / name) == (wanted, [])


def test_a_file_turns_to_another_encoding_after_a_million_plain_characters(tmp_path: Path) -> None:
    plain = '{"title": "Net up"}\n' * 60_000
    chinese = '{"title": "远山能源公司公告，拟回购股份，不在本月"}\n' * 3
    (tmp_path / "items.jsonl").write_bytes((plain + chinese).encode("gb18030"))
    titles, faults = read(tmp_path / "items.jsonl")
    assert (len(titles), set(titles[-3:]), faults) == (60_003, {"远山能源公司公告，拟回购股份，不在本月"}, [])


def test_a_file_of_a_western_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("title\nGr\xfc\xdfe aus M\xfcnchen\n".encode("latin-1"))
    assert read(tmp_path / "latin.csv") == (["Grüße aus München"], [])


@pytest.mark.parametrize("name", ["items.jsonl", "items.csv"])
def test_a_broken_byte_costs_its_own_line_and_no_other(tmp_path: Path, name: str) -> None:
    form = b'{"title": "%s"}\n' if name.endswith("jsonl") else b"%s\n"
    titles = ["营业收入增长".encode(), b"half a \xe8\x90 sign", "净利润下降".encode()]
    (tmp_path / name).write_bytes(b"title\n" * name.endswith("csv") + b"".join(form % title for title in titles))
    found, faults = read(tmp_path / name)
    assert found == ["营业收入增长", "净利润下降"]
    assert len(faults) == 1
    assert "bytes that are no utf-8" in faults[0]


def test_a_broken_byte_behind_a_million_sound_ones_changes_nothing_of_these(tmp_path: Path) -> None:
    sound = '{"title": "营业收入增长"}\n'.encode()
    (tmp_path / "items.jsonl").write_bytes(sound * 40_000 + b'{"title": "up"}\n' * 400 + b'{"title": "caf\xe9"}\n')
    titles, faults = read(tmp_path / "items.jsonl")
    assert (titles[0], len(titles), len(faults)) == ("营业收入增长", 40_400, 1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8"])
@pytest.mark.parametrize("name", ["items.jsonl", "items.csv"])
@pytest.mark.parametrize("end", [b"\x0a", b"\xe8"])
def test_a_file_that_ends_within_a_character_keeps_its_items(
    tmp_path: Path, encoding: str, name: str, end: bytes
) -> None:
    form = '{"title": "%s"}\n' if name.endswith("jsonl") else "%s\n"
    titles = [f"营业收入增长 {number}" for number in range(100)]
    whole = "title\n" * name.endswith("csv") + "".join(form % title for title in titles)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / name).write_bytes((mark + whole).encode(encoding) + end)
    found, faults = read(tmp_path / name)
    assert found == titles
    assert len(faults) == (encoding != "utf-8" or end != b"\n")


def test_a_broken_byte_of_an_older_encoding_costs_a_line_of_a_long_file_and_the_whole_of_a_short_one(
    tmp_path: Path,
) -> None:
    title = "净利润同比增长，营业收入达到九百亿元，股东大会通过了利润分配方案。"
    line = f'{{"title": "{title}"}}\n'.encode("gb18030")
    (tmp_path / "long.jsonl").write_bytes(line * 90 + line[:30] + b"\xff" + line[30:])
    titles, faults = read(tmp_path / "long.jsonl")
    assert (titles, len(faults)) == ([title] * 90, 1)
    (tmp_path / "short.jsonl").write_bytes(line[:30] + b"\xff" + line[30:])
    with pytest.raises(ConnectorError, match="no other encoding is certain"):
        read(tmp_path / "short.jsonl")


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"title\n\x81\x8d\x9d\xff"])
def test_bytes_in_no_certain_encoding_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "items.csv").write_bytes(data)
    with pytest.raises(ConnectorError, match=r"items\.csv is .*UTF-8"):
        read(tmp_path / "items.csv")


@pytest.mark.parametrize("rest", ['1,"Net up"\n2,"Net down"\n', "1,Net up\n2,Net down\n"])
def test_a_header_that_cannot_be_read_is_an_error_of_the_file(tmp_path: Path, rest: str) -> None:
    table = tmp_path / "items.csv"
    table.write_text(f'\nid,"title\n{rest}', encoding="utf-8")
    with pytest.raises(ConnectorError, match=r"the header of .*items\.csv, line 2, cannot be read: a quote"):
        list(FileConnector(table).read())
    table.write_text(f"\nid,title\n{rest}", encoding="utf-8")
    assert [item.title for batch in FileConnector(table).read() for item in batch.items] == ["Net up", "Net down"]


@pytest.mark.parametrize("name", ["items.txt", "none.jsonl", "wrong.jsonl"])
def test_a_file_that_holds_no_items_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "items.txt").write_text("x")
    (tmp_path / "wrong.jsonl").write_text("<html>\n<p>\n")
    with pytest.raises(ConnectorError, match=name.split(".")[0]):
        read(tmp_path / name)
