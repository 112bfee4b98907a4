"""The networks that can be tuned to say what a text means, and what tuning and reading ask of each of them.

On the path *item -> opinion of a company*. MiniLM reads English (wordpieces, six layers), multilingual-e5-small a
hundred languages, Chinese among them (a unigram model's pieces, twelve layers of the same shape). Each says how it cuts
a text into pieces, what goes into its first layer, and how fast its layers learn; all else is the same for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pagoda.opinions.reading.marked import Marked, Span
from pagoda.opinions.story import EncoderName

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PieceRun:
    """What a run of pieces reads: a word, or a part of a text that is not cut into words. at: character [start, end)

    first, last: the pieces are ids[first:last]
    """

    at: Span
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Pieced:
    """A text as a network takes it. asked: places in `ids` of the target's sign, the first where there is none.

    words: runs of pieces that may have carried an opinion, those of companies' signs not among them
    """

    ids: list[int]
    asked: list[int]
    words: list[PieceRun]


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """How tuning goes. rate: of the highest layer, `layer_decay` times as much in each below it; 0 below `lowest`.

    Passes are as many as take `steps` batches, but `fewest` to `most`, and at least one, where `most_steps` allow them.
    """

    lowest: int
    rate: float
    steps: int
    fewest: int
    most: int
    most_steps: int
    head_rate: float = 2e-3
    layer_decay: float = 0.9


class Network(Protocol):
    """A network as it was published; never changes, threads may share it."""

    name: EncoderName
    num_layers: int
    schedule: TuningPlan

    def pieced(self, text: Marked) -> Pieced:
        """A text, cut where it is longer than what is read of one."""

    def embedded(self, ids: np.ndarray) -> torch.Tensor:
        """float32 [batch, pieces, HIDDEN], what goes into the first layer, of int64 [batch, pieces]."""

    def layers(self) -> Mapping[str, torch.Tensor]:
        """The layers' weights, float32, by the names of BERT's checkpoints; the caller's own."""
