"""A linear classifier over groups of characters and words: for Chinese alone, for English beside MiniLM.

On the path *item -> opinion of a company*. Each group weighs by how rare it is and by how much likelier it is under a
label than under the others (Wang and Manning 2012, "Baselines and Bigrams", whose NB-SVM this is with a logistic loss);
hashed, so that no dictionary is kept (Weinberger et al. 2009, arXiv 0902.2206). Trained in seconds; numpy alone reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.nlu.chinese_training import minimise
from pagoda.nlu.ngrams import character_groups, rows, word_grams
from pagoda.nlu.tagging import Word
from pagoda.opinions.reading.marked import OTHER, TARGET, Marked, heaviest
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import OpinionWord

_BITS = 22
_LOOSENESS = 8.0
"""How little the weights are held back: the inverse of the penalty on their squares, as the loss is a sum."""
_SMOOTHING = 1.0
_MOST_WEIGHTS, _HISTORY = 4_000_000, 10
"""In a table, those of the commonest groups; and steps of the optimiser that are remembered: memory is bounded."""
_NEAR, _HEAD = 12, 30
"""Words on either side of the target, and from the text's beginning."""
_HAN = ("\u3400", "\u9fff")


@dataclass(frozen=True)
class Bags:
    """Texts as bags of groups. numbers: [n] of all texts one after the other; starts: [texts + 1]; values: [n]."""

    numbers: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sums(self, table: np.ndarray) -> np.ndarray:
        """[texts, width]: the rows of a table [groups, width], times their values, summed over each text."""
        weighted = table[self.numbers] * self.values[:, None]
        total = np.concatenate([np.zeros((1, table.shape[1])), np.cumsum(weighted, 0, dtype=np.float64)])
        return np.asarray(total[self.starts[1:]] - total[self.starts[:-1]], np.float32)


class GramModel:
    """Scores texts by the groups in them.

    hashes: uint32 [groups], sorted; rarity: [groups]; table: [groups, num_labels]; constants: [num_labels]
    """

    def __init__(self, hashes: np.ndarray, rarity: np.ndarray, table: np.ndarray, constants: np.ndarray) -> None:
        self.hashes, self.rarity, self.table, self.constants = hashes, rarity, table, constants

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels]."""
        return self.bags([grams_of(text) for text in texts]).sums(self.table) + self.constants

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Scores, and a text's words on demand."""
        return TextReading(self.scores(texts), lambda row, label: self.carried(texts[row], label))

    def carried(self, text: Marked, label: int) -> tuple[OpinionWord, ...]:
        """Groups that spoke for a label against the average of all."""
        words = text.words()
        bag = self.bags([grams_of(text)])
        gains = (self.table[:, label] - self.table.mean(1))[bag.numbers] * bag.values
        gain_of = dict(zip(self.hashes[bag.numbers].tolist(), gains.tolist(), strict=True))
        places = []
        for size in (3, 2, 1):
            for first in range(len(words) - size + 1):
                run = words[first : first + size]
                gram = rows([_joined(run)], _BITS)[0]
                if gram in gain_of and run[-1].end - run[0].start <= 40:
                    places.append((run[0].start, run[-1].end, gain_of[gram]))
        return heaviest(text.text, places)

    def bags(self, grams: Sequence[np.ndarray]) -> Bags:
        """Known groups of each text with their weights: of unit length, the logarithm of how often they stand there."""
        numbers, values, lengths = [], [], [0]
        for found in grams:
            hashes, counts = np.unique(found, return_counts=True)
            at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
            known = self.hashes[at] == hashes
            weights = (1 + np.log(counts[known])) * self.rarity[at[known]]
            values.append(weights / max(1e-9, float(np.linalg.norm(weights))))
            numbers.append(at[known])
            lengths.append(int(known.sum()))
        return Bags(np.concatenate(numbers), np.cumsum(lengths), np.concatenate(values).astype(np.float32))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file holds. Groups that say nothing, too: they count in the length of a text."""
        return {
            "hashes": self.hashes,
            "rarity": self.rarity.astype(np.float16),
            "table": self.table.astype(np.float16),
            "constants": self.constants,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> GramModel:
        """The inverse of `tensors`."""
        rarity, table = (tensors[name].astype(np.float32) for name in ("rarity", "table"))
        return cls(tensors["hashes"], rarity, table, tensors["constants"].astype(np.float32))


def grams_of(text: Marked) -> np.ndarray:
    """uint32 [n] hashes of a text's groups, each as often as it stands there."""
    words = text.words()
    low = [_plain(word) for word in words]
    found = character_groups(low)
    if not any(_HAN[0] <= word.text <= _HAN[1] for word in words[:40]):
        found += word_grams(words)
    return np.array(rows(found + _about_target(words, low), _BITS), np.uint32)


def _about_target(words: Sequence[Word], low: Sequence[str]) -> list[str]:
    """What stands near the target, once more as such; how often it and others are named, and whether at the head."""
    at = [place for place, word in enumerate(words) if word.text == TARGET]
    if not at:
        return []
    near = sorted({place for each in at for place in range(max(0, each - _NEAR), min(len(words), each + _NEAR + 1))})
    others = sum(word.text == OTHER for word in words)
    signs = [f"|targets{min(3, len(at))}", f"|others{min(3, others)}", f"|head{at[0] < _HEAD}"]
    return ["|near" + group for group in character_groups([low[place] for place in near])] + signs


def _plain(word: Word) -> str:
    """Numbers are one sign: what stands there matters, not how much it is. Traditional characters are simplified."""
    return "#" if word.text.isdigit() else folded(word.text)


def _joined(run: Sequence[Word]) -> str:
    return "".join(map(_plain, run))


def train_grams(grams: Sequence[np.ndarray], truth: np.ndarray, num_labels: int, fewest: int = 1) -> GramModel:
    """A model of texts' groups and their labels [n], 0 to num_labels - 1.

    fewest: texts that a group must stand in
    """
    sets = [np.unique(found) for found in grams]
    hashes, counts = np.unique(np.concatenate(sets), return_counts=True)
    hashes, counts = hashes[counts >= fewest], counts[counts >= fewest]
    most = _MOST_WEIGHTS // num_labels
    if len(hashes) > most:
        kept = np.sort(np.argsort(-counts, kind="stable")[:most])
        hashes, counts = hashes[kept], counts[kept]
    rarity = (np.log((1 + len(grams)) / (1 + counts)) + 1).astype(np.float32)
    model = GramModel(hashes, rarity, np.zeros((len(hashes), num_labels), np.float32), np.zeros(num_labels, np.float32))
    bags = model.bags(grams)
    ratios = _log_ratios(bags, truth, num_labels, len(hashes))
    table, constants = _fitted(bags, ratios, truth)
    # As it is when a file was read, so that both say the same.
    return GramModel.from_tensors(GramModel(hashes, rarity, table, constants).tensors())


def _log_ratios(bags: Bags, truth: np.ndarray, num_labels: int, num_groups: int) -> np.ndarray:
    """[groups, num_labels]: how much likelier a group is under a label than under the others, as a logarithm's size."""
    owner = np.repeat(truth, np.diff(bags.starts))
    counts = np.zeros((num_groups, num_labels), np.float64)
    np.add.at(counts, (bags.numbers, owner), 1)
    inside, outside = counts + _SMOOTHING, counts.sum(1, keepdims=True) - counts + _SMOOTHING
    return np.abs(np.log(inside / inside.sum(0)) - np.log(outside / outside.sum(0))).astype(np.float32)


def _fitted(bags: Bags, ratios: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The table and the constants: one against the others for each label, groups weighed by its ratios."""
    import torch
    from torch.nn import functional as f

    numbers, starts, values = (torch.from_numpy(each) for each in (bags.numbers, bags.starts[:-1], bags.values))
    scale, num_labels = torch.from_numpy(ratios), ratios.shape[1]
    wanted = f.one_hot(torch.from_numpy(truth), num_labels).float()
    table = torch.zeros(ratios.shape, requires_grad=True)
    constants = torch.zeros(num_labels, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = f.embedding_bag(numbers, table * scale, starts, mode="sum", per_sample_weights=values) + constants
        lost = f.binary_cross_entropy_with_logits(scores, wanted, reduction="sum")
        return lost * _LOOSENESS + table.square().sum() / 2

    minimise([table, constants], loss, _HISTORY)
    return (table * scale).detach().numpy(), constants.detach().numpy()
