"""What events do to the slots of the active task: the part of the fold where values are kept, doubted or taken back.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. Every
value passes `slots.check.accepts` here, whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Order
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import ANY, Except, NodeValue, OneOf, Value, plain_values
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.model import Rejection, State, Task

Held = TypeVar("Held")


def informed(state: State, event: ev.Informed, domain: Domain) -> State:
    """A value is kept if it is valid for its slot; what was there stays otherwise, and the words are noted."""
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    if domain.intents[task.intent].kind == "book" and isinstance(event.value, OneOf | Except):
        return _undecided(state, task, event, event.value, domain)
    if event.value == ANY and event.slot in domain.intents[task.intent].exact:
        # Nothing is kept of it, so that the question counts as one more try, and choices are offered in the end.
        return noted(replace(state, num_misses=0), is_informed=True)
    value = joined(task, event, domain)
    if not accepts(domain.slots[event.slot], value):
        return _rejected(state, task, event.slot, Rejection(event.surface))
    assert value is not None, "accepts() refuses None"
    return filled(state, task, event.slot, value, domain)


def _undecided(state: State, task: Task, event: ev.Informed, value: OneOf | Except, domain: Domain) -> State:
    """A booking takes one value: of several nodes one is asked for, and what is excluded is taken back."""
    wanted = plain_values(value)
    if len(wanted) == 1:
        return informed(state, replace(event, value=wanted[0]), domain)
    if wanted:
        nodes = tuple(node for node in wanted if isinstance(node, NodeValue))
        return doubted(state, ev.Doubted(event.slot, event.surface, nodes), domain)
    is_held = isinstance(value, Except) and task.values.get(event.slot) in value.values
    return unset(state, ev.Unset(event.slot), domain) if is_held else state


def joined(task: Task, event: ev.Informed | ev.Corrected, domain: Domain) -> Value | None:
    """The value as it is to be kept, with what was there before.

    What is told takes the place of what was wanted, or in a slot of many is added to it; what was excluded stays so
    until it is wanted. What corrects stands alone.
    """
    value, before = event.value, task.values.get(event.slot)
    if value is None or value == ANY:
        return value
    wanted, excluded = (value.kept, value.values) if isinstance(value, Except) else (value, ())
    if isinstance(event, ev.Corrected) and wanted is not None:
        before = None
    held, left = (before.kept, before.values) if isinstance(before, Except) else (before, ())
    is_added = domain.slots[event.slot].many or wanted is None
    kept = _both(_less(held, excluded) if is_added else None, wanted)
    if domain.slots[event.slot].many and kept is not None and not isinstance(kept, tuple):
        kept = (kept,)
    told = plain_values(kept)
    out = tuple(dict.fromkeys(each for each in (*left, *excluded) if each not in told))
    return Except(out, kept) if out else kept


def _less(held: Value | None, excluded: tuple[Value, ...]) -> Value | None:
    """What is wanted without what is excluded; None where nothing is left."""
    if held is None or held == ANY or held in excluded:
        return None
    if isinstance(held, OneOf):
        fitting = tuple(each for each in held.values if each not in excluded)
        return OneOf(fitting) if len(fitting) > 1 else next(iter(fitting), None)
    if isinstance(held, tuple):
        return tuple(left for each in held if (left := _less(each, excluded)) is not None) or None
    return held


def _both(held: Value | None, told: Value | None) -> Value | None:
    """What was wanted and what is wanted besides, each of it once."""
    if held is None or told is None:
        return told if held is None else held
    before, more = (each if isinstance(each, tuple) else (each,) for each in (held, told))
    return (*before, *(each for each in more if each not in before))


def filled(state: State, task: Task, slot: str, value: Value, domain: Domain) -> State:
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
    state = about(noted(state, is_informed=True), value, domain)
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
        return _rejected(state, task, event.slot, Rejection(event.surface))
    return replace(state, task=replace(task, doubts={**task.doubts, event.slot: candidates}), num_misses=0)


def declined(state: State, event: ev.Declined, domain: Domain) -> State:
    """Words that were understood and are no value: what was there stays, and why they are none is noted."""
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    rejection = Rejection(event.surface, event.why, event.leftover, event.instead)
    return _rejected(replace(state, num_misses=0), task, event.slot, rejection)


def _rejected(state: State, task: Task, slot: str, rejection: Rejection) -> State:
    return replace(state, task=replace(task, rejected={**task.rejected, slot: rejection}))


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


def ordered(state: State, event: ev.Ordered, domain: Domain) -> State:
    """The results are to be sorted, and shown again, where the task's query has that column to sort by."""
    task = state.task
    query = domain.intents[task.intent].query if task is not None else None
    column = query.column(event.column) if query is not None else None
    if task is None or column is None or not column.can_sort():
        return state
    sorted_task = replace(reopened(task), order=Order(event.column, event.is_descending))
    changed = noted(state, changed=state.this_turn.changed | {event.column})
    return replace(changed, task=sorted_task, num_misses=0)


def wants_other(state: State, event: ev.WantsOther, domain: Domain) -> State:
    """Another value of a slot is to be asked for; what is there stays until one is told."""
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    return replace(noted(state, other=event.slot), num_misses=0)


def ignored(state: State, event: ev.Ignored, domain: Domain) -> State:
    """Words of wishes that nothing can be done with are kept for the reply."""
    turn = state.this_turn
    return noted(state, ignored=(*turn.ignored, *event.words), unknown=(*turn.unknown, *event.unknown))


def about(state: State, value: Value | None, domain: Domain) -> State:
    """A node that some search tells of is what is talked of from now on; other values change nothing."""
    told = {intent.query.label for intent in domain.intents.values() if intent.query is not None}
    if not isinstance(value, NodeValue) or value.label not in told:
        return state
    others = (node for node in state.talked_of if node.label != value.label)
    return replace(state, topic=value, talked_of=(*others, value))


def noted(state: State, **noted: Any) -> State:
    """Something is noted of this turn."""
    return replace(state, this_turn=replace(state.this_turn, **noted))


def without(held: Mapping[str, Held], name: str) -> dict[str, Held]:
    """The mapping without one name."""
    return {key: value for key, value in held.items() if key != name}
