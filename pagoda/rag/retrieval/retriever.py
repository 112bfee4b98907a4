"""Questions to hits: words and vectors score every chunk, and the best are compared with the question word by word.

On a question's path: *question -> Hits* -> answer. Standardised scores are added, which beats adding ranks: how far the
best chunk stands out in one leg is what ranks forget. A chunk's vector score is that of its best sentence, read behind
its document's title; the best chunks of both legs then get what `late_interaction` and `evidence` find in them, and
lose by their length. A leg that cannot read a script stays out of questions and chunks in it, since noise that is added
to good scores makes them worse. Paper: Bruch et al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval" (arXiv
2210.11934).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.rag.documents.document import ANSWERS, Hit
from pagoda.rag.embedding.vectors import Embedder, TokenEmbedder, TokenVectors, reads
from pagoda.rag.index.snapshot import Snapshot
from pagoda.rag.query import Where
from pagoda.rag.retrieval.evidence import Evidence, Met
from pagoda.rag.retrieval.filters import filter_of, known_fields, known_values
from pagoda.rag.retrieval.late_interaction import LateInteraction
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.neighbours import Neighbours
from pagoda.rag.retrieval.passage_reader import PassageReader
from pagoda.rag.retrieval.reranker import Reranker
from pagoda.rag.retrieval.versions import without_copies

# Weights in about these proportions were learned on SQuAD's articles four times, each time without a quarter of them;
# recall@1 changes by less than .005 for half of any weight more or less.
DENSE_WEIGHT = 3.5
# Of the likeness word by word, to the whole chunk and to its best sentence.
CHUNK_TOKENS_WEIGHT, SENTENCE_TOKENS_WEIGHT = 4.5, 2.5
# Of the logarithm of a chunk's length: among many sentences and words, one is close to a question by chance.
LENGTH_WEIGHT = 4.0
# Of what a chunk has of the question's names, and in one sentence of its words; more beside the legs of an embedder,
# which weigh more together than words alone. One half of the judged questions over manuals says so; half or twice as
# much changes recall@3 by less than .02 there, and nothing on SQuAD and CMRC.
EVIDENCE_WEIGHT, EVIDENCE_BESIDE_MEANING = 1.0, 2.0
# Characters. Shorter chunks get nothing more, or a heading alone would be the best of answers.
_SHORT = 500
# How many of the best chunks are compared word by word and looked at more closely.
_MIN_COMPARED = 50
# What a reranker reads for each hit that is asked for, and at least.
_RERANKED_PER_HIT, _MIN_RERANKED = 4, 20
# How many of the best are read with the question, where somebody reads it.
_READ = 12
# Of what a hit's score lacks to the best one's, beside the reader's log-odds; chosen on `manuals_fourth`, where a third
# or twice as much changes by .03 how often one of the first three passages holds the answer.
FOUND_WEIGHT = 0.15
# What copies are taken out of, at least: five hits, each in eight versions.
_MIN_CANDIDATES = 40
# Of how many of the best chunks the mean is that a vector score stands out from, however many are asked for.
_BESIDE = 8
_QUESTIONS_PER_PRODUCT = 16
# Beyond this digit, scores differ with the size of the batch that a question was embedded in.
_SCORE_DIGITS = 4


class Retriever:
    """Finds chunks of one snapshot. Threads may share it.

    bm25: built over the texts of the snapshot's chunks, in their order; raises ConfigError for another number of them
    reader: orders the best by whether they answer, in the languages that it takes, where no reranker is given
    """

    def __init__(
        self,
        snapshot: Snapshot,
        bm25: Bm25Index,
        embedder: Embedder,
        reranker: Reranker | None = None,
        reader: PassageReader | None = None,
    ) -> None:
        if len(bm25) != len(snapshot.chunks):
            raise ConfigError(
                f"the BM25 index is of {len(bm25)} chunks, but the snapshot has {len(snapshot.chunks)}: build it anew"
            )
        self._snapshot = snapshot
        self._bm25 = bm25
        self._embedder = embedder
        self._reranker, self._reader = reranker, reader
        self.neighbours = Neighbours(snapshot.chunks)
        self._evidence = Evidence(snapshot.chunks, bm25)
        self.nowhere = self._evidence.nowhere
        self._late = LateInteraction(snapshot, embedder.dimension) if snapshot.tokens else None
        # Rows of the chunks that have vectors, and where the sentences of each begin.
        self._rows, self._first_sentence = np.unique(snapshot.owner, return_index=True)
        # [num_chunks] each: the logarithm of its characters, whether the embedder reads it.
        self._length = np.log([max(_SHORT, len(chunk.text)) for chunk in snapshot.chunks])
        known = [chunk.is_embedded and reads(embedder, chunk.text) for chunk in snapshot.chunks]
        self._readable = np.array(known, dtype=bool)

    def retrieve(self, question: str, k: int = 5, where: Where | None = None) -> list[Hit]:
        """The k best chunks, best first; fewer where fewer match. See `retrieve_batch`."""
        return self.retrieve_batch([question], k, where)[0]

    def retrieve_batch(self, questions: Sequence[str], k: int = 5, where: Where | None = None) -> list[list[Hit]]:
        """The hits of each question, embedded in one call.

        where: conditions on what is known of a chunk's document, see `filters`
        Chunks of equal score keep the order of the documents. Raises InvalidRequestError.
        """
        if k < 1:
            raise InvalidRequestError(f"k is {k}, expected at least 1", param="k")
        rows = self._matching(where)
        meanings = self._meanings(questions)
        return [self._hits(q, k, rows, meaning) for q, meaning in zip(questions, meanings, strict=True)]

    def _hits(self, question: str, k: int, rows: np.ndarray, meaning: _Meaning | None) -> list[Hit]:
        # words, scores: [num_chunks], all of them, so that a filter changes no score; rows: those that it lets through.
        words = self._bm25.scores(question)
        scores = standardised(words)
        if meaning is not None:
            scores += DENSE_WEIGHT * np.where(self._readable, standardised(meaning.dense, self._readable), 0.0)
        num_candidates = max(k, _MIN_CANDIDATES)
        if self._reranker is not None:
            num_candidates = max(_MIN_RERANKED, _RERANKED_PER_HIT * k)
        # Both closer looks are dear: only the best of the legs get them, in the order of the documents again.
        best = best_rows(np.round(scores, _SCORE_DIGITS), rows, max(_MIN_COMPARED, num_candidates))
        # A filter may let nothing through, and numpy takes an empty list for one of fractions.
        rows = np.sort(np.array(best, dtype=np.int64))
        likeness = np.full(len(scores), np.nan)
        if meaning is not None and meaning.tokens is not None:
            added, likeness[rows] = self._word_by_word(meaning.tokens, rows)
            scores[rows] += added
        added, met = self._looked_at(question, rows, EVIDENCE_WEIGHT if meaning is None else EVIDENCE_BESIDE_MEANING)
        scores[rows] += added
        hits = []
        for row in best_rows(np.round(scores, _SCORE_DIGITS), rows, num_candidates):
            parts = {"bm25": float(words[row]), **asdict(met[row])}
            if meaning is not None and self._readable[row]:
                parts["dense"] = float(meaning.dense[row])
            if not np.isnan(likeness[row]):
                parts["tokens"] = round(float(likeness[row]), _SCORE_DIGITS)
            hits.append(Hit(self._snapshot.chunks[row], float(scores[row]), parts))
        return _standing_out(without_copies(question, self._reordered(question, hits), max(k, _BESIDE)))[:k]

    def _reordered(self, question: str, hits: list[Hit]) -> list[Hit]:
        """By whoever reads them beside the question: the reranker that was given, else the reader where it takes it."""
        if self._reranker is not None:
            return _reranked(self._reranker, question, hits)
        if self._reader is not None and self._reader.takes(question):
            return _read(self._reader, question, hits)
        return hits

    def _looked_at(self, question: str, rows: np.ndarray, weight: float) -> tuple[np.ndarray, dict[int, Met]]:
        """[len(rows)] what names and words that are met add; and for each row what is met."""
        found = self._evidence.met(question, rows.tolist())
        added = np.zeros(len(rows))
        for shares in ([met.named for met in found], [met.in_sentence for met in found]):
            added += weight * standardised(np.array(shares))
        return added, dict(zip(rows.tolist(), found, strict=True))

    def _word_by_word(self, tokens: TokenVectors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[len(rows)] twice: what the likeness of single words adds, and that to the whole chunk, NaN where unknown.

        Nothing is added where a chunk has no words or cannot be read.
        """
        added = np.zeros(len(rows))
        if self._late is None or not len(rows):
            return added, np.full(len(rows), np.nan)
        whole, best = self._late.scores(tokens, rows.tolist())
        known = np.flatnonzero(self._readable[rows] & ~np.isnan(whole))
        if len(known):
            length = self._length[rows[known]]
            added[known] += CHUNK_TOKENS_WEIGHT * standardised(whole[known])
            added[known] += SENTENCE_TOKENS_WEIGHT * standardised(best[known])
            added[known] -= LENGTH_WEIGHT * (length - length.mean())
        return added, np.where(self._readable[rows], whole, np.nan)

    def _meanings(self, questions: Sequence[str]) -> list[_Meaning | None]:
        """What the embedder makes of each question; None where it cannot read it."""
        found: list[_Meaning | None] = [None] * len(questions)
        read = [i for i, question in enumerate(questions) if self._readable.any() and reads(self._embedder, question)]
        vectors, tokens = self._embedded([questions[i] for i in read])
        for start in range(0, len(read), _QUESTIONS_PER_PRODUCT):
            part = slice(start, start + _QUESTIONS_PER_PRODUCT)
            # [questions, sentences] to [questions, num_chunks]: a chunk is as close as its closest sentence.
            products = vectors[part] @ self._snapshot.vectors.T
            best = np.zeros((len(products), len(self._snapshot.chunks)), dtype=np.float32)
            best[:, self._rows] = np.maximum.reduceat(products, self._first_sentence, axis=1)
            for i, scores, entry in zip(read[part], best, tokens[part], strict=True):
                found[i] = _Meaning(scores, entry)
        return found

    def _embedded(self, questions: list[str]) -> tuple[np.ndarray, Sequence[TokenVectors | None]]:
        if not questions:
            return np.zeros((0, 0), dtype=np.float32), []
        if self._late is not None and isinstance(self._embedder, TokenEmbedder):
            return self._embedder.embed_tokens(questions)
        return self._embedder.embed(questions), [None] * len(questions)

    @cached_property
    def fields(self) -> list[str]:
        """Names that a filter may ask for."""
        return known_fields(self._snapshot.chunks)

    def values(self, where: Where) -> str:
        """What the fields that a filter names are in the index, where nothing passes it; "" where something does."""
        chunks, test = self._snapshot.chunks, filter_of(where)
        return "" if any(map(test, chunks)) else known_values(chunks, where)

    def _matching(self, where: Where | None) -> np.ndarray:
        """Rows of the chunks that a filter lets through."""
        if not where:
            return np.arange(len(self._snapshot.chunks))
        lets_through = filter_of(where)
        return np.flatnonzero([lets_through(chunk) for chunk in self._snapshot.chunks])


@dataclass(frozen=True)
class _Meaning:
    """A question to the embedder. dense: [num_chunks], the best cosine among a chunk's sentences; tokens: its words."""

    dense: np.ndarray
    tokens: TokenVectors | None


def standardised(scores: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """[n] with mean 0 and deviation 1 over the rows `among`; zeros where all are equal.

    >>> standardised(np.array([1.0, 2.0, 3.0])).round(2).tolist()
    [-1.22, 0.0, 1.22]
    """
    scores = scores.astype(np.float64)
    population = scores if among is None else scores[among]
    deviation = population.std() if len(population) else 0.0
    return (scores - population.mean()) / deviation if deviation > 1e-9 else np.zeros_like(scores)


def best_rows(scores: np.ndarray, rows: np.ndarray, k: int) -> list[int]:
    """The k of `rows` with the highest scores, best first, equal ones in the order of the rows.

    >>> best_rows(np.array([1.0, 3.0, 3.0, 2.0]), np.array([0, 1, 2]), 2)
    [1, 2]
    """
    chosen = scores[rows]
    if k < len(rows):
        # All that tie with the k-th stay in: which of them goes is the order's decision, not the partition's.
        rows = rows[chosen >= np.partition(chosen, -k)[-k]]
        chosen = scores[rows]
    return [int(row) for row in rows[np.argsort(-chosen, kind="stable")][:k]]


def _standing_out(hits: list[Hit]) -> list[Hit]:
    """With how far the vector score of each stands out from the mean of the first; of fewer nothing is told."""
    dense = [hit.parts["dense"] for hit in hits[:_BESIDE] if "dense" in hit.parts]
    if len(dense) < _BESIDE:
        return hits
    mean = sum(dense) / len(dense)
    return [
        replace(hit, parts={**hit.parts, "stands_out": hit.parts["dense"] - mean}) if "dense" in hit.parts else hit
        for hit in hits
    ]


def _reranked(reranker: Reranker, question: str, hits: list[Hit]) -> list[Hit]:
    scores = reranker.scores(question, [hit.text for hit in hits])
    found = [
        Hit(hit.chunk, float(score), {**hit.parts, "fused": hit.score, "rerank": float(score)})
        for hit, score in zip(hits, scores, strict=True)
    ]
    return sorted(found, key=lambda hit: -hit.score)


def _read(reader: PassageReader, question: str, hits: list[Hit]) -> list[Hit]:
    """The first of them by the log-odds that each answers, with these as a part; the others behind.

    How far a hit is behind the best found one counts as well: reader and retriever miss different ones. The scores
    stay where they are, so that they fall from hit to hit; what each had itself is its part "fused".
    """
    first, others = hits[:_READ], hits[_READ:]
    best = max((hit.score for hit in first), default=0.0)
    odds = [
        float(own) + FOUND_WEIGHT * (hit.score - best)
        for hit, own in zip(first, reader.read(question, [hit.chunk for hit in first]), strict=True)
    ]
    found = [
        replace(hit, parts={**hit.parts, "fused": hit.score, ANSWERS: round(own, _SCORE_DIGITS)})
        for hit, own in zip(first, odds, strict=True)
    ]
    found.sort(key=lambda hit: -hit.parts[ANSWERS])
    scores = sorted((hit.score for hit in first), reverse=True)
    return [replace(hit, score=score) for hit, score in zip(found, scores, strict=True)] + others
