"""Belief state from dialogue acts, by rules: what the user wants of each domain, turn by turn.

Second station of a turn: acts -> *belief state* -> query -> reply. The system knows its own acts and its database, so
it sees when it has itself given up a wish: an entity was offered that does not meet it. The idea of rule tracking over
acts is that of CrossWOZ's RuleDST (Zhu et al. 2020, arXiv 2002.11893); the rules are our own. Pure: a belief is never
changed, a new one is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crosswoz.context import spoken_of
from crosswoz.offers import OfferCheck, Record, Values
from crosswoz.ontology import ActOntology, DialogueAct, Slot


@dataclass(frozen=True)
class Belief:
    """slots: {(domain, slot): values}; current: {domain: entity that is spoken of}; named: (domain, name) that the
    system has given; domain: what the user spoke of last"""

    slots: Mapping[Slot, Values] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[Slot] = frozenset()
    domain: str = ""

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
        self._offers = OfferCheck(ontology, records or {})

    def belief(self, state: Mapping[str, Mapping[str, str]], before: Belief | None = None) -> Belief:
        """A belief from a state in plain form; what is remembered beside the slots is taken from `before`."""
        slots: dict[Slot, Values] = {}
        for domain, held in state.items():
            for slot, text in held.items():
                slots[domain, slot] = tuple(text.split()) if self._is_list(slot) else (text,)
        return replace(before or Belief(), slots=slots)

    def update(
        self, belief: Belief, system_acts: Sequence[DialogueAct], user_acts: Sequence[DialogueAct], text: str = ""
    ) -> Belief:
        """The belief after what the system said last and what the user now says. text: the user's, "" if unknown"""
        after = self._after_system(belief, system_acts)
        wishes = self._wishes(after, system_acts, user_acts, text)
        for act in user_acts:
            if act[0] == self._ontology.select_act and act[2] == self._ontology.select_slot:
                after = self._select(after, act[1], act[3], user_acts)
        for domain in self._searched_again(after, wishes) - self._first_offered(belief, system_acts):
            after = after.without_domain(domain)
        after = self._fold(after, wishes, {act[3] for act in user_acts if act[0] == self._ontology.select_act})
        return replace(after, domain=spoken_of(self._ontology, user_acts) or belief.domain)

    def _after_system(self, belief: Belief, acts: Sequence[DialogueAct]) -> Belief:
        """Without the wishes that the system gave up, with the names it gave."""
        offered = self._offered(acts)
        told = {(domain, self._ontology.base(slot)) for _, domain, slot, _ in acts}
        for domain, name in belief.current.items():
            if domain not in offered:
                belief = replace(belief, slots=self._offers.left(belief.slots, domain, [name], told))
        for domain, names in offered.items():
            belief = replace(
                belief,
                slots=self._offers.left(belief.slots, domain, names),
                named=belief.named | {(domain, name) for name in names},
            )
            belief = belief.speaking_of(domain, names[0]) if len(names) == 1 else belief
        for domain in self._without_results(acts):
            belief = belief.without_domain(domain)
        return belief

    def _without_results(self, acts: Sequence[DialogueAct]) -> set[str]:
        """Domains in which nothing was found and nothing else offered."""
        informed = {domain for act, domain, _, _ in acts if act in self._ontology.offer_acts}
        return {domain for act, domain, _, _ in acts if act == self._ontology.nothing_found} - informed

    def _offered(self, acts: Sequence[DialogueAct]) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for act, domain, slot, value in acts:
            if act in self._ontology.offer_acts and slot == self._ontology.name:
                names.setdefault(domain, []).append(value)
        return names

    def _wishes(
        self, belief: Belief, system_acts: Sequence[DialogueAct], acts: Sequence[DialogueAct], text: str
    ) -> list[DialogueAct]:
        """The user's acts without what is only asked of an entity and without a flag's word read as a name: 酒吧."""
        asked_of = self._asked_of(belief, system_acts, acts, text)
        flags = {self._ontology.value(act) for act in acts if self._ontology.base(act[2]) in self._ontology.flags}
        names = [act for act in acts if act[2] == self._ontology.name and act[3] in flags]
        return [act for act in acts if act not in names and not (self._is_wish(act) and act[1] in asked_of)]

    def _asked_of(
        self, belief: Belief, system_acts: Sequence[DialogueAct], acts: Sequence[DialogueAct], text: str
    ) -> set[str]:
        """Domains of whose entity is asked "is it five stars?": the one spoken of, or one named again."""
        searched = {
            domain
            for act, domain, slot, _ in acts
            if act == self._ontology.select_act or (act == self._ontology.request and slot == self._ontology.name)
        }
        asked = {
            domain
            for act, domain, slot, value in acts
            if act == self._ontology.inform and slot == self._ontology.name and (domain, value) in belief.named
        }
        is_one = len(self._offered(system_acts).get(belief.domain, ())) <= 1
        if self._ontology.only_asks(text) and belief.domain in belief.current and is_one:
            asked.add(belief.domain)
        return asked - searched

    def _is_wish(self, act: DialogueAct) -> bool:
        return act[0] == self._ontology.inform and act[2] != self._ontology.name

    def _searched_again(self, belief: Belief, acts: Sequence[DialogueAct]) -> set[str]:
        """Domains of which another entity is sought, with new wishes: one is asked for, or talk is of it again."""
        wished = {act[1] for act in acts if self._is_wish(act)}
        named = {a[1] for a in acts if a[0] == self._ontology.request and a[2] == self._ontology.name}
        selected = {a[1] for a in acts if a[0] == self._ontology.select_act}
        again = {domain for domain in wished if domain in named or domain != belief.domain}
        return {domain for domain in again - selected if belief.current.get(domain)}

    def _first_offered(self, belief: Belief, acts: Sequence[DialogueAct]) -> set[str]:
        """Domains of which the system has just named something new: a wish that follows narrows the same search."""
        return {
            domain
            for domain, names in self._offered(acts).items()
            if any((domain, name) not in belief.named for name in names)
        }

    def _select(self, belief: Belief, domain: str, source: str, acts: Sequence[DialogueAct]) -> Belief:
        """A search near an entity: the one named in this turn, else the one that is spoken of."""
        said = [
            v
            for act, where, slot, v in acts
            if (act, where, slot) == (self._ontology.inform, source, self._ontology.name)
        ]
        held = belief.slots.get((source, self._ontology.name), ("",))
        name = said[0] if said else belief.current.get(source) or held[0]
        is_named = (domain, self._ontology.name) in belief.slots or any(where == domain for where, _ in belief.named)
        if domain == source or is_named:
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
