"""The recommender as it is kept in a folder and asked by many: model, people, things, all of one accord.

Above `recommender` and `store`; under the command line and the server. A folder holds `people.db` (what people did),
`things.jsonl` (what things are) and models: `model-N/`, of which `model.json` names the current one. A training writes
a new one and then the name, so a desk that is open finds it at the next question and no question is lost. Whatever a
person tells is written first and believed then.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import ConfigError
from pagoda.recommend.candidates.ensemble import Ensemble
from pagoda.recommend.candidates.linear import LinearModel
from pagoda.recommend.candidates.popularity import WindowedPopularity
from pagoda.recommend.candidates.recency import Recency
from pagoda.recommend.cold import Embed, NewItems, first_questions, with_new
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, read_things, write_things
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.paths import RecommendationGraph
from pagoda.recommend.people import Audience
from pagoda.recommend.recommendation import Recommendation
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import EventStore, Refusal, StoredEvent

NEW_SHARE = 0.1
"""Of a list, at most, that items get which nobody took yet."""
_CURRENT, _PEOPLE, _THINGS = "model.json", "people.db", "things.jsonl"


def save_model(recommender: Recommender, folder: Path) -> str:
    """Write the models as the folder's next, and make it the current one; its name. No person is in it."""
    number = 1 + max((int(path.name[6:]) for path in folder.glob("model-*") if path.name[6:].isdigit()), default=0)
    name = f"model-{number}"
    directory = folder / name
    directory.mkdir(parents=True)
    ensemble = recommender.ensemble
    matrices = {id(model.matrix): model.matrix for model in ensemble.linear}
    files = {key: f"matrix-{place}.npy" for place, key in enumerate(matrices)}
    for key, matrix in matrices.items():
        np.save(directory / files[key], matrix)
    first = ensemble.popularity[0]
    np.savez(directory / "popularity.npz", times=first.times, items=first.items, weights=recommender.weights)
    told = {
        "catalogue": recommender.catalogue,
        "linear": [
            {"name": one.name, "matrix": files[id(one.matrix)], "last": one.recency.last, "decay": one.recency.decay}
            for one in ensemble.linear
        ],
        "half_lives": [model.half_life for model in ensemble.popularity],
    }
    (directory / "models.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    temporary = folder / f".{_CURRENT}.tmp"
    temporary.write_text(json.dumps({"current": name}), encoding="utf-8")
    os.replace(temporary, folder / _CURRENT)
    return name


def load_model(directory: Path, people: Audience) -> Recommender:
    """Read what `save_model` wrote. Raises ConfigError for a folder that holds none."""
    try:
        told = json.loads((directory / "models.json").read_text(encoding="utf-8"))
        arrays = np.load(directory / "popularity.npz")
        matrices = {one["matrix"]: np.load(directory / one["matrix"]) for one in told["linear"]}
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{directory} holds no model of a recommender ({error}): train it again") from error
    linear = tuple(
        LinearModel(one["name"], matrices[one["matrix"]], Recency(one["last"], one["decay"])) for one in told["linear"]
    )
    catalogue = tuple(told["catalogue"])
    popularity = tuple(
        WindowedPopularity(arrays["times"], arrays["items"], len(catalogue), half_life)
        for half_life in told["half_lives"]
    )
    return Recommender(catalogue, Ensemble(linear, popularity), arrays["weights"], people)


def set_up(folder: Path, log: InteractionLog, things: Iterable[CatalogueItem], recommender: Recommender) -> str:
    """Fill a folder with events, things and a model; the model's name. Events that it has already are not doubled."""
    folder.mkdir(parents=True, exist_ok=True)
    write_things(folder / _THINGS, things)
    store = EventStore(folder / _PEOPLE)
    try:
        # The place in a person's history tells two visits at one time apart.
        counts: dict[Interaction, int] = {}
        for event in log.events():
            counts[event] = counts.get(event, 0) + 1
        store.append(
            StoredEvent(f"{event.user}/{event.item}/{event.timestamp!r}/{number}", event)
            for event, count in counts.items()
            for number in range(count)
        )
    finally:
        store.close()
    return save_model(recommender, folder)


class Desk:
    """Open over a folder that `set_up` filled. Threads may share it. Raises ConfigError where it was not filled.

    graph: gets what people do and are shown as edges, too, and is asked for paths; its errors are raised after the
        store has written
    embedder: makes what embeds texts, asked where things are described that the model does not know; they then take a
        tenth of a list, its end
    """

    def __init__(
        self,
        folder: Path,
        graph: RecommendationGraph | None = None,
        embedder: Callable[[], Embed] | None = None,
    ) -> None:
        self.folder, self.graph, self._embedder = folder, graph, embedder
        self._lock = threading.RLock()
        if not (folder / _CURRENT).is_file():
            raise ConfigError(f"{folder} holds no recommender: run `pagoda recommend train` with --out {folder} first")
        self.store = EventStore(folder / _PEOPLE)
        self.things = read_things(folder / _THINGS)
        self.model, self._stamp = "", -1
        people = Audience.of(InteractionLog.of(self.store.events()))
        for block in self.store.blocks():
            people.block(block.user, item=block.item, kind=block.kind)
        self._people = people
        self._recommender = self._read()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def recommend(
        self, user: str, k: int = 10, *, history: Sequence[str] | None = None, limits: ListLimits | None = None
    ) -> list[Recommendation]:
        """As `Recommender.recommend`; of a `history` of ids, for somebody who is not to be known."""
        with self._lock:
            recommender = self._newest()
            if history is not None:
                return recommender.recommend_for(history, k, limits=limits)
            # A shop's now is that of its newest events, whenever this person came last.
            found = recommender.recommend(user, k, now=recommender.ensemble.end, limits=limits)
            if self._new is not None:
                found = with_new(found, self._fitting(user, k), k, NEW_SHARE)
            if user in self._people:
                self.store.note_shown(user, [one.item for one in found], self.model)
                if self.graph is not None:
                    self.graph.note_shown(user, found, self.model)
            return found

    def _fitting(self, user: str, k: int) -> list[Recommendation]:
        """New items for a person, without those of a blocked kind."""
        assert self._new is not None
        person = self._people.get(user)
        refused = [
            item for item in self._new.items if any(kind.id in person.blocked_kinds for kind in self.things[item].kinds)
        ]
        return self._new.recommend(person, k, refused)

    def questions(self, count: int = 3) -> list[str]:
        """Items to ask a new person about."""
        with self._lock:
            return first_questions(self._newest(), count)

    def record(self, events: Iterable[StoredEvent]) -> int:
        """Write events; how many were new. They count from the next question on."""
        with self._lock:
            new = self.store.append(events)
            for one in new:
                self._people.add(one.event)
        if self.graph is not None:
            for one in new:
                self.graph.note_rated(*one.event)
        return len(new)

    def block(self, block: Refusal) -> None:
        """Not this one, or not this kind, from the next question on."""
        with self._lock:
            self.store.block(block)
            self._people.block(block.user, item=block.item, kind=block.kind)
        if self.graph is not None:
            self.graph.note_refused(block)

    def unblock(self, block: Refusal) -> bool:
        """Take it back; whether there was such a block."""
        with self._lock:
            self._people.unblock(block.user, item=block.item, kind=block.kind)
            was_there = self.store.unblock(block)
        if self.graph is not None:
            self.graph.take_back(block)
        return was_there

    def export(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is kept of a person."""
        return self.store.export(user)

    def forget(self, user: str) -> int:
        """Everything of a person is gone, from memory, files and graph; how many rows there were."""
        with self._lock:
            self._people.forget(user)
            count = self.store.forget(user)
        if self.graph is not None:
            self.graph.forget(user)
        return count

    def facts(self) -> dict[str, Any]:
        """What this desk works with."""
        with self._lock:
            recommender = self._newest()
        return {"model": self.model, "items": len(recommender.catalogue), "models": list(recommender.ensemble.names)}

    def people(self) -> list[str]:
        """Ids of those who are known."""
        with self._lock:
            return list(self._people)

    def _newest(self) -> Recommender:
        """The current model, read again where a training has written another."""
        if os.stat(self.folder / _CURRENT).st_mtime_ns != self._stamp:
            self._recommender = self._read()
        return self._recommender

    def _read(self) -> Recommender:
        path = self.folder / _CURRENT
        self._stamp = os.stat(path).st_mtime_ns
        self.model = json.loads(path.read_text(encoding="utf-8"))["current"]
        recommender = load_model(self.folder / self.model, self._people)
        recommender.describe({thing.id: [kind.id for kind in thing.kinds] for thing in self.things.values()})
        is_known = {*recommender.catalogue, *(event.item for event in self.store.events())}
        has_new = self._embedder is not None and any(item not in is_known for item in self.things)
        self._new = NewItems(self.things.values(), is_known, self._embedder()) if self._embedder and has_new else None
        return recommender
