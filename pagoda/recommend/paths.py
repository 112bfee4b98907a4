"""Reasons as paths in a graph, shown only where the graph has them; what was shown and refused is written back.

Beside the score. (:Person)-[:RATED]->(:Item)-[:HAS]->(:Kind): two things that share a kind, two things that the same
people took. A path is asked of the graph when it is to be shown, with counts from its rows, and only between the item
and past things that add to its score: a path that adds nothing would be a story. Recommendations and refusals are
edges, so that a dialogue over the same graph can answer "why this one?".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pagoda.graph.graph import Graph
from pagoda.graph.loading import GraphData, NodeTable, RelationTable, load
from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.data.things import CatalogueItem, KindOfThing
from pagoda.recommend.recommendation import Recommendation
from pagoda.recommend.store import Refusal

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
    "UNWIND $rows AS row MATCH (p:Person {id: $user}) MATCH (i:Item {id: row.item}) "
    "MERGE (p)-[r:RECOMMENDED]->(i) SET r.score = row.score, r.model = $model"
)
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


class RecommendationGraph:
    """Over any Graph. Raises what `Graph.read` and `Graph.write` raise."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def fill(
        self, log: InteractionLog, things: Iterable[CatalogueItem], tell: Callable[[int, int], None] | None = None
    ) -> None:
        """Put people, items and kinds in; the same again changes nothing."""
        load(self._graph, graph_data(log, things), tell)

    def paths(self, user: str, one: Recommendation) -> list[ReasonPath]:
        """What the graph holds between the item and the past things that speak for it the most."""
        past = list(one.because)[:_LOOKED_AT]
        given = {"user": user, "item": one.item, "past": past}
        if not past:
            return []
        shared = [ReasonPath(row["past"], kind=row["kind"]) for row in self._graph.read(_SHARED, given)]
        together = [ReasonPath(row["past"], people=row["people"]) for row in self._graph.read(_TOGETHER, given)]
        return shared + together

    def num_takers(self, user: str, item: str) -> int:
        """How many other people took an item."""
        rows = self._graph.read(_TAKEN, {"user": user, "item": item})
        return int(rows[0]["people"]) if rows else 0

    def note_shown(self, user: str, shown: Sequence[Recommendation], model: str) -> None:
        """RECOMMENDED edges with score and model; a later list of the same item takes the edge over."""
        rows = [{"item": one.item, "score": one.score} for one in shown]
        self._graph.write(_SHOWN, {"user": user, "rows": rows, "model": model})

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
