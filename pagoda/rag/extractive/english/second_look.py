"""A second look at the passage of a manual that is to be shown: does it tell what is asked, or only speak of it?

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. What comes
nearest to a question without an answer has most of its words, above all its subject, which stands in the headings: "How
long does a jar of it last?" finds the recipe. What tells the two apart is the rest of the question, whether a thing of
the kind that is sought stands near, and what the reader of spans makes of the passage, which it has read anyway.
Weighed by a logistic regression (`benchmarks/train_second_look.py`) beside the first look. Papers: Rajpurkar et al.
2018, "Know What You Don't Know" (arXiv 1806.03822); Zhang et al. 2020, "Retrospective Reader for Machine Reading
Comprehension" (arXiv 2001.09694), whose second reading verifies the first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.rag.content_words import ASKING, content
from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.sought import lacks_count, sought_by

WEIGHTS = Path(__file__).parents[1] / "data" / "second_look_en.json"
_MOST = 8.0
NEAR = 0.75
"""Of the largest share of the question that a sentence holds: those that hold as much speak of it."""
_APART = re.compile(r"[/_.-]+")


@dataclass(frozen=True)
class Look:
    """What is known of a question and the passage that is to be shown.

    first: log-odds of the first look; margin: of the reader's best words over none
    told_near: 1 where all that is sought stands in the sentences that speak of the question, or right behind them
    untold: how many kinds of it stand nowhere in the passage
    no_count: nothing of the kind whose number is asked for is counted; wants_count: a number is asked for
    others_held: share of the question's words that do not stand above the passage, in its best sentence
    topic: share of its words that stand above it, in headings and path
    """

    first: float
    margin: float
    told_near: float
    untold: float
    no_count: float
    wants_count: float
    others_held: float
    topic: float


def look_at(question: str, chunk: Chunk, sentences: Sequence[tuple[int, int]], first: float, margin: float) -> Look:
    """The numbers of one passage. sentences: (start, end) in its text; first: probability of the first look, 0 to 1."""
    text, above = chunk.text, f"{chunk.heading} {_APART.sub(' ', chunk.source)}"
    asked = content(ASKING.sub(" ", question)) or content(question)
    topic = content(above)
    others = asked - topic
    held = [content(text[start:end]) for start, end in sentences]
    near, kinds = _near(text, sentences, [len(asked & words) for words in held]), sought_by(question)
    return Look(
        first=log_odds(first),
        margin=max(-_MOST, min(_MOST, margin)),
        told_near=float(all(kind.told.search(near) for kind in kinds)),
        untold=float(sum(not kind.told.search(text) for kind in kinds)),
        no_count=float(lacks_count(question, text)),
        wants_count=float(any(kind.name == "count" for kind in kinds)),
        others_held=max((len(others & words) for words in held), default=0) / len(others) if others else 1.0,
        topic=len(asked & topic) / max(1, len(asked)),
    )


def _near(text: str, sentences: Sequence[tuple[int, int]], shares: Sequence[int]) -> str:
    """The sentences that hold most of the question, each with the one behind it."""
    least = NEAR * max(shares, default=0)
    chosen = [at for at, share in enumerate(shares) if share >= least]
    return " ".join(text[sentences[at][0] : sentences[min(len(sentences) - 1, at + 1)][1]] for at in chosen)


@dataclass(frozen=True)
class SecondLook:
    """weights: of the numbers of `Look` by name, with a bias; least: probability from which on it is answered."""

    weights: Mapping[str, float]
    least: float

    def probability(self, look: Look) -> float:
        """That the passage, or those shown with it, answers, 0 to 1."""
        logit = self.weights["bias"] + sum(self.weights[name] * value for name, value in asdict(look).items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


@lru_cache(maxsize=2)
def load_second_look(path: Path = WEIGHTS) -> SecondLook:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other numbers."""
    wanted = {*(each.name for each in fields(Look)), "bias"}
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: float(value) for name, value in told["weights"].items()}
        least = float(told["least"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} holds no weights of the second look ({error!r}): reinstall pagoda") from error
    if set(weights) != wanted:
        raise ConfigError(f"{path} holds weights of other numbers than are looked at: reinstall pagoda")
    return SecondLook(weights, least)
