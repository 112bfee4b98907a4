"""Whether what comes in is still what it was, and whether probabilities still mean what they say.

Beside the windows. The population stability index compares shares of classes now and before: below .1 nothing happened,
above .25 the model sees another world (Siddiqi 2006, "Credit Risk Scorecards"; Yurdakul & Naranjo 2020 on its bounds).
Calibration is measured on what people said was right: expected calibration error over ten bins (Guo et al. 2017, arXiv
1706.04599).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pagoda.opinions.reading.confidence import calibration_error
from pagoda.opinions.store.database import Database
from pagoda.opinions.store.schema import MICRO

WARNS, DRIFTED = 0.1, 0.25
FEWEST = 30
"""Stories on either side, below which shares are chance."""
_LEAST_SHARE = 1e-4
_FEATURES = {
    "label": "o.label",
    "probability": f"o.probability * 10 / {MICRO}",
    "language": "a.language",
    "length": (
        "CASE WHEN LENGTH(a.title) < 20 THEN 0 WHEN LENGTH(a.title) < 40 THEN 1 WHEN LENGTH(a.title) < 70 THEN 2 "
        "WHEN LENGTH(a.title) < 110 THEN 3 ELSE 4 END"
    ),
    "source": "a.source",
    "events": "CASE WHEN o.events = '[]' THEN 0 ELSE 1 END",
}


def stability_index(before: Mapping[Any, int], now: Mapping[Any, int]) -> float:
    """PSI of two counts by class; an empty class counts as a ten-thousandth.

    >>> stability_index({"a": 50, "b": 50}, {"a": 50, "b": 50})
    0.0
    >>> round(stability_index({"a": 50, "b": 50}, {"a": 80, "b": 20}), 3)
    0.416
    """
    total_before, total_now = sum(before.values()), sum(now.values())
    found = 0.0
    for name in sorted({*before, *now}, key=str):
        p = max(before.get(name, 0) / total_before, _LEAST_SHARE)
        q = max(now.get(name, 0) / total_now, _LEAST_SHARE)
        found += (q - p) * math.log(q / p)
    return found


def drift(database: Database, split: int, start: int, end: int) -> list[dict[str, Any]]:
    """Of each feature, PSI of [split, end) against [start, split); None where one side has too few stories."""
    found = []
    for name, expression in _FEATURES.items():
        before, now = (_classes(database, expression, *sides) for sides in ((start, split), (split, end)))
        enough = min(sum(before.values()), sum(now.values())) >= FEWEST
        index = stability_index(before, now) if enough else None
        found.append(
            {
                "feature": name,
                "psi": None if index is None else round(index, 4),
                "num_before": sum(before.values()),
                "num_now": sum(now.values()),
                "verdict": _verdict(index),
            }
        )
    return found


def calibration(database: Database) -> dict[str, Any]:
    """Of what people said was right or wrong: accuracy, mean probability, calibration error; None without any."""
    rows = database.rows(
        "SELECT o.probability, o.label, f.label FROM feedback f JOIN opinions o ON o.story = f.story AND "
        "o.company = f.company ORDER BY f.story, f.company"
    )
    if not rows:
        return {"num": 0, "accuracy": None, "mean_probability": None, "calibration_error": None}
    probabilities = np.array([row[0] / MICRO for row in rows])
    is_right = np.array([row[1] == row[2] for row in rows])
    return {
        "num": len(rows),
        "accuracy": round(float(is_right.mean()), 4),
        "mean_probability": round(float(probabilities.mean()), 4),
        "calibration_error": round(calibration_error(probabilities, is_right), 4),
    }


def _classes(database: Database, expression: str, start: int, end: int) -> dict[Any, int]:
    rows = database.rows(
        f"SELECT {expression} AS class, COUNT(*) FROM opinions o JOIN articles a ON a.seq = o.article "
        "WHERE a.published >= ? AND a.published < ? GROUP BY class",
        [start, end],
    )
    return {name: int(count) for name, count in rows}


def _verdict(index: float | None) -> str:
    if index is None:
        return "too_few"
    return "drifted" if index >= DRIFTED else "watch" if index >= WARNS else "stable"
