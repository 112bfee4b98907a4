"""All models side by side over one catalogue, as rows of one matrix of scores.

Between the models and the ranker. Made anew for a shorter log when the ranker learns, so that it is one class and not
a recipe told twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pagoda.recommend.candidates.linear import LinearModel, ease, neighbours, together, transitions
from pagoda.recommend.candidates.popularity import WindowedPopularity
from pagoda.recommend.candidates.recency import ALL, Recency
from pagoda.recommend.data.interactions import InteractionLog

_LAST, _FEW, _MANY = Recency(10, 0.9), Recency(3, 0.7), Recency(40, 0.95)


class NextItems(Protocol):
    """A sequence model over the same catalogue."""

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """`history [n]`, numbers of items, oldest first -> `[items]`: logarithms of chances, less their mean."""
        ...

    def write(self, directory: Path) -> None:
        """Keep it as a checkpoint."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass(frozen=True)
class EnsembleSettings:
    """half_life: of the drifting popularity, in seconds (a year)

    penalty: of EASE; neighbours: kept for each item; reach: places between two things that count as a transition
    """

    half_life: float = 365 * 86400.0
    penalty: float = 300.0
    neighbours: int = 50
    reach: int = 10


@dataclass(frozen=True)
class Ensemble:
    """Rows of `features` in this order: linear models, popularities, and the network where there is one."""

    linear: tuple[LinearModel, ...]
    popularity: tuple[WindowedPopularity, ...]
    network: NextItems | None = None

    @classmethod
    def of(
        cls, log: InteractionLog, settings: EnsembleSettings, network: NextItems | None = None, unit: float = 1.0
    ) -> Ensemble:
        """Made of a log, whose items are the catalogue. unit: of its timestamps, how many are a second"""
        counts = together(log)
        linear_autoencoder, near = ease(counts, settings.penalty), neighbours(counts, settings.neighbours)
        soon = transitions(log, settings.reach)
        linear = (
            LinearModel("ease-last", linear_autoencoder, _LAST),
            LinearModel("ease-few", linear_autoencoder, _FEW),
            LinearModel("ease-many", linear_autoencoder, _MANY),
            LinearModel("ease-all", linear_autoencoder, ALL),
            LinearModel("knn-last", near, _LAST),
            LinearModel("next-last", soon, _LAST),
            LinearModel("next-few", soon, _FEW),
        )
        half_lives = (0.0, settings.half_life * unit)
        return cls(linear, tuple(WindowedPopularity.of(log, half_life) for half_life in half_lives), network)

    @property
    def names(self) -> Sequence[str]:
        """Of the rows."""
        own = [model.name for model in self.linear] + ["popular", "popular-lately"]
        return own + (["network"] if self.network is not None else [])

    @property
    def popular(self) -> range:
        """Places of the popularities among the rows; the last is the one that fades."""
        return range(len(self.linear), len(self.linear) + len(self.popularity))

    @property
    def end(self) -> float:
        """The moment of the log's last event."""
        return float(self.popularity[0].times[-1])

    def features(self, history: np.ndarray, now: float | None) -> np.ndarray:
        """`[models, items]` fp64; now: the moment of the question, None for the end of the log."""
        rows = [model.scores(history) for model in self.linear]
        rows += [model.scores(now) for model in self.popularity]
        if self.network is not None:
            rows.append(self.network(history))
        return np.stack(rows)

    def contributions(self, history: np.ndarray, item: int, scales: np.ndarray) -> np.ndarray:
        """`[n]`: what each thing of the history adds to the item's score; scales `[models]`: weight of each row."""
        parts = [scale * model.contributions(history, item) for scale, model in zip(scales, self.linear, strict=False)]
        return np.sum(parts, axis=0)
