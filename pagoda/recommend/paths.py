"""Reasons as paths in a graph, shown only where the graph has them; what was shown and refused is written back.

Beside the score. (:Person)-[:RATED]->(:Item)-[:HAS]->(:Kind): two things that share a kind, two things that the same
people took. A path is asked of the graph when it is to be shown, with counts from its rows, and only between the item
and past things that add to its score: a path that adds nothing would be a story. What was shown is an edge with the
summands of its score, and a refusal is one, so that a dialogue can answer "why this one?" and "not this kind again".
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pagoda.graph.graph import Graph
from pagoda.graph.loading import BATCH_ROWS, GraphData, NodeTable, RelationTable, merge
from pagoda.graph.schema import LOAD_LABEL
from pagoda.recommend.data.interactions import Interaction, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, KindOfThing
from pagoda.recommend.recommendation import MOST_REASONS, Reason, Recommendation
from pagoda.recommend.store import EventStore, Refusal, StoreMark

_SHARED = (
    "MATCH (p:Person {id: $user})-[:RATED]->(past:Item)-[:HAS]->(k:Kind)<-[:HAS]-(i:Item {id: $item}) "
    "WHERE past.id IN $past RETURN past.id AS past, k.id AS kind ORDER BY past, kind"
)
_TOGETHER = (
    "MATCH (past:Item)<-[:RATED]-(o:Person)-[:RATED]->(i:Item {id: $item}) WHERE past.id IN $past AND o.id <> $user "
    "RETURN past.id AS past, count(DISTINCT o.id) AS people ORDER BY past"
)
_TAKEN = "MATCH (o:Person)-[:RATED]->(i:Item {id: $item}) WHERE o.id <> $user RETURN count(DISTINCT o.id) AS people"
_SHOWN = (
    "MERGE (p:Person {id: $user}) WITH p UNWIND $rows AS row MATCH (i:Item {id: row.item}) "
    "MERGE (p)-[r:RECOMMENDED]->(i) SET r.score = row.score, r.model = $model, r.at = $at, r.place = row.place, "
    "r.kinds = row.kinds, r.items = row.items, r.values = row.values"
)
_LAST = (
    "MATCH (p:Person {id: $user})-[r:RECOMMENDED]->(i:Item) RETURN i.id AS item, r.at AS at, r.place AS place "
    "ORDER BY at DESC, place LIMIT 1000"
)
_WHY = (
    "MATCH (p:Person {id: $user})-[r:RECOMMENDED]->(i:Item {id: $item}) RETURN r.score AS score, r.model AS model, "
    "r.kinds AS kinds, r.items AS items, r.values AS values"
)
_KINDS = "MATCH (i:Item {id: $item})-[:HAS]->(k:Kind) RETURN k.id AS kind ORDER BY kind"
_PEOPLE = "MATCH (p:Person) RETURN p.id AS id"
_REFUSED = "MATCH (p:Person)-[:REFUSES]->(x:{label}) RETURN p.id AS user, x.id AS key"
_HELD = (
    f"MATCH (n:{LOAD_LABEL} {{id: $id}}) "
    "RETURN n.event AS event, n.digest AS digest, n.deletion AS deletion, n.things AS things"
)
_NOTE_HELD = (
    f"MERGE (n:{LOAD_LABEL} {{id: $id}}) "
    "SET n.event = $event, n.digest = $digest, n.deletion = $deletion, n.things = $things"
)
_OTHERS_HELD = f"MATCH (n:{LOAD_LABEL}) WHERE n.id STARTS WITH 'recommend:' AND n.id <> $id DELETE n"
_UNRATE = "UNWIND $users AS user MATCH (p:Person {id: user})-[r:RATED]->(i:Item) DELETE r"
_RATED = (
    "MERGE (p:Person {id: $user}) WITH p MATCH (i:Item {id: $item}) "
    "MERGE (p)-[r:RATED]->(i) SET r.timestamp = $timestamp"
)
_LOOKED_AT = 5
"""Past things of the largest contributions, between which and the item paths are asked for."""


@dataclass(frozen=True)
class ReasonPath:
    """From a past thing to the item: over a kind that both have, or over so many other people who took both."""

    past: str
    kind: str = ""
    people: int = 0


@dataclass(frozen=True)
class Why:
    """An item that somebody was shown: what its score was made of then, and what the graph holds of it now.

    recommendation: with the largest reasons, all others as one; model: that answered
    kinds: of the item, those that it shares with the most past things first
    takers: how many other people took the item
    """

    recommendation: Recommendation
    model: str
    paths: tuple[ReasonPath, ...]
    kinds: tuple[str, ...]
    takers: int = 0


@dataclass(frozen=True)
class _Held:
    """What a graph holds of a store: what was written up to a mark (None: nothing), things of a digest."""

    mark: StoreMark | None = None
    things: str = ""


_UNKNOWN = StoreMark(-1)


class RecommendationGraph:
    """Over any Graph. Raises what `Graph.read` and `Graph.write` raise."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def follow(self, store: EventStore, things: Iterable[CatalogueItem]) -> None:
        """Hold what a store holds, whatever happened while the graph was away: events, refusals, nobody who left.

        What it holds already is told by a mark in the graph, so that only what was written since is put in. A store
        that does not know the mark was put back from a backup: what the graph has of people is brought down to it.
        """
        known = {thing.id: thing for thing in things}
        told = hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()[:16]
        held, now = self._held(store), store.mark
        if held.mark is not None and not store.knows(held.mark):
            self._take_down(store)
            held = _Held(things=held.things)
        events, _ = store.events_after(held.mark.event if held.mark else 0)
        if held.mark is None or held.mark.deletion != now.deletion:
            events = [*self._without_gone(store), *events]
        log = InteractionLog.of(events)
        described = known.values() if held.things != told else [known[item] for item in log.items if item in known]
        if log.users or held.things != told:
            merge(self._graph, graph_data(log, described))
            self._graph.schema(refresh=True)
        self._follow_refusals(store.blocks())
        self._note_held(store, _Held(now, told), held)

    def _held(self, store: EventStore) -> _Held:
        rows = self._graph.read(_HELD, {"id": _mark_of(store)})
        if not rows:
            return _Held()
        row = rows[0]
        # A mark of the version before has no digest; no store knows this one.
        mark = _UNKNOWN if row["digest"] is None else StoreMark(row["event"], row["digest"], row["deletion"])
        return _Held(mark, row["things"])

    def _note_held(self, store: EventStore, now: _Held, before: _Held) -> None:
        if now != before and now.mark is not None:
            self._graph.write(_NOTE_HELD, {"id": _mark_of(store), **asdict(now.mark), "things": now.things})

    def _take_down(self, store: EventStore) -> None:
        """Nobody of whom the store has nothing, and no events; other stores of this graph put theirs in again."""
        people = [row["id"] for row in self._graph.read(_PEOPLE)]
        self._graph.write(_OTHERS_HELD, {"id": _mark_of(store)})
        strangers = store.strangers(people)
        for user in strangers:
            self.forget(user)
        kept = [user for user in people if user not in strangers]
        for start in range(0, len(kept), BATCH_ROWS):
            self._graph.write(_UNRATE, {"users": kept[start : start + BATCH_ROWS]})

    def _without_gone(self, store: EventStore) -> list[Interaction]:
        """Forget who was deleted; events of those who came back since."""
        back = []
        for user in store.forgotten([row["id"] for row in self._graph.read(_PEOPLE)]):
            self.forget(user)
            back += [Interaction(user, row["item"], row["timestamp"]) for row in store.export(user)["event"]]
        return back

    def _follow_refusals(self, refusals: Sequence[Refusal]) -> None:
        there = {Refusal(row["user"], item=row["key"]) for row in self._graph.read(_REFUSED.format(label="Item"))}
        there |= {Refusal(row["user"], kind=row["key"]) for row in self._graph.read(_REFUSED.format(label="Kind"))}
        for one in there - set(refusals):
            self.take_back(one)
        for one in set(refusals) - there:
            self.note_refused(one)

    def close(self) -> None:
        """Close the graph."""
        self._graph.close()

    def last_shown(self, user: str) -> list[str]:
        """Items of a person's last list, in its order; none where there was no list."""
        rows = self._graph.read(_LAST, {"user": user})
        return [row["item"] for row in rows if row["at"] == rows[0]["at"]]

    def why(self, user: str, item: str) -> Why | None:
        """Of an item that a person was shown; None where it was not."""
        rows = self._graph.read(_WHY, {"user": user, "item": item})
        if not rows:
            return None
        told = rows[0]
        reasons = tuple(
            Reason(kind, value, past)
            for kind, value, past in zip(told["kinds"], told["values"], told["items"], strict=True)
        )
        one = Recommendation(item, told["score"], reasons)
        paths = tuple(self.paths(user, one))
        counts = Counter(path.kind for path in paths if path.kind)
        kinds = [row["kind"] for row in self._graph.read(_KINDS, {"item": item})]
        kinds = sorted(kinds, key=lambda kind: -counts[kind])
        return Why(one, told["model"], paths, tuple(kinds), self._num_takers(user, item))

    def paths(self, user: str, one: Recommendation) -> list[ReasonPath]:
        """What the graph holds between the item and the past things that speak for it the most."""
        past = list(one.because)[:_LOOKED_AT]
        given = {"user": user, "item": one.item, "past": past}
        if not past:
            return []
        shared = [ReasonPath(row["past"], kind=row["kind"]) for row in self._graph.read(_SHARED, given)]
        together = [ReasonPath(row["past"], people=row["people"]) for row in self._graph.read(_TOGETHER, given)]
        return shared + together

    def _num_takers(self, user: str, item: str) -> int:
        rows = self._graph.read(_TAKEN, {"user": user, "item": item})
        return int(rows[0]["people"]) if rows else 0

    def note_shown(self, user: str, shown: Sequence[Recommendation], model: str, at: float = 0.0) -> None:
        """RECOMMENDED edges with place, score, summands and model; a later list of the same item takes the edge over.

        at: larger for each list than for the one before
        """
        rows = [_row(place, one) for place, one in enumerate(shown)]
        self._graph.write(_SHOWN, {"user": user, "rows": rows, "model": model, "at": at})

    def note_rated(self, user: str, item: str, timestamp: float) -> None:
        """An event."""
        self._graph.write(_RATED, {"user": user, "item": item, "timestamp": timestamp})

    def note_refused(self, refusal: Refusal) -> None:
        """A REFUSES edge to the item or the kind."""
        label, key = ("Item", refusal.item) if refusal.item else ("Kind", refusal.kind)
        self._graph.write(
            f"MERGE (p:Person {{id: $user}}) WITH p MATCH (x:{label} {{id: $key}}) MERGE (p)-[:REFUSES]->(x)",
            {"user": refusal.user, "key": key},
        )

    def take_back(self, refusal: Refusal) -> None:
        """Without that edge."""
        label, key = ("Item", refusal.item) if refusal.item else ("Kind", refusal.kind)
        self._graph.write(
            f"MATCH (p:Person {{id: $user}})-[r:REFUSES]->(x:{label} {{id: $key}}) DELETE r",
            {"user": refusal.user, "key": key},
        )

    def forget(self, user: str) -> None:
        """The person with all edges."""
        self._graph.write("MATCH (p:Person {id: $user}) DETACH DELETE p", {"user": user})


def _mark_of(store: EventStore) -> str:
    return f"recommend:{store.name}"


def _row(place: int, one: Recommendation) -> dict[str, Any]:
    reasons = one.largest(MOST_REASONS)
    return {
        "item": one.item, "place": place, "score": one.score, "kinds": [reason.kind for reason in reasons],
        "items": [reason.item for reason in reasons], "values": [reason.value for reason in reasons],
    }  # fmt: skip


def graph_data(log: InteractionLog, things: Iterable[CatalogueItem]) -> GraphData:
    """Nodes and relations of a log; of an event that came twice, the last time counts."""
    known = {thing.id: thing for thing in things}
    items = [known.get(item, CatalogueItem(item, item, item)) for item in dict.fromkeys((*log.items, *known))]
    kinds: Mapping[str, KindOfThing] = {kind.id: kind for thing in items for kind in thing.kinds}
    rated = {(event.user, event.item): {"timestamp": event.timestamp} for event in log.events()}
    named = [{"id": thing.id, "name": thing.name, "name_en": thing.name_en} for thing in items]
    named_kinds = [{"id": kind.id, "name": kind.name, "name_en": kind.name_en} for kind in kinds.values()]
    nodes = [
        NodeTable("Person", [{"id": user} for user in log.users]),
        NodeTable("Item", named),
        NodeTable("Kind", named_kinds),
    ]
    relations = [
        RelationTable("RATED", "Person", "Item", [(*pair, told) for pair, told in rated.items()]),
        RelationTable("HAS", "Item", "Kind", [(thing.id, kind.id, {}) for thing in items for kind in thing.kinds]),
    ]
    return GraphData(nodes, relations)
