"""The network that reads an English sentence: MiniLM, an intent head and a tagger over one pass.

On the path *sentence -> Understanding*. Words enter the tuned layers with what an embedding does not hold: spelling,
shape, known values, what had been asked. The intent is read from the mean of all pieces (Reimers and Gurevych 2019)
beside a bag of n-grams (Joulin et al. 2016, arXiv 1607.01759), the tags from the first piece of each word, both trained
together (Chen et al. 2019, "BERT for Joint Intent Classification and Slot Filling", arXiv 1902.10909).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pagoda.minilm.encoder import Encoder
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.nlu import crf
from pagoda.nlu.encoder import for_reading, padded
from pagoda.nlu.ngrams import padded_rows
from pagoda.nlu.reading import Labels
from pagoda.nlu.tagging import allowed_transitions

if TYPE_CHECKING:
    import torch

WORD_BITS, WORD_WIDTH = 14, 48
GRAM_BITS, GRAM_WIDTH = 14, 64
_SCALE = float(np.sqrt(HIDDEN))


@dataclass(frozen=True, slots=True)
class Featured:
    """A sentence as numbers. first: piece of each word; intent, tags: rows of Labels, -1 and empty if unknown."""

    pieces: list[int]
    first: list[int]
    word_rows: list[list[int]]
    gram_rows: list[int]
    intent: int = -1
    tags: tuple[int, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Sentences side by side, padded. hidden: [batch, pieces, HIDDEN] below the tuned layers."""

    hidden: torch.Tensor
    pieces_there: torch.Tensor
    first: torch.Tensor
    words_there: torch.Tensor
    word_rows: torch.Tensor
    gram_rows: torch.Tensor
    intents: torch.Tensor
    tags: torch.Tensor


@dataclass(frozen=True)
class Outputs:
    """sentence: [batch, HIDDEN], unit length; intents: [batch, num_intents]; emissions: [batch, words, num_tags]."""

    sentence: torch.Tensor
    intents: torch.Tensor
    emissions: torch.Tensor


class JointModel:
    """MiniLM with `num_tuned` upper layers of its own and two heads.

    heads: tensors by name, see `new_heads`
    """

    def __init__(self, encoder: Encoder, heads: Mapping[str, torch.Tensor], labels: Labels, num_tuned: int) -> None:
        self.encoder = encoder
        self.heads = dict(heads)
        self.labels = labels
        self.num_tuned = num_tuned
        self._forbidden = crf.forbidden_moves(allowed_transitions(labels.tags))

    @property
    def tuned_layers(self) -> range:
        """The upper layers."""
        return range(NUM_LAYERS - self.num_tuned, NUM_LAYERS)

    def lower(self, sentences: Sequence[Featured]) -> list[np.ndarray]:
        """float16 [pieces, HIDDEN] of each sentence below the tuned layers."""
        import torch

        ids, there = padded([sentence.pieces for sentence in sentences])
        with torch.inference_mode():
            mask = None if there.all() else torch.from_numpy(there)[:, None, None, :]
            hidden = self.encoder.embed(torch.from_numpy(ids))
            rows = self.encoder.run(hidden, mask, range(NUM_LAYERS - self.num_tuned)).half().numpy()
        return [row[: len(sentence.pieces)] for row, sentence in zip(rows, sentences, strict=True)]

    def upper(self, batch: Batch, dropout: float = 0.0, *, half: bool = False) -> Outputs:
        """From the lower layers' output to both heads' scores.

        dropout: of everything, 0 outside training; half: the layers multiply in bfloat16
        """
        import torch
        from torch.nn import functional as f

        heads = self.heads
        spelled = heads["word_table"][batch.word_rows].sum(2)  # [batch, words, bag, WORD_WIDTH] summed over each bag
        hidden = batch.hidden
        if self.num_tuned:
            hidden = hidden + _at_pieces(f.linear(spelled, heads["inject"]), batch)
        mask = batch.pieces_there[:, None, None, :]  # [batch, 1 head, 1 asking piece, pieces]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            hidden = self.encoder.run(hidden, mask, self.tuned_layers, dropout, dropout).float()
        weight = batch.pieces_there.unsqueeze(2).float()  # [batch, pieces, 1]
        # [batch, HIDDEN]: the mean of the pieces, of length 1 as MiniLM was trained to be compared.
        sentence = f.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)
        return Outputs(sentence, self._intents(sentence, batch, dropout), self._tags(hidden, spelled, batch, dropout))

    def transitions(self) -> torch.Tensor:
        """[num_tags + 1, num_tags] learned scores, FORBIDDEN where BIO forbids."""
        import torch

        return self.heads["transitions"] + torch.from_numpy(self._forbidden)

    def quick(self) -> JointModel:
        """The same for reading only, see `encoder.for_reading`."""
        return JointModel(for_reading(self.encoder), self.heads, self.labels, self.num_tuned)

    def _intents(self, sentence: torch.Tensor, batch: Batch, dropout: float) -> torch.Tensor:
        import torch
        from torch.nn import functional as f

        if not self.labels.intents:
            return torch.zeros(len(sentence), 0)
        known = (batch.gram_rows > 0).sum(1, keepdim=True).clamp_min(1)  # [batch, 1], without the padding's row 0
        # [batch, GRAM_WIDTH]. By the square root of their number, a long sentence's sum is as wide as a short one's.
        grams = self.heads["gram_table"][batch.gram_rows].sum(1) / known.sqrt()
        joined = f.dropout(torch.cat([sentence * _SCALE, grams], 1), dropout, dropout > 0)
        return f.linear(joined, self.heads["intent.weight"], self.heads["intent.bias"])

    def _tags(self, hidden: torch.Tensor, spelled: torch.Tensor, batch: Batch, dropout: float) -> torch.Tensor:
        import torch
        from torch.nn import functional as f

        if len(self.labels.tags) == 1:
            return torch.zeros(*batch.first.shape, 1)
        words = hidden.gather(1, batch.first.unsqueeze(2).expand(-1, -1, HIDDEN))  # [batch, words, HIDDEN]
        # A word's neighbours by their spelling: the same rows one place to the right and to the left, 0 at the ends.
        before, after = f.pad(spelled, (0, 0, 1, 0))[:, :-1], f.pad(spelled, (0, 0, 0, 1))[:, 1:]
        joined = f.dropout(torch.cat([words, before, spelled, after], 2), dropout, dropout > 0)
        return f.linear(joined, self.heads["tag.weight"], self.heads["tag.bias"])


def _at_pieces(values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Values of words [batch, words, width] laid at the words' first pieces; padding lays 0 at [CLS]."""
    import torch

    laid = torch.zeros(*batch.hidden.shape[:2], values.shape[2])
    return laid.scatter(1, batch.first.unsqueeze(2).expand_as(values), values * batch.words_there.unsqueeze(2))


def collate(sentences: Sequence[Featured], hidden: Sequence[np.ndarray]) -> Batch:
    """Sentences and their lower layers' output, padded to the longest."""
    import torch

    first, words_there = padded([sentence.first for sentence in sentences])
    longest = max(len(rows) for rows in hidden)
    laid = np.zeros((len(sentences), longest, HIDDEN), np.float32)
    pieces_there = np.zeros((len(sentences), longest), bool)
    tags = np.zeros(first.shape, np.int64)
    width = max(len(bag) for sentence in sentences for bag in sentence.word_rows)
    word_rows = np.zeros((*first.shape, width), np.int64)
    for row, (sentence, values) in enumerate(zip(sentences, hidden, strict=True)):
        laid[row, : len(values)] = values
        pieces_there[row, : len(values)] = True
        tags[row, : len(sentence.tags)] = sentence.tags
        table = padded_rows(sentence.word_rows)
        word_rows[row, : len(table), : table.shape[1]] = table
    return Batch(
        torch.from_numpy(laid),
        torch.from_numpy(pieces_there),
        torch.from_numpy(first),
        torch.from_numpy(words_there),
        torch.from_numpy(word_rows),
        torch.from_numpy(padded_rows([sentence.gram_rows for sentence in sentences])),
        torch.tensor([sentence.intent for sentence in sentences]),
        torch.from_numpy(tags),
    )


def new_heads(labels: Labels, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Untrained heads. Tables have a row 0 of zeros for padding."""
    import torch

    def drawn(rows: int, width: int, size: float) -> torch.Tensor:
        return torch.randn(rows, width, generator=generator) * size

    num_intents, num_tags = len(labels.intents), len(labels.tags)
    heads = {
        "word_table": drawn(2**WORD_BITS + 1, WORD_WIDTH, 0.1),
        "inject": drawn(HIDDEN, WORD_WIDTH, 0.01),
        "gram_table": drawn(2**GRAM_BITS + 1, GRAM_WIDTH, 0.1),
        "intent.weight": drawn(num_intents, HIDDEN + GRAM_WIDTH, 0.02),
        "intent.bias": torch.zeros(num_intents),
        "tag.weight": drawn(num_tags, HIDDEN + 3 * WORD_WIDTH, 0.02),
        "tag.bias": torch.zeros(num_tags),
        "transitions": torch.zeros(num_tags + 1, num_tags),
    }
    heads["word_table"][0] = 0
    heads["gram_table"][0] = 0
    return heads
