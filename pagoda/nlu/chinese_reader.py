"""The reader without an embedding: character n-grams, values that are known, and sums of rows of two tables.

On the path *sentence -> Understanding*, for Chinese, which MiniLM cannot read. The intent is a linear function of the
sentence's n-grams of one to three characters; every character is tagged from its neighbours and the gazetteer's flags,
through a linear chain (Lafferty et al. 2001). numpy alone; a sentence takes a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.nlu import crf
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.labelled import Labelled
from pagoda.nlu.ngrams import character_features, character_grams, rows
from pagoda.nlu.reading import Labels, Reading, signs_of, slots_of
from pagoda.nlu.tagging import Word, allowed_transitions, split_words
from pagoda.nlu.understanding import SlotValue

GRAM_BITS, TAG_BITS = 17, 16


@dataclass(frozen=True)
class Weights:
    """Tables have a row 0 of zeros for padding.

    grams: [2**GRAM_BITS + 1, num_intents]; intents: [num_intents] constants
    rarity: [2**GRAM_BITS + 1] inverse document frequency of each row, 0 where the examples lack it
    features: [2**TAG_BITS + 1, num_tags]; transitions: [num_tags + 1, num_tags], FORBIDDEN where BIO forbids
    """

    grams: np.ndarray
    intents: np.ndarray
    rarity: np.ndarray
    features: np.ndarray
    transitions: np.ndarray


def tf_idf(rarity: np.ndarray) -> np.ndarray:
    """[..., grams] weights of a sentence's n-grams, unit length, from the rarity of each; 0 for those never seen."""
    return rarity / np.maximum(np.linalg.norm(rarity, axis=-1, keepdims=True), 1e-9)


def forbidden_moves(labels: Labels) -> np.ndarray:
    """[num_tags + 1, num_tags] what BIO forbids."""
    return crf.forbidden_moves(allowed_transitions(labels.tags))


class ChineseReader:
    """Reads one sentence at a time; threads may share it."""

    def __init__(self, labels: Labels, weights: Weights, gazetteer: Gazetteer, requestable: frozenset[str]) -> None:
        self.labels = labels
        self.weights = weights
        self.gazetteer = gazetteer
        self.requestable = requestable

    def tag_rows(self, words: Sequence[Word], requested: Sequence[str], own: Labelled | None = None) -> list[list[int]]:
        """Rows of `features` for each character. own: the example it is, whose values must not give themselves away."""
        flags = self.gazetteer.flags([word.text.lower() for word in words], own)
        asked = [slot for slot in requested if slot in self.requestable]
        return [rows(bag, TAG_BITS) for bag in character_features(words, flags, asked)]

    def gram_rows(self, words: Sequence[Word], own: Labelled | None = None) -> list[int]:
        """Rows of `grams` for a sentence. own: as for `tag_rows`."""
        flags = self.gazetteer.flags([word.text.lower() for word in words], own)
        return rows(character_grams(words, flags), GRAM_BITS)

    def intent_logits(self, gram_rows: Sequence[int]) -> np.ndarray:
        """[num_intents], out_of_scope, if it is one, last."""
        shares = tf_idf(self.weights.rarity[list(gram_rows)])
        return np.asarray(shares @ self.weights.grams[list(gram_rows)] + self.weights.intents)

    def familiarity(self, gram_rows: Sequence[int]) -> float:
        """Share of the sentence's n-grams that the examples hold, rare ones counting more."""
        rarity = self.weights.rarity[list(gram_rows)]
        missing = float(self.weights.rarity.max()) * float((rarity == 0).sum())
        return float(rarity.sum() / max(1e-9, float(rarity.sum()) + missing))

    def read(self, text: str, requested: Sequence[str] = ()) -> Reading:
        """One sentence with at least one word."""
        words = split_words(text)
        gram_rows = self.gram_rows(words)
        logits = self.intent_logits(gram_rows)[None]
        signs = np.zeros((1, 0))
        if self.labels.in_scope:
            signs = signs_of(self.labels, logits, np.array([self.familiarity(gram_rows)]))
        slots = self._slots(text, words, requested) if len(self.labels.tags) > 1 else ()
        return Reading(logits[0, : len(self.labels.in_scope)], signs[0], tuple(slots))

    def _slots(self, text: str, words: Sequence[Word], requested: Sequence[str]) -> list[SlotValue]:
        table = self.weights.features
        emissions = np.stack([table[bag].sum(0) for bag in self.tag_rows(words, requested)])
        path = crf.best_path(emissions, self.weights.transitions)
        return slots_of(text, words, path, emissions, self.labels)

    def with_gazetteer(self, gazetteer: Gazetteer) -> ChineseReader:
        """The same reader with other known values; what was learned is shared."""
        return ChineseReader(self.labels, self.weights, gazetteer, self.requestable)

    def with_lexicon(self, lexicon: Mapping[str, Iterable[str]]) -> ChineseReader:
        """The same reader with the values of another lexicon."""
        return self.with_gazetteer(self.gazetteer.with_lexicon(lexicon))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a file must hold: only the rows that training touched, float16."""
        weights = self.weights
        packed = {"intents": weights.intents, "transitions": np.maximum(weights.transitions, -100).astype(np.float16)}
        for name in ("grams", "features", "rarity"):
            table = getattr(weights, name)
            used = np.flatnonzero(table.reshape(len(table), -1).any(1))
            packed[name + ".rows"], packed[name] = used.astype(np.int32), table[used].astype(np.float16)
        return packed

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, np.ndarray], labels: Labels, gazetteer: Gazetteer, requestable: frozenset[str]
    ) -> ChineseReader:
        """The inverse of `tensors`, with what JSON holds."""
        sizes = {"grams": GRAM_BITS, "features": TAG_BITS, "rarity": GRAM_BITS}
        tables = {}
        for name, bits in sizes.items():
            table = np.zeros((2**bits + 1, *tensors[name].shape[1:]), np.float32)
            table[tensors[name + ".rows"]] = tensors[name]
            tables[name] = table
        moves = tensors["transitions"].astype(np.float32) + forbidden_moves(labels)
        weights = Weights(tables["grams"], tensors["intents"], tables["rarity"], tables["features"], moves)
        return cls(labels, weights, gazetteer, requestable)
