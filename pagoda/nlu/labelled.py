"""Training examples as they are given, checked, and as the trainers eat them.

Before the path *sentence -> Understanding*. Mistakes of the data are found here, with the example's number, and not as
a wrong shape an hour later.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pagoda.errors import ConfigError
from pagoda.language import Language, language_of
from pagoda.nlu.tagging import Span, Word, split_words, tags_of
from pagoda.nlu.understanding import OUT_OF_SCOPE

_OUT_OF_SCOPE_NAMES = {OUT_OF_SCOPE, "oos", "out-of-scope"}


@dataclass(frozen=True)
class Labelled:
    """A sentence with its labels.

    intent: "" where the set has none; spans: (slot, start, end); requested: slots that had just been asked for
    """

    text: str
    intent: str = ""
    spans: tuple[Span, ...] = ()
    requested: tuple[str, ...] = ()

    @property
    def language(self) -> Language:
        """By its characters."""
        return language_of(self.text)

    @property
    def shown_request(self) -> tuple[str, ...]:
        """What a trainer may know of `requested`: the first, as a turn has one; of every eighth example, nothing."""
        return () if zlib.crc32(self.text.encode()) % 8 == 0 else self.requested[:1]

    @property
    def words(self) -> list[Word]:
        """Of the text."""
        return split_words(self.text)

    def tags(self) -> list[str]:
        """BIO tags of its words."""
        return tags_of(self.words, self.spans)


def read_example(number: int, example: Mapping[str, Any]) -> Labelled:
    """Check one example of the public form. Raises ConfigError that names it by its number, from 0."""
    text = example.get("text")
    if not isinstance(text, str) or not split_words(text):
        raise ConfigError(f'example {number}: "text" is {text!r}; expected a sentence with at least one word')
    intent = example.get("intent") or ""
    if not isinstance(intent, str):
        raise ConfigError(f'example {number} ({text!r}): "intent" is {intent!r}; expected a name, or leave it out')
    slots, requested = (example.get(name) or () for name in ("slots", "requested"))
    for name, given in (("slots", slots), ("requested", requested)):
        if not isinstance(given, list | tuple):
            raise ConfigError(
                f'example {number} ({text!r}): "{name}" is {given!r:.80}; expected a list, or leave it out'
            )
    if not all(isinstance(slot, str) for slot in requested):
        raise ConfigError(f'example {number} ({text!r}): "requested" is {requested!r:.80}; expected names of slots')
    spans, requested = tuple(_read_slot(number, text, slot) for slot in slots), tuple(dict.fromkeys(requested))
    return Labelled(text, OUT_OF_SCOPE if intent in _OUT_OF_SCOPE_NAMES else intent, spans, requested)


def _read_slot(number: int, text: str, slot: Mapping[str, Any]) -> Span:
    where = f"example {number} ({text!r})"
    try:
        name, start, end = str(slot["slot"]), int(slot["start"]), int(slot["end"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'{where}: the slot {slot!r} needs "slot", "start" and "end" (characters)') from error
    if not (name and 0 <= start < end <= len(text)):
        raise ConfigError(f"{where}: slot {name!r} at [{start}, {end}) does not lie in its {len(text)} characters")
    value = slot.get("value")
    if value is not None and value != text[start:end]:
        raise ConfigError(
            f"{where}: slot {name!r} says {value!r}, but characters [{start}, {end}) are {text[start:end]!r}"
        )
    return name, start, end


def read_examples(examples: Sequence[Mapping[str, Any]]) -> list[Labelled]:
    """All of them. Raises ConfigError where one is malformed, or none has an intent or a slot."""
    read = [read_example(number, example) for number, example in enumerate(examples)]
    if not any(one.intent or one.spans for one in read):
        raise ConfigError(f"{len(read)} examples, none with an intent or a slot: there is nothing to learn")
    return read


def intents_told(examples: Sequence[Labelled]) -> np.ndarray:
    """int [n] numbers of the examples that have an intent: those without say nothing of what is in scope."""
    return np.array([number for number, one in enumerate(examples) if one.intent], np.int64)


def hold_out(examples: Sequence[Labelled], share: float, most: int, seed: int) -> tuple[list[Labelled], list[Labelled]]:
    """(kept, held out), to calibrate on what was not trained on.

    An intent with fewer than eight examples keeps them all; of out-of-scope ones a quarter goes, since few say much.
    """
    counts = Counter(one.intent for one in examples)
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    wanted = min(most, round(share * len(examples)))
    quota = {name: _quota(name, count, wanted / len(examples)) for name, count in counts.items()}
    held: set[int] = set()
    for index in order:
        name = examples[index].intent
        if quota[name] >= 1:
            quota[name] -= 1
            held.add(index)
    kept = [one for index, one in enumerate(examples) if index not in held]
    return kept, [examples[index] for index in sorted(held)]


def _quota(intent: str, count: int, share: float) -> int:
    if count < 8 or not intent:
        return 0
    return round(count * (0.25 if intent == OUT_OF_SCOPE else share))


def folds(examples: Sequence[Labelled], count: int, seed: int) -> list[int]:
    """The fold of each example; an intent's examples are spread over all of them."""
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda index: examples[index].intent)
    fold = [0] * len(examples)
    for position, index in enumerate(order):
        fold[index] = position % count
    return fold
