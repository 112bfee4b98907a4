"""The recommender as it is kept in a folder and asked by many: model, people, things, all of one accord.

Above `recommender`, `folder` and `store`; under the command line and the server. A desk that is open finds a training's
new model, its things and its events at the next question, and what another process told the store; no question is lost:
one thread reads a model while the others go on with the old one. What a person tells is written to the store first,
then believed, then sent to the graph, one teller after the other, so that nothing that was told before a deletion comes
after it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError, InvalidParameterError, PagodaError
from pagoda.recommend.cold import Embed, NewItems, first_questions, with_new
from pagoda.recommend.data.city import EXAMPLE, read_city
from pagoda.recommend.data.interactions import in_unit
from pagoda.recommend.data.things import CatalogueItem, read_things
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.errors import RecommendStoreError
from pagoda.recommend.folder import CURRENT, PEOPLE, THINGS, current_model, load_model
from pagoda.recommend.paths import RecommendationGraph, Why
from pagoda.recommend.people import Audience, Person
from pagoda.recommend.recommendation import Recommendation
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.shown import ShownList, ShownWriter
from pagoda.recommend.store import EventStore, Refusal, StoredEvent

logger = logging.getLogger(__name__)
NEW_SHARE = 0.1
"""Of a list, at most, that items get which the model does not know."""


@dataclass
class _Served:
    """What answers are made of, exchanged as one.

    example: a person to begin with, of the invented city alone; holders: the desk and the answers that are being made
    of it, after the last of which its engine ends
    """

    name: str
    recommender: Recommender
    things: Mapping[str, CatalogueItem]
    new: NewItems | None
    example: str = ""
    holders: int = 1


class Desk:
    """Open over a folder that `set_up` filled. Threads may share it.

    Raises ConfigError where it was not filled, CheckpointError where its model is broken. What writes raises
    RecommendStoreError where the store cannot be written, and nothing has changed then.
    graph: gets what people do and are shown as edges, too, and is asked for paths; its errors are raised after the
        store has written, and the same told again is sent to it again
    owns_graph: closed with the desk
    embedder: makes what embeds texts, asked where things are described that the model does not know; they then take a
        tenth of a list, its end
    """

    def __init__(
        self,
        folder: Path,
        graph: RecommendationGraph | None = None,
        embedder: Callable[[], Embed] | None = None,
        *,
        owns_graph: bool = False,
    ) -> None:
        self.folder, self.graph, self._embedder, self._owns_graph = folder, graph, embedder, owns_graph
        # Writes wait for each other, from the store to the graph. `_lock` is held for moments: over memory, and while
        # new events are read, so that nobody who is forgotten meanwhile comes back with them.
        self._writes, self._lock, self._loading = threading.Lock(), threading.Lock(), threading.Lock()
        if not (folder / CURRENT).is_file():
            raise ConfigError(f"{folder} holds no recommender: run `pagoda recommend train` with --out {folder} first")
        self._people, self._seen = Audience(), 0
        self._stamp = _stamp(folder)
        self._in_graph: _Served | None = None
        self._served = self._load()
        with _closing_where_it_fails(self._served.recommender.close):
            self.store = EventStore(folder / PEOPLE)
            with _closing_where_it_fails(self.store.close):
                self._version, self._deletion = self.store.version(), self.store.mark.deletion
                self._take_up()
                self._take_up_blocks()
                self._follow()
        self._shown = ShownWriter(self._write_shown)

    def close(self) -> None:
        """Write what was shown and close the store; the model, once the answers that are being made are."""
        self._shown.close()
        self.store.close()
        self._let_go(self._served)
        if self.graph is not None and self._owns_graph:
            self.graph.close()

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._served.name

    @property
    def things(self) -> Mapping[str, CatalogueItem]:
        """What things are, by id."""
        return self._served.things

    def recommend(
        self, user: str, k: int = 10, *, history: Sequence[str] | None = None, limits: ListLimits | None = None
    ) -> list[Recommendation]:
        """As `Recommender.recommend`; of a `history` of ids, for somebody who is not to be known."""
        with self._answering() as served:
            if history is not None:
                return served.recommender.recommend_for(history, k, limits=limits)
            return self._recommended(served, user, k, limits)

    def _recommended(self, served: _Served, user: str, k: int, limits: ListLimits | None) -> list[Recommendation]:
        with self._lock:
            person, is_known = self._people.copy_of(user), user in self._people
        new = self._fitting(served, person, k, limits)
        counted = Counter(kind for one in new for kind in served.recommender.kinds(one.item))
        # A shop's now is that of its newest events, whenever this person came last.
        end = served.recommender.ensemble.end
        found = served.recommender.recommend_to(person, k - len(new), now=end, limits=limits, counted=counted)
        found = with_new(found, new, k, NEW_SHARE)
        if is_known:
            self._shown.put(ShownList(user, found, served.name))
        return found

    def _fitting(self, served: _Served, person: Person, k: int, limits: ListLimits | None) -> list[Recommendation]:
        """New items for a person, as many as there is room for, within the blocks and caps by kind."""
        room = int(k * NEW_SHARE)
        if served.new is None or room < 1:
            return []
        refused = [item for item in served.new.items if served.recommender.kinds(item) & person.blocked_kinds]
        counted: Counter[str] = Counter()
        fitting = []
        for one in served.new.recommend(person, len(served.new.items), refused):
            kinds = served.recommender.kinds(one.item)
            if limits is not None and limits.among is not None and one.item not in limits.among:
                continue
            if limits is None or not limits.per_kind or all(counted[kind] < limits.per_kind for kind in kinds):
                fitting.append(one)
                counted.update(kinds)
            if len(fitting) == room:
                break
        return fitting

    def welcome(self, user: str) -> None:
        """Keep what somebody is shown from now on, who may ask for its reasons and of whom nothing else is known."""
        with self._lock:
            self._people.welcome(user)

    def questions(self, count: int = 3) -> list[str]:
        """Items to ask a new person about."""
        with self._answering() as served:
            return first_questions(served.recommender, count)

    def record(self, events: Iterable[StoredEvent]) -> int:
        """Write events; how many were new. They count from the next question on.

        Times in seconds or milliseconds are kept in the unit of the log that was learned from.
        """
        unit = self._served.recommender.unit
        given = [
            StoredEvent(one.id, one.event._replace(timestamp=in_unit(one.event.timestamp, unit))) for one in events
        ]
        with self._writes:
            new = self.store.append(given)
            self._take_up()
            if self.graph is not None:
                # Known ones, too: the graph may have been away when they came first. An edge is there once.
                for event in self.store.of_ids([one.id for one in given]):
                    self.graph.note_rated(*event)
        return len(new)

    def block(self, block: Refusal) -> None:
        """Not this one, or not this kind, from the next question on."""
        with self._writes:
            self.store.block(block)
            with self._lock:
                self._people.block(block.user, item=block.item, kind=block.kind)
            if self.graph is not None:
                self.graph.note_refused(block)

    def unblock(self, block: Refusal) -> bool:
        """Take it back; whether there was such a block."""
        with self._writes:
            was_there = self.store.unblock(block)
            with self._lock:
                self._people.unblock(block.user, item=block.item, kind=block.kind)
            if self.graph is not None:
                self.graph.take_back(block)
        return was_there

    def last_shown(self, user: str) -> list[str]:
        """Items of the last list that a person was shown, in its order: what "the second one" may mean."""
        self._shown.flush()
        return self._asked_graph().last_shown(user)

    def why(self, user: str, item: str) -> Why | None:
        """Why this one: summands of the score as it was shown, and paths; None where this person was not shown it."""
        self._shown.flush()
        return self._asked_graph().why(user, item)

    def not_again(self, user: str, item: str, kind: str = "") -> Refusal:
        """Not this item again, or nothing of its `kind`; what `unblock` takes back.

        Raises InvalidParameterError for a kind that the item is not of.
        """
        own = [one.id for one in self.things[item].kinds] if item in self.things else []
        if kind and kind not in own:
            raise InvalidParameterError(
                f"{item} is not of the kind {kind!r}: expected one of {', '.join(own) or 'none, for it has none'}",
                param="kind",
            )
        refusal = Refusal(user, kind=kind) if kind else Refusal(user, item=item)
        self.block(refusal)
        return refusal

    def _asked_graph(self) -> RecommendationGraph:
        if self.graph is None:
            raise ConfigError("why something was shown is kept in a graph, and there is none: give the desk one")
        return self.graph

    def export(self, user: str) -> dict[str, list[dict[str, Any]]]:
        """Everything that is kept of a person."""
        self._shown.flush()
        return self.store.export(user)

    def forget(self, user: str) -> int:
        """Everything of a person is gone, from memory, files and graph; how many rows there were.

        Raises RecommendStoreError where the rows are gone and their bytes not yet: the same again takes these out.
        """
        with self._writes:
            count = self.store.delete(user)
            with self._lock:
                self._people.forget(user)
            try:
                if self.graph is not None:
                    self.graph.forget(user)
            finally:
                self.store.clean()
        return count

    def facts(self) -> dict[str, Any]:
        """What this desk works with."""
        with self._answering() as served:
            return {
                "model": served.name,
                "items": len(served.recommender.catalogue),
                "models": list(served.recommender.ensemble.names),
                "example": served.example,
            }

    def people(self) -> list[str]:
        """Ids of those who are known."""
        with self._lock:
            return list(self._people)

    def _write_shown(self, lists: Sequence[ShownList]) -> None:
        """Of people who did not leave since."""
        self._follow()
        with self._writes:
            with self._lock:
                lists = [one for one in lists if one.user in self._people]
            self.store.note_shown((one.user, item.item, one.model) for one in lists for item in one.found)
            if self.graph is not None:
                for one in lists:
                    self.graph.note_shown(one.user, one.found, one.model, one.at)

    def _follow(self) -> None:
        """Let the graph hold what the store does: at the beginning, after a training, and as another process writes."""
        served = self._served
        if self.graph is None or self._in_graph is served:
            return
        with self._writes:
            # Before, so that what another process tells meanwhile is followed the next time.
            self._in_graph = served
            try:
                self.graph.follow(self.store, served.things.values())
            except BaseException:
                self._in_graph = None
                raise

    def _take_up(self) -> None:
        """Believe the events that were written since, by this desk or by a training."""
        with self._lock:
            events, self._seen = self.store.events_after(self._seen)
            for event in events:
                self._people.add(event)

    def _take_up_blocks(self) -> None:
        with self._lock:
            self._people.unblock_all()
            for block in self.store.blocks():
                self._people.block(block.user, item=block.item, kind=block.kind)

    def _take_up_departures(self) -> None:
        """Whoever was deleted is as the store has them: not there, or back with what was told since."""
        with self._lock:
            for user in self.store.forgotten(self._people):
                self._people.forget(user)
                for event in self.store.events_of(user, self._seen):
                    self._people.add(event)

    def _look_for_told(self) -> None:
        """Where another process has written to the store, believe it, and let the graph follow."""
        try:
            version = self.store.version()
            if version in (None, self._version):
                return
            deletion = self.store.mark.deletion
            self._take_up()
            if deletion != self._deletion:
                self._take_up_departures()
            self._take_up_blocks()
        except RecommendStoreError as error:
            logger.warning("what another process has told waits until the store can be read: %s", error)
            return
        self._version, self._deletion, self._in_graph = version, deletion, None

    @contextmanager
    def _answering(self) -> Iterator[_Served]:
        """What answers now, the newest; it stays open until this answer is made."""
        self._look_for_newer()
        self._look_for_told()
        with self._lock:
            served = self._served
            served.holders += 1
        try:
            yield served
        finally:
            self._let_go(served)

    def _let_go(self, served: _Served) -> None:
        with self._lock:
            served.holders -= 1
            is_over = not served.holders
        if is_over:
            served.recommender.close()

    def _look_for_newer(self) -> None:
        """Where a training has written anew, one thread reads it and the others do not wait."""
        stamp = _stamp(self.folder)
        if stamp not in (None, self._stamp) and self._loading.acquire(blocking=False):
            try:
                self._renew(stamp)
            finally:
                self._loading.release()

    def _renew(self, stamp: tuple[int, int] | None) -> None:
        try:
            self._take_up()
            served = self._load()
        except RecommendStoreError as error:
            logger.warning("a new model waits until the events can be read: %s", error)
            return
        except (PagodaError, OSError, ValueError) as error:
            logger.error("a new model cannot be read, %s goes on answering: %s", self.model, error)
        else:
            with self._lock:
                before, self._served = self._served, served
            self._let_go(before)
        self._stamp = stamp  # a broken one is told once, and not read again

    def _load(self) -> _Served:
        name = current_model(self.folder)
        recommender = load_model(self.folder / name, self._people)
        with _closing_where_it_fails(recommender.close):
            return self._described(name, recommender)

    def _described(self, name: str, recommender: Recommender) -> _Served:
        things = read_things(self.folder / THINGS)
        recommender.describe({thing.id: [kind.id for kind in thing.kinds] for thing in things.values()})
        known = set(recommender.catalogue)
        has_new = self._embedder is not None and any(item not in known for item in things)
        new = NewItems(things.values(), known, self._embedder()) if self._embedder and has_new else None
        is_city = bool(things) and things.keys() <= {thing.id for thing in read_city().things}
        return _Served(name, recommender, things, new, EXAMPLE if is_city else "")


@contextmanager
def _closing_where_it_fails(close: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        close()
        raise


def _stamp(folder: Path) -> tuple[int, int] | None:
    """By which a new `model.json` is told from the one before; None where there is none just now."""
    try:
        found = os.stat(folder / CURRENT)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
