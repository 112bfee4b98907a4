"""What other storeys are asked in a turn, and what they answer: documents, a recommender, whatever is joined to it.

Beside the middle of a turn: sentence -> understanding -> events -> *state -> policy -> Cypher -> rows* -> reply. The
dialogue decides by its reading that a sentence is not its own, and stays the one who keeps the turn; it knows nothing
of whoever answers. What is answered with nodes of the graph goes on as a search does: "book the first one".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.nlu.understanding import Understanding


@dataclass(frozen=True)
class Errand:
    """A sentence that is another storey's.

    intent: of kind "elsewhere", or of a search that names no wish at all
    label: of what is sought or was shown last, "" where nothing was; shown: results that were shown last, in order
    node: the one that is meant: by its number or name, or since it was talked of last; None for none
    is_beyond: a number was said that the list has not
    """

    session_id: str
    intent: str
    text: str
    language: str
    label: str = ""
    shown: tuple[NodeValue, ...] = ()
    node: NodeValue | None = None
    is_beyond: bool = False


@dataclass(frozen=True)
class Answered:
    """What another storey says.

    source: who it was; details: what it tells besides, in JSON's types, kept with the turn
    offered: nodes of one label that the person may now point at, in order
    """

    text: str
    source: str
    details: Mapping[str, Any] = field(default_factory=dict)
    offered: tuple[NodeValue, ...] = ()


Documents = Callable[[str], "str | Answered | None"]
"""Answers a question that is no task of the domain's, or gives None."""
Errands = Callable[[Errand], Answered | None]
"""Does an errand, or gives None where it cannot, and then the dialogue goes on by itself."""
Claims = Callable[[Errand, Understanding], str]
"""The intent of a sentence that is another storey's whatever it was read as, "" for any other."""


@dataclass(frozen=True)
class Elsewhere:
    """Who is asked. documents: in between, when the dialogue does not understand; errands: when it does

    claims: before anything else, what only whoever does errands can know of a sentence, by its own names
    """

    documents: Documents | None = None
    errands: Errands | None = None
    claims: Claims | None = None

    @classmethod
    def of(cls, given: Documents | Elsewhere | None) -> Elsewhere:
        """Documents alone, or all of it."""
        return given if isinstance(given, Elsewhere) else cls(given)
