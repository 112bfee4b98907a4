"""The state of a dialogue as the fold of its events: one small pure function for each kind of event.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. Promises,
whatever the order of the events: a valid value is never replaced by an invalid one, a cancelled task leaves nothing, a
task is booked at most once and only as it was confirmed, and the fold of a log is the fold of its parts one after the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.kinds import ANY, NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold_slots import doubted, ignored, informed, noted, ordered, set_any, unset
from pagoda.dialogue.state.model import BookingRecord, Question, Remembered, State, Task, ThisTurn
from pagoda.nlu.understanding import OUT_OF_SCOPE

MAX_STACK = 4


def fold(events: Iterable[ev.Event], domain: Domain, start: State | None = None) -> State:
    """The state after these events. start: the state before them, None for a new session.

    Events that do not fit where they stand (a slot that the task does not have, a yes to nothing) change nothing.
    """
    state = start or State()
    for event in events:
        state = step(state, event, domain)
    return state


def step(state: State, event: ev.Event, domain: Domain) -> State:
    """The state after one more event."""
    return _STEPS[type(event)](state, event, domain)


def missing_slots(task: Task, domain: Domain) -> tuple[str, ...]:
    """Required slots without a value, in the order in which they are asked; a stretch of time is no moment."""
    intent = domain.intents[task.intent]
    return tuple(slot for slot in intent.required if not _is_filled(task, intent, slot))


def _is_filled(task: Task, intent: Intent, slot: str) -> bool:
    if slot in task.values:
        return slot not in intent.exact or getattr(task.values[slot], "is_exact", True)
    return any(other in task.values for other in intent.instead.get(slot, ()))


def _user_said(state: State, event: ev.UserSaid, domain: Domain) -> State:
    return replace(
        state,
        turn=state.turn + 1,
        language=event.language or state.language,
        now=event.at or state.now,
        task=replace(state.task, rejected={}) if state.task else None,
        this_turn=ThisTurn(intent=event.intent),
        num_misses=state.num_misses + 1 if event.intent == OUT_OF_SCOPE else 0,
        failure="",
    )


def _requested(state: State, event: ev.Requested, domain: Domain) -> State:
    return replace(noted(state, requested=(event.property, event.index)), num_misses=0)


def _confirmed(state: State, event: ev.Confirmed, domain: Domain) -> State:
    state = noted(state, is_confirmed=True)
    if state.task is None or state.task.stage != "confirming":
        return state
    return replace(state, task=replace(state.task, stage="confirmed"))


def _denied(state: State, event: ev.Denied, domain: Domain) -> State:
    state = noted(state, is_denied=True)
    if state.task is None or state.task.stage not in ("confirming", "confirmed"):
        return state
    return replace(state, task=replace(state.task, stage="collecting"))


def _switched(state: State, event: ev.Switched, domain: Domain) -> State:
    intent = domain.intents.get(event.intent)
    if intent is None or intent.kind not in ("find", "book"):
        return state
    state = replace(noted(state, is_switched=True), handed_off="", num_misses=0)
    if state.task is not None and state.task.intent == event.intent:
        return state
    # What was asked belongs to the task that is left; an answer now would land in the wrong slot.
    state = replace(_left(state), question=None)
    below = [number for number, task in enumerate(state.stack) if task.intent == event.intent]
    if below:
        return _returned(state, below[-1])
    return _started(state, intent, domain)


def _left(state: State) -> State:
    """The active task goes onto the stack, its values into the memory; past MAX_STACK the oldest is forgotten."""
    if state.task is None:
        return state
    left = replace(state.task, rejected={})
    stack = (*state.stack, left)[-MAX_STACK:]
    return replace(state, task=None, stack=stack, memory={**state.memory, **_memories(left)})


def _memories(task: Task) -> dict[str, Remembered]:
    return {
        slot: Remembered(value, task.intent, task.number, task.set_at.get(slot, 0))
        for slot, value in task.values.items()
        if value != ANY
    }


def _returned(state: State, row: int) -> State:
    """Back to a task that was left open; the others stay in their order."""
    rest = (*state.stack[:row], *state.stack[row + 1 :])
    return noted(replace(state, task=state.stack[row], stack=rest), is_resumed=True)


def _started(state: State, intent: Intent, domain: Domain) -> State:
    """A new task with what may be carried over and with the result that was chosen before."""
    number = state.num_tasks + 1
    state = replace(state, num_tasks=number, task=Task(number, intent.name))
    for slot, sources in intent.carry_over.items():
        held = state.memory.get(slot)
        if (
            held is not None
            and held.intent in sources
            and not _is_expired(held, state, domain.slots[slot].expires_after)
        ):
            state = _carried(informed(state, ev.Informed(slot, held.value), domain), slot, held)
    source = state.task_with_results
    if source is not None and source.chosen_result is not None:
        state = _taken_from_result(state, source, source.chosen_result, domain)
    # What came along is old: nobody said it in this turn.
    return noted(state, changed=frozenset())


def _carried(state: State, slot: str, held: Remembered) -> State:
    """A carried value keeps its age, so that it cannot live on from task to task."""
    if state.task is None or slot not in state.task.values:
        return state
    return replace(state, task=replace(state.task, set_at={**state.task.set_at, slot: held.turn}))


def _is_expired(held: Remembered, state: State, expires_after: int) -> bool:
    return expires_after > 0 and state.turn - held.turn > expires_after


def _cancelled(state: State, event: ev.Cancelled, domain: Domain) -> State:
    is_idle = state.task is None
    state = replace(
        noted(state, is_cancelled=True, is_nothing_cancelled=is_idle, requested=None, changed=frozenset()),
        num_misses=0,
        question=None,
    )
    if state.task is None:
        return state
    # A cancelled task leaves nothing: what it said is not carried over into the next one either.
    number = state.task.number
    memory = {slot: held for slot, held in state.memory.items() if held.task != number}
    return _uncovered(replace(state, task=None, memory=memory))


def _uncovered(state: State) -> State:
    """The task is over; the one below it, if any, is the active one again."""
    if not state.stack:
        return replace(state, task=None, question=None)
    resumed = replace(state, task=state.stack[-1], stack=state.stack[:-1], question=None)
    return noted(resumed, is_resumed=True)


def _chosen(state: State, event: ev.Chosen, domain: Domain) -> State:
    state = replace(state, num_misses=0)
    if state.question is not None and state.question.choices:
        return _chosen_answer(state, state.question, event.index, domain)
    source = state.task_with_results
    row = _row(event.index, len(source.results)) if source else None
    if source is None or row is None:
        return noted(state, is_choice_unknown=True)
    state = _with_task(noted(state, is_chosen=True), replace(source, chosen=row))
    return _taken_from_result(state, source, source.results[row], domain)


def _chosen_answer(state: State, question: Question, index: int, domain: Domain) -> State:
    row = _row(index, len(question.choices))
    if row is None:
        return noted(state, is_choice_unknown=True)
    return informed(state, ev.Informed(question.slot, question.choices[row]), domain)


def _row(index: int, size: int) -> int | None:
    row = index + size if index < 0 else index
    return row if 0 <= row < size else None


def _with_task(state: State, task: Task) -> State:
    """The task of the same number is replaced, on top or in the stack."""
    stack = tuple(task if held.number == task.number else held for held in state.stack)
    is_active = state.task is not None and state.task.number == task.number
    return replace(state, task=task if is_active else state.task, stack=stack)


def _taken_from_result(state: State, source: Task, result: NodeValue, domain: Domain) -> State:
    """The active task's slots that are filled by a result of `source` are filled by this one."""
    task = state.task
    if task is None or task.number == source.number:
        return state
    for slot, intents in domain.intents[task.intent].from_result.items():
        if source.intent in intents:
            state = informed(state, ev.Informed(slot, result), domain)
    return state


def _asked(state: State, event: ev.Asked, domain: Domain) -> State:
    task = state.task
    if task is None or event.slot not in domain.intents[task.intent].slots:
        return state
    count = task.times_asked.get(event.slot, 0) + 1
    asked = replace(task, times_asked={**task.times_asked, event.slot: count})
    return replace(state, task=asked, question=Question(event.slot, event.choices))


def _offered(state: State, event: ev.Offered, domain: Domain) -> State:
    task = state.task
    if task is None or domain.intents[task.intent].kind != "find":
        return state
    shown = replace(task, stage="offered", results=event.results, relaxed=event.relaxed, chosen=None)
    return replace(state, task=shown, question=None)


def _proposed(state: State, event: ev.Proposed, domain: Domain) -> State:
    task = state.task
    if task is None or domain.intents[task.intent].kind != "book" or missing_slots(task, domain):
        return state
    return replace(state, task=replace(task, stage="confirming"), question=None)


def _told(state: State, event: ev.Told, domain: Domain) -> State:
    return noted(state, requested=None, is_told=True)


def _booked(state: State, event: ev.Booked, domain: Domain) -> State:
    task = state.task
    is_known = any(booking.id == event.id for booking in state.bookings)
    # A log that is replayed, or written twice, must not book twice.
    if task is None or task.stage != "confirmed" or is_known:
        return state
    record = BookingRecord(event.id, task.intent, task.number, task.values)
    memory = {**state.memory, **_memories(task)}
    return _uncovered(replace(state, task=None, bookings=(*state.bookings, record), memory=memory))


def _handed_off(state: State, event: ev.HandedOff, domain: Domain) -> State:
    # Should the person come back to it, questions are counted from the start; otherwise the first would hand off again.
    task = replace(state.task, times_asked={}) if state.task else None
    return replace(state, handed_off=event.reason, task=task, question=None, num_misses=0)


def _failed(state: State, event: ev.GraphFailed, domain: Domain) -> State:
    return replace(state, failure=event.reason)


_STEPS: Mapping[type[Any], Callable[[State, Any, Domain], State]] = {
    ev.UserSaid: _user_said,
    ev.Informed: informed,
    ev.Corrected: informed,
    ev.Doubted: doubted,
    ev.Unset: unset,
    ev.SetAny: set_any,
    ev.Ordered: ordered,
    ev.Ignored: ignored,
    ev.Requested: _requested,
    ev.Confirmed: _confirmed,
    ev.Denied: _denied,
    ev.Switched: _switched,
    ev.Cancelled: _cancelled,
    ev.Chosen: _chosen,
    ev.Asked: _asked,
    ev.Offered: _offered,
    ev.Proposed: _proposed,
    ev.Told: _told,
    ev.Booked: _booked,
    ev.HandedOff: _handed_off,
    ev.GraphFailed: _failed,
}
