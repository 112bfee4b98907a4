"""More sentences from few: each once more, with other values in its slots.

Before the path *sentence -> Understanding*. A tagger that saw ten cuisines learns what stands around a cuisine, not the
ten; values of the lexicon, such as the names in the graph, get their turn as well. After Dai and Adel 2020, "An
Analysis of Simple Data Augmentation for Named Entity Recognition" (arXiv 2010.11683).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from pagoda.nlu.labelled import Labelled
from pagoda.nlu.tagging import Span

_FEWEST = 3
"""A slot with fewer known values than this keeps its own."""


def substituted(examples: Sequence[Labelled], lexicon: Mapping[str, Iterable[str]], seed: int) -> list[Labelled]:
    """A copy of every example that has slots, with values drawn from the lexicon and from the other examples."""
    values = {slot: list(names) for slot, names in lexicon.items()}
    for example in examples:
        for slot, start, end in example.spans:
            values.setdefault(slot, []).append(example.text[start:end])
    values = {slot: sorted(set(names)) for slot, names in values.items()}
    rng = random.Random(seed)
    return [_with_other_values(example, values, rng) for example in examples if example.spans]


def _with_other_values(example: Labelled, values: Mapping[str, Sequence[str]], rng: random.Random) -> Labelled:
    text, spans, done = "", list[Span](), 0
    for slot, start, end in sorted(example.spans, key=lambda span: span[1]):
        if start < done:
            continue
        known = values[slot]
        value = rng.choice(known) if len(known) >= _FEWEST else example.text[start:end]
        text += example.text[done:start]
        spans.append((slot, len(text), len(text) + len(value)))
        text, done = text + value, end
    return Labelled(text + example.text[done:], example.intent, tuple(spans), example.requested)
