"""The neural reader of English: where in a passage the answer stands, and whether it stands there at all.

On a question's path: question -> Hits -> pieces and features -> network -> *span* -> answer. It reads on the packaged
MiniLM, whatever embeds the documents: what ships is how far training moved MiniLM's upper layers, in 8 bits, with two
small heads (`benchmarks/train_reader.py`). Spans and "no answer" compete as in Devlin et al. 2019, "BERT" (arXiv
1810.04805), section 4.3; among the spans the hashed ranker has a say, which was worth 6 points of F1 on held-out
articles. Whether there is an answer at all is decided together with the words (`answerable`). Windows are
read one by one, without padding: a batch cannot change an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag.extractive.choice import expected_best
from pagoda.rag.extractive.english.answerable import Answerable, load_answerable
from pagoda.rag.extractive.english.reader_input import ReaderInput, ReaderTokenizer
from pagoda.rag.extractive.english.reader_weights import checked, read_file, unpack
from pagoda.rag.extractive.english.reading_network import ReadingNetwork
from pagoda.rag.extractive.english.span_features import read_english
from pagoda.rag.extractive.ranker import SpanRanker
from pagoda.rag.extractive.rankers import load_ranker

MAX_SPAN = 30
"""Longest answer, in pieces."""
MAX_COMPARED = 40
READER_SHARE, RANKER_SHARE = 0.5, 0.3
"""What the log-probabilities of the reader and of the hashed ranker count; chosen on held-out articles."""
LEAST_RANK = -14.0
WEIGHTS = Path(__file__).parents[1] / "data" / "reader_en.npz"
_NEVER = -1e4


@dataclass(frozen=True)
class ReadSpan:
    """The best span of a passage.

    start, end: its characters; margin: how far the likeliest span beats "no answer"
    by_margin: log-odds of an answer by the margin alone
    log_odds: that the passage holds the answer, by the margin and by what its words say of the question; without an end
        at 0 and 1, and so comparable between passages
    """

    start: int
    end: int
    margin: float
    by_margin: float
    log_odds: float

    @property
    def probability(self) -> float:
        """That the passage holds the answer, 0 to 1, where half of the questions have one."""
        return float(1 / (1 + np.exp(-np.clip(self.log_odds, -30, 30))))


class Reader:
    """The network with its weights, beside the hashed ranker. Threads may share it.

    decision: [2], weight and bias that make log-odds of an answer of the margin
    answerable: sets these beside what the words say
    """

    def __init__(
        self,
        network: ReadingNetwork,
        tokenizer: ReaderTokenizer,
        ranker: SpanRanker,
        decision: np.ndarray,
        answerable: Answerable,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._ranker = ranker
        self._decision = decision
        self._answerable = answerable

    def read(self, question: str, passage: str, sentences: Sequence[tuple[int, int]]) -> ReadSpan | None:
        """The best span inside of one sentence; None for a passage without words.

        sentences: (start, end) characters of each, in order. Long passages are read in windows that overlap: the one
        with the largest margin wins, and in it the span that reader and ranker together expect most of.
        """
        read = [self._scored(window, passage, sentences) for window in self._tokenizer.windows(question, passage)]
        margins = [margin for margin, *_ in read]
        if max(margins, default=_NEVER) <= _NEVER / 2:
            return None
        margin, offsets, scores = read[int(np.argmax(margins))]
        ranked = self._ranked(question, passage, sentences, offsets)
        together = np.where(scores > _NEVER, READER_SHARE * scores + RANKER_SHARE * ranked, _NEVER)
        spans = np.argwhere(together > _NEVER)
        values, sizes = together[spans[:, 0], spans[:, 1]], np.arange(len(offsets) + 1)
        first, last = spans[expected_best(spans, values, sizes, MAX_COMPARED)]
        by_margin = float(self._decision[0] * margin + self._decision[1])
        told = [passage[left:right] for left, right in sentences]
        log_odds = self._answerable.log_odds(question, told, by_margin)
        return ReadSpan(int(offsets[first, 0]), int(offsets[last, 1]), margin, by_margin, log_odds)

    def _scored(
        self, window: ReaderInput, passage: str, sentences: Sequence[tuple[int, int]]
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Of a window: margin, offsets, and [n, n] scores from first to last piece, _NEVER where none may be."""
        logits = self._network.logits(window)
        told = logits[window.first : window.first + len(window.offsets)]
        scores = told[:, 0][:, None] + told[:, 1][None, :]
        scores = np.where(_allowed(window.offsets, passage, sentences), scores, _NEVER)
        return float(scores.max(initial=_NEVER) - logits[0].sum()), window.offsets, scores

    def _ranked(
        self, question: str, passage: str, sentences: Sequence[tuple[int, int]], offsets: np.ndarray
    ) -> np.ndarray:
        """[n, n] log-probabilities of the hashed ranker's candidates, LEAST_RANK at least; that for other spans."""
        known = read_english(question, passage, list(sentences))
        ranked = np.full((len(offsets), len(offsets)), LEAST_RANK)
        if not len(known.spans):
            return ranked
        scores = self._ranker.scores(known).astype(np.float64)
        scores -= scores.max() + np.log(np.exp(scores - scores.max()).sum())
        ranked[:] = max(LEAST_RANK, scores.min() - 1)
        starts = {int(at): i for i, at in reversed(list(enumerate(offsets[:, 0])))}
        ends = {int(at): i for i, at in enumerate(offsets[:, 1])}
        for (first, last), score in zip(known.spans, scores, strict=True):
            row, column = starts.get(known.tokens[first].start), ends.get(known.tokens[last].end)
            if row is not None and column is not None:
                ranked[row, column] = max(LEAST_RANK, score)
        return ranked


def _allowed(offsets: np.ndarray, passage: str, sentences: Sequence[tuple[int, int]]) -> np.ndarray:
    """[n, n] bool: spans of whole words inside of one sentence, MAX_SPAN pieces at most."""
    starts, ends = offsets[:, 0], offsets[:, 1]
    opens = [not (at > 0 and passage[at - 1].isalnum() and passage[at].isalnum()) for at in starts]
    closes = [not (at < len(passage) and passage[at - 1].isalnum() and passage[at].isalnum()) for at in ends]
    firsts = [left for left, _ in sentences]
    from_sentence = np.searchsorted(firsts, starts, side="right")
    to_sentence = np.searchsorted(firsts, ends - 1, side="right")
    length = np.arange(len(offsets))[None, :] - np.arange(len(offsets))[:, None]
    inside = (length >= 0) & (length < MAX_SPAN) & (from_sentence[:, None] == to_sentence[None, :])
    words = [any(map(str.isalnum, passage[left:right])) for left, right in offsets]
    has_word = np.cumsum(words)[None, :] - np.cumsum(words)[:, None] + np.array(words)[:, None] > 0
    return np.asarray(inside & np.array(opens)[:, None] & np.array(closes)[None, :] & has_word)


@lru_cache(maxsize=2)
def load_reader(path: Path = WEIGHTS) -> Reader:
    """The packaged reader. Raises MissingExtraError without the packaged MiniLM, ConfigError for unfit weights."""
    folder = packaged_folder("the English reader (all-MiniLM-L6-v2)", "rag")
    minilm, arrays = read_arrays(folder), read_file(path)
    network = ReadingNetwork(minilm, unpack(arrays, minilm, path))
    decision = checked(arrays, "decision", (2,), path)
    return Reader(network, ReaderTokenizer(folder), load_ranker("en"), decision, load_answerable())
