"""How often the right paragraph is found: words, vectors and both, on sets in SQuAD's form, one pool per set.

    python benchmarks/rag_retrieval.py --data FOLDER [--sets squad11,cmrc2018,drcd_zh] [--chunks both] [--cache FOLDER]

"whole": each paragraph is one chunk. "split": paragraphs are cut as an index cuts them, and a hit counts for the
paragraph that it is from. "both" reports the two. The legs are those that the retriever adds; where the embedder cannot
read the script, fused is words alone. --cache keeps vectors, so that a second run embeds the questions only.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from machine import provenance

from pagoda.rag.documents.document import Chunk, Document, Hit
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.embedding.vectors import Embedder, TokenEmbedder
from pagoda.rag.evaluation.retrieval import (
    ClosedPool,
    RetrievalScores,
    evaluate_retrieval,
    load_pool,
    pool_snapshot,
    whole,
)
from pagoda.rag.index.snapshot import Snapshot
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.reranker import load_reranker
from pagoda.rag.retrieval.retriever import Retriever, best_rows
from pagoda.rag.splitting.splitter import Splitter

KS = (1, 5, 10)
TARGETS = {"squad11": (0.87, 0.98), "cmrc2018": (0.975, 0.995)}


class CachedEmbedder:
    """An embedder that keeps what it made of one list of texts in a file named after them."""

    def __init__(self, embedder: Embedder, folder: Path | None) -> None:
        self._embedder, self._folder = embedder, folder
        self.name, self.dimension, self.max_tokens = embedder.name, embedder.dimension, embedder.max_tokens
        self.num_tokens_batch = embedder.num_tokens_batch
        self.unknown_share = embedder.unknown_share
        if isinstance(embedder, TokenEmbedder):
            # Not kept: tokens fill a hundred times the space.
            self.embed_tokens = embedder.embed_tokens

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        if self._folder is None:
            return self._embedder.embed(texts, on_progress)
        digest = hashlib.sha256("\0".join([self.name, *texts]).encode()).hexdigest()[:24]
        file = self._folder / f"{digest}.npy"
        if not file.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            np.save(file, self._embedder.embed(texts, on_progress))
        return np.load(file)


def words_only(snapshot: Snapshot, bm25: Bm25Index) -> Callable[[Sequence[str], int], list[list[Hit]]]:
    """Retrieval by BM25 alone."""
    rows = np.arange(len(snapshot.chunks))

    def retrieve(questions: Sequence[str], k: int) -> list[list[Hit]]:
        scores = [bm25.scores(question) for question in questions]
        return [[Hit(snapshot.chunks[i], float(one[i])) for i in best_rows(one, rows, k)] for one in scores]

    return retrieve


def vectors_only(snapshot: Snapshot, embedder: Embedder) -> Callable[[Sequence[str], int], list[list[Hit]]]:
    """Retrieval by the best sentence's cosine alone, whether or not the embedder reads the script."""
    rows = np.arange(len(snapshot.chunks))
    first = np.searchsorted(snapshot.owner, rows)

    def retrieve(questions: Sequence[str], k: int) -> list[list[Hit]]:
        found = []
        for vector in embedder.embed(questions):
            best = np.maximum.reduceat(snapshot.vectors @ vector, first)
            found.append([Hit(snapshot.chunks[i], float(best[i])) for i in best_rows(best, rows, k)])
        return found

    return retrieve


def told(pool: str, chunks: str, leg: str, scores: RetrievalScores) -> str:
    """One row of the table."""
    recalls = " | ".join(f"{scores.recall[k]:.4f}" for k in KS)
    return f"| {pool} | {chunks} | {leg} | {recalls} | {scores.mrr:.4f} |"


def report(
    pool: ClosedPool, name: str, cut: Callable[[Document], list[Chunk]], embedder: Embedder, args: argparse.Namespace
) -> None:
    """The three rows of one pool."""
    snapshot = pool_snapshot(pool, embedder, cut)
    bm25 = Bm25Index.build([chunk.heading + chunk.text for chunk in snapshot.chunks])
    reranker = load_reranker(args.reranker) if args.reranker else None
    retriever = Retriever(snapshot, bm25, embedder, reranker)
    chunks = f"{name}, {len(snapshot.chunks)}"
    print(told(pool.name, chunks, "words", evaluate_retrieval(pool, words_only(snapshot, bm25), KS)))
    print(told(pool.name, chunks, "vectors", evaluate_retrieval(pool, vectors_only(snapshot, embedder), KS)))
    began = time.perf_counter()
    fused = evaluate_retrieval(pool, retriever.retrieve_batch, KS)
    each_ms = 1e3 * (time.perf_counter() - began) / fused.num_questions
    print(told(pool.name, chunks, f"fused ({each_ms:.1f} ms a question)", fused), flush=True)
    if pool.name in TARGETS and name == "whole":
        print(f"target of {pool.name}, whole: recall@1 {TARGETS[pool.name][0]}, recall@5 {TARGETS[pool.name][1]}")


def main() -> None:
    """Report every set that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="squad11,cmrc2018,drcd_zh")
    parser.add_argument("--chunks", choices=("whole", "split", "both"), default="both")
    parser.add_argument("--max-questions", type=int)
    parser.add_argument("--embedder", help="name or path; by default the packaged one")
    parser.add_argument("--reranker", help="name or path of a cross-encoder")
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    line = provenance()
    embedder = CachedEmbedder(load_embedder(args.embedder), args.cache)
    cuts = {"whole": whole, "split": Splitter(embedder.num_tokens_batch).split}
    print("| set | chunks | legs | R@1 | R@5 | R@10 | MRR@10 |\n|---|---|---|---|---|---|---|")
    for name in args.sets.split(","):
        pool = load_pool(args.data / f"{name}.jsonl", args.max_questions)
        print(f"{name}: {len(pool.documents)} paragraphs, {len(pool.questions)} questions")
        for kind in ("whole", "split") if args.chunks == "both" else (args.chunks,):
            report(pool, kind, cuts[kind], embedder, args)
    print(line)


if __name__ == "__main__":
    main()
