"""Short sentences whose intent the examples say outright: "hi" is a greeting, however sure a classifier may be.

On the path *sentence -> Understanding*. A classifier gives a literal training example of one word a low score now and
then; people notice that first.
"""

from __future__ import annotations

from collections.abc import Iterable

from pagoda.nlu.gazetteer import phrase_of
from pagoda.nlu.labelled import Labelled

_LONGEST = 24
"""Characters of a sentence that is remembered whole."""
CERTAINTY = 0.99


def key_of(text: str) -> str:
    """Its words in small letters without signs, so that "Hi!" is "hi"."""
    return " ".join(word for word in phrase_of(text) if word.isalnum())


def known_sentences(examples: Iterable[Labelled]) -> dict[str, str]:
    """{key: intent} of the short examples; those that occur with two intents are left out."""
    intents: dict[str, set[str]] = {}
    for example in examples:
        if example.intent and len(example.text) <= _LONGEST and (key := key_of(example.text)):
            intents.setdefault(key, set()).add(example.intent)
    return {key: next(iter(names)) for key, names in intents.items() if len(names) == 1}


def ranked_with(intent: str, ranked: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """The candidates with one that is certain put first; the others share what is left."""
    left = 1 - CERTAINTY
    others = [(name, min(chance, 1.0) * left) for name, chance in ranked if name != intent]
    sure = max([CERTAINTY, *(chance for name, chance in ranked[:1] if name == intent)])
    return ((intent, sure), *others)
