"""Small tasks over strings whose rule is known: whether it was learned, strings longer than in training show.

What the laboratory teaches beside texts: four of the fifteen of Ruoss et al. 2023 (arXiv 2305.16843, after Deletang et
al. 2023, arXiv 2207.02098), from their definitions: the network reads a string and as many empty places as the answer
has tokens, sees all of it at once, and fills in the places. A step has strings of one length, drawn from 1 to the
longest.

Ids: 0 is an empty place, 1 a token that is missing from the string, symbols are 2 and more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagoda.train.curriculum import NOT_COUNTED, TrainingBatch

EMPTY, MISSING, FIRST_SYMBOL = 0, 1, 2
_NEVER_TAUGHT = 2**31
"""Second seed of the strings that are held back; steps of training have their own numbers there."""

Strings = tuple[np.ndarray, np.ndarray]
"""Strings and their answers, both as symbols from 0 on: `[sequences, length]`, `[sequences, answer]`."""


def even_pairs(rng: np.random.Generator, sequences: int, length: int) -> Strings:
    """Whether "ab" and "ba" together occur an even number of times: whether the last letter is the first."""
    strings = rng.integers(2, size=(sequences, length))
    return strings, (strings[:, :1] == strings[:, -1:]).astype(np.int64)


def missing_duplicate(rng: np.random.Generator, sequences: int, length: int) -> Strings:
    """A string twice, one letter of it missing: which? The length is rounded up to an even one."""
    half = rng.integers(2, size=(sequences, (length + 1) // 2))
    strings = np.concatenate((half, half), axis=1)
    rows, places = np.arange(sequences), rng.integers(strings.shape[1], size=sequences)
    answers = strings[rows, places][:, None].copy()
    strings[rows, places] = MISSING - FIRST_SYMBOL
    return strings, answers


def bucket_sort(rng: np.random.Generator, sequences: int, length: int) -> Strings:
    """The letters of an alphabet of five, in order."""
    strings = rng.integers(5, size=(sequences, length))
    return strings, np.sort(strings, axis=1)


def reverse_string(rng: np.random.Generator, sequences: int, length: int) -> Strings:
    """The string backwards."""
    strings = rng.integers(2, size=(sequences, length))
    return strings, strings[:, ::-1]


TASKS: dict[str, Callable[[np.random.Generator, int, int], Strings]] = {
    "even_pairs": even_pairs,
    "missing_duplicate": missing_duplicate,
    "bucket_sort": bucket_sort,
    "reverse_string": reverse_string,
}
VOCAB_SIZE = 16
"""Symbols of the largest alphabet and the two of our own, rounded up to what matrix products like."""


def make_batch(task: str, rng: np.random.Generator, sequences: int, length: int) -> TrainingBatch:
    """Strings of `length` and their empty places."""
    strings, answers = TASKS[task](rng, sequences, length)
    places = np.full_like(answers, EMPTY)
    input_ids = np.concatenate((strings + FIRST_SYMBOL, places), axis=1)
    targets = np.concatenate((np.full_like(strings, NOT_COUNTED), answers + FIRST_SYMBOL), axis=1)
    return TrainingBatch(np.ascontiguousarray(input_ids), np.ascontiguousarray(targets))


@dataclass(frozen=True)
class TaskCurriculum:
    """One task to be taught.

    sequences: strings a step
    longest:   letters of the longest string in training
    seed:      of the strings: the same for all arms that are compared
    """

    task: str
    sequences: int
    longest: int
    seed: int
    is_causal: bool = False

    def batch(self, step: int) -> TrainingBatch:
        """Strings of one length, drawn anew."""
        rng = np.random.default_rng((self.seed, step))
        return make_batch(self.task, rng, self.sequences, int(rng.integers(1, self.longest + 1)))

    def held_back(self) -> dict[str, TrainingBatch]:
        """Strings of the longest length of training."""
        return {self.task: self.of_length(self.longest, self.sequences)}

    def of_length(self, length: int, sequences: int) -> TrainingBatch:
        """Strings that no step of training has."""
        rng = np.random.default_rng((self.seed, _NEVER_TAUGHT + length))
        return make_batch(self.task, rng, sequences, length)

    def save(self, directory: Path) -> None:
        """Weights are all that there is."""
