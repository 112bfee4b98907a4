"""From labelled Chinese sentences to a calibrated reader, in seconds for hundreds and a minute for thousands.

Before the path *sentence -> Understanding*. Both heads are linear in hashed features and start at zero, so that rows
which no example touches stay there and need not be kept; calibrated by cross-validation, as a sentence of few examples
tells nothing about itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pagoda.nlu import calibration, crf
from pagoda.nlu.calibration import Calibration
from pagoda.nlu.chinese_reader import GRAM_BITS, TAG_BITS, ChineseReader, Weights, forbidden_moves, tf_idf
from pagoda.nlu.encoder import padded
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.joint_training import OnProgress
from pagoda.nlu.labelled import Labelled, folds, intents_told
from pagoda.nlu.ngrams import padded_rows
from pagoda.nlu.reading import Labels, signs_of
from pagoda.nlu.substitution import substituted
from pagoda.nlu.training_settings import TrainingSettings

if TYPE_CHECKING:
    import torch

_BATCH, _RATE, _NUM_FOLDS, _DROPOUT = 32, 0.02, 4, 0.2
_ITERATIONS, _LOOSENESS = 100, 10.0
"""Of the intents' logistic regression: steps, and how little it is held back (the inverse of the penalty)."""
_STEPS = 1200
"""Steps at least, as long as that is at most forty passes; ten passes where there are many examples."""


def train_chinese(
    examples: Sequence[Labelled],
    lexicon: Mapping[str, Iterable[str]],
    settings: TrainingSettings,
    on_progress: OnProgress | None = None,
) -> tuple[ChineseReader, Calibration | None]:
    """A reader, and its calibration where the examples have intents."""
    labels = Labels.of(examples)
    requestable = frozenset(slot for example in examples for slot in example.requested)
    empty = Weights(*(np.zeros(0) for _ in range(5)))
    reader = ChineseReader(labels, empty, Gazetteer.of(examples, lexicon), requestable)
    grams = [reader.gram_rows(example.words, example) for example in examples]
    fitted = None
    if labels.in_scope:
        logits, signs = _cross_validated(examples, grams, labels, settings.seed, on_progress)
        told = intents_told(examples)
        inside = logits[told, : len(labels.in_scope)]
        truth = labels.truth(examples)[told]
        fitted = calibration.fit(inside, signs[told], truth, settings.false_rejects_for(examples))
    table, constants = _train_intents(examples, grams, labels)
    more = substituted(examples, lexicon, settings.seed)
    features, moves = _train_tags(reader, [*examples, *more], settings.seed, on_progress)
    reader.weights = Weights(table, constants, _rarity(grams), features, moves)
    return reader, fitted


def _cross_validated(
    examples: Sequence[Labelled],
    grams: Sequence[list[int]],
    labels: Labels,
    seed: int,
    on_progress: OnProgress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """([n, num_intents] logits, [n, num_signs]) of each example by weights that were trained without its fold."""
    fold = np.array(folds(examples, _NUM_FOLDS, seed))
    logits = np.zeros((len(examples), len(labels.intents)), np.float32)
    familiar = np.zeros(len(examples))
    for number in range(_NUM_FOLDS):
        outside = np.flatnonzero(fold != number).tolist()
        if not outside:
            continue
        known = [grams[i] for i in outside]
        table, constants = _train_intents([examples[i] for i in outside], known, labels)
        weights = Weights(table, constants, _rarity(known), np.zeros(0), np.zeros(0))
        part = ChineseReader(labels, weights, Gazetteer({}), frozenset())
        for index in np.flatnonzero(fold == number).tolist():
            logits[index], familiar[index] = part.intent_logits(grams[index]), part.familiarity(grams[index])
        if on_progress is not None:
            on_progress("cross-validation", number + 1, _NUM_FOLDS)
    return logits, signs_of(labels, logits, familiar)


def _rarity(grams: Sequence[Sequence[int]]) -> np.ndarray:
    counts = np.zeros(2**GRAM_BITS + 1)
    for bag in grams:
        counts[list(set(bag))] += 1
    rarity = np.where(counts > 0, np.log((1 + len(grams)) / (1 + counts)) + 1, 0)
    return rarity.astype(np.float16).astype(np.float32)


def _train_intents(
    examples: Sequence[Labelled], grams: Sequence[list[int]], labels: Labels
) -> tuple[np.ndarray, np.ndarray]:
    """The table of n-grams and the constants; examples without an intent are left out."""
    import torch
    from torch.nn.functional import cross_entropy, embedding_bag

    chosen = [index for index, example in enumerate(examples) if example.intent]
    if not chosen:
        num_intents = len(labels.intents)
        return np.zeros((2**GRAM_BITS + 1, num_intents), np.float32), np.zeros(num_intents, np.float32)
    rarity = _rarity(grams)
    used, numbered = np.unique(np.concatenate([grams[index] for index in chosen]), return_inverse=True)
    bags, starts = (
        torch.from_numpy(numbered),
        torch.tensor([0, *(len(grams[index]) for index in chosen[:-1])]).cumsum(0),
    )
    shares = torch.from_numpy(np.concatenate([tf_idf(rarity[grams[index]]) for index in chosen]))
    right = torch.tensor([labels.intents.index(examples[index].intent) for index in chosen])
    importance = torch.from_numpy(_importance(labels, right.numpy()))
    table = torch.zeros(len(used), len(labels.intents), requires_grad=True)
    constants = torch.zeros(len(labels.intents), requires_grad=True)

    def loss() -> torch.Tensor:
        logits = embedding_bag(bags, table, starts, mode="sum", per_sample_weights=shares) + constants
        lost = (cross_entropy(logits, right, reduction="none") * importance).sum()
        return lost * _LOOSENESS + table.square().sum() / 2

    minimise([table, constants], loss)
    return _spread(table, used, GRAM_BITS), _rounded(constants)


def minimise(parameters: list[torch.Tensor], loss: Callable[[], torch.Tensor], history: int = 100) -> None:
    """L-BFGS over all examples at once: steps by the batch would give rare n-grams too much weight.

    history: steps that are remembered, each of which takes twice the memory of the parameters
    """
    import torch

    optimiser = torch.optim.LBFGS(parameters, max_iter=_ITERATIONS, history_size=history, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        lost = loss()
        lost.backward()
        return float(lost.detach())

    optimiser.step(closure)


def _importance(labels: Labels, right: np.ndarray) -> np.ndarray:
    """float32 [n], 1 on average: an example of a rare intent counts more, by the root of how rare it is."""
    weights = 1 / np.sqrt(np.bincount(right, minlength=len(labels.intents))[right])
    return np.asarray(weights / weights.mean(), np.float32)


def _train_tags(
    reader: ChineseReader, examples: Sequence[Labelled], seed: int, on_progress: OnProgress | None
) -> tuple[np.ndarray, np.ndarray]:
    """The table of features and the transitions with what is forbidden."""
    import torch

    numbers = {tag: row for row, tag in enumerate(reader.labels.tags)}
    tags = [[numbers[tag] for tag in example.tags()] for example in examples]
    all_rows = [reader.tag_rows(example.words, example.shown_request, example) for example in examples]
    used, bags = _compact([padded_rows(table) for table in all_rows])
    table = torch.zeros(len(used), len(numbers), requires_grad=True)
    moves = torch.zeros(len(numbers) + 1, len(numbers), requires_grad=True)
    forbidden = torch.from_numpy(forbidden_moves(reader.labels))

    def loss(part: list[int]) -> torch.Tensor:
        gold, there = padded([tags[i] for i in part])
        laid = torch.from_numpy(_side_by_side([bags[i] for i in part], gold.shape[1]))
        emissions = table[laid * (torch.rand(laid.shape) >= _DROPOUT)].sum(2)
        where = torch.from_numpy(there)
        return crf.negative_log_likelihood(emissions, torch.from_numpy(gold), where, moves + forbidden).mean()

    if len(numbers) > 1:
        _descend([table, moves], loss, len(examples), seed, on_progress)
    return _spread(table, used, TAG_BITS), _rounded(moves) + forbidden_moves(reader.labels)


def _compact(tables: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """(rows that occur, 0 first; the tables with these rows' numbers): no step need touch the others."""
    used = np.unique(np.concatenate([[0], *(table.ravel() for table in tables)]))
    return used, [np.searchsorted(used, table) for table in tables]


def _spread(values: torch.Tensor, used: np.ndarray, bits: int) -> np.ndarray:
    """The rows at their places in a table of 2**bits + 1; the padding's stays zero."""
    table = np.zeros((2**bits + 1, values.shape[1]), np.float32)
    table[used] = _rounded(values)
    table[0] = 0
    return table


def _side_by_side(tables: Sequence[np.ndarray], longest: int) -> np.ndarray:
    laid = np.zeros((len(tables), longest, max(table.shape[1] for table in tables)), np.int64)
    for row, table in enumerate(tables):
        laid[row, : table.shape[0], : table.shape[1]] = table
    return laid


def _descend(
    parameters: list[torch.Tensor],
    loss: Callable[[list[int]], torch.Tensor],
    num_examples: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> None:
    """Adam with a linear decay over random batches; random numbers of the caller are left as they were."""
    import torch

    per_epoch = len(range(0, num_examples, _BATCH))
    num_steps = per_epoch * int(np.clip(_STEPS // per_epoch, 10, 40))
    optimiser = torch.optim.Adam(parameters, lr=_RATE)
    rng, order = random.Random(seed), list(range(num_examples))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(num_steps):
            if step % per_epoch == 0:
                rng.shuffle(order)
            first = step % per_epoch * _BATCH
            optimiser.param_groups[0]["lr"] = _RATE * (1 - step / num_steps)
            optimiser.zero_grad()
            loss(order[first : first + _BATCH]).backward()
            optimiser.step()
            if on_progress is not None:
                on_progress("training", step + 1, num_steps)


def _rounded(values: torch.Tensor) -> np.ndarray:
    """As a file holds it."""
    return values.detach().half().float().numpy()
