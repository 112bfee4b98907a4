"""Train the joint reader of English manuals, and report how well it tells passages that answer from those that do not.

    python benchmarks/train_joint.py pairs SET --pairs PAIRS --data DATA --manuals FOLDER --index INDEX [--own]
    python benchmarks/train_joint.py train SET ... --pairs PAIRS --run RUN [--start RUN] [--epochs 1]
    python benchmarks/train_joint.py report SET ... --pairs PAIRS --run RUN
    python benchmarks/train_joint.py export --run RUN [--to FILE]

`pairs` asks the English questions of a set, and keeps each with the eight passages that were found first (with --own:
of its own manual), which of them hold an answer, and the windows that are read. DATA is the folder of the questions,
FOLDER the one that `manuals_corpus.py` made of it. `train` begins from the reader's weights (`reader_en.npz`), or from
another run's. Of each question it takes one passage that answers, if there is one, and two that do not, the first found
most often: windows of some 120 pieces rather than whole passages, which cost half as much. Loss: binary cross-entropy
of each, and beside it that the passage which answers comes first. Questions whose passages were not found teach nothing
and are left out. `report` tells rank and decision on sets that were not trained on. `export` writes
`rag/extractive/data/joint_en.npz`.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from manuals.questions import Question
from manuals.sources import DATA
from manuals.text import stands
from sklearn.metrics import roc_auc_score
from torch import Tensor
from train_reader import collate, optimizer_of, restore, save
from train_second_look import asked_of, holds, manual_of

from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag import RAG
from pagoda.rag.extractive.english import reader
from pagoda.rag.extractive.english.joint_reader import WEIGHTS, parts_of, whole_passage
from pagoda.rag.extractive.english.reader_input import ReaderInput, ReaderTokenizer
from pagoda.rag.extractive.english.reader_network import JointNetwork
from pagoda.rag.extractive.english.reader_weights import pack, read_file, unpack

FOUND, KEPT = 12, 8
"""Passages that are asked for, and of them those that are kept."""
WHOLE, BESIDE = 0.2, 0.3
"""How often the whole passage is read; how often another part of the passage that answers is one that does not."""
OTHERS, FIRST = 2, 3
"""Passages without the answer beside one with it; among how many that hold it one is drawn."""
LISTWISE = 0.5
BATCH, AT_ONCE = 8, 24
"""Questions of a step, and windows that are read together."""


@dataclass(frozen=True)
class Part:
    """A window of a passage, and whether an answer stands in it."""

    window: ReaderInput
    holds: bool


@dataclass(frozen=True)
class Case:
    """A question with its passages: each whole, and in parts. kind: answer, near or written."""

    set: str
    id: str
    manual: str
    kind: str
    passages: tuple[Part, ...]
    parts: tuple[tuple[Part, ...], ...]

    @property
    def teaches(self) -> bool:
        """Not where there is an answer that was not found."""
        return self.kind != "answer" or any(each.holds for each in self.passages)


def cases(name: str, asked: Sequence[tuple[str, Question]], rag: RAG, of_own: bool = False) -> Iterator[Case]:
    """Of these questions. of_own: passages of other manuals are left out, for one of them may answer."""
    tokenizer = ReaderTokenizer(packaged_folder("training the joint reader", "rag"))
    found = rag.retrieve_batch([each.question for _, each in asked], FOUND)
    for (kind, each), hits in zip(asked, found, strict=True):
        manual = manual_of(kind, each)
        own = [hit for hit in hits if not of_own or hit.source.partition("/")[0] == manual][:KEPT]
        whole = [whole_passage(tokenizer, each.question, hit.chunk) for hit in own]
        held = [holds(each, hit) for hit in own]
        parts = [
            tuple(Part(part.window, is_held and _is_told(each, part.told)) for part in parts_of(passage, hit.chunk))
            for passage, hit, is_held in zip(whole, own, held, strict=True)
        ]
        passages = tuple(Part(passage.window, is_held) for passage, is_held in zip(whole, held, strict=True))
        yield Case(name, each.id, manual, kind, passages, tuple(parts))


def _is_told(asked: Question, told: str) -> bool:
    return any(all(stands(part, told) for part in answer) for answer in asked.answers)


def drawn(case: Case, rng: np.random.Generator) -> list[Part]:
    """What of a question is read in one step, the part that answers first."""
    holding = [at for at, each in enumerate(case.passages) if each.holds]
    others = [at for at, each in enumerate(case.passages) if not each.holds]
    chosen = [_part(case, int(rng.choice(holding[:FIRST])), rng)] if holding else []
    if holding and rng.random() < BESIDE and any(part.holds for part in case.parts[holding[0]]):
        beside = [part for part in case.parts[holding[0]] if not part.holds]
        chosen += [beside[int(rng.integers(len(beside)))]] if beside else []
    weights = 1 / np.arange(1, len(others) + 1)
    count = min(OTHERS, len(others))
    where = rng.choice(others, size=count, replace=False, p=weights / weights.sum()) if count else ()
    return chosen + [_part(case, int(at), rng) for at in where]


def _part(case: Case, at: int, rng: np.random.Generator) -> Part:
    whole = case.passages[at]
    parts = [part for part in case.parts[at] if part.holds == whole.holds]
    return whole if rng.random() < WHOLE or not parts else parts[int(rng.integers(len(parts)))]


def read_all(network: JointNetwork, windows: Sequence[ReaderInput], dropout: float = 0.0) -> Tensor:
    """[len(windows)] log-odds, those of like length read together."""
    order = sorted(range(len(windows)), key=lambda at: len(windows[at].ids))
    read = []
    for at in range(0, len(order), AT_ONCE):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            read.append(network.log_odds(*collate([windows[i] for i in order[at : at + AT_ONCE]]), dropout))
    return torch.cat(read)[torch.from_numpy(np.argsort(order))]


def loss_of(network: JointNetwork, batch: Sequence[Case], rng: np.random.Generator, dropout: float) -> Tensor:
    """Of each window by itself, and of the one that answers beside its question's others."""
    chosen = [drawn(case, rng) for case in batch]
    flat = [part for parts in chosen for part in parts]
    read = read_all(network, [part.window for part in flat], dropout)
    loss = F.binary_cross_entropy_with_logits(read, torch.tensor([float(part.holds) for part in flat]))
    for case, scores in zip(chosen, read.split([len(parts) for parts in chosen]), strict=True):
        if len(case) > 1 and case[0].holds:
            loss = loss - LISTWISE / len(batch) * F.log_softmax(scores, dim=0)[0]
    return loss


def train(network: JointNetwork, known: list[Case], args: argparse.Namespace) -> None:
    """Fit the network; a checkpoint each 50 steps, from which a run goes on."""
    optimizer = optimizer_of(network, args.rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    run = args.run
    done, spent = restore(network, optimizer, run)
    rng, total, recent = np.random.default_rng(0), args.epochs * len(known) // BATCH, []
    order = [known[at] for _ in range(args.epochs) for at in rng.permutation(len(known))]
    torch.manual_seed(done)
    began = time.perf_counter() - spent
    for step in range(done, total):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * min((step + 1) / 30, 1 - step / total)
        loss = loss_of(network, order[step * BATCH : (step + 1) * BATCH], np.random.default_rng(step), args.dropout)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(network.shipped().values()), 1.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        if (step + 1) % 25 == 0:
            seconds = time.perf_counter() - began
            print(f"step {step + 1}/{total} loss {np.mean(recent[-50:]):.3f} {seconds:.0f} s", flush=True)
        if (step + 1) % 50 == 0:
            save(network, optimizer, run, step + 1, time.perf_counter() - began)
    save(network, optimizer, run, total, time.perf_counter() - began)


@torch.no_grad()
def report(network: JointNetwork, name: str, known: Sequence[Case]) -> list[dict[str, object]]:
    """Print rank and decision of one set; the log-odds of each question's passages."""
    passages = [parts for case in known for parts in case.parts]
    read = read_all(network, [part.window for parts in passages for part in parts])
    best_parts = torch.stack([each.max() for each in read.split([len(parts) for parts in passages])])
    scores = [each.numpy() for each in best_parts.split([len(case.passages) for case in known])]
    best = np.array([each.max() for each in scores])
    right = np.array(
        [case.passages[int(each.argmax())].holds for case, each in zip(known, scores, strict=True)], dtype=bool
    )
    asked = np.array([case.kind == "answer" for case in known])
    print(
        f"{name}: {asked.sum()} with an answer; among the first eight "
        f"{np.mean([any(p.holds for p in c.passages) for c in known if c.kind == 'answer']):.3f}, first of retrieval "
        f"{np.mean([c.passages[0].holds for c in known if c.kind == 'answer']):.3f}, of the joint reader "
        f"{right[asked].mean():.3f}; AUC {roc_auc_score(right, best):.3f}"
    )
    for share in (0.80, 0.85, 0.90):
        least = np.quantile(best[~asked], share)
        shown, wrong = np.mean(right[asked] & (best[asked] > least)), np.mean(~right[asked] & (best[asked] > least))
        print(f"  near declined {share:.2f}: right {shown:.3f}, wrong {wrong:.3f}")
    return [
        {"id": case.id, "joint": [round(float(one), 4) for one in each]}
        for case, each in zip(known, scores, strict=True)
    ]


def begin(network: JointNetwork, start: Path | None) -> None:
    """With the weights of the reader of spans as far as both have them, or with those of another run."""
    if start is not None:
        restore(network, None, start)
        return
    minilm = read_arrays(packaged_folder("training the joint reader", "rag"))
    known = unpack(read_file(reader.WEIGHTS), minilm, reader.WEIGHTS)
    with torch.no_grad():
        for name, value in network.shipped().items():
            if name in known:
                value.copy_(torch.from_numpy(np.ascontiguousarray(known[name])))


def export(network: JointNetwork, path: Path) -> None:
    """Write what ships."""
    minilm = read_arrays(packaged_folder("training the joint reader", "rag"))
    trained = {name: value.detach().numpy() for name, value in network.shipped().items()}
    np.savez_compressed(path, **pack(trained, minilm))
    print(f"wrote {path}")


def load(folder: Path, names: Sequence[str]) -> list[Case]:
    """What `pairs` kept of these sets; written by this program alone."""
    return [case for name in names for case in pickle.loads((folder / f"{name}.pkl").read_bytes())]


def keep(options: argparse.Namespace) -> None:
    """Ask one set, and keep its questions with their passages."""
    corpus = options.manuals / "corpus" / "en"
    options.pairs.mkdir(parents=True, exist_ok=True)
    with RAG(options.index) as rag:
        rag.add([corpus], root=corpus)
        found = list(cases(options.sets[0], asked_of(options.data, options.half), rag, options.own))
    (options.pairs / f"{options.sets[0]}.pkl").write_bytes(pickle.dumps(found))


def main() -> None:
    """Keep pairs, train, report or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["pairs", "train", "report", "export"])
    parser.add_argument("sets", nargs="*", help="names of sets")
    parser.add_argument("--pairs", type=Path, help="folder of what was asked")
    parser.add_argument("--run", type=Path, help="folder of a run's checkpoint")
    parser.add_argument("--start", type=Path, help="folder of the run whose weights this one begins with")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="file to export to")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the questions")
    parser.add_argument("--half", nargs="+", choices=["develop", "report"], default=["report"])
    parser.add_argument("--manuals", type=Path, help="folder of the corpus, see manuals_corpus.py")
    parser.add_argument("--index", type=Path, help="kept between runs")
    parser.add_argument("--own", action="store_true", help="keep passages of the question's own manual alone")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=8e-5)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--json", type=Path, help="the log-odds of a report, a line a question")
    args = parser.parse_args()
    if args.step == "pairs":
        keep(args)
        return
    torch.manual_seed(0)
    network = JointNetwork(packaged_folder("training the joint reader", "rag"))
    begin(network, args.start)
    if args.step == "train":
        train(network, [case for case in load(args.pairs, args.sets) if case.teaches], args)
        return
    if not restore(network, None, args.run)[0]:
        sys.exit(f"{args.run} holds no checkpoint: train it first")
    if args.step == "export":
        export(network, args.to)
        return
    told = [row for name in args.sets for row in report(network, name, load(args.pairs, [name]))]
    if args.json:
        args.json.write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")


if __name__ == "__main__":
    main()
