"""Fit whether to answer from Chinese manuals: the first look at all passages, the second at the one to be shown.

    python benchmarks/train_chinese_look.py --out FOUND --manuals OLD INDEX --develop NEAR INDEX --report NEAR INDEX \\
        --kept KEPT INDEX
    python benchmarks/train_chinese_look.py --out FOUND             # reports from what was found already
    python benchmarks/train_chinese_look.py --out FOUND --export    # second_look_zh.json, zh-manual of showing.json

OLD is the folder of the corpus of `data/manuals`, NEAR those of the halves of `data/manuals_near`, KEPT that of
`data/manuals_kept` (`manuals_corpus.py`), each with an index that is kept. All questions of the three sets are used,
also of the halves `report`, which count as seen since: figures are of each manual by weights fitted without it. The
first look weighs no reader, so that passages are skimmed; the second has the reader's log-odds. Questions without an
answer that were written to fit by (`near.zh.jsonl`) count half.
"""

from __future__ import annotations

import argparse
import json
import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from manuals.judging import Shown, judged
from manuals.questions import Question, questions
from manuals.sources import DATA
from manuals.weights import write_weights
from sklearn.linear_model import LogisticRegression

from pagoda.rag.answer import Citation
from pagoda.rag.documents.document import Hit
from pagoda.rag.extractive.chinese.second_look import (
    CHINESE_WEIGHTS,
    ChineseFirstLook,
    ChineseLook,
    look_at_chinese,
)
from pagoda.rag.extractive.extractor import (
    ENOUGH,
    LOOKED_AT_IN_CHINESE,
    TOO_LITTLE,
    Examined,
    ExtractiveAnswerer,
    ExtractiveSettings,
    coverage_of,
    examined,
    sentences_of,
    skimmed,
)
from pagoda.rag.extractive.showing.attributes import lacks_value
from pagoda.rag.extractive.showing.decision import OF_READER, WEIGHTS, Signs
from pagoda.rag.pipeline import RAG

NUM_HITS = 12
WORTH = {"written": 0.5}
STRENGTH = 0.1
"""Inverse of the regularisation, of both: half of it changes little."""
LEAST = 0.39
"""Probability from which on it is answered: of manuals left out, four of five are answered right, and four of five
near-topic questions declined."""
SHARES = (0.75, 0.78, 0.80, 0.81, 0.82, 0.83)
SIGNS = tuple(name for name in Signs.__dataclass_fields__ if name not in OF_READER)
LOOKS = tuple(each.name for each in fields(ChineseLook))
Weights = dict[str, float]


@dataclass(frozen=True)
class Found:
    """A question with its hits, and which of them hold the answer. kind: answer, near, far or written."""

    set: str
    manual: str
    kind: str
    question: Question
    hits: list[Hit]
    holds: list[bool]


@dataclass(frozen=True)
class Case:
    """A question as the first look has it. declined: of each passage, whether nothing is said where it is the best."""

    found: Found
    passages: list[Examined]
    declined: list[bool]

    @property
    def holds(self) -> list[bool]:
        return [self.found.holds[each.reading.hit_index] for each in self.passages]


def find(
    name: str,
    data: Path,
    half: str,
    folder: Path,
    index: Path,
    *,
    wanted: Callable[[str], bool] = bool,
    embedder: str | None = None,
    num_hits: int = NUM_HITS,
) -> Iterator[Found]:
    """Of one half of a set. wanted: of a manual, whether its questions are; embedder: of the index"""
    asked = [(_kind(each), each) for each in questions(half, "zh", data)]  # type: ignore[arg-type]
    if half == "develop" and (data / "near.zh.jsonl").is_file():
        asked += [("written", each) for each in questions("near", "zh", data)]
    asked = [(kind, each) for kind, each in asked if wanted(_manual(kind, each))]
    corpus = folder / "corpus" / "zh"
    with RAG(index / "zh", embedder=embedder) as rag:
        rag.add([corpus], root=corpus)
        for (kind, each), hits in zip(
            asked, rag.retrieve_batch([each.question for _, each in asked], num_hits), strict=True
        ):
            yield Found(name, _manual(kind, each), kind, each, list(hits), [holds(each, hit) for hit in hits])


def _manual(kind: str, asked: Question) -> str:
    """By its file; of a question without an answer by its name, or with others of its kind."""
    return asked.file.partition("/")[0] or (asked.id.rsplit("-", 2)[0] if asked.id.count("-") > 1 else kind)


def _kind(asked: Question) -> str:
    return "answer" if asked.answers else asked.kind.split()[-1]


def holds(asked: Question, hit: Hit) -> bool:
    """Whether an answer stands in a passage."""
    whole = Citation.of_span(1, hit.chunk, hit.chunk.start, hit.chunk.end, hit.score)
    return bool(asked.answers) and judged(asked, Shown("", [whole], False)).grade == "right"


def case_of(answerer: ExtractiveAnswerer, found: Found) -> Case:
    """What the first look sees."""
    question, hits = found.question.question, answerer.read_hits(found.question.question, found.hits)
    coverage = coverage_of(question, hits)
    skims = [each for at in range(len(hits)) if (each := skimmed(question, coverage, at)) is not None]
    passages = examined(question, hits, skims, coverage)
    told = [hits[each.reading.hit_index].chunk for each in passages]
    lacks = [coverage.lacks_identifier() or lacks_value(question, [chunk.heading + chunk.text]) for chunk in told]
    return Case(found, passages, lacks)


def order(case: Case, values: Sequence[float]) -> list[int]:
    """Of its passages, as `extractor` shows them."""
    return sorted(range(len(values)), key=lambda at: (case.passages[at].is_contrary, -values[at]))


def is_right(case: Case, values: Sequence[float]) -> bool:
    """Whether what would be shown holds the answer: passages until one of them likely answers."""
    missed, holds = 1.0, case.holds
    for place, at in enumerate(order(case, values)[: ExtractiveSettings().max_passages]):
        if place and (1 - missed >= ENOUGH or values[at] < TOO_LITTLE):
            return False
        if holds[at]:
            return True
        missed *= 1 - values[at]
    return False


def fitted(names: Sequence[str], rows: np.ndarray, truth: Sequence[bool], worth: Sequence[float]) -> Weights:
    """Weights in the numbers' own units, with a bias."""
    middle, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    model: Any = LogisticRegression(C=STRENGTH, max_iter=2000)
    model.fit((rows - middle) / scale, np.array(truth), sample_weight=list(worth))
    weights = model.coef_[0] / scale
    bias = float(model.intercept_[0] - weights @ middle)
    return {**dict(zip(names, map(float, weights), strict=True)), "bias": bias}


def probabilities(weights: Weights, names: Sequence[str], rows: np.ndarray) -> list[float]:
    """Of each row."""
    logits = rows @ [weights[name] for name in names] + weights["bias"]
    return [float(value) for value in 1 / (1 + np.exp(-logits))]


def signs_of(case: Case) -> np.ndarray:
    """[num_passages, num_signs]."""
    return np.array([[getattr(each.signs, name) for name in SIGNS] for each in case.passages])


def first_look(cases: Sequence[Case]) -> Weights:
    """Which passages hold an answer."""
    worth = [WORTH.get(case.found.kind, 1.0) for case in cases for _ in case.passages]
    truth = [holds for case in cases for holds in case.holds]
    return fitted(SIGNS, np.concatenate([signs_of(case) for case in cases]), truth, worth)


def fold_of(case: Case) -> str:
    """Its manual; of questions that are on none, a fifth of them."""
    is_nowhere = case.found.manual in ("far", "written")
    return f"{zlib.crc32(case.found.question.id.encode()) % 5}" if is_nowhere else case.found.manual


def by_fold(cases: Sequence[Case]) -> Iterator[tuple[list[int], list[int]]]:
    """(the others, those of a fold)."""
    folds = [fold_of(case) for case in cases]
    for fold in sorted(set(folds)):
        yield (
            [at for at, own in enumerate(folds) if own != fold],
            [at for at, own in enumerate(folds) if own == fold],
        )


def looks(answerer: ExtractiveAnswerer, cases: Sequence[Case], values: Sequence[Sequence[float]]) -> np.ndarray:
    """[num_cases, num_looks] at the best passage of each."""
    rows = []
    for case, own in zip(cases, values, strict=True):
        best, *others = order(case, own)
        at, question = case.passages[best].reading.hit_index, case.found.question.question
        hit, hits = case.found.hits[at], case.found.hits
        read = answerer.read(question, at, hit.chunk)
        known = ChineseFirstLook(
            own[best],
            read.log_odds if read else 0.0,
            case.passages[best].signs.names_missing,
            [hits[case.passages[other].reading.hit_index] for other in others],
        )
        look = look_at_chinese(question, hit, sentences_of(hit.chunk), known)
        rows.append([getattr(look, name) for name in LOOKS])
    return np.array(rows)


def report(cases: Sequence[Case], firsts: Sequence[Sequence[float]], seconds: Sequence[float]) -> None:
    """Print what becomes of the questions of both sets, where so many are answered right, and from LEAST on."""
    names = sorted({case.found.set for case in cases})
    for name in [*names, *sorted({each.split("/")[0] for each in names}), ""]:
        chosen = [at for at, case in enumerate(cases) if case.found.set.startswith(name)]
        right = sorted(
            (
                seconds[at]
                for at in chosen
                if cases[at].found.kind == "answer"
                and is_right(cases[at], firsts[at])
                and not _declined(cases[at], firsts[at])
            ),
            reverse=True,
        )
        asked = sum(cases[at].found.kind == "answer" for at in chosen)
        places = [int(np.ceil(share * asked)) - 1 for share in SHARES]
        for least in [LEAST, *(right[place] for place in places if place < len(right))]:
            told: Counter[tuple[str, str]] = Counter()
            for at in chosen:
                is_declined = seconds[at] < least or _declined(cases[at], firsts[at])
                verdict = "declined" if is_declined else "right" if is_right(cases[at], firsts[at]) else "wrong"
                told[cases[at].found.kind, verdict] += 1
            print(f"{name or 'all'}, from {least:.3f}: {_shares(told)}")


def _declined(case: Case, values: Sequence[float]) -> bool:
    return case.declined[order(case, values)[0]]


def _shares(told: Counter[tuple[str, str]]) -> str:
    parts = []
    for kind in ("answer", "near", "far", "written"):
        asked = sum(number for (own, _), number in told.items() if own == kind)
        verdicts = ("right", "wrong") if kind == "answer" else ("declined",)
        if asked:
            parts.append(f"{kind} {asked}: " + ", ".join(f"{v} {told[kind, v] / asked:.3f}" for v in verdicts))
    return "; ".join(parts)


def fit(some: Sequence[Found], export: bool) -> None:
    """Report, and write with `export`."""
    answerer = ExtractiveAnswerer()
    found = [case_of(answerer, each) for each in some]
    cases = [case for case in found if case.passages and case.passages[0].group.startswith("zh")]
    firsts: list[list[float]] = [[] for _ in cases]
    for others, own in by_fold(cases):
        weights = first_look([cases[at] for at in others])
        for at in own:
            firsts[at] = probabilities(weights, SIGNS, signs_of(cases[at]))
    rows = looks(answerer, cases, firsts)
    truth = [case.found.kind == "answer" and is_right(case, own) for case, own in zip(cases, firsts, strict=True)]
    worth = [WORTH.get(case.found.kind, 1.0) for case in cases]
    seconds = [0.0] * len(cases)
    for others, own in by_fold(cases):
        weights = fitted(LOOKS, rows[others], [truth[at] for at in others], [worth[at] for at in others])
        for at, value in zip(own, probabilities(weights, LOOKS, rows[own]), strict=True):
            seconds[at] = value
    report(cases, firsts, seconds)
    second = fitted(LOOKS, rows, truth, worth)
    print({name: round(value, 3) for name, value in second.items()})
    if export:
        write(first_look(cases), second)


def write(first: Weights, second: Weights) -> None:
    """Both files of the package."""
    told = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    group = told["groups"][LOOKED_AT_IN_CHINESE]
    told["groups"][LOOKED_AT_IN_CHINESE] = {
        **group,
        **dict.fromkeys(OF_READER, 0.0),
        **{name: round(value, 4) for name, value in first.items()},
    }
    WEIGHTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {WEIGHTS}")
    about = "Logistic regression of chinese/second_look.py, fitted by benchmarks/train_chinese_look.py."
    write_weights(CHINESE_WEIGHTS, about, second, least=LEAST)


def main() -> None:
    """Find what is not found yet, and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of what was found")
    parser.add_argument("--export", action="store_true")
    for name in ("--manuals", "--develop", "--report", "--kept"):
        parser.add_argument(name, type=Path, nargs=2, metavar=("FOLDER", "INDEX"))
    options = parser.parse_args()
    near = DATA.with_name("manuals_near")
    sets = [
        ("manuals/develop", DATA, "develop", options.manuals),
        ("manuals/report", DATA, "report", options.manuals),
        ("near/develop", near, "develop", options.develop),
        ("near/report", near, "report", options.report),
        ("kept/report", DATA.with_name("manuals_kept"), "report", options.kept),
    ]
    if all(given for *_, given in sets):
        found = [each for name, data, half, given in sets for each in find(name, data, half, *given)]
        options.out.write_bytes(pickle.dumps(found))
    fit(pickle.loads(options.out.read_bytes()), options.export)


if __name__ == "__main__":
    main()
