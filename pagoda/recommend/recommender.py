"""The recommender: events go in, lists of items with true reasons come out.

The whole path: log -> catalogue -> models -> weights of the models -> list. The weights are learned on the last tenth
of each history, for which the models are made once without it; then they are made of everything. What a person took,
blocked or asked to forget since counts from the next answer on, without another training: models are about items, and
a history is read when it is asked for.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pagoda.errors import ConfigError, InvalidParameterError
from pagoda.recommend.candidates.ensemble import Ensemble, EnsembleSettings, NextItems
from pagoda.recommend.candidates.linear import most_items
from pagoda.recommend.candidates.recency import last_of_each
from pagoda.recommend.data.interactions import InteractionLog, checked
from pagoda.recommend.data.splits import last_share
from pagoda.recommend.diversity import ListLimits, diversified
from pagoda.recommend.people import Audience, Person
from pagoda.recommend.ranker import Case, fit, spread
from pagoda.recommend.recommendation import Reason, Recommendation
from pagoda.recommend.sequence.network import OnSteps, SequenceSettings, trained_network

_SMALL_SHOP = 2000
"""So many of the most taken items are in the catalogue, however rare they are."""


@dataclass(frozen=True)
class RecommenderSettings:
    """min_events: what an item must have been taken to be in the catalogue, beyond the `_SMALL_SHOP` most taken
    max_items: of the catalogue, the most taken; EASE inverts a matrix of so many rows
    ranked:    histories that the weights are learned on at most
    network:   how to train a sequence network as one more model, twice; None for none
    """

    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    min_events: int = 3
    max_items: int = 12_000
    ranked: int = 1000
    seed: int = 0
    network: SequenceSettings | None = None


class Recommender:
    """Made by `train`. Threads may share it as long as one of them writes.

    weights: `[models]`, of each model's scores once they are on one scale
    unit: of the timestamps, how many are a second
    """

    def __init__(
        self, catalogue: tuple[str, ...], ensemble: Ensemble, weights: np.ndarray, people: Audience, unit: float = 1.0
    ) -> None:
        self.catalogue, self.ensemble, self.weights, self.people = catalogue, ensemble, weights, people
        self.unit = unit
        self._numbers: Mapping[str, int] = {item: number for number, item in enumerate(catalogue)}
        self._attributes: Mapping[str, frozenset[str]] = {}

    @classmethod
    def train(
        cls,
        events: Iterable[tuple[Any, Any, Any]] | InteractionLog,
        settings: RecommenderSettings | None = None,
        tell: OnSteps = lambda done, total: None,
    ) -> Recommender:
        """Learn from (user, item, timestamp), in any order; ids are taken as strings.

        tell: hears after each step of the network, of both its trainings
        Raises ConfigError for an event that is none, or where there are none.
        """
        settings = settings or RecommenderSettings()
        whole = events if isinstance(events, InteractionLog) else InteractionLog.of(events)
        if not whole.users:
            raise ConfigError("there is no event to learn from: give (user, item, timestamp) at least once")
        log = catalogue_of(whole, settings)
        weights = _learned_weights(log, settings, tell)
        ensemble = Ensemble.of(log, settings.ensemble, _network(log, settings, tell), log.unit)
        return cls(log.items, ensemble, weights, Audience.of(whole), log.unit)

    def recommend(
        self,
        user: str,
        k: int = 10,
        *,
        now: float | None = None,
        limits: ListLimits | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> list[Recommendation]:
        """The `k` best items that the person has neither taken nor blocked, the best first; fewer where none are left.

        Somebody of whom nothing in the catalogue is known gets what is popular of late. now: the moment that popularity
        is asked for; None is the person's last event, which a measurement needs, and a stranger's the end of the log.
        limits: diversity and caps; counted: of each kind, how many stand in the list already.
        """
        return self.recommend_to(self.people.get(str(user)), k, now=now, limits=limits, counted=counted)

    def recommend_for(
        self, history: Sequence[str], k: int = 10, *, limits: ListLimits | None = None
    ) -> list[Recommendation]:
        """The same for a history of ids, oldest first, of nobody who is to be known."""
        return self.recommend_to(Person([str(item) for item in history]), k, limits=limits)

    def recommend_to(
        self,
        person: Person,
        k: int = 10,
        *,
        now: float | None = None,
        limits: ListLimits | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> list[Recommendation]:
        """As `recommend`, for somebody of whom this is known. It reads nothing of `people`."""
        k = whole_above_0(k)
        if now is not None and not math.isfinite(now):
            raise InvalidParameterError(f"now={now}, but a finite number is expected", param="now")
        history = self._known(person)
        moment = now if now is not None or not len(history) else person.times[-1] if person.times else None
        features = self.ensemble.features(history, moment)
        scales = (self.weights if len(history) else self._of_a_stranger()) * spread(features)
        scores = scales @ features
        scores[~self._open(person)] = -np.inf
        if limits is not None and limits.among is not None:
            scores[[item not in limits.among for item in self.catalogue]] = -np.inf
        best = self._chosen(scores, k, limits, counted or {})
        return [self._explained(history, int(item), features[:, item], scales) for item in best]

    def _of_a_stranger(self) -> np.ndarray:
        """`[models]`: what is popular of late, alone. The learned weights are those of people with a history."""
        found = np.zeros_like(self.weights)
        found[self.ensemble.popular[-1]] = 1.0
        return found

    def close(self) -> None:
        """Let go of the engine under the network, where there is one."""
        if self.ensemble.network is not None:
            self.ensemble.network.close()

    def observe(self, user: str, item: str, timestamp: float) -> None:
        """An event: the person's next list knows it. Raises ConfigError for one that is none."""
        self.people.add(checked((user, item, timestamp), "the event"))

    def describe(self, attributes: Mapping[str, Iterable[str]]) -> None:
        """Say what items are: item -> names of its kinds, by which they are blocked, capped and told apart."""
        self._attributes = {item: frozenset(kinds) for item, kinds in attributes.items()}

    def kinds(self, item: str) -> frozenset[str]:
        """What `describe` said of it."""
        return self._attributes.get(item, frozenset())

    def _known(self, person: Person) -> np.ndarray:
        """The history as numbers of the catalogue; what is not in it says nothing."""
        known = [self._numbers[item] for item in person.items if item in self._numbers]
        return last_of_each(np.array(known, dtype=np.int64))

    def _open(self, person: Person) -> np.ndarray:
        """`[items]`: what may be shown."""
        found = np.ones(len(self.catalogue), dtype=bool)
        closed = {*person.items, *person.blocked}
        found[[self._numbers[item] for item in closed if item in self._numbers]] = False
        if person.blocked_kinds:
            found &= ~np.array([bool(self.kinds(item) & person.blocked_kinds) for item in self.catalogue])
        return found

    def _chosen(
        self, scores: np.ndarray, k: int, limits: ListLimits | None, counted: Mapping[str, int]
    ) -> Sequence[int]:
        """Numbers of the best items that are open; equal scores in the order of the catalogue."""
        order = np.argsort(-scores, kind="stable")
        order = order[: int(np.isfinite(scores).sum())]
        if limits is None:
            return [int(item) for item in order[:k]]
        return diversified(scores, order, k, limits, lambda item: self.kinds(self.catalogue[item]), counted)

    def _explained(self, history: np.ndarray, item: int, row: np.ndarray, scales: np.ndarray) -> Recommendation:
        """The item with its summands: one for each past thing, one for each other model."""
        num_linear = len(self.ensemble.linear)
        past: dict[str, float] = {}
        if len(history):
            for thing, value in zip(history, self.ensemble.contributions(history, item, scales), strict=True):
                past[self.catalogue[thing]] = past.get(self.catalogue[thing], 0.0) + float(value)
        reasons = [Reason("because", value, name) for name, value in past.items() if value != 0.0]
        others = scales[num_linear:] * row[num_linear:]
        num_popular = len(self.ensemble.popularity)
        reasons.append(Reason("popular", float(others[:num_popular].sum())))
        if len(others) > num_popular:
            reasons.append(Reason("network", float(others[num_popular:].sum())))
        reasons.sort(key=lambda reason: -reason.value)
        return Recommendation(self.catalogue[item], float(scales @ row), tuple(reasons))


def whole_above_0(k: Any) -> int:
    """`k` of a list. Raises InvalidParameterError for what is none, 2.5 and True too."""
    if isinstance(k, bool) or not isinstance(k, numbers.Integral) or k < 1:
        raise InvalidParameterError(f"k={k!r:.40}, but a whole number above 0 is expected", param="k")
    return int(k)


def catalogue_of(log: InteractionLog, settings: RecommenderSettings) -> InteractionLog:
    """The log of the most taken items: all that were taken `min_events` times, and of rarer ones up to `_SMALL_SHOP`.

    At most `max_items`, or as many as EASE has room for in memory. Keeping every rare item of MovieLens (8,300 instead
    of 4,200) cost 4.6 times the training and half a hundredth of hit@10 (0.4984 to 0.4934).
    """
    counts = np.bincount(np.concatenate(log.histories), minlength=len(log.items))
    enough = max(int((counts >= settings.min_events).sum()), _SMALL_SHOP)
    most = min(enough, settings.max_items, most_items())
    if len(log.items) <= most:
        return log
    return log.restricted(np.sort(np.argsort(-counts, kind="stable")[:most]))


def _network(log: InteractionLog, settings: RecommenderSettings, tell: OnSteps) -> NextItems | None:
    return trained_network(log, settings.network, tell) if settings.network is not None else None


def _learned_weights(log: InteractionLog, settings: RecommenderSettings, tell: OnSteps) -> np.ndarray:
    """Of models that did not see the last tenth of each history, by what people took there."""
    split = last_share(log)
    # One catalogue for both: an item that was taken in the last tenth alone has scores of 0.
    earlier = split.train.over(log.items)
    ensemble = Ensemble.of(earlier, settings.ensemble, _network(earlier, settings, tell), log.unit)
    users = [user for user in earlier.users if user in split.asked]
    users = list(np.random.default_rng(settings.seed).permutation(users)[: settings.ranked])
    cases = [case for user in users if (case := _case(ensemble, earlier, split.asked[user], user)) is not None]
    # Popularity over all time gets a negative weight beside the one that fades: together they are a trend. Holding
    # both at 0 or above cost MovieLens a hundredth of hit@10 (0.4984 to 0.4885).
    return fit(cases) if cases else _without_cases(ensemble)


def _case(ensemble: Ensemble, log: InteractionLog, asked: Sequence[str], user: str) -> Case | None:
    """A person at the end of their shorter history; None where nothing new was taken afterwards."""
    place = log.user_numbers[user]
    history, now = last_of_each(log.histories[place]), float(log.times[place][-1])
    taken = {int(item) for item in history}
    wanted = [log.item_numbers[item] for item in dict.fromkeys(asked) if log.item_numbers[item] not in taken]
    if not wanted:
        return None
    is_open = np.ones(len(log.items), dtype=bool)
    is_open[history] = False
    features = ensemble.features(history, now)
    scaled = (features * spread(features)[:, None]).astype(np.float32)
    return Case(scaled, np.array(wanted), is_open)


def _without_cases(ensemble: Ensemble) -> np.ndarray:
    """Too little to learn from: popularity, and EASE over the last ten."""
    return np.array([1.0 if name in ("ease-last", "popular") else 0.0 for name in ensemble.names])
