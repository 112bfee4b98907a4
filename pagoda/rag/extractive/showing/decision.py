"""Whether to answer at all, and how sure that what is shown answers: one small, calibrated decision.

On a question's path: question -> Hits -> spans -> *decision* -> what is shown -> Answer. A reader's own confidence is
that of encyclopaedias, where its questions came from; over manuals it is far too sure. So it is one of a few numbers
here, beside how much of the question stands in the passage and how well the passage was found. Their weights are
those of logistic regressions (Platt 1999), one for running prose and one for manuals with their lists, tables and
code, fitted by `benchmarks/train_showing.py`, which says to what.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.language import Language
from pagoda.rag.extractive.showing.coverage import Coverage
from pagoda.rag.extractive.showing.question_form import Form

WEIGHTS = Path(__file__).parents[1] / "data" / "showing.json"
Group = str
"""en-prose, en-manual, zh-prose, zh-manual: the language of the reader, and what the hits look like."""
PROSE_SHARE = 0.97
"""Of the sentences of all hits that were read, on average: where so many read alone, no list or table is near."""
_MOST = 6.0
OF_READER = ("reader", "in_own_sentence")
"""The signs that take a reader."""
USUAL_LIKENESS = 0.72
"""The mean of the first hits of English questions by the packaged MiniLM."""


@dataclass(frozen=True)
class Signs:
    """What is known of one question and one of the passages that were read.

    reader: log-odds that the passage holds an answer, as its reader has them
    in_sentence, in_passage, anywhere: share of the question's words in the best sentence, the passage, all hits
    in_own_sentence: the same share in the sentence that would be shown
    names_missing: names of the question that the passage lacks
    likeness: of question and passage word by word; where no embedder tells it, what it usually is
    covered, covered_in_sentence: share of the question's words, what is rare in the collection worth more, in the
        passage and in its best sentence with the headings above; unknown: of those that the collection does not have
    missing: what the dearest of the question's words is worth that the passage lacks
    named: share of the question's names that it has; sourced: share of the words of its file's name that are asked
    entered: whether it is the entry of a number or an identifier that is asked about
    words: the passage's score by its words beside the highest of all hits
    lead: how much more of the question the passage holds than the best of the others
    rank: its place among the hits, 0 for the first
    wants_words: 1 where words answer, 0 where it takes a sentence or a block
    """

    reader: float
    in_sentence: float
    in_passage: float
    anywhere: float
    in_own_sentence: float
    names_missing: float
    likeness: float
    covered: float
    covered_in_sentence: float
    unknown: float
    missing: float
    named: float
    sourced: float
    entered: float
    words: float
    lead: float
    rank: float
    wants_words: float


def signs_of(coverage: Coverage, index: int, own_sentence: int, reader: float, form: Form) -> Signs:
    """The signs of one hit among those that were read."""
    shares, parts = coverage.shares[index], [hit.parts for hit in coverage.hits]
    passages = [coverage.in_passage(place) for place in range(len(coverage.hits))]
    others = [share for place, share in enumerate(passages) if place != index]
    most_words = max((part.get("bm25", 0.0) for part in parts), default=0.0)
    return Signs(
        reader=reader_sign(reader),
        in_sentence=max(shares, default=0.0),
        in_passage=passages[index],
        anywhere=coverage.anywhere(),
        in_own_sentence=shares[own_sentence] if 0 <= own_sentence < len(shares) else 0.0,
        names_missing=float(min(3, coverage.names_missing(index))),
        likeness=float(parts[index].get("tokens", USUAL_LIKENESS)),
        # Hits that no retriever looked at have none of these: then the hits are what there is of the collection.
        covered=parts[index].get("covered", passages[index]),
        covered_in_sentence=parts[index].get("in_sentence", max(shares, default=0.0)),
        unknown=parts[index].get("unknown", 1 - coverage.anywhere()),
        missing=parts[index].get("missing", coverage.most_missing(index)),
        named=parts[index].get("named", coverage.named(index)),
        sourced=parts[index].get("sourced", 0.0),
        entered=parts[index].get("entered", 0.0),
        words=parts[index].get("bm25", 0.0) / most_words if most_words > 0 else 1.0,
        lead=passages[index] - max(others, default=0.0),
        rank=float(index),
        wants_words=float(form == "words"),
    )


def reader_sign(log_odds: float) -> float:
    """A reader's log-odds as a sign: beyond some point they say nothing more."""
    return max(-_MOST, min(_MOST, log_odds))


def log_odds(probability: float) -> float:
    """Of a probability, as far as doubles tell it from 0 and 1."""
    least = 1e-12
    return math.log(max(probability, least) / max(1 - probability, least))


@dataclass(frozen=True)
class Thresholds:
    """How likely an answer must be before anything is shown, its sentence stands alone, and its words do."""

    answer: float
    sentence: float
    span: float


@dataclass(frozen=True)
class Decision:
    """For each group: weights of `Signs` by name, with a bias; and thresholds of what they give.

    alone: weights that tell whether less than the passage is enough, fitted without questions made to look alike
    """

    weights: Mapping[Group, Mapping[str, float]]
    thresholds: Mapping[Group, Thresholds]
    alone: Mapping[Group, Mapping[str, float]] = field(default_factory=dict)

    def probability(self, group: Group, signs: Signs) -> float:
        """That the passage answers the question, 0 to 1."""
        return self._probability(self.weights[group], signs)

    def certainty(self, group: Group, signs: Signs) -> float:
        """The same where it is known that something answers: whether its sentence or its words are enough."""
        return self._probability(self.alone.get(group, self.weights[group]), signs)

    def asks_reader(self, group: Group) -> bool:
        """Whether what a reader finds in a passage counts for the probability that it answers."""
        return any(self.weights[group][name] for name in OF_READER)

    @staticmethod
    def _probability(weights: Mapping[str, float], signs: Signs) -> float:
        logit = weights["bias"] + sum(weights[name] * value for name, value in asdict(signs).items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def group_of(language: Language, coverage: Coverage) -> Group:
    """Which weights decide."""
    return f"{language}-{'prose' if coverage.prose >= PROSE_SHARE else 'manual'}"


def words_are_likely(group: Group) -> bool:
    """Whether a reader's words are worth marking where it is not sure: of prose, which it was trained on."""
    return group.endswith("-prose")


@lru_cache(maxsize=2)
def load_decision(path: Path = WEIGHTS) -> Decision:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other signs."""
    wanted = sorted({each.name for each in fields(Signs)} | {"bias"})
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["groups"]
        weights = {group: {name: float(values[name]) for name in wanted} for group, values in told.items()}
        alone = {
            group: {name: float(values["alone"][name]) for name in wanted}
            for group, values in told.items()
            if "alone" in values
        }
        thresholds = {group: Thresholds(**values["thresholds"]) for group, values in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} holds no weights for what is shown ({error!r}): reinstall pagoda") from error
    return Decision(weights, thresholds, alone)
