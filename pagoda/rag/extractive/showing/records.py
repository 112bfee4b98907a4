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


def rules_itself_out(question: str, row: str) -> bool:
    """Whether a row says "no" in a column that the question asks about; a question that denies asks for just that.

    >>> rules_itself_out("Who is on call?", "Name: Ann; On call: no")
    True
    >>> rules_itself_out("Who is not on call?", "Name: Ann; On call: no")
    False
    """
    if denies(question):
        return False
    asked = content(question)
    cells = _CELL.findall(row) if ";" in row else []
    return any(_NO.fullmatch(value.strip()) and _is_asked(name, asked) for name, value in cells)


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
    """Whether the question has all words of a column's name, or the name as it is."""
    words = content(column)
    return bool(words) and words <= asked
