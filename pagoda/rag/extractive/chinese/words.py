"""Chinese cut into words: what a passage and a question are made of before anything is compared.

On a question's path: question -> Hits -> *words* -> candidate spans -> features -> ranker -> answer. Words and their
parts of speech are jieba's (a dictionary and a hidden Markov model); tokens stay single characters, so that an answer
may begin inside a word that was cut wrongly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pagoda.rag.chinese import cut
from pagoda.rag.extractive.spans import Token, sentence_bounds, tokenize_spans

_QUESTION_WORD = re.compile(
    "为什么|為什麼|为何|為何|什么时候|什麼時候|何时|何時|什么|什麼|哪[一两几兩幾]?[些个個位年种種所家座次部]?|谁|誰|多少|多[大长高远久重長遠]"
    "|第几|第幾|几|幾|怎么样|怎样|怎么|怎樣|怎麼|如何|何地|何处|何|是否"
)
_KINDS = (
    ("why", "为什么|為什麼|为何|為何|原因"),
    ("time", "什么时候|什麼時候|何时|何時|[哪几幾]年|年份|时间|日期|時間|[几幾][月日号]|哪一?[天年日]|年代"),
    ("number", "多少|[几幾]|多[大长高远久重長遠]"),
    ("person", "谁|誰|哪[一]?位|什么人|何人"),
    ("place", "哪里|哪裡|哪儿|何地|何处|什么地方|位于|哪[个一]?[国國省市县地]|位於"),
    ("how", "怎么|怎样|如何|怎樣|怎麼"),
    ("list", "哪些|哪[几幾两]"),
    ("name", "叫什么|名字|名称|称为|又名|别名"),
)
MAX_TEXTS = 64
"""Texts that are kept in words: several questions may be read beside one."""
_HEAD_WORDS = 4
_CONTENT_TAGS = frozenset("nvmqatxlibj")
_LINKS = frozenset(
    ["是", "叫", "为", "為", "为了", "有", "在", "叫做", "做", "于", "於", "的", "位于", "位於", "都", "分别", "主要"]
)


@dataclass(frozen=True, eq=False)
class ChineseText:
    """A passage in tokens and words.

    words: the tokens in lower case; sentence_of: [num_tokens]; tags: part of speech of the word that a token stands in
    whole: that word itself, in lower case
    begins, ends: [num_tokens] bool, whether a word begins or ends with the token
    """

    tokens: list[Token]
    words: list[str]
    sentences: list[tuple[int, int]]
    sentence_of: np.ndarray
    tags: list[str]
    whole: list[str]
    begins: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class ChineseQuestion:
    """words: lower-case tokens; left, right: the question word is words[left:right]; head: what it asks a kind of.

    before, after: the words on both sides of the question word: 担任 and 职务 of "他担任什么职务"

    >>> question = read_question("刘燕卿获得了什么荣誉？")
    >>> question.word, question.head, question.kind
    ('什么', '荣誉', 'what')
    """

    words: list[str]
    left: int
    right: int
    word: str
    kind: str
    head: str
    before: str = ""
    after: str = ""

    @property
    def fine(self) -> str:
        """The question word with the last character of the head: 什么 of 人 is not 什么 of 年."""
        return f"{self.word}|{self.head[-1:]}"

    @property
    def wants_number(self) -> bool:
        """Whether a number is asked for by its word: 哪一年, 几个, 多少; 什么时候 may be answered by an event.

        >>> [read_question(each).wants_number for each in ("他生于哪一年？", "有几座桥？", "他什么时候去的？")]
        [True, True, False]
        """
        return _NUMBER_WORD.search("".join(self.words)) is not None


_NUMBER_WORD = re.compile("[哪几幾]一?[年月日号天]|年份|[几幾][个個座位名次条條种種人层層岁歲]|多少")


def read_text(text: str, sentences: tuple[tuple[int, int], ...] | None = None) -> ChineseText:
    """Cut a passage; `sentences` are (start, end) in it, found here where none are given."""
    return _read_text(text, sentences or tuple(sentence_bounds(text)))


@lru_cache(maxsize=MAX_TEXTS)
def _read_text(text: str, sentences: tuple[tuple[int, int], ...]) -> ChineseText:
    tokens: list[Token] = []
    owner: list[int] = []
    for index, (start, end) in enumerate(sentences):
        found = tokenize_spans(text[start:end])
        tokens += [Token(t.text, t.start + start, t.end + start) for t in found]
        owner += [index] * len(found)
    labels, cuts, starts, stops = _tag(text)
    return ChineseText(
        tokens=tokens,
        words=[t.text.lower() for t in tokens],
        sentences=list(sentences),
        sentence_of=np.array(owner, dtype=np.int64),
        tags=[_tag_of(t, labels) for t in tokens],
        whole=[t.text.lower() if t.text[0].isascii() else cuts[t.start] for t in tokens],
        begins=np.array([t.start in starts for t in tokens], dtype=bool),
        ends=np.array([t.end in stops for t in tokens], dtype=bool),
    )


def read_question(question: str) -> ChineseQuestion:
    """The question word, the kind of answer, and the noun that says more about it."""
    tokens = tokenize_spans(question)
    words = [t.text.lower() for t in tokens]
    match = _QUESTION_WORD.search(question)
    if match is None:
        return ChineseQuestion(words, len(words), len(words), "", "none", "")
    left = sum(t.start < match.start() for t in tokens)
    right = sum(t.start < match.end() for t in tokens)
    behind, ahead = cut(question[match.end() :].rstrip("？? 。")), cut(question[: match.start()])
    head = _head_after(behind) or _head_before(ahead)
    sides = "".join(word for word, _ in ahead[-1:]), "".join(word for word, _ in behind[:1])
    return ChineseQuestion(words, left, right, match.group(), _kind_of(question), head.lower(), *sides)


def _kind_of(question: str) -> str:
    """The kind of answer that is asked for.

    >>> _kind_of("他出生于哪年？"), _kind_of("他的代表作是什么？")
    ('time', 'what')
    """
    return next((name for name, pattern in _KINDS if re.search(pattern, question)), "what")


def _head_after(words: list[tuple[str, str]]) -> str:
    """The noun behind the question word: 荣誉 of "什么荣誉"; else the last content word before anything else."""
    head = ""
    for word, tag in words[:_HEAD_WORDS]:
        if tag[0] == "n":
            return word
        if tag[0] in _CONTENT_TAGS and word not in _LINKS and word[0].isalnum():
            head = word
        elif head or word != "的":
            break
    return head


def _head_before(words: list[tuple[str, str]]) -> str:
    """The last word before "是什么" that is no link: 职务 of "他的职务是什么"."""
    return next((word for word, _ in reversed(words) if word not in _LINKS and word[0].isalnum()), "")


def _tag(text: str) -> tuple[list[str], list[str], set[int], set[int]]:
    """The tag and the word of every character, and the places where words begin and end."""
    labels: list[str] = []
    cuts: list[str] = []
    starts, stops = set(), set()
    for word, tag in cut(text):
        starts.add(len(labels))
        labels += [tag] * len(word)
        cuts += [word] * len(word)
        stops.add(len(labels))
    return labels, cuts, starts, stops


def _tag_of(token: Token, labels: list[str]) -> str:
    if token.text[0].isdigit():
        return "m"
    return "eng" if re.match("[A-Za-z]", token.text) else labels[token.start]
