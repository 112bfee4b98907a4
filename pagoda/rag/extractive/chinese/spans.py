"""Which stretches of a Chinese passage could be an answer: words in a row, clauses in a row, a word to a clause's end.

On a question's path: question -> Hits -> words -> *candidate spans* -> features -> ranker -> answer. Answers in CMRC
2018 (Cui et al. 2019, arXiv 1810.07366) are names and numbers, and as often whole clauses; none crosses a sentence.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

from pagoda.rag.extractive.chinese.words import MAX_TEXTS, ChineseText

CLAUSE_ENDS = frozenset("，。；：！？,;:!?")
MAX_WORDS, MAX_TAIL, MAX_CLAUSES = 24, 45, 130
"""Tokens of a candidate that ends on a word, that ends with a clause, that is clauses in a row."""
_NEVER_FIRST = frozenset("的了着是，、。；：！？,.;:!?)）》”」』")
_NEVER_LAST = _NEVER_FIRST - frozenset("）》”」』)")
_NUMERALS = frozenset("〇零一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟")


@lru_cache(maxsize=MAX_TEXTS)
def chinese_candidates(text: ChineseText) -> np.ndarray:
    """[num_candidates, 2] int64, first and last token, both included, in order."""
    bounds = np.searchsorted(text.sentence_of, np.arange(len(text.sentences) + 1))
    num = len(text.words)
    codes = [_of_sentence(text, start, stop) for start, stop in itertools.pairwise(bounds.tolist())]
    found = np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))
    return np.stack([found // max(1, num), found % max(1, num)], axis=1)


def _of_sentence(text: ChineseText, start: int, stop: int) -> np.ndarray:
    """Each pair as one number: the first token times the number of tokens, and the last."""
    words, inside = text.words, range(start, stop)
    # A part of a number is another number: 三百八十元 is no 百八十元, 3万 no 3.
    goes_on = [i > start and _is_numeral(words[i]) and _is_numeral(words[i - 1]) for i in inside] + [False]
    firsts = [i for i in inside if text.begins[i] and words[i] not in _NEVER_FIRST and not goes_on[i - start]]
    lasts = [i for i in inside if text.ends[i] and words[i] not in _NEVER_LAST and not goes_on[i + 1 - start]]
    opens = [
        i
        for i in inside
        if words[i] not in CLAUSE_ENDS and (i == start or words[i - 1] in CLAUSE_ENDS or words[i - 1] == "、")
    ]
    closes = [i for i in inside if words[i] not in CLAUSE_ENDS and (i + 1 == stop or words[i + 1] in CLAUSE_ENDS)]
    # "What is it?" is answered with all that is said behind the name: 是一种植物.
    told = [i for i in inside if text.begins[i] and words[i] == "是"]
    pairs = ((firsts, lasts, MAX_WORDS), (firsts + told, closes, MAX_TAIL), (opens, closes, MAX_CLAUSES))
    return np.concatenate([_within(*pair, len(words)) for pair in pairs])


def _is_numeral(word: str) -> bool:
    return word in _NUMERALS or word[0].isdigit()


def _within(firsts: list[int], lasts: list[int], most: int, num: int) -> np.ndarray:
    first, last = np.array(firsts, np.int64)[:, None], np.array(lasts, np.int64)
    return np.asarray((first * num + last)[(first <= last) & (last < first + most)])
