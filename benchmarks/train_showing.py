"""Fit the decision whether to answer without a model and how much to show, and report it on questions left out.

    python benchmarks/train_showing.py read squad --data DEV_FOLDER --out ROWS
    python benchmarks/train_showing.py read cmrc --data DEV_FOLDER --out ROWS
    python benchmarks/train_showing.py read manuals --manuals FOLDER --index INDEX --out ROWS
    python benchmarks/train_showing.py read manuals --manuals FOLDER --index INDEX --out ROWS --language en --unread
    python benchmarks/train_showing.py fit --out ROWS             # reports
    python benchmarks/train_showing.py fit --out ROWS --export    # writes rag/extractive/data/showing.json

`read` finds five chunks for each question and writes a line for each of the three that are read: its signs
(`showing/decision.py`), and whether the chunk holds the answer. No question is one that a reader was trained on:

squad: SQuAD 2.0, the articles that `reader_en.npz` had not seen, against all paragraphs of the development set
cmrc: CMRC 2018's trial set, of which `train_chinese.py` sees nothing; each question also without its paragraph, which
    makes one without an answer
manuals: the half `develop` of the judged questions over manuals in both languages (`rag_manuals.py`), each that has an
    answer also without the chunks that hold it: kind `made`, which comes as near as the manuals can; and questions
    without an answer that were written for this (`data/manuals/near.*`): kind `written`

`fit` weighs the sets so that manuals count about as much as encyclopaedias, whose questions are many times more; a
group of which ROWS has fewer than a hundred keeps its weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from manuals.judging import Shown, judged
from manuals.questions import LANGUAGES, questions
from rag_generated import ARTICLES, collection, rows_of
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from pagoda.rag.answer import Citation
from pagoda.rag.documents.document import Document, Hit
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.evaluation.retrieval import ClosedPool, pool_snapshot
from pagoda.rag.extractive.extractor import (
    ENOUGH,
    TOO_LITTLE,
    ExtractiveAnswerer,
    ExtractiveSettings,
    coverage_of,
    examined,
    skimmed,
)
from pagoda.rag.extractive.ranker import FOLDER
from pagoda.rag.extractive.showing.decision import OF_READER, WEIGHTS, Signs
from pagoda.rag.pipeline import RAG
from pagoda.rag.retrieval.lexical import Bm25Index
from pagoda.rag.retrieval.retriever import Retriever
from pagoda.rag.splitting.splitter import Splitter

NUM_HITS = 8
NUM_HITS_OF_MANUALS = 40
"""So many that enough are left where those with the answer are taken out."""
MAX_QUESTIONS = 700
WORTH = {"squad": 1.0, "cmrc": 1.0, "manuals": 3.0}
WORTH_OF = {"made": 0.3, "written": 0.5}
"""Of a question whose answer was taken out some of what is left answers it in other words than the labelled ones; of
those that were written for this there are as many as of those that have an answer, and more than people ask."""
LATER = {"prose": 0.1, "manual": 1.0}
"""What passages behind the first count: in prose it is nearly always the first, and what is to be known is whether it
answers; of manuals, which one does."""
STRENGTH = 0.05
"""Inverse of the regularisation: half and twice as much change right and wrong of those left out by less than .004."""
LEFT_OUT: dict[str, tuple[str, ...]] = {"en-manual": OF_READER}
"""Signs that a group does not weigh. The English reader was trained on encyclopaedias: over manuals a fit with it gave
its log-odds a weight of .08, and reading all hits took most of an answer's time."""
THRESHOLDS = {
    "en-prose": {"answer": 0.44, "sentence": 0.65, "span": 0.75},
    "en-manual": {"answer": 0.27, "sentence": 0.85, "span": 0.95},
    "zh-prose": {"answer": 0.22, "sentence": 0.8, "span": 0.9},
    "zh-manual": {"answer": 0.23, "sentence": 0.9, "span": 0.95},
}
"""answer: where both mistakes are about equally dear, made questions over manuals counted less than others; of English
manuals the highest at which three quarters of the left out are answered right
sentence, span: where they are right in four of five cases
"""
LEAST_QUESTIONS = 100
Holds = Callable[[Hit], bool]


@dataclass(frozen=True)
class Row:
    """One passage that was read for a question. kind: answer, or how far the question is from one."""

    set: str
    id: str
    group: str
    kind: str
    holds: bool
    signs: dict[str, float]


@dataclass(frozen=True)
class Asked:
    """A question with the hits to read and what tells whether one holds the answer."""

    set: str
    id: str
    kind: str
    question: str
    hits: Sequence[Hit]
    holds: Holds


def found_in(documents: Sequence[Document], asked: Sequence[str]) -> list[list[Hit]]:
    """The hits of questions to a collection."""
    embedder = load_embedder(None)
    cut = Splitter(embedder.num_tokens_batch).split
    snapshot = pool_snapshot(ClosedPool("", tuple(documents), ()), embedder, cut)
    bm25 = Bm25Index.build([chunk.heading + chunk.text for chunk in snapshot.chunks])
    return Retriever(snapshot, bm25, embedder).retrieve_batch(list(asked), NUM_HITS)


def squad(options: argparse.Namespace) -> Iterator[Asked]:
    """Questions with and without an answer, as the set has them."""
    rows = rows_of(options.data, "squad20")
    documents, _ = collection(rows)
    unseen = ARTICLES["dev"] | ARTICLES["kept"]
    asked = [qa for row in rows if row["title"] in unseen for qa in row["qas"]]
    asked = _some(asked)
    for qa, hits in zip(asked, found_in(documents, [qa["question"] for qa in asked]), strict=True):
        answers = [] if qa.get("impossible") else qa["answers"]
        yield Asked("squad", qa["id"], _kind(answers), qa["question"], hits, _holds(answers))


def cmrc(options: argparse.Namespace) -> Iterator[Asked]:
    """Questions with their paragraph in the collection, and without it."""
    rows = rows_of(options.data, "cmrc2018_trial")
    documents, source = collection(rows)
    asked = _some([(qa, source[row["context"]]) for row in rows for qa in row["qas"]])
    hits_of = found_in(documents, [qa["question"] for qa, _ in asked])
    for (qa, own), hits in zip(asked, hits_of, strict=True):
        yield Asked("cmrc", qa["id"], "answer", qa["question"], hits, _holds(qa["answers"]))
        others = [hit for hit in hits if hit.source != own]
        yield Asked("cmrc", qa["id"], "near", qa["question"], others, _holds([]))


def manuals(options: argparse.Namespace) -> Iterator[Asked]:
    """The judged questions of the half that may be looked at."""
    for language in [options.language] if options.language else LANGUAGES:
        corpus = options.manuals / "corpus" / language
        with RAG(options.index / language) as rag:
            rag.add([corpus], root=corpus)
            written = [replace(each, kind="written") for each in questions("near", language)]
            asked = [*questions("develop", language), *written]
            found = rag.retrieve_batch([q.question for q in asked], NUM_HITS_OF_MANUALS)
            for each, hits in zip(asked, found, strict=True):
                kind = "answer" if each.answers else each.kind.split()[-1]

                def holds(hit: Hit, each: Any = each) -> bool:
                    chunk = hit.chunk
                    whole = Citation.of_span(1, chunk, chunk.start, chunk.end, hit.score)
                    return bool(each.answers) and judged(each, Shown("", [whole], False)).grade == "right"

                yield Asked("manuals", each.id, kind, each.question, hits, holds)
                if each.answers:
                    others = [hit for hit in hits if not holds(hit)]
                    yield Asked("manuals", each.id, "made", each.question, others, _holds([]))


SETS = {"squad": squad, "cmrc": cmrc, "manuals": manuals}


def _some(entries: list[Any]) -> list[Any]:
    order = np.random.default_rng(1).permutation(len(entries))
    return [entries[i] for i in order[:MAX_QUESTIONS]]


def _kind(answers: Sequence[str]) -> str:
    return "answer" if answers else "near"


def _holds(answers: Sequence[str]) -> Holds:
    return lambda hit: any(answer in hit.text for answer in answers)


def read(asked: Asked, answerer: ExtractiveAnswerer, reads: bool = True) -> list[Row]:
    """The rows of a question."""
    hits = list(answerer.read_hits(asked.question, asked.hits))
    coverage = coverage_of(asked.question, hits)
    found = [
        answerer.read(asked.question, at, hit.chunk) if reads else skimmed(asked.question, coverage, at)
        for at, hit in enumerate(hits)
    ]
    readings = [each for each in found if each is not None]
    return [
        Row(
            asked.set,
            asked.id,
            each.group,
            asked.kind,
            asked.holds(hits[each.reading.hit_index]),
            asdict(each.signs),
        )
        for each in examined(asked.question, hits, readings, coverage)
    ]


def load(folder: Path) -> list[Row]:
    """What was read so far."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [Row(**json.loads(line)) for line in lines]


def fitted(rows: Sequence[Row]) -> dict[str, float]:
    """Weights of the signs and a bias, in the signs' own units."""
    features, truth = _features(rows), np.array([row.holds for row in rows])
    for name in LEFT_OUT.get(rows[0].group, ()):
        features[:, list(Signs.__dataclass_fields__).index(name)] = 0.0
    middle, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    model: Any = LogisticRegression(C=STRENGTH, max_iter=1000)
    later = [1.0 if not row.signs["rank"] else LATER[row.group.partition("-")[2]] for row in rows]
    made = [WORTH_OF.get(row.kind, 1.0) for row in rows]
    worth = [WORTH[row.set] * one * other for row, one, other in zip(rows, later, made, strict=True)]
    model.fit((features - middle) / scale, truth, sample_weight=worth)
    weights = model.coef_[0] / scale
    bias = float(model.intercept_[0] - weights @ middle)
    return {**dict(zip(Signs.__dataclass_fields__, map(float, weights), strict=True)), "bias": bias}


def probabilities(weights: dict[str, float], rows: Sequence[Row]) -> np.ndarray:
    """[num_rows]."""
    logits = _features(rows) @ [weights[name] for name in Signs.__dataclass_fields__] + weights["bias"]
    return np.asarray(1 / (1 + np.exp(-logits)))


def _features(rows: Sequence[Row]) -> np.ndarray:
    return np.array([[row.signs[name] for name in Signs.__dataclass_fields__] for row in rows])


def left_out(rows: Sequence[Row], folds: int = 8) -> np.ndarray:
    """[num_rows] probabilities of each question by weights that were fitted without it."""
    found, ids = np.zeros(len(rows)), [row.id for row in rows]
    for rest, held in GroupKFold(folds).split(found, groups=ids):
        found[held] = probabilities(fitted([rows[i] for i in rest]), [rows[i] for i in held])
    return found


def report(name: str, rows: Sequence[Row], values: np.ndarray, least: float) -> None:
    """Print what becomes of the questions of one set at a threshold."""
    by_question: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for row, value in zip(rows, values, strict=True):
        by_question.setdefault((row.id, row.kind), []).append((float(value), row.holds))
    area = roc_auc_score([row.holds for row in rows], values)
    print(f"{name}: {len(by_question)} questions, AUC of passages {area:.3f}, answered from {least}")
    for kind in ("answer", "near", "written", "made", "far"):
        told_of = [_verdict(sorted(v, reverse=True), least) for (_, k), v in by_question.items() if k == kind]
        if told_of:
            shares = {verdict: told_of.count(verdict) / len(told_of) for verdict in ("right", "wrong", "declined")}
            print(f"  {kind}, {len(told_of)}:", ", ".join(f"{v} {share:.3f}" for v, share in shares.items()))


def _verdict(passages: Sequence[tuple[float, bool]], least: float) -> str:
    """As `extractor` shows passages: until one of them likely answers."""
    if passages[0][0] < least:
        return "declined"
    missed = 1.0
    for place, (value, holds) in enumerate(passages[: ExtractiveSettings().max_passages]):
        if place and (1 - missed >= ENOUGH or value < TOO_LITTLE):
            break
        if holds:
            return "right"
        missed *= 1 - value
    return "wrong"


def fit(options: argparse.Namespace) -> None:
    """Report, and write with --export."""
    rows, groups = load(options.out), json.loads(WEIGHTS.read_text(encoding="utf-8"))["groups"]
    for group, thresholds in THRESHOLDS.items():
        own = [row for row in rows if row.group == group and not (options.alone and row.kind == "made")]
        if len({row.id for row in own}) < LEAST_QUESTIONS:
            print(f"{group}: too few questions, stays as it is")
            continue
        values = left_out(own)
        for name in sorted({row.set for row in own}):
            chosen = [i for i, row in enumerate(own) if row.set == name]
            report(f"{group}, {name}", [own[i] for i in chosen], values[chosen], thresholds["answer"])
        weights = {n: round(v, 4) for n, v in fitted(own).items()}
        groups[group] = {
            **groups[group],
            **({"alone": weights} if options.alone else weights),
            "thresholds": thresholds,
        }
    if options.export:
        about = "Logistic regressions of showing/decision.py, fitted by benchmarks/train_showing.py."
        WEIGHTS.write_text(json.dumps({"about": about, "groups": groups}, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {WEIGHTS}")


def main() -> None:
    """Read a set, or fit what was read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    reading, fitting = steps.add_parser("read"), steps.add_parser("fit")
    reading.add_argument("set", choices=SETS)
    reading.add_argument("--data", type=Path)
    reading.add_argument("--manuals", type=Path, help="folder of the corpora, see manuals_corpus.py")
    reading.add_argument("--index", type=Path, help="kept between runs")
    reading.add_argument("--language", choices=LANGUAGES, help="of manuals, one alone")
    reading.add_argument("--unread", action="store_true", help="no reader: enough for a group that does not weigh it")
    reading.add_argument("--rankers", type=Path, default=FOLDER, help="folder of a Chinese ranker that saw none of it")
    fitting.add_argument(
        "--alone", action="store_true", help="whether a sentence is enough: without the made questions"
    )
    fitting.add_argument("--export", action="store_true", help=f"write {WEIGHTS.name}")
    for step in (reading, fitting):
        step.add_argument("--out", type=Path, required=True, help="folder of the rows")
    options = parser.parse_args()
    if options.step == "fit":
        fit(options)
        return
    answerer = ExtractiveAnswerer(rankers=options.rankers)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / f"{options.set}.jsonl").open("w", encoding="utf-8") as file:
        for asked in SETS[options.set](options):
            rows = read(asked, answerer, reads=not options.unread)
            file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
