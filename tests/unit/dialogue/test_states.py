"""A remembered state is the fold of the whole log, whoever wrote to it and however often it was begun anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.slots.kinds import NodeValue, When
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold import fold
from pagoda.dialogue.states import States

CITY = Domain.load()
TILE = NodeValue("Restaurant", "restaurant-001", "青瓦小馆", "Green Tile Kitchen")
TURNS: list[list[ev.Event]] = [
    [ev.UserSaid("订", "zh", "book_restaurant"), ev.Switched("book_restaurant"), ev.Informed("name", TILE)],
    [ev.UserSaid("七点", "zh", "book_restaurant"), ev.Informed("time", When("2026-11-21T19:00"))],
    [ev.UserSaid("四个人", "zh", "book_restaurant"), ev.Informed("people", 4), ev.Proposed()],
    [ev.UserSaid("对", "zh", "confirm"), ev.Confirmed(), ev.Booked("k1")],
    [ev.UserSaid("川菜", "zh", "find_restaurant"), ev.Switched("find_restaurant"), ev.Offered((TILE,))],
    [ev.UserSaid("算了", "zh", "cancel"), ev.Cancelled()],
]
# What happens: a turn here, a turn of another process, the session forgotten by it, a look at the state.
STEPS = st.lists(st.tuples(st.sampled_from(["here", "there", "forget", "look"]), st.integers(0, len(TURNS) - 1)))


def append(store: SessionStore, events: list[ev.Event]) -> tuple[list[dict[str, Any]], int]:
    written = [ev.to_json(event) for event in events]
    num_before = store.log("s").num_events
    store.append("s", written, {"user": "x"}, num_events_before=num_before)
    return written, num_before


@given(STEPS)
@settings(max_examples=200, deadline=None, database=None)
def test_it_equals_the_fold_of_the_log_at_every_moment(steps: list[tuple[str, int]]) -> None:
    with SessionStore() as store:
        states, began = States(CITY, store, max_kept=1), 0
        for step, row in steps:
            events = TURNS[row]
            if not store.log("s").num_events:
                began += 1
                events = [ev.Began(f"c{began}"), *events]
            if step == "here":
                known = states.of("s")
                written, _ = append(store, events)
                states.after("s", known, written, fold(events, CITY, known.state))
            elif step == "there":
                append(store, events)
            elif step == "forget":
                store.delete("s")
            log = store.log("s")
            known = states.of("s")
            assert known.state == fold([ev.from_json(event) for event in log.events], CITY)
            assert (known.num_events, known.num_turns) == (log.num_events, log.num_turns)


def test_as_many_states_are_kept_as_it_is_told(tmp_path: Path) -> None:
    with SessionStore(tmp_path / "s.sqlite") as store:
        states = States(CITY, store, max_kept=3)
        for number in range(10):
            states.of(f"s{number}")
        assert len(states._kept) == 3


def test_the_end_of_a_log_is_read_without_its_beginning() -> None:
    with SessionStore() as store:
        for _ in range(3):
            append(store, TURNS[5])
        tail = store.log("s", 4)
        assert (len(tail.events), tail.num_before, tail.num_events, tail.num_turns) == (2, 4, 6, 3)
        assert tail.first == store.log("s").events[0]
        assert store.log("s", 6).events == ()
        assert store.log("none", 4).first is None
