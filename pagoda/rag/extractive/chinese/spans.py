"""Which stretches of a Chinese passage could be an answer: words in a row, clauses in a row, a word to a clause's end.

On a question's path: question -> Hits -> words -> *candidate spans* -> features -> ranker -> answer. Answers in CMRC
2018 (Cui et al. 2019, arXiv 1810.07366) are names and numbers, and as often whole clauses; none crosses a sentence.
"""

from __future__ import annotations

import numpy as np

from pagoda.rag.extractive.chinese.words import ChineseText

CLAUSE_ENDS = frozenset("，。；：！？,;:!?")
MAX_WORDS, MAX_TAIL, MAX_CLAUSES = 24, 45, 130
"""Tokens of a candidate that ends on a word, that ends with a clause, that is clauses in a row."""
_NEVER_FIRST = frozenset("的了着是，、。；：！？,.;:!?)）》”」』")
_NEVER_LAST = _NEVER_FIRST - frozenset("）》”」』)")


def chinese_candidates(text: ChineseText) -> np.ndarray:
    """[num_candidates, 2] int64, first and last token, both included, in order."""
    pairs: set[tuple[int, int]] = set()
    bounds = np.searchsorted(text.sentence_of, np.arange(len(text.sentences) + 1))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        pairs |= _of_sentence(text, start, stop)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _of_sentence(text: ChineseText, start: int, stop: int) -> set[tuple[int, int]]:
    words, inside = text.words, range(start, stop)
    firsts = [i for i in inside if text.begins[i] and words[i] not in _NEVER_FIRST]
    lasts = [i for i in inside if text.ends[i] and words[i] not in _NEVER_LAST]
    opens = [
        i
        for i in inside
        if words[i] not in CLAUSE_ENDS and (i == start or words[i - 1] in CLAUSE_ENDS or words[i - 1] == "、")
    ]
    closes = [i for i in inside if words[i] not in CLAUSE_ENDS and (i + 1 == stop or words[i + 1] in CLAUSE_ENDS)]
    return _within(firsts, lasts, MAX_WORDS) | _within(firsts, closes, MAX_TAIL) | _within(opens, closes, MAX_CLAUSES)


def _within(firsts: list[int], lasts: list[int], most: int) -> set[tuple[int, int]]:
    return {(first, last) for first in firsts for last in lasts if first <= last < first + most}
