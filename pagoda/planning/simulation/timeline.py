"""One page that shows a simulation: steps of every replica over time, with what was waiting, and a request's life.

After `simulator`. The page is one file with its data in it and no link outside; what is drawn, `timeline.html` says. A
million steps are more than a picture has points, so neighbours are put together. Imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pagoda.planning.simulation.replica import StepRecord
from pagoda.planning.simulation.simulator import Simulation

PAGE = Path(__file__).parent / "timeline.html"
MAX_BINS = 2000
MAX_REQUESTS = 2000
_PLACE = "/*DATA*/null"


def timeline(found: Simulation, title: str, figures: dict[str, Any]) -> str:
    """HTML. The simulation must have kept its steps."""
    data = {
        "title": title,
        "figures": figures,
        "duration": found.duration_s,
        "replicas": [_bins(records, found.duration_s) for records in found.records],
        "requests": _requests(found),
    }
    # Where a title has "</script>", the page must not end there.
    told = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return PAGE.read_text(encoding="utf-8").replace(_PLACE, told)


def _bins(records: Sequence[StepRecord], duration_s: float) -> list[list[float]]:
    """[begin, prompt tokens a second, answers, waiting, cache usage] of equal spans in which anything was done."""
    width = duration_s / MAX_BINS or 1.0
    sums: dict[int, list[float]] = {}
    for record in records:
        end_s = record.began_s + record.seconds
        first, last = int(record.began_s / width), min(int(end_s / width), MAX_BINS - 1)
        for place in range(first, last + 1):
            inside = min(end_s, (place + 1) * width) - max(record.began_s, place * width)
            weight = max(inside, 0.0)
            entry = sums.setdefault(place, [0.0] * 5)
            entry[0] += weight
            entry[1] += record.num_prompt_tokens * weight / record.seconds if record.seconds else 0.0
            entry[2] += record.num_decodes * weight
            entry[3] += record.num_waiting * weight
            entry[4] += record.kv_cache_usage * weight
    return [
        [round(place * width, 6), round(entry[1] / width, 1), *(round(part / entry[0], 3) for part in entry[2:])]
        for place, entry in sorted(sums.items())
        if entry[0] > 0
    ]


def _requests(found: Simulation) -> list[list[float]]:
    """[arrival, first token, end] of requests that ended; of very many, evenly chosen ones."""
    times = found.times
    ended = [number for number, end_s in enumerate(times.end_s) if not math.isnan(end_s)]
    every = max(1, -(-len(ended) // MAX_REQUESTS))
    return [
        [round(part[number], 4) for part in (times.arrival_s, times.first_s, times.end_s)] for number in ended[::every]
    ]
