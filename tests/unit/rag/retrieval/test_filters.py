"""Filters: one meaning in Python, HTTP and the shell; versions, dates, numbers, tags; nothing that crashes."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.rag.documents.document import Chunk
from pagoda.rag.retrieval.filters import filter_of, known_values, parse_conditions


def chunk(source: str = "guide/a.md", **metadata: Any) -> Chunk:
    return Chunk("0", source, "x", 0, 1, 1, title="Guide", metadata=metadata)


def passes(where: dict[str, Any], found: Chunk) -> bool:
    return filter_of(where)(found)


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        ("2.0", "2.0", True),
        ("2.0", 2, True),
        (2, "2.0", True),
        ("1.10", "1.1", False),
        ("1.1", "1.10", False),
        ("v1.2", "1.2", True),
        (True, "true", True),
        (1, True, False),
        ("2024-05-01", "2024", True),
        ("2024-05-01", "2024-06", False),
        (("install", "linux"), "linux", True),
        (["install", "linux"], "windows", False),
        ("install", ["linux", "install"], True),
        ("install", [], False),
    ],
)
def test_a_value_is_the_one_that_was_written(value: Any, condition: Any, expected: bool) -> None:
    assert passes({"field": condition}, chunk(field=value)) is expected


@pytest.mark.parametrize(
    ("name", "value", "condition", "expected"),
    [
        ("version", "1.10", {"$gte": "1.9"}, True),
        ("version", "1.9", {"gt": 1.9}, False),
        ("version", "1.2-rc1", {"<": "1.2"}, True),
        ("price", "2.45", {"<": 2.5}, True),
        ("price", 10, {"$lte": "10"}, True),
        ("date", "2024-05-01", {"$lte": "2024"}, True),
        ("date", "2024年5月1日", {"$gt": "2024-04-30"}, True),
        ("author", "Li", {"$ne": "Ann"}, True),
        ("author", "Li", {"$gt": 3}, False),
        ("tags", ["a", "b"], {"$nin": ["b"]}, False),
        ("tags", ["a", "b"], {"$ne": "c"}, True),
        ("author", "Li Ming", {"$contains": "ming"}, True),
        ("author", "Li Ming", {"$prefix": "Li", "$ne": "Li"}, True),
    ],
)
def test_operators_order_what_they_compare(name: str, value: Any, condition: Any, expected: bool) -> None:
    assert passes({name: condition}, chunk(**{name: value})) is expected


def test_a_field_that_is_not_there_fulfils_only_what_denies() -> None:
    assert not passes({"nosuch": 1}, chunk())
    assert not passes({"nosuch": {"$gte": 1}}, chunk())
    assert passes({"nosuch": {"$ne": 1}}, chunk())


def test_paths_begin_with_their_folders() -> None:
    assert passes({"path": {"$prefix": "guide/"}}, chunk())
    assert not passes({"source": {"^=": "guide/"}}, chunk("other/guide/a.md"))


def test_filters_are_joined() -> None:
    where = {"$or": [{"a": 1}, {"$and": [{"a": 2}, {"$not": {"b": 3}}]}]}
    assert [passes(where, chunk(a=a, b=b)) for a, b in ((1, 3), (2, 3), (2, 4), (3, 4))] == [True, False, True, False]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["version=2.0"], {"version": {"eq": "2.0"}}),
        (["a>=1", "a<3", "b != x y"], {"a": {"gte": "1", "lt": "3"}, "b": {"ne": "x y"}}),
        (["tags not in a, b"], {"tags": {"nin": ["a", "b"]}}),
        (["title=a=b"], {"title": {"eq": "a=b"}}),
        (["a=1", "a=2"], {"$and": [{"a": {"eq": "1"}}, {"a": {"eq": "2"}}]}),
    ],
)
def test_the_shell_writes_the_same(texts: list[str], expected: dict[str, Any]) -> None:
    assert parse_conditions(texts) == expected
    filter_of(expected)


@pytest.mark.parametrize("text", ["version", "=1", "", "a~b"])
def test_what_is_no_condition_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected NAME=VALUE"):
        parse_conditions([text])


@pytest.mark.parametrize(
    "where",
    [
        {"a": None},
        {"a": {}},
        {"a": {"$near": 1}},
        {"a": {"$in": "b"}},
        {"a": [{}]},
        {"$or": []},
        {"$or": {"a": 1}},
        {"$not": [1]},
    ],
)
def test_what_cannot_be_read_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        filter_of(where)


def test_a_filter_of_many_levels_is_refused() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(2000):
        where = {"$not": where}
    with pytest.raises(InvalidRequestError, match="levels"):
        filter_of(where)


def test_of_very_many_and_long_values_the_likest_are_told_at_once() -> None:
    chunks = [Chunk(str(n), f"guide/page-{n}.md", "T", 0, 1, 1, metadata={"note": "x" * 9_999}) for n in range(5_000)]
    # It took a minute or more.
    told = known_values(chunks, {"path": "page-1234.md" * 900, "note": "y"})
    assert len(told) < 1_000
    assert known_values(chunks, {"path": "guid/page-1234.md"}).startswith("path: guide/page-1234.md, ")
