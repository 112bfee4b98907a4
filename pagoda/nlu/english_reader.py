"""The reader with an embedding: an English sentence through MiniLM, the intent head and the tagger.

On the path *sentence -> Understanding*. With few examples MiniLM stays as it is and only the heads are trained, in
seconds; with thousands its upper layers are tuned, in minutes (`joint_training`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pagoda.nlu import crf
from pagoda.nlu.encoder import Wordpieces, packaged_encoder, packaged_folder
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.joint_model import GRAM_BITS, WORD_BITS, Featured, JointModel, collate
from pagoda.nlu.labelled import Labelled
from pagoda.nlu.ngrams import rows, word_features, word_grams
from pagoda.nlu.prototypes import nearest
from pagoda.nlu.reading import Labels, Reading, signs_of, slots_of
from pagoda.nlu.tagging import Word, split_words

if TYPE_CHECKING:
    import torch


_TABLE, _ROWS = "_table", ".rows"


class EnglishReader:
    """Reads one sentence at a time; threads may share it.

    centres: float16 [n, HIDDEN] prototypes of the intents, in the space of the (tuned) sentence vectors
    """

    def __init__(self, model: JointModel, gazetteer: Gazetteer, requestable: frozenset[str]) -> None:
        self.model = model
        self.gazetteer = gazetteer
        self.requestable = requestable
        self.centres = np.zeros((0, 0), np.float16)
        self._wordpieces = Wordpieces(packaged_folder())
        self._quick: tuple[JointModel, np.ndarray] | None = None

    @property
    def labels(self) -> Labels:
        """What it tells apart."""
        return self.model.labels

    def featured(self, words: Sequence[Word], requested: Sequence[str], own: Labelled | None = None) -> Featured:
        """A sentence as numbers. own: the example it is, whose values the gazetteer must not give away."""
        flags = self.gazetteer.flags([word.text.lower() for word in words], own)
        asked = [slot for slot in requested if slot in self.requestable]
        pieces = self._wordpieces.of_words([word.text for word in words])
        word_rows = [rows(bag, WORD_BITS) for bag in word_features(words, flags, asked)]
        return Featured(pieces.ids, pieces.first, word_rows, rows(word_grams(words), GRAM_BITS))

    def labelled(self, example: Labelled) -> Featured:
        """A training example as numbers, with its labels as rows."""
        words = example.words
        plain = self.featured(words, example.shown_request, example)
        intents, tags = self.labels.intents, {tag: row for row, tag in enumerate(self.labels.tags)}
        intent = intents.index(example.intent) if example.intent else -1
        numbers = tuple(tags[tag] for tag in example.tags())
        return Featured(plain.pieces, plain.first, plain.word_rows, plain.gram_rows, intent, numbers)

    def read(self, text: str, requested: Sequence[str] = ()) -> Reading:
        """One sentence with at least one word."""
        import torch

        words = split_words(text)
        sentence = self.featured(words, requested)
        model, transitions = self._for_reading()
        with torch.inference_mode():
            out = model.upper(collate([sentence], model.lower([sentence])))
        signs = np.zeros((1, 0))
        if self.labels.in_scope:
            signs = signs_of(self.labels, out.intents.numpy(), nearest(out.sentence.numpy(), self.centres))
        emissions = out.emissions[0].numpy()
        path = crf.best_path(emissions, transitions)
        slots = slots_of(text, words, path, emissions, self.labels)
        return Reading(out.intents[0, : len(self.labels.in_scope)].numpy(), signs[0], tuple(slots))

    def _for_reading(self) -> tuple[JointModel, np.ndarray]:
        """What does not change once it is trained; two threads may both make it, and make the same."""
        if self._quick is None:
            self._quick = self.model.quick(), self.model.transitions().detach().numpy()
        return self._quick

    def scores(self, sentences: Sequence[Featured], kept: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """([n, num_intents] logits, [n, HIDDEN] sentence vectors), from the lower layers' output."""
        import torch

        logits, vectors = [], []
        with torch.inference_mode():
            for start in range(0, len(sentences), 64):
                out = self.model.upper(collate(sentences[start : start + 64], kept[start : start + 64]))
                logits.append(out.intents.numpy())
                vectors.append(out.sentence.numpy())
        return np.concatenate(logits), np.concatenate(vectors)

    def with_gazetteer(self, gazetteer: Gazetteer) -> EnglishReader:
        """The same reader with other known values; what was learned is shared."""
        other = EnglishReader.__new__(EnglishReader)
        other.__dict__.update(self.__dict__, gazetteer=gazetteer)
        return other

    def with_lexicon(self, lexicon: Mapping[str, Iterable[str]]) -> EnglishReader:
        """The same reader with the values of another lexicon."""
        return self.with_gazetteer(self.gazetteer.with_lexicon(lexicon))

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a file must hold, float16: heads, tuned layers, prototypes; of tables the rows that say something."""
        import torch

        encoder = self.model.encoder
        names = [name for layer in self.model.tuned_layers for name in encoder.layer_names(layer)]
        kept = {**{name: encoder.weights[name] for name in names}, **self.model.heads}
        packed = {"centres": torch.tensor(self.centres)}
        for name, value in kept.items():
            if name.endswith(_TABLE):
                used = value.any(1).nonzero()[:, 0]
                packed[name + _ROWS], value = used.to(torch.int32), value[used]
            packed[name] = value.half().contiguous()
        return packed

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, torch.Tensor],
        labels: Labels,
        num_tuned: int,
        gazetteer: Gazetteer,
        requestable: frozenset[str],
    ) -> EnglishReader:
        """The inverse of `tensors`, with what JSON holds."""
        layers = {name: value.float() for name, value in tensors.items() if name.startswith("encoder.")}
        others = {"centres", *layers, *(name for name in tensors if name.endswith(_ROWS))}
        heads = {name: value.float() for name, value in tensors.items() if name not in others}
        for name, bits in {"word_table": WORD_BITS, "gram_table": GRAM_BITS}.items():
            table = heads[name].new_zeros(2**bits + 1, heads[name].shape[1])
            table[tensors[name + _ROWS].long()] = heads[name]
            heads[name] = table
        reader = cls(JointModel(packaged_encoder(layers), heads, labels, num_tuned), gazetteer, requestable)
        reader.centres = tensors["centres"].numpy()
        return reader
