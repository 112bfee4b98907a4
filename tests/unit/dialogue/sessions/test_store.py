"""Conversations on disk: order among threads and processes, restarts, and writers that overtook each other."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pagoda.dialogue.errors import SessionError
from pagoda.dialogue.sessions.store import HandOffRecord, SessionStore
from pagoda.dialogue.sessions.turn_queue import TurnQueue
from pagoda.errors import InvalidRequestError
from patience import HANG_S

SAID = [{"type": "user_said", "text": "想吃川菜"}, {"type": "informed", "slot": "cuisine", "value": "川菜"}]


def take_turn(store: SessionStore, session_id: str, text: str) -> int:
    with store.turn(session_id):
        log = store.log(session_id)
        return store.append(session_id, [{"text": text}], {"user": text}, num_events_before=len(log.events))


def test_a_turn_is_there_after_the_file_was_closed_and_opened_again(tmp_path: Path) -> None:
    with SessionStore(tmp_path / "sessions.sqlite") as store:
        assert store.append("小李", SAID, {"user": "想吃川菜", "reply": "在哪里？"}, num_events_before=0) == 1
    with SessionStore(tmp_path / "sessions.sqlite") as store:
        assert store.log("小李").events == tuple(SAID)
        assert store.log("小李").num_turns == 1
        assert store.turns("小李") == [{"user": "想吃川菜", "reply": "在哪里？"}]


def test_sessions_do_not_see_each_other_and_one_can_be_forgotten() -> None:
    with SessionStore() as store:
        take_turn(store, "a", "one")
        take_turn(store, "b", "two")
        assert [event["text"] for event in store.log("a").events] == ["one"]
        assert store.delete("a")
        assert not store.delete("a")
        assert store.log("a").events == ()
        assert store.log("b").num_turns == 1


def test_turns_of_one_session_go_in_the_order_in_which_they_were_asked_for() -> None:
    queue = TurnQueue()
    tickets = [queue.join("s") for _ in range(20)]
    served: list[int] = []

    def wait_for(number: int) -> None:
        tickets[number].wait()
        served.append(number)
        queue.leave(tickets[number])

    threads = [threading.Thread(target=wait_for, args=(number,)) for number in reversed(range(20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served == list(range(20))
    assert len(queue) == 0


def test_a_place_that_is_given_back_unserved_does_not_hold_up_those_behind() -> None:
    queue = TurnQueue()
    first, gone, last = (queue.join("s") for _ in range(3))
    queue.leave(gone)
    queue.leave(gone)
    queue.leave(first)
    last.wait()
    queue.leave(last)
    assert len(queue) == 0


def test_another_session_does_not_wait() -> None:
    queue = TurnQueue()
    queue.join("busy")
    queue.join("free").wait()


def test_threads_that_talk_at_once_lose_no_turn(tmp_path: Path) -> None:
    with SessionStore(tmp_path / "sessions.sqlite") as store, ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: take_turn(store, f"s{n % 2}", str(n)), range(40)))
        assert sorted(numbers) == sorted([*range(1, 21)] * 2)
        assert {int(e["text"]) for e in store.log("s0").events} == set(range(0, 40, 2))


def test_processes_that_share_the_file_lose_no_turn_either(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pagoda.dialogue.sessions.store import SessionStore\n"
        "with SessionStore(sys.argv[1]) as store:\n"
        "    for number in range(20):\n"
        "        with store.turn('s'):\n"
        "            log = store.log('s')\n"
        "            store.append('s', [{'n': len(log.events)}], {}, num_events_before=len(log.events))\n"
    )
    path = tmp_path / "sessions.sqlite"
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(3)]
    assert [process.wait(HANG_S) for process in processes] == [0, 0, 0]
    with SessionStore(path) as store:
        assert [event["n"] for event in store.log("s").events] == list(range(60))


def test_a_turn_that_was_thought_out_upon_an_older_state_is_refused_and_leaves_nothing() -> None:
    with SessionStore() as store:
        take_turn(store, "s", "first")
        with pytest.raises(SessionError, match="has 1 events, but this turn began with 0"):
            store.append("s", SAID, {"user": "x"}, num_events_before=0, hand_off=HandOffRecord("s", "asked", "zh", "x"))
        assert store.log("s").num_turns == 1
        assert store.hand_offs() == []


def test_a_hand_off_is_kept_with_all_that_a_person_needs(tmp_path: Path) -> None:
    given = HandOffRecord(
        "s", "asked", "zh", "转人工", intent="find_hotel", slots={"stars": 4}, transcript=({"user": "转人工"},)
    )
    with SessionStore(tmp_path / "sessions.sqlite") as store:
        take_turn(store, "s", "你好")
        store.append("s", SAID, {}, num_events_before=1, hand_off=given)
    with SessionStore(tmp_path / "sessions.sqlite") as store:
        (kept,) = store.hand_offs("s")
        assert (kept.reason, kept.turn, kept.slots, kept.transcript) == (
            "asked",
            2,
            {"stars": 4},
            ({"user": "转人工"},),
        )
        assert kept.at > 0
        assert store.hand_offs("another") == []


@pytest.mark.parametrize("session_id", ["", "  ", "x" * 201, "a\nb", "a\x00b"])
def test_an_id_that_is_none_is_refused(session_id: str) -> None:
    with SessionStore() as store, pytest.raises(InvalidRequestError, match="printable"):
        store.log(session_id)


def test_an_id_that_looks_like_sql_or_a_path_is_only_an_id(tmp_path: Path) -> None:
    with SessionStore(tmp_path / "s.sqlite") as store:
        for session_id in ("'; DROP TABLE events; --", "../../etc/passwd"):
            take_turn(store, session_id, "hi")
            assert store.log(session_id).num_turns == 1
        assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"s"}


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at as one " * 20)
    with pytest.raises(SessionError, match=r"notes\.txt cannot be opened"):
        SessionStore(path)


def test_a_file_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(SessionError, match="has format 7"):
        SessionStore(path)
