"""Fit how a question's words must stand in a passage of prose for it to answer, and report SQuAD 2.0 end to end.

    python benchmarks/train_alignment.py --data DEV_FOLDER --out ROWS             # reports
    python benchmarks/train_alignment.py --data DEV_FOLDER --out ROWS --export    # writes data/alignment_en.npz

Words and alignment (`english/alignment.py`) are weighed by SQuAD 2.0's questions on their own paragraphs: reported on
each article by weights fitted to the others, shipped from all. They take the place of the words alone
(`train_answerable.py`), at the weight that these have beside the reader. End to end, questions of the articles that
`reader_en.npz` had not seen are asked of all paragraphs, by words and by alignment that had not seen these articles
either; F1 and EM are of the words that are marked, an abstention counted as wrong. ROWS keeps what was read, a line a
question in random order, so that a run that was stopped goes on. SQuAD is CC BY-SA 4.0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import train_reader
import train_showing
from rag_generated import ARTICLES
from sklearn.metrics import roc_auc_score
from train_answerable import applied, fitted

from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.english.alignment import WEIGHTS, Aligned, aligned_features
from pagoda.rag.extractive.english.answerable import Answerable, feature_names, load_answerable
from pagoda.rag.extractive.extractor import ALIGNED, ExtractiveAnswerer, SpanReading, examined, sentences_of
from pagoda.rag.extractive.showing.decision import load_decision, reader_sign
from pagoda.rag.extractive.spans import sentence_bounds

UNSEEN = ARTICLES["dev"] | ARTICLES["kept"]
STRENGTH = 0.02
"""Inverse of the regularisation; a quarter and five times as much change no figure by more than .003."""
WRONGLY = 0.15
"""At the threshold where so many of the questions with an answer are declined, the others are reported as well."""


@dataclass(frozen=True)
class Pairs:
    """SQuAD 2.0's questions on their own paragraphs. features: [n, num_features]; truth: [n], whether it answers."""

    titles: np.ndarray
    truth: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Row:
    """A question asked of all paragraphs, and the passage that is shown for it.

    words, aligned: probability that it answers, by words alone and by alignment; em, f1: of the words that are marked
    """

    id: str
    title: str
    answerable: bool
    group: str
    words: float
    aligned: float
    em: float
    f1: float


def pairs_of(data: Path) -> Pairs:
    """All of the set, in its order."""
    asked = [question for question in train_reader.load(data) if question.source == "squad20"]
    features = [aligned_features(q.question, q.context, sentence_bounds(q.context)) for q in asked]
    titles, truth = np.array([q.title for q in asked]), np.array([bool(q.answers) for q in asked])
    return Pairs(titles, truth, np.array(features))


def weights_of(pairs: Pairs, rows: np.ndarray) -> tuple[Answerable, Aligned]:
    """By words alone and with alignment, from some of the pairs, at the weight that the shipped words have."""
    shipped, num_words = load_answerable(), len(feature_names())
    all_words = fitted(pairs.features[:, :num_words], pairs.truth, STRENGTH)
    weight = float(shipped.told[:-1] @ all_words[:-1] / (all_words[:-1] @ all_words[:-1]))
    bias = shipped.told[-1] - weight * all_words[-1]
    told = []
    for features in (pairs.features[:, :num_words], pairs.features):
        found = weight * fitted(features[rows], pairs.truth[rows], STRENGTH)
        told.append(np.append(found[:-1], found[-1] + bias))
    return replace(shipped, told=told[0]), Aligned(told[1])


def report_articles(pairs: Pairs) -> None:
    """Print how well each article's questions are told apart by what was fitted to the others."""
    num_words = len(feature_names())
    unseen = np.isin(pairs.titles, sorted(UNSEEN))
    for name, features in (("words", pairs.features[:, :num_words]), ("words and alignment", pairs.features)):
        found = np.zeros(len(pairs.truth))
        for title in np.unique(pairs.titles):
            inside = pairs.titles == title
            found[inside] = applied(fitted(features[~inside], pairs.truth[~inside], STRENGTH), features[inside])
        for where, rows in (("all articles", unseen | True), ("the reader's unseen", unseen), ("others", ~unseen)):
            area = roc_auc_score(pairs.truth[rows], found[rows])
            print(f"{name}, {where}: AUC {area:.3f} of {rows.sum()} questions", flush=True)


def asked_of_all(data: Path, known: set[str], words: Answerable, aligned: Aligned) -> Iterator[Row]:
    """The questions of the unseen articles that are not known yet, by weights that have not seen them."""
    answerer, questions = ExtractiveAnswerer(), {}
    for row in train_showing.rows_of(data, "squad20"):
        questions.update({qa["id"]: (row["title"], qa["answers"]) for qa in row["qas"]})
    for asked in train_showing.squad(argparse.Namespace(data=data)):
        if asked.id not in known:
            title, answers = questions[asked.id]
            readings = answerer.readings(asked.question, asked.hits)
            read = replace(asked, hits=answerer.read_hits(asked.question, asked.hits))
            yield row_of(read, title, answers if asked.kind == "answer" else [], readings, words, aligned)


def row_of(
    asked: train_showing.Asked,
    title: str,
    answers: Sequence[str],
    readings: Sequence[SpanReading],
    words: Answerable,
    aligned: Aligned,
) -> Row:
    """One question with the hits that were read, decided anew by both."""
    hits, decided = asked.hits, []
    for read in readings:
        chunk = hits[read.hit_index].chunk
        told = [chunk.text[left:right] for left, right in sentences_of(chunk)]
        decided.append(replace(read, log_odds=words.log_odds(asked.question, told, read.by_margin)))
    best = max(examined(asked.question, hits, decided), key=lambda each: each.probability)
    read, chunk = best.reading, hits[best.reading.hit_index].chunk
    by_alignment = read.log_odds
    if best.group == ALIGNED:
        by_alignment = aligned.log_odds(asked.question, chunk.text, sentences_of(chunk), read.by_margin)
    again = replace(best, signs=replace(best.signs, reader=reader_sign(by_alignment)))
    shown = chunk.text[read.start : read.end]
    em, f1 = metrics.scores(shown, answers, chinese=False) if answers else (0.0, 0.0)
    return Row(asked.id, title, bool(answers), best.group, best.probability, again.probability, em, f1)


def report(name: str, rows: Sequence[Row], values: np.ndarray, least: float) -> None:
    """Print what becomes of the questions where one is answered from `least` above the threshold on."""
    answerable = np.array([row.answerable for row in rows])
    shown = values >= least
    em, f1 = (np.mean([s * value for s, value, a in zip(shown, found, answerable, strict=True) if a])
              for found in ([row.em for row in rows], [row.f1 for row in rows]))  # fmt: skip
    wrongly, rightly = (~shown[answerable]).mean(), (~shown[~answerable]).mean()
    area = roc_auc_score(answerable, values)
    print(
        f"{name}, {answerable.sum()} + {(~answerable).sum()} questions, from {least:+.2f}: F1 {f1:.3f} EM {em:.3f}, "
        f"wrongly declined {wrongly:.3f}, impossible declined {rightly:.3f}; AUC {area:.3f}",
        flush=True,
    )


def report_end_to_end(rows: Sequence[Row]) -> None:
    """Print the decision by words and by alignment, from each group's threshold and at WRONGLY."""
    thresholds = load_decision().thresholds
    answerable = np.array([row.answerable for row in rows])
    for name in ("words", "aligned"):
        above = np.array([getattr(row, name) - thresholds[row.group].answer for row in rows])
        report(name, rows, above, 0.0)
        report(name, rows, above, float(np.quantile(above[answerable], WRONGLY)))


def main() -> None:
    """Read what was not read yet, report, and write with --export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file of the rows")
    parser.add_argument("--export", action="store_true", help=f"write {WEIGHTS.name}")
    args = parser.parse_args()
    pairs = pairs_of(args.data)
    report_articles(pairs)
    rows = [Row(**json.loads(line)) for line in args.out.read_text("utf-8").splitlines()] if args.out.exists() else []
    words, aligned = weights_of(pairs, ~np.isin(pairs.titles, sorted(UNSEEN)))
    with args.out.open("a", encoding="utf-8") as file:
        for row in asked_of_all(args.data, {row.id for row in rows}, words, aligned):
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
            rows.append(row)
    report_end_to_end(rows)
    if args.export:
        weights_of(pairs, np.ones(len(pairs.truth), dtype=bool))[1].save()
        print(f"wrote {WEIGHTS}")


if __name__ == "__main__":
    main()
