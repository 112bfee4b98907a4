"""Train the extractive answerer's English span ranker and report it on articles that it was not trained on.

    python benchmarks/train_extractive.py en --data DEV_FOLDER --folds 4            # cross-validated figures
    python benchmarks/train_extractive.py en --data DEV_FOLDER --export  # writes rag/extractive/data/*.npz

Loss: -log of the expected squared F1 of a span drawn from the softmax over a passage's candidates, so that every place
where the answer's words stand may win. Data: SQuAD 1.1, 2.0 (CC BY-SA 4.0). Chinese: train_chinese.py.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.english.span_features import NUM_BUCKETS, NUM_DENSE, read_english
from pagoda.rag.extractive.hashed_ranker import HashedRanker
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.ranker import DECISION_FEATURES, SpanRanker, decision_features

SETS = {"en": ("squad11",)}
WIDTH, HIDDEN = 8, 64


@dataclass
class Case:
    """A question on its passage. gain: [num_candidates] token F1 of each candidate; zeros where there is no answer."""

    fold: int
    name: str
    title: str
    question: str
    text: str
    answers: list[str]
    passage: Passage
    gain: np.ndarray


def fold_of(title: str, folds: int) -> int:
    """The fold of an article: the same for both SQuAD sets, so that nothing leaks between them."""
    return zlib.crc32(title.encode()) % folds


def gains(passage: Passage, text: str, answers: list[str]) -> np.ndarray:
    """The best token F1 of each candidate with any place where an answer stands."""
    best = np.zeros(len(passage.spans), np.float32)
    starts = np.array([t.start for t in passage.tokens])
    ends = np.array([t.end for t in passage.tokens])
    first, last = passage.spans[:, 0], passage.spans[:, 1]
    for answer in set(answers):
        at = text.find(answer) if answer else -1
        while at >= 0:
            inside = np.flatnonzero((ends > at) & (starts < at + len(answer)))
            if len(inside):
                common = np.minimum(last, inside[-1]) - np.maximum(first, inside[0]) + 1
                best = np.maximum(best, 2 * np.maximum(0, common) / (last - first + 1 + len(inside)))
            at = text.find(answer, at + 1)
    return best


def load(data: Path, name: str, folds: int, every: int = 1) -> list[Case]:
    """The cases of one development set, of every n-th paragraph."""
    cases = []
    for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines()[::every]:
        row: dict[str, Any] = json.loads(line)
        for qa in row["qas"]:
            passage = read_english(qa["question"], row["context"])
            answers = [] if qa.get("impossible") else qa["answers"]
            if not len(passage.spans):
                continue
            gain = gains(passage, row["context"], answers)
            fold = fold_of(row["title"], folds)
            cases.append(Case(fold, name, row["title"], qa["question"], row["context"], answers, passage, gain))
    return cases


class Ranker(nn.Module):
    """Hashed embeddings of a span's two edges and its dense features, through one hidden layer, to a score."""

    def __init__(self, kept: np.ndarray) -> None:
        super().__init__()
        self.kept = torch.from_numpy(kept)
        self.edges = nn.EmbeddingBag(NUM_BUCKETS, WIDTH, mode="sum", padding_idx=0)
        nn.init.normal_(self.edges.weight, std=0.005)
        self.hidden = nn.Linear(NUM_DENSE + 2 * WIDTH, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, cases: list[Case]) -> list[torch.Tensor]:
        """The scores of each case's candidates."""
        starts = self.edges(self._known(np.concatenate([c.passage.starts for c in cases])))
        ends = self.edges(self._known(np.concatenate([c.passage.ends for c in cases])))
        offset, firsts, lasts = 0, [], []
        for case in cases:
            firsts.append(case.passage.spans[:, 0] + offset)
            lasts.append(case.passage.spans[:, 1] + offset)
            offset += len(case.passage.tokens)
        dense = torch.from_numpy(np.concatenate([c.passage.dense for c in cases]))
        left = self.drop(starts)[torch.from_numpy(np.concatenate(firsts)).long()]
        right = self.drop(ends)[torch.from_numpy(np.concatenate(lasts)).long()]
        edge = left[:, 0] + right[:, 0]
        scores = self.out(self.drop(torch.relu(self.hidden(torch.cat([dense, left, right], 1)))))[:, 0] + edge
        return list(scores.split([len(c.passage.spans) for c in cases]))

    def _known(self, buckets: np.ndarray) -> torch.Tensor:
        ids = torch.from_numpy(buckets).long()
        return ids * self.kept[ids]


def widespread(cases: list[Case]) -> np.ndarray:
    """[NUM_BUCKETS] whether enough passages fill a bucket: a name that only one article knows would be memorised."""
    seen = np.zeros(NUM_BUCKETS, np.int32)
    articles: dict[str, list[Case]] = {}
    for case in cases:
        articles.setdefault(case.title, []).append(case)
    for group in articles.values():
        passages = {case.question: case.passage for case in group}.values()
        seen[np.unique(np.concatenate([np.append(p.starts.ravel(), p.ends.ravel()) for p in passages]))] += 1
    return seen >= max(5, min(8, len(articles) // 2))


def train(cases: list[Case], epochs: int, seed: int = 0) -> HashedRanker:
    """A ranker fitted to the answerable cases."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Ranker(widespread(cases))
    groups = [
        {"params": model.edges.parameters(), "weight_decay": 0.0, "lr": 1e-3},
        {"params": [*model.hidden.parameters(), *model.out.parameters()], "weight_decay": 1e-4, "lr": 2e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    cases = [case for case in cases if case.gain.max(initial=0) > 0.5]
    steps = epochs * (len(cases) // 32 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1e-3, 2e-3], total_steps=steps + 1, pct_start=0.1)
    for _ in range(epochs):
        order = rng.permutation(len(cases))
        for at in range(0, len(order), 32):
            batch = [cases[i] for i in order[at : at + 32]]
            losses = []
            for case, scores in zip(batch, model(batch), strict=True):
                wanted = torch.from_numpy(case.gain**2)
                losses.append(-torch.log((torch.softmax(scores, 0) * wanted).sum() + 1e-6))
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()
            schedule.step()
    return as_numpy(model)


def as_numpy(model: Ranker) -> HashedRanker:
    """The model as it ships, the table in 8 bits."""
    table = model.edges.weight.detach().numpy() * model.kept.numpy()[:, None]
    table[0] = 0
    scale = float(np.abs(table).max() / 127)
    return HashedRanker(
        table=np.round(table / scale).astype(np.int8),
        scale=scale,
        hidden=model.hidden.weight.detach().numpy().T.astype(np.float32),
        hidden_bias=model.hidden.bias.detach().numpy(),
        out=model.out.weight.detach().numpy()[0],
        out_bias=float(model.out.bias.detach()[0]),
        decision=np.zeros(DECISION_FEATURES + 1, np.float32),
    )


def fit_decision(features: np.ndarray, answerable: np.ndarray) -> np.ndarray:
    """Weights and bias of a logistic regression, classes balanced: P(the passage holds the answer)."""
    from sklearn.linear_model import LogisticRegression

    mean, std = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
    model.fit((features - mean) / std, answerable)
    weights = model.coef_[0] / std
    return np.append(weights, model.intercept_[0] - (weights * mean).sum()).astype(np.float32)


def scores_of(ranker: SpanRanker, case: Case) -> tuple[float, float, np.ndarray]:
    """Exact match and F1 of the best span, and the features of the decision to answer."""
    scores = ranker.scores(case.passage)
    best = ranker.best(case.passage, scores)
    first, last = case.passage.spans[best]
    text = case.text[case.passage.tokens[first].start : case.passage.tokens[last].end]
    features = decision_features(case.passage, scores, best)
    if not case.answers:
        return 0.0, 0.0, features
    return metrics.exact_match(text, case.answers), metrics.f1(text, case.answers), features


def cross_validate(cases: list[Case], undecided: list[Case], folds: int, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Print figures, each question scored by a ranker that saw nothing of its article.

    Returns the features of the decision to answer, [num_undecided, DECISION_FEATURES], and what was right.
    """
    found: list[tuple[str, float, float]] = []
    kept, held, answerable = [], [], []
    for fold in range(folds):
        ranker = train([c for c in cases if c.fold != fold], epochs)
        for case in (c for c in cases if c.fold == fold):
            found.append((case.name, *scores_of(ranker, case)[:2]))
        for case in (c for c in undecided if c.fold == fold):
            kept.append(scores_of(ranker, case)[2])
            answerable.append(bool(case.answers))
            held.append(fold)
        print(f"fold {fold}: F1 {100 * np.mean([f for _, _, f in found]):.1f} so far", flush=True)
    for name in sorted({name for name, _, _ in found}):
        em, f1 = np.mean([(e, f) for n, e, f in found if n == name], axis=0)
        print(f"{name}: {sum(n == name for n, _, _ in found)} questions, EM {100 * em:.1f} F1 {100 * f1:.1f}")
    features, truth = np.array(kept), np.array(answerable)
    report_decision(features, truth, np.array(held), folds)
    return features, truth


def report_decision(features: np.ndarray, truth: np.ndarray, held: np.ndarray, folds: int) -> None:
    """Print how well answering or abstaining is decided, each fold by weights fitted to the others."""
    decided = np.zeros(len(truth), dtype=bool)
    for fold in range(folds):
        weights = fit_decision(features[held != fold], truth[held != fold])
        decided[held == fold] = features[held == fold] @ weights[:-1] + weights[-1] > 0
    accuracy = metrics.balanced_accuracy(truth.tolist(), decided.tolist())
    print(f"answer or abstain: balanced accuracy {accuracy:.3f} on {len(truth)} questions,", end=" ")
    print(f"{truth.mean():.2f} answerable; always abstaining .500", flush=True)


def main() -> None:
    """Cross-validate, or fit on everything and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=["en"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="read every n-th paragraph only: a quick look")
    parser.add_argument("--export", action="store_true")
    args = parser.parse_args()
    began = time.perf_counter()
    cases = [case for name in SETS[args.language] for case in load(args.data, name, args.folds, args.every)]
    undecided = load(args.data, "squad20", args.folds, args.every)
    print(f"{len(cases)} questions read in {time.perf_counter() - began:.0f} s", flush=True)
    features, truth = cross_validate(cases, undecided, args.folds, args.epochs)
    if args.export:
        final = train(cases, args.epochs)
        print(final.with_decision(fit_decision(features, truth)).save(args.language))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
