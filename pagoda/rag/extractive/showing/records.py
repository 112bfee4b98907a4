"""Rows of tables as records: which of them a question asks for, and which say of themselves that they are not it.

Beside what is shown: hits -> spans -> *the row that is asked for* -> showing -> Answer. A loader reads a row with the
names of its columns, "Name: Ann; On call: no". Whoever asks "Who is on call?" shares more words with that row than with
one that says yes in other words, and a reader of spans does not know that "no" takes the row out; nor that it is what
"Who is not on call?" asks for, and that "Is Ann on call?" asks for Ann's row whatever the others say. So a question
selects rows twice: by their name, where it names one, and by what they say in a column that it asks about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pagoda.rag.content_words import ASKING, HAN_RUN, content
from pagoda.rag.english import stem
from pagoda.rag.extractive.showing.alone import is_of_kind, kind_sought
from pagoda.rag.extractive.showing.governors import denies

Span = tuple[int, int]
_CELL = re.compile(r"\s*([^:：;\n]{1,60})[:：]\s*([^;\n]*)(?:;|$)")
_NO = re.compile(
    r"(?:no|none|false|off|disabled|inactive|never|not \w+|n/?a|0|[-–—✗✘×]"
    r"|否|无|無|没有|沒有|不是|不[\u4e00-\u9fff]{1,4}|关闭|關閉|禁用|停用)\W*",
    re.IGNORECASE,
)
_YES = re.compile(
    r"(?:yes|true|on|enabled|active|available|included|supported|[✓✔√])\W*|(?:是|有|支持|可以|开启|開啟|启用|啟用|包含|提供)\W*",
    re.IGNORECASE,
)
_WANTS_VALUE = re.compile(
    r"\bhow (?:many|much)\b|\bwhat(?:['’]s| is| are| was| were)\b|多少|几|幾|[是为為]什[么麼]", re.IGNORECASE
)
_WANTS_PERSON = re.compile(r"\bwho(?:m|se)?\b|谁|誰", re.IGNORECASE)
_OF_CLOCK = r"(?<=\d)[:：](?=\d)"
_LABELLED = re.compile(
    rf"\s*(?:[-*+•]\s+)?[*_]*([^:：;|\n]{{1,40}}?)[*_]*(?!{_OF_CLOCK})[:：](?!//)[*_]*\s*"
    rf"([^\s:：](?:[^\n:：]|{_OF_CLOCK})*?)[;；,，.。]?\s*"
)
_NOT = re.compile(r"\b(?:not|no|never)\b|n['’]t\b|[不没沒非]", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_ASKS_VALUE = re.compile(
    r"^\W*(?:(?:so|and|but)\s+)?(?:who|what|when|which \w+)(?:['’]s|\s+(?:is|are|was|were))\b"
    "|谁|誰|什[么麼]|多少|几|哪(?![里儿])",
    re.IGNORECASE,
)
_MOST_WORDS, _MOST_HAN = 8, 20
"""Of what a label tells: more is a definition."""
_OF_ANYTHING = content(
    "default type name value example note usage description syntax required optional 默认 类型 名称 示例 注意 说明"
)
"""Labels that some thing has, which the line does not name."""
_HAVING = frozenset(map(stem, ("win", "get", "hold", "own", "contain", "offer")))
"""Verbs for what "have" says of a column, too: "How many cups has the team won?"."""
_NEGATED_HAN = re.compile("没有|沒有|不是|[没沒不无無有是的]")
_LACKS = re.compile(r"\b(?:without|lack\w*|miss(?:es|ing)|exclud\w+|except\w*)\b|缺|除了|除外", re.IGNORECASE)


def rules_itself_out(question: str, row: str) -> bool:
    """Whether a row says "no" in a column that a question selects rows by, or "yes" where it asks for those that deny.

    It does not where that value is what is asked for: a question that says it as well, or wants the value of the
    column, or names the row.

    >>> rules_itself_out("Who is on call?", "Name: Ann; On call: no")
    True
    >>> [rules_itself_out("Who is not on call?", f"Name: Ann; On call: {value}") for value in ("no", "yes")]
    [False, True]
    >>> rules_itself_out("Is Ann on call?", "Name: Ann; On call: no")
    False
    """
    return not _Row(row).fits(question)


def row_asked_for(question: str, text: str, sentences: Sequence[Span], at: int) -> int:
    """The place of the row that is asked for, of those like the one at `at`; `at` where that one is, or none is.

    It is one that the question names, where it names any, and that does not rule itself out; the nearest of several.
    """
    found = _rows_asked_for(question, text, sentences, at)
    return at if not found or at in found else min(found, key=lambda place: abs(place - at))


def is_one_of_several(question: str, text: str, sentences: Sequence[Span], at: int) -> bool:
    """Whether other rows say the same as the one at `at` in the columns that the question selects by."""
    found = _rows_asked_for(question, text, sentences, at)
    if at not in found or not _Row(text[slice(*sentences[at])]).selected(question):
        return False
    return len(found) > 1


def looked_up(question: str, text: str, sentences: Sequence[Span], place: Span, heading: str = "") -> Span | None:
    """The row at `place`, or the labelled line of these sentences, that a question asks for by all of its words.

    None where several lines have that label: what stands between them says of what each is.
    """
    if is_looked_up(question, text[slice(*place)], heading):
        return place
    lines = [span for span in sentences if is_asked_by_label(question, text[slice(*span)], heading)]
    return lines[0] if len(lines) == 1 else None


def is_looked_up(question: str, row: str, heading: str = "") -> bool:
    """Whether a question is a look-up in a table, and this is the row: it has no word beside those of the table.

    It names the row and a column of it; or it selects the row by what it says in a column, and says what rows are.
    heading: what the table stands under

    >>> row = "Depot: Elm; Cold storage: no; Seats: 9"
    >>> [is_looked_up(text, row) for text in ("How many seats has Elm?", "Which depot has no cold storage?")]
    [True, True]
    >>> [is_looked_up(text, row) for text in ("How many seats has Oak?", "How many seats has Elm on Sundays?")]
    [False, False]
    """
    found = _Row(row)
    if len(found.cells) < 2 or not found.fits(question) or _has_other_number(question, row, heading):
        return False
    asked = content(question)
    columns = [name for name in found.columns[1:] if _is_asked(name, asked)]
    is_named = found.is_named_in(question)
    if not columns or not (is_named or (found.selected(question) and _is_asked(found.columns[0], asked))):
        return False
    rest = _beside(question, [*found.columns, *([found.name] if is_named else []), heading])
    return not (rest - _HAVING if _WANTS_VALUE.search(question) else rest)


def is_asked_by_label(question: str, line: str, heading: str = "") -> bool:
    """Whether a line is a label with a short value of the kind that a question seeks, and it asks for nothing else.

    heading: what the line stands under

    >>> line = "* Treasurer: Danny O'Brien"
    >>> [is_asked_by_label(text, line) for text in ("Who is the treasurer?", "When is the treasurer elected?")]
    [True, False]
    >>> is_asked_by_label("财务是谁？", "- 财务：李丽"), is_asked_by_label("Who is the treasurer?", "* Treasurer: 2007")
    (True, False)
    """
    found = _LABELLED.fullmatch(line)
    if found is None or not _ASKS_VALUE.search(question):
        return False
    if _has_other_number(question, line, heading) or _NOT.search(question.replace(found[1], "")):
        return False
    label, value = content(found[1]), found[2]
    is_short = len(value.split()) <= _MOST_WORDS and len("".join(HAN_RUN.findall(value))) <= _MOST_HAN
    if not label or not is_short or label <= _OF_ANYTHING or not is_of_kind(kind_sought(question), value):
        return False
    return _is_asked(found[1], content(question)) and not _beside(question, [found[1], heading])


def _beside(question: str, names: Sequence[str]) -> frozenset[str]:
    """The words of a question that are none of these names', nor of how it asks or denies."""
    rest = ASKING.sub(" ", question)
    for name in sorted(names, key=len, reverse=True):
        # Pairs of Chinese characters over the edge of a name are no words.
        rest = rest.replace(name, " ") if name and HAN_RUN.search(name) else rest
    rest = _LACKS.sub(" ", HAN_RUN.sub(lambda run: _NEGATED_HAN.sub(" ", run[0]), rest))
    return content(rest) - frozenset().union(*map(content, names))


def _has_other_number(question: str, *told: str) -> bool:
    """Whether a question has a number, a year perhaps, that nothing of what is told has."""
    return not {*_NUMBER.findall(question)} <= {*_NUMBER.findall(" ".join(told))}


def _rows_asked_for(question: str, text: str, sentences: Sequence[Span], at: int) -> list[int]:
    if not 0 <= at < len(sentences):
        return []
    own = _Row(text[slice(*sentences[at])])
    if not own.columns:
        return []
    rows = {place: _Row(text[slice(*bounds)]) for place, bounds in enumerate(sentences)}
    like = {place: row for place, row in rows.items() if row.columns == own.columns}
    named = _named(question, like) or list(like)
    return [place for place in named if like[place].fits(question)]


def _named(question: str, rows: Mapping[int, _Row]) -> list[int]:
    """The rows whose name the question has, but for names that are parts of a longer one that it has; not all rows."""
    named = {place: row.name for place, row in rows.items() if row.is_named_in(question)}
    longest = [
        place for place, name in named.items() if not any(name != other and name in other for other in named.values())
    ]
    # A name that all rows have tells none apart.
    return [] if len({*named.values()}) == len({row.name for row in rows.values()}) else longest


@dataclass(frozen=True)
class _Row:
    """A row as a loader tells it; no cells where the text is none."""

    text: str

    @cached_property
    def cells(self) -> list[tuple[str, str]]:
        return [(name.strip(), value.strip()) for name, value in _CELL.findall(self.text)] if ";" in self.text else []

    @property
    def columns(self) -> list[str]:
        return [name for name, _ in self.cells]

    @property
    def name(self) -> str:
        return self.cells[0][1] if self.cells else ""

    def is_named_in(self, question: str) -> bool:
        """Whether a question has the row's name; a number only beside what it is a number of ("line 3")."""
        is_number = re.fullmatch(r"[\d.,:%\s-]*", self.name) is not None
        return (
            bool(self.name)
            and _has(question, self.name)
            and (not is_number or _is_asked(self.columns[0], content(question)))
        )

    def selected(self, question: str) -> dict[str, bool]:
        """The columns that a question selects rows by -> whether it asks for those that say yes there."""
        if not self.cells or _WANTS_VALUE.search(question) or self._is_meant_by(question):
            return {}
        asked = content(question)
        columns = [
            name
            for name, value in self.cells
            if _is_asked(name, asked) and (_YES.fullmatch(value) or not _says(question, value))
        ]
        denied = _denied(question, columns)
        return {name: name != denied for name in columns}

    def fits(self, question: str) -> bool:
        """Whether no column says the contrary of what is asked for."""
        values = dict(self.cells)
        return not any(
            (_NO if wants_yes else _YES).fullmatch(values[name]) for name, wants_yes in self.selected(question).items()
        )

    def _is_meant_by(self, question: str) -> bool:
        """Whether the question is about this row. Whoever asks for a person chooses by the other cells."""
        return not _WANTS_PERSON.search(question) and _has(question, self.name)


def _denied(question: str, columns: Sequence[str]) -> str | None:
    """The column that the question denies: the nearest behind what denies; where none is behind it, the first."""
    ends = range(1, len(question) + 1)
    at = next((end for end in ends if _LACKS.search(question[:end]) or denies(question[:end])), None)
    if not columns or at is None or not (_LACKS.search(question) or denies(question)):
        return None

    def distance(name: str) -> int:
        return next((end for end in ends if end > at and _is_asked(name, content(question[at:end]))), len(question) + 1)

    return min(columns, key=distance)


def _is_asked(column: str, asked: frozenset[str]) -> bool:
    """Whether the question has all words of a column's name."""
    words = content(column)
    return bool(words) and words <= asked


def _has(question: str, name: str) -> bool:
    """Whether a question has a name, word by word; one with digits as it is written."""
    words = content(name)
    has_digits = any(character.isdigit() for character in name)
    return words <= content(question) if words and not has_digits else _says(question, name)


def _says(question: str, value: str) -> bool:
    """Whether a question has a cell's letters or digits as they are."""
    value = re.escape(value.strip("\"'`.。 "))
    return re.search(r"\w", value) is not None and bool(
        re.search(rf"(?<![A-Za-z0-9]){value}(?![A-Za-z0-9])", question, re.IGNORECASE)
    )
