"""multilingual-e5-small as a network to be tuned: the pieces of a text as a whole, with the companies' signs between.

On the path *item -> opinion of a company*, for Chinese, where the extra `bilingual` brings it. Its pieces go across
what are words here ("股价" is one), so that a text is cut between signs and not word by word. Its lower layers stay as
they are, which keeps a model's file small and a step short. Paper: Wang et al. 2024, "Multilingual E5 Text Embeddings"
(arXiv 2402.05672).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pagoda.minilm.multilingual import (
    END,
    MAX_PIECES,
    NUM_LAYERS,
    PACKAGE,
    START,
    UNKNOWN,
    Multilingual,
    packaged_file,
    read_multilingual,
)  # fmt: skip
from pagoda.opinions.reading.marked import OTHER, TARGET, Marked, Span
from pagoda.opinions.reading.networks.network import Pieced, PieceRun, TuningPlan
from pagoda.opinions.reading.spelling import simplified
from pagoda.opinions.story import EncoderName

if TYPE_CHECKING:
    import torch

_MOST_WORDS = 128
"""Of which a Chinese character is one."""


class MultilingualE5:
    """See `network.Network`."""

    name: EncoderName = "multilingual"
    num_layers = NUM_LAYERS
    schedule = TuningPlan(lowest=4, rate=2e-4, steps=240, fewest=4, most=10, most_steps=1_000)

    def __init__(self, published: Multilingual) -> None:
        self._published = published
        self._signs = {TARGET: published.mask, OTHER: UNKNOWN}

    def pieced(self, text: Marked) -> Pieced:
        """At most 128 words of it, of which a Chinese character is one; traditional ones are simplified."""
        found = Pieced([START], [], [])
        for (start, end), sign in _parts(text):
            if sign:
                found.asked.extend([len(found.ids)] if sign == TARGET else [])
                found.ids.append(self._signs[sign])
            else:
                self._cut(text.text, start, end, found)
        del found.ids[MAX_PIECES - 1 :]
        inside = [place for place in found.asked if place < len(found.ids)]
        words = [word for word in found.words if word.last <= len(found.ids)]
        return Pieced([*found.ids, END], inside or [0], words)

    def _cut(self, text: str, start: int, end: int, found: Pieced) -> None:
        """Add the pieces of a part; those of one word in letters count as one."""
        ids, spans = self._published.placed(simplified(text[start:end]))
        for piece, (first, last) in zip(ids, spans, strict=True):
            at = (start + first, start + last)
            before = found.words[-1] if found.words else None
            if before and before.last == len(found.ids) and _is_inside_a_word(text, before.at, at):
                found.words[-1] = PieceRun((before.at[0], at[1]), before.first, len(found.ids) + 1)
            else:
                found.words.append(PieceRun(at, len(found.ids), len(found.ids) + 1))
            found.ids.append(piece)

    def embedded(self, ids: np.ndarray) -> torch.Tensor:
        """Pieces, places and kind, added and normalised."""
        return self._published.embedded(ids)

    def layers(self) -> Mapping[str, torch.Tensor]:
        """In float32, as they learn; copies."""
        import torch

        weights = self._published.weights
        return {name: torch.tensor(value) for name, value in weights.items() if name.startswith("encoder.layer.")}


def _parts(text: Marked) -> Iterator[tuple[Span, str]]:
    """Signs, and what stands between them without a gap, in their order: (characters, TARGET, OTHER or nothing)."""
    run: Span | None = None
    for word in text.near_words(_MOST_WORDS):
        is_sign = word.text in (TARGET, OTHER)
        if run and (is_sign or text.text[run[1] : word.start].strip()):
            yield run, ""
            run = None
        if is_sign:
            yield (word.start, word.end), word.text
        else:
            run = (run[0] if run else word.start, word.end)
    if run:
        yield run, ""


def _is_inside_a_word(text: str, before: Span, at: Span) -> bool:
    """Whether a piece goes on with the word of the piece before it, or stands for the same characters."""
    left, right = text[before[1] - 1], text[at[0]]
    return at[0] < before[1] or (at[0] == before[1] and all(map(_is_letter, (left, right))))


def _is_letter(sign: str) -> bool:
    return sign.isalnum() and not "\u3400" <= sign <= "\u9fff"


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec(PACKAGE) is not None


@lru_cache(maxsize=1)
def multilingual_e5() -> MultilingualE5:
    """The packaged one. Raises MissingExtraError."""
    path = packaged_file("the sentiment of Chinese texts by a network (multilingual-e5-small)", "bilingual")
    return MultilingualE5(read_multilingual(path))
