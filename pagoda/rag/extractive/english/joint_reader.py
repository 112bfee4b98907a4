"""The joint reader: whether a passage tells what a question asks, in whichever words, by reading both at once.

Beside the decision to answer: question -> Hits -> *joint reader* -> which passage is shown, and whether any is. People
ask in everyday words, and a manual answers in its own; neither equal words nor vectors of the two texts apart tell a
passage that answers from one that only speaks of the subject. So question, headings and passage go through MiniLM side
by side, as a cross-encoder (Nogueira and Cho 2019, "Passage Re-ranking with BERT", arXiv 1901.04085), whose one number
is the log-odds of an answer. It begins from the reader's weights (`reader_weights`) and ships as they do; trained by
`benchmarks/train_joint.py` on questions over manuals in other words, most of their passages without the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.english.reader_input import MAX_QUESTION, ReaderInput, ReaderTokenizer
from pagoda.rag.extractive.english.reader_weights import JOINT_HEADS, read_file, unpack
from pagoda.rag.extractive.english.reading_network import TunedEncoder

WEIGHTS = Path(__file__).parents[1] / "data" / "joint_en.npz"
LENGTH, SLACK = 120, 20
"""Pieces of a part of a passage, headings included; a passage that is but a little longer is one."""
BEFORE, BEHIND = 8, 8
"""Pieces that neighbouring parts share."""
_MAX_PIECES = 512 - MAX_QUESTION - 3
_MAX_HEAD = 60
_TITLE, _SECTION, _ABOVE = 80, 160, 220
_APART = re.compile(r"[/_.-]+")


def above(chunk: Chunk) -> str:
    """Path and headings, as words.

    >>> above(Chunk("1", "guide/set-up.md", "", 0, 0, 1, title="Guide", section="Guide > Set up"))
    'guide set up Guide Guide > Set up'
    """
    path = PurePosixPath(chunk.source)
    # A source that names no file, such as "" or ".", has no suffix to leave out.
    named = _APART.sub(" ", (path.with_suffix("") if path.name else path).as_posix())
    return f"{named} {chunk.title[:_TITLE]} {chunk.section[:_SECTION]}"[:_ABOVE]


@dataclass(frozen=True)
class Part:
    """A stretch of a passage below its headings, beside the question. told: the stretch in words, without headings."""

    window: ReaderInput
    told: str


def whole_passage(tokenizer: ReaderTokenizer, question: str, chunk: Chunk) -> Part:
    """Question, headings and all of a passage as one sequence, as far as they fit; any length of text."""
    text = f"{above(chunk)}\n{chunk.text}"
    found = tokenizer.windows(question, text, _MAX_PIECES, 0)
    return Part(found[0] if found else tokenizer.windows(question, "-", _MAX_PIECES, 0)[0], chunk.text)


def parts_of(whole: Part, chunk: Chunk) -> list[Part]:
    """A passage in stretches that overlap a little, each below the headings; where it is short, itself.

    Half of a passage is what the network was trained on: an answer fills more of it.
    """
    window, heading = whole.window, above(chunk)
    total, head = len(window.offsets), int((window.offsets[:, 0] < len(heading)).sum())
    if total <= LENGTH + SLACK:
        return [whole]
    room = LENGTH + SLACK - head if head < _MAX_HEAD else LENGTH + SLACK - _MAX_HEAD
    step = -(-(total - head) // max(2, -(-(total - head) // room)))
    text, parts = f"{heading}\n{chunk.text}", []
    for at in range(head, total, step):
        start, end = max(head, at - BEFORE), min(total, at + step + BEHIND)
        told = text[window.offsets[start, 0] : window.offsets[end - 1, 1]]
        parts.append(Part(_cut(window, head, start, end), told))
    return parts


def _cut(window: ReaderInput, head: int, start: int, end: int) -> ReaderInput:
    """Question, headings and the passage's pieces from `start` to `end`."""
    first, last = window.first, len(window.ids) - 1
    kept = np.r_[0 : first + head, first + start : first + end, last]
    told = np.r_[0:head, start:end]
    return ReaderInput(window.ids[kept], window.types[kept], window.features[kept], first, window.offsets[told])


class JointReader:
    """The network with its weights. Threads may share it.

    minilm: its weights; trained: layers and heads by the names of the file that ships
    """

    def __init__(
        self, minilm: Mapping[str, np.ndarray], trained: Mapping[str, np.ndarray], tokenizer: ReaderTokenizer
    ) -> None:
        self._encoder = TunedEncoder(minilm, trained)
        self._weight, self._bias = trained["answers.weight"][0], float(trained["answers.bias"][0])
        self._tokenizer = tokenizer

    def log_odds(self, question: str, chunk: Chunk) -> float:
        """That the passage answers: of its likeliest part. Parts are read one by one, without padding, so that other
        passages cannot change a number.
        """
        whole = whole_passage(self._tokenizer, question, chunk)
        return max(self.of_window(part.window) for part in parts_of(whole, chunk))

    def of_window(self, window: ReaderInput) -> float:
        """The same of one window."""
        hidden = self._encoder.hidden(window)
        # The question with the [SEP] behind it, headings and passage with theirs: neither is ever without a piece.
        means = [part.mean(axis=0) for part in (hidden[1 : window.first], hidden[window.first :])]
        return float(np.concatenate([hidden[0], *means]) @ self._weight) + self._bias


@lru_cache(maxsize=2)
def load_joint_reader(path: Path = WEIGHTS) -> JointReader:
    """The packaged one. Raises MissingExtraError without the packaged MiniLM, ConfigError for unfit weights."""
    folder = packaged_folder("the joint reader of English (all-MiniLM-L6-v2)", "rag")
    minilm = read_arrays(folder)
    return JointReader(minilm, unpack(read_file(path), minilm, path, JOINT_HEADS), ReaderTokenizer(folder))
