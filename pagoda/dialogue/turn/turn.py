"""One turn as it is told to whoever asked: everything from the sentence to the reply, in plain data.

Last station of a turn: sentence -> understanding -> events -> state -> policy -> Cypher -> rows -> *reply*. The log of
events is what a session is made of; this is what a person, a page or a test looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import Anything, Band, Except, NodeKey, NodeValue, OneOf, Range, Value, When
from pagoda.dialogue.state.actions import Action
from pagoda.dialogue.state.model import State
from pagoda.dialogue.state.tasks import missing_slots
from pagoda.dialogue.turn.done import Rows
from pagoda.dialogue.turn.performing import Taken, action_name
from pagoda.graph.subgraph import Subgraph
from pagoda.language import Language
from pagoda.nlu.understanding import Understanding


@dataclass(frozen=True)
class Turn:
    """What one sentence led to.

    user: the sentence; understanding: how it was read; taken: what was done about it, behind the properties below
    facts: the state in words; subgraph: the piece of the graph around the nodes `found`
    timings: seconds of "understand", "graph" and "total"
    """

    session_id: str
    number: int
    user: str
    understanding: Understanding
    taken: Taken
    facts: Mapping[str, Any]
    subgraph: Subgraph
    timings: Mapping[str, float]

    @property
    def text(self) -> str:
        """The reply."""
        return self.taken.text

    @property
    def language(self) -> Language:
        """Of the sentence, and so of the reply."""
        return self.understanding.language

    @property
    def state(self) -> State:
        """After the turn."""
        return self.taken.state

    @property
    def action(self) -> Action:
        """What the policy decided last."""
        return self.taken.action

    @property
    def statement(self) -> str:
        """The last statement about the task, "" where none was run."""
        return self.taken.statement.text if self.taken.statement else ""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Of the statement."""
        return self.taken.statement.parameters if self.taken.statement else {}

    @property
    def rows(self) -> Rows:
        """The statement's answer."""
        return self.taken.rows

    @property
    def found(self) -> Sequence[NodeKey]:
        """Keys of the nodes that the turn is about."""
        return self.taken.found

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it: what a session's log keeps and the server sends."""
        return {
            "object": "dialogue.turn",
            "session": self.session_id,
            "number": self.number,
            "user": self.user,
            "text": self.text,
            "language": self.language,
            "understanding": _understanding_facts(self.understanding),
            "state": dict(self.facts),
            "action": action_name(self.action),
            "source": self.taken.source,
            "details": dict(self.taken.details),
            "statement": self.statement,
            "parameters": dict(self.parameters),
            "rows": [dict(row) for row in self.rows],
            "subgraph": _subgraph_facts(self.subgraph, self.found),
            "timings": dict(self.timings),
        }


def state_facts(state: State, domain: Domain, language: Language) -> dict[str, Any]:
    """The state as a person reads it: values by slot, what is asked for or missing, what waits, what was shown."""
    task, source = state.task, state.task_with_results
    return {
        "intent": task.intent if task else "",
        "stage": task.stage if task else "",
        "slots": {slot: plain_value(value, language) for slot, value in task.values.items()} if task else {},
        "requested": state.question.slot if state.question else "",
        "missing": list(missing_slots(task, domain)) if task else [],
        "waiting": dict(state.waiting),
        "suspended": [left.intent for left in state.stack],
        "results": [node.name(language) for node in source.results] if source else [],
        "bookings": [booking.id for booking in state.bookings],
        "handed_off": state.handed_off,
    }


def plain_value(value: Value, language: Language) -> Any:
    """A slot's value without its type, for people and tests.

    >>> plain_value(Range(None, 150), "en"), plain_value(When("2026-11-21T19:00"), "zh")
    ('<= 150', '2026-11-21T19:00')
    """
    match value:
        case Range():
            return _span(value)
        case Band(name):
            return name
        case When(start, end):
            return f"{start}/{end}" if end else start
        case NodeValue():
            return value.name(language)
        case Anything():
            return "*"
        case OneOf(values):
            return " | ".join(str(plain_value(each, language)) for each in values)
        case Except(values, kept):
            excluded = " & ".join(f"not {plain_value(each, language)}" for each in values)
            return excluded if kept is None else f"{plain_value(kept, language)} & {excluded}"
        case tuple():
            return [plain_value(each, language) for each in value]
    return value


def _span(held: Range) -> str:
    low, high = held.low, held.high
    if low is None or high is None:
        is_high = low is None and high is not None
        sign = ("<" if held.is_below else "<=") if is_high else (">" if held.is_above else ">=")
        return f"{sign} {high if is_high else low:g}"
    return f"{low:g}-{high:g}"


def _understanding_facts(read: Understanding) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(read).items() if name != "text"}
    return {**facts, "candidates": [[name, round(p, 4)] for name, p in read.candidates]}


def _subgraph_facts(subgraph: Subgraph, found: Sequence[NodeKey]) -> dict[str, Any]:
    """Nodes and edges; `found` marks the nodes that the turn is about."""
    # Ids in a picture are text, whatever the graph holds.
    keys = {str(key) for key in found}
    nodes = [{**asdict(node), "found": node.id in keys} for node in subgraph.nodes]
    return {"nodes": nodes, "edges": [asdict(edge) for edge in subgraph.edges]}
