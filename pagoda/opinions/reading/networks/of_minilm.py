"""The packaged MiniLM as a network to be tuned: its wordpieces, cut word by word, and its six layers.

On the path *item -> opinion of a company*, for English. Papers: Wang et al. 2020, "MiniLM" (arXiv 2002.10957);
Reimers and Gurevych 2019, "Sentence-BERT" (arXiv 1908.10084).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.minilm.encoder import Encoder
from pagoda.minilm.package import packaged_folder, read_arrays, read_weights
from pagoda.minilm.shape import NUM_LAYERS
from pagoda.nlu.encoder import Wordpieces
from pagoda.opinions.reading.marked import OTHER, TARGET, Marked
from pagoda.opinions.reading.networks.network import Pieced, PieceRun, TuningPlan
from pagoda.opinions.story import EncoderName

if TYPE_CHECKING:
    import torch

_AS_PIECES = {TARGET: "[MASK]", OTHER: "[UNK]"}
_MOST_WORDS = 80


class Minilm:
    """See `network.Network`. folder: of all-MiniLM-L6-v2."""

    name: EncoderName = "minilm"
    num_layers = NUM_LAYERS
    schedule = TuningPlan(lowest=0, rate=2e-4, steps=240, fewest=3, most=10, most_steps=10_000)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wordpieces = Wordpieces(folder)

    def pieced(self, text: Marked) -> Pieced:
        """At most 80 words of it."""
        words = text.near_words(_MOST_WORDS)
        pieces = self._wordpieces.of_words([_AS_PIECES.get(word.text, word.text) for word in words])
        places = list(zip(words, pieces.first, strict=True))
        ends = [*(following or len(pieces.ids) - 1 for _, following in pairwise(pieces.first)), len(pieces.ids) - 1]
        return Pieced(
            pieces.ids,
            [first for word, first in places if word.text == TARGET and first] or [0],
            [
                PieceRun((word.start, word.end), first, end)
                for (word, first), end in zip(places, ends, strict=True)
                if first and word.text not in _AS_PIECES  # 0: of a word that was cut
            ],
        )

    def embedded(self, ids: np.ndarray) -> torch.Tensor:
        """Pieces, places and kind, added and normalised."""
        import torch

        return self._below.embed(torch.from_numpy(ids))

    def layers(self) -> Mapping[str, torch.Tensor]:
        """Read anew."""
        return {name: value for name, value in read_weights(self._folder).items() if name.startswith("encoder.layer.")}

    @cached_property
    def _below(self) -> Encoder:
        import torch

        arrays = read_arrays(self._folder)
        return Encoder({name: torch.from_numpy(array) for name, array in arrays.items() if name.startswith("embed")})


@lru_cache(maxsize=1)
def minilm() -> Minilm:
    """The packaged one. Raises MissingExtraError."""
    return Minilm(packaged_folder("the sentiment of English texts (all-MiniLM-L6-v2)", "opinions"))
