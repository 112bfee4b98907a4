"""What a reader gives for one sentence, before it is calibrated: scores of intents, signs of scope, tagged stretches.

On the path *sentence -> Understanding*; the same for the reader with an embedding (English) and the one without
(Chinese).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pagoda.nlu.calibration import log_sum_exp, softmax
from pagoda.nlu.labelled import Labelled
from pagoda.nlu.tagging import OUTSIDE, Word, word_spans
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue


@dataclass(frozen=True)
class Labels:
    """What a reader tells apart; either may be empty. tags: BIO, "O" first; intents: out_of_scope, if there, last."""

    intents: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[Labelled]) -> Labels:
        """Every intent and slot that occurs."""
        intents = sorted({one.intent for one in examples} - {"", OUT_OF_SCOPE})
        if any(one.intent == OUT_OF_SCOPE for one in examples):
            intents.append(OUT_OF_SCOPE)
        slots = sorted({slot for one in examples for slot, _, _ in one.spans})
        return cls(tuple(intents), (OUTSIDE, *(f"{kind}-{slot}" for slot in slots for kind in "BI")))

    @property
    def in_scope(self) -> tuple[str, ...]:
        """The intents without out_of_scope."""
        return tuple(name for name in self.intents if name != OUT_OF_SCOPE)

    def truth(self, examples: Sequence[Labelled]) -> np.ndarray:
        """int [n] row of each example's intent in `in_scope`, -1 for out_of_scope."""
        rows = {name: row for row, name in enumerate(self.in_scope)}
        return np.array([rows.get(one.intent, -1) for one in examples], np.int64)


@dataclass(frozen=True)
class Reading:
    """logits: [num intents in scope]; signs: [num_signs], the higher, the surer in scope; slots: as tagged."""

    logits: np.ndarray
    signs: np.ndarray
    slots: tuple[SlotValue, ...]


def signs_of(labels: Labels, logits: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """[n, num_signs] from logits [n, num_intents] and further signs [n]: softmax, energy, odds against out_of_scope."""
    inside = logits[:, : len(labels.in_scope)]
    energy = log_sum_exp(inside)
    signs = [inside.max(1) - energy, energy, *others]
    if len(labels.in_scope) < len(labels.intents):
        signs.append(energy - logits[:, -1])
    return np.stack(signs, 1)


def slots_of(
    text: str, words: Sequence[Word], path: Sequence[int], scores: np.ndarray, labels: Labels
) -> list[SlotValue]:
    """Values along the tagger's best path. scores: [words, num_tags], whose softmax gives the confidence."""
    chances = softmax(scores)[np.arange(len(path)), list(path)]
    found = []
    for slot, first, last in word_spans([labels.tags[tag] for tag in path]):
        start, end = words[first].start, words[last - 1].end
        sure = float(chances[first:last].mean())
        found.append(SlotValue(slot, text[start:end], start, end, sure))
    return found
