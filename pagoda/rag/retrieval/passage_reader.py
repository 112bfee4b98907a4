"""Does this passage answer this question? A network that reads both, for the language that MiniLM does not read.

On a question's path: question -> words and vectors -> *the best passages read* -> Hits -> answer. Of Chinese manuals
words decide neither which passage answers nor whether any does: people ask in others. The lower six of the twelve
layers of multilingual-e5-small read the question and the passage each by itself, the upper six both together, with
small changes (LoRA) learned from questions that people put to manuals in their own words, those without an answer
among them (`benchmarks/train_passage_reader.py`). Its log-odds order the passages, and the second look weighs them.
Papers: Cao et al. 2020, "DeFormer" (arXiv 2005.00697); Hu et al. 2021, "LoRA" (arXiv 2106.09685); Nogueira and Cho
2019, "Passage Re-ranking with BERT" (arXiv 1901.04085).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import ConfigError
from pagoda.language import language_of
from pagoda.minilm.multilingual import NUM_LAYERS, Multilingual, packaged_file, read_multilingual
from pagoda.minilm.shape import HIDDEN
from pagoda.rag.documents.document import Chunk

if TYPE_CHECKING:
    import torch

    from pagoda.minilm.encoder import Encoder

WEIGHTS = Path(__file__).parent / "data" / "passage_reader_zh.npz"
LOWER = 6
"""Layers that read each text by itself."""
MOST_OF_QUESTION, MOST_OF_PASSAGE = 64, 256
_PAIRS_AT_ONCE, _TEXTS_AT_ONCE = 8, 8
MOST_BYTES = 64 * 1024**2
"""Of what the lower layers make of passages, which is kept: those of one collection are asked about again."""
_USUAL = 0.9
"""Cosine of any two texts by e5, about."""
_WIDTH = HIDDEN**0.5
"""What products and differences of two directions are multiplied by, to stand beside numbers of a hidden state."""


class PassageReader:
    """Reads Chinese questions with passages. Threads may share it.

    arrays: what `benchmarks/train_passage_reader.py` saved: factors of the changes to matrices, and the head
    """

    def __init__(self, multilingual: Multilingual, arrays: Mapping[str, np.ndarray]) -> None:
        """Raises KeyError, ValueError for arrays that are not such ones."""
        self._multilingual = multilingual
        self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        for name, size in (("head", 3 * HIDDEN), ("bias", 1), ("scale", 3), ("side", HIDDEN)):
            if self._arrays[name].shape != (size,):
                raise ValueError(f"{name} has the shape {self._arrays[name].shape}")
        self._mutex = threading.Lock()
        # Of passages, those that were asked for last behind; together they have so many bytes.
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._num_bytes = 0

    def takes(self, question: str) -> bool:
        """Whether it was taught to read such questions."""
        return language_of(question) == "zh"

    def read(self, question: str, passages: Sequence[Chunk]) -> np.ndarray:
        """float32 [len(passages)], log-odds that each answers the question."""
        import torch

        odds = np.zeros(len(passages), dtype=np.float32)
        with torch.inference_mode():
            (asked,) = self._lower([as_asked(question)], MOST_OF_QUESTION).values()
            texts = self._below([as_told(passage) for passage in passages])
            order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
            for start in range(0, len(order), _PAIRS_AT_ONCE):
                rows = order[start : start + _PAIRS_AT_ONCE]
                odds[rows] = self._together(asked, [texts[row] for row in rows])
        return odds

    def _below(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """What the lower layers make of each passage, [pieces, HIDDEN] each; from what is kept, where it is."""
        with self._mutex:
            known = {text: self._kept[text] for text in texts if text in self._kept}
        # Two threads may run the same text: that costs time only, and no thread waits for another's.
        known.update(self._lower([text for text in dict.fromkeys(texts) if text not in known], MOST_OF_PASSAGE))
        with self._mutex:
            self._keep(known)
        return [known[text] for text in texts]

    def _lower(self, texts: Sequence[str], most: int) -> dict[str, torch.Tensor]:
        """The same of texts that differ, with at most so many pieces of each."""
        found: dict[str, torch.Tensor] = {}
        ids = {text: self._multilingual.marked(text, most) for text in texts}
        new = sorted(texts, key=lambda text: len(ids[text]))
        for start in range(0, len(new), _TEXTS_AT_ONCE):
            part = new[start : start + _TEXTS_AT_ONCE]
            rows, is_piece = self._multilingual.padded([ids[text] for text in part])
            hidden = self._encoder.run(self._multilingual.embedded(rows), is_piece[:, None, None], range(LOWER))
            found.update((text, hidden[at, : len(ids[text])].clone()) for at, text in enumerate(part))
        return found

    def _keep(self, known: Mapping[str, torch.Tensor]) -> None:
        for text, hidden in known.items():
            if text not in self._kept:
                self._kept[text] = hidden
                self._num_bytes += hidden.nbytes
            self._kept.move_to_end(text)
        while self._num_bytes > MOST_BYTES:
            self._num_bytes -= self._kept.popitem(last=False)[1].nbytes

    def _together(self, asked: torch.Tensor, told: Sequence[torch.Tensor]) -> np.ndarray:
        """Log-odds of each pair. asked [pieces, HIDDEN], told: likewise."""
        import torch

        first, longest = len(asked), len(asked) + max(map(len, told))
        hidden = torch.zeros(len(told), longest, HIDDEN)
        hidden[:, :first] = asked + torch.from_numpy(self._arrays["side"])
        is_piece = torch.zeros(len(told), longest, dtype=torch.bool)
        for row, text in enumerate(told):
            hidden[row, first : first + len(text)] = text
            is_piece[row, : first + len(text)] = True
        hidden = self._encoder.run(hidden, is_piece[:, None, None], range(LOWER, NUM_LAYERS))
        weigh = {name: torch.from_numpy(self._arrays[name]) for name in ("head", "bias", "scale")}
        ends = [first + len(text) for text in told]
        return np.array([float(pair_log_odds(hidden[row], first, end, weigh)) for row, end in enumerate(ends)])

    @cached_property
    def _encoder(self) -> Encoder:
        added = {}
        for name in self._arrays:
            if name.endswith(".down"):
                matrix = name.removesuffix(".down")
                added[matrix + ".weight"] = self._arrays[matrix + ".up"] @ self._arrays[name]
        return self._multilingual.encoder(added)


def pair_log_odds(hidden: torch.Tensor, first: int, last: int, weigh: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Of one pair. hidden [pieces, HIDDEN]; the passage is first to last, both texts with marks around them.

    weigh: head [3 * HIDDEN], bias [1], and scale [3]: of the texts' likeness, of their pieces', and a shift
    """
    import torch
    from torch.nn.functional import normalize

    question, passage = hidden[1 : first - 1], hidden[first + 1 : last - 1]
    asked, told = normalize(question.mean(0), dim=0), normalize(passage.mean(0), dim=0)
    closest = (normalize(question, dim=1) @ normalize(passage, dim=1).T).amax(1).mean()
    seen = torch.cat([asked * told * _WIDTH, (asked - told).abs() * _WIDTH, hidden[0]])
    of_means, of_words, shift = weigh["scale"]
    likeness = of_means * (asked @ told - _USUAL) + of_words * (closest - _USUAL) + shift
    return seen @ weigh["head"] + weigh["bias"][0] + likeness


def as_asked(question: str) -> str:
    """A question as the network reads it."""
    return f"query: {question}"


def as_told(passage: Chunk) -> str:
    """A passage as the network reads it."""
    return f"passage: {passage.heading}\n{passage.text}"


@lru_cache(maxsize=1)
def load_passage_reader(path: Path = WEIGHTS) -> PassageReader:
    """The packaged one. Raises MissingExtraError, ConfigError where its file is missing or broken."""
    multilingual = read_multilingual(packaged_file("the reader of Chinese passages", "bilingual"))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return PassageReader(multilingual, dict(arrays))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path} holds no weights of the reader of passages ({error}): reinstall pagoda") from error
