"""A second look at the passage of a manual that is to be shown: does it tell what is asked, or only speak of it?

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. What comes
nearest to a question without an answer has most of its words, above all its subject, which stands in the headings: "How
long does a jar of it last?" finds the recipe. What tells the two apart best is the `joint_reader`, which reads question
and passage together, beside how it takes the next best passage; then the rest of the question, whether a thing of the
kind that is sought stands near, and whether the passage is nearer by meaning than what else was found. Weighed by a
logistic regression (`benchmarks/train_second_look.py`) beside the first look. Papers: Rajpurkar et al. 2018, "Know What
You Don't Know" (arXiv 1806.03822); Zhang et al. 2020, "Retrospective Reader for Machine Reading Comprehension" (arXiv
2001.09694), whose second reading verifies the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pagoda.rag.content_words import content, content_asked
from pagoda.rag.documents.document import Hit
from pagoda.rag.extractive.english.answerable import Comparison
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.second_look import (
    NEAR,
    PassageLook,
    SecondLook,
    bounded,
    is_of_few,
    read_passage_weights,
    read_second_look,
)
from pagoda.rag.extractive.showing.sought import Sought, lacks_count, sought_by

WEIGHTS = Path(__file__).parents[1] / "data" / "second_look_en.json"
PASSAGE_WEIGHTS = WEIGHTS.with_name("passage_look_en.json")
USUALLY_APART = 0.1
"""By how much a vector score stands out where no retriever tells it: about the mean of questions to manuals."""
USUALLY_SECOND = -2.0
"""Log-odds of the next best passage where there is none: nothing is known then, and so about the mean."""


@dataclass(frozen=True)
class FirstLook:
    """What is known of a passage already. probability: that it answers, by the first look, 0 to 1.

    joint: log-odds that it answers, by the joint reader; second: the same of the next best passage, None without one
    unknown: share of the question that no document has, where yes or no is asked
    """

    probability: float
    joint: float
    second: float | None
    unknown: float = 0.0


@dataclass(frozen=True)
class Look:
    """What is known of a question and the passage that is to be shown.

    first: log-odds of the first look; joint, second: those of the joint reader, of the passage and of the next best
    unknown: share of the question that no document has, where yes or no is asked
    told_near: 1 where all that is sought stands in the sentences that speak of the question, or right behind them
    untold: how many kinds of it stand nowhere in the passage
    no_count: nothing of the kind whose number is asked for is counted; wants_count: a number is asked for
    stands_out: how much nearer by meaning the passage is than what else was found, in the mean
    denied: 1 where the sentence that speaks of the question denies, and the question does not: manuals say what is not
    num_words: how many plain words the question has
    no_amount: 1 where it asks for an amount, and the sentence that speaks of it has none
    few: 1 where it was found among a few passages, see `is_of_few`
    """

    first: float
    joint: float
    second: float
    unknown: float
    told_near: float
    untold: float
    no_count: float
    wants_count: float
    stands_out: float
    denied: float
    num_words: float
    no_amount: float
    few: float


@dataclass(frozen=True)
class ManualPassage(PassageLook):
    """Of an English manual. few: 1 where it was found among a few passages, see `is_of_few`"""

    few: float


def look_at(question: str, hit: Hit, sentences: Sequence[tuple[int, int]], known: FirstLook) -> Look:
    """The numbers of one passage. sentences: (start, end) in its text."""
    text, kinds = hit.text, sought_by(question)
    asked = content_asked(question) or content(question)
    told = [text[start:end] for start, end in sentences]
    words = Comparison(question, told).features()
    return Look(
        first=log_odds(known.probability),
        joint=bounded(known.joint),
        second=USUALLY_SECOND if known.second is None else bounded(known.second),
        unknown=known.unknown,
        told_near=_told(kinds, _near(text, sentences, [len(asked & content(each)) for each in told])),
        untold=float(sum(not kind.told.search(text) for kind in kinds)),
        no_count=float(lacks_count(question, text)),
        wants_count=float(any(kind.name == "count" for kind in kinds)),
        stands_out=hit.parts.get("stands_out", USUALLY_APART),
        denied=float(words["denied_in_sentence_only"]),
        num_words=float(words["others_asked"]),
        no_amount=float(words["amount_without_number"]),
        few=float(is_of_few(hit)),
    )


def _told(kinds: Sequence[Sought], text: str) -> float:
    return float(all(kind.told.search(text) for kind in kinds))


def _near(text: str, sentences: Sequence[tuple[int, int]], shares: Sequence[int]) -> str:
    """The sentences that hold most of the question, each with the one behind it."""
    least = NEAR * max(shares, default=0)
    chosen = [at for at, share in enumerate(shares) if share >= least]
    return " ".join(text[sentences[at][0] : sentences[min(len(sentences) - 1, at + 1)][1]] for at in chosen)


def load_second_look(path: Path = WEIGHTS) -> SecondLook:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other numbers."""
    return read_second_look(path, Look)


def passage_probability(first: float, joint: float, of_few: bool) -> float:
    """That a passage answers, 0 to 1, by the first look and the joint reader: which of those found is shown.

    first: probability; joint: log-odds; of_few: see `is_of_few`
    """
    look = ManualPassage(log_odds(first), bounded(joint), float(of_few))
    return read_passage_weights(PASSAGE_WEIGHTS, ManualPassage).probability(look)
