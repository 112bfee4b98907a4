"""MiniLM tuned to say what a text means for whom it is asked of: the mean of all pieces beside the target's own.

On the path *item -> opinion of a company*, for English. All layers learn, the lower the slower (Howard and Ruder 2018,
"ULMFiT", arXiv 1801.06146). Papers: Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Reimers and Gurevych 2019,
"Sentence-BERT" (arXiv 1908.10084); Baldini Soares et al. 2019, "Matching the Blanks" (arXiv 1906.03158), for the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.hardware import has_bf16
from pagoda.minilm.encoder import Encoder
from pagoda.minilm.package import packaged_folder
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.nlu.encoder import Wordpieces, for_reading, padded
from pagoda.nlu.joint_training import OnProgress, batches
from pagoda.nlu.tagging import Word
from pagoda.opinions.reading.marked import OTHER, TARGET, Marked, heaviest
from pagoda.opinions.story import OpinionWord

if TYPE_CHECKING:
    import torch

_AS_PIECES = {TARGET: "[MASK]", OTHER: "[UNK]"}
_MOST_WORDS = 80
_BATCH, _READING_BATCH = 32, 64
_RATE, _HEAD_RATE, _LAYER_DECAY, _WARM_UP, _DROPOUT, _WEIGHT_DECAY = 2e-4, 2e-3, 0.9, 0.08, 0.1, 0.01
_FEWEST_STEPS, _MOST_EPOCHS, _FEWEST_EPOCHS = 240, 10, 3
Head = tuple["torch.Tensor", "torch.Tensor"]
"""[num_labels, 2 HIDDEN] and [num_labels]."""


@dataclass(frozen=True, slots=True)
class _Pieced:
    """A text as wordpieces. asked: pieces of the target, [CLS] where there is none; first: of each word."""

    ids: list[int]
    asked: list[int]
    words: list[Word]
    first: list[int]


class MinilmModel:
    """An encoder and a head over it."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        self.encoder, self.head = encoder, head
        self._quick = for_reading(encoder)

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels]."""
        import torch

        pieced = [_pieced(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda index: len(pieced[index].ids))
        found = np.zeros((len(texts), len(self.head[1])), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), _READING_BATCH):
                part = order[start : start + _READING_BATCH]
                found[part] = _forward(self._quick, self.head, [pieced[index] for index in part]).numpy()
        return found

    def carried(self, text: Marked, label: int) -> tuple[OpinionWord, ...]:
        """Words by gradient times input at the lowest layer: what the label's score owes to each, to first order."""
        import torch

        pieced = _pieced(text)
        hidden = self.encoder.embed(torch.tensor([pieced.ids])).detach().requires_grad_(True)
        scores = _above(self.encoder, self.head, hidden, None, [pieced])[0]
        (gradient,) = torch.autograd.grad(scores[label] - scores.mean(), hidden)
        gains = (gradient * hidden).sum(2)[0].tolist()
        ends = [*pieced.first[1:], len(pieced.ids) - 1]
        return heaviest(
            text.text,
            (
                (word.start, word.end, sum(gains[first:end]))
                for word, first, end in zip(pieced.words, pieced.first, ends, strict=True)
                if first and word.text not in _AS_PIECES
            ),
        )


@lru_cache(maxsize=1)
def _wordpieces() -> Wordpieces:
    return Wordpieces(minilm_folder())


def minilm_folder() -> Path:
    """Where the packaged MiniLM lies. Raises MissingExtraError."""
    return packaged_folder("the sentiment of English texts (all-MiniLM-L6-v2)", "opinions")


def _pieced(text: Marked) -> _Pieced:
    words = text.near_words(_MOST_WORDS)
    pieces = _wordpieces().of_words([_AS_PIECES.get(word.text, word.text) for word in words])
    asked = [first for word, first in zip(words, pieces.first, strict=True) if word.text == TARGET and first]
    return _Pieced(pieces.ids, asked or [0], words, pieces.first)


def _forward(encoder: Encoder, head: Head, texts: Sequence[_Pieced], dropout: float = 0.0) -> torch.Tensor:
    """[n, num_labels] of texts side by side."""
    import torch

    ids, there = padded([text.ids for text in texts])
    hidden = encoder.embed(torch.from_numpy(ids))
    return _above(encoder, head, hidden, torch.from_numpy(there), texts, dropout)


def _above(
    encoder: Encoder,
    head: Head,
    hidden: torch.Tensor,
    there: torch.Tensor | None,
    texts: Sequence[_Pieced],
    dropout: float = 0.0,
) -> torch.Tensor:
    """[n, num_labels] from embeddings [n, pieces, HIDDEN]. there: bool [n, pieces], None: all are pieces."""
    import torch
    from torch.nn import functional as f

    mask = None if there is None else there[:, None, None, :]
    with torch.autocast("cpu", torch.bfloat16, enabled=dropout > 0 and has_bf16("cpu")):
        hidden = encoder.run(hidden, mask, range(NUM_LAYERS), dropout, dropout).float()
    weight = torch.ones(hidden.shape[:2]) if there is None else there.float()
    asked = torch.zeros(hidden.shape[:2])
    for row, text in enumerate(texts):
        asked[row, text.asked] = 1.0
    # Both of length 1, as MiniLM was trained to be compared, then as wide as what a layer gives.
    means = [f.normalize((hidden * shares.unsqueeze(2)).sum(1), dim=1) for shares in (weight, asked)]
    joined = torch.cat(means, 1) * math.sqrt(HIDDEN)
    return f.linear(f.dropout(joined, dropout, dropout > 0), *head)


def new_head(num_labels: int, seed: int) -> Head:
    """An untrained one."""
    import torch

    drawn = torch.randn(num_labels, 2 * HIDDEN, generator=torch.Generator().manual_seed(seed))
    return drawn * 0.02, torch.zeros(num_labels)


def train_minilm(
    texts: Sequence[Marked],
    truth: np.ndarray,
    start: MinilmModel,
    *,
    seed: int = 0,
    epochs: int | None = None,
    on_progress: OnProgress | None = None,
) -> MinilmModel:
    """A model that goes on from another, on texts and their labels [n]. The same seed and threads: the same weights."""
    import torch
    from torch.nn import functional as f

    pieced = [_pieced(text) for text in texts]
    lengths = [len(each.ids) for each in pieced]
    per_epoch = len(range(0, len(texts), _BATCH))
    passes = epochs or int(np.clip(_FEWEST_STEPS // per_epoch, _FEWEST_EPOCHS, _MOST_EPOCHS))
    encoder, head, optimiser = _learning(start)
    peaks, parameters = [group["lr"] for group in optimiser.param_groups], _parameters(optimiser)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        steps = (part for epoch in range(passes) for part in batches(lengths, _BATCH, seed + epoch))
        for step, part in enumerate(steps):
            share = step / (passes * per_epoch)
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * (min(share / _WARM_UP, (1 - share) / (1 - _WARM_UP)) + 1e-3)
            scores = _forward(encoder, head, [pieced[index] for index in part], _DROPOUT)
            f.cross_entropy(scores, torch.from_numpy(truth[part])).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            if on_progress is not None:
                on_progress("training", step + 1, passes * per_epoch)
    return MinilmModel(Encoder(_kept(encoder.weights)), (head[0].detach(), head[1].detach()))


def _learning(start: MinilmModel) -> tuple[Encoder, Head, torch.optim.Optimizer]:
    """Copies that learn; embeddings stay as they are."""
    import torch

    def copy(value: torch.Tensor) -> torch.Tensor:
        return value.detach().clone().requires_grad_(True)

    encoder = Encoder(start.encoder.weights)
    head = (copy(start.head[0]), copy(start.head[1]))
    groups = [{"params": list(head), "lr": _HEAD_RATE}]
    for depth, layer in enumerate(reversed(range(NUM_LAYERS))):
        names = encoder.layer_names(layer)
        encoder.weights.update({name: copy(encoder.weights[name]) for name in names})
        rate = _RATE * _LAYER_DECAY**depth
        groups.append({"params": [encoder.weights[name] for name in names], "lr": rate})
    return encoder, head, torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY, fused=True)


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _kept(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in weights.items()}
