"""Examples that are most like a sentence: shared groups of words or characters, the rare ones counting more.

Beside the path *sentence -> Understanding*: a language model that reads a sentence is shown those of its domain's
examples that resemble it (Liu et al. 2021, "What Makes Good In-Context Examples for GPT-3?", arXiv 2101.06804). Cosine
of TF-IDF (Salton and Buckley 1988) over the groups that `ngrams` reads; English and Chinese, without an embedding.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pagoda.language import language_of
from pagoda.nlu.ngrams import character_grams, word_grams
from pagoda.nlu.tagging import split_words

Example = Mapping[str, Any]


class NearestExamples:
    """Looks among examples, {"text", "intent", ...} each; threads may share it."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples
        grams = [_grams(example["text"]) for example in examples]
        counts = Counter(gram for own in grams for gram in own)
        self._weights = {gram: math.log((len(grams) + 1) / count) ** 2 for gram, count in counts.items()}
        self._lengths = [math.sqrt(sum(self._weights[gram] for gram in own)) or 1.0 for own in grams]
        self._rows: dict[str, list[int]] = defaultdict(list)
        for row, own in enumerate(grams):
            for gram in own:
                self._rows[gram].append(row)

    def of(self, text: str, number: int, intents: Collection[str]) -> list[Example]:
        """At most `number` examples of these intents, the most alike first; none that shares nothing."""
        likeness: dict[int, float] = defaultdict(float)
        for gram in _grams(text) & self._weights.keys():
            for row in self._rows[gram]:
                likeness[row] += self._weights[gram] / self._lengths[row]
        ranked = sorted(likeness, key=lambda row: (-likeness[row], row))
        among = (self._examples[row] for row in ranked if self._examples[row]["intent"] in intents)
        return [example for example, _ in zip(among, range(number), strict=False)]


def _grams(text: str) -> set[str]:
    words = split_words(text)
    if language_of(text) == "zh":
        return set(character_grams(words, [()] * len(words)))
    return set(word_grams(words))
