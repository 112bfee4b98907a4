"""The judged questions over manuals: what was asked, what has to be shown, and where it stands.

Before a question's path. One JSON object a line; README.md beside the data explains the fields. `faults` holds each
answer against its manual, so that no answer is judged by that does not stand there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from manuals.sources import DATA
from manuals.text import Lines, lines_of

Half = Literal["develop", "report", "near"]
"""near: questions without an answer that were written to fit a decision by; nothing is judged by them."""
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Question:
    """answers: one of these must be shown, each with all of its parts; none where the manuals do not answer.

    file: below the language's folder; lines: where an answer begins, pages of a PDF; polarity: of a yes or no
    asked: address of a person's own question that this one is
    nearest, lacks: of one without an answer: FILE:LINE of the passage that comes closest, and what is not told there
    """

    id: str
    language: str
    kind: str
    question: str
    file: str = ""
    answers: tuple[tuple[str, ...], ...] = ()
    lines: tuple[int, ...] = ()
    polarity: str = ""
    asked: str = ""
    nearest: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class Pair:
    """A question on a sentence that denies or limits. Whoever shows `core` must show `must`, too."""

    id: str
    language: str
    question: str
    file: str
    core: str
    must: str
    sentence: str
    lines: tuple[int, ...] = ()


def questions(half: Half, language: str, folder: Path = DATA) -> list[Question]:
    """Of one half and language. Raises ValueError with file and line for one that is not whole."""
    return list(_read(folder / f"{half}.{language}.jsonl", Question, language))


def pairs(half: Half, language: str, folder: Path = DATA) -> list[Pair]:
    """Pairs made for meaning turned round, of one half and language; none where the set has no such file."""
    path = folder / f"{half}.{language}.pairs.jsonl"
    return list(_read(path, Pair, language)) if path.exists() else []


def _read(path: Path, kind: type, language: str) -> Iterator[Any]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            yield kind(language=language, **{name: _frozen(value) for name, value in row.items()})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def faults(asked: Sequence[Question], paired: Sequence[Pair], corpus: Path) -> Iterator[str]:
    """What is wrong with labels, in words: an answer, a line or a core that does not stand in its file."""

    @cache
    def lines(place: str) -> Lines:
        return lines_of(corpus / place)

    for each in asked:
        if each.answers:
            manual = lines(_place(each))
            yield from (f"{each.id}: {part!r} is not in {each.file}" for part in _absent(each.answers, manual))
            begins = {line for answer in each.answers for line in manual.find(answer[0])}
            yield from (f"{each.id}: no answer begins on line {line}" for line in set(each.lines) - begins)
    for pair in paired:
        parts = ((pair.core, pair.must),)
        yield from (f"{pair.id}: {part!r} is not in {pair.file}" for part in _absent(parts, lines(_place(pair))))


def _place(label: Question | Pair) -> str:
    return f"{label.language}/{label.file}"


def _absent(answers: Sequence[Sequence[str]], manual: Lines) -> Iterator[str]:
    return (part for answer in answers for part in answer if not manual.find(part))
