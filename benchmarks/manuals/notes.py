"""A handful of notes out of a manual, with the passage that answers a question or without: what a person tries first.

Before a question's path. Whoever tries the program writes a few lines into a file or two; the judged manuals have
hundreds of passages. So a stretch of a few sentences of each chosen chunk becomes a note under its heading, one a file,
all in one file, or plain lines without marks; other notes are what was found for the question, what stands in the same
file, and anything of the manual. Drawn by a seed that hangs on the question alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from manuals.questions import Question
from pagoda.rag.documents.document import SECTION_SEPARATOR, Chunk
from pagoda.rag.extractive.showing.readable import readable

MOST = 7
"""Notes of a collection: of eight passages or more the joint reader looks through as many as of a thousand."""
WITH_ANSWER = 0.8
"""Share of the questions with an answer whose notes have it."""
LONGEST = 5
"""Sentences of a note beside what answers."""
LAYOUTS = ("files", "sections", "lines")
Holds = Callable[[str], bool]
"""Whether a text shows what is asked."""


@dataclass(frozen=True)
class Note:
    """text: a few sentences; heading: what they stand under; title: of their document."""

    title: str
    heading: str
    text: str


@dataclass(frozen=True)
class Collection:
    """files: their text by name; holds: name of the one that has the answer, empty where none has it."""

    files: dict[str, str]
    holds: str

    def write(self, folder: Path) -> None:
        """The files, into a folder that is made."""
        folder.mkdir(parents=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, "utf-8")


def collection(asked: Question, chunks: Sequence[Chunk], found: Sequence[Chunk], holds: Holds) -> Collection | None:
    """Notes for one question; None where what answers is not in one chunk.

    chunks: of the question's manual; found: what was found for it; holds: whether a text shows an answer
    """
    rng = random.Random(f"notes of {asked.id}")
    first = _answering(asked, chunks, holds, rng) if asked.answers else _nearest(asked, chunks, rng)
    if first is None:
        return None
    if rng.random() >= WITH_ANSWER:
        first = None
    same = [each for each in chunks if each.source == (asked.file or asked.nearest.rpartition(":")[0])]
    others: list[Note] = []
    num_others = rng.randint(1, MOST) - (first is not None)
    for _ in range(10 * num_others):
        chunk = rng.choice(rng.choice([some for some in (found, same, chunks) if some]))
        note = _stretch(chunk, rng)
        if len(others) < num_others and not holds(note.text) and all(note.text != each.text for each in others):
            others.append(note)
    notes = [*others, first] if first else others
    rng.shuffle(notes)
    return _laid_out(notes, first if asked.answers else None, rng) if notes else None


def _answering(asked: Question, chunks: Sequence[Chunk], holds: Holds, rng: random.Random) -> Note | None:
    """The shortest stretch of the labelled file that answers, with some sentences around it."""
    for chunk in (each for each in chunks if each.source == asked.file and holds(each.text)):
        spans = [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]
        for length in range(1, len(spans) + 1):
            for at in range(len(spans) - length + 1):
                if holds(chunk.text[spans[at][0] : spans[at + length - 1][1]]):
                    return _stretch(chunk, rng, at, at + length)
    return None


def _nearest(asked: Question, chunks: Sequence[Chunk], rng: random.Random) -> Note | None:
    """What comes nearest to a question without an answer."""
    source, _, line = asked.nearest.rpartition(":")
    before = [each for each in chunks if each.source == source and each.line <= int(line or 0)]
    return _stretch(max(before, key=lambda each: each.line), rng) if before else None


def _stretch(chunk: Chunk, rng: random.Random, first: int = -1, last: int = -1) -> Note:
    """Some sentences of a chunk; around those from `first` to `last` where they are told."""
    spans = chunk.sentences or ((chunk.start, chunk.end),)
    if first < 0:
        first = rng.randrange(len(spans))
        last = first + 1
    more = rng.randrange(LONGEST)
    before = rng.randint(0, more)
    start, end = spans[max(0, first - before)][0], spans[min(len(spans), last + more - before) - 1][1]
    heading = chunk.section.rpartition(SECTION_SEPARATOR)[2] or chunk.title
    return Note(chunk.title, heading, chunk.text[start - chunk.start : end - chunk.start])


def _laid_out(notes: Sequence[Note], first: Note | None, rng: random.Random) -> Collection:
    layout = rng.choice(LAYOUTS)
    if layout == "files":
        files: dict[str, str] = {}
        holding = ""
        for number, note in enumerate(notes):
            name = f"{_name(note.heading)}{'-' + str(number) if f'{_name(note.heading)}.md' in files else ''}.md"
            files[name] = f"# {note.heading}\n\n{note.text}\n" if note.heading else f"{note.text}\n"
            holding = name if note is first else holding
        return Collection(files, holding)
    if layout == "sections":
        title = next((note.title for note in notes if note.title), "Notes")
        text = f"# {title}\n" + "".join(f"\n## {note.heading or title}\n\n{note.text}\n" for note in notes)
        name = f"{_name(title)}.md"
    else:
        text, name = "".join(f"{readable(note.text)}\n" for note in notes), "notes.txt"
    return Collection({name: text}, name if first else "")


def _name(heading: str) -> str:
    """A file's name."""
    return "-".join(re.findall(r"[a-z0-9]+", heading.casefold())[:4]) or "note"
