"""How much of a document reaches the index: words of its own truth against words of the text that is loaded.

    python benchmarks/rag_loading.py FOLDER [--half a] [--worst 10]

Beside each document of FOLDER stands its truth, NAME.words.txt: the same text from elsewhere (the manual's plain text,
its HTML, the expected output of another project's tests). Of the truth's words are

    lost        not in the loaded text at all, and of these
      glued     there, but as one word with the word behind it
    scrambled   there, but not near the words that stand beside them in the truth: within four words, since a row of a
                table has the names of its columns between its cells
    in place    the rest: what the aim of .98 is about

A Han character is a word; case, punctuation and numbers of pages do not count. Files are of half a or b by a hash of
their name, so that one half can be left unseen while loaders are mended.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from machine import provenance

from pagoda.rag.documents.loaders import SUFFIXES, load_bytes
from pagoda.rag.errors import LoadError

_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_AIM, _NEAR = 0.98, 4


@dataclass(frozen=True)
class Loss:
    """What became of the words of one document."""

    name: str
    num_words: int
    num_lost: int = 0
    num_glued: int = 0
    num_scrambled: int = 0
    refusal: str = ""

    @property
    def in_place(self) -> float:
        """The share of words that arrived, beside their neighbours."""
        return 1 - (self.num_lost + self.num_scrambled) / max(1, self.num_words)


def words_of(text: str) -> list[str]:
    """What is compared.

    >>> words_of("The ﬁle, 年假 2024")
    ['the', 'file', '年', '假', '2024']
    """
    plain = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    return _WORD.findall(plain)


def loss(name: str, truth: Sequence[str], loaded: Sequence[str]) -> Loss:
    """The words of `truth` that `loaded` lacks or has elsewhere.

    >>> loss("a", ["the", "root", "shell", "prompt", "is", "here"], ["the", "rootshell", "is", "prompt", "here"])
    Loss(name='a', num_words=6, num_lost=2, num_glued=2, num_scrambled=4, refusal='')
    """
    left = Counter(loaded)
    known = set(left)
    pairs = Counter((one, other) for i, one in enumerate(loaded) for other in loaded[i + 1 : i + 1 + _NEAR])
    is_lost = []
    for word in truth:
        is_lost.append(left[word] == 0)
        left[word] -= not is_lost[-1]
    has_pair = []
    for pair in pairwise(truth):
        has_pair.append(pairs[pair] > 0)
        pairs[pair] -= has_pair[-1]
    glued = [one + other in known and (is_lost[i] or is_lost[i + 1]) for i, (one, other) in enumerate(pairwise(truth))]
    around = [(*has_pair[max(0, i - 1) : i + 1],) for i in range(len(truth))]
    return Loss(
        name,
        len(truth),
        sum(is_lost),
        sum(lost and any(glued[max(0, i - 1) : i + 1]) for i, lost in enumerate(is_lost)),
        sum(not lost and bool(beside) and not any(beside) for lost, beside in zip(is_lost, around, strict=True)),
    )


def measured(folder: Path, half: str) -> Iterator[Loss]:
    """Of every document of a half that has a truth."""
    for path in sorted(folder.rglob("*")):
        truth = path.with_name(f"{path.name}.words.txt")
        if (
            path.suffix.lower() not in SUFFIXES
            or not truth.is_file()
            or (half != "both" and half_of(path.name) != half)
        ):
            continue
        expected = words_of(truth.read_text(encoding="utf-8"))
        name = path.relative_to(folder).as_posix()
        try:
            text = load_bytes(path.read_bytes(), path.name).text
        except LoadError as error:
            yield Loss(name, len(expected), len(expected), refusal=str(error))
        else:
            yield loss(name, expected, words_of(text))


def half_of(name: str) -> str:
    """Of the name, so that all copies of a file are in one."""
    return "ab"[hashlib.sha256(name.encode()).digest()[0] % 2]


def table(losses: Sequence[Loss]) -> Iterator[str]:
    """A line for each format, and one for all."""
    by_format: dict[str, list[Loss]] = defaultdict(list)
    for entry in losses:
        by_format[Path(entry.name).suffix.lower()].append(entry)
    yield "| format | files | words | lost | of these glued | scrambled | in place | refused |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, entries in (*sorted(by_format.items()), ("all", list(losses))):
        total = max(1, sum(entry.num_words for entry in entries))
        lost, glued, scrambled = (
            sum(getattr(entry, field) for entry in entries) / total
            for field in ("num_lost", "num_glued", "num_scrambled")
        )
        refused = sum(bool(entry.refusal) for entry in entries)
        yield (
            f"| {name} | {len(entries)} | {total:,} | {lost:.4f} | {glued:.4f} | {scrambled:.4f} "
            f"| {1 - lost - scrambled:.4f} | {refused} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("a", "b", "both"), default="both")
    parser.add_argument("--worst", type=int, default=0, help="name so many files with the most loss")
    options = parser.parse_args()
    began = time.perf_counter()
    print(provenance())
    losses = list(measured(options.folder, options.half))
    print("\n".join(table(losses)))
    for entry in sorted(losses, key=lambda entry: entry.in_place)[: options.worst]:
        told = entry.refusal or f"{entry.num_lost} lost, {entry.num_scrambled} scrambled"
        print(f"{entry.in_place:.3f}  {entry.num_words:>7,} words  {entry.name}  {told}")
    print(f"{len(losses)} files, half {options.half}, {time.perf_counter() - began:.0f} s; aim {_AIM} in place")


if __name__ == "__main__":
    main()
