"""Traces in their public forms, made up here; and what is refused with its line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.planning.simulation.traces import ideal_hit_rate, read_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.4799600,3180,0\n"
)


def write(path: Path, text: str) -> Path:
    file = path / "trace"
    file.write_text(text)
    return file


def mooncake(path: Path, *entries: tuple[int, int, list[int]]) -> Path:
    lines = (
        json.dumps({"timestamp": at, "input_length": size, "output_length": 5, "hash_ids": names})
        for at, size, names in entries
    )
    return write(path, "\n".join(lines))


def test_azures_times_are_seconds_from_the_first(tmp_path: Path) -> None:
    requests = read_trace(write(tmp_path, AZURE))
    assert [request.arrival_s for request in requests] == pytest.approx([0.0, 1.5])
    assert [request[1:3] for request in requests] == [(4808, 10), (3180, 1)]


def test_times_of_this_machines_zone_and_of_utc_may_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        rows = ("2024-05-10 00:00:00.500000,10,1", "2024-05-10 00:00:01+00:00,10,1")  # a whole second has no fraction
        requests = read_trace(write(tmp_path, "\n".join([AZURE.splitlines()[0], *rows])))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [request.arrival_s for request in requests] == pytest.approx([0.0, 0.5])


def test_a_trace_is_played_faster_and_again(tmp_path: Path) -> None:
    requests = read_trace(write(tmp_path, AZURE), speed=2, repeat=2)
    assert [request.arrival_s for request in requests] == pytest.approx([0.0, 0.75, 1.5, 2.25])
    assert len(read_trace(tmp_path / "trace", num_requests=1, repeat=3)) == 1


def test_mooncakes_names_tell_what_is_alike(tmp_path: Path) -> None:
    one, two, three = read_trace(mooncake(tmp_path, (0, 1000, [0, 1]), (500, 1100, [0, 1, 2]), (700, 1024, [0, 7])))
    assert two.arrival_s == 0.5
    hashes = [request.block_hashes(16) for request in (one, two, three)]
    assert [len(names) for names in hashes] == [62, 68, 64]
    assert hashes[0] == hashes[1][:62]
    assert hashes[0][:32] == hashes[2][:32]
    assert not set(hashes[0][32:]) & set(hashes[2][32:])


def test_one_endless_cache_has_what_came_before(tmp_path: Path) -> None:
    requests = read_trace(mooncake(tmp_path, (0, 1024, [0, 1]), (1, 1024, [0, 1]), (2, 512, [9])))
    # Of a prompt that is there in full the last block is computed, for its logits.
    assert ideal_hit_rate(requests, 16) == (1024 - 16) / 2560


def test_the_load_testers_own_form_is_read(tmp_path: Path) -> None:
    lines = (
        '{"timestamp": 3.5, "input_length": 7, "output_length": 2}\n\n'
        '{"timestamp": 3, "input_length": 8, "output_length": 1}\n'
    )
    assert [request[:3] for request in read_trace(write(tmp_path, lines))] == [(0.0, 8, 1), (0.5, 7, 2)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no request"),
        ("TIMESTAMP,Tokens\n1,2\n", "trace:2: the columns"),
        (AZURE + "soon,1,1\n", "trace:4: TIMESTAMP is 'soon'"),
        (AZURE + "2023-11-16 18:17:05,0,1\n", "trace:4: ContextTokens is 0"),
        ("not json\n", "trace:1 is neither JSON"),
        ('{"input_length": 12.5, "output_length": 1}', "input_length is 12.5"),
        ("[1]\n", "a JSON object is expected"),
        ('{"input_length": "x", "output_length": 1}', "input_length is 'x'"),
        ('{"timestamp": "a", "input_length": 1, "output_length": 1}', "timestamp is 'a'"),
        ('{"input_length": 600, "output_length": 1, "hash_ids": [1]}', "is 2 parts of 512 tokens"),
        ('{"input_length": 6, "output_length": 1, "hash_ids": ["a"]}', "whole numbers"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_trace(write(tmp_path, text))


def test_impossible_speeds_are_refused(tmp_path: Path) -> None:
    for settings in ({"speed": 0}, {"repeat": 0}):
        with pytest.raises(ConfigError):
            read_trace(write(tmp_path, AZURE), **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot read the trace"):
        read_trace(tmp_path / "nothing")
