"""Who is let in at an engine's door: ranks that know its secret, and nobody else."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from pagoda.engine.cluster.connections import Doorkeeper, enter
from pagoda.engine.execution.frames import frame, receive
from patience import HANG_S


def test_a_rank_with_the_secret_comes_in_and_messages_go_both_ways() -> None:
    keeper = Doorkeeper("127.0.0.1")
    with ThreadPoolExecutor(1) as pool:
        entering = pool.submit(enter, keeper.door, 3)
        came = keeper.accept(HANG_S)
        assert came is not None
        index, ours = came
        with ours, entering.result() as theirs:
            ours.sendall(frame(["a plan"]))
            theirs.sendall(frame("tokens"))
            assert (index, receive(theirs), receive(ours)) == (3, ["a plan"], "tokens")
    keeper.close()


@pytest.mark.parametrize("what", ["another secret", "noise", "nothing"])
def test_others_are_turned_away_and_the_door_stays(what: str) -> None:
    keeper = Doorkeeper("127.0.0.1")
    address = keeper.door.host, keeper.door.port
    with ThreadPoolExecutor(1) as pool:
        if what == "another secret":
            entered = pool.submit(enter, replace(keeper.door, secret=b"0" * 32), 0)
            stranger = partial(pytest.raises, EOFError, entered.result, HANG_S)
        else:
            connection = socket.create_connection(address)
            connection.sendall(b"x" * 100 if what == "noise" else b"")
            connection.shutdown(socket.SHUT_WR)
            stranger = partial(connection.close)
        assert keeper.accept(HANG_S) is None
        stranger()
        entering = pool.submit(enter, keeper.door, 1)
        came = keeper.accept(HANG_S)
        assert came is not None
        assert came[0] == 1
        came[1].close()
        entering.result().close()
    keeper.close()


def test_a_rank_takes_nothing_from_a_listener_without_the_secret() -> None:
    """An engine has ended, and another program listens at its port."""
    keeper = Doorkeeper("127.0.0.1")
    with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as other:
        entering = pool.submit(enter, replace(keeper.door, port=other.getsockname()[1]), 0)
        connection, _ = other.accept()
        with connection:
            connection.sendall(b"n" * 32 + b"0" * 32 + frame(["an order"]))
            with pytest.raises(EOFError, match="secret"):
                entering.result(HANG_S)
    keeper.close()


def test_a_door_does_not_show_its_secret() -> None:
    keeper = Doorkeeper("127.0.0.1")
    assert repr(keeper.door.secret) not in repr(keeper.door)
    assert keeper.accept(0.01) is None
    keeper.close()
