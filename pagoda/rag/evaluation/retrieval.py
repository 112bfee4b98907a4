"""How often retrieval finds the right paragraph: recall at k and mean reciprocal rank, over a closed pool.

Beside a question's path. A closed pool is what a set in SQuAD's form gives by itself: all of its paragraphs are the
documents, each question has one right paragraph. Sets: Rajpurkar et al. 2016, "SQuAD" (arXiv 1606.05250); Cui et al.
2019, "CMRC 2018" (arXiv 1810.07366); Shao et al. 2018, "DRCD" (arXiv 1806.00920).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Chunk, Document, Hit

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder
    from pagoda.rag.index.snapshot import Snapshot

RetrieveBatch = Callable[[Sequence[str], int], list[list[Hit]]]


@dataclass(frozen=True)
class PoolQuestion:
    """A question and the source of the paragraph that answers it."""

    question: str
    source: str


@dataclass(frozen=True)
class ClosedPool:
    """Paragraphs, each a document of its own, and the questions to them."""

    name: str
    documents: tuple[Document, ...]
    questions: tuple[PoolQuestion, ...]


@dataclass(frozen=True)
class RetrievalScores:
    """Shares from 0 to 1. recall: by k; mrr: 1 / rank of the right source, 0 where it is not among the hits."""

    num_documents: int
    num_questions: int
    recall: dict[int, float]
    mrr: float


def load_pool(path: Path, max_questions: int | None = None) -> ClosedPool:
    """A set of JSON lines {"title", "context", "qas": [{"question", "impossible"?}]}; equal contexts are one document.

    max_questions: take about so many, evenly over the set; questions without an answer are left out
    Raises ConfigError, which names the line.
    """
    sources: dict[str, str] = {}
    documents: list[Document] = []
    questions: list[PoolQuestion] = []
    for number, line in numbered_lines(path):
        row = _row(line, f"{path}, line {number}")
        source = sources.setdefault(row["context"], f"{len(sources):05}.txt")
        if len(sources) > len(documents):
            # Titles of these sets are Wikipedia's, with a line for each blank.
            documents.append(Document(source, row["context"], row.get("title", "").replace("_", " ")))
        questions += [PoolQuestion(qa["question"], source) for qa in row["qas"] if not qa.get("impossible")]
    if not questions:
        raise ConfigError(
            f"{path} holds no question that has an answer: give a set in SQuAD's form, a line a paragraph"
        )
    step = 1 if max_questions is None else max(1, round(len(questions) / max_questions))
    return ClosedPool(path.stem, tuple(documents), tuple(questions[::step]))


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that hold something, with their numbers. Raises ConfigError."""
    try:
        # splitlines() would also end a line at U+2028, which occurs inside of paragraphs.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read questions from {path}: {error}") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def evaluate_retrieval(pool: ClosedPool, retrieve_batch: RetrieveBatch, ks: Sequence[int] = (1, 5)) -> RetrievalScores:
    """Ask all questions and see where the right source stands.

    A source counts at the rank of its first hit among all hits; hits of the same source are not merged, as whoever
    reads k hits reads them all. Raises ConfigError for no k, or one below 1.
    """
    if not ks or min(ks) < 1:
        raise ConfigError(f"ks is {list(ks)}, expected at least one number of hits, each 1 or more")
    hits = retrieve_batch([entry.question for entry in pool.questions], max(ks))
    ranks = [rank_of(entry.source, found) for entry, found in zip(pool.questions, hits, strict=True)]
    recall = {k: recall_at(k, ranks) for k in ks}
    return RetrievalScores(len(pool.documents), len(pool.questions), recall, mean_reciprocal_rank(ranks))


def rank_of(source: str, hits: Sequence[Hit]) -> int | None:
    """Where a source stands among the hits, counted from 1; None where it does not."""
    return next((rank for rank, hit in enumerate(hits, start=1) if hit.source == source), None)


def recall_at(k: int, ranks: Sequence[int | None]) -> float:
    """Share of ranks that are k or better.

    >>> recall_at(2, [1, 3, None, 2])
    0.5
    """
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks) if ranks else 0.0


def mean_reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """Mean of 1 / rank, 0 for None.

    >>> mean_reciprocal_rank([1, 2, None, None])
    0.375
    """
    return sum(1 / rank for rank in ranks if rank is not None) / len(ranks) if ranks else 0.0


def pool_snapshot(
    pool: ClosedPool, embedder: Embedder, cut: Callable[[Document], list[Chunk]] | None = None
) -> Snapshot:
    """The pool as an index would hold it, in memory. cut: how documents become chunks; None keeps each whole."""
    from pagoda.rag.embedding.token_vectors import embed_headed, packed
    from pagoda.rag.index.snapshot import Snapshot, owners

    chunks = [chunk for document in pool.documents for chunk in (cut or whole)(document)]
    passages = [(chunk.heading, text) for chunk in chunks for text in chunk.sentence_texts()]
    vectors, tokens = embed_headed(embedder, passages)
    return Snapshot(0, chunks, vectors, owners(chunks), packed(tokens))


def whole(document: Document) -> list[Chunk]:
    """A document as one chunk, however long; its sentences are embedded one by one, so that nothing is cut off."""
    from pagoda.rag.splitting.sentences import sentence_spans

    spans = tuple(sentence_spans(document.text))
    source, text, title = document.source, document.text, document.title
    return [Chunk(source, source, text, 0, len(text), 1, title=title, sentences=spans)]


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
        good = isinstance(row["context"], str) and all(isinstance(qa["question"], str) for qa in row["qas"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f'{where} is no {{"context", "qas": [{{"question"}}]}}: {error!r}') from error
    if not good:
        raise ConfigError(f"{where}: context and question must be text")
    return row
