"""What a question asks for: the question word, what stands around it, and the kind of answer that follows from it.

On a question's path: *question* -> Hits -> candidate spans -> features -> ranker -> answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pagoda.rag.extractive.spans import STOP_ENGLISH, language_of, tokenize_spans

CHINESE_WORD = re.compile(
    "为什么|為什麼|为何|為何|什么时候|什麼時候|何时|何時|什么|什麼|哪[一两几兩幾]?[些个個位年种種所家座次部]?|谁|誰|多少|多[大长高远久重長遠]"
    "|第几|第幾|几|幾|怎么样|怎样|怎么|怎樣|怎麼|如何|何地|何处|何|是否"
)
_CHINESE_KINDS = (
    ("why", "为什么|為什麼|为何|為何|原因"),
    ("time", "什么时候|什麼時候|何时|何時|[哪几幾]年|年份|时间|日期|時間|[几幾][月日号]|哪一?[天年日]|年代"),
    ("number", "多少|[几幾]|多[大长高远久重長遠]"),
    ("person", "谁|誰|哪[一]?位|什么人|何人"),
    ("place", "哪里|哪裡|哪儿|何地|何处|什么地方|位于|哪[个一]?[国國省市县地]|位於"),
    ("how", "怎么|怎样|如何|怎樣|怎麼"),
    ("list", "哪些|哪[几幾两]"),
    ("name", "叫什么|名字|名称|称为|又名|别名"),
)
_ENGLISH_WORD = re.compile(
    r"\b(?:how (?:many|much|long|old|far|often|large|big|tall|fast)|how|who|whom|whose|when|where|why|which|what)\b",
    re.I,
)


@dataclass(frozen=True)
class QuestionType:
    """kind: coarse class; fine: with the words at the question word; before, after: what stands around that word."""

    language: str
    kind: str
    fine: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def question_type(question: str) -> QuestionType:
    """The type of a question in English or Chinese.

    >>> question_type("What year did it end?").fine, question_type("他出生于哪年？").kind
    ('what year', 'time')
    """
    return _chinese_type(question) if language_of(question) == "zh" else _english_type(question)


def _english_type(question: str) -> QuestionType:
    match = _ENGLISH_WORD.search(question)
    if match is None:
        return QuestionType("en", "none", "none", (), ())
    before = tuple(token.text.lower() for token in tokenize_spans(question[: match.start()]))
    after = tuple(token.text.lower() for token in tokenize_spans(question[match.end() :]))
    head = next((word for word in after[:4] if word not in STOP_ENGLISH), "")
    kind = match.group().lower()
    return QuestionType("en", kind, f"{kind} {head}".strip(), before, after)


def _chinese_type(question: str) -> QuestionType:
    match = CHINESE_WORD.search(question)
    kind = next((name for name, pattern in _CHINESE_KINDS if re.search(pattern, question)), "what")
    if match is None:
        return QuestionType("zh", kind, "none", (), ())
    before = tuple(token.text for token in tokenize_spans(question[: match.start()]))
    after = tuple(token.text for token in tokenize_spans(question[match.end() :].rstrip("？?。 ")))
    return QuestionType("zh", kind, match.group() + "".join(after[:2]), before, after)
