"""English words without what grammar adds: the words that say nothing of a subject, and the stems of the others.

Beside both paths: BM25 and the tokens of an embedder leave out the same words, and what retrieval takes for the same
word, the check of a model's sentences does, too. The trained readers have their own (`extractive/english/words`).
"""

from __future__ import annotations

import re

_TEXT = """
a about after all also although am an and any are as at be because been before being between both but by can could did
do does doing during each for from further had has have having he her here hers him his how i if in into is it its
itself just me more most my no nor not of off on once only or other our ours out over own s same she should so some
such t than that the their theirs them then there these they this those through to too under until up upon us very was
we were what when where which while who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_TEXT.split())
# What derivation adds; the longest that leaves a root goes.
_ENDINGS = (
    *("ational", "ization", "ation", "ement", "ment", "ness", "able", "ible", "ally", "ity", "ive", "ion", "ous"),
    *("ly", "al", "er", "or", "ic", "e"),
)
_MIN_ROOT = 4
_VOWEL = re.compile("[aeiouy]")
_DOUBLED = re.compile(r"([^aeiouylsz])\1$")
_SHORT_WORD = re.compile(r"^[^aeiouy]*[aeiouy][^aeiouywx]$")


def stem(word: str) -> str:
    """An English word without inflection and derivation; lighter than Porter 1980, whose step 1 it follows.

    >>> [stem(word) for word in ["studies", "studied", "stopped", "making", "nations", "national", "bus"]]
    ['studi', 'studi', 'stop', 'make', 'nation', 'nation', 'bus']
    """
    word = uninflected(word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_ROOT:
            return word[: -len(ending)]
    return word


def uninflected(word: str) -> str:
    """An English word in small letters without plural, -ing and -ed: as the plain verb or noun has it, or nearly.

    >>> [uninflected(word) for word in ["studies", "stopped", "making", "shop's", "mariner"]]
    ['studi', 'stop', 'make', 'shop', 'mariner']
    """
    word = _without_plural(word.removesuffix("'s").replace("'", ""))
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2 and _VOWEL.search(word[: -len(ending)]):
            word = _repaired(word[: -len(ending)])
            break
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "i"
    return word


def _without_plural(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-2]
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes", "zes")) else word[:-1]


def _repaired(root: str) -> str:
    """hopp -> hop, hop -> hope, rat -> rate: the root as the plain verb has it."""
    if _DOUBLED.search(root):
        return root[:-1]
    if root.endswith(("at", "bl", "iz")) or _SHORT_WORD.match(root):
        return root + "e"
    return root
