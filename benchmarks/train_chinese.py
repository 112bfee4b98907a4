"""Train the extractive answerer's Chinese ranker and report it on paragraphs that it was not trained on.

    python benchmarks/train_chinese.py --train cmrc2018_train.json --data DEV_FOLDER --rows ROWS            # figures
    python benchmarks/train_chinese.py --train cmrc2018_train.json --data DEV_FOLDER --rows ROWS --export  # and writes

The file is `squad-style-data/cmrc2018_train.json` of the repository ymcui/cmrc2018: 10,142 questions. Every twelfth of
its articles is kept (`chinese_sets.py`), and when to abstain is fitted there. A third of CMRC 2018's development set,
a third of DRCD and the trial set are seen by nothing here; what ships (`--every 2`) is what is reported.

What answers had before is counted in the training set, without the paragraph at hand, so that trees see in training
what they will see of an unknown one. Then a few trees on a sample (squared error to F1), and more on the best ones
(cross-entropy between the softmax over a passage and exp(F1 / SOFTNESS)), where a question that three people answered
is worth WORTH of one that one did: from single answers alone spans come out as one person would cut them. ROWS keeps
what trees are grown of, so that growing them again takes minutes. Training needs `pip install lightgbm`, reading the
weights does not. Data: CMRC 2018 (CC BY-SA 4.0), DRCD (CC BY-SA 3.0).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from chinese_sets import Paragraph, paragraphs
from train_extractive import fit_decision, report_decision

from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.chinese.features import NUM_CHINESE_BUCKETS, read_chinese
from pagoda.rag.extractive.chinese.tree_ranker import ODDS_STEP, TreeRanker, Trees, chosen, with_odds
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.ranker import DECISION_FEATURES, decision_features

SOFTNESS = 0.12
PRIOR = 400.0
"""Candidates of a name for which one answer is expected: as many pseudo-counts smooth its odds."""
LEAST_ODDS = 0.15
EVERY = 4
"""The first trees, which only choose candidates, are grown of every fourth paragraph."""
WORTH = 3.0
"""Of a question with three answers, beside one with one."""
NUM_GROWN = 120
"""Candidates of a question that the second trees are grown of."""
SHARED: dict[str, Any] = {
    "num_leaves": 15, "min_data_in_leaf": 100, "max_bin": 63, "num_threads": 1, "verbose": -1, "deterministic": True,
}  # fmt: skip
FIRST = {**SHARED, "objective": "regression", "learning_rate": 0.15, "feature_fraction": 0.5, "seed": 0}
SECOND = {
    **SHARED, "learning_rate": 0.1, "feature_fraction": 0.3, "bagging_fraction": 0.8, "bagging_freq": 1,
    "lambda_l2": 5.0, "seed": 1,
}  # fmt: skip


@dataclass
class Case:
    """A question on its paragraph. gain: [num_candidates] F1 of each candidate."""

    question: str
    text: str
    answers: Sequence[str]
    passage: Passage
    gain: np.ndarray


@dataclass
class Counts:
    """How often answers (hits) and candidates (all) had a name. Of a paragraph: `ids` are the names that it has."""

    ids: np.ndarray
    hits: np.ndarray
    all: np.ndarray


def gains(passage: Passage, text: str, answers: Sequence[str]) -> np.ndarray:
    """The best F1, as CMRC counts it, of each candidate with any place where an answer stands."""
    best, sizes = np.zeros(len(passage.spans), np.float32), passage.sizes()
    starts, ends = np.array([t.start for t in passage.tokens]), np.array([t.end for t in passage.tokens])
    first, last = passage.spans[:, 0], passage.spans[:, 1]
    for answer in set(answers) - {""}:
        at = text.find(answer)
        while at >= 0:
            inside = np.flatnonzero((ends > at) & (starts < at + len(answer)))
            left, right = np.maximum(first, inside[0]), np.minimum(last, inside[-1])
            common = np.where(left <= right, sizes[right + 1] - sizes[left], 0)
            both = sizes[last + 1] - sizes[first] + sizes[inside[-1] + 1] - sizes[inside[0]]
            best = np.maximum(best, 2 * common / np.maximum(1, both))
            at = text.find(answer, at + 1)
    return best.astype(np.float32)


def cases(paragraph: Paragraph) -> Iterator[Case]:
    """Its questions."""
    for asked in paragraph.questions:
        passage = read_chinese(asked.question, paragraph.text)
        if len(passage.spans) and passage.names is not None:
            gain = gains(passage, paragraph.text, asked.answers)
            yield Case(asked.question, paragraph.text, asked.answers, passage, gain)


def answerable(paragraph: Paragraph) -> list[Case]:
    """Its questions whose answer is among the candidates, or nearly."""
    return [case for case in cases(paragraph) if case.gain.max(initial=0) > 0.5]


def counts_of(case: Case) -> Counts:
    """Of one question: each name of a first token, a last token and a span, with the share of the answer it has."""
    passage, hit = case.passage, np.where(case.gain >= 0.85 * case.gain.max(), case.gain**4, 0.0)
    hit = hit / hit.sum()
    ids, hits = [], []
    for side, names in ((0, passage.starts), (1, passage.ends)):
        share = np.bincount(passage.spans[:, side], hit, len(names)) * len(names)
        ids.append(names.ravel())
        hits.append(np.repeat(share, names.shape[1]))
    assert passage.names is not None
    ids.append(passage.names.ravel())
    hits.append(np.repeat(hit * len(hit), passage.names.shape[1]))
    unique, where, number = np.unique(np.concatenate(ids), return_inverse=True, return_counts=True)
    return Counts(unique, np.bincount(where, np.concatenate(hits)), number.astype(np.float64))


def log_odds(hits: np.ndarray, number: np.ndarray) -> np.ndarray:
    """float32: in whole steps, as they ship; small ones are 0."""
    odds = np.log((hits / PRIOR + 1) / (number / PRIOR + 1))
    steps = np.clip(np.round(odds / ODDS_STEP), -127, 127)
    return np.where(np.abs(odds) < LEAST_ODDS, 0, steps * ODDS_STEP).astype(np.float32)


class Known:
    """What answers had in all training paragraphs, and in all but one."""

    def __init__(self, some: Sequence[Paragraph]) -> None:
        self.hits, self.all = np.zeros(NUM_CHINESE_BUCKETS), np.zeros(NUM_CHINESE_BUCKETS)
        for paragraph in some:
            for case in answerable(paragraph):
                counted = counts_of(case)
                self.hits[counted.ids] += counted.hits
                self.all[counted.ids] += counted.all
        self.odds = log_odds(self.hits, self.all)

    def without(self, own: Sequence[Case]) -> np.ndarray:
        """[NUM_CHINESE_BUCKETS] odds as if the paragraph of these questions were unknown."""
        counted = [counts_of(case) for case in own]
        touched, where = np.unique(np.concatenate([each.ids for each in counted]), return_inverse=True)
        hits = np.bincount(where, np.concatenate([each.hits for each in counted]))
        number = np.bincount(where, np.concatenate([each.all for each in counted]))
        odds = self.odds.copy()
        odds[touched] = log_odds(np.maximum(self.hits[touched] - hits, 0), np.maximum(self.all[touched] - number, 0))
        return odds


def unknown(some: Sequence[Paragraph], known: Known) -> Iterator[tuple[Case, np.ndarray]]:
    """Each question with its features, as if its paragraph were not among those that were counted."""
    for paragraph in some:
        own = answerable(paragraph)
        odds = known.without(own) if own else known.odds
        for case in own:
            yield case, with_odds(case.passage, odds)


def first_trees(some: Sequence[Paragraph], known: Known, trees: int) -> Trees:
    """Which candidates are worth ranking: the best ones and a sample of the others."""
    rng, rows, target = np.random.default_rng(0), [], []
    for case, features in unknown(some, known):
        picked = np.append(np.argsort(-case.gain, kind="stable")[:25], rng.integers(0, len(case.gain), 50))
        rows.append(features[picked])
        target.append(case.gain[picked])
    return forest(lightgbm.train(FIRST, lightgbm.Dataset(np.concatenate(rows), np.concatenate(target)), trees))


def listwise(
    gain: np.ndarray, sizes: np.ndarray, worth: np.ndarray
) -> Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]:
    """The loss of the second trees: gradient and curvature of the cross-entropy in each passage. worth: of each."""
    at, weight = np.concatenate([[0], sizes.cumsum()[:-1]]), np.repeat(worth, sizes)
    wanted = np.exp((gain - 1) / SOFTNESS) * (gain > 0)
    wanted /= np.repeat(np.maximum(np.add.reduceat(wanted, at), 1e-9), sizes)

    def gradient(scores: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        odds = np.exp(scores - np.repeat(np.maximum.reduceat(scores, at), sizes))
        share = odds / np.repeat(np.add.reduceat(odds, at), sizes)
        return weight * (share - wanted), weight * np.maximum(share * (1 - share), 1e-3)

    return gradient


def grown_of(
    some: Sequence[Paragraph], thrice: Sequence[Paragraph], rows: Path, trees: int
) -> tuple[np.ndarray, Trees]:
    """Odds and first trees; what the second ones are grown of lies in `rows` then."""
    kept = rows / "counted.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            return arrays["odds"], Trees(**{name: arrays[name] for name in Trees.__dataclass_fields__})
    rows.mkdir(parents=True, exist_ok=True)
    known = Known(some)
    print("counted", flush=True)
    first = first_trees(some[::EVERY], known, trees)
    labelled = ((case, with_odds(case.passage, known.odds)) for each in thrice for case in answerable(each))
    features, target, worth = [], [], []
    for weight, source in ((1.0, unknown(some, known)), (WORTH, labelled)):
        for case, own in source:
            picked = chosen(first(own))[:NUM_GROWN]
            features.append(own[picked])
            target.append(case.gain[picked])
            worth.append(weight)
    np.save(rows / "features.npy", np.concatenate(features))
    np.savez(rows / "target.npz", target=np.concatenate(target), sizes=[len(each) for each in target], worth=worth)
    odds = np.round(known.odds / ODDS_STEP).astype(np.int8)
    np.savez_compressed(kept, odds=odds, **vars(first))
    return odds, first


def train(some: Sequence[Paragraph], thrice: Sequence[Paragraph], trees: tuple[int, int], rows: Path) -> TreeRanker:
    """Counts, first and second trees of the questions that have an answer among their candidates."""
    odds, first = grown_of(some, thrice, rows, trees[0])
    with np.load(rows / "target.npz") as arrays:
        target, sizes, worth = arrays["target"], arrays["sizes"], arrays["worth"]
    data = lightgbm.Dataset(np.load(rows / "features.npy"), target)
    second = forest(lightgbm.train({**SECOND, "objective": listwise(target, sizes, worth)}, data, trees[1]))
    return TreeRanker(odds, first, second, np.zeros(DECISION_FEATURES + 1, np.float32))


def forest(model: Any) -> Trees:
    """LightGBM's trees as arrays."""
    grown = [tree for tree in model.dump_model()["tree_info"] if tree["num_leaves"] > 1]
    num, leaves = len(grown), max(tree["num_leaves"] for tree in grown)
    trees = Trees(
        np.zeros((num, leaves - 1), np.int16),
        np.zeros((num, leaves - 1), np.float32),
        *(np.full((num, leaves - 1), -1, np.int16) for _ in range(2)),
        np.zeros((num, leaves), np.float32),
    )
    for index, tree in enumerate(grown):
        _fill(trees, index, tree["tree_structure"])
    return trees


def _fill(trees: Trees, index: int, node: dict[str, Any]) -> int:
    """Write a node and what is below it; the node's number, as its parent names it."""
    if "leaf_index" in node:
        trees.value[index, node["leaf_index"]] = node["leaf_value"]
        return -1 - int(node["leaf_index"])
    at = int(node["split_index"])
    trees.feature[index, at], trees.threshold[index, at] = node["split_feature"], node["threshold"]
    trees.left[index, at] = _fill(trees, index, node["left_child"])
    trees.right[index, at] = _fill(trees, index, node["right_child"])
    return at


def tried(ranker: TreeRanker, case: Case) -> tuple[float, float, np.ndarray]:
    """Exact match and F1 of the best span, and the features of the decision to answer."""
    scores = ranker.scores(case.passage)
    best = ranker.best(case.passage, scores)
    first, last = case.passage.spans[best]
    text = case.text[case.passage.tokens[first].start : case.passage.tokens[last].end]
    right = (metrics.chinese_exact_match(text, case.answers), metrics.chinese_f1(text, case.answers))
    return *(right if case.answers else (0.0, 0.0)), decision_features(
        case.passage, scores, ranker.deciding(case.passage, scores)
    )


def report(name: str, ranker: TreeRanker, some: Sequence[Paragraph]) -> None:
    """Print one set's figures."""
    found = [tried(ranker, case)[:2] for paragraph in some for case in cases(paragraph)]
    em, f1 = np.mean(found, axis=0)
    print(f"{name}: {len(found)} questions, EM {100 * em:.1f} F1 {100 * f1:.1f}", flush=True)


def mismatched(some: Sequence[Paragraph]) -> list[Paragraph]:
    """Every second question on another paragraph: what Chinese has for impossible questions."""
    made = []
    for index, paragraph in enumerate(some):
        other = some[(index + len(some) // 2) % len(some)]
        without = tuple(replace(asked, answers=()) for asked in paragraph.questions[::2])
        made.append(replace(paragraph, text=other.text, questions=without))
    return made


def decision(ranker: TreeRanker, kept: Sequence[Paragraph]) -> np.ndarray:
    """The weights of the decision to answer, fitted to paragraphs that the ranker did not know."""
    found = [
        (tried(ranker, case)[2], bool(case.answers)) for each in [*kept, *mismatched(kept)] for case in cases(each)
    ]
    features, truth = np.array([each for each, _ in found]), np.array([right for _, right in found])
    report_decision(features, truth, np.arange(len(found)) % 4, 4)
    return fit_decision(features, truth)


def main() -> None:
    """Train, report, and where asked write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="CMRC's training set")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="folder, kept between runs")
    parser.add_argument("--trees", type=int, nargs=2, default=(60, 300), help="first and second")
    parser.add_argument("--every", type=int, default=1, help="read every n-th paragraph of the training set only")
    parser.add_argument("--sets", nargs="*", default=["kept", "cmrc2018", "drcd_zh"], help="what is reported of")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--out", type=Path, help="folder to write to instead of the package's")
    args = parser.parse_args()
    began = time.process_time()
    parts = paragraphs(args.train, args.data)
    some = parts["train"][:: args.every]
    ranker = train(some, parts["thrice"], (args.trees[0], args.trees[1]), args.rows)
    print(f"{len(some)} and {len(parts['thrice'])} paragraphs, {time.process_time() - began:.0f} s", flush=True)
    ranker = replace(ranker, decision=decision(ranker, parts["kept"]))
    if args.export or args.out:
        print(ranker.save("zh", *([args.out] if args.out else [])), flush=True)
    for name in args.sets:
        report(name, ranker, parts[name])
    print(f"{time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
