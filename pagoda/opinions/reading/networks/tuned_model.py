"""A network tuned to say what a text means for whom it is asked of: the mean of all pieces beside the target's own.

On the path *item -> opinion of a company*. Papers: Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Reimers and Gurevych
2019, "Sentence-BERT" (arXiv 1908.10084); Baldini Soares et al. 2019, "Matching the Blanks" (arXiv 1906.03158), for the
mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pagoda.minilm.numpy_encoder import NumpyEncoder
from pagoda.minilm.shape import HIDDEN
from pagoda.opinions.reading.marked import Marked, heaviest
from pagoda.opinions.reading.networks.network import Network, Pieced
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import OpinionWord

if TYPE_CHECKING:
    import torch

Head = tuple["torch.Tensor", "torch.Tensor"]
"""[num_labels, 2 HIDDEN] and [num_labels]."""


class TunedModel:
    """A network, the weights of its layers as tuning left them, and a head over it."""

    def __init__(self, network: Network, layers: Mapping[str, torch.Tensor], head: Head) -> None:
        self.network, self.layers, self.head = network, layers, head

    @classmethod
    def untuned(cls, network: Network, num_labels: int, seed: int) -> TunedModel:
        """The network as it was published, and a head that knows nothing."""
        import torch

        drawn = torch.randn(num_labels, 2 * HIDDEN, generator=torch.Generator().manual_seed(seed))
        return cls(network, network.layers(), (drawn * 0.02, torch.zeros(num_labels)))

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Each text by itself: its bits are its own, whatever is read beside it."""
        pieced = [self.network.pieced(text) for text in texts]
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

        weights = {name: value.numpy() for name, value in self.layers.items()}
        native = native_encoder(weights, self.network.embedded)
        if native is not None:
            return native.read
        plain = NumpyEncoder(weights)
        return lambda texts: (plain.run(self.network.embedded(ids).numpy(), range(plain.num_layers)) for ids in texts)


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


def _heaviest(text: Marked, pieced: Pieced, gains: np.ndarray) -> tuple[OpinionWord, ...]:
    """The words that added most. gains: [pieces] for the label, over the mean of all labels."""
    return heaviest(text.text, ((*word.at, float(gains[word.first : word.last].sum())) for word in pieced.words))
