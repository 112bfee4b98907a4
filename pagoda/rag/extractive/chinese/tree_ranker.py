"""The learned part of the extractive answerer in Chinese: boosted trees over numbers and over what answers had before.

On a question's path: question -> Hits -> words -> candidate spans -> features -> *ranker* -> answer. A few trees choose
the best candidates by expected F1, more trees rank those (`benchmarks/train_chinese.py` fits both). Evaluated in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pagoda.rag.extractive.choice import expected_best
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.ranker import MAX_COMPARED, SpanRanker

NUM_RANKED = 200
MAX_LEAVES = 16
"""Of a tree: one bit of a word each."""
BELOW_ALL = 12.0
"""How far below the worst ranked candidate all others are put."""
ODDS_STEP = 0.05
TEMPERATURE, EXACT = 0.8, 0.4
"""What scores are divided by where spans are compared, for trees are less sure than they should be; and what the very
words count beside their F1, without which an answer has some words more or fewer than were asked for. Chosen on
paragraphs that the trees had not seen, one half of them checked by the other."""
DECIDING_TEMPERATURE = 0.6
"""Of the choice that the decision to answer knows, whose weights were fitted with it."""
LEADING, BROKEN = 0.5, 9.0
"""Taken from the score of a span that begins with a word which leads to an answer, or has half a pair of marks; the
latter also where it has no number and one is asked for."""
_LEADS = frozenset("由位于於是为為以在属即叫因从被对向与和及而并则至到的有")
_PAIRS = (("《", "》"), ("“", "”"), ("「", "」"), ("『", "』"), ("（", "）"), ("(", ")"), ("【", "】"))


@dataclass(frozen=True)
class Trees:
    """A forest whose trees' values are added.

    feature, left, right: [num_trees, num_nodes] int16; a node below zero is leaf -1 - node
    threshold: [num_trees, num_nodes] float32, left where the feature is at most this; value: [num_trees, num_leaves]
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[num_rows] float32 for [num_rows, num_features].

        No walk from node to node: each node whose condition fails rules out the leaves to its left, and of those that
        are left the first is the row's (QuickScorer: Lucchese et al. 2015, doi 10.1145/2766462.2767733).
        """
        nodes, values = self._nodes, self._values
        ruled_out = np.zeros((len(features), len(values)), np.uint16)
        for feature, threshold, left in zip(*nodes, strict=True):
            ruled_out |= (features[:, feature] > threshold) * left
        return np.asarray(values[np.arange(len(values)), _first_clear()[ruled_out]].sum(axis=1, dtype=np.float32))

    @cached_property
    def _nodes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[num_nodes, num_trees] thrice: feature, threshold, bits of the leaves to the left; an unused node rules out
        none."""
        bits = np.zeros(self.feature.shape, np.uint16)
        for tree, leaves in enumerate(self._leaves):
            place = {leaf: at for at, leaf in enumerate(leaves)}
            for node in range(len(leaves) - 1):
                below = self._below(tree, int(self.left[tree, node]))
                bits[tree, node] = sum(1 << place[leaf] for leaf in below)
        return self.feature.T, self.threshold.T, bits.T

    @cached_property
    def _values(self) -> np.ndarray:
        """[num_trees, MAX_LEAVES] of the leaves from left to right."""
        values = np.zeros((len(self.value), MAX_LEAVES), np.float32)
        for tree, leaves in enumerate(self._leaves):
            values[tree, : len(leaves)] = self.value[tree, leaves]
        return values

    @cached_property
    def _leaves(self) -> list[list[int]]:
        """Of each tree, from left to right."""
        return [self._below(tree, 0) for tree in range(len(self.feature))]

    def _below(self, tree: int, node: int) -> list[int]:
        if node < 0:
            return [-1 - node]
        left, right = int(self.left[tree, node]), int(self.right[tree, node])
        return [*self._below(tree, left), *self._below(tree, right)]


@lru_cache(maxsize=1)
def _first_clear() -> np.ndarray:
    """[2 ** MAX_LEAVES] uint8: the lowest bit that is 0."""
    numbers = np.arange(1 << MAX_LEAVES, dtype=np.uint32)
    lowest = ~numbers & (numbers + 1)
    return np.asarray(np.log2(lowest).astype(np.uint8))


@dataclass(frozen=True)
class TreeRanker(SpanRanker):
    """odds: [num_buckets] int8, in ODDS_STEP, log of how much more often answers than other spans had a name.

    first: chooses the candidates that are ranked; second: ranks them
    """

    odds: np.ndarray
    first: Trees
    second: Trees
    decision: np.ndarray

    def scores(self, passage: Passage) -> np.ndarray:
        """[num_candidates] float32; comparable within one passage."""
        features = with_odds(passage, self._known)
        top = chosen(self.first(features))
        ranked = self.second(features[top])
        scores = np.full(len(features), ranked.min(initial=0.0) - BELOW_ALL, dtype=np.float32)
        scores[top] = ranked
        return scores

    def best(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate to answer with: whole, and of the largest expected F1 and likelihood together."""
        likely = scores - LEADING * _begins_with_lead(passage) - BROKEN * _is_broken(passage)
        if passage.numberless is not None:  # whatever stands beside it, 浙江绍兴 is no year
            likely = likely - BROKEN * passage.numberless
        return expected_best(passage.spans, likely / TEMPERATURE, passage.sizes(), MAX_COMPARED, EXACT)

    def deciding(self, passage: Passage, scores: np.ndarray) -> int:
        """The candidate of the largest expected F1, by which to decide whether the passage answers."""
        return expected_best(passage.spans, scores / DECIDING_TEMPERATURE, passage.sizes(), MAX_COMPARED)

    def arrays(self) -> dict[str, Any]:
        """What is saved: one array a name."""
        forests = {"first": self.first, "second": self.second}
        parts = {f"{which}_{name}": array for which, trees in forests.items() for name, array in vars(trees).items()}
        return {"odds": self.odds, "decision": self.decision, **parts}

    @classmethod
    def from_arrays(cls, arrays: Any) -> TreeRanker:
        """From what `arrays` gave. Raises KeyError where one is missing."""
        forests = [
            Trees(**{name: arrays[f"{which}_{name}"] for name in Trees.__dataclass_fields__})
            for which in ("first", "second")
        ]
        return cls(arrays["odds"], forests[0], forests[1], arrays["decision"])

    @cached_property
    def _known(self) -> np.ndarray:
        return self.odds.astype(np.float32) * np.float32(ODDS_STEP)


def chosen(values: np.ndarray) -> np.ndarray:
    """The candidates that are ranked: the best by the first trees, best first."""
    return np.argsort(-values, kind="stable")[:NUM_RANKED]


def with_odds(passage: Passage, odds: np.ndarray) -> np.ndarray:
    """[num_candidates, num_features] float32: the dense features, the odds of all names, and their sums."""
    first, last = passage.spans[:, 0], passage.spans[:, 1]
    parts = [odds[passage.starts][first], odds[passage.ends][last], odds[passage.names]]
    sums = [part.sum(axis=1, keepdims=True) for part in parts]
    return np.concatenate([passage.dense, *parts, *sums], axis=1, dtype=np.float32)


def _begins_with_lead(passage: Passage) -> np.ndarray:
    """[num_candidates] bool."""
    leads = np.array([token.text in _LEADS for token in passage.tokens], dtype=bool)
    return np.asarray(leads[passage.spans[:, 0]])


def _is_broken(passage: Passage) -> np.ndarray:
    """[num_candidates] bool: a mark of a pair stands in the span without the other."""
    broken = np.zeros(len(passage.spans), dtype=bool)
    first, last = passage.spans[:, 0], passage.spans[:, 1]
    for opening, closing in _PAIRS:
        steps = np.array([(t.text == opening) - (t.text == closing) for t in passage.tokens], dtype=np.int64)
        if steps.any():
            depth = np.concatenate([[0], np.cumsum(steps)])
            broken |= (depth[last + 1] != depth[first]) | _dips(depth, first, last)
    return broken


def _dips(depth: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """[num_candidates] bool: a pair that was opened before the span ends in it."""
    falls = np.flatnonzero(np.diff(depth) < 0)
    at = np.searchsorted(falls, first)
    next_fall = np.append(falls, len(depth))[at]
    return (next_fall <= last) & (depth[np.minimum(next_fall + 1, len(depth) - 1)] < depth[first])
