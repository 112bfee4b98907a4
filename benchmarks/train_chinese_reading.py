"""Fit when to answer from Chinese manuals whose passages were read with the question (`retrieval/passage_reader`).

    python benchmarks/train_chinese_reading.py --kept FILE --set NAME DATA HALF FOLDER INDEX --set ...
    python benchmarks/train_chinese_reading.py --kept FILE --notes NAME DATA HALF FOLDER INDEX --notes ...
    python benchmarks/train_chinese_reading.py --kept FILE --measure fifth     # reports from what was found already
    python benchmarks/train_chinese_reading.py --kept FILE --measure fifth --export

As `train_chinese_look.py`, for the embedder "bilingual": FOLDER is the corpus of the set DATA, INDEX one of it that is
kept. Of sets named taught only the manuals count that the reader of passages was trained without; the one that is
measured is not fitted to. Figures of the others are of each manual by weights fitted without it. With --notes each
question is put to a few notes of its manual (`manuals/notes.py`), for what is found among few is weighed otherwise.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from manuals.notes import collection
from manuals.questions import Question
from manuals.weights import write_weights
from sklearn.metrics import roc_auc_score
from train_chinese_look import Case, Found, Weights, case_of, find, fitted, holds, is_right, order, probabilities
from train_passage_reader import is_kept_back

from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.extractive.chinese.second_look import (
    PASSAGE_WEIGHTS,
    READ_WEIGHTS,
    ChineseFirstLook,
    ChineseReadLook,
    look_at_chinese,
    passage_look,
    read_look,
)
from pagoda.rag.extractive.extractor import LOOKED_AT_IN_CHINESE, ExtractiveAnswerer, sentences_of
from pagoda.rag.extractive.showing.second_look import PassageLook
from pagoda.rag.pipeline import RAG

NUM_HITS = 5
OF_NOTES, EVERY_NEAR = 20, 2
"""Passages that notes are drawn from; and of near-topic questions one of so many is put to them."""
LEAST = 0.55
"""Probability from which on it is answered: of manuals left out five of six near-topic questions are declined then.
Four of five are aimed at, but each new set had manuals of other kinds, and fewer were declined than before."""
LEASTS = (0.4, 0.45, 0.5, 0.55, 0.6)
PASSAGE = tuple(each.name for each in fields(PassageLook))
READ = tuple(each.name for each in fields(ChineseReadLook))


def found_in(name: str, data: Path, half: str, folder: Path, index: Path) -> Iterator[Found]:
    """Of one set."""
    wanted = is_kept_back if name.startswith("taught") else bool
    yield from find(name, data, half, folder, index, wanted=wanted, embedder="bilingual", num_hits=NUM_HITS)


def found_of_notes(name: str, data: Path, half: str, folder: Path, index: Path) -> Iterator[Found]:
    """Of one set, each question put to a few notes: some with an answer to notes without it, every other near one."""
    known = list(find(name, data, half, folder, index, embedder="bilingual", num_hits=OF_NOTES))
    near = [each for each in known if not each.question.answers]
    embedder = load_embedder("bilingual")
    for each in [one for one in known if one.question.answers] + near[::EVERY_NEAR]:
        own = [hit.chunk for hit in each.hits if hit.source.partition("/")[0] == each.manual]
        drawn = collection(each.question, own, own, partial(_shows, each.question)) if own else None
        if drawn is None:
            continue
        with TemporaryDirectory() as place, RAG(Path(place) / "index", embedder=embedder) as few:
            drawn.write(folder := Path(place) / "notes")
            few.add([folder], root=folder)
            asked = replace(each.question, file=drawn.holds, answers=each.question.answers if drawn.holds else ())
            hits = few.retrieve(asked.question, NUM_HITS)
            kind = "answer" if drawn.holds else "near"
            yield Found(name, each.manual, kind, asked, hits, [holds(asked, hit) for hit in hits])


def _shows(asked: Question, text: str) -> bool:
    return holds(asked, Hit(Chunk("", asked.file, text, 0, len(text), 1), 0.0))


def passages_of(case: Case) -> np.ndarray:
    """[num_passages, len(PASSAGE)]."""
    looks = [passage_look(each.first, each.joint or 0.0) for each in case.passages]
    return np.array([[getattr(each, name) for name in PASSAGE] for each in looks])


def looks(answerer: ExtractiveAnswerer, cases: Sequence[Case], values: Sequence[Sequence[float]]) -> np.ndarray:
    """[num_cases, len(READ)] at the best passage of each."""
    rows = []
    for case, own in zip(cases, values, strict=True):
        best, *others = order(case, own)
        hits, question = case.found.hits, case.found.question.question
        at = case.passages[best].reading.hit_index
        beside = [hits[case.passages[other].reading.hit_index] for other in others]
        read = answerer.read(question, at, hits[at].chunk)
        signs, margin = case.passages[best].signs, read.log_odds if read else 0.0
        known = ChineseFirstLook(case.passages[best].first, margin, signs.names_missing, beside)
        by_words = look_at_chinese(question, hits[at], sentences_of(hits[at].chunk), known)
        told = read_look(by_words, hits[at], beside)
        rows.append([getattr(told, name) for name in READ])
    return np.array(rows)


def by_manual(cases: Sequence[Case]) -> Iterator[tuple[list[int], list[int]]]:
    """(the others, those of a manual)."""
    names = [case.found.manual for case in cases]
    for name in sorted(set(names)):
        yield [at for at, own in enumerate(names) if own != name], [at for at, own in enumerate(names) if own == name]


def report(name: str, cases: Sequence[Case], truth: np.ndarray, chances: np.ndarray, declined: np.ndarray) -> None:
    """Shares by the probability from which on it is answered."""
    kinds = np.array([case.found.kind for case in cases])
    has, near = kinds == "answer", kinds == "near"
    print(f"{name}: {has.sum()} with an answer, {near.sum()} near; AUC {roc_auc_score(truth, chances):.3f}")
    print(f"  what would be shown is right: {truth[has].mean():.3f}")
    for least in LEASTS:
        shown = (chances >= least) & ~declined
        right, wrong = (shown & truth)[has].mean(), (shown & ~truth)[has].mean()
        print(f"  from {least:.2f}: right {right:.3f}, wrong {wrong:.3f}, near declined {1 - shown[near].mean():.3f}")


def fit(found: Sequence[Found], measured: str, export: bool) -> None:
    """Report, and write with `export`."""
    answerer = ExtractiveAnswerer()
    cases = [case for case in (case_of(answerer, each) for each in found) if _is_manual(case)]
    own = [case for case in cases if case.found.set != measured]
    rows = np.concatenate([passages_of(case) for case in own])
    holds = [truth for case in own for truth in case.holds]
    first = fitted(PASSAGE, rows, holds, [1.0] * len(holds))
    values = [probabilities(first, PASSAGE, passages_of(case)) for case in cases]
    truth = np.array([c.found.kind == "answer" and is_right(c, v) for c, v in zip(cases, values, strict=True)])
    declined = np.array([c.declined[order(c, v)[0]] for c, v in zip(cases, values, strict=True)])
    seen = looks(answerer, cases, values)
    is_own = np.array([case.found.set != measured for case in cases])
    second = fitted(READ, seen[is_own], truth[is_own].tolist(), [1.0] * is_own.sum())
    chances = np.array(probabilities(second, READ, seen))
    places = np.flatnonzero(is_own)
    for others, left in by_manual(own):
        weights = fitted(READ, seen[places[others]], truth[places[others]].tolist(), [1.0] * len(others))
        chances[places[left]] = probabilities(weights, READ, seen[places[left]])
    for name in [*sorted({case.found.set for case in cases}), ""]:
        rows_of = [at for at, c in enumerate(cases) if c.found.set == name or (not name and c.found.set != measured)]
        report(
            name or "all but the measured",
            [cases[at] for at in rows_of],
            truth[rows_of],
            chances[rows_of],
            declined[rows_of],
        )
    print({name: round(value, 3) for name, value in {**first, **second}.items()})
    if export:
        write(first, second)


def _is_manual(case: Case) -> bool:
    return bool(case.passages) and case.passages[0].group == LOOKED_AT_IN_CHINESE


def write(first: Weights, second: Weights) -> None:
    """Both files of the package."""
    about = "Logistic regression of chinese/second_look.py, fitted by benchmarks/train_chinese_reading.py."
    # What orders passages decides nothing, so that it has no least.
    write_weights(PASSAGE_WEIGHTS, about, first)
    write_weights(READ_WEIGHTS, about, second, least=LEAST)


def main() -> None:
    """Find what is named, and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, required=True, help="file of what was found")
    parser.add_argument("--set", nargs=5, action="append", metavar=("NAME", "DATA", "HALF", "FOLDER", "INDEX"))
    parser.add_argument("--notes", nargs=5, action="append", metavar=("NAME", "DATA", "HALF", "FOLDER", "INDEX"))
    parser.add_argument("--measure", default="fifth", help="name of the set that is not fitted to")
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args()
    found: list[Found] = pickle.loads(options.kept.read_bytes()) if options.kept.is_file() else []
    for finding, sets in ((found_in, options.set), (found_of_notes, options.notes)):
        for name, data, half, folder, index in sets or []:
            found = [each for each in found if each.set != name]
            found += finding(name, Path(data), half, Path(folder), Path(index))
            options.kept.write_bytes(pickle.dumps(found))
    if found:
        fit(found, options.measure, options.export)


if __name__ == "__main__":
    main()
