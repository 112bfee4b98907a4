"""Train the reader of Chinese passages: does this passage answer this question?

    python benchmarks/train_passage_reader.py --taught FOLDER INDEX --kept FILE --minutes 40
    python benchmarks/train_passage_reader.py --kept FILE --export      # only writes the packaged file of what is kept

FOLDER is the corpus of `data/manuals_taught` (`manuals_corpus.py --half report`), INDEX one of it that is kept. Of each
question one passage that holds an answer, wherever it stands in its file, and two of the best that do not; of one
without an answer two of the best. The lower layers stay as they are and are run once a text; of the upper ones each
matrix gets a product of two thin ones (LoRA: Hu et al. 2021, arXiv 2106.09685), and a head of three sights: the means
of both texts, how close each piece of the question comes to one of the passage, and the first piece. One manual in
eight is kept back for the figures and for `train_chinese_reading.py`. The loss is that of a logistic regression over
pairs; steps get shorter until the minutes are over. KEPT holds the weights, every fifty steps and at the end; a run
that finds such a file begins with them, but with nothing else of the run before: the optimiser's means, the length of
steps and the order of the questions begin anew.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from manuals.judging import Shown, judged
from manuals.questions import Question, questions
from manuals.sources import DATA
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from pagoda.minilm.encoder import Encoder
from pagoda.minilm.multilingual import NUM_LAYERS, Multilingual, packaged_file, read_multilingual
from pagoda.minilm.shape import HIDDEN
from pagoda.rag.answer import Citation
from pagoda.rag.documents.document import Chunk
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.index.index import RagIndex
from pagoda.rag.pipeline import RAG
from pagoda.rag.retrieval.passage_reader import (
    LOWER,
    MOST_OF_PASSAGE,
    MOST_OF_QUESTION,
    WEIGHTS,
    as_asked,
    as_told,
    pair_log_odds,
)

TAUGHT = DATA.with_name("manuals_taught")
RANK, RATE, PAIRS_A_STEP, WARM_STEPS = 16, 8e-4, 16, 40
NUM_HITS, NEGATIVES = 20, 2
KEPT_BACK = 8
MINUTES = 40.0
_MATRICES = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


@dataclass(frozen=True)
class Taught:
    """A question with passages, as the network reads them, that hold its answer and that do not."""

    manual: str
    question: str
    holding: Sequence[str]
    others: Sequence[str]


def is_kept_back(manual: str) -> bool:
    """Whether nothing of a manual is trained on."""
    return zlib.crc32(manual.encode()) % KEPT_BACK == 0


def taught(folder: Path, index: Path) -> Iterator[Taught]:
    """Of all manuals of the set."""
    asked, corpus = questions("report", "zh", TAUGHT), folder / "corpus" / "zh"
    with RAG(index / "zh") as rag:
        rag.add([corpus], root=corpus)
        in_file: dict[str, list[Chunk]] = {}
        with RagIndex.open(index / "zh", load_embedder(), read_only=True) as known:
            for chunk in known.chunks():
                in_file.setdefault(chunk.source, []).append(chunk)
        for each, hits in zip(asked, rag.retrieve_batch([q.question for q in asked], NUM_HITS), strict=True):
            found = [hit.chunk for hit in hits]
            holding = [chunk for chunk in found if _holds(each, chunk)]
            holding = holding or [chunk for chunk in in_file.get(each.file, []) if _holds(each, chunk)]
            manual = each.file.partition("/")[0] or each.id.rsplit("-", 2)[0]
            yield Taught(manual, each.question, _read(holding), _read([c for c in found if not _holds(each, c)]))


def _read(chunks: Sequence[Chunk]) -> list[str]:
    return [as_told(chunk) for chunk in chunks]


def _holds(asked: Question, chunk: Chunk) -> bool:
    whole = Citation.of_span(1, chunk, chunk.start, chunk.end, 0.0)
    return bool(asked.answers) and judged(asked, Shown("", [whole], False)).grade == "right"


class Reader(nn.Module):
    """The network of `retrieval/passage_reader`, with what is learned of it as parameters."""

    def __init__(self, multilingual: Multilingual) -> None:
        super().__init__()
        self._multilingual = multilingual
        self._fixed = multilingual.encoder()
        shapes = {
            f"encoder.layer.{layer}.{name}": multilingual.weights[f"encoder.layer.{layer}.{name}.weight"].shape
            for layer in range(LOWER, NUM_LAYERS)
            for name in _MATRICES
        }
        self.down = nn.ParameterDict(
            {
                _key(name): nn.Parameter(torch.randn(RANK, shape[1]) / math.sqrt(shape[1]))
                for name, shape in shapes.items()
            }
        )
        self.up = nn.ParameterDict({_key(name): nn.Parameter(torch.zeros(s[0], RANK)) for name, s in shapes.items()})
        self.names = list(shapes)
        self.head = nn.Parameter(torch.zeros(3 * HIDDEN))
        self.bias = nn.Parameter(torch.zeros(1))
        self.scale = nn.Parameter(torch.tensor([10.0, 5.0, 0.0]))
        self.side = nn.Parameter(torch.zeros(HIDDEN))
        self._below: dict[str, torch.Tensor] = {}

    def forward(self, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
        """Log-odds [len(pairs)] of (question, passage)."""
        parts = [
            (self._lower(as_asked(asked), MOST_OF_QUESTION), self._lower(told, MOST_OF_PASSAGE))
            for asked, told in pairs
        ]
        longest = max(len(asked) + len(told) for asked, told in parts)
        hidden, is_piece = torch.zeros(len(parts), longest, HIDDEN), torch.zeros(len(parts), longest, dtype=torch.bool)
        for row, (asked, told) in enumerate(parts):
            whole = torch.cat([asked + self.side, told])
            hidden[row, : len(whole)], is_piece[row, : len(whole)] = whole, True
        hidden = self._upper().run(hidden, is_piece[:, None, None], range(LOWER, NUM_LAYERS))
        weigh = {"head": self.head, "bias": self.bias, "scale": self.scale}
        return torch.stack(
            [pair_log_odds(hidden[row], len(a), len(a) + len(t), weigh) for row, (a, t) in enumerate(parts)]
        )

    def _lower(self, text: str, most: int) -> torch.Tensor:
        if text not in self._below:
            ids, is_piece = self._multilingual.padded([self._multilingual.marked(text, most)])
            assert is_piece.all()
            with torch.no_grad():
                self._below[text] = self._fixed.run(self._multilingual.embedded(ids), None, range(LOWER))[0]
        return self._below[text]

    def _upper(self) -> Encoder:
        """With the products added to the matrices."""
        weights = dict(self._fixed.weights)
        for name in self.names:
            full = name + ".weight"
            weights[full] = weights[full] + (self.up[_key(name)] @ self.down[_key(name)]).to(weights[full].dtype)
        return Encoder(weights)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is packaged."""
        found = {name: getattr(self, name).detach().numpy() for name in ("head", "bias", "scale", "side")}
        for name in self.names:
            for which in ("down", "up"):
                found[f"{name}.{which}"] = getattr(self, which)[_key(name)].detach().half().numpy()
        return found


def _key(name: str) -> str:
    return name.replace(".", "-")


def drawn(some: Sequence[Taught], chance: random.Random) -> list[list[tuple[str, str, float]]]:
    """Steps of one pass: (question, passage, 1 or 0), passages of like length together."""
    pairs: list[tuple[str, str, float]] = []
    for each in some:
        if each.holding:
            pairs.append((each.question, chance.choice(each.holding[:2]), 1.0))
        others = each.others[: 5 if each.holding else 3]
        pairs += [(each.question, told, 0.0) for told in chance.sample(list(others), min(NEGATIVES, len(others)))]
    chance.shuffle(pairs)
    steps = []
    for start in range(0, len(pairs), 20 * PAIRS_A_STEP):
        part = sorted(pairs[start : start + 20 * PAIRS_A_STEP], key=lambda pair: len(pair[1]))
        steps += [part[at : at + PAIRS_A_STEP] for at in range(0, len(part), PAIRS_A_STEP)]
    chance.shuffle(steps)
    return steps


def train(reader: Reader, some: Sequence[Taught], minutes: float, kept: Path) -> None:
    """As long as it may take."""
    chance, began, step = random.Random(0), time.monotonic(), 0
    head = [reader.head, reader.bias, reader.scale, reader.side]
    groups: list[Mapping[str, Any]] = [
        {"params": [*reader.down.parameters(), *reader.up.parameters()], "lr": RATE},
        {"params": head, "lr": 2 * RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))
    while True:
        for pairs in drawn(some, chance):
            left = 1 - (time.monotonic() - began) / (60 * minutes)
            if left <= 0:
                return
            for group, rate in zip(optimiser.param_groups, (RATE, 2 * RATE), strict=True):
                group["lr"] = rate * min(1.0, (step + 1) / WARM_STEPS) * max(0.02, left)
            odds = reader([(asked, told) for asked, told, _ in pairs])
            loss = F.binary_cross_entropy_with_logits(odds, torch.tensor([truth for *_, truth in pairs]))
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            if step % 50 == 0:
                torch.save(reader.state_dict(), kept)
                print(f"step {step}, loss {float(loss):.3f}, {60 * minutes * left:.0f} s left", flush=True)


def report(reader: Reader, some: Sequence[Taught]) -> None:
    """How well passages that hold an answer are told from others, and questions with an answer from those without."""
    odds, truth, best, has = [], [], [], []
    with torch.inference_mode():
        for each in some:
            told = [*each.holding[:1], *each.others[:3]]
            own = reader([(each.question, one) for one in told]).tolist()
            odds += own
            truth += [bool(each.holding) and at == 0 for at in range(len(told))]
            best.append(max(own))
            has.append(bool(each.holding))
    told_by = roc_auc_score(truth, odds), roc_auc_score(has, best)
    print(f"{len(some)} questions: AUC of passages {told_by[0]:.3f}, of questions {told_by[1]:.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and report; write with --export, which without --minutes does nothing else."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taught", type=Path, nargs=2, metavar=("FOLDER", "INDEX"))
    parser.add_argument("--kept", type=Path, required=True, help="file of the weights between runs")
    parser.add_argument("--minutes", type=float, help=f"to train; {MINUTES:.0f}, and with --export none")
    parser.add_argument("--share", type=float, default=1.0, help="of the questions, for a curve of learning")
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args(arguments)
    minutes = options.minutes if options.minutes is not None or options.export else MINUTES
    if minutes is not None and options.taught is None:
        parser.error("--taught is what is trained on: give FOLDER and INDEX")
    if minutes is None and not options.kept.is_file():
        parser.error(f"{options.kept} is no file, so that there is nothing to write: train first")
    torch.manual_seed(0)
    reader = Reader(read_multilingual(packaged_file("training the reader of passages", "bilingual")))
    if options.kept.is_file():
        reader.load_state_dict(torch.load(options.kept))
    if minutes is not None:
        train_and_report(reader, options.taught, options.share, minutes, options.kept)
    if options.export:
        np.savez_compressed(WEIGHTS, **reader.arrays())  # type: ignore[arg-type]
        print(f"wrote {WEIGHTS}")


def train_and_report(reader: Reader, of: tuple[Path, Path], share: float, minutes: float, kept: Path) -> None:
    """On a share of the questions of all manuals that are not kept back; the figures are of these. of: see `taught`."""
    some = list(taught(*of))
    own = [each for each in some if not is_kept_back(each.manual)]
    random.Random(0).shuffle(own)
    train(reader, own[: round(share * len(own))], minutes, kept)
    torch.save(reader.state_dict(), kept)
    report(reader, [each for each in some if is_kept_back(each.manual)])


if __name__ == "__main__":
    main()
