"""Belief state from dialogue acts, by rules: what the user wants of each domain, turn by turn.

Second station of a turn: acts -> *belief state* -> query -> reply. The system knows its own acts and its database, so
it sees when it has itself given up a wish: an entity was offered that does not meet it. The idea of rule tracking over
acts is that of CrossWOZ's RuleDST (Zhu et al. 2020, arXiv 2002.11893); the rules are our own. Pure: a belief is never
changed, a new one is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pagoda.dialogue.dialogue_acts.act_ontology import ActOntology, DialogueAct, Slot
from pagoda.dialogue.dialogue_acts.act_quantities import QuantityReader

Values = tuple[str, ...]
"""What a slot holds: one text, or several where the slot is a list."""
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Belief:
    """slots: {(domain, slot): values}; current: {domain: entity that is spoken of}; named: (domain, name) that the
    system has given"""

    slots: Mapping[Slot, Values] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[Slot] = frozenset()

    def plain(self) -> dict[str, dict[str, str]]:
        """{domain: {slot: text}}, several values joined by a space."""
        state: dict[str, dict[str, str]] = {}
        for (domain, slot), values in self.slots.items():
            state.setdefault(domain, {})[slot] = " ".join(values)
        return state

    def without_domain(self, domain: str) -> Belief:
        """Nothing wished of the domain."""
        return replace(self, slots={slot: values for slot, values in self.slots.items() if slot[0] != domain})

    def holding(self, slot: Slot, values: Values) -> Belief:
        """With these values."""
        return replace(self, slots={**self.slots, slot: values})

    def speaking_of(self, domain: str, name: str) -> Belief:
        """With this entity as the domain's current one."""
        return replace(self, current={**self.current, domain: name})


class ActTracker:
    """Folds acts into a belief.

    records: {domain: records of its database}; without them the system's offers withdraw nothing
    """

    def __init__(self, ontology: ActOntology, records: Mapping[str, Iterable[Record]] | None = None) -> None:
        self._ontology = ontology
        self._records = {(domain, row[ontology.name]): row for domain, rows in (records or {}).items() for row in rows}
        self._reader = QuantityReader(ontology.quantities, {})

    def belief(self, state: Mapping[str, Mapping[str, str]], before: Belief | None = None) -> Belief:
        """A belief from a state in plain form; what is remembered beside the slots is taken from `before`."""
        slots: dict[Slot, Values] = {}
        for domain, held in state.items():
            for slot, text in held.items():
                slots[domain, slot] = tuple(text.split()) if self._is_list(slot) else (text,)
        return replace(before or Belief(), slots=slots)

    def update(self, belief: Belief, system_acts: Sequence[DialogueAct], user_acts: Sequence[DialogueAct]) -> Belief:
        """The belief after what the system said last and what the user now says."""
        after = self._after_system(belief, system_acts)
        wishes = self._wishes(after, system_acts, user_acts)
        for act in user_acts:
            if act[0] == self._ontology.select_act and act[2] == self._ontology.select_slot:
                after = self._select(after, act[1], act[3], user_acts)
        for domain in self._searched_again(after, wishes):
            after = after.without_domain(domain)
        return self._fold(after, wishes, {act[3] for act in user_acts if act[0] == self._ontology.select_act})

    def _after_system(self, belief: Belief, acts: Sequence[DialogueAct]) -> Belief:
        """Wishes that the system gave up, and the names it gave."""
        told = {(domain, self._ontology.base(slot)): value for _, domain, slot, value in acts}
        for domain, names in self._offered(acts).items():
            belief = self._withdraw(belief, domain, names, told)
            belief = replace(belief, named=belief.named | {(domain, name) for name in names})
            belief = belief.speaking_of(domain, names[0]) if len(names) == 1 else belief
        for act, domain, _, _ in acts:
            informed = any(kind == self._ontology.inform and where == domain for kind, where, _, _ in acts)
            if act == self._ontology.nothing_found and not informed:
                belief = belief.without_domain(domain)
        return belief

    def _offered(self, acts: Sequence[DialogueAct]) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for act, domain, slot, value in acts:
            if act in self._ontology.offer_acts and slot == self._ontology.name:
                names.setdefault(domain, []).append(value)
        return names

    def _withdraw(self, belief: Belief, domain: str, names: Sequence[str], told: Mapping[Slot, str]) -> Belief:
        """Without the wishes that none of the offered entities meets. told: {slot: what the system said of it}"""
        found = [self._records[domain, name] for name in names if (domain, name) in self._records]
        if not found:
            return belief
        kept = {
            slot: values
            for slot, values in belief.slots.items()
            if slot[0] != domain or any(self._meets(row, slot[1], values, told.get(slot, "")) for row in found)
        }
        return replace(belief, slots=kept)

    def _meets(self, record: Record, slot: str, values: Values, told: str) -> bool:
        """Whether an entity is as wished; one of which the database knows nothing is not.

        A list is seldom complete, and a stretch of time seldom the same: there the system must have said another.
        """
        held = record.get(slot)
        if slot == self._ontology.name or (self._is_list(slot) and not told):
            return True
        if isinstance(held, list):
            return set(values) <= set(held)
        if isinstance(held, int | float) and not isinstance(held, bool):
            return self._within(float(held), slot, values[0])
        if isinstance(held, str) and slot in self._ontology.quantities:
            return not told or told == values[0]
        return isinstance(held, str) and values[0] in held

    def _within(self, number: float, slot: str, wish: str) -> bool:
        exact = self._ontology.numbers.get(slot, {}).get(wish)
        if exact is not None:
            return number == exact
        for found in self._reader.find(wish):
            quantity = found.quantity
            if quantity.bound == "above":
                return number >= quantity.low
            if quantity.bound == "below":
                return number <= quantity.high
            return quantity.low <= number <= quantity.high
        return True

    def _wishes(
        self, belief: Belief, system_acts: Sequence[DialogueAct], acts: Sequence[DialogueAct]
    ) -> list[DialogueAct]:
        """The user's acts without what is asked of an entity that the system has named: "is it five stars?" """
        searched = {
            domain
            for act, domain, slot, _ in acts
            if act == self._ontology.select_act or (act == self._ontology.request and slot == self._ontology.name)
        }
        asked_of = {
            domain
            for act, domain, slot, value in acts
            if act == self._ontology.inform and slot == self._ontology.name and (domain, value) in belief.named
        } - searched
        return [
            act
            for act in acts
            if not (act[0] == self._ontology.inform and act[1] in asked_of and act[2] != self._ontology.name)
        ]

    def _searched_again(self, belief: Belief, acts: Sequence[DialogueAct]) -> set[str]:
        """Domains of which another entity is sought, with new wishes."""
        wished = {a[1] for a in acts if a[0] == self._ontology.inform and a[2] != self._ontology.name}
        named = {a[1] for a in acts if a[0] == self._ontology.request and a[2] == self._ontology.name}
        selected = {a[1] for a in acts if a[0] == self._ontology.select_act}
        return {domain for domain in (wished & named) - selected if belief.current.get(domain)}

    def _select(self, belief: Belief, domain: str, source: str, acts: Sequence[DialogueAct]) -> Belief:
        """A search near an entity: the one named in this turn, else the one that is spoken of."""
        said = [
            v
            for act, where, slot, v in acts
            if (act, where, slot) == (self._ontology.inform, source, self._ontology.name)
        ]
        held = belief.slots.get((source, self._ontology.name), ("",))
        name = said[0] if said else belief.current.get(source) or held[0]
        if domain == source or any(where == domain for where, _ in belief.named):
            belief = belief.without_domain(domain)
        relation = self._ontology.relation_to(source)
        return belief.holding((domain, relation), (name,)) if name and relation else belief

    def _fold(self, belief: Belief, acts: Sequence[DialogueAct], sources: set[str]) -> Belief:
        lists: dict[Slot, Values] = {}
        for act, domain, slot, value in acts:
            if act != self._ontology.inform:
                continue
            base = self._ontology.base(slot)
            if base == self._ontology.name:
                belief = self._name(belief, domain, value, is_source=domain in sources)
            elif base in self._ontology.flags:
                if value == self._ontology.flags[base]:
                    said = self._ontology.value((act, domain, slot, value))
                    lists[domain, base] = (*lists.get((domain, base), ()), said)
            elif self._is_list(base):
                lists[domain, base] = (*lists.get((domain, base), ()), value)
            else:
                belief = belief.holding((domain, base), (self._ontology.in_state(base, value),))
        return replace(belief, slots={**belief.slots, **lists})

    def _name(self, belief: Belief, domain: str, name: str, *, is_source: bool) -> Belief:
        """A name that the user brings up is a wish; one that the system gave, or that a search starts from, is none."""
        if is_source or (domain, name) in belief.named:
            return belief.speaking_of(domain, name)
        return belief.without_domain(domain).holding((domain, self._ontology.name), (name,)).speaking_of(domain, name)

    def _is_list(self, slot: str) -> bool:
        return slot in self._ontology.lists or slot in self._ontology.flags
