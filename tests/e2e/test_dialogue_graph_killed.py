"""The embedded graph server dies, hangs or is asked too much in mid-use; so do those who own it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pagoda.graph.errors import GraphError, GraphTimeoutError, GraphUnavailableError
from pagoda.graph.graph import Graph
from patience import HANG_S, until

RUNAWAY = "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN sum(a * b) AS total"
OWN_A_GRAPH = """
import sys, time
from pagoda.graph.graph import Graph
graph = Graph.embedded(sys.argv[1])
graph.write("MERGE (n:Note {id: 'kept'})")
print(graph.server_process_id, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with Graph.embedded(tmp_path_factory.mktemp("killed") / "graph", timeout_s=5.0) as opened:
        opened.write("CREATE CONSTRAINT IF NOT EXISTS FOR (n:Note) REQUIRE n.id IS UNIQUE")
        yield opened


def test_a_runaway_statement_is_ended_by_the_server(graph: Graph) -> None:
    with pytest.raises(GraphTimeoutError, match=r'"stray" ran longer than 5 s') as caught:
        graph.read(RUNAWAY, statement_id="stray")
    assert caught.value.ended_by == "server"
    until(lambda: _uses_no_processor(_process_id(graph)))


def test_a_caller_may_be_less_patient_than_the_server(graph: Graph) -> None:
    with pytest.raises(GraphTimeoutError) as caught:
        graph.read(RUNAWAY, timeout_s=0.05)
    assert caught.value.ended_by == "client"
    assert graph.read("RETURN 1 AS one") == [{"one": 1}]


def test_what_was_written_outlives_a_server_that_is_killed_and_the_next_call_finds_it(graph: Graph) -> None:
    before = _process_id(graph)
    graph.write("MERGE (n:Note {id: 'before'}) SET n.text = '川菜'")
    os.kill(before, signal.SIGKILL)
    assert graph.read("MATCH (n:Note {id: 'before'}) RETURN n.text AS text") == [{"text": "川菜"}]
    assert _process_id(graph) != before


def test_a_server_killed_under_load_loses_nothing_it_has_confirmed(graph: Graph) -> None:
    confirmed: list[int] = []
    unforeseen: list[Exception] = []
    half_way, enough = threading.Event(), threading.Event()

    def write_on(first: int) -> None:
        for number in range(first, 10**6, 4):
            if enough.is_set():
                return
            try:
                graph.write("MERGE (n:Note {id: $id})", {"id": f"load-{number}"})
                confirmed.append(number)
            except GraphUnavailableError:
                continue
            except Exception as error:
                unforeseen.append(error)
                return
            if len(confirmed) > 20:
                half_way.set()

    threads = [threading.Thread(target=write_on, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    assert half_way.wait(HANG_S)
    os.kill(_process_id(graph), signal.SIGKILL)
    at_the_kill = len(confirmed)
    until(lambda: len(confirmed) > at_the_kill + 20 or bool(unforeseen))
    enough.set()
    for thread in threads:
        thread.join()
    assert unforeseen == []
    kept = {row["id"] for row in graph.read("MATCH (n:Note) WHERE n.id STARTS WITH 'load-' RETURN n.id AS id")}
    assert {f"load-{number}" for number in confirmed} <= kept


def test_a_server_that_hangs_costs_one_call_and_is_replaced(graph: Graph) -> None:
    before = _process_id(graph)
    graph.write("MERGE (n:Note {id: 'hung'})")
    os.kill(before, signal.SIGSTOP)
    with pytest.raises(GraphTimeoutError) as caught:
        graph.read("MATCH (n:Note {id: 'hung'}) RETURN n.id AS id", timeout_s=1.0)
    assert caught.value.ended_by == "client"
    assert graph.read("MATCH (n:Note {id: 'hung'}) RETURN n.id AS id") == [{"id": "hung"}]
    assert _process_id(graph) != before


def test_a_graph_that_is_lost_with_its_folder_is_unavailable_in_words_of_ours(tmp_path: Path) -> None:
    with Graph.embedded(tmp_path / "graph") as graph:
        os.kill(_process_id(graph), signal.SIGKILL)
        (tmp_path / "graph").rename(tmp_path / "moved")
        (tmp_path / "graph").write_text("in the way")
        with pytest.raises(GraphError, match="cannot be written"):
            graph.read("RETURN 1 AS one")


def test_the_server_dies_with_the_process_that_owns_it_and_the_folder_is_free_with_its_data(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN_A_GRAPH, str(tmp_path / "graph")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        owner.kill()
    until(lambda: not _is_alive(server))
    with Graph.embedded(tmp_path / "graph", lock_timeout_s=HANG_S) as graph:
        assert graph.read("MATCH (n:Note) RETURN n.id AS id") == [{"id": "kept"}]


def test_closing_the_last_graph_ends_the_server(tmp_path: Path) -> None:
    with Graph.embedded(tmp_path / "graph") as graph:
        server = _process_id(graph)
        with Graph.embedded(tmp_path / "graph") as other:
            assert _process_id(other) == server
        assert _is_alive(server)
    assert not _is_alive(server)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help against a killed keeper is Linux's")
def test_a_server_does_not_outlive_its_keeper(tmp_path: Path) -> None:
    with Graph.embedded(tmp_path / "graph") as graph:
        server = _process_id(graph)
        keeper = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        until(lambda: not _is_alive(server))
        assert graph.read("RETURN 1 AS one") == [{"one": 1}]


def _process_id(graph: Graph) -> int:
    assert graph.server_process_id
    return graph.server_process_id


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(process_id)


def _is_zombie(process_id: int) -> bool:
    """Dead, but not yet fetched by whoever adopted it."""
    stat = Path(f"/proc/{process_id}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def _uses_no_processor(process_id: int) -> bool:
    """Less than a fifth of a core over a moment; always true where there is no /proc."""
    stat = Path(f"/proc/{process_id}/stat")
    if not stat.is_file():
        return True
    began = _ticks(stat)
    time.sleep(0.5)
    return _ticks(stat) - began < 0.1 * os.sysconf("SC_CLK_TCK")


def _ticks(stat: Path) -> int:
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
