"""Who and what nobody knows yet: new items by what they are called, new people by three questions.

Beside the models, which know a thing by who took it. A new item is scored by how alike its text is to the texts of
what the person took last (vectors come from whoever embeds: MiniLM, say). New items get a bounded share of a list, its
end, so that they are seen and can become known. A new person is asked about things that split people most: taken by
about as many as not, and not alike among themselves (Rashid et al. 2002, "Getting to know you").
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from pagoda.recommend.candidates.recency import Recency
from pagoda.recommend.data.things import CatalogueItem
from pagoda.recommend.people import Person
from pagoda.recommend.recommendation import Reason, Recommendation
from pagoda.recommend.recommender import Recommender

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> float32 `[texts, dimension]`, of length 1."""
_LAST = Recency(10, 0.9)


class NewItems:
    """Items that a model does not know, taken or not. known: ids of those it does"""

    def __init__(self, things: Iterable[CatalogueItem], known: Collection[str], embed: Embed) -> None:
        described = list(things)
        vectors = embed([thing.text for thing in described]) if described else np.zeros((0, 1), dtype=np.float32)
        self._vectors = {thing.id: vector for thing, vector in zip(described, vectors, strict=True)}
        those = set(known)
        self.items = tuple(thing.id for thing in described if thing.id not in those)
        self._matrix = np.stack([self._vectors[item] for item in self.items]) if self.items else vectors[:0]

    def recommend(self, person: Person, k: int, closed: Collection[str] = ()) -> list[Recommendation]:
        """The `k` new items most like what the person took last; none for somebody who took nothing described.

        The score is a mean of cosines, weighted by recency; each past thing's share of it is a reason, "like".
        """
        past = [item for item in person.items if item in self._vectors]
        if not past or not self.items:
            return []
        weights = _LAST.weights(len(past))
        shares = weights[:, None] / weights.sum() * (np.stack([self._vectors[item] for item in past]) @ self._matrix.T)
        scores = shares.sum(0)
        shut = {*closed, *person.items, *person.blocked}
        order = [place for place in np.argsort(-scores, kind="stable") if self.items[place] not in shut][:k]
        return [self._explained(place, past, shares[:, place]) for place in order]

    def _explained(self, place: int, past: Sequence[str], shares: np.ndarray) -> Recommendation:
        reasons = [Reason("like", float(share), item) for item, share in zip(past, shares, strict=True) if share != 0.0]
        reasons.sort(key=lambda reason: -reason.value)
        return Recommendation(self.items[place], float(shares.sum()), tuple(reasons))


def with_new(
    found: Sequence[Recommendation], new: Sequence[Recommendation], k: int, share: float
) -> list[Recommendation]:
    """A list of `k` whose last places, at most this share of all, are new items; their scores are of another scale."""
    room = min(len(new), int(k * share))
    return [*found[: k - room], *new[:room]]


def first_questions(recommender: Recommender, count: int = 3) -> list[str]:
    """Items to ask a new person about, the most telling first."""
    ensemble = recommender.ensemble
    popularity = np.exp(ensemble.popularity[0].scores(None))
    taken = popularity / popularity.max() / 2  # the most taken splits people best: no item is taken by most
    telling = -taken * np.log(taken) - (1 - taken) * np.log(1 - taken)
    near = next(model.matrix for model in ensemble.linear if model.name.startswith("knn"))
    likeness = np.zeros(len(popularity))
    chosen: list[int] = []
    for _ in range(min(count, len(popularity))):
        worth = telling * (1 - likeness)
        worth[chosen] = -np.inf
        best = int(worth.argmax())
        chosen.append(best)
        alike = np.maximum(near[best], near[:, best])
        likeness = np.maximum(likeness, alike / max(float(alike.max()), 1e-9))
    return [recommender.catalogue[item] for item in chosen]
