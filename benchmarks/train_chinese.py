"""Train the extractive answerer's Chinese ranker and report it on paragraphs that it was not trained on.

    python benchmarks/train_chinese.py --data DEV_FOLDER --folds 3             # cross-validated figures
    python benchmarks/train_chinese.py --data DEV_FOLDER --folds 3 --export  # writes rag/extractive/data/*_zh.npz
    python benchmarks/train_chinese.py --data DEV_FOLDER --held 0 --out HELD  # a ranker that has not seen a fold

What answers had before is counted without the paragraph at hand, so that trees see in training what they will see of
an unknown one. Then a few trees on a sample (squared error to F1), and more on the best candidates (cross-entropy
between the softmax over a passage and exp(F1 / SOFTNESS)). Training needs `pip install
lightgbm`, reading the weights does not. Data: CMRC 2018 (CC BY-SA 4.0), DRCD (CC BY-SA 3.0).
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from train_extractive import fit_decision, report_decision

from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.chinese.features import NUM_CHINESE_BUCKETS, read_chinese
from pagoda.rag.extractive.chinese.tree_ranker import ODDS_STEP, TreeRanker, Trees, chosen, with_odds
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.ranker import DECISION_FEATURES, decision_features
from pagoda.rag.extractive.rankers import load_ranker

SETS = ("cmrc2018", "cmrc2018_trial", "drcd_zh")
REPORTED = "cmrc2018"
SOFTNESS = 0.15
PRIOR = 400.0
"""Candidates of a name for which one answer is expected: as many pseudo-counts smooth its odds."""
LEAST_ODDS = 0.15
SHARED: dict[str, Any] = {
    "num_leaves": 15, "min_data_in_leaf": 100, "max_bin": 63, "num_threads": 1, "verbose": -1, "deterministic": True,
}  # fmt: skip
FIRST = {**SHARED, "objective": "regression", "learning_rate": 0.15, "feature_fraction": 0.5, "seed": 0}
SECOND = {
    **SHARED, "learning_rate": 0.08, "feature_fraction": 0.3, "bagging_fraction": 0.8, "bagging_freq": 1,
    "lambda_l2": 5.0, "seed": 1,
}  # fmt: skip


@dataclass
class Case:
    """A question on its paragraph. gain: [num_candidates] F1 of each candidate."""

    fold: int
    name: str
    group: int
    question: str
    text: str
    answers: list[str]
    passage: Passage
    gain: np.ndarray


@dataclass
class Counts:
    """How often answers (hits) and candidates (all) had a name. Of a paragraph: `ids` are the names that it has."""

    ids: np.ndarray
    hits: np.ndarray
    all: np.ndarray


def gains(passage: Passage, text: str, answers: list[str]) -> np.ndarray:
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


def load(data: Path, name: str, folds: int, every: int) -> list[Case]:
    """The cases of one set, of every n-th paragraph; a paragraph is in one fold."""
    cases = []
    for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines()[::every]:
        row = json.loads(line)
        group = zlib.crc32(row["context"].encode())
        for qa in row["qas"]:
            passage = read_chinese(qa["question"], row["context"])
            if len(passage.spans) and passage.names is not None:
                fold = zlib.crc32(row["title"].encode()) % folds
                gain = gains(passage, row["context"], qa["answers"])
                cases.append(Case(fold, name, group, qa["question"], row["context"], qa["answers"], passage, gain))
    return cases


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

    def __init__(self, cases: list[Case]) -> None:
        self.groups: dict[int, list[Counts]] = {}
        self.hits, self.all = np.zeros(NUM_CHINESE_BUCKETS), np.zeros(NUM_CHINESE_BUCKETS)
        for case in cases:
            counted = counts_of(case)
            self.groups.setdefault(case.group, []).append(counted)
            self.hits[counted.ids] += counted.hits
            self.all[counted.ids] += counted.all
        self.odds = log_odds(self.hits, self.all)

    def without(self, group: int) -> np.ndarray:
        """[NUM_CHINESE_BUCKETS] odds as if this paragraph were unknown."""
        hits, number = self.hits.copy(), self.all.copy()
        for counted in self.groups[group]:
            hits[counted.ids] -= counted.hits
            number[counted.ids] -= counted.all
        touched = np.unique(np.concatenate([counted.ids for counted in self.groups[group]]))
        odds = self.odds.copy()
        odds[touched] = log_odds(np.maximum(hits[touched], 0), np.maximum(number[touched], 0))
        return odds


def listwise(gain: list[np.ndarray]) -> Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]:
    """The loss of the second trees: gradient and curvature of the cross-entropy in each passage."""
    sizes = np.array([len(g) for g in gain])
    at = np.concatenate([[0], sizes.cumsum()[:-1]])
    wanted = np.concatenate([np.exp((g - 1) / SOFTNESS) * (g > 0) for g in gain])
    wanted /= np.repeat(np.maximum(np.add.reduceat(wanted, at), 1e-9), sizes)

    def gradient(scores: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        odds = np.exp(scores - np.repeat(np.maximum.reduceat(scores, at), sizes))
        share = odds / np.repeat(np.add.reduceat(odds, at), sizes)
        return share - wanted, np.maximum(share * (1 - share), 1e-3)

    return gradient


def train(cases: list[Case], trees: tuple[int, int]) -> TreeRanker:
    """Counts, first and second trees of the cases that have an answer among their candidates."""
    cases = [case for case in cases if case.gain.max(initial=0) > 0.5]
    known, rng = Known(cases), np.random.default_rng(0)
    rows, target = [], []
    for case in cases:
        picked = np.append(np.argsort(-case.gain, kind="stable")[:25], rng.integers(0, len(case.gain), 50))
        rows.append(with_odds(case.passage, known.without(case.group))[picked])
        target.append(case.gain[picked])
    first = forest(lightgbm.train(FIRST, lightgbm.Dataset(np.concatenate(rows), np.concatenate(target)), trees[0]))
    rows, target = [], []
    for case in cases:
        features = with_odds(case.passage, known.without(case.group))
        picked = chosen(first(features))
        rows.append(features[picked])
        target.append(case.gain[picked])
    data = lightgbm.Dataset(np.concatenate(rows), np.concatenate(target))
    second = forest(lightgbm.train({**SECOND, "objective": listwise(target)}, data, trees[1]))
    odds = np.round(known.odds / ODDS_STEP).astype(np.int8)
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


def mismatched(cases: list[Case]) -> list[Case]:
    """Every second question on another paragraph of its fold: what Chinese has for impossible questions."""
    made = []
    for fold in sorted({case.fold for case in cases}):
        chosen_cases = [case for case in cases if case.fold == fold]
        for index, case in enumerate(chosen_cases[::2]):
            other = chosen_cases[(2 * index + len(chosen_cases) // 2) % len(chosen_cases)]
            passage = read_chinese(case.question, other.text)
            made.append(replace(case, name="mismatched", text=other.text, answers=[], passage=passage))
    return made


def cross_validate(cases: list[Case], folds: int, run: int, trees: tuple[int, int]) -> np.ndarray:
    """Print figures; the weights of the decision to answer, each question seen by a ranker that did not know it."""
    found: list[tuple[str, float, float]] = []
    kept, held, truth = [], [], []
    reported = [case for case in cases if case.name == REPORTED]
    for fold in range(run):
        ranker = train([case for case in cases if case.fold != fold], trees)
        for case in (case for case in cases if case.fold == fold):
            found.append((case.name, *tried(ranker, case)[:2]))
        for case in (case for case in reported[1::2] + mismatched(reported) if case.fold == fold):
            kept.append(tried(ranker, case)[2])
            truth.append(bool(case.answers))
            held.append(fold)
        for name in sorted({name for name, _, _ in found}):
            em, f1 = np.mean([(e, f) for n, e, f in found if n == name], axis=0)
            print(f"after fold {fold}, {name}: {sum(n == name for n, _, _ in found)} questions,", end=" ")
            print(f"EM {100 * em:.1f} F1 {100 * f1:.1f}", flush=True)
    if run > 1:
        report_decision(np.array(kept), np.array(truth), np.array(held), run)
    return fit_decision(np.array(kept), np.array(truth))


def main() -> None:
    """Cross-validate, and where asked fit on everything and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--run", type=int, help="only the first n folds")
    parser.add_argument("--trees", type=int, nargs=2, default=(60, 200), help="first and second")
    parser.add_argument("--every", type=int, default=1, help="read every n-th paragraph only: a quick look")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--held", type=int, help="train on the other folds, and write to --out")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    began, trees = time.perf_counter(), (args.trees[0], args.trees[1])
    cases = [case for name in SETS for case in load(args.data, name, args.folds, args.every)]
    print(f"{len(cases)} questions read in {time.perf_counter() - began:.0f} s", flush=True)
    if args.held is not None:
        ranker = train([case for case in cases if case.fold != args.held], trees)
        # When to abstain is a dozen numbers, which the packaged weights have from folds left out in turn.
        print(replace(ranker, decision=load_ranker("zh").decision).save("zh", args.out))
    elif args.export:
        unsure = np.zeros(DECISION_FEATURES + 1, np.float32)
        ranker = train(cases, trees)
        print(replace(ranker, decision=unsure).save("zh"), f"{time.perf_counter() - began:.0f} s", flush=True)
        decision = cross_validate(cases, args.folds, args.run or args.folds, trees)
        print(replace(ranker, decision=decision).save("zh"))
    else:
        cross_validate(cases, args.folds, args.run or args.folds, trees)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
