"""How a network is tuned on labelled texts: one way for all of them, what is their own stands in their schedule.

Before the path *item -> opinion of a company*. The lower a layer, the slower it learns (Howard and Ruder 2018,
"ULMFiT", arXiv 1801.06146); layers below the lowest that learns run once, and what they give is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pagoda.hardware import has_bf16
from pagoda.minilm.encoder import Encoder
from pagoda.minilm.shape import HIDDEN
from pagoda.nlu.encoder import padded
from pagoda.nlu.joint_training import OnProgress, batches
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.networks.network import Pieced, TuningPlan
from pagoda.opinions.reading.networks.tuned_model import Head, TunedModel

if TYPE_CHECKING:
    import torch

_BATCH = 32
_WARM_UP, _DROPOUT, _WEIGHT_DECAY = 0.08, 0.1, 0.01
_MOST_KEPT = 3_000_000
"""Pieces of which the lower layers' output is kept, 2.3 GB; of more it is computed in each pass."""


class _Learning:
    """A network whose upper layers learn, beside a head: copies of those that it starts from."""

    def __init__(self, start: TunedModel, texts: Sequence[Pieced]) -> None:
        import torch

        def copy(value: torch.Tensor) -> torch.Tensor:
            return value.detach().clone().requires_grad_(True)

        self.network, self.texts = start.network, texts
        self.encoder = Encoder(start.layers)
        self.head: Head = (copy(start.head[0]), copy(start.head[1]))
        schedule = start.network.schedule
        self.upper = range(schedule.lowest, start.network.num_layers)
        groups = [{"params": list(self.head), "lr": schedule.head_rate}]
        for depth, layer in enumerate(reversed(self.upper)):
            names = self.encoder.layer_names(layer)
            self.encoder.weights.update({name: copy(self.encoder.weights[name]) for name in names})
            rate = schedule.rate * schedule.layer_decay**depth
            groups.append({"params": [self.encoder.weights[name] for name in names], "lr": rate})
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY, fused=True)
        self._kept: dict[int, torch.Tensor] | None = {} if sum(len(text.ids) for text in texts) <= _MOST_KEPT else None

    def step(self, part: Sequence[int], truth: torch.Tensor, share: float, peaks: Sequence[float]) -> None:
        """Learn from a batch. share: of all steps that are done; peaks: of each group's rate."""
        import torch
        from torch.nn import functional as f

        for group, peak in zip(self.optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * (min(share / _WARM_UP, (1 - share) / (1 - _WARM_UP)) + 1e-3)
        f.cross_entropy(self._scores(part), truth).backward()
        torch.nn.utils.clip_grad_norm_([each for group in self.optimiser.param_groups for each in group["params"]], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def _scores(self, part: Sequence[int]) -> torch.Tensor:
        """[n, num_labels] of texts side by side."""
        import torch
        from torch.nn import functional as f

        ids, places = padded([self.texts[index].ids for index in part])
        there = torch.from_numpy(places)
        hidden = self._below(part, ids, there)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
            hidden = self.encoder.run(hidden, there[:, None, None, :], self.upper, _DROPOUT, _DROPOUT).float()
        asked = torch.zeros(hidden.shape[:2])
        for row, index in enumerate(part):
            asked[row, self.texts[index].asked] = 1.0
        # Both of length 1, as these networks were trained to be compared, then as wide as what a layer gives.
        means = [f.normalize((hidden * shares.unsqueeze(2)).sum(1), dim=1) for shares in (there.float(), asked)]
        joined = torch.cat(means, 1) * math.sqrt(HIDDEN)
        return f.linear(f.dropout(joined, _DROPOUT, True), *self.head)

    def _below(self, part: Sequence[int], ids: np.ndarray, there: torch.Tensor) -> torch.Tensor:
        """[n, pieces, HIDDEN], what goes into the layers that learn."""
        import torch

        if not self.upper.start:
            return self.network.embedded(ids)
        if self._kept is not None and part[0] in self._kept:
            hidden = torch.zeros(*ids.shape, HIDDEN)
            for row, index in enumerate(part):
                hidden[row, : len(self.texts[index].ids)] = self._kept[index]
            return hidden
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
            given = self.encoder.run(self.network.embedded(ids), there[:, None, None, :], range(self.upper.start))
        if self._kept is not None:
            self._kept.update((i, given[row, : len(self.texts[i].ids)].bfloat16()) for row, i in enumerate(part))
        return given.float()


def tune(
    texts: Sequence[Marked],
    truth: np.ndarray,
    start: TunedModel,
    *,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> TunedModel:
    """A model that goes on from another, on texts and their labels [n]. The same seed and threads: the same weights."""
    import torch

    learning = _Learning(start, [start.network.pieced(text) for text in texts])
    lengths = [len(each.ids) for each in learning.texts]
    per_pass = len(range(0, len(texts), _BATCH))
    num_passes = passes(start.network.schedule, per_pass)
    peaks = [group["lr"] for group in learning.optimiser.param_groups]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        steps = (part for number in range(num_passes) for part in batches(lengths, _BATCH, seed + number))
        for step, part in enumerate(steps):
            learning.step(part, torch.from_numpy(truth[part]), step / (num_passes * per_pass), peaks)
            if on_progress is not None:
                on_progress("training", step + 1, num_passes * per_pass)
    weights, head = learning.encoder.weights, learning.head
    return TunedModel(start.network, _kept(weights), (head[0].detach(), head[1].detach()))


def passes(schedule: TuningPlan, per_pass: int) -> int:
    """How often all texts are gone through. per_pass: batches that they make."""
    wanted = min(max(schedule.steps // per_pass, schedule.fewest), schedule.most)
    return max(1, min(wanted, schedule.most_steps // per_pass))


def _kept(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in weights.items()}
