"""Fit the decision to answer or to abstain, and report it on articles that it was not fitted to.

    python benchmarks/train_answerable.py --data DEV_FOLDER --runs 2=RUN 4=OTHER_RUN             # reports
    python benchmarks/train_answerable.py --data DEV_FOLDER --runs 2=RUN 4=OTHER_RUN --export    # writes the weights

FOLD=RUN names a run of `benchmarks/train_reader.py` and the fold that it did not see. Whether a passage is about the
question is fitted to SQuAD 2.0's questions on their own paragraph and on others. Whether it then holds the answer is
fitted in two steps, for the reader is overfit to what it was trained on: the words to all articles; how far to trust
them and the reader, to articles that neither had seen. Figures are of articles left out one by one. A run's margins
are kept in its folder.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import train_reader
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pagoda.minilm.package import packaged_folder
from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.english.answerable import WEIGHTS, Answerable, both, features_of
from pagoda.rag.extractive.english.reader import WEIGHTS as READER_WEIGHTS
from pagoda.rag.extractive.english.reader import Reader
from pagoda.rag.extractive.english.reader_network import ReaderNetwork
from pagoda.rag.extractive.spans import sentence_bounds

STRENGTH = 0.02
"""Inverse of the regularisation of the weights of words; .005 to .1 differ by .002."""
RETRIEVED = 2.0
"""Log-odds that a passage is about the question before its words are seen: it was retrieved for it."""
OFTEN = 10
"""Every so many questions are read on two paragraphs of others as well, one of the same article."""
OWN, SAME, OTHER = 0, 1, 2


@dataclass(frozen=True)
class Pairs:
    """Questions of SQuAD 2.0 on paragraphs. where: OWN paragraph, another of the SAME article, or of an OTHER one.

    features: [n, num_features]; margins: [n], of a reader that had not seen the article; NaN where there is none
    """

    titles: np.ndarray
    folds: np.ndarray
    where: np.ndarray
    truth: np.ndarray
    features: np.ndarray
    margins: np.ndarray


def pairs_of(data: Path) -> list[tuple[str, str, str, int, bool]]:
    """(article, question, paragraph, where, whether the answer stands there): each question on three paragraphs."""
    questions = [question for question in train_reader.load(data) if question.source == "squad20"]
    rng, found = np.random.default_rng(0), []
    by_title: dict[str, list[str]] = {}
    for asked in questions:
        by_title.setdefault(asked.title, []).append(asked.context)
    for asked in questions:
        rest = [text for text in by_title[asked.title] if text != asked.context]
        title = str(rng.choice([title for title in by_title if title != asked.title]))
        found.append((asked.title, asked.question, asked.context, OWN, bool(asked.answers)))
        found.append((asked.title, asked.question, rest[int(rng.integers(len(rest)))], SAME, False))
        texts = by_title[title]
        found.append((asked.title, asked.question, texts[int(rng.integers(len(texts)))], OTHER, False))
    return found


def load(data: Path, runs: dict[int, Path]) -> Pairs:
    """All pairs, with the margins of the runs."""
    pairs = pairs_of(data)
    margins = {key: value for fold, run in runs.items() for key, value in margins_of(data, run, fold).items()}
    features = [
        features_of(asked, [text[left:right] for left, right in sentence_bounds(text)])
        for _, asked, text, _, _ in pairs
    ]
    titles = np.array([pair[0] for pair in pairs])
    return Pairs(
        titles,
        np.array([train_reader.fold_of(title) for title in titles]),
        np.array([pair[3] for pair in pairs]),
        np.array([pair[4] for pair in pairs]),
        np.array(features),
        np.array([margins.get((asked, text), np.nan) for _, asked, text, _, _ in pairs]),
    )


def margins_of(data: Path, run: Path, fold: int) -> dict[tuple[str, str], float]:
    """What a run's reader, in the form that ships, makes of the articles that it had not seen, and of some others."""
    kept = run / "margins.json"
    known: dict[tuple[str, str], float] = {}
    if kept.exists():
        known = {(asked, text): margin for asked, text, margin in json.loads(kept.read_text())}
    mine = [pair for pair in pairs_of(data) if train_reader.fold_of(pair[0]) == fold]
    wanted = [(pair[1], pair[2]) for i, pair in enumerate(mine) if pair[3] == OWN or i // 3 % OFTEN == 0]
    missing = [pair for pair in dict.fromkeys(wanted) if pair not in known]
    if missing:
        reader = reader_of(data, run, fold)
        spans = [(pair, reader.read(*pair, sentence_bounds(pair[1]))) for pair in missing]
        known |= {pair: span.margin for pair, span in spans if span is not None}
        kept.write_text(json.dumps([[*pair, margin] for pair, margin in known.items()]))
    return known


def reader_of(data: Path, run: Path, fold: int) -> Reader:
    """The reader of a run's checkpoint."""
    network = ReaderNetwork(packaged_folder("training the reader", "rag"))
    train_reader.restore(network, None, run)
    return train_reader.margin_reader(network, train_reader.ranker_of(data, run, fold))


def fitted(features: np.ndarray, truth: np.ndarray, strength: float) -> np.ndarray:
    """[num_features + 1] weights and bias of a logistic regression, classes balanced, in the features' own units."""
    middle, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    model: Any = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit((features - middle) / scale, truth)
    weights = model.coef_[0] / scale
    return np.append(weights, model.intercept_[0] - weights @ middle)


def applied(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """[n] log-odds."""
    return features @ weights[:-1] + weights[-1]


def fit(pairs: Pairs, rows: np.ndarray, by_reader: np.ndarray, by_words: np.ndarray) -> Answerable:
    """The decision from some of the pairs. by_reader, by_words: [n] log-odds of those who had not seen the article."""
    own = rows & (pairs.where == OWN)
    about = fitted(pairs.features[rows], pairs.where[rows] == OWN, STRENGTH)
    about[-1] += RETRIEVED
    told = fitted(pairs.features[own], pairs.truth[own], STRENGTH)
    known, sides = own & ~np.isnan(by_reader), np.stack([by_words, by_reader], axis=1)
    runs = [known & (pairs.folds == fold) for fold in np.unique(pairs.folds[known])]
    # Each run counts the same: one more run, not one more article, tells how far readers are to be trusted.
    words, trust, bias = np.mean([fitted(sides[run], pairs.truth[run], 1.0) for run in runs], axis=0)
    return Answerable(about, np.append(words * told[:-1], words * told[-1] + bias), float(trust))


def left_out(pairs: Pairs, by_reader: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n] log-odds by the words alone and by both, of each article from what was fitted to the others."""
    by_words, decided = np.zeros(len(pairs.truth)), np.full(len(pairs.truth), np.nan)
    for title in np.unique(pairs.titles):
        inside = pairs.titles == title
        rest = ~inside & (pairs.where == OWN)
        told = fitted(pairs.features[rest], pairs.truth[rest], STRENGTH)
        by_words[inside] = applied(told, pairs.features[inside])
    read = ~np.isnan(by_reader)
    for title in np.unique(pairs.titles[read]):
        inside = read & (pairs.titles == title)
        decision, features = fit(pairs, pairs.titles != title, by_reader, by_words), pairs.features[inside]
        told = applied(decision.told, features) + decision.trust * by_reader[inside]
        decided[inside] = both(applied(decision.about, features), told)
    return by_words, decided


def report(name: str, pairs: Pairs, log_odds: np.ndarray, rows: np.ndarray) -> None:
    """Print what the log-odds make of some pairs that a reader has read."""
    rows = rows & ~np.isnan(log_odds)
    truth, values = (part[rows & (pairs.where == OWN)] for part in (pairs.truth, log_odds))
    accuracy = metrics.balanced_accuracy(truth.tolist(), (values > 0).tolist())
    refused = [float((log_odds[rows & (pairs.where == where)] <= 0).mean()) for where in (SAME, OTHER)]
    print(
        f"{name}, {len(truth)} questions: balanced accuracy {accuracy:.3f}, AUC {roc_auc_score(truth, values):.3f}; "
        f"refused on paragraphs of the same article {refused[0]:.3f}, of others {refused[1]:.3f}"
    )


def main() -> None:
    """Report; write with --export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", required=True, metavar="FOLD=RUN")
    parser.add_argument("--export", action="store_true", help=f"write {WEIGHTS.name}")
    args = parser.parse_args()
    pairs = load(args.data, {int(fold): Path(run) for fold, run in (given.split("=", 1) for given in args.runs)})
    slope, start = np.load(READER_WEIGHTS)["decision"]
    by_reader = slope * pairs.margins + start
    by_words, decided = left_out(pairs, by_reader)
    read = ~np.isnan(by_reader)
    report("words alone, all articles", pairs, by_words, np.ones(len(read), dtype=bool))
    for fold in np.unique(pairs.folds[read]):
        for name, values in (("reader", by_reader), ("words", by_words), ("decision", decided)):
            report(f"fold {fold}, {name}", pairs, values, read & (pairs.folds == fold))
    report("all these folds, decision", pairs, decided, read)
    if args.export:
        fit(pairs, np.ones(len(read), dtype=bool), by_reader, by_words).save()
        print(f"wrote {WEIGHTS}")


if __name__ == "__main__":
    main()
