"""Answers from retrieved passages by each of the three answerers: quoted, confirmed by a model, written by a model.

    python benchmarks/rag_generated.py squad --data FOLDER --model MODEL --out answers.jsonl
    python benchmarks/rag_generated.py cmrc --data FOLDER --model MODEL --out answers.jsonl
    python benchmarks/rag_generated.py squad --out answers.jsonl                    # what the file holds, as a table

150 questions with an answer and 50 without, the same for all; `--part dev` takes 60 and 20 others, to look at. MODEL is
a model of this machine or a URL. Each answer is a line of the file as soon as it is there, and a second run goes on
from it. The answerers were trained on parts of these sets, so the questions are of what they had not seen:

squad: SQuAD 1.1 and, without an answer, 2.0, on the articles that `reader_en.npz` was not trained on; all paragraphs of
    the five articles are the collection. The small ranker beside the reader has seen them.
cmrc: CMRC 2018's development set (dev: its trial set), the third by title that `train_chinese.py` sees nothing of. A
    question without an answer is one whose paragraph was taken out of the collection.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import random
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import provenance

from pagoda.chat.model import ChatModel
from pagoda.chat.openai_client import OpenAIChatModel
from pagoda.engine.chat_model import EngineChatModel
from pagoda.rag.answer import Answer
from pagoda.rag.answerer import Answerer, GroundedQuestion
from pagoda.rag.documents.document import Document, Hit
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.evaluation.answers import scores_of
from pagoda.rag.evaluation.retrieval import ClosedPool, numbered_lines, pool_snapshot
from pagoda.rag.extractive.answerer import QuotingAnswerer
from pagoda.rag.extractive.extractor import ExtractiveAnswerer, ExtractiveSettings
from pagoda.rag.extractive.ranker import FOLDER
from pagoda.rag.generative.answerer import GenerativeAnswerer, GenerativeSettings
from pagoda.rag.generative.backed import BackedAnswerer
from pagoda.rag.generative.guided import UNSURE, GuidedAnswerer
from pagoda.rag.generative.support import SupportCheck
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever
from pagoda.rag.splitting.splitter import Splitter

ARTICLES = {
    "dev": {"Black_Death", "Genghis_Khan"},
    "kept": {"European_Union_law", "Immune_system", "Southern_California"},
}
FILES = {"dev": "cmrc2018_trial", "kept": "cmrc2018"}
FOLDS, MEASURED = 3, 0
COUNTS = {"dev": (60, 20), "kept": (150, 50)}
HITS = 5
DEADLINE_S = 3600.0
"""Of a batch: a busy machine is no reason to end."""
ANSWERERS = ("extractive", "guided", "model")


@dataclass(frozen=True)
class Asked:
    """A question of a set. source: the paragraph that answers, as a document of the collection; empty if none does."""

    id: str
    question: str
    answers: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Row:
    """One answer, as a line of the file."""

    id: str
    answerer: str
    answerable: bool
    question: str
    answers: tuple[str, ...]
    text: str
    abstained: bool
    cited: bool
    em: float
    f1: float
    seconds: float


def rows_of(data: Path, name: str) -> list[dict[str, Any]]:
    """The paragraphs of a set, without questions that are empty, which the trial set has."""
    rows = [json.loads(line) for _, line in numbered_lines(data / f"{name}.jsonl")]
    return [{**row, "qas": [qa for qa in row["qas"] if qa["question"].strip()]} for row in rows]


def squad(data: Path, part: str) -> tuple[list[Asked], list[Document]]:
    """Questions and collection, English."""
    five = [row for row in rows_of(data, "squad11") if row["title"] in ARTICLES["dev"] | ARTICLES["kept"]]
    documents, source = collection(five)
    asked = [
        Asked(qa["id"], qa["question"], tuple(qa["answers"]), source[row["context"]])
        for row in five
        for qa in row["qas"]
        if row["title"] in ARTICLES[part]
    ]
    without = [
        Asked(qa["id"], qa["question"], (), "")
        for row in rows_of(data, "squad20")
        for qa in row["qas"]
        if row["title"] in ARTICLES[part] and qa.get("impossible")
    ]
    return drawn(asked, without, part), documents


def cmrc(data: Path, part: str) -> tuple[list[Asked], list[Document]]:
    """Questions and collection, Chinese."""
    rows = rows_of(data, FILES[part])
    held = [row for row in rows if zlib.crc32(row["title"].encode()) % FOLDS == MEASURED]
    random.Random(0).shuffle(held)
    without: list[Asked] = []
    while len(without) < COUNTS[part][1]:
        taken_out = held.pop()
        rows.remove(taken_out)
        without += [Asked(qa["id"], qa["question"], (), "") for qa in taken_out["qas"]]
    documents, source = collection(rows)
    asked = [
        Asked(qa["id"], qa["question"], tuple(qa["answers"]), source[row["context"]])
        for row in held
        for qa in row["qas"]
    ]
    return drawn(asked, without, part), documents


SETS = {"squad": squad, "cmrc": cmrc}


def collection(rows: Sequence[dict[str, Any]]) -> tuple[list[Document], dict[str, str]]:
    """A document for each paragraph, and its name by its text."""
    source = {context: f"{number:05}.txt" for number, context in enumerate(dict.fromkeys(r["context"] for r in rows))}
    titles = {row["context"]: row["title"].replace("_", " ") for row in rows}
    return [Document(name, context, titles[context]) for context, name in source.items()], source


def drawn(asked: Sequence[Asked], without: Sequence[Asked], part: str) -> list[Asked]:
    """So many of both kinds, mixed, so that the beginning of a run stands for the whole."""
    draw = random.Random(0)
    many, few = COUNTS[part]
    chosen = draw.sample(asked, many) + draw.sample(without, few)
    draw.shuffle(chosen)
    return chosen


def hits_of(asked: Sequence[Asked], documents: Sequence[Document], cache: Path | None) -> list[list[Hit]]:
    """The best chunks for each question, from the cache where they lie there: embedding takes minutes."""
    texts = [entry.question for entry in asked] + [document.text for document in documents]
    kept = cache and cache / f"hits-{zlib.crc32(chr(0).join(texts).encode()):08x}.pickle"
    if kept and kept.is_file():
        return pickle.loads(kept.read_bytes())  # type: ignore[no-any-return]
    embedder = load_embedder(None)
    cut = Splitter(embedder.num_tokens_batch).split
    snapshot = pool_snapshot(ClosedPool("", tuple(documents), ()), embedder, cut)
    bm25 = Bm25Index.build([chunk.heading + chunk.text for chunk in snapshot.chunks])
    hits = Retriever(snapshot, bm25, embedder).retrieve_batch([entry.question for entry in asked], HITS)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(hits))
    return hits


def answerers(model: ChatModel | None, rankers: Path) -> dict[str, Answerer]:
    """By name; without a model the one that needs none."""
    quoting = QuotingAnswerer(ExtractiveAnswerer(rankers=rankers))
    if model is None:
        return {"extractive": quoting}
    unsure = QuotingAnswerer(ExtractiveAnswerer(ExtractiveSettings(min_confidence=UNSURE), rankers))
    settings = GenerativeSettings(deadline_s=DEADLINE_S)
    writing = GenerativeAnswerer(model, SupportCheck(load_embedder(None)), settings)
    guided = GuidedAnswerer(model, quoting, unsure, DEADLINE_S)
    return {"extractive": quoting, "guided": guided, "model": BackedAnswerer(writing, quoting)}


def model_of(name: str | None) -> ChatModel | None:
    """By its URL or path."""
    if name is None:
        return None
    is_url = name.startswith(("http://", "https://"))
    return OpenAIChatModel(name, timeout_s=DEADLINE_S) if is_url else EngineChatModel(name)


async def ask(name: str, answerer: Answerer, batch: Sequence[tuple[Asked, Sequence[Hit]]]) -> list[Row]:
    """The answers to some questions, counted."""
    began = time.perf_counter()
    answers = await answerer.answer_batch([GroundedQuestion(entry.question, hits) for entry, hits in batch])
    seconds = (time.perf_counter() - began) / len(batch)
    return [row_of(name, entry, answer, seconds) for (entry, _), answer in zip(batch, answers, strict=True)]


def row_of(name: str, entry: Asked, answer: Answer, seconds: float) -> Row:
    """An answer beside what is right. An abstention counts as the empty answer, as in SQuAD 2.0."""
    em, f1 = scores_of(answer, entry.answers)
    cited = any(citation.source == entry.source for citation in answer.citations)
    return Row(
        id=entry.id, answerer=name, answerable=bool(entry.answers), question=entry.question, answers=entry.answers,
        text=answer.text, abstained=answer.abstained, cited=cited, em=em, f1=f1, seconds=round(seconds, 3),
    )  # fmt: skip


async def run(given: argparse.Namespace) -> None:
    """Ask what the file does not hold yet."""
    asked, documents = SETS[given.set](given.data, given.part)
    found = list(zip(asked, hits_of(asked, documents, given.cache), strict=True))[: given.limit]
    model = model_of(given.model)
    by_name = answerers(model, given.rankers)
    try:
        for name in given.answerers.split(","):
            done = {row.id for row in read(given.out) if row.answerer == name}
            left = [pair for pair in found if pair[0].id not in done]
            for start in range(0, len(left), given.batch):
                rows = await ask(name, by_name[name], left[start : start + given.batch])
                with given.out.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    finally:
        if model is not None:
            await model.aclose()


def read(path: Path) -> list[Row]:
    """What a file holds so far."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return [Row(**json.loads(line)) for line in lines if line]


def report(rows: Sequence[Row], name: str) -> str:
    """One answerer's line of the table, over the questions that all answerers of the file have answered."""
    answerable, without = [row for row in rows if row.answerable], [row for row in rows if not row.answerable]
    given = [row for row in answerable if not row.abstained]
    abstained = [row for row in rows if row.abstained]
    values = [
        mean([row.f1 for row in answerable]), mean([row.em for row in answerable]), mean([row.f1 for row in rows]),
        mean([row.cited for row in given]), mean([not row.answerable for row in abstained]),
        mean([row.abstained for row in without]), mean([row.abstained for row in answerable]),
    ]  # fmt: skip
    shown = " | ".join(f"{100 * value:.1f}" for value in values)
    return f"| {name} | {len(answerable)} + {len(without)} | {shown} | {mean([row.seconds for row in rows]):.2f} |"


def mean(values: Sequence[float]) -> float:
    """0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def main() -> None:
    """Ask where there is data, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--out", type=Path, required=True, help="the answers, one a line")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--part", choices=COUNTS, default="kept")
    parser.add_argument("--model", help="a path or URL; without one, --answerers extractive")
    parser.add_argument("--answerers", default=",".join(ANSWERERS))
    parser.add_argument("--batch", type=int, default=8, help="questions that the model has at once")
    parser.add_argument("--limit", type=int, help="only the first questions")
    parser.add_argument("--rankers", type=Path, default=FOLDER, help="folder of span_ranker_zh.npz")
    parser.add_argument("--cache", type=Path, help="folder where hits are kept")
    given = parser.parse_args()
    if given.data is not None:
        asyncio.run(run(given))
    rows = read(given.out)
    by_name = {name: [row for row in rows if row.answerer == name] for name in ANSWERERS}
    common = set.intersection(*({row.id for row in found} for found in by_name.values() if found))
    print("| answerer | questions | F1 | EM | F1, all | cited right | abstention P | R | wrongly | s |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, found in by_name.items():
        if found:
            print(report([row for row in found if row.id in common], name))
    print(provenance())


if __name__ == "__main__":
    main()
