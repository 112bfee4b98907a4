"""Where something is: the statement that finds the place of a node which another search can look in.

Inside *Cypher* on a turn's path: "hotels near this one" needs the district, or the nearest landmark, of what is on the
table. Two searches share a slot such as `location` whose filters lead to the same labels; the path of the node's own
search is walked, and its end is a value of the slot.
"""

from __future__ import annotations

from pagoda.dialogue.cypher import names
from pagoda.dialogue.cypher.filters import ROOT, Clauses
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Filter, GraphQuery
from pagoda.dialogue.slots.kinds import NodeValue, stored_key
from pagoda.graph.schema import GraphSchema
from pagoda.graph.statement import KEY, NAME, Statement, named_statement


def shared_place(domain: Domain, intent: str, node: NodeValue) -> Filter | None:
    """The filter of the node's own search that leads to a place which the intent can look in; a whole area first."""
    own = next((each.query for each in domain.intents.values() if each.query and each.query.label == node.label), None)
    query = domain.intents[intent].query
    if own is None or query is None:
        return None
    # Of what two searches share only that is a place which things can be near to.
    located = {each.slot for each in (*own.filters, *query.filters) if each.operator == "near"}
    takes = {(each.slot, each.path[-1].label) for each in _places(query) if each.slot in located}
    shared = [each for each in _places(own) if (each.slot, each.path[-1].label) in takes]
    return min(shared, key=lambda each: each.operator == "near", default=None)


def compile_place(domain: Domain, place: Filter, node: NodeValue, schema: GraphSchema) -> Statement:
    """Key and names of the place, the nearest of several. Raises DomainError where the graph lacks what is named."""
    clauses = Clauses(node.label, domain.labels, schema)
    key = names.property_of(node.label, domain.labels[node.label].key, schema)
    clauses.conditions.append(f"{ROOT}.{key} = {clauses.bind('', stored_key(node.key))}")
    pattern = names.path(ROOT, node.label, place.path, "p", schema)
    row, label = len(place.path) - 1, domain.labels[place.path[-1].label]
    end, relation = f"p_{row}", f"p_r{row}"
    held = [(KEY, label.key), *((f"{NAME}_{language or 'zh'}", name) for language, name in label.names.items())]
    told = [f"{end}.{names.property_of(label.name, name, schema)} AS {alias}" for alias, name in held]
    away = names.relation_property(place.path[-1].relation, place.distance, schema) if place.distance else ""
    distance = [f"{relation}.{away} AS away"] if away else []
    by = "away, " if away else ""
    lines = [*clauses.matched(), f"MATCH {pattern}", f"RETURN DISTINCT {', '.join([*told, *distance])}"]
    lines += [f"ORDER BY {by}{KEY}", "LIMIT 1"]
    columns = (*(alias for alias, _ in held), *(["away"] if away else []))
    return named_statement(f"place.{node.label}", lines, clauses.parameters, columns)


def _places(query: GraphQuery) -> list[Filter]:
    return [each for each in query.filters if each.operator in ("node", "near") and each.path]
