"""Verdicts on what a person is shown: right, wrong, declined; the sentence whole, or its meaning turned round.

After a question's path. Shown are the answer's text and the quotes below it. Right is what shows one of the labelled
answers; one of fewer than four characters counts in quotes of its own manual alone, because any text may hold a "50".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from manuals.questions import Pair, Question
from manuals.text import plain, stands

Grade = Literal["right", "wrong", "declined"]
Turn = Literal["whole", "turned", "elsewhere", "declined"]
_SHORT = 4
_YES = re.compile(r"\s*(yes\b|是的|是[,，。]|可以[,，。]|能[,，。])", re.IGNORECASE)
_NO = re.compile(r"\s*(no\b|不是|不可以|不能[,，。]|否[,，。])", re.IGNORECASE)


class Cited(Protocol):
    """A citation as the judge reads it; `pagoda.rag.Citation` is one."""

    @property
    def source(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def page(self) -> int | None: ...


@dataclass(frozen=True)
class Shown:
    """What a person sees of one answer."""

    text: str
    citations: Sequence[Cited]
    declined: bool

    @property
    def all(self) -> str:
        """Text and quotes."""
        return "\n".join([self.text, *(each.quote for each in self.citations)])


@dataclass(frozen=True)
class Verdict:
    """is_file: whether a citation is of the labelled file; is_place: of its line or page, None where none is told."""

    grade: Grade
    is_file: bool = False
    is_place: bool | None = None


def judged(asked: Question, shown: Shown) -> Verdict:
    """Of one question; for one without an answer, declined is what is right, and all else is wrong."""
    if shown.declined:
        return Verdict("declined")
    is_right = _has_answer(asked, shown) and not _is_contrary(asked, shown.text)
    cited = [each for each in shown.citations if each.source == asked.file]
    return Verdict("right" if is_right else "wrong", bool(cited), _is_place(asked, cited))


def _has_answer(asked: Question, shown: Shown) -> bool:
    own = "\n".join(each.quote for each in shown.citations if each.source == asked.file)
    return any(
        all(stands(part, own if len(plain(answer[0])) < _SHORT else shown.all) for part in answer)
        for answer in asked.answers
    )


def _is_contrary(asked: Question, text: str) -> bool:
    """Whether the text begins with the wrong one of yes and no."""
    return bool((asked.polarity == "yes" and _NO.match(text)) or (asked.polarity == "no" and _YES.match(text)))


def _is_place(asked: Question, cited: Sequence[Cited]) -> bool | None:
    """Whether a quote covers a labelled line, or stands on a labelled page; web pages have lines that nobody sees."""
    if not cited or asked.file.endswith(".html"):
        return None
    if asked.file.endswith(".pdf"):
        return any(_first(each) <= page <= _last(each) for each in cited for page in asked.lines)
    return any(each.line <= line <= each.line + each.quote.count("\n") for each in cited for line in asked.lines)


def _first(cited: Cited) -> int:
    return cited.page or 0


def _last(cited: Cited) -> int:
    """Of a quote that runs on to another page, where a citation tells it."""
    return getattr(cited, "last_page", None) or _first(cited)


def turn(pair: Pair, shown: Shown) -> Turn:
    """Whether the sentence is shown with the words that keep its meaning; "elsewhere" where it is not shown at all."""
    if shown.declined:
        return "declined"
    return _turn_of(pair, shown.all)


def turn_of_text(pair: Pair, shown: Shown) -> Turn:
    """The same for the text alone, as somebody reads it who does not look at the quote."""
    return "declined" if shown.declined else _turn_of(pair, shown.text)


def _turn_of(pair: Pair, text: str) -> Turn:
    if not stands(pair.core, text):
        return "elsewhere"
    return "whole" if stands(pair.must, text) else "turned"
