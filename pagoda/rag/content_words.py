"""Words that carry meaning: what sentences, sources and follow-up questions are compared by.

Beside a question's path, on both ends of it: a follow-up question that has few of them leans on the one before, and a
sentence is borne by a source that has most of them.
"""

from __future__ import annotations

import re

from pagoda.rag.english import STOP_WORDS, stem

_MORE_TEXT = "done down may might must shall yes"
FUNCTION_WORDS = STOP_WORDS | frozenset(_MORE_TEXT.split())
"""What a sentence may be made of and say nothing: these few more than a search leaves out."""
ASKING = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how|many|much|do|does|did|is|are|was|were|can|could|should|would|will"
    r"|i|you|we|it|there|please|tell|me|mean|means|happens?|way|name|allowed|permitted|forbidden|prohibited|banned)\b"
    "|什么|什麼|哪[些个個種种]?|谁|誰|多[少久大长長高远遠重快]|几|幾|如何|怎[么麼样樣]|为何|為何|是否|能否|可否|吗|嗎|呢|请问|請問|有没有"
    "|能不能|不?可以|需要|应该|不能|不得|不可|不准|不许|不許|不?允许|不?允許|禁止|严禁|嚴禁",
    re.I,
)
"""What a question asks with, which no answer repeats, or not in these words: 不能 is answered by 不得."""
LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][a-z]+)?")
HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_IDENTIFIER = re.compile(r"[A-Za-z_$@~/.-]*[A-Za-z0-9][\w.$@~/-]*")
_FUNCTION_HAN = frozenset("的了是在和与或也都而及着把被对为有不没这那其它他她们个吗呢吧就可以会能要从到于上下中")


def content(text: str) -> frozenset[str]:
    """Words that carry meaning, stemmed, and pairs of Chinese characters.

    >>> sorted(content("The shops are opening at nine")), sorted(content("营业时间"))
    (['nine', 'open', 'shop'], ['业时', '时间', '营业'])
    """
    return frozenset([*words_of(text), *_pairs(text)])


def content_asked(question: str) -> frozenset[str]:
    """The same of a question, without those that every question asks with; empty where it has no others.

    >>> sorted(content_asked("What is the name of the second largest river?"))
    ['largest', 'river', 'second']
    """
    return content(ASKING.sub(" ", question))


def words_of(text: str) -> list[str]:
    """The stems of the Latin words that carry meaning, in order. What stands behind an apostrophe is left out.

    >>> words_of("The shop's owners didn't say")
    ['shop', 'owner', 'didn', 'say']
    """
    words = (word.replace("’", "'").partition("'")[0] for word in LATIN_WORD.findall(text.lower()))
    return [stem(word) for word in words if word not in FUNCTION_WORDS]


def names_of(question: str) -> list[str]:
    """What a question calls by its name, in its order.

    >>> names_of("How does --port work in Debian 12?"), names_of("TiDB 支持 SAVEPOINT 吗？")
    (['--port', 'Debian', '12'], ['TiDB', 'SAVEPOINT'])
    """
    is_chinese = re.search(r"[\u4e00-\u9fff]", question) is not None
    found = [match[0].rstrip(".-/") for match in _IDENTIFIER.finditer(question)]
    kept = found if is_chinese else [name for name in found[1:] if not re.fullmatch(r"[a-z][a-z'’-]*|I|[A-Z]", name)]
    if not is_chinese and found and re.search(r"[\d_./-]|.[A-Z]", found[0]):
        kept = [found[0], *kept]
    return [name for name in kept if name]


def plain_name(name: str) -> str:
    """A name as it is looked for: in small letters, a version without its v.

    >>> plain_name("V2.0"), plain_name("vue")
    ('2.0', 'vue')
    """
    return re.sub(r"^v(?=\d)", "", name.lower())


def _pairs(text: str) -> list[str]:
    found = []
    for run in HAN_RUN.findall(text):
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        found += [pair for pair in pairs if not set(pair) <= _FUNCTION_HAN]
    return found
