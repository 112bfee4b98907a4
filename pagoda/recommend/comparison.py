"""The recommender beside simple rivals, on the same split: what a measurement without them would not say.

The last station of a measurement. Eleven of twelve published networks lost to neighbours or linear models that somebody
had tuned (Ferrari Dacrema et al. 2019, arXiv 1907.06902): so each figure is printed beside popularity, neighbours and
EASE, over the whole history and over its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from pagoda.errors import ConfigError
from pagoda.recommend.candidates.linear import LinearModel, ease, neighbours, together
from pagoda.recommend.candidates.recency import ALL, Recency, last_of_each
from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.data.metrics import RankingReport, evaluate
from pagoda.recommend.data.splits import HeldBack, global_cut, last_share, leave_last_out
from pagoda.recommend.recommender import Recommender, RecommenderSettings, catalogue_of, whole_above_0

SPLITS: Mapping[str, Callable[[InteractionLog], HeldBack]] = {
    "last-share": last_share,
    "leave-last": leave_last_out,
    "global": global_cut,
}
Scores = Callable[[np.ndarray], np.ndarray]


def compared(
    held: HeldBack, k: int = 10, settings: RecommenderSettings | None = None
) -> Iterator[tuple[str, RankingReport]]:
    """Name and figures of each model, the recommender last, with a network after without; all of one catalogue."""
    settings, k = settings or RecommenderSettings(), whole_above_0(k)
    if not held.asked:
        raise ConfigError("nothing is held back: nobody has events on both sides of the split; choose another split")
    log = catalogue_of(held.train, settings)
    for name, scores in _rivals(log).items():
        lists = {user: _best(log, scores, user, k) for user in held.asked}
        yield name, evaluate(lists, held.asked, len(log.items), k)
    arms = {"pagoda": replace(settings, network=None)}
    if settings.network is not None:
        arms["pagoda, network"] = settings
    for name, own in arms.items():
        recommender = Recommender.train(held.train, own)
        ours = {user: [one.item for one in recommender.recommend(user, k)] for user in held.asked}
        yield name, evaluate(ours, held.asked, len(log.items), k)


def _rivals(log: InteractionLog) -> dict[str, Scores]:
    counts = together(log)
    popular = np.diag(counts)
    near, linear = neighbours(counts), ease(counts)
    last = Recency(10, 0.9)
    return {
        "popularity": lambda history: popular,
        "item-kNN": LinearModel("", near, ALL).scores,
        "item-kNN, last ten": LinearModel("", near, last).scores,
        "EASE": LinearModel("", linear, ALL).scores,
        "EASE, last ten": LinearModel("", linear, last).scores,
    }


def _best(log: InteractionLog, scores: Scores, user: str, k: int) -> list[str]:
    """The list without what was taken; of somebody whose things are all unknown, that of an empty history."""
    place = log.user_numbers.get(user)
    history = log.histories[place] if place is not None else np.zeros(0, dtype=np.int64)
    found = scores(last_of_each(history)).astype(np.float64, copy=True)
    found[history] = -np.inf
    order = np.argsort(-found, kind="stable")[:k]
    return [log.items[int(item)] for item in order if np.isfinite(found[item])]
