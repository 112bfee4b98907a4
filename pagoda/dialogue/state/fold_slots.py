"""What events do to the slots of the active task: the part of the fold where values are kept, doubted or taken back.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. Every
value passes `slots.check.accepts` here, whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import ANY, Value
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import State, Task

Held = TypeVar("Held")


def informed(state: State, event: ev.Informed, domain: Domain) -> State:
    """A value is kept if it is valid for its slot; what was there stays otherwise, and the words are noted."""
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    value = joined(task, event, domain)
    if not accepts(domain.slots[event.slot], value):
        return replace(state, task=replace(task, rejected={**task.rejected, event.slot: event.surface}))
    assert value is not None, "accepts() refuses None"
    return filled(state, task, event.slot, value)


def joined(task: Task, event: ev.Informed | ev.Corrected, domain: Domain) -> Value | None:
    """The value as it is to be kept: of a slot of many, what is told is added, what corrects stands alone."""
    if not domain.slots[event.slot].many or event.value is None or event.value == ANY:
        return event.value
    told = event.value if isinstance(event.value, tuple) else (event.value,)
    before = task.values.get(event.slot, ())
    kept = before if isinstance(before, tuple) and isinstance(event, ev.Informed) else ()
    return (*kept, *(value for value in told if value not in kept))


def filled(state: State, task: Task, slot: str, value: Value) -> State:
    """A valid value is kept; what was asked, doubted or rejected about its slot is over."""
    is_new = slot not in task.values or task.values[slot] != value
    kept = replace(
        task,
        values={**task.values, slot: value},
        set_at={**task.set_at, slot: state.turn},
        times_asked=without(task.times_asked, slot),
        doubts=without(task.doubts, slot),
        rejected=without(task.rejected, slot),
    )
    if is_new:
        state, kept = noted(state, changed=state.this_turn.changed | {slot}), reopened(kept)
    state = noted(state, is_informed=True)
    question = None if state.question and state.question.slot == slot else state.question
    return replace(state, task=kept, question=question, num_misses=0)


def reopened(task: Task) -> Task:
    """What was offered or read out does not fit the changed values any more; it stays visible to point at."""
    return replace(task, stage="collecting", chosen=None, relaxed=(), read_out=None)


def doubted(state: State, event: ev.Doubted, domain: Domain) -> State:
    """Several nodes may be meant; those that the slot cannot take are left out."""
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    slot = domain.slots[event.slot]
    candidates = tuple(node for node in event.candidates if accepts(slot, node))
    if not candidates:
        return replace(state, task=replace(task, rejected={**task.rejected, event.slot: event.surface}))
    return replace(state, task=replace(task, doubts={**task.doubts, event.slot: candidates}), num_misses=0)


def unset(state: State, event: ev.Unset, domain: Domain) -> State:
    """A value is taken back, and what earlier tasks had for the slot is not carried over any more."""
    task = state.task
    if task is None or event.slot not in {*task.values, *task.doubts}:
        return state
    kept = reopened(
        replace(
            task,
            values=without(task.values, event.slot),
            set_at=without(task.set_at, event.slot),
            doubts=without(task.doubts, event.slot),
        )
    )
    changed = noted(state, changed=state.this_turn.changed | {event.slot})
    return replace(changed, task=kept, memory=without(state.memory, event.slot), num_misses=0)


def set_any(state: State, event: ev.SetAny, domain: Domain) -> State:
    """Every value will do, where the slot allows that."""
    return informed(state, ev.Informed(event.slot, ANY), domain)


def noted(state: State, **noted: Any) -> State:
    """Something is noted of this turn."""
    return replace(state, this_turn=replace(state.this_turn, **noted))


def without(held: Mapping[str, Held], name: str) -> dict[str, Held]:
    """The mapping without one name."""
    return {key: value for key, value in held.items() if key != name}
