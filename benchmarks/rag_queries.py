"""What a question costs outside of the models, and what asking 64 at once gains.

    python benchmarks/rag_queries.py [--num-chunks 10000] [--num-questions 64] [--rounds 20] [--answer-tokens 64]

Overhead: warm questions to an index of generated text, answered at once by a script, so that the check of the answer
is in it; the time inside the embedder is taken off. The embedder is a hash of words with MiniLM's 384 dimensions and
a vector a word, because what retrieval costs does not depend on what vectors mean, and 10,000 chunks then take a
minute or two to index. Quoting: the same questions without a model, where the reader is the network that takes the
time. Batch: the same questions with the built-in model as the generator, one after the other and in one
`query_batch`; both must give the same number of answers.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import provenance
from rag_indexing import generated_paragraphs

from pagoda.chat.scripted import ScriptedChatModel
from pagoda.engine.chat_model import EngineChatModel
from pagoda.rag.embedding.vectors import TokenVectors
from pagoda.rag.generative.answerer import GenerativeSettings
from pagoda.rag.pipeline import RAG, RagSettings

TARGET_OVERHEAD_MS, TARGET_SPEEDUP = 30.0, 5.0


class HashEmbedder:
    """A vector per word, summed; `seconds` is what all calls took."""

    name, dimension, max_tokens = "hash", 384, 256

    def __init__(self) -> None:
        self.seconds = 0.0
        self._vectors: dict[str, np.ndarray] = {}

    def num_tokens_batch(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def unknown_share(self, text: str) -> float:
        return 0.0

    def embed(self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None) -> np.ndarray:
        began = time.perf_counter()
        rows = np.stack([sum((self._of(w) for w in text.lower().split()), self._of("")) for text in texts])
        if on_progress is not None:
            on_progress(len(texts))
        self.seconds += time.perf_counter() - began
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def embed_tokens(
        self,
        texts: Sequence[str],
        headings: Sequence[str] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors]]:
        vectors = self.embed(texts, on_progress)
        began = time.perf_counter()
        tokens = [self._tokens(text.lower().split()) for text in texts]
        self.seconds += time.perf_counter() - began
        return vectors, tokens

    def _tokens(self, words: list[str]) -> TokenVectors:
        rows = np.stack([self._of(word) for word in words]).astype(np.float32)
        ids = np.array([sum(word.encode()) for word in words], dtype=np.int64)
        return TokenVectors(ids, rows / np.linalg.norm(rows, axis=1, keepdims=True))

    def _of(self, word: str) -> np.ndarray:
        if word not in self._vectors:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            self._vectors[word] = np.random.default_rng(seed).standard_normal(self.dimension)
        return self._vectors[word]


def indexed(rag: RAG, folder: Path, num_chunks: int) -> None:
    """Fill the index with at least so many chunks."""
    paragraphs, number = generated_paragraphs(), 0
    while (missing := num_chunks - rag.status().num_chunks) > 0:
        for _ in range(max(1, missing // 20)):
            text = "\n\n".join(next(paragraphs) for _ in range(20))
            (folder / f"{number:05}.txt").write_text(text, encoding="utf-8")
            number += 1
        rag.add([folder])


def questions_for(rag: RAG, count: int) -> list[str]:
    """Six words of a chunk each."""
    rng, chunks = random.Random(1), rag._index.snapshot().chunks
    return [" ".join(rng.sample(rng.choice(chunks).text.split(), 6)) + "?" for _ in range(count)]


def overheads_ms(rag: RAG, embedder: HashEmbedder, questions: Sequence[str]) -> list[float]:
    """Milliseconds of each question outside of the embedder."""
    found = []
    for question in questions:
        inside, began = embedder.seconds, time.perf_counter()
        rag.query(question)
        found.append(1e3 * (time.perf_counter() - began - (embedder.seconds - inside)))
    return found


def batch_speedup(rag: RAG, questions: Sequence[str]) -> tuple[float, float]:
    """(seconds one by one, seconds together), warm."""
    rag.query_batch(questions[:2])
    began = time.perf_counter()
    single = [rag.query(question) for question in questions]
    between = time.perf_counter()
    together = rag.query_batch(questions)
    ended = time.perf_counter()
    assert len(single) == len(together) == len(questions)
    return between - began, ended - between


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-chunks", type=int, default=10_000)
    parser.add_argument("--num-questions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--answer-tokens", type=int, default=64)
    given = parser.parse_args()
    settings = RagSettings(generative=GenerativeSettings(max_answer_tokens=given.answer_tokens))
    embedder: Any = HashEmbedder()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "documents"
        folder.mkdir()
        model = EngineChatModel()
        with RAG(Path(temporary) / "index", model, embedder=embedder, settings=settings, owns_model=True) as rag:
            indexed(rag, folder, given.num_chunks)
            questions = questions_for(rag, max(given.rounds, given.num_questions))
            script = ScriptedChatModel(lambda messages: "The most of them say the same thing again [1].")
            print(f"{rag.status().num_chunks} chunks, {given.rounds} warm questions outside of the embedder:")
            for name, answerer in (("a scripted model", script), ("quoting, its reader included", None)):
                with RAG(Path(temporary) / "index", answerer, embedder=embedder, read_only=True) as asked:
                    asked.warm_up()
                    overheads_ms(asked, embedder, questions[:3])
                    found = overheads_ms(asked, embedder, questions[: given.rounds])
                print(f"  {name}: median {statistics.median(found):.1f} ms, worst {max(found):.1f} ms")
            print(f"  (target outside of the model: below {TARGET_OVERHEAD_MS:.0f} ms)")
            alone, together = batch_speedup(rag, questions[: given.num_questions])
    print(f"{given.num_questions} questions to the built-in model, answers of at most {given.answer_tokens} tokens:")
    print(f"  one by one {alone:.1f} s, in one batch {together:.1f} s: {alone / together:.1f} times as fast", end=" ")
    print(f"(target: {TARGET_SPEEDUP:.0f})")
    print(provenance())


if __name__ == "__main__":
    main()
