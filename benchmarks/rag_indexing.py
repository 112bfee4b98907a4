"""How fast documents enter an index, beside how fast the embedder alone would embed the same sentences.

    python benchmarks/rag_indexing.py [--num-chunks 10000] [--rounds 5] [--corpus FILE.txt[.gz]]
    python benchmarks/rag_indexing.py --documents FOLDER [FOLDER ...]

Both are measured in one run, in turn, so that whatever else the machine does slows both: the embedder, given all
sentences of a folder in one call; then the indexer, from its files to the last vector in the store and
the snapshot for readers. At the end everything is indexed once more, unchanged, and once with a tenth
of its files changed by one sentence. Without a corpus the text is generated from a list of common words: what an
embedder costs depends on the lengths of sentences, not on their sense.

With --documents, real folders (say the manuals of `manuals_corpus.py`) are indexed as `pagoda rag index` does it:
chunks a second, what 10,000 would take, and how long the network's products alone would take at the speed that a single
large product of the embedder's kind (bfloat16 or float32, by the native kernels or torch) reaches here.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from machine import provenance

from pagoda.kernels.select import NATIVE, select_kernels
from pagoda.minilm.native_encoder import product_dtype
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.rag.documents.document import Document
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.embedding.vectors import Embedder
from pagoda.rag.index.index import RagIndex
from pagoda.rag.index.indexer import Indexer, IndexReport
from pagoda.rag.pipeline import RAG
from pagoda.rag.splitting.splitter import Splitter

TARGET = 0.9
# Of one piece through the layers: four square matrices and two wide ones each, two operations a weight.
FLOP_PER_PIECE = 2 * NUM_LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * 4 * HIDDEN)
CHUNKS_PER_DOCUMENT = 20
WORDS = """
the of and to in a is that it was for on are with as be at one have this from by hot but some what there we can out
other were all your when up use word how said an each she which do their time if will way about many then them would
write like so these her long make thing see him two has look more day could go come did my sound no most number who
over know water than call first people may down side been now find any new work part take get place made live where
after back little only round man year came show every good me give our under name very through just form much great
think say help low line before turn cause same mean differ move right boy old too does tell sentence set three want
air well also play small end put home read hand port large spell add even land here must big high such follow act why
ask men change went light kind off need house picture try us again animal point mother world near
"""


def generated_paragraphs(seed: int = 0) -> Iterator[str]:
    """Paragraphs of three to eight sentences of 6 to 36 words, without end."""
    rng, known = random.Random(seed), WORDS.split()
    while True:
        sentences = (rng.choices(known, k=rng.randint(6, 36)) for _ in range(rng.randint(3, 8)))
        yield " ".join(" ".join(words).capitalize() + "." for words in sentences)


def paragraphs_of(corpus: Path) -> Iterator[str]:
    """The paragraphs of a text file, which may be compressed by gzip."""
    with corpus.open("rb") as raw, gzip.open(raw) if corpus.suffix == ".gz" else raw as data:
        file = io.TextIOWrapper(data, encoding="utf-8")
        yield from (line.strip() for line in file if len(line) > 40)


def write_documents(paragraphs: Iterator[str], folder: Path, splitter: Splitter, num_chunks: int) -> list[str]:
    """Text files that are cut into `num_chunks` chunks, or a few more; gives their sentences, each once."""
    sentences: dict[str, None] = {}
    written = number = 0
    while written < num_chunks:
        parts: list[str] = []
        while sum(map(len, parts)) < CHUNKS_PER_DOCUMENT * 700 and (part := next(paragraphs, "")):
            parts.append(part)
        if not parts:
            raise SystemExit(f"the corpus is enough for {written} chunks only: give a longer one, or --num-chunks")
        document = Document(f"{number:05}.txt", "\n\n".join(parts))
        (folder / document.source).write_text(document.text, encoding="utf-8")
        chunks = splitter.split(document)
        sentences.update(dict.fromkeys(text for chunk in chunks for text in chunk.sentence_texts()))
        written, number = written + len(chunks), number + 1
    return list(sentences)


def embedding_seconds(embedder: Embedder, sentences: list[str]) -> tuple[float, float]:
    """Seconds that the embedder takes for all of them in one call: of the clock, of the processor."""
    embedder.embed(sentences[:64])
    began, began_cpu = time.perf_counter(), time.process_time()
    embedder.embed(sentences)
    return time.perf_counter() - began, time.process_time() - began_cpu


def change_a_tenth(folder: Path) -> None:
    """One sentence more in the middle of every tenth file."""
    for path in sorted(folder.rglob("*.txt"))[::10]:
        text = path.read_text(encoding="utf-8")
        middle = text.index("\n\n", len(text) // 2)
        path.write_text(f"{text[:middle]}\n\nThis sentence is new in {path.name}.{text[middle:]}", encoding="utf-8")


def told(name: str, report: IndexReport) -> str:
    """One line about a run."""
    documents = ", ".join(f"{len(getattr(report, kind))} {kind}" for kind in ("added", "updated", "unchanged"))
    return f"{name}: {report.seconds:.2f} s, {report.num_embedded:,} sentences embedded ({documents})"


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Both speeds, and the two runs after."""
    embedder = load_embedder(arguments.embedder)
    splitter = Splitter(embedder.num_tokens_batch)
    documents = folder / "documents"
    paragraphs = paragraphs_of(arguments.corpus) if arguments.corpus else generated_paragraphs()
    alone = seconds = alone_cpu = cpu = 0.0
    num_alone = num_embedded = 0
    with RagIndex.open(folder / "index", embedder) as index:
        indexer = Indexer(index, splitter, embedder, batch_sentences=arguments.batch_sentences)
        for number in range(arguments.rounds):
            part = documents / str(number)
            part.mkdir(parents=True)
            sentences = write_documents(paragraphs, part, splitter, arguments.num_chunks // arguments.rounds)
            own, own_cpu = embedding_seconds(embedder, sentences)
            alone, alone_cpu, num_alone = alone + own, alone_cpu + own_cpu, num_alone + len(sentences)
            began_cpu = time.process_time()
            report = indexer.add([part], root=documents)
            cpu += time.process_time() - began_cpu
            seconds, num_embedded = seconds + report.seconds, num_embedded + report.num_embedded
        again = indexer.add([documents], root=documents)
        change_a_tenth(documents)
        changed = indexer.add([documents], root=documents)
    own_speed, speed = num_alone / alone, num_embedded / seconds
    print(f"{report.num_chunks:,} chunks, {num_alone:,} sentences, {arguments.rounds} rounds, embedder {embedder.name}")
    print(f"embedder alone: {alone:.2f} s, {own_speed:,.1f} sentences/s")
    print(f"indexing: {seconds:.2f} s, {speed:,.1f} sentences/s, {report.num_chunks / seconds:,.1f} chunks/s")
    print(f"indexing reaches {speed / own_speed:.1%} of the embedder's own speed (target: {TARGET:.0%})")
    share = num_embedded / cpu / (num_alone / alone_cpu)
    print(f"in seconds of the processor, which neighbours disturb less: {cpu:.2f} against {alone_cpu:.2f}, {share:.1%}")
    print(told("unchanged folder", again))
    print(told("a sentence more in a tenth of the files", changed))


def measure_documents(folder: Path, scratch: Path) -> None:
    """One folder of real documents, indexed once."""
    with RAG(scratch / "index") as rag:
        began_cpu = time.process_time()
        report = rag.add([folder])
        cpu = time.process_time() - began_cpu
    embedder = load_embedder()
    with RagIndex.open(scratch / "index", embedder, read_only=True) as index:
        embedded = [chunk for chunk in index.chunks() if chunk.is_embedded]
    texts = {chunk.heading + text for chunk in embedded for text in chunk.sentence_texts()}
    pieces = sum(embedder.num_tokens_batch(list(texts))) + 2 * len(texts)
    for_10_000 = 10_000 / max(1, report.num_chunks)
    print(f"{folder}: {len(report.added)} documents, {report.num_chunks:,} chunks, {len(embedded):,} of them embedded")
    print(f"  {report.seconds:.1f} s, {report.num_chunks / report.seconds:.1f} chunks/s; {cpu:.1f} s of the processor")
    print(f"  10,000 chunks: {for_10_000 * report.seconds:.0f} s, of the processor {for_10_000 * cpu:.0f} s")
    speed = flop_per_second()
    least = for_10_000 * pieces * FLOP_PER_PIECE / speed
    print(
        f"  {pieces / max(1, report.num_chunks):.0f} pieces embedded a chunk: products alone {least:.0f} s for 10,000,"
    )
    print(f"  at {speed / 1e9:.0f} GFLOP/s, which one large product reaches on {torch.get_num_threads()} threads now")


def flop_per_second() -> float:
    """The best of some products of MiniLM's widest matrices, as the embedder multiplies."""
    rows, weight = torch.randn(2048, HIDDEN), torch.randn(4 * HIDDEN, HIDDEN)
    multiply, seconds = multiplied_by(weight), []
    for _ in range(20):
        began = time.perf_counter()
        multiply(rows)
        seconds.append(time.perf_counter() - began)
    return 2 * rows.numel() * len(weight) / min(seconds)


def multiplied_by(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rows to their products with a matrix, on all threads."""
    dtype = product_dtype()
    if dtype is None:
        return lambda rows: torch.nn.functional.linear(rows, weight)
    kernels = select_kernels(NATIVE)
    packed = kernels.pack(weight.to(dtype))
    return lambda rows: kernels.linear(rows.to(dtype), packed, None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-chunks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="into how many parts the documents are divided")
    parser.add_argument("--corpus", type=Path, help="a text file, a paragraph a line; may be .gz")
    parser.add_argument("--embedder", help="name or path; by default the packaged one")
    parser.add_argument("--batch-sentences", type=int, default=2048)
    parser.add_argument("--documents", type=Path, nargs="+", help="folders of real documents, each measured by itself")
    line = provenance()
    arguments = parser.parse_args()
    for documents in arguments.documents or [None]:
        with tempfile.TemporaryDirectory() as folder:
            if documents is None:
                measure(arguments, Path(folder))
            else:
                measure_documents(documents, Path(folder))
    print(line)


if __name__ == "__main__":
    main()
