"""Reading events, holding back the later ones, and measuring lists: against the definitions written otherwise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.errors import ConfigError
from pagoda.recommend.data.interactions import Interaction, InteractionLog, named_columns, read_interactions
from pagoda.recommend.data.metrics import evaluate, gini
from pagoda.recommend.data.splits import global_cut, last_share, leave_last_out
from pagoda.recommend.data.things import CatalogueItem, read_things, write_things

EVENTS = [("a", "x", 3), ("b", "y", 1), ("a", "y", 1), ("a", "z", 1), ("b", "x", 2), ("c", "x", 9)]


def test_histories_are_in_the_order_of_time_and_ties_in_that_of_the_file() -> None:
    log = InteractionLog.of(EVENTS)
    assert [[log.items[item] for item in history] for history in log.histories] == [["y", "z", "x"], ["y", "x"], ["x"]]
    assert [list(times) for times in log.times] == [[1, 1, 3], [1, 2], [9]]
    assert sorted(log.events()) == sorted((user, item, float(when)) for user, item, when in EVENTS)


@pytest.mark.parametrize("name", ["events.csv", "events.jsonl"])
def test_ids_are_strings_whatever_they_look_like(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(
        "user,item,timestamp,more\n007,1,5,z\n7,2,4.5,\n"
        if name.endswith("csv")
        else '{"user": "007", "item": 1, "timestamp": 5}\n\n{"user": 7, "item": "2", "timestamp": 4.5}\n'
    )
    log = read_interactions(path)
    assert (log.users, log.items) == (("007", "7"), ("1", "2"))


def test_ratings_are_read_as_grouplens_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text("1::1193::5::978300760\r\n1::661::3::978300700\r\n2::1193::4::978298413\r\n")
    log = read_interactions(path)
    assert [[log.items[item] for item in history] for history in log.histories] == [["661", "1193"], ["1193"]]
    assert list(log.times[0]) == [978300700, 978300760]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "user,item\n1,2\n", "no column timestamp"),
        ("a.csv", "user,item,timestamp\n1,2,soon\n", "a.csv:2 is"),
        ("a.csv", "user,item,timestamp\n1,2,nan\n", "between 0 and 1e\\+14"),
        ("a.csv", "user,item,timestamp\n,2,1\n", "text that is not blank"),
        ("a.csv", "user,item,timestamp\n  ,2,1\n", "a.csv:2 has the id"),
        ("a.csv", "user,item,timestamp\n1,2,-5\n", "between 0 and"),
        ("a.csv", "user,item,timestamp\n" + "a" * 200_000 + ",b,1\n", "a.csv:2 "),
        ("a.jsonl", '{"user": "a", "item": "b", "timestamp": 1' + "0" * 400 + "}\n", "a.jsonl:1 is"),
        ("a.jsonl", '{"user": ["a"], "item": "b", "timestamp": 1}\n', "a.jsonl:1 has the id"),
        ("a.jsonl", '{"user": "a", "item": true, "timestamp": 1}\n', "a.jsonl:1 has the id True"),
        ("a.jsonl", '{"user": "a", "item": NaN, "timestamp": 1}\n', "a.jsonl:1 has the id nan"),
        ("a.csv", "user,item,timestamp\n", "holds no event"),
        ("a.jsonl", '{"user": 1}\n', "a.jsonl:1 is no object"),
        ("a.jsonl", "what\n", "a.jsonl:1 is no object"),
        ("a.csv", "", "its first line names none"),
        ("a.csv", "userId,movieId,timestamp\n1,2,3\n", "as in --columns userId,movieId,"),
        ("a.csv", "user,item,timestamp\n1,2,2024-13-01\n", "a.csv:2 is"),
        ("a.csv", "user,item,timestamp\n1,2\n", "a.csv:2 is"),
        ("a.dat", "1::2::5::3\n1::2\n", "a.dat:2 has 2 parts"),
        ("a.txt", "", "no .csv, no .tsv, no .jsonl and no .dat"),
    ],
)
def test_a_line_that_is_no_event_is_told_by_its_number(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_interactions(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "movieId;userId;rating;when\nkettle;ann;5;7.5\n"),
        ("a.tsv", "userId\trating\tmovieId\twhen\nann\t5\tkettle\t7.5\n"),
        ("a.csv", "userId,movieId,when\nann,kettle,1970-01-01 00:00:07.5\n"),
        ("a.csv", "userId|movieId|when\nann|kettle|1970-01-01T08:00:07.5+08:00\n"),
        ("a.jsonl", '{"userId": "ann", "movieId": "kettle", "when": "1970-01-01T00:00:07.5Z"}\n'),
    ],
)
def test_a_file_may_call_its_columns_as_it_likes_and_tell_time_by_dates(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_interactions(tmp_path / name, named_columns("userId, movieId, when"))
    assert list(found.events()) == [Interaction("ann", "kettle", 7.5)]


_VISITS = "user,item,timestamp\n" + "".join(f"王小明{n},红灯笼饭店的麻婆豆腐,{n}\n" for n in range(40))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5"])
def test_a_file_is_read_in_the_encoding_it_is_in(tmp_path: Path, encoding: str) -> None:
    text = _VISITS if encoding != "big5" else _VISITS.replace("红灯笼饭店", "紅燈籠飯店").replace("饭", "飯")
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    log = read_interactions(tmp_path / "a.csv")
    assert (log.users[7], log.items) == ("王小明7", (text.split(",")[3],))


def test_a_file_of_no_certain_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"user,item,timestamp\n\xff\xfe\x00\x01\x02,b,1\n")
    with pytest.raises(ConfigError, match=r"cannot read .*a\.csv"):
        read_interactions(tmp_path / "a.csv")


@pytest.mark.parametrize("given", ["user,item", "user,,when", "", "a,b,c,d"])
def test_columns_are_three_names(given: str) -> None:
    with pytest.raises(ConfigError, match="three columns"):
        named_columns(given)


def test_a_day_without_a_clock_is_its_first_moment(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item,timestamp\na,b,1970-01-02\nc,d,19700102\n")
    assert [event.timestamp for event in read_interactions(tmp_path / "a.csv").events()] == [86400.0, 19700102.0]


def test_splits_hold_back_what_came_later() -> None:
    log = InteractionLog.of(("u", str(n), n) for n in range(20))
    assert last_share(log).asked == {"u": ("18", "19")}
    assert leave_last_out(log).asked == {"u": ("19",)}
    assert leave_last_out(InteractionLog.of([("u", "x", 1)])).asked == {}
    cut = global_cut(InteractionLog.of(EVENTS), 0.5)
    assert cut.asked == {"a": ("x",), "b": ("x",)}, "c has nothing before the cut"
    assert {event.timestamp for event in cut.train.events()} == {1.0}


lists = st.lists(st.integers(0, 30), unique=True, max_size=15)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(lists, st.sets(st.integers(0, 30), min_size=1, max_size=8)), min_size=1, max_size=6))
def test_metrics_are_those_of_a_sum_place_by_place(people: list[tuple[list[int], set[int]]]) -> None:
    shown = {str(n): [str(item) for item in given] for n, (given, _) in enumerate(people)}
    asked = {str(n): [str(item) for item in wanted] for n, (_, wanted) in enumerate(people)}
    report = evaluate(shown, asked, 31, 10)
    hits = gains = recalls = 0.0
    for given_list, wanted in people:
        gain = best = found = 0.0
        for place in range(1, 11):
            if place <= len(given_list) and given_list[place - 1] in wanted:
                gain, found = gain + math.log(2) / math.log(place + 1), found + 1
            if place <= len(wanted):
                best += math.log(2) / math.log(place + 1)
        hits, gains, recalls = hits + (found > 0), gains + gain / best, recalls + found / min(10, len(wanted))
    assert report.hit == pytest.approx(hits / len(people), abs=1e-12)
    assert report.ndcg == pytest.approx(gains / len(people), abs=1e-12)
    assert report.recall == pytest.approx(recalls / len(people), abs=1e-12)


def test_gini_is_the_mean_difference_of_two() -> None:
    counts = np.array([0, 1, 1, 5, 13])
    differences = np.abs(counts[:, None] - counts).mean()
    assert gini(counts) == pytest.approx(differences / 2 / counts.mean())
    assert gini(np.zeros(3)) == 0.0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)


def test_spaces_of_a_csv_and_whole_floats_of_a_table_are_what_they_mean(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user, item, timestamp\n a, b, 1\n")
    assert list(read_interactions(tmp_path / "a.csv").events()) == [Interaction("a", "b", 1.0)]
    assert list(InteractionLog.of([(1.0, np.float64(2.0), 3), (1, np.int64(3), 4)]).events()) == [
        Interaction("1", "2", 3.0), Interaction("1", "3", 4.0),
    ]  # fmt: skip


def test_things_come_with_a_mark_of_windows_and_with_any_line_in_a_name(tmp_path: Path) -> None:
    path = tmp_path / "things.jsonl"
    path.write_bytes('{"id": "1", "name": "a"}\n'.encode("utf-8-sig"))
    assert list(read_things(path)) == ["1"]
    kept = CatalogueItem("a", "x\u2028y", "x\x85y")
    write_things(path, [kept])
    assert read_things(path) == {"a": kept}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "1", "name": "张"}'.encode("gbk"), "UTF-8"),
        (b'{"id": "1", "kinds": "red"}', "things.jsonl:1"),
        (b'{"id": null, "name": "x"}', "things.jsonl:1"),
        (b'{"id": " ", "name": "x"}', "things.jsonl:1"),
        (b'{"id": "1", "kinds": [null]}', "things.jsonl:1"),
    ],
)
def test_a_line_that_is_no_thing_is_told(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "things.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(ConfigError, match=said):
        read_things(path)
