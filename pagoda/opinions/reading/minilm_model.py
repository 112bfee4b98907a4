"""MiniLM tuned to say what a text means for whom it is asked of: the mean of all pieces beside the target's own.

On the path *item -> opinion of a company*, for English. All layers learn, the lower the slower (Howard and Ruder 2018,
"ULMFiT", arXiv 1801.06146). Papers: Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Reimers and Gurevych 2019,
"Sentence-BERT" (arXiv 1908.10084); Baldini Soares et al. 2019, "Matching the Blanks" (arXiv 1906.03158), for the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.hardware import has_bf16
from pagoda.minilm.encoder import Encoder
from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.package import packaged_folder
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.nlu.encoder import Wordpieces, padded
from pagoda.nlu.joint_training import OnProgress, batches
from pagoda.nlu.tagging import Word
from pagoda.opinions.reading.marked import OTHER, TARGET, Marked, heaviest
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import OpinionWord

if TYPE_CHECKING:
    import torch

_AS_PIECES = {TARGET: "[MASK]", OTHER: "[UNK]"}
_MOST_WORDS = 80
_BATCH = 32
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

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Each text by itself: its bits are its own, whatever is read beside it."""
        pieced = [_pieced(text) for text in texts]
        weight, constants = (tensor.numpy() for tensor in self.head)
        read = self._through(np.array([text.ids], np.int64) for text in pieced)
        gains = [_gains(hidden[0], text.asked, weight) for hidden, text in zip(read, pieced, strict=True)]
        scores = np.array([each.sum(0) + constants for each in gains], np.float32).reshape(len(texts), len(constants))

        def carried(row: int, label: int) -> tuple[OpinionWord, ...]:
            return _heaviest(texts[row], pieced[row], gains[row][:, label] - gains[row].mean(1))

        return TextReading(scores, carried)

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels]."""
        return self.read(texts).scores

    @cached_property
    def _through(self) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
        """From int64 [1, pieces] to float32 [1, pieces, HIDDEN], one after another; made when the first are to read."""
        from pagoda.minilm.native_encoder import native_encoder

        weights = {name: value.numpy() for name, value in self.encoder.weights.items()}
        native = native_encoder(weights)
        if native is not None:
            return native.read
        plain = NumpyEncoder(weights)
        return lambda texts: (plain.run(plain.embed(ids), range(NUM_LAYERS)) for ids in texts)


def _gains(hidden: np.ndarray, asked: Sequence[int], weight: np.ndarray) -> np.ndarray:
    """float32 [pieces, num_labels]: what each piece adds to the scores, which are sums of them and a constant.

    Both means are sums over pieces and the head is linear, so nothing is left over. On headlines held out, taking away
    the words that add most changes the score four times as much as it does with those of the largest gradient at the
    embeddings, which cost as much as ten readings (docs/opinions.md).
    """
    shares = np.zeros((2, len(hidden)), np.float32)
    shares[0], shares[1, asked] = 1.0, 1.0
    sums = shares @ hidden
    shares *= math.sqrt(HIDDEN) / np.linalg.norm(sums, axis=1)[:, None]
    both = hidden @ np.concatenate([weight[:, :HIDDEN], weight[:, HIDDEN:]]).T
    of_all, of_asked = np.split(both, 2, axis=1)
    gains: np.ndarray = of_all * shares[0][:, None] + of_asked * shares[1][:, None]
    return gains


def _heaviest(text: Marked, pieced: _Pieced, gains: np.ndarray) -> tuple[OpinionWord, ...]:
    """The words that added most. gains: [pieces] for the label, over the mean of all labels."""
    ends = [first or len(pieced.ids) - 1 for first in [*pieced.first[1:], 0]]  # 0: of a word that was cut
    return heaviest(
        text.text,
        (
            (word.start, word.end, float(gains[first:end].sum()))
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


def _forward(encoder: Encoder, head: Head, texts: Sequence[_Pieced], dropout: float) -> torch.Tensor:
    """[n, num_labels] of texts side by side, to learn from."""
    import torch
    from torch.nn import functional as f

    ids, places = padded([text.ids for text in texts])
    there = torch.from_numpy(places)
    hidden = encoder.embed(torch.from_numpy(ids))
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
        hidden = encoder.run(hidden, there[:, None, None, :], range(NUM_LAYERS), dropout, dropout).float()
    asked = torch.zeros(hidden.shape[:2])
    for row, text in enumerate(texts):
        asked[row, text.asked] = 1.0
    # Both of length 1, as MiniLM was trained to be compared, then as wide as what a layer gives.
    means = [f.normalize((hidden * shares.unsqueeze(2)).sum(1), dim=1) for shares in (there.float(), asked)]
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
