"""English words as the trained weights know them: stop words and stems, each as it was when its weights were fitted.

On a question's path: question -> Hits -> *words* -> features -> reader and ranker -> answer. One notion with variants
on purpose: with the reader's stem in the ranker's place F1 on SQuAD 2.0 falls by a point without new training. Where no
weights read the words, `rag/english` decides.
"""

from __future__ import annotations

import re

_COMMON_TEXT = """
a an the of to in on at for by with from as is are was were be been being has have had do does did and or but
nor not it its this that these those he she they them his her their which who whom whose what when where why
how than then there here into over under between through during about after before s
"""
_COMMON = frozenset(_COMMON_TEXT.split())
READER_STOP_WORDS = _COMMON | {"many", "much", "name", "while"}
"""What reader_en.npz and answerable_en.npz were trained with."""
_MORE_TEXT = "also can could i if may might must our should so such we will would you your"
RANKER_STOP_WORDS = _COMMON | frozenset(_MORE_TEXT.split())
"""What span_ranker_en.npz was trained with."""
_SUFFIX = re.compile(r"(?:ing|ed|es|s|ly|'s|’s)$")


def is_content(word: str) -> bool:
    """Whether the reader compares the word between question and passage."""
    return word[:1].isalnum() and word.lower() not in READER_STOP_WORDS


def reader_stem(word: str) -> str:
    """What is left of a word without its commonest endings: reader_en.npz hangs on it.

    >>> reader_stem("Designed"), reader_stem("designs"), reader_stem("1889")
    ('design', 'design', '1889')
    """
    lower = word.lower()
    for ending in ("ing", "ed", "es", "s", "e"):
        if lower.endswith(ending) and len(lower) - len(ending) >= 3:
            return lower[: -len(ending)]
    return lower


def ranker_stem(word: str) -> str:
    """The same for the hashed ranker: span_ranker_en.npz hangs on it.

    >>> ranker_stem("Designed"), ranker_stem("likes"), ranker_stem("uses")
    ('design', 'lik', 'uses')
    """
    lower = word.lower()
    return _SUFFIX.sub("", lower) if len(lower) > 4 else lower


def answerable_stem(word: str) -> str:
    """The same for the decision to answer, one for party and parties, stop and stopped: answerable_en.npz hangs on it.

    >>> answerable_stem("parties") == answerable_stem("party"), answerable_stem("stopped")
    (True, 'stop')
    """
    root = reader_stem(word.removesuffix("'s").removesuffix("'"))
    if len(root) > 3 and root[-1] in "iy":
        return root[:-1]
    return root[:-1] if len(root) > 3 and root[-1] == root[-2] and root[-1].isalpha() else root
