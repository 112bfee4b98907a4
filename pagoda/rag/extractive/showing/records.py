"""Rows of tables as records: which of them say of themselves that they are not what is asked for.

Beside what is shown: hits -> spans -> *the row that is asked for* -> showing -> Answer. A loader reads a row with the
names of its columns, "Name: Ann; On call: no". Whoever asks "Who is on call?" shares more words with that row than with
one that says yes in other words, and a reader of spans does not know that "no" takes the row out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pagoda.rag.content_words import content
from pagoda.rag.extractive.showing.governors import denies

Span = tuple[int, int]
_CELL = re.compile(r"\s*([^:：;\n]{1,60})[:：]\s*([^;\n]*)(?:;|$)")
_NO = re.compile(
    r"(?:no|none|false|off|disabled|inactive|never|not \w+|n/?a|0|[-–—✗✘×]"
    r"|否|无|無|没有|沒有|不是|不[\u4e00-\u9fff]{1,4}|关闭|關閉|禁用|停用)\W*",
    re.IGNORECASE,
)
_WANTS_VALUE = re.compile(
    r"\bhow (?:many|much)\b|\bwhat(?:['’]s| is| are| was| were)\b|多少|几|幾|[是为為]什[么麼]", re.IGNORECASE
)
_WANTS_PERSON = re.compile(r"\bwho(?:m|se)?\b|谁|誰", re.IGNORECASE)


def rules_itself_out(question: str, row: str) -> bool:
    """Whether a row says "no" in a column that the question selects rows by.

    It does not where that "no" is what is asked for: a question that denies, or says it as well, or wants the value of
    the column, or names the row.

    >>> rules_itself_out("Who is on call?", "Name: Ann; On call: no")
    True
    >>> rules_itself_out("Who is not on call?", "Name: Ann; On call: no")
    False
    >>> rules_itself_out("Is Ann on call?", "Name: Ann; On call: no")
    False
    """
    cells = [(name, value.strip()) for name, value in _CELL.findall(row)] if ";" in row else []
    if not cells or denies(question) or _WANTS_VALUE.search(question) or _names(question, cells[0][1]):
        return False
    asked = content(question)
    return any(_NO.fullmatch(value) and _is_asked(name, asked) and not _says(question, value) for name, value in cells)


def row_asked_for(question: str, text: str, sentences: Sequence[Span], at: int) -> int:
    """The place of the nearest row like the one at `at` that does not rule itself out; `at` where there is none."""
    if not 0 <= at < len(sentences) or not rules_itself_out(question, text[slice(*sentences[at])]):
        return at
    columns = _columns(text[slice(*sentences[at])])
    others = [
        place
        for place, bounds in enumerate(sentences)
        if _columns(text[slice(*bounds)]) == columns and not rules_itself_out(question, text[slice(*bounds)])
    ]
    return min(others, key=lambda place: abs(place - at), default=at)


def _columns(row: str) -> list[str]:
    return [name.strip() for name, _ in _CELL.findall(row)] if ";" in row else []


def _is_asked(column: str, asked: frozenset[str]) -> bool:
    """Whether the question has all words of a column's name."""
    words = content(column)
    return bool(words) and words <= asked


def _names(question: str, value: str) -> bool:
    """Whether a question is about the row whose first cell this is. Whoever asks for a person chooses by the others."""
    if _WANTS_PERSON.search(question):
        return False
    words = content(value)
    return words <= content(question) if words else _says(question, value)


def _says(question: str, value: str) -> bool:
    """Whether a question has a cell's letters or digits as they are."""
    value = re.escape(value.strip("\"'`.。 "))
    return re.search(r"\w", value) is not None and bool(
        re.search(rf"(?<![A-Za-z0-9]){value}(?![A-Za-z0-9])", question, re.IGNORECASE)
    )
