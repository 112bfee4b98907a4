"""What an agent is made of, opened in order and closed in the other: domain, graph, names, sessions, understanding.

Before the first turn; and once at the beginning of each, when `freshen` lets names and understanding follow the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.dialogue.cypher.domain_check import check
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import OnProgress, understanding_of
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.completing.one_at_a_time import OneAtATime
from pagoda.dialogue.reading.following import FollowingUnderstanding, Names
from pagoda.dialogue.reading.linking import Linker, linked_labels, named_nodes
from pagoda.dialogue.reading.model_prompt import Lessons
from pagoda.dialogue.reading.model_reader import ModelSettings, ModelUnderstanding
from pagoda.dialogue.reading.strategies import Frame, make_strategy
from pagoda.dialogue.reply.phrasebook import Phrasebook
from pagoda.dialogue.reply.rephraser import Rephraser
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.turn.elsewhere import Documents, Elsewhere
from pagoda.dialogue.turn.interpretation import Interpreter, ValueReader
from pagoda.dialogue.turn.taking import TurnTaker
from pagoda.graph.errors import GraphError
from pagoda.graph.subgraph import Subgraph
from pagoda.nlu.understanding import OUT_OF_SCOPE, Understander

if TYPE_CHECKING:
    from pagoda.chat.held import HeldModel
    from pagoda.graph.graph import Graph

_SUBGRAPH_LIMIT = 40


class Parts:
    """Everything behind an agent. Closes what it opened, and a graph that it owns."""

    def __init__(
        self,
        domain: Domain,
        graph: Graph,
        sessions: SessionStore,
        understanding: Understander | Path | None,
        folder: Path,
        documents: Documents | Elsewhere | None,
        on_progress: OnProgress | None = None,
    ) -> None:
        check(domain, graph.schema())
        self.domain, self.graph, self.sessions = domain, graph, sessions
        self._names = Names(graph, linked_labels(domain), lambda label: named_nodes(domain, graph, label))
        self.linker: Linker = self._names.linker
        self._frames = frames_of(domain)
        if understanding is None or isinstance(understanding, Path):
            lexicon, place = lexicon_of(domain, self.linker), folder / "understanding"
            understanding = understanding_of(domain, lexicon, place, understanding, on_progress)
        self._fast = FollowingUnderstanding(understanding)
        self._values = SlotReader(domain)
        self._base = Complemented(self._fast, domain, self.linker, self._values)
        self.taker = TurnTaker(domain, graph, self._interpreter, Phrasebook(domain), Elsewhere.of(documents))

    def freshen(self) -> None:
        """Know what has come into the graph, or left it, a few seconds ago. Most calls do nothing."""
        self._names.follow(self._renamed)

    def _renamed(self, linker: Linker) -> None:
        from pagoda.nlu.fast_understanding import FastUnderstanding

        if isinstance(self._fast.current, FastUnderstanding):
            self._fast.current = self._fast.current.with_lexicon(lexicon_of(self.domain, linker))

    def model_reader(self, model: HeldModel, timeout_s: float) -> ModelUnderstanding:
        """The language model as a reader of sentences. timeout_s: of one sentence."""
        lessons, settings = lessons_of(self.domain), ModelSettings(timeout_s=timeout_s)
        return ModelUnderstanding(model, self._frames, self._base, lessons, settings, counts=self._base.counts)

    def rephraser(self, model: HeldModel) -> Rephraser:
        """The language model as one that words replies."""
        return Rephraser(model, self.domain, self.linker.names(self.domain.labels))

    def strategy(self, name: str, model_reader: ModelUnderstanding | None) -> OneAtATime:
        """A strategy over the fast reading, or over the model's where there is one; the hybrid has both."""
        base: Understander = self._base if model_reader is None or name == "hybrid" else model_reader
        return OneAtATime(make_strategy(name, base, self._frames, model=model_reader), self.domain, self.linker)

    def drawn(self, keys: Sequence[Any]) -> Subgraph:
        """The piece of the graph around nodes, without bookings, which are other people's.

        Empty where it cannot be had: a picture is worth no apology.
        """
        try:
            found = self.graph.subgraph(keys, limit=_SUBGRAPH_LIMIT) if keys else Subgraph()
        except GraphError:
            return Subgraph()
        private = {intent.booking.label for intent in self.domain.intents.values() if intent.booking is not None}
        nodes = tuple(node for node in found.nodes if node.label not in private)
        shown = {node.id for node in nodes}
        return Subgraph(nodes, tuple(edge for edge in found.edges if {edge.source, edge.target} <= shown))

    def _interpreter(self, now: datetime) -> Interpreter:
        return Interpreter(self.domain, ValueReader(self.domain, self.linker, now, self._values))


def frames_of(domain: Domain) -> dict[str, Frame]:
    """The intents as strategies see them."""
    return {
        intent.name: Frame(intent.name, frozenset(intent.required), frozenset(intent.optional))
        for intent in domain.intents.values()
        if intent.name != OUT_OF_SCOPE
    }


def lexicon_of(domain: Domain, linker: Linker) -> dict[str, list[str]]:
    """Known values by slot: names of the graph, words of bands and choices."""
    lexicon: dict[str, list[str]] = {}
    for slot in domain.slots.values():
        spellings = [words for held in (*slot.bands.values(), *slot.choices.values()) for words in held.values()]
        known = [*linker.names(slot.labels), *(word for words in spellings for word in words)]
        if known:
            lexicon[slot.name] = list(dict.fromkeys(known))
    return lexicon


def lessons_of(domain: Domain) -> Lessons:
    """What a language model learns the domain from."""
    titles = {slot.name: slot.title for slot in domain.slots.values()}
    titles |= {intent.name: intent.title for intent in domain.intents.values()}
    return Lessons(domain.examples(), titles)
