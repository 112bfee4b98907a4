"""Who gets a request: the books around the policy, and what of a request's text they go by."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from pagoda.server.replicas.prefixes import PIECE, Beginning, beginning_of
from pagoda.server.replicas.table import ReplicaTable, RoutedRequest

NAMES = ["a", "b", "c"]
STORY, OTHER = "Once upon a time. " * 200, "The old king looked out. " * 200


def _asked(prompt: Any, key: str = "", **fields: Any) -> Beginning:
    return beginning_of(json.dumps({"prompt": prompt, **fields}).encode(), key)


def _table(routing: str = "prefix-affinity", clock: Any = lambda: 0.0) -> ReplicaTable:
    return ReplicaTable(routing, 1.2, clock)


def _sent(table: ReplicaTable, beginning: Beginning, names: list[str] = NAMES, *, over: bool = True) -> RoutedRequest:
    ticket = RoutedRequest(beginning)
    table.sent(ticket, table.choose(ticket, names)[0])
    if over:
        ticket.began()
        ticket.ended()
    return ticket


def test_what_begins_alike_has_pieces_in_common() -> None:
    long, longer, other = _asked(STORY), _asked(STORY + "And then?" * 50), _asked("x" + STORY)
    assert longer.pieces[: len(long.pieces)] == long.pieces
    assert longer.num_shared(set(long.pieces)) == len(long.pieces) * PIECE // 4
    assert other.num_shared(set(long.pieces)) == 0
    assert _asked(STORY, key="mine").num_shared(set(long.pieces)) == 0
    assert _asked(STORY, cache_salt="mine").num_shared(set(long.pieces)) == 0


def test_a_chat_goes_on_where_it_began() -> None:
    messages = [{"role": "system", "content": STORY}, {"role": "user", "content": "Hello"}]
    first = beginning_of(json.dumps({"messages": messages}).encode())
    later = beginning_of(json.dumps({"messages": [*messages, {"role": "user", "content": "And?"}]}).encode())
    assert later.num_shared(set(first.pieces)) >= len(STORY) // 4 - PIECE


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b'{"prompt": null}', b"\xff\xfe", b'{"prompt": {"a": 1}}'])
def test_bodies_that_are_none_have_no_beginning(body: bytes) -> None:
    assert beginning_of(body).pieces == ()


def test_requests_that_begin_alike_meet_and_others_spread() -> None:
    table = _table()
    first = _sent(table, _asked(STORY))
    others = {_sent(table, _asked(f"{index} {OTHER}")).replica for index in range(6)}
    assert _sent(table, _asked(STORY + "more")).replica == first.replica
    assert others == set(NAMES)


def test_a_popular_beginning_does_not_drown_one_replica() -> None:
    table = _table()
    found = [_sent(table, _asked(f"{STORY}{index}{OTHER}"), over=False).replica for index in range(60)]
    counts = sorted(found.count(name) for name in NAMES)
    assert counts[-1] <= 1.5 * 60 / 3


def test_what_waits_on_a_replica_counts_until_it_begins_and_ends() -> None:
    table = _table("least-loaded")
    busy = [_sent(table, _asked(f"{index}"), ["a", "b"], over=False) for index in range(2)]
    assert {ticket.replica for ticket in busy} == {"a", "b"}
    freed = busy[0]
    freed.ended()
    freed.ended()
    assert [_sent(table, _asked("x"), ["a", "b"]).replica for _ in range(3)] == [freed.replica] * 3


def test_a_replica_that_failed_is_avoided_and_one_that_is_meant_is_taken() -> None:
    table = _table()
    first = _sent(table, _asked(STORY))
    ranks = table.choose(RoutedRequest(_asked(STORY), avoid=frozenset({str(first.replica)})), NAMES)
    assert first.replica == ranks[-1]
    assert sorted(ranks) == NAMES
    assert table.choose(RoutedRequest(to="c"), NAMES) == ["c"]
    assert table.choose(RoutedRequest(to="gone"), NAMES)[0] in NAMES
    assert table.choose(RoutedRequest(avoid=frozenset(NAMES)), NAMES)[0] in NAMES


def test_who_is_gone_is_forgotten_and_who_is_new_does_not_get_everything() -> None:
    table = _table()
    for index in range(30):
        _sent(table, _asked(f"{index} {STORY}"), ["a", "b"])
    assert table.names == ["a", "b"]
    found = [_sent(table, _asked(f"{index} {OTHER}"), ["b", "new"]).replica for index in range(10)]
    assert table.names == ["b", "new"]
    assert set(found) == {"b", "new"}


def test_work_fades() -> None:
    now = [0.0]
    table = _table(clock=lambda: now[0])
    first = _sent(table, _asked(STORY))
    for index in range(40):
        _sent(table, _asked(f"{index} {OTHER}" * 5), [str(first.replica)])
    now[0] = 3600.0
    assert _sent(table, _asked(STORY + "more")).replica == first.replica


def test_a_replica_gets_no_ticket_along() -> None:
    ticket = RoutedRequest(_asked(STORY))
    _table().choose(ticket, NAMES)
    assert len(pickle.dumps(ticket)) < 200
    assert pickle.loads(pickle.dumps(ticket)).beginning.pieces == ()
