"""Which results a sentence chooses among: "those near it with four stars" searches a domain near an entity of another.

First station of a turn, *sentence -> acts*. That a sentence chooses is learnt as one act for all domains, since few
sentences choose and pairs of domains are many; which domains it is about follows from its other acts and from what the
system has just listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crosswoz.context import ActContext
from crosswoz.ontology import ActOntology, DialogueAct


def without_domains(ontology: ActOntology, acts: Iterable[DialogueAct]) -> tuple[DialogueAct, ...]:
    """As they are learnt: every choice as the same act."""
    any_choice = (ontology.select_act, "", ontology.select_slot, "")
    kept = (any_choice if is_choice(ontology, act) else act for act in acts)
    return tuple(dict.fromkeys(kept))


def with_domains(ontology: ActOntology, acts: Sequence[DialogueAct], context: ActContext) -> list[DialogueAct]:
    """As they are annotated: the choice with its domains, or without it where nothing is wished of the results."""
    others = [act for act in acts if not is_choice(ontology, act)]
    informed = [(domain, slot) for act, domain, slot, _ in others if act == ontology.inform]
    wished = [domain for domain, slot in informed if slot != ontology.name]
    if not wished:
        return others
    target = max(wished, key=wished.count)
    listed = [domain for _, domain, slot, _ in context.system_acts if ontology.relations.get(slot) == target]
    named = [domain for domain, slot in informed if slot == ontology.name]
    # Who names an entity and wishes something of what was just listed near it chooses, however that is said.
    is_near_named = bool(listed) and any(domain != target for domain in named)
    if len(others) == len(acts) and not is_near_named:
        return others
    source = [*named, *listed, context.domain][0]
    return [*others, (ontology.select_act, target, ontology.select_slot, source)]


def is_choice(ontology: ActOntology, act: DialogueAct) -> bool:
    """Whether an act chooses among results."""
    return (act[0], act[2]) == (ontology.select_act, ontology.select_slot)
