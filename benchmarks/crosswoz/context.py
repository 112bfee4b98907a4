"""What a dialogue has said before a sentence, as far as reading its acts needs it.

First station of a turn, *sentence + context -> acts*. A system knows its own acts exactly; the user's are those that
were read. Folded turn by turn, never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crosswoz.ontology import ActOntology, DialogueAct


@dataclass(frozen=True)
class ActContext:
    """domain: what the user spoke of last; system_acts: of the last turn; seen: {name that the system gave: domain}"""

    domain: str = ""
    system_acts: tuple[DialogueAct, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)
    is_first: bool = True

    def after(
        self, ontology: ActOntology, user_acts: Sequence[DialogueAct], system_acts: Sequence[DialogueAct]
    ) -> ActContext:
        """The context of the next sentence."""
        seen = dict(_names(ontology, system_acts))
        return ActContext(
            spoken_of(ontology, user_acts) or self.domain, tuple(system_acts), {**self.seen, **seen}, is_first=False
        )


@dataclass(frozen=True)
class ActTurn:
    """A user's sentence, what came before it, and its acts."""

    text: str
    acts: tuple[DialogueAct, ...]
    context: ActContext = ActContext()


def spoken_of(ontology: ActOntology, acts: Iterable[DialogueAct]) -> str:
    """The domain of a turn: where results are chosen, else asked for, else informed of, else ""."""
    given = list(acts)
    for kind in (ontology.select_act, ontology.request, ontology.inform):
        domains = [domain for act, domain, _, _ in given if act == kind and domain in ontology.domains]
        if domains:
            return max(domains, key=domains.count)
    return ""


def act_turns(ontology: ActOntology, dialogue: Mapping[str, Any]) -> Iterator[ActTurn]:
    """The user's turns of {"turns": [{"role": "usr" | "sys", "text", "acts"}]}, each in its context."""
    context, said = ActContext(), ActTurn("", ())
    for turn in dialogue["turns"]:
        acts = acts_of(turn)
        if turn["role"] == "usr":
            said = ActTurn(turn["text"], acts, context)
            yield said
        else:
            context = context.after(ontology, said.acts, acts)


def acts_of(turn: Mapping[str, Any]) -> tuple[DialogueAct, ...]:
    """Acts of a turn as tuples; whatever is no text counts as none."""
    return tuple((act[0], act[1], act[2], act[3] if isinstance(act[3], str) else "") for act in turn["acts"])


def _names(ontology: ActOntology, acts: Iterable[DialogueAct]) -> Iterator[tuple[str, str]]:
    """(name, domain it belongs to) of what the system named."""
    for _, domain, slot, value in acts:
        if slot == ontology.name:
            yield value, domain
        elif slot in ontology.relations:
            yield value, ontology.relations[slot]
