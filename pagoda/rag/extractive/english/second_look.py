"""A second look at the passage of a manual that is to be shown: does it tell what is asked, or only speak of it?

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. What comes
nearest to a question without an answer has most of its words, above all its subject, which stands in the headings: "How
long does a jar of it last?" finds the recipe. What tells the two apart is the rest of the question, whether a thing of
the kind that is sought stands near, whether the passage is nearer by meaning than what else was found, how near it
comes to the words that it lacks (`paraphrase`), and what the reader of spans makes of it, which has read it anyway: the
sentence of its words has to say what is asked, and what its network holds of both texts tells more than its margin.
Weighed by a logistic regression (`benchmarks/train_second_look.py`) beside the first look. Papers: Rajpurkar et al.
2018, "Know What You Don't Know" (arXiv 1806.03822); Zhang et al. 2020, "Retrospective Reader for Machine Reading
Comprehension" (arXiv 2001.09694), whose second reading verifies the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from pagoda.errors import ConfigError
from pagoda.minilm.shape import HIDDEN
from pagoda.rag.content_words import ASKING, content
from pagoda.rag.documents.document import Hit
from pagoda.rag.extractive.english.answerable import Comparison
from pagoda.rag.extractive.english.paraphrase import paraphrase
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.second_look import NEAR, SecondLook, bounded, read_second_look
from pagoda.rag.extractive.showing.sought import Sought, lacks_count, sought_by

WEIGHTS = Path(__file__).parents[1] / "data" / "second_look_en.json"
MEANING_WEIGHTS = WEIGHTS.with_suffix(".npy")
"""What each number of the reader's meaning counts."""
USUALLY_APART = 0.1
"""By how much a vector score stands out where no retriever tells it: about the mean of questions to manuals."""
USUALLY_SECOND = -2.0
"""Log-odds of the next best passage where there is none: nothing is known then, and so about the mean."""
_APART = re.compile(r"[/_.-]+")


@dataclass(frozen=True)
class FirstLook:
    """What is known of a passage already. probability: that it answers, by the first look, 0 to 1.

    margin: of the reader's best words over none; start: the character of the passage where they begin
    second: probability of the next best passage; None where there is none
    meaning: float32 [2 * HIDDEN], the reader's of question and passage; None where no network has read it
    """

    probability: float
    margin: float
    start: int
    second: float | None = None
    meaning: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Look:
    """What is known of a question and the passage that is to be shown.

    first: log-odds of the first look; margin: of the reader's best words over none
    told_near: 1 where all that is sought stands in the sentences that speak of the question, or right behind them
    untold: how many kinds of it stand nowhere in the passage
    no_count: nothing of the kind whose number is asked for is counted; wants_count: a number is asked for
    others_held: share of the question's words that do not stand above the passage, in its best sentence
    topic: share of its words that stand above it, in headings and path
    stands_out: how much nearer by meaning the passage is than what else was found, in the mean
    second: log-odds of the first look at the next best passage
    own_held: share of the question's words that do not stand above the passage, in the sentence of the reader's words
    own_told: 1 where all that is sought stands in that sentence
    denied: 1 where the sentence that speaks of the question denies, and the question does not: manuals say what is not
    num_words: how many plain words the question has
    no_amount: 1 where it asks for an amount, and the sentence that speaks of it has none
    lacking: how near by meaning the passage comes to the words of the question that it lacks; see `Paraphrase`
    alike: cosine of the question to the sentence of the reader's words
    meaning: what the reader's network holds of both, weighed, 0 at the mean
    """

    first: float
    margin: float
    told_near: float
    untold: float
    no_count: float
    wants_count: float
    others_held: float
    topic: float
    stands_out: float
    second: float
    own_held: float
    own_told: float
    denied: float
    num_words: float
    no_amount: float
    lacking: float
    alike: float
    meaning: float


def look_at(question: str, hit: Hit, sentences: Sequence[tuple[int, int]], known: FirstLook) -> Look:
    """The numbers of one passage. sentences: (start, end) in its text."""
    text, kinds = hit.text, sought_by(question)
    asked = content(ASKING.sub(" ", question)) or content(question)
    topic = content(f"{hit.chunk.heading} {_APART.sub(' ', hit.source)}")
    others, told = asked - topic, [text[start:end] for start, end in sentences]
    held, own = [content(each) for each in told], _sentence_at(sentences, known.start)
    shares = [len(others & words) / len(others) if others else 1.0 for words in held]
    words = Comparison(question, told).features()
    by_meaning = paraphrase(question, _above(hit), text, sentences, own)
    return Look(
        first=log_odds(known.probability),
        margin=bounded(known.margin),
        told_near=_told(kinds, _near(text, sentences, [len(asked & words) for words in held])),
        untold=float(sum(not kind.told.search(text) for kind in kinds)),
        no_count=float(lacks_count(question, text)),
        wants_count=float(any(kind.name == "count" for kind in kinds)),
        others_held=max(shares, default=0.0 if others else 1.0),
        topic=len(asked & topic) / max(1, len(asked)),
        stands_out=hit.parts.get("stands_out", USUALLY_APART),
        second=USUALLY_SECOND if known.second is None else bounded(log_odds(known.second)),
        own_held=shares[own] if told else 0.0,
        own_told=_told(kinds, told[own] if told else ""),
        denied=float(words["denied_in_sentence_only"]),
        num_words=float(words["others_asked"]),
        no_amount=float(words["amount_without_number"]),
        lacking=by_meaning.lacking,
        alike=by_meaning.alike,
        meaning=0.0 if known.meaning is None else float(known.meaning @ meaning_weights()[:-1] + meaning_weights()[-1]),
    )


def _above(hit: Hit) -> str:
    """Path and headings, as words."""
    path = PurePosixPath(hit.source).with_suffix("").as_posix()
    return f"{_APART.sub(' ', path)} {hit.chunk.title} {hit.chunk.section}"


@lru_cache(maxsize=2)
def meaning_weights(path: Path = MEANING_WEIGHTS) -> np.ndarray:
    """[2 * HIDDEN + 1] float32, the bias last. Raises ConfigError where the file is missing, broken, or of others."""
    try:
        weights: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights of the second look ({error!r}): reinstall pagoda") from error
    if weights.shape != (2 * HIDDEN + 1,):
        raise ConfigError(f"{path} holds weights of other numbers than are looked at: reinstall pagoda")
    return weights


def _told(kinds: Sequence[Sought], text: str) -> float:
    return float(all(kind.told.search(text) for kind in kinds))


def _sentence_at(sentences: Sequence[tuple[int, int]], start: int) -> int:
    """Which sentence a character stands in; the first where it stands between two."""
    return next((at for at, (left, right) in enumerate(sentences) if left <= start < right), 0)


def _near(text: str, sentences: Sequence[tuple[int, int]], shares: Sequence[int]) -> str:
    """The sentences that hold most of the question, each with the one behind it."""
    least = NEAR * max(shares, default=0)
    chosen = [at for at, share in enumerate(shares) if share >= least]
    return " ".join(text[sentences[at][0] : sentences[min(len(sentences) - 1, at + 1)][1]] for at in chosen)


def load_second_look(path: Path = WEIGHTS) -> SecondLook:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other numbers."""
    return read_second_look(path, Look)
