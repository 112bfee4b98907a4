"""What the shipped city and its domain say, looked up without the graph: names, properties of nodes, bands, slots.

Beside a turn's path: labels name nodes by their names, and a reply that tells a property is held against the city's
own file, so that the judge asks nothing of the code that it judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Column, Step

Ends = tuple[float | None, float | None]


class Town:
    """Names and properties of the shipped city, read with the eyes of its domain."""

    def __init__(self) -> None:
        self.domain = Domain.load()
        data = city()
        self._node: dict[str, Mapping[str, Any]] = {}
        self._label: dict[str, str] = {}
        for table in data.nodes:
            for row in table.rows:
                self._node[row["id"]], self._label[row["id"]] = row, table.label
        self._named = (self._by_name(self.names), self._by_name(self._aliases))
        self._next: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
        for relation in data.relations:
            for source, target, _ in relation.rows:
                self._next[source, relation.type, True].append(target)
                self._next[target, relation.type, False].append(source)

    def key(self, name: str, labels: Sequence[str] = ()) -> str:
        """The key of the node with that name, its own names before aliases. Raises ValueError for none or several."""
        wanted = name.replace("_", " ").casefold()
        for named in self._named:
            found = {key for key in named.get(wanted, ()) if not labels or self._label[key] in labels}
            if found:
                break
        if len(found) != 1:
            raise ValueError(f"{name!r} names {len(found)} nodes of {', '.join(labels) or 'the city'}: expected one")
        return found.pop()

    def _by_name(self, spellings: Callable[[str], list[str]]) -> Mapping[str, set[str]]:
        named: dict[str, set[str]] = defaultdict(set)
        for key in self._node:
            for each in spellings(key):
                named[each.casefold()].add(key)
        return named

    def __contains__(self, key: str) -> bool:
        """Whether a node has that key."""
        return key in self._node

    def names(self, key: str) -> list[str]:
        """Of a node, in both languages."""
        row = self._node[key]
        return [row[each] for each in ("name", "name_en") if row.get(each)]

    def spellings(self, key: str) -> list[str]:
        """Names and aliases."""
        return [*self.names(key), *self._aliases(key)]

    def _aliases(self, key: str) -> list[str]:
        return list(self._node[key].get("aliases", ()))

    def task_of(self, key: str) -> str:
        """The intent that looks for nodes like this one, "" where none does."""
        tasks = (i.name for i in self.domain.intents.values() if i.query and i.query.label == self._label[key])
        return next(tasks, "")

    def has_column(self, task: str, column: str) -> bool:
        """Whether a result of the task can be asked for it."""
        query = self.domain.intents[task].query if task in self.domain.intents else None
        return query is not None and query.column(column) is not None

    def told(self, key: str, column: str) -> list[str]:
        """What a reply may say when a node is asked for a property: one of these; [] where the city says nothing."""
        query = self.domain.intents[self.task_of(key)].query
        declared = query.column(column) if query else None
        if declared is None:
            return []
        values = [value for end in self._ends(key, declared.path) for value in self._values(end, declared)]
        return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]

    def _values(self, key: str, column: Column) -> list[Any]:
        row = self._node[key]
        return [row[each] for each in set(column.property.values()) if row.get(each) is not None]

    def _ends(self, key: str, path: Sequence[Step]) -> list[str]:
        keys = [key]
        for step in path:
            keys = [end for each in keys for end in self._next[each, step.relation, step.is_outward]]
        return keys

    def band(self, task: str, slot: str, name: str) -> Ends | None:
        """What a band means for a task, None where it means nothing there."""
        query = self.domain.intents[task].query if task in self.domain.intents else None
        filters = query.filters if query else ()
        return next((each.bands[name] for each in filters if each.slot == slot and name in each.bands), None)

    def band_words(self, slot: str, name: str) -> list[str]:
        """Spellings of a band in both languages."""
        return [word for words in self.domain.slots[slot].bands.get(name, {}).values() for word in words]

    def knows(self, task: str, slot: str) -> bool:
        """Whether the task has that slot."""
        return task in self.domain.intents and slot in self.domain.intents[task].slots
