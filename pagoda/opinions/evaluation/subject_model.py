"""Whom is the bad news about? Groups around each firm's sign, the firm's name, and names that stand within names.

Beside the path *item -> opinion of a company*: what `FinNSP` asks, and a sign of a company in a watch does not tell.
Which of the firms that a text names are its subject is a matter of the text, of the name (a bank that warns of a
platform is seldom the culprit), and of how the set was made: a name that stands nowhere but within a longer one is
left out where the longer one is marked. A logistic regression weighs the three, fitted on texts that neither of the
other two has seen (Wolpert 1992, "Stacked Generalization"); the threshold that is best for F1 is half of the F1 that is
reached (Lipton, Elkan and Narayanaswamy 2014, arXiv 1402.1892).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.nlu.chinese_training import minimise
from pagoda.nlu.ngrams import character_groups, rows
from pagoda.opinions.evaluation.sets import Subjects
from pagoda.opinions.reading.gram_model import GramModel, grams_of, train_grams
from pagoda.opinions.reading.spelling import folded

_BITS, _FIFTH = 22, 5
_THRESHOLD = 0.45
"""Probability from which on a firm counts: half of an F1 of .9."""


@dataclass(frozen=True)
class SubjectModel:
    """texts, names: score two labels, of which 1 is that bad news is about the firm; weights: [signs + 1]."""

    texts: GramModel
    names: GramModel
    weights: np.ndarray

    def negative(self, subjects: Subjects) -> set[str]:
        """The firms of which a text tells bad news."""
        if not subjects.named:
            return set()
        log_odds = _signs(subjects, self.texts, self.names) @ self.weights[:-1] + self.weights[-1]
        least = np.log(_THRESHOLD / (1 - _THRESHOLD))
        return {name for name, value in zip(subjects.named, log_odds, strict=True) if value > least}


def train_subjects(texts: Sequence[Subjects]) -> SubjectModel:
    """A model of texts with their firms. A fifth, by the hash of the text, weighs what was learned from the others."""
    held = [int(hashlib.md5(each.text.encode()).hexdigest(), 16) % _FIFTH == 0 for each in texts]
    inside = [each for each, out in zip(texts, held, strict=True) if not out]
    outside = [each for each, out in zip(texts, held, strict=True) if out and each.named]
    part = _learned(inside)
    signs = np.concatenate([_signs(each, *part) for each in outside])
    weights = _weighed(signs, _truth(outside))
    return SubjectModel(*_learned(texts), weights)


def _learned(texts: Sequence[Subjects]) -> tuple[GramModel, GramModel]:
    """Of texts around firms, and of their names."""
    truth = _truth(texts)
    around = train_grams([grams_of(marked) for each in texts for _, marked in each.asked()], truth, 2, 2)
    return around, train_grams([_of_name(name) for each in texts for name in each.named], truth, 2)


def _truth(texts: Sequence[Subjects]) -> np.ndarray:
    return np.array([int(name in each.negative) for each in texts for name in each.named])


def _of_name(name: str) -> np.ndarray:
    """uint32 [n]: the name as a whole, and the groups of its characters with its beginning and end."""
    plain = folded(name)
    return np.array(rows([f"|whole{plain}", *character_groups(["^", *plain, "$"])], _BITS), np.uint32)


def _signs(subjects: Subjects, texts: GramModel, names: GramModel) -> np.ndarray:
    """float [names, 6]: log-odds by the text and by the name; within a longer name or not, and the other way round.

    Of either there are two: the shorter one stands by itself as well, or it does not.
    """
    of_text = texts.scores([marked for _, marked in subjects.asked()])
    bags = names.bags([_of_name(name) for name in subjects.named])
    of_name = bags.sums(names.table) + names.constants
    alone = {name: subjects.stands_alone(name) for name in subjects.named}
    found = []
    for name in subjects.named:
        is_within = any(name in other for other in subjects.named if other != name)
        shorter = [other for other in subjects.named if other != name and other in name]
        holds_alone = any(alone[other] for other in shorter)
        found.append(
            [
                is_within and alone[name],
                is_within and not alone[name],
                bool(shorter) and holds_alone,
                bool(shorter) and not holds_alone,
            ]
        )
    odds = np.stack([of_text[:, 1] - of_text[:, 0], of_name[:, 1] - of_name[:, 0]], 1)
    return np.concatenate([odds, np.array(found, float)], 1)


def _weighed(signs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[signs + 1], logistic weights and a constant; signs are held back as if they were one wide."""
    import torch
    from torch.nn import functional as f

    wide = signs.std(0) + 1e-9
    given, wanted = torch.from_numpy(signs / wide), torch.from_numpy(truth).double()
    weights = torch.zeros(signs.shape[1] + 1, dtype=torch.double, requires_grad=True)

    def loss() -> torch.Tensor:
        lost = f.binary_cross_entropy_with_logits(given @ weights[:-1] + weights[-1], wanted, reduction="sum")
        return lost + weights[:-1].square().sum() / 2

    minimise([weights], loss)
    found = weights.detach().numpy()
    return np.concatenate([found[:-1] / wide, found[-1:]])
