"""Tasks on their stack: what is missing, what is left for another task, and what comes back when that is done.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. The stack
is that of Grosz and Sidner 1986, "Attention, Intentions, and the Structure of Discourse".
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.kinds import ANY
from pagoda.dialogue.state.fold_slots import noted
from pagoda.dialogue.state.model import Remembered, State, Task

MAX_STACK = 4


def missing_slots(task: Task, domain: Domain) -> tuple[str, ...]:
    """Required slots without a value, in the order in which they are asked; a stretch or "any time" is no moment."""
    intent = domain.intents[task.intent]
    return tuple(slot for slot in intent.required if not _is_filled(task, intent, slot))


def _is_filled(task: Task, intent: Intent, slot: str) -> bool:
    if slot in task.values:
        value = task.values[slot]
        return slot not in intent.exact or (value != ANY and getattr(value, "is_exact", True))
    return any(other in task.values for other in intent.instead.get(slot, ()))


def left_for_another(state: State) -> State:
    """The active task goes onto the stack, its values into the memory; past MAX_STACK the oldest is forgotten."""
    if state.task is None:
        return state
    left = replace(state.task, rejected={})
    stack = (*state.stack, left)[-MAX_STACK:]
    return replace(state, task=None, stack=stack, memory={**state.memory, **memories(left)})


def memories(task: Task) -> dict[str, Remembered]:
    """What a task leaves for carry-over."""
    return {
        slot: Remembered(value, task.intent, task.number, task.set_at.get(slot, 0))
        for slot, value in task.values.items()
        if value != ANY
    }


def returned(state: State, row: int) -> State:
    """Back to a task that was left open; the others stay in their order."""
    rest = (*state.stack[:row], *state.stack[row + 1 :])
    return noted(replace(state, task=state.stack[row], stack=rest), is_resumed=True)


def uncovered(state: State) -> State:
    """The task is over; the one below it, if any, is the active one again."""
    if not state.stack:
        return replace(state, task=None, question=None)
    resumed = replace(state, task=state.stack[-1], stack=state.stack[:-1], question=None)
    return noted(resumed, is_resumed=True)


def index_of_rank(rank: int) -> int:
    """The index that a rank means, as people count: 1 the first, -1 the last.

    >>> index_of_rank(1), index_of_rank(-1)
    (0, -1)
    """
    return rank - 1 if rank > 0 else rank


def row_of(index: int, size: int) -> int | None:
    """The row that an index means, from the end where it is negative; None where there is none."""
    row = index + size if index < 0 else index
    return row if 0 <= row < size else None
