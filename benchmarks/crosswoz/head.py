"""One yes-or-no answer for each of many labels, from bags of hashed features: logistic regressions side by side.

First station of a turn, *sentence -> acts*. Features are hashed (Weinberger et al. 2009, arXiv 0902.2206) and only
those that two examples share get weights. Trained in torch by Adam (Kingma and Ba 2015, arXiv 1412.6980) on the mean
binary cross-entropy; asked in numpy.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_MIN_COUNT = 2
# Most labels are absent from most examples.
_FIRST_BIAS = -2.0
_LAST_RATE = 0.05
"""Share of the learning rate that the last step has."""


@dataclass(frozen=True)
class HeadSettings:
    """dropout: share of an example's features that are left out of a step"""

    num_epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 0.1
    dropout: float = 0.2


class HashedHead:
    """Weights of labels.

    keys: uint32 [rows], sorted: hashes of features that have weights
    weights: float32 [rows + 1, labels]; the last row is the bias
    """

    def __init__(self, keys: np.ndarray, weights: np.ndarray) -> None:
        self.keys = keys
        self.weights = weights

    @classmethod
    def train(
        cls,
        bags: Sequence[Sequence[str]],
        targets: np.ndarray,
        factors: Sequence[Sequence[str]],
        allowed: np.ndarray | None = None,
        settings: HeadSettings | None = None,
    ) -> HashedHead:
        """From examples.

        targets: bool [examples, labels]
        factors: of each label, what it shares with others, such as its slot: weights are learnt for these and added,
            so that a phone number asked of one domain is known for another
        allowed: bool [examples, labels], False where a label is out of question

        The same examples give the same weights on one machine.
        """
        hashed = [hashes(bag) for bag in bags]
        counts = Counter(key for bag in hashed for key in bag.tolist())
        keys = np.array(sorted(key for key, count in counts.items() if count >= _MIN_COUNT), np.uint32)
        rows = [rows_of(keys, bag) for bag in hashed]
        mask = np.ones_like(targets, bool) if allowed is None else allowed
        return cls(keys, _fit(rows, len(keys), targets, mask, _shares(factors), settings or HeadSettings()))

    def scores(self, bag: Sequence[str]) -> np.ndarray:
        """float32 [labels] log-odds."""
        rows = rows_of(self.keys, hashes(bag))
        total = self.weights[-1].copy()
        if len(rows):
            total += self.weights[rows].sum(0) * _scale(len(rows))
        return total


def hashes(bag: Sequence[str]) -> np.ndarray:
    """uint32 [features]"""
    return np.fromiter((zlib.crc32(feature.encode()) for feature in bag), np.uint32, len(bag))


def rows_of(keys: np.ndarray, bag: np.ndarray) -> np.ndarray:
    """int64 rows of the hashes that have one."""
    if not len(keys):
        return np.zeros(0, np.int64)
    found = np.minimum(np.searchsorted(keys, bag), len(keys) - 1)
    return found[keys[found] == bag]


def _scale(num_features: int) -> float:
    """Long sentences have more features, and are to be no surer for it."""
    return float(1.0 / np.sqrt(num_features))


def _shares(factors: Sequence[Sequence[str]]) -> np.ndarray:
    """float32 [own and shared parts, labels]: 1 where a part belongs to a label."""
    shared = sorted({name for names in factors for name in names})
    belongs = np.array([[name in names for names in factors] for name in shared], np.float32)
    return np.concatenate([np.eye(len(factors), dtype=np.float32), belongs.reshape(len(shared), len(factors))])


def _fit(
    rows: Sequence[np.ndarray],
    num_rows: int,
    targets: np.ndarray,
    mask: np.ndarray,
    parts: np.ndarray,
    settings: HeadSettings,
) -> np.ndarray:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, embedding_bag

    belongs = torch.from_numpy(parts)
    table = torch.zeros(num_rows + 1, len(parts), requires_grad=True)
    bias = torch.full((targets.shape[1],), _FIRST_BIAS, requires_grad=True)
    wanted, counted = torch.from_numpy(targets.astype(np.float32)), torch.from_numpy(mask.astype(np.float32))
    generator = np.random.default_rng(0)
    batches = _batches(len(rows), settings, generator)
    optimizer = torch.optim.Adam([table, bias], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, _LAST_RATE, max(1, len(batches)))
    for batch in batches:
        ids, offsets, shares = _step_rows([rows[index] for index in batch], settings.dropout, generator)
        logits = embedding_bag(ids, table, offsets, mode="sum", per_sample_weights=shares) @ belongs + bias
        losses = binary_cross_entropy_with_logits(logits, wanted[batch], reduction="none")
        optimizer.zero_grad()
        ((losses * counted[batch]).sum() / len(batch)).backward()
        optimizer.step()
        schedule.step()
    weights = torch.cat([table[:-1] @ belongs, bias[None]]).detach().numpy()
    return np.ascontiguousarray(weights, np.float32)


def _batches(num_examples: int, settings: HeadSettings, generator: np.random.Generator) -> list[np.ndarray]:
    """Numbers of the examples of each step, in another order in each epoch."""
    orders = [generator.permutation(num_examples) for _ in range(settings.num_epochs)]
    return [
        order[start : start + settings.batch_size]
        for order in orders
        for start in range(0, num_examples, settings.batch_size)
    ]


def _step_rows(
    bags: Sequence[np.ndarray], dropout: float, generator: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of a batch on end, where each example begins, and what each row weighs."""
    import torch

    kept = [bag[generator.random(len(bag)) >= dropout] for bag in bags]
    starts = np.cumsum([0, *(len(rows) for rows in kept[:-1])])
    weights = [
        np.full(len(rows), _scale(max(1, len(bag))) / (1 - dropout), np.float32)
        for rows, bag in zip(kept, bags, strict=True)
    ]
    return (
        torch.from_numpy(np.concatenate(kept).astype(np.int64)),
        torch.from_numpy(starts),
        torch.from_numpy(np.concatenate(weights)),
    )
