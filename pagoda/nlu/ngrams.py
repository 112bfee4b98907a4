"""Hashed features of words and sentences: what can be read of a sentence without an embedding.

On the path *sentence -> Understanding*. A feature is a short string, hashed to the row of a table of weights, so that
no dictionary is kept (Weinberger et al. 2009, "Feature Hashing", arXiv 0902.2206). Row 0 is padding.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from pagoda.nlu.tagging import Word

_DIGIT, _UPPER, _LOWER = re.compile(r"[0-9]"), re.compile(r"[A-Z]"), re.compile(r"[a-z]")
_RUN = re.compile(r"(.)\1{2,}")
_CHINESE_NUMERALS = frozenset("零一二两三四五六七八九十百千半")


def rows(features: Iterable[str], bits: int) -> list[int]:
    """Row of each feature in a table of 2**bits rows below the padding."""
    mask = (1 << bits) - 1
    return [1 + (zlib.crc32(feature.encode()) & mask) for feature in features]


def padded_rows(bags: Sequence[Sequence[int]]) -> np.ndarray:
    """int64 [len(bags), longest]; padded with 0."""
    table = np.zeros((len(bags), max((len(bag) for bag in bags), default=0) or 1), np.int64)
    for index, bag in enumerate(bags):
        table[index, : len(bag)] = bag
    return table


def shape(word: str) -> str:
    """Its letters as X, x and d, runs cut to two: "McDonald" -> "XxXxx", "2018" -> "dd"."""
    if not word.isascii():
        return "n" if word in _CHINESE_NUMERALS else "h"
    outline = _DIGIT.sub("d", _UPPER.sub("X", _LOWER.sub("x", word)))
    return _RUN.sub(r"\1\1", outline)


def word_features(words: Sequence[Word], flags: Sequence[Sequence[str]], requested: Sequence[str]) -> list[list[str]]:
    """Of each word of an English sentence: itself, its shape and ends, the gazetteer's flags, what had been asked."""
    features = []
    for word, marks in zip(words, flags, strict=True):
        lower, outline = word.text.lower(), shape(word.text)
        bag = ["w" + lower, "s" + outline, "p" + lower[:3], "e" + lower[-3:], *marks]
        for slot in requested:
            bag += ["r" + slot, f"r{slot}|{outline}"]
        features.append(bag)
    return features


def character_features(
    words: Sequence[Word], flags: Sequence[Sequence[str]], requested: Sequence[str]
) -> list[list[str]]:
    """Of each character of a Chinese sentence: it and its neighbours to two on either side, pairs, shapes, flags."""
    text = ["<<", "<", *(word.text.lower() for word in words), ">", ">>"]
    shapes = ["<<", "<", *(shape(word.text) for word in words), ">", ">>"]
    marks = [(), (), *flags, (), ()]
    features = []
    for at in range(2, len(text) - 2):
        bag = ["any", *(f"{offset}{text[at + offset]}" for offset in (-2, -1, 0, 1, 2))]
        bag += [f"{offset}:{text[at + offset]}{text[at + offset + 1]}" for offset in (-2, -1, 0, 1)]
        bag += [f"t{text[at - 1]}{text[at]}{text[at + 1]}", f"u{text[at - 2]}{text[at - 1]}{text[at]}"]
        bag += [f"v{text[at]}{text[at + 1]}{text[at + 2]}", "s" + "".join(shapes[at - 1 : at + 2])]
        bag += marks[at]
        bag += ["-1" + mark for mark in marks[at - 1] if mark[1] in "ES"]
        bag += ["+1" + mark for mark in marks[at + 1] if mark[1] in "BS"]
        for slot in requested:
            bag += ["r" + slot, f"r{slot}|{shapes[at]}", f"r{slot}|{text[at]}"]
        features.append(bag)
    return features


def word_grams(words: Sequence[Word]) -> list[str]:
    """Of an English sentence: words, pairs of words, and groups of four characters within a word."""
    lower = ["<", *(word.text.lower() for word in words), ">"]
    grams = ["w" + word for word in lower[1:-1]]
    grams += [f"b{left} {right}" for left, right in itertools.pairwise(lower)]
    for word in lower[1:-1]:
        edged = f"_{word}_"
        grams += ["c" + edged[start : start + 4] for start in range(max(1, len(edged) - 3))]
    return grams


def character_grams(words: Sequence[Word], flags: Sequence[Sequence[str]]) -> list[str]:
    """Of a Chinese sentence: groups of one to three characters, once as they stand, once with slots for known values.

    Latin words and numbers count as one character.
    """
    text = ["#" if word.text.isdigit() else word.text.lower() for word in words]
    return [*character_groups(text), *("d" + group for group in character_groups(_with_slots(text, flags)))]


def _with_slots(text: Sequence[str], flags: Sequence[Sequence[str]]) -> list[str]:
    """The sentence's frame: each known value as one sign with its slot's name."""
    frame = []
    for character, marks in zip(text, flags, strict=True):
        begun = [mark[2:] for mark in marks if mark[1] in "BS"]
        if begun:
            frame.append(f"[{begun[0]}]")
        elif not marks:
            frame.append(character)
    return frame


def character_groups(text: Sequence[str]) -> list[str]:
    """Groups of one to three signs, each as often as it stands there; the ends are signs too."""
    edged = ["<", *text, ">"]
    return ["".join(edged[start : start + size]) for size in (1, 2, 3) for start in range(len(edged) - size + 1)]
