"""Recorded loads: the public traces of Azure and Mooncake, and the load tester's own form.

Beside the token's path, before `simulator`; files are the user's, none is shipped. Azure's (Patel et al. 2024,
Splitwise, arXiv 2311.18677) are CSV with TIMESTAMP, ContextTokens and GeneratedTokens. Mooncake's (Qin et al. 2024,
arXiv 2407.00079) are JSON lines whose `hash_ids` name each 512 tokens of a prompt together with all before them; their
timestamps are milliseconds. Imports no torch.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.planning.simulation.workload import SimulatedRequest

MOONCAKE_PART = 512
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read_trace(
    path: Path, *, num_requests: int | None = None, speed: float = 1.0, repeat: int = 1
) -> list[SimulatedRequest]:
    """Requests in order of arrival, the first at 0.

    num_requests: at most so many, the first ones; speed: how many times faster they come than recorded
    repeat: so many copies behind each other, for loads longer than the trace
    Raises ConfigError for a file that is none of the known forms, with the line.
    """
    if not 0 < speed < math.inf:
        raise ConfigError(f"speed is {speed}, but a number above 0 is expected")
    if repeat < 1:
        raise ConfigError(f"repeat is {repeat}, but at least 1 is expected")
    try:
        text = path.read_text(encoding="utf-8-sig")  # as a spreadsheet writes it, or without the mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the trace {path}: {error}") from error
    entries = _azure(text, path) if text.startswith(_AZURE[0]) else _json_lines(text, path)
    found = sorted(entries, key=lambda request: request.arrival_s)
    if not found:
        raise ConfigError(f"{path} holds no request")
    origin_s, span_s = found[0].arrival_s, found[-1].arrival_s - found[0].arrival_s
    gap_s = span_s / max(len(found) - 1, 1)
    copies = ([_moved(each, copy * (span_s + gap_s) - origin_s, speed) for each in found] for copy in range(repeat))
    return list(chain.from_iterable(copies))[:num_requests]


def _moved(request: SimulatedRequest, offset_s: float, speed: float) -> SimulatedRequest:
    return request._replace(arrival_s=(request.arrival_s + offset_s) / speed)


def _azure(text: str, path: Path) -> Iterator[SimulatedRequest]:
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        where = f"{path}:{number}"
        if missing := [name for name in _AZURE if name in row and row[name] is None]:
            raise ConfigError(f"{where}: there is no {' and no '.join(missing)} in the row: give all columns")
        if any(name not in row for name in _AZURE):
            raise ConfigError(f"{where}: the columns {', '.join(_AZURE)} are expected, but there are {', '.join(row)}")
        try:
            arrival = datetime.fromisoformat(row["TIMESTAMP"])
        except ValueError as error:
            raise ConfigError(f"{where}: TIMESTAMP is {row['TIMESTAMP']!r}, but a time is expected") from error
        if arrival.tzinfo is None:  # or the times would be this machine's own, and jump where its clocks are set
            arrival = arrival.replace(tzinfo=UTC)
        yield SimulatedRequest(
            arrival.timestamp(),
            _count(row, "ContextTokens", where),
            max(_count(row, "GeneratedTokens", where, least=0), 1),
        )


def _json_lines(text: str, path: Path) -> Iterator[SimulatedRequest]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where} is neither JSON ({error}) nor under a header of {', '.join(_AZURE)}") from error
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} holds a {type(entry).__name__}, but a JSON object is expected")
        yield _recorded(entry, where)


def _recorded(entry: Mapping[str, Any], where: str) -> SimulatedRequest:
    timestamp = entry.get("timestamp", 0)
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)) or not math.isfinite(timestamp):
        raise ConfigError(f"{where}: timestamp is {timestamp!r}, but a number is expected")
    prompt, answer = _count(entry, "input_length", where), max(_count(entry, "output_length", where, least=0), 1)
    names = entry.get("hash_ids")
    if names is None:
        return SimulatedRequest(float(timestamp), prompt, answer)
    if not isinstance(names, list) or len(names) != -(-prompt // MOONCAKE_PART):
        raise ConfigError(
            f"{where}: hash_ids has {len(names) if isinstance(names, list) else names!r} names, but input_length "
            f"{prompt} is {-(-prompt // MOONCAKE_PART)} parts of {MOONCAKE_PART} tokens"
        )
    if not all(isinstance(name, int) for name in names):
        raise ConfigError(f"{where}: hash_ids must be whole numbers")
    return SimulatedRequest(timestamp / 1e3, prompt, answer, tuple(names), MOONCAKE_PART)


def _count(entry: Mapping[str, Any], name: str, where: str, least: int = 1) -> int:
    given = entry.get(name)
    try:
        value = int(given)  # type: ignore[arg-type]
        is_whole = not isinstance(given, bool) and (isinstance(given, str) or value == given)
    except (TypeError, ValueError, OverflowError):
        value, is_whole = 0, False
    if not is_whole:
        raise ConfigError(f"{where}: {name} is {given!r:.80}, but a whole number is expected")
    if value < least:
        raise ConfigError(f"{where}: {name} is {value}, but at least {least} is expected")
    return value


def ideal_hit_rate(requests: list[SimulatedRequest], block_size: int) -> float:
    """Share of the prompts' tokens that one cache which forgets nothing would have, all requests behind one another."""
    seen: set[bytes] = set()
    hits = total = 0
    for request in requests:
        hashes = request.block_hashes(block_size)
        limit = (request.num_prompt_tokens - 1) // block_size
        found = next((place for place, name in enumerate(hashes[:limit]) if name not in seen), min(limit, len(hashes)))
        hits += found * block_size
        total += request.num_prompt_tokens
        seen.update(hashes)
    return hits / total if total else 0.0
