"""Whether a passage holds the answer at all: what it says of the question, beside what the reader makes of it.

On a question's path: question -> Hits -> reader -> span and margin -> *decision* -> answer, or none. A question without
an answer is often one whose passage says something close: the year, the name or a word of it is another, it is denied,
or it is the opposite (Rajpurkar et al. 2018, "Know What You Don't Know", arXiv 1806.03822, table 2). The reader sees
few such questions in training, words show many of them: so both are counted and weighed by a logistic regression.
`benchmarks/train_answerable.py` fits it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pagoda.errors import ConfigError
from pagoda.rag.extractive.english.opposites import DENIALS, LIMITS, opposites_of
from pagoda.rag.extractive.english.question_type import QuestionType, question_type
from pagoda.rag.extractive.english.words import answerable_stem, is_content

WEIGHTS = Path(__file__).parents[1] / "data" / "answerable_en.npz"
WORD = re.compile(r"\w+(?:['’]\w+)?")
_YEAR = re.compile(r"[12]\d\d\d$")
_AMOUNTS = frozenset(
    ("how many", "how much", "how long", "how old", "how far", "how large", "how tall", "how big", "how often")
)
_DATES = frozenset(("year", "century", "decade", "date", "month"))
_NUMERALS_TEXT = (
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand "
    "million billion half dozen"
)
NUMERALS = frozenset(_NUMERALS_TEXT.split())
ASKING = frozenset(("which", "what"))


@dataclass(frozen=True)
class WordForms:
    """The words of a text: as written, in small letters, and stemmed."""

    written: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> WordForms:
        """Without marks.

        >>> WordForms.of("Who didn't sign it?").lower
        ('who', "didn't", 'sign', 'it')
        """
        return cls(tuple(WORD.findall(text.replace("’", "'"))))

    @cached_property
    def lower(self) -> tuple[str, ...]:
        """In small letters."""
        return tuple(word.lower() for word in self.written)

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """What is compared."""
        return tuple(answerable_stem(word) for word in self.lower)


class Comparison:
    """A question beside the sentences of its passage; its numbers by name are `features`."""

    def __init__(self, question: str, sentences: Sequence[str]) -> None:
        self._asked, self._told = WordForms.of(question), [WordForms.of(sentence) for sentence in sentences]
        self._kind = question_type(question)
        lower, content = self._asked.lower, [is_content(word) for word in self._asked.written]
        self._content = [i for i, kept in enumerate(content) if kept and lower[i] not in ASKING]
        self._shares = self._weighted_shares()
        self._best = int(np.argmax(self._shares)) if self._told else -1
        self._near = self._told[self._best] if self._told else WordForms(())
        self._near_stems, self._near_words = frozenset(self._near.stems), frozenset(self._near.lower)
        self._all_stems = frozenset(root for words in self._told for root in words.stems)
        self._all_words = frozenset(word for words in self._told for word in words.lower)

    def features(self) -> dict[str, float]:
        """Every number by its name."""
        return {**self._coverage(), **self._missing(), **self._denial(), **self._contrast(), **self._type()}

    def _weighted_shares(self) -> np.ndarray:
        """[num_sentences]: the share of the question's words in each, rare ones counting more."""
        roots = sorted({self._asked.stems[i] for i in self._content})
        held = [set(roots).intersection(words.stems) for words in self._told]
        rarity = {root: math.log(1 + (len(held) + 1) / (sum(root in h for h in held) + 0.5)) for root in roots}
        total = sum(rarity.values()) or 1.0
        return np.array([sum(rarity[root] for root in sorted(h)) / total for h in held])

    def _coverage(self) -> dict[str, float]:
        """How much of the question the best sentence, its neighbours and the passage hold."""
        roots = [self._asked.stems[i] for i in self._content]
        absent = [root not in self._near_stems for root in roots]
        nowhere = [root not in self._all_stems for root in roots]
        around = {root for words in self._told[max(0, self._best - 1) : self._best + 2] for root in words.stems}
        best, *rest = sorted(self._shares, reverse=True) or [0.0]
        return {
            "covered": best,
            "covered_more_than_next": best - (rest[0] if rest else 0.0),
            "share_not_in_sentence": sum(absent) / max(1, len(roots)),
            "share_not_around": sum(root not in around for root in roots) / max(1, len(roots)),
            "share_not_in_passage": sum(nowhere) / max(1, len(roots)),
            "only_elsewhere": sum(absent) - sum(nowhere),
            "sentences": len(self._told),
        }

    def _missing(self) -> dict[str, float]:
        """Which kinds of words are missing: numbers, names, others."""
        written, lower = self._asked.written, self._asked.lower
        numbers = [i for i in self._content if written[i][0].isdigit() or lower[i] in NUMERALS]
        names = [i for i in self._content if i and written[i][0].isupper()]
        others = [i for i in self._content if not written[i][0].isupper() and not written[i][0].isdigit()]
        return {
            "numbers_not_in_sentence": self._without(numbers, self._near_stems),
            "years_not_in_sentence": any(_YEAR.match(word) and word not in self._near_words for word in lower),
            "names_not_in_sentence": self._without(names, self._near_stems),
            "names_not_in_passage": self._without(names, self._all_stems),
            "others_asked": len(others),
            "others_not_in_sentence": self._without(others, self._near_stems),
            "others_not_in_passage": self._without(others, self._all_stems),
        }

    def _without(self, places: list[int], there: frozenset[str]) -> int:
        return sum(self._asked.stems[i] not in there for i in places)

    def _denial(self) -> dict[str, float]:
        """Whether question and sentence deny: "Who did not sign?" is rarely answered by who signed."""
        asked, told = (sum(map(_denies, words.lower)) for words in (self._asked, self._near))
        return {
            "denied": asked,
            "denied_in_question_only": bool(asked and not told),
            "denied_in_sentence_only": bool(told and not asked),
        }

    def _contrast(self) -> dict[str, float]:
        """Words that have an opposite or that limit, and what the passage has instead."""
        lower = self._asked.lower
        near = [word for word in lower if word not in self._near_words]
        nowhere = [word for word in lower if word not in self._all_words]
        return {
            "opposite_in_sentence": sum(not self._near_words.isdisjoint(opposites_of(word)) for word in near),
            "opposite_in_passage": sum(not self._all_words.isdisjoint(opposites_of(word)) for word in nowhere),
            "with_opposite_not_in_passage": sum(bool(opposites_of(word)) for word in nowhere),
            "limits_not_in_sentence": sum(word in LIMITS for word in near),
        }

    def _type(self) -> dict[str, float]:
        """What is asked for, and whether the sentence has such a thing that the question did not name itself."""
        kind, asked = self._kind, frozenset(self._asked.stems)
        new = [word for word, root in zip(self._near.lower, self._near.stems, strict=True) if root not in asked]
        has_number = any(word[0].isdigit() or word in NUMERALS for word in new)
        wants_date = kind.kind == "when" or bool(_DATES.intersection(kind.after[:1]))
        return {
            "asks_what": kind.kind == "what",
            "asks_who": kind.kind in ("who", "whom"),
            "amount_without_number": kind.kind in _AMOUNTS and not has_number,
            "date_without_number": wants_date and not has_number,
            "head_in_passage": _head(kind) in self._all_stems,
        }


@dataclass(frozen=True)
class Answerable:
    """The decision: P(the passage is about this) times P(it then holds the answer), each a logistic regression.

    They take two, for the words want opposite things: a question on the wrong passage lacks its words there, one that
    was made unanswerable has them all. about, told: [num_features + 1], the bias last; trust: what the log-odds of the
    reader count beside `told`
    """

    about: np.ndarray
    told: np.ndarray
    trust: float

    def log_odds(self, question: str, sentences: Sequence[str], reader_log_odds: float) -> float:
        """That the passage with these sentences holds the answer, where half of the questions have one."""
        features = features_of(question, sentences)
        told = features @ self.told[:-1] + self.told[-1] + self.trust * reader_log_odds
        return float(both(features @ self.about[:-1] + self.about[-1], told))

    def save(self, path: Path = WEIGHTS) -> None:
        """Write the weights."""
        about, told = self.about.astype(np.float32), self.told.astype(np.float32)
        names, trust = np.array(feature_names()), np.float32(self.trust)
        np.savez_compressed(path, names=names, about=about, told=told, trust=trust)


@lru_cache(maxsize=2)
def load_answerable(path: Path = WEIGHTS) -> Answerable:
    """The packaged decision. Raises ConfigError where its file is missing, broken, or of other features."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, trust = tuple(arrays["names"].tolist()), float(arrays["trust"])
            about, told = (arrays[name].astype(np.float64) for name in ("about", "told"))
    except (OSError, KeyError, ValueError, TypeError, BadZipFile) as error:
        raise ConfigError(f"{path} holds no weights for the decision to answer ({error}): reinstall pagoda") from error
    shape = (len(feature_names()) + 1,)
    if names != feature_names() or about.shape != shape or told.shape != shape:
        raise ConfigError(f"{path} holds weights of other features than are counted: reinstall pagoda")
    return Answerable(about, told, trust)


def both(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Log-odds that two things hold, from the log-odds of each: of the product of their probabilities.

    >>> both(np.array([0.0, 30.0]), np.array([0.0, 1.0])).round(3).tolist()
    [-1.099, 1.0]
    """
    return -np.logaddexp(np.logaddexp(-one, -other), -one - other)


def features_of(question: str, sentences: Sequence[str]) -> np.ndarray:
    """[num_features] float64, as `feature_names` has them."""
    return np.array([float(value) for value in Comparison(question, sentences).features().values()])


@lru_cache(maxsize=1)
def feature_names() -> tuple[str, ...]:
    """The names of all features, in their order."""
    return tuple(Comparison("", []).features())


def _denies(word: str) -> bool:
    return word in DENIALS or word.endswith("n't")


def _head(kind: QuestionType) -> str:
    """The stem of the first word that tells what is asked for: "year" in "In what year"; "" for none."""
    return next((answerable_stem(word) for word in kind.after[:4] if word.isalpha() and is_content(word)), "")
