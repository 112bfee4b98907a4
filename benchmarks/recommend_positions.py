"""The sequence network under other norms and positions: what RMSNorm and RoPE bring a recommender, in one table.

    python benchmarks/recommend_positions.py ml-latest-small/ratings.csv

Arms: RMSNorm or LayerNorm in front of the blocks; where a thing stands as RoPE over its place, RoPE over the minutes
since the first of the window, or a learned vector for each place, added to the thing's own (as SASRec has it, arXiv
1808.09781), with RoPE off. Everything else is the same, and so is the seed of each row of arms. Taught is all but the
last tenth of each person's events; asked is every event of that tenth, at most `--asked` of a person, after all that
came before it. Figures go to `--out`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from recommend import movielens
from torch import nn

from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.data.splits import HeldBack, last_share
from pagoda.recommend.recommender import RecommenderSettings, catalogue_of
from pagoda.recommend.sequence.curriculum import History
from pagoda.recommend.sequence.network import SequenceModel, SequenceSettings, make_trainer
from pagoda.train.optimizer import build_optimizer

BASE = SequenceSettings(
    width=48, layers=2, heads=2, length=50, epochs=10, tokens=2048, dropout=0.2, learning_rate=2e-3, rivals=512,
    time_unit=60.0,
)  # fmt: skip
ARMS = {
    "RMSNorm, RoPE": (BASE, False),
    "LayerNorm, RoPE": (replace(BASE, norm="layer_norm"), False),
    "RMSNorm, RoPE over minutes": (replace(BASE, positions="times"), False),
    "RMSNorm, learned positions": (BASE, True),
}
"""Settings of each, and whether positions are learned."""


class LearnedPlaces(nn.Module):
    """A vector for each place of a window, added to what the embedding gives out; RoPE sees every place as 0."""

    def __init__(self, network: nn.Module, length: int, width: int, seed: int) -> None:
        super().__init__()
        drawn = torch.randn(length + 1, width, generator=torch.Generator().manual_seed(seed))
        self.table = nn.Parameter(0.02 * drawn)
        self._places = torch.zeros(0, dtype=torch.int64)
        network.register_forward_pre_hook(self._take)
        network.get_submodule("model.embed_tokens").register_forward_hook(self._add)
        network.add_module("learned_places", self)

    def _take(self, _: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, positions, *rest = given
        self._places = positions.long()
        return ids, torch.zeros_like(positions), *rest

    def _add(self, _: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        return output + self.table[self._places]


def trained(log: InteractionLog, settings: SequenceSettings, is_learned: bool, folder: Path) -> SequenceModel:
    """One arm's network."""
    trainer = make_trainer(log, settings, folder)
    if is_learned:
        LearnedPlaces(trainer.model, settings.length, settings.width, settings.seed)
        trainer.optimizer = build_optimizer(trainer.model.parameters(), trainer.config)
    for _ in trainer.run():
        pass
    return SequenceModel(trainer.model, log.items, settings)


def questions(
    whole: InteractionLog, held: HeldBack, settings: SequenceSettings, most: int
) -> list[tuple[History, int]]:
    """What came before each asked event, and its item; those that nobody took in the taught part are left out."""
    found = []
    unit = settings.time_unit if settings.positions == "times" else None
    for user, history, times in zip(whole.users, whole.histories, whole.times, strict=True):
        asked = len(held.asked.get(user, ()))
        for place in range(len(history) - asked, min(len(history), len(history) - asked + most)):
            item = held.train.item_numbers.get(whole.items[history[place]])
            before = np.array([held.train.item_numbers.get(whole.items[one], -1) for one in history[:place]])
            if item is not None and item not in before:
                known = before >= 0
                found.append((History(before[known], times[:place][known] / unit if unit else None), item))
    return found


def measured(model: SequenceModel, asked: list[tuple[History, int]]) -> dict[str, float]:
    """hit@10 and NDCG@10 of the next event among all items but those taken, and its loss in nats among all."""
    order = sorted(asked, key=lambda one: len(one[0].items))
    hits, gains, losses = [], [], []
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        for (history, item), scores in zip(part, model.scores([one for one, _ in part]), strict=True):
            losses.append(-float(scores[item]))
            scores[history.items] = -np.inf
            rank = int((scores > scores[item]).sum())
            hits.append(float(rank < 10))
            gains.append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
    return {"hit@10": float(np.mean(hits)), "ndcg@10": float(np.mean(gains)), "loss": float(np.mean(losses))}


def rows(log: InteractionLog, seeds: int, most: int) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Arm, seed and figures, seed by seed: a run that is broken off has whole rows."""
    split = last_share(log)
    kept = catalogue_of(split.train, RecommenderSettings())
    held = HeldBack(kept, split.asked)
    for seed in range(seeds):
        for name, (settings, is_learned) in ARMS.items():
            with TemporaryDirectory() as folder:
                model = trained(kept, replace(settings, seed=seed), is_learned, Path(folder))
            yield name, seed, measured(model, questions(log, held, settings, most))


def main() -> None:
    """Print each training as it ends, and mean and spread in the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--asked", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    for name, seed, figures in rows(movielens(given.ratings), given.seeds, given.asked):
        found[name].append(figures)
        told = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
        print(f"seed {seed}  {name:28} {told}  {time.process_time():.0f} s", flush=True)
        (given.out / "recommend_positions.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, runs in found.items():
        for key in runs[0]:
            values = np.array([one[key] for one in runs])
            print(f"{name:28} {key:8} {values.mean():.4f} (from {values.min():.4f} to {values.max():.4f})")


if __name__ == "__main__":
    main()
