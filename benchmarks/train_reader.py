"""Train the neural reader of English answers, and report it on articles that it was not trained on.

    python benchmarks/train_reader.py --data DEV_FOLDER --run FIRST --held 2      # trains on 19 articles, reports on 5
    python benchmarks/train_reader.py --data DEV_FOLDER --run ALL --start FIRST --epochs 1 --rate 1e-4
    python benchmarks/train_reader.py --data DEV_FOLDER --run ALL --export FIRST  # writes reader_en.npz

A run keeps a checkpoint in its folder and goes on from it. The second goes over all articles once more, from the first
one's weights; what the margin says of an answer is fitted to the first one's held articles, and what words add to it by
`train_answerable.py`. Data: SQuAD 1.1 and 2.0,
the same articles, split by title. Loss: -log of the probability of every place where an answer stands; [CLS] where the
window holds none. A question whose window is cut beside its answer, or put on another paragraph, is one without an
answer. `--minutes` bounds a run: the learning rate falls with the steps or with the clock, whichever is further, so
that a run that is cut short still ends well.
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
import torch.nn.functional as F
import train_extractive
from torch import Tensor

from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.english.answerable import Answerable, feature_names
from pagoda.rag.extractive.english.reader import WEIGHTS, Reader
from pagoda.rag.extractive.english.reader_input import ReaderInput, ReaderTokenizer
from pagoda.rag.extractive.english.reader_network import ReaderNetwork
from pagoda.rag.extractive.english.reader_weights import pack, unpack
from pagoda.rag.extractive.english.reading_network import ReadingNetwork
from pagoda.rag.extractive.ranker import SpanRanker
from pagoda.rag.extractive.rankers import load_ranker
from pagoda.rag.extractive.spans import sentence_bounds

FOLDS = 5
LENGTH = 112
"""Pieces of a training window: half of the passages fit, and long ones would cost twice as much."""
BATCH = 16
BESIDE, ELSEWHERE = 0.08, 0.08
"""Shares of the answerable questions whose window misses the answer, and that get another paragraph as well."""


@dataclass(frozen=True)
class Question:
    """A question of a set on its paragraph; `answers` is empty where it has none."""

    title: str
    question: str
    context: str
    answers: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Example:
    """A window to train on. gold: (first, last) pieces of the sequence, (0, 0) where there is no answer."""

    window: ReaderInput
    gold: tuple[tuple[int, int], ...]


def fold_of(title: str) -> int:
    """The fold of an article: the same for both sets, so that nothing leaks between them."""
    return zlib.crc32(title.encode()) % FOLDS


def load(data: Path) -> list[Question]:
    """SQuAD 1.1's questions, and both kinds of SQuAD 2.0's."""
    questions = []
    for name in ("squad11", "squad20"):
        for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            for qa in row["qas"]:
                answers = () if qa.get("impossible") else tuple(dict.fromkeys(qa["answers"]))
                questions.append(Question(row["title"], qa["question"], row["context"], answers, name))
    return questions


def for_training(questions: list[Question], held: int | None) -> list[Question]:
    """Without the held articles, and without SQuAD 2.0's answerable questions, which SQuAD 1.1 holds as well."""
    return [q for q in questions if fold_of(q.title) != held and (q.source == "squad11" or not q.answers)]


def places(window: ReaderInput, question: Question) -> tuple[tuple[int, int], ...]:
    """Where the answers stand in a window, wherever they occur; empty where they do not."""
    found = set()
    starts, ends = window.offsets[:, 0], window.offsets[:, 1]
    for answer in question.answers:
        at = question.context.find(answer)
        while at >= 0:
            inside = np.flatnonzero((ends > at) & (starts < at + len(answer)))
            if len(inside) and starts[0] <= at and ends[-1] >= at + len(answer):
                found.add((window.first + int(inside[0]), window.first + int(inside[-1])))
            at = question.context.find(answer, at + 1)
    return tuple(sorted(found))


def example_of(tokenizer: ReaderTokenizer, question: Question, rng: np.random.Generator) -> Example:
    """A random window, which holds the answer most of the time where there is one."""
    windows = tokenizer.windows(question.question, question.context, LENGTH, LENGTH - 16)
    golds = [places(window, question) for window in windows]
    holding = [i for i, gold in enumerate(golds) if gold]
    missing = [i for i, gold in enumerate(golds) if not gold]
    chosen = missing if not holding or (missing and rng.random() < BESIDE) else holding
    index = int(rng.choice(chosen))
    return Example(windows[index], golds[index] or ((0, 0),))


def examples_of(tokenizer: ReaderTokenizer, questions: list[Question], seed: int) -> list[Example]:
    """One example a question, and some questions once more on a paragraph of someone else."""
    rng = np.random.default_rng(seed)
    examples = [example_of(tokenizer, question, rng) for question in questions]
    for question in questions:
        if question.answers and rng.random() < ELSEWHERE:
            other = questions[int(rng.integers(len(questions)))]
            if not any(answer in other.context for answer in question.answers):
                moved = Question(question.title, question.question, other.context, (), question.source)
                examples.append(example_of(tokenizer, moved, rng))
    return examples


def batches(examples: list[Example], rng: np.random.Generator) -> list[list[Example]]:
    """Batches of like length, in random order."""
    noise = rng.random(len(examples))
    order = sorted(range(len(examples)), key=lambda i: (len(examples[i].window.ids) // 8, noise[i]))
    cut = [[examples[i] for i in order[at : at + BATCH]] for at in range(0, len(order), BATCH)]
    return [cut[i] for i in rng.permutation(len(cut))]


def collate(windows: list[ReaderInput]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ids, types, features and mask of windows padded to the longest."""
    longest = max(len(window.ids) for window in windows)

    def padded(values: np.ndarray) -> np.ndarray:
        return np.pad(values, [(0, longest - len(values))] + [(0, 0)] * (values.ndim - 1))

    ids, types, features = (
        torch.from_numpy(np.stack([padded(getattr(w, name)) for w in windows])) for name in ("ids", "types", "features")
    )
    mask = torch.from_numpy(np.stack([np.arange(longest) < len(w.ids) for w in windows]))[:, None, None, :]
    return ids, types, features, mask


def loss_of(network: ReaderNetwork, batch: list[Example], dropout: float) -> Tensor:
    """-log of the summed probability of the right starts, and of the right ends, in the mean."""
    ids, types, features, mask = collate([example.window for example in batch])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network.logits(ids, types, features, mask, dropout)
    allowed = types.bool() & mask[:, 0, 0]
    allowed[:, 0] = True
    gold = torch.zeros(*ids.shape, 2, dtype=torch.bool)
    for row, example in enumerate(batch):
        for first, last in example.gold:
            gold[row, first, 0] = gold[row, last, 1] = True
    scores = F.log_softmax(logits.float().masked_fill(~allowed[..., None], -30), dim=1)
    return -torch.logsumexp(scores.masked_fill(~gold, -1e4), dim=1).mean()


def optimizer_of(network: ReaderNetwork, rate: float) -> torch.optim.AdamW:
    """AdamW over what ships; what is new learns faster, biases and norms do not decay."""
    shipped = network.shipped()
    new = [value for name, value in shipped.items() if not name.startswith("layers.")]
    flat = [value for name, value in shipped.items() if name.startswith("layers.") and value.ndim == 1]
    full = [value for name, value in shipped.items() if name.startswith("layers.") and value.ndim == 2]
    groups = [
        {"params": new, "lr": 5 * rate, "weight_decay": 0.0},
        {"params": flat, "lr": rate, "weight_decay": 0.0},
        {"params": full, "lr": rate, "weight_decay": 0.01},
    ]
    return torch.optim.AdamW(groups)


def train(network: ReaderNetwork, questions: list[Question], args: argparse.Namespace) -> None:
    """Fit the network; a checkpoint each 100 steps."""
    tokenizer = ReaderTokenizer(packaged_folder("training the reader", "rag"))
    optimizer = optimizer_of(network, args.rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    if args.start is not None:
        restore(network, None, args.start)
    done, spent = restore(network, optimizer, args.run)
    began = time.perf_counter() - spent
    total, step, recent = args.epochs * (len(questions) * 104 // 100 // BATCH), 0, []
    torch.manual_seed(done)
    for epoch in range(args.epochs):
        examples = examples_of(tokenizer, questions, epoch)
        for batch in batches(examples, np.random.default_rng(epoch)):
            step += 1
            if step <= done:
                continue
            gone = max(step / total, (time.perf_counter() - began) / (60 * args.minutes))
            if gone >= 1:
                save(network, optimizer, args.run, step, time.perf_counter() - began)
                return
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * min(step / 60, 1 - gone)
            loss = loss_of(network, batch, args.dropout)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(network.shipped().values()), 1.0)
            optimizer.step()
            recent.append(float(loss.detach()))
            if step % 20 == 0:
                seconds = time.perf_counter() - began
                print(f"step {step}/{total} loss {np.mean(recent[-100:]):.3f} {seconds:.0f} s", flush=True)
            if step % 100 == 0:
                save(network, optimizer, args.run, step, time.perf_counter() - began)
    save(network, optimizer, args.run, step, time.perf_counter() - began)


def save(network: ReaderNetwork, optimizer: torch.optim.Optimizer, run: Path, step: int, spent: float) -> None:
    """Write the checkpoint, whole or not at all."""
    run.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach() for name, value in network.shipped().items()}
    state = {"weights": weights, "optimizer": optimizer.state_dict(), "step": step, "spent": spent}
    torch.save(state, run / "checkpoint.part")
    (run / "checkpoint.part").replace(run / "checkpoint.pt")


def restore(network: ReaderNetwork, optimizer: torch.optim.Optimizer | None, run: Path) -> tuple[int, float]:
    """The steps done and the seconds spent by a run's checkpoint; zeros where there is none."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        for name, value in network.shipped().items():
            value.copy_(state["weights"][name])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["spent"])


def ranker_of(data: Path, run: Path, held: int) -> SpanRanker:
    """The hashed ranker, trained without the held articles; kept in the run's folder."""
    if not (run / "span_ranker_en.npz").exists():
        cases = train_extractive.load(data, "squad11", FOLDS)
        train_extractive.train([case for case in cases if case.fold != held], 3).save("en", run)
    return load_ranker("en", run)


def shipped_form(network: ReaderNetwork, decision: np.ndarray) -> tuple[ReadingNetwork, dict[str, np.ndarray]]:
    """The network as it will be read back from 8 bits, and the arrays of its file."""
    minilm = read_arrays(packaged_folder("training the reader", "rag"))
    trained = {name: value.detach().numpy() for name, value in network.shipped().items()}
    arrays = {**pack(trained, minilm), "decision": decision.astype(np.float32)}
    return ReadingNetwork(minilm, unpack(arrays, minilm, Path("packed"))), arrays


def margin_reader(network: ReaderNetwork, ranker: SpanRanker) -> Reader:
    """The reader as it ships, but with the margin for its log-odds."""
    nothing = np.zeros(len(feature_names()) + 1)
    alone = Answerable(about=np.append(nothing[:-1], np.inf), told=nothing, trust=1.0)
    packed, _ = shipped_form(network, np.zeros(2))
    return Reader(
        packed, ReaderTokenizer(packaged_folder("training the reader", "rag")), ranker, np.array([1.0, 0.0]), alone
    )


def report(network: ReaderNetwork, data: Path, run: Path, held: int) -> None:
    """Print the figures of the held articles, as the answerer would read them; keep the decision's weights."""
    torch.set_num_threads(1)
    reader = margin_reader(network, ranker_of(data, run, held))
    questions = [q for q in load(data) if fold_of(q.title) == held]
    pairs = sorted({(q.question, q.context) for q in questions})
    began = time.perf_counter()
    spans = {(asked, text): reader.read(asked, text, sentence_bounds(text)) for asked, text in pairs}
    each = (time.perf_counter() - began) / len(pairs)
    read = [spans[q.question, q.context] for q in questions]
    told = [(q, s, q.context[s.start : s.end]) for q, s in zip(questions, read, strict=True) if s is not None]
    plain = [(text, q.answers) for q, _, text in told if q.source == "squad11"]
    em, f1 = (100 * np.mean([score(*pair) for pair in plain]) for score in (metrics.exact_match, metrics.f1))
    print(f"squad11, {len(plain)} questions: EM {em:.1f} F1 {f1:.1f}; {each:.3f} s a question, one thread")
    hard = [(q.title, s.margin, bool(q.answers)) for q, s, _ in told if q.source == "squad20"]
    titles, margins, truth = (np.array(values) for values in zip(*hard, strict=True))
    decided = np.zeros(len(truth), dtype=bool)
    for title in np.unique(titles):
        weight, bias = decision_of(margins[titles != title], truth[titles != title])
        decided[titles == title] = weight * margins[titles == title] + bias > 0
    accuracy = metrics.balanced_accuracy(truth.tolist(), decided.tolist())
    print(f"squad20, {len(truth)} questions: balanced accuracy {accuracy:.3f}; always abstaining .500")
    np.save(run / "decision.npy", decision_of(margins, truth))


def decision_of(margins: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[2] weight and bias of a logistic regression, classes balanced: P(the passage holds the answer)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10, class_weight="balanced").fit(margins[:, None], truth)
    return np.array([model.coef_[0, 0], model.intercept_[0]], dtype=np.float32)


def main() -> None:
    """Train, then report, or write the weights that ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run's checkpoint")
    parser.add_argument("--held", type=int, default=None, choices=range(FOLDS), help="the fold to hold out")
    parser.add_argument("--start", type=Path, default=None, help="folder of the run whose weights this one begins with")
    parser.add_argument(
        "--export", type=Path, default=None, help="folder of the run that was reported: write, not train"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2.5e-4)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--every", type=int, default=1, help="every n-th question only: a quick look")
    args = parser.parse_args()
    torch.manual_seed(0)
    network = ReaderNetwork(packaged_folder("training the reader", "rag"))
    if args.export is not None:
        print(f"step {restore(network, None, args.run)[0]}, to {WEIGHTS}")
        np.savez_compressed(WEIGHTS, **shipped_form(network, np.load(args.export / "decision.npy"))[1])
        return
    train(network, for_training(load(args.data), args.held)[:: args.every], args)
    if args.held is not None:
        report(network, args.data, args.run, args.held)


if __name__ == "__main__":
    main()
