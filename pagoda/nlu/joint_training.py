"""Training of the joint network: heads alone over kept vectors, or heads and MiniLM's upper layers together.

Before the path *sentence -> Understanding*. The lower layers run once and their output is kept; upper layers learn the
slower the lower they are (Howard and Ruder 2018, "ULMFiT", arXiv 1801.06146), with a warm-up, a linear decay and an
average over the last steps (Izmailov et al. 2018, arXiv 1803.05407).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pagoda.hardware import has_bf16
from pagoda.nlu import crf
from pagoda.nlu.joint_model import Batch, Featured, JointModel, collate

if TYPE_CHECKING:
    import torch

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, steps done, steps in all."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. Rates are those of AdamW at their peak; layer_decay: per layer downwards.

    feature_dropout: share of the features of words and of n-grams that a step does not see
    average_from: share of the steps after which the weights are averaged
    smoothing: share of an intent's probability that the loss gives to the others
    """

    epochs: int
    batch_size: int = 32
    layer_rate: float = 1.5e-4
    head_rate: float = 2e-3
    layer_decay: float = 0.85
    warm_up: float = 0.08
    dropout: float = 0.1
    feature_dropout: float = 0.15
    average_from: float = 0.75
    smoothing: float = 0.0
    weight_decay: float = 0.01
    seed: int = 0


def keep_lower(
    model: JointModel, sentences: Sequence[Featured], on_progress: OnProgress | None = None
) -> list[np.ndarray]:
    """The lower layers' output of every sentence, float16 [pieces, HIDDEN]."""
    kept: list[np.ndarray] = [np.zeros(0)] * len(sentences)
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index].pieces))
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        for index, values in zip(part, model.lower([sentences[index] for index in part]), strict=True):
            kept[index] = values
        if on_progress is not None:
            on_progress("lower layers", start + len(part), len(order))
    return kept


def train(
    model: JointModel,
    sentences: Sequence[Featured],
    kept: Sequence[np.ndarray],
    schedule: Schedule,
    on_progress: OnProgress | None = None,
) -> None:
    """Change the model's heads and upper layers in place. The same seed and threads give the same weights."""
    import torch

    names = [name for layer in model.tuned_layers for name in model.encoder.layer_names(layer)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        _learnable(model, names)
        steps_per_epoch = len(range(0, len(sentences), schedule.batch_size))
        run = _Run(model, names, schedule, schedule.epochs * steps_per_epoch)
        lengths = [len(sentence.pieces) for sentence in sentences]
        for epoch in range(schedule.epochs):
            for part in batches(lengths, schedule.batch_size, schedule.seed + epoch):
                run.step(collate([sentences[i] for i in part], [kept[i] for i in part]))
                if on_progress is not None:
                    on_progress("training", run.num_done, run.num_steps)
        run.finish()


def forget_untouched(model: JointModel, sentences: Sequence[Featured]) -> None:
    """Zero the rows of the tables that no sentence touches: they hold what chance put there, and nothing was learned.

    A word never seen then says nothing, as with the Chinese reader, and a file need not hold these rows.
    """
    import torch

    bags = {
        "gram_table": {row for sentence in sentences for row in sentence.gram_rows},
        "word_table": {row for sentence in sentences for bag in sentence.word_rows for row in bag},
    }
    for name, rows in bags.items():
        untouched = torch.ones(len(model.heads[name]), dtype=torch.bool)
        untouched[sorted(rows)] = False
        model.heads[name] = model.heads[name].masked_fill(untouched[:, None], 0.0)


class _Run:
    """One training: optimiser, rates by step, and the running average of the weights."""

    def __init__(self, model: JointModel, names: Sequence[str], schedule: Schedule, num_steps: int) -> None:
        import torch

        self.model, self.schedule, self.num_steps, self.num_done = model, schedule, num_steps, 0
        self._names = list(names)
        self._optimiser = torch.optim.AdamW(_groups(model, schedule), betas=(0.9, 0.98), fused=True)
        self._peaks = [group["lr"] for group in self._optimiser.param_groups]
        self._average: list[torch.Tensor] = []
        self._num_averaged = 0

    def step(self, batch: Batch) -> None:
        """One batch."""
        import torch

        share = self.num_done / self.num_steps
        rate = min(share / self.schedule.warm_up, (1 - share) / (1 - self.schedule.warm_up)) + 1e-3
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate
        lost = _loss(self.model, _thinned(batch, self.schedule.feature_dropout), self.schedule)
        if lost.requires_grad:  # not where no sentence of the batch has an intent, and none of the set a slot
            lost.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.num_done += 1
        if share >= self.schedule.average_from and self.num_done % 4 == 0:
            self._add_to_average()

    def finish(self) -> None:
        """Put the averaged weights in place, rounded to half precision as a file holds them."""
        averaged = self._average or [parameter.detach() for parameter in self._parameters()]
        weights = dict(zip([*self._names, *self.model.heads], averaged, strict=True))
        for name, value in weights.items():
            where = self.model.encoder.weights if name in self._names else self.model.heads
            where[name] = value.half().float()

    def _parameters(self) -> list[torch.Tensor]:
        return [*(self.model.encoder.weights[name] for name in self._names), *self.model.heads.values()]

    def _add_to_average(self) -> None:
        self._num_averaged += 1
        if not self._average:
            self._average = [parameter.detach().clone() for parameter in self._parameters()]
            return
        for mean, parameter in zip(self._average, self._parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 / self._num_averaged)


def _learnable(model: JointModel, names: Sequence[str]) -> None:
    for name in names:
        model.encoder.weights[name] = model.encoder.weights[name].detach().clone().requires_grad_(True)
    for name, value in model.heads.items():
        model.heads[name] = value.detach().clone().requires_grad_(True)


def _groups(model: JointModel, schedule: Schedule) -> list[dict[str, object]]:
    """Parameters with their peak rates. Tables are not decayed: their rows are rare."""
    tables = [value for name, value in model.heads.items() if name.endswith("_table")]
    others = [value for name, value in model.heads.items() if not name.endswith("_table")]
    groups: list[dict[str, object]] = [
        {"params": tables, "lr": schedule.head_rate, "weight_decay": 0.0},
        {"params": others, "lr": schedule.head_rate, "weight_decay": schedule.weight_decay},
    ]
    for depth, layer in enumerate(reversed(model.tuned_layers)):
        weights = [model.encoder.weights[name] for name in model.encoder.layer_names(layer)]
        rate = schedule.layer_rate * schedule.layer_decay**depth
        groups.append({"params": weights, "lr": rate, "weight_decay": schedule.weight_decay})
    return groups


def _loss(model: JointModel, batch: Batch, schedule: Schedule) -> torch.Tensor:
    """Mean over the batch: cross-entropy of the intent, and half the negative log-likelihood of the tags."""
    import torch
    from torch.nn import functional as f

    out = model.upper(batch, schedule.dropout, half=has_bf16("cpu"))
    total = torch.zeros(())
    if model.labels.intents and bool((batch.intents >= 0).any()):
        smoothing = schedule.smoothing
        total = total + f.cross_entropy(out.intents, batch.intents, ignore_index=-1, label_smoothing=smoothing)
    if len(model.labels.tags) > 1:
        lost = crf.negative_log_likelihood(out.emissions, batch.tags, batch.words_there, model.transitions())
        total = total + lost.mean() / 2
    return total


def _thinned(batch: Batch, share: float) -> Batch:
    """The batch without a random share of its features, so that none is relied on alone."""
    import dataclasses

    import torch

    words = batch.word_rows * (torch.rand(batch.word_rows.shape) >= share)
    grams = batch.gram_rows * (torch.rand(batch.gram_rows.shape) >= share)
    return dataclasses.replace(batch, word_rows=words, gram_rows=grams)


def batches(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """Rows of each batch in random order; rows of like length share one, since padding is work for nothing."""
    rng = random.Random(seed)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    groups = []
    for start in range(0, len(order), 24 * size):
        pool = sorted(order[start : start + 24 * size], key=lambda index: lengths[index])
        groups += [pool[first : first + size] for first in range(0, len(pool), size)]
    rng.shuffle(groups)
    yield from groups
