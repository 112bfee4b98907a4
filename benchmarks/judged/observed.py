"""What can be seen of a turn that a dialogue took: its state as JSON, its action, its reply, its bookings.

After a turn's path. All that the judge knows of the code lies here: change this file, and no rule, where turns are told
in another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pagoda.dialogue.slots import kinds
from pagoda.dialogue.state.actions import Ask, Say
from pagoda.dialogue.turn.performing import action_name
from pagoda.dialogue.turn.turn import Turn

_QUOTED = re.compile(r"[“「\"]([^”」\"]+)[”」\"]")


@dataclass(frozen=True)
class Seen:
    """One turn from outside.

    task, values: intent under way and its slots as JSON; open: slot that is asked for, "confirm" where a yes is awaited
    action: "ask", "query", "confirm" ...; detail: template of a "say", reason of an "ask"
    asks: slot that this turn asks for; results: keys of what was found, as they were told; bookings: ids written so far
    parameters: JSON of the statement's; relaxed: slots that a query gave up
    """

    text: str = ""
    task: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    open: str = ""
    action: str = ""
    detail: str = ""
    asks: str = ""
    results: Sequence[str] = ()
    bookings: Sequence[str] = ()
    parameters: str = ""
    relaxed: Sequence[str] = ()
    task_json: str = ""

    @property
    def quoted(self) -> list[str]:
        """Words that the reply sets in quotation marks."""
        return _QUOTED.findall(self.text)

    def remark(self, names: Sequence[str]) -> str:
        """The reply without what it lists: each line ends where the name of a result begins. For names of results."""
        lines = self.text.splitlines()
        return "\n".join(
            line[: min((at for name in names if (at := line.find(name)) >= 0), default=None)] for line in lines
        )


def seen(turn: Turn) -> Seen:
    """A turn of the agent from outside."""
    state, action = turn.state, turn.action
    task = state.task
    source = state.task_with_results
    is_confirming = task is not None and task.stage == "confirming"
    detail = action.template if isinstance(action, Say) else action.reason if isinstance(action, Ask) else ""
    return Seen(
        text=turn.text,
        task=task.intent if task else "",
        values={slot: kinds.to_json(value) for slot, value in task.values.items()} if task else {},
        open="confirm" if is_confirming else state.question.slot if state.question else "",
        action=action_name(action),
        detail=detail,
        asks=action.slot if isinstance(action, Ask) else "",
        results=tuple(node.key for node in source.results) if source else (),
        bookings=tuple(booking.id for booking in state.bookings),
        parameters=json.dumps(dict(turn.parameters), ensure_ascii=False),
        relaxed=tuple(task.relaxed) if task else (),
        task_json=json.dumps(state.to_json()["task"], ensure_ascii=False),
    )
