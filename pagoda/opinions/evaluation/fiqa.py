"""FiQA: headlines and posts whose companies people gave a score from -1 to 1; how far the English model follows them.

Beside the path *item -> opinion of a company*. Nothing is trained on it: what is measured is what the shipped model,
which saw Indian headlines alone, says of British and American ones and of posts about shares. Source: Maia et al. 2018,
"WWW'18 Open Challenge: Financial Opinion Mining and Question Answering", task 1, whose measure the cosine is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagoda.errors import ConfigError
from pagoda.opinions.reading.marked import Marked, Span
from pagoda.opinions.story import LABELS

KINDS = ("headline", "post")
_CLEAR = 0.1
"""Of scores: what is nearer to 0 has no direction."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A text, the company asked of marked in it, and what people gave it, -1 to 1."""

    text: Marked
    score: float


def read_scored(folder: str | Path, kind: str) -> list[Scored]:
    """Rows of both published parts of a kind, those whose company stands in the text. Raises ConfigError."""
    found: dict[tuple[str, str], Scored] = {}
    for part in ("train", "test"):
        path = Path(folder).expanduser() / f"task1_{kind}_ABSA_{part}.json"
        if not path.is_file():
            continue
        try:
            rows = json.loads(path.read_text("utf-8")).values()
            asked = [
                (row["sentence"], each["target"], float(each["sentiment_score"]))
                for row in rows
                for each in row["info"]
            ]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ConfigError(f"{path} is not FiQA's file ({error!r}): fetch it again") from error
        for text, target, score in asked:
            if places := _places(text, target):
                found.setdefault((text, target), Scored(Marked(text, places), score))
    return list(found.values())


def followed(scored: list[Scored], probabilities: np.ndarray) -> dict[str, float]:
    """How far P(positive) - P(negative) follows people's scores. probabilities: [n, 3], in the order of LABELS.

    cosine: of both as vectors; direction: share of clear scores whose sign it has
    """
    scores = np.array([each.score for each in scored])
    said = probabilities[:, LABELS.index("positive")] - probabilities[:, LABELS.index("negative")]
    clear = np.abs(scores) >= _CLEAR
    return {
        "cosine": float(scores @ said / max(1e-9, float(np.linalg.norm(scores) * np.linalg.norm(said)))),
        "direction": float((np.sign(said[clear]) == np.sign(scores[clear])).mean()) if clear.any() else 0.0,
    }


def _places(text: str, target: str) -> tuple[Span, ...]:
    return tuple(match.span() for match in re.finditer(rf"(?<!\w){re.escape(target)}(?!\w)", text, re.IGNORECASE))
