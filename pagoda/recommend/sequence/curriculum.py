"""What the network is taught as a recommender: after the things that a person took, the one that came next.

First station of the sequence model; the trainer asks it for the batch of each step. A history is cut into windows at a
place that is drawn anew each epoch, so that long histories are read whole and no thing is always first. Windows of
about the same length share a batch, so that little of it is padding: histories are short (nine events in Beauty), and
the head, a product with every item of the shop, is most of the work. The softmax is over all items and no negatives are
drawn: one negative and a sigmoid make a model overconfident (Petrov & Macdonald 2023, arXiv 2308.07192), and the whole
softmax is what makes SASRec as good as its successors (Klenitskiy & Vasilev 2023, arXiv 2309.07602).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from pagoda.train.curriculum import NOT_COUNTED, TrainingBatch

START = 0
"""The token before the first thing of a history; item `i` is token `i + 1`."""
_PAD = 0
_RIVALS = 3
"""Third part of the seed of a step's rivals."""


@dataclass(frozen=True)
class History:
    """One person's things in the order of time.

    items: `[n]` int64, numbers of items
    times: `[n]` float64, where each stands on the axis of positions; None: 0, 1, 2, ...
    """

    items: np.ndarray
    times: np.ndarray | None = None


class HistoryCurriculum:
    """Histories in windows of at most `length` tokens, about `tokens` of them a step.

    held: histories of which only the last thing is asked, never taught
    rivals: items drawn for each step, evenly, that its targets are told from; 0: from all `num_items`
    widths: of batches are multiples of this, so that fewer shapes come: in bf16, torch keeps kernels for each
    """

    is_causal = True

    def __init__(
        self,
        histories: Sequence[History],
        held: Sequence[History],
        length: int,
        tokens: int,
        seed: int,
        rivals: int = 0,
        num_items: int = 0,
        widths: int = 1,
    ) -> None:
        self.histories = [history for history in histories if len(history.items) > 0]
        self.held, self.length, self.tokens, self.seed = held, length, tokens, seed
        self.rivals, self.num_items, self.widths = rivals, num_items, widths
        self._planned: tuple[int, list[list[tuple[int, int, int]]]] = (-1, [])

    @cached_property
    def steps_per_epoch(self) -> int:
        """Of the first epoch; the others, whose cuts lie elsewhere, are read for as many steps."""
        return len(self._plan(0))

    def batch(self, step: int) -> TrainingBatch:
        """The windows of one step: a function of its number."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        plan = self._planned[1]
        return self._rows([self._window(*cut) for cut in plan[index % len(plan)]], self._rivals(step))

    def held_back(self) -> dict[str, TrainingBatch]:
        """The last thing of each history that is never taught."""
        if not self.held:
            return {}
        rows = self._rows(
            [(*self._piece(one, max(0, len(one.items) - self.length), len(one.items)),) for one in self.held]
        )
        last = (rows.targets != NOT_COUNTED).sum(1) - 1
        targets = np.full_like(rows.targets, NOT_COUNTED)
        places = np.arange(len(targets))
        targets[places, last] = rows.targets[places, last]
        return {"next": TrainingBatch(rows.input_ids, targets, rows.positions)}

    def save(self, directory: Path) -> None:
        """Weights are all that there is; the catalogue of items is kept by the recommender."""

    def _rivals(self, step: int) -> np.ndarray | None:
        """Tokens `[rivals]` of the items that were drawn for a step."""
        if not self.rivals:
            return None
        rng = np.random.default_rng((self.seed, step, _RIVALS))
        return 1 + rng.choice(self.num_items, min(self.rivals, self.num_items), replace=False)

    def _plan(self, epoch: int) -> list[list[tuple[int, int, int]]]:
        """Batches of (history, start, stop), in the order of this epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        cuts = [
            (index, *cut) for index, history in enumerate(self.histories) for cut in self._cuts(len(history.items), rng)
        ]
        # Sorted by length, but not always with the same neighbours: equal lengths come in an order that is drawn.
        order = np.lexsort((rng.random(len(cuts)), np.array([stop - start for _, start, stop in cuts])))
        batches: list[list[tuple[int, int, int]]] = []
        for place in order:
            width = self._width(cuts[place][2] - cuts[place][1])
            if not batches or (len(batches[-1]) + 1) * width > self.tokens:
                batches.append([])
            batches[-1].append(cuts[place])
        return [batches[place] for place in rng.permutation(len(batches))]

    def _cuts(self, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Of `count` things, windows [start, stop) that cover each once; the first one's length is drawn."""
        if count <= self.length:
            return [(0, count)]
        first = int(rng.integers(1, self.length + 1))
        edges = [0, *range(first, count, self.length), count]
        return list(pairwise(edges))

    def _window(self, index: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return self._piece(self.histories[index], start, stop)

    def _piece(self, history: History, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Tokens before [start, stop), those in it, and where the former stand."""
        tokens = history.items + 1
        before = np.concatenate(([START], tokens[: stop - 1])) if start == 0 else tokens[start - 1 : stop - 1]
        if history.times is None:
            return before, tokens[start:stop], None
        times = history.times
        placed = np.concatenate((times[:1], times[: stop - 1])) if start == 0 else times[start - 1 : stop - 1]
        return before, tokens[start:stop], placed - placed[0]

    def _width(self, longest: int) -> int:
        return -(-longest // self.widths) * self.widths

    def _rows(
        self,
        windows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
        rivals: np.ndarray | None = None,
    ) -> TrainingBatch:
        """Windows side by side, filled up behind: what comes later is never looked at."""
        width = self._width(max(len(before) for before, _, __ in windows))
        ids = np.full((len(windows), width), _PAD, dtype=np.int64)
        targets = np.full((len(windows), width), NOT_COUNTED, dtype=np.int64)
        positions = np.zeros((len(windows), width), dtype=np.float32)
        for row, (before, after, placed) in enumerate(windows):
            ids[row, : len(before)], targets[row, : len(after)] = before, after
            if placed is not None:
                positions[row, : len(placed)] = placed
        has_places = windows[0][2] is not None
        return TrainingBatch(ids, targets, positions if has_places else None, rivals)
