"""How good lists of recommendations are, over all items of the shop.

Last station of a measurement. A list is held against what the person took afterwards, with every item that the model
knows as a rival: against a hundred drawn ones any order of models can come out (Krichene & Rendle 2020), and figures
four times too high. Beside hits stand coverage and Gini's coefficient, since a list of best-sellers hits as well.
NDCG is Järvelin & Kekäläinen's (2002) with gain 1 and the logarithm of base 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankingReport:
    """Means over people. hit: whether any asked item is among the first `k`; ndcg: how far in front they are.

    recall:   share of the asked items (at most `k` count) among the first `k`; of one asked item the same as hit
    coverage: share of the catalogue that was shown to anybody
    gini:     0, all items are shown alike, to 1, one alone
    """

    k: int
    num_users: int
    hit: float
    ndcg: float
    recall: float
    coverage: float
    num_shown: int
    gini: float

    def __str__(self) -> str:
        return (
            f"hit@{self.k} {self.hit:.4f}  NDCG@{self.k} {self.ndcg:.4f}  shown {self.num_shown} "
            f"({self.coverage:.1%})  Gini {self.gini:.3f}  of {self.num_users} users"
        )


def evaluate(
    lists: Mapping[str, Sequence[str]], asked: Mapping[str, Sequence[str]], num_items: int, k: int = 10
) -> RankingReport:
    """Hold each person's list against what was asked of it; who has no list missed everything.

    num_items: of the catalogue, for coverage and Gini
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))  # [k], of the first, second, ... place
    hits, gains, recalls = [], [], []
    shown: Counter[str] = Counter()
    for user, wanted in asked.items():
        first = list(lists.get(user, ()))[:k]
        shown.update(first)
        those = set(wanted)
        relevant = np.array([item in those for item in first], dtype=np.float64)
        best = min(k, len(those))
        hits.append(float(relevant.any()))
        gains.append(float(relevant @ discounts[: len(first)]) / float(discounts[:best].sum()))
        recalls.append(float(relevant.sum()) / best)
    counts = np.zeros(max(num_items, len(shown)))
    counts[: len(shown)] = sorted(shown.values())
    hit, ndcg, recall = (float(np.mean(values)) if values else 0.0 for values in (hits, gains, recalls))
    return RankingReport(
        k, len(asked), hit, ndcg, recall, len(shown) / max(1, num_items), len(shown), gini(counts)
    )  # fmt: skip


def gini(counts: np.ndarray) -> float:
    """Gini's coefficient of `counts [n]`: mean difference of two, over twice the mean; 0 where all are 0."""
    ordered = np.sort(counts.astype(np.float64))
    total = ordered.sum()
    if total == 0.0:
        return 0.0
    ranks = np.arange(1, len(ordered) + 1)
    return float(((2 * ranks - len(ordered) - 1) @ ordered) / (len(ordered) * total))
