"""The readers' networks in torch, for training: their weights have gradients.

Off a question's path: `reading_network` and `joint_reader` read with the same weights, whose form on disk is
`reader_weights`'; `benchmarks/train_reader.py` and `train_joint.py` train them. The lower
layers are the embedder's own. Papers: Devlin et al. 2019, "BERT" (arXiv 1810.04805), section 4.3; Wang et al. 2020,
"MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pagoda.minilm.encoder import Encoder
from pagoda.minilm.package import read_weights
from pagoda.minilm.shape import NUM_LAYERS
from pagoda.rag.extractive.english.reader_weights import FROZEN, HEADS, JOINT_HEADS, Heads, upper_names


class TunedNetwork:
    """MiniLM with features added on the way, and the heads of a reader."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        """folder: the packaged MiniLM's."""
        weights = read_weights(folder)
        names = upper_names()
        upper = {theirs: weights[theirs].clone() for theirs in names.values()}
        self._encoder = Encoder({**weights, **upper})
        self._shipped = {**{ours: upper[theirs] for ours, theirs in names.items()}, **_new_weights(heads)}
        for value in self._shipped.values():
            value.requires_grad_()

    def shipped(self) -> dict[str, Tensor]:
        """The weights that training changes, by name; in place, for the network reads from these tensors."""
        return dict(self._shipped)

    def hidden(self, ids: Tensor, types: Tensor, features: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
        """[B, T, HIDDEN] of the last layer.

        ids, types: [B, T]; features: [B, T, NUM_FEATURES]; mask: bool [B, 1, 1, T], True where there is a piece
        """
        hidden = self._encoder.run(self._encoder.embed(ids, types), mask, range(FROZEN))
        # What the vocabulary does not tell, capitals and words in common, enters below the first trained layer.
        hidden = hidden + self._linear("features", features)
        return self._encoder.run(hidden, mask, range(FROZEN, NUM_LAYERS), dropout)

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return F.linear(values, self._shipped[name + ".weight"], self._shipped[name + ".bias"])


class ReaderNetwork(TunedNetwork):
    """Two scores a piece."""

    def __init__(self, folder: Path) -> None:
        """folder: the packaged MiniLM's."""
        super().__init__(folder, HEADS)

    def logits(
        self, ids: Tensor, types: Tensor, features: Tensor, mask: Tensor | None = None, dropout: float = 0.0
    ) -> Tensor:
        """[B, T, 2] of each piece being the first and the last of the answer; piece 0 means "none". As `hidden`."""
        hidden = self.hidden(ids, types, features, mask, dropout)
        # [B, T, HIDDEN + NUM_FEATURES] to [B, T, 2].
        return self._linear("edges", torch.cat([F.dropout(hidden, dropout, dropout > 0), features], dim=-1))


class JointNetwork(TunedNetwork):
    """One score a question and passage: log-odds that the passage answers."""

    def __init__(self, folder: Path) -> None:
        """folder: the packaged MiniLM's."""
        super().__init__(folder, JOINT_HEADS)

    def log_odds(self, ids: Tensor, types: Tensor, features: Tensor, mask: Tensor, dropout: float = 0.0) -> Tensor:
        """[B] float32. As `hidden`."""
        hidden, there = self.hidden(ids, types, features, mask, dropout).float(), mask[:, 0, 0]
        asked = (types == 0) & there
        asked[:, 0] = False
        means = [_mean(hidden, part) for part in (asked, (types == 1) & there)]
        kept = F.dropout(torch.cat([hidden[:, 0], *means], dim=1), dropout, dropout > 0)
        # Log-odds of eight bits would make passages equal that are not.
        with torch.autocast("cpu", enabled=False):
            return self._linear("answers", kept)[:, 0]


def _mean(hidden: Tensor, part: Tensor) -> Tensor:
    """[B, HIDDEN] over the pieces of a part, bool [B, T]."""
    mean: Tensor = (hidden * part[..., None]).sum(1) / part.sum(1, keepdim=True)
    return mean


def _new_weights(heads: Heads) -> dict[str, Tensor]:
    """What MiniLM has not, as training begins: small matrices, no bias."""
    return {name: 0.02 * torch.randn(shape) if len(shape) == 2 else torch.zeros(shape) for name, shape in heads.items()}
