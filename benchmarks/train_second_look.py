"""Fit the second look at the passage of an English manual that is to be shown, and report it on manuals left out.

    python benchmarks/train_second_look.py read SET --manuals FOLDER --index INDEX --out ROWS [--data DATA --half HALF]
    python benchmarks/train_second_look.py fit --out ROWS [--export]

`read` asks every English question of a set that may be looked at and writes a line for each: what is known of every
passage that was found, what the second look sees of the one that would be shown (`english/second_look.py`), and whether
what would be shown is right. The joint reader must not have been trained on the set (--joint names the file of one that
was not), or its numbers are surer than they will be. SET is a name for it; DATA the folder of its questions, by default
`data/manuals`, of which both halves are read, and near.en.jsonl where it has one; FOLDER the one that
`manuals_corpus.py` made, INDEX is kept between runs. A set that is split by manual is read half by half, each with a
FOLDER, an INDEX and a SET of its own. `--part 0 --of 2` reads every second question. `--notes` puts each to a few
notes out of its manual instead of to the manuals (`manuals/notes.py`), with what answers in four of five.

`fit` fits two logistic regressions, how likely each passage is to answer, by which they are ordered, and how likely
what is shown of the best, and reports each manual by weights that were fitted to the others: of the questions with an
answer how many are right and wrong, of near-topic ones how many are declined, for several shares of right answers. With
--export it fits to all and writes `rag/extractive/data/second_look_en.json`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from manuals.judging import Shown, judged
from manuals.notes import collection
from manuals.questions import Half, Question, questions
from manuals.sources import DATA
from manuals.weights import write_weights
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pagoda.rag.answer import Citation
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.extractive.english.joint_reader import WEIGHTS as JOINT
from pagoda.rag.extractive.english.second_look import PASSAGE_WEIGHTS, WEIGHTS, Look, look_at
from pagoda.rag.extractive.extraction import Extraction
from pagoda.rag.extractive.extractor import (
    Examined,
    ExtractiveAnswerer,
    ExtractiveSettings,
    SpanReading,
    first_look,
    sentences_of,
)
from pagoda.rag.extractive.showing.coverage import Coverage
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.second_look import bounded, is_of_few
from pagoda.rag.pipeline import RAG

NUM_HITS = 8
WORTH = {"written": 0.5}
"""Of the questions without an answer that were written to fit by; what people ask has fewer of them."""
EVERY_NEAR = 2
"""Of near-topic questions one of so many is put to a few notes; it counts for all of them."""
STRENGTH = 0.1
"""Inverse of the regularisation."""
SHARES = (0.30, 0.40, 0.50, 0.60, 0.70, 0.75)
LEAST = 0.53
"""Probability from which on it is answered."""


@dataclass(frozen=True)
class Row:
    """One question. kind: answer, near or written; holds: whether what would be shown is right.

    declined: it is declined whatever the second look says; look: None where none is taken, and it is answered
    passages: log-odds of the first look, of the joint reader, and whether it holds an answer, of each that was found
    few: 1 where so few were found that none stands out
    """

    set: str
    id: str
    manual: str
    kind: str
    holds: bool
    declined: bool
    look: dict[str, float] | None
    passages: list[tuple[float, float, bool]]
    few: float


class Overseen(ExtractiveAnswerer):
    """Answers whatever it is sure of, and keeps the order in which the passages of the last question were ranked."""

    def __init__(self, joint: Path) -> None:
        super().__init__(ExtractiveSettings(min_confidence=0.0), joint=joint)
        self.last: list[Examined] = []

    def ranked(self, question: str, readings: Sequence[SpanReading], coverage: Coverage) -> list[Examined]:
        """As it is done, and kept."""
        self.last = super().ranked(question, readings, coverage)
        return list(self.last)


def asked_of(data: Path, halves: Sequence[Half]) -> list[tuple[str, Question]]:
    """(kind, question) of a set: those with an answer, near-topic ones, and those that were written to fit by."""
    found = [("answer" if each.answers else "near", each) for half in halves for each in questions(half, "en", data)]
    found = [(kind, each) for kind, each in found if each.answers or each.kind.endswith("near")]
    if (data / "near.en.jsonl").is_file():
        found += [("written", each) for each in questions("near", "en", data)]
    return found


def rows(name: str, asked: Sequence[tuple[str, Question]], rag: RAG, joint: Path) -> Iterator[Row]:
    """Of these questions."""
    found = rag.retrieve_batch([each.question for _, each in asked], NUM_HITS)
    always = Overseen(joint)
    for (kind, each), hits in zip(asked, found, strict=True):
        yield row_of(name, kind, manual_of(kind, each), each, hits, always)


def rows_of_notes(name: str, asked: Sequence[tuple[str, Question]], rag: RAG, joint: Path) -> Iterator[Row]:
    """Of these questions, each put to a few notes of its manual, with what answers or without."""
    near = {each.id for _, each in [one for one in asked if not one[1].answers][::EVERY_NEAR]}
    asked = [(kind, each) for kind, each in asked if each.answers or each.id in near]
    found = rag.retrieve_batch([each.question for _, each in asked], NUM_HITS)
    always = Overseen(joint)
    chunks, embedder = rag._index.snapshot().chunks, load_embedder()
    for (kind, each), hits in zip(asked, found, strict=True):
        manual = manual_of(kind, each)
        own = [chunk for chunk in chunks if chunk.source.partition("/")[0] == manual]
        drawn = collection(each, own, [hit.chunk for hit in hits], partial(shows, each))
        if drawn is None:
            continue
        with TemporaryDirectory() as place, RAG(Path(place) / "index", embedder=embedder) as few:
            drawn.write(folder := Path(place) / "notes")
            few.add([folder], root=folder)
            # An answer of three characters counts in its own file alone.
            told = replace(each, file=drawn.holds) if drawn.holds else replace(each, answers=(), file="")
            there = few.retrieve(each.question, NUM_HITS)
            yield row_of(name, kind if drawn.holds else "near", manual, told, there, always)


def row_of(name: str, kind: str, manual: str, asked: Question, hits: Sequence[Hit], always: Overseen) -> Row:
    """Of one question and what was found for it."""
    always.last = []
    shown = always.answer(asked.question, hits)
    is_right = bool(asked.answers) and judged(asked, _shown(shown, hits)).grade == "right"
    ranked, look = always.last, None
    if ranked and ranked[0].joint is not None:
        hit = hits[ranked[0].reading.hit_index]
        look = asdict(look_at(asked.question, hit, sentences_of(hit.chunk), first_look(asked.question, ranked, hits)))
    passages = [
        (log_odds(one.first), one.joint, holds(asked, hits[one.reading.hit_index]))
        for one in ranked
        if one.joint is not None
    ]
    few = float(any(is_of_few(hit) for hit in hits))
    return Row(name, asked.id, manual, kind, is_right, shown.abstained, look, passages, few)


def shows(asked: Question, text: str) -> bool:
    """Whether a text of its own file shows what is asked."""
    cited = Citation.of_span(1, Chunk("", asked.file, text, 0, len(text), 1), 0, len(text), 0.0)
    return bool(asked.answers) and judged(asked, Shown("", [cited], False)).grade == "right"


def holds(asked: Question, hit: Hit) -> bool:
    """Whether a passage shows what is asked."""
    cited = Citation.of_span(1, hit.chunk, hit.chunk.start, hit.chunk.end, hit.score)
    return bool(asked.answers) and judged(asked, Shown("", [cited], False)).grade == "right"


def manual_of(kind: str, asked: Question) -> str:
    """By its file; a question without an answer by its name, MANUAL-LANGUAGE-NUMBER in the sets that tell it."""
    return asked.file.partition("/")[0] or (asked.id.rsplit("-", 2)[0] if asked.id.count("-") > 1 else kind)


def _shown(extraction: Extraction, hits: Sequence[Hit]) -> Shown:
    cited = [
        Citation.of_span(number, place.chunk, *place.quote, hits[place.hit_index].score)
        for number, place in enumerate(extraction.places, 1)
    ]
    return Shown("", cited, False)


def load(folder: Path) -> list[Row]:
    """What was read so far."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [Row(**json.loads(line)) for line in lines]


NAMES = tuple(each.name for each in fields(Look))
Weights = dict[str, float]


def fitted(some: Sequence[Row]) -> Weights:
    """Weights of a look's numbers, in their own units, with a bias."""
    told = [(row, row.look) for row in some if row.look is not None]
    features = np.array([[look[name] for name in NAMES] for _, look in told])
    truth = np.array([row.kind == "answer" and row.holds for row, _ in told])
    return _logistic(NAMES, features, truth, [worth(row) for row, _ in told])


def worth(row: Row) -> float:
    """What a row counts in a fit; of few notes those without an answer also for the questions that were left out."""
    return float(EVERY_NEAR) if row.few and row.kind == "near" else WORTH.get(row.kind, 1.0)


def fitted_to_passages(some: Sequence[Row]) -> Weights:
    """Weights of the first look and the joint reader, with a bias, of every passage that was found."""
    told = [(row, first, joint, holds) for row in some for first, joint, holds in row.passages]
    features = np.array([[first, bounded(joint), row.few] for row, first, joint, _ in told])
    truth = np.array([holds for *_, holds in told])
    return _logistic(("first", "joint", "few"), features, truth, [worth(row) for row, *_ in told])


def _logistic(names: Sequence[str], features: np.ndarray, truth: np.ndarray, worth: Sequence[float]) -> Weights:
    middle, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    model: Any = LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit((features - middle) / scale, truth, sample_weight=worth)
    weights = model.coef_[0] / scale
    return {**dict(zip(names, weights.tolist(), strict=True)), "bias": float(model.intercept_[0] - weights @ middle)}


def probability(weights: Weights, row: Row) -> float:
    """As it is decided: 0 for what is declined anyway, 1 where no second look is taken."""
    if row.declined:
        return 0.0
    if row.look is None:
        return 1.0
    return 1 / (1 + math.exp(-sum(weights[name] * row.look[name] for name in NAMES) - weights["bias"]))


def left_out(some: Sequence[Row]) -> list[float]:
    """Probabilities by weights that were fitted to the other manuals."""
    by_manual = {
        manual: fitted([row for row in some if row.manual != manual]) for manual in {row.manual for row in some}
    }
    return [probability(by_manual[row.manual], row) for row in some]


def report(name: str, some: Sequence[Row], values: Sequence[float]) -> None:
    """Print what is declined where so many are answered right."""
    answer = [(value, row) for value, row in zip(values, some, strict=True) if row.kind == "answer"]
    near = {
        kind: [value for value, row in zip(values, some, strict=True) if row.kind == kind]
        for kind in ("near", "written")
    }
    counted = [(value, row.kind == "answer" and row.holds) for value, row in zip(values, some, strict=True)]
    area = roc_auc_score([is_right for _, is_right in counted], [value for value, _ in counted])
    print(f"{name}: {len(answer)} with an answer, {len(near['near'])} near-topic, AUC {area:.3f}")
    right = sorted((value for value, row in answer if row.holds), reverse=True)
    print(f"  {_line(LEAST, answer, near)}")
    for share in SHARES:
        place = math.ceil(share * len(answer)) - 1
        if place < len(right):
            print(f"  {_line(right[place], answer, near)}")


def _line(least: float, answer: Sequence[tuple[float, Row]], near: dict[str, list[float]]) -> str:
    right = sum(value >= least and row.holds for value, row in answer) / len(answer)
    wrong = sum(value >= least and not row.holds for value, row in answer) / len(answer)
    declined = ", ".join(
        f"{kind} declined {sum(value < least for value in values) / len(values):.3f} of {len(values)}"
        for kind, values in near.items()
        if values
    )
    return f"from {least:.3f}: right {right:.3f}, wrong {wrong:.3f}, {declined}"


def fit(options: argparse.Namespace) -> None:
    """Report, and write with --export."""
    some = load(options.out)
    values = left_out(some)
    for name in [*sorted({row.set for row in some}), None]:
        chosen = [at for at, row in enumerate(some) if name in (None, row.set)]
        report(name or "all sets", [some[at] for at in chosen], [values[at] for at in chosen])
    if options.export:
        about = "Logistic regression of english/second_look.py, fitted by benchmarks/train_second_look.py."
        write_weights(WEIGHTS, about, fitted(some), least=LEAST)
        write_weights(PASSAGE_WEIGHTS, about, fitted_to_passages(some))


def read(options: argparse.Namespace) -> None:
    """Write the rows of a set, or of a part of it."""
    corpus = options.manuals / "corpus" / "en"
    options.out.mkdir(parents=True, exist_ok=True)
    asked = asked_of(options.data, options.half)[options.part :: options.of]
    with RAG(options.index) as rag:
        rag.add([corpus], root=corpus)
        with (options.out / f"{options.set}-{options.part}.jsonl").open("w", encoding="utf-8") as file:
            told = rows_of_notes if options.notes else rows
            for row in told(options.set, asked, rag, options.joint):
                print(json.dumps(asdict(row)), file=file, flush=True)


def main() -> None:
    """Read a set, or fit what was read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    reading, fitting = steps.add_parser("read"), steps.add_parser("fit")
    reading.add_argument("set")
    reading.add_argument("--manuals", type=Path, required=True, help="folder of the corpus, see manuals_corpus.py")
    reading.add_argument("--data", type=Path, default=DATA, help="folder of the questions")
    reading.add_argument("--half", nargs="+", choices=["develop", "report"], default=["develop", "report"])
    reading.add_argument("--index", type=Path, required=True, help="kept between runs")
    reading.add_argument("--joint", type=Path, default=JOINT, help="a joint reader that was not trained on the set")
    reading.add_argument("--notes", action="store_true", help="put to a few notes of its manual")
    reading.add_argument("--part", type=int, default=0)
    reading.add_argument("--of", type=int, default=1)
    fitting.add_argument("--export", action="store_true")
    for each in (reading, fitting):
        each.add_argument("--out", type=Path, required=True, help="folder of what was read")
    options = parser.parse_args()
    read(options) if options.step == "read" else fit(options)


if __name__ == "__main__":
    main()
