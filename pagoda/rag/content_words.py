"""Words that carry meaning: what sentences, sources and follow-up questions are compared by.

Beside a question's path, on both ends of it: a follow-up question that has few of them leans on the one before, and a
sentence is borne by a source that has most of them.
"""

from __future__ import annotations

import re

LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][a-z]+)?")
HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_TEXT = (
    "a an the and or but if of to in on at by for from with as is are was were be been being it its this "
    "that these those there here he she they them his her their we us our you your i my me not no yes do "
    "does did done have has had will would can could may might shall should must so than then also very "
    "more most such which who whom whose what when where why how all any each both some into over under "
    "about out up down only own same too s t "
)
FUNCTION_WORDS = frozenset(_TEXT.split())
_FUNCTION_HAN = frozenset("的了是在和与或也都而及着把被对为有不没这那其它他她们个吗呢吧就可以会能要从到于上下中")


def content(text: str) -> frozenset[str]:
    """Words that carry meaning, lightly stemmed, and pairs of Chinese characters.

    >>> sorted(content("The shops are opening at nine")), sorted(content("营业时间"))
    (['nine', 'open', 'shop'], ['业时', '时间', '营业'])
    """
    words = {light_stem(word) for word in LATIN_WORD.findall(text.lower())} - FUNCTION_WORDS
    return frozenset(words | set(_pairs(text)))


def light_stem(word: str) -> str:
    """A word in small letters without the commonest endings, nor what stands behind an apostrophe.

    >>> [light_stem(word) for word in ["opening", "shop's", "does"]]
    ['open', 'shop', 'doe']
    """
    word = word.split("'")[0].split("’")[0]
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4 - (ending == "s"):
            return word.removesuffix(ending)
    return word


def _pairs(text: str) -> list[str]:
    found = []
    for run in HAN_RUN.findall(text):
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        found += [pair for pair in pairs if not set(pair) <= _FUNCTION_HAN]
    return found
