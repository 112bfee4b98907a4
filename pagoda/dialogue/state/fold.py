"""The state of a dialogue as the fold of its events: one small pure function for each kind of event.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. Promises,
whatever the order of the events: a valid value is never replaced by an invalid one, a cancelled task leaves nothing, a
task is booked at most once and only upon a yes in the turn right behind its read-out, and the fold of a log is the fold
of its parts one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state import fold_bookings
from pagoda.dialogue.state.fold_later import begun, deferred, due, forgotten, put_off
from pagoda.dialogue.state.fold_slots import (
    about,
    declined,
    doubted,
    ignored,
    informed,
    noted,
    ordered,
    set_any,
    unset,
    wants_other,
)
from pagoda.dialogue.state.model import AskedColumn, Question, Remembered, State, Task, ThisTurn
from pagoda.dialogue.state.tasks import left_for_another, returned, row_of, uncovered
from pagoda.nlu.understanding import OUT_OF_SCOPE


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


def _began(state: State, event: ev.Began, domain: Domain) -> State:
    return replace(state, conversation=state.conversation or event.id)


def _user_said(state: State, event: ev.UserSaid, domain: Domain) -> State:
    state = begun(fold_bookings.aged(state), event.intent)
    return replace(
        state,
        turn=state.turn + 1,
        language=event.language or state.language,
        now=event.at or state.now,
        task=replace(state.task, rejected={}) if state.task else None,
        this_turn=ThisTurn(intent=event.intent),
        num_misses=state.num_misses + 1 if event.intent in (OUT_OF_SCOPE, ev.UNCLEAR) else 0,
        failure="",
    )


def _requested(state: State, event: ev.Requested, domain: Domain) -> State:
    """What is asked after is what is talked of, where it is told which."""
    request = AskedColumn(event.property, event.index, event.node, event.value)
    state = replace(noted(state, requested=(*state.this_turn.requested, request)), num_misses=0)
    source = state.task_with_results
    row = row_of(event.index, len(source.results)) if source is not None and event.index is not None else None
    node = source.results[row] if source is not None and row is not None else event.node
    if event.property == ev.EVERYTHING:
        state = replace(state, chosen=node)
    return about(state, node, domain)


def _asked_along(state: State, event: ev.AskedAlong, domain: Domain) -> State:
    task = state.task
    query = domain.intents[task.intent].query if task is not None else None
    if task is None or query is None or query.column(event.property) is None or event.property in task.columns:
        return state
    return replace(state, task=replace(task, columns=(*task.columns, event.property)))


def _asked_for_more(state: State, event: ev.AskedForMore, domain: Domain) -> State:
    return replace(noted(state, wants_more=True), num_misses=0)


def _switched(state: State, event: ev.Switched, domain: Domain) -> State:
    intent = domain.intents.get(event.intent)
    if intent is None or intent.kind not in ("find", "book"):
        return state
    # Whoever wants something else has not agreed that a booking be undone.
    state = replace(noted(state, is_switched=True), handed_off="", num_misses=0, withdrawal=None)
    if state.task is not None and state.task.intent == event.intent:
        return state
    # What was asked belongs to the task that is left; an answer now would land in the wrong slot.
    state = replace(left_for_another(state), question=None)
    below = [number for number, task in enumerate(state.stack) if task.intent == event.intent]
    if below:
        return returned(state, below[-1])
    return _started(state, intent, domain)


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
    return noted(due(state, intent, domain), changed=frozenset(), is_informed=False)


def _carried(state: State, slot: str, held: Remembered) -> State:
    """A carried value keeps its age, so that it cannot live on from task to task."""
    if state.task is None or slot not in state.task.values:
        return state
    return replace(state, task=replace(state.task, set_at={**state.task.set_at, slot: held.turn}))


def _is_expired(held: Remembered, state: State, expires_after: int) -> bool:
    return expires_after > 0 and state.turn - held.turn > expires_after


def _cancelled(state: State, event: ev.Cancelled, domain: Domain) -> State:
    is_idle = state.task is None and not state.waiting
    ends_hand_off = state.task is None and bool(state.handed_off)
    state = replace(
        noted(state, is_cancelled=True, is_nothing_cancelled=is_idle, requested=(), changed=frozenset()),
        num_misses=0,
        question=None,
    )
    if ends_hand_off:
        return noted(replace(state, handed_off=""), is_hand_off_ended=True)
    if state.task is None:
        return replace(state, waiting={})
    # A cancelled task leaves nothing: what it said is not carried over into the next one either.
    number = state.task.number
    memory = {slot: held for slot, held in state.memory.items() if held.task != number}
    return uncovered(replace(forgotten(state, number), task=None, memory=memory, topic=None, chosen=None, talked_of=()))


def _chosen(state: State, event: ev.Chosen, domain: Domain) -> State:
    state = replace(state, num_misses=0)
    if fold_bookings.is_asked_which(state):
        return fold_bookings.chosen(state, event.index)
    if state.question is not None and state.question.choices:
        return _chosen_answer(state, state.question, event.index, domain)
    source = state.task_with_results
    row = row_of(event.index, len(source.results)) if source else None
    if source is None or row is None:
        return noted(state, is_choice_unknown=True)
    state = _with_task(noted(state, is_chosen=True), replace(source, chosen=row))
    state = about(state, source.results[row], domain)
    return _taken_from_result(state, source, source.results[row], domain)


def _chosen_answer(state: State, question: Question, index: int, domain: Domain) -> State:
    row = row_of(index, len(question.choices))
    if row is None:
        return noted(state, is_choice_unknown=True)
    return informed(state, ev.Informed(question.slot, question.choices[row]), domain)


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


def _repeated(state: State, event: ev.Repeated, domain: Domain) -> State:
    if state.task is None or event.slot not in domain.intents[state.task.intent].slots:
        return state
    return replace(state, question=Question(event.slot, event.choices))


def _offered(state: State, event: ev.Offered, domain: Domain) -> State:
    task = state.task
    if task is None or domain.intents[task.intent].kind != "find":
        return state
    shown = replace(task, stage="offered", results=event.results, relaxed=event.relaxed, chosen=None)
    shown = replace(shown, skipped=event.skipped)
    # An older one of that kind is not what "it" means any more.
    query = domain.intents[task.intent].query
    kept = tuple(node for node in state.talked_of if query is None or node.label != query.label)
    state = replace(state, task=shown, question=None, topic=None, talked_of=kept)
    return about(state, event.results[0], domain) if len(event.results) == 1 else state


def _wants_near(state: State, event: ev.WantsNear, domain: Domain) -> State:
    return replace(state, num_misses=0)


def _unbookable(state: State, event: ev.Unbookable, domain: Domain) -> State:
    return replace(noted(state, unbookable=event.label), num_misses=0)


def _told(state: State, event: ev.Told, domain: Domain) -> State:
    return noted(state, requested=(), is_told=True)


def _handed_off(state: State, event: ev.HandedOff, domain: Domain) -> State:
    # Should the person come back to it, questions are counted from the start; otherwise the first would hand off again.
    task = replace(state.task, times_asked={}) if state.task else None
    return replace(state, handed_off=event.reason, task=task, question=None, num_misses=0)


def _hand_off_ended(state: State, event: ev.HandOffEnded, domain: Domain) -> State:
    return replace(state, handed_off="", num_misses=0)


def _failed(state: State, event: ev.GraphFailed, domain: Domain) -> State:
    return replace(state, failure=event.reason)


_STEPS: Mapping[type[Any], Callable[[State, Any, Domain], State]] = {
    ev.Began: _began,
    ev.UserSaid: _user_said,
    ev.Informed: informed,
    ev.Corrected: informed,
    ev.Doubted: doubted,
    ev.Declined: declined,
    ev.Unset: unset,
    ev.SetAny: set_any,
    ev.Ordered: ordered,
    ev.Ignored: ignored,
    ev.Deferred: deferred,
    ev.PutOff: put_off,
    ev.Requested: _requested,
    ev.AskedAlong: _asked_along,
    ev.AskedForMore: _asked_for_more,
    ev.AskedForBookings: fold_bookings.asked_for_bookings,
    ev.AskedToCancel: fold_bookings.asked_to_cancel,
    ev.AskedToChange: fold_bookings.asked_to_change,
    ev.WantsOther: wants_other,
    ev.Unbookable: _unbookable,
    ev.WantsNear: _wants_near,
    ev.Confirmed: fold_bookings.confirmed,
    ev.Denied: fold_bookings.denied,
    ev.Switched: _switched,
    ev.Cancelled: _cancelled,
    ev.Chosen: _chosen,
    ev.Asked: _asked,
    ev.Repeated: _repeated,
    ev.Offered: _offered,
    ev.Proposed: fold_bookings.proposed,
    ev.ProposedToCancel: fold_bookings.proposed_to_cancel,
    ev.Told: _told,
    ev.Booked: fold_bookings.booked,
    ev.Unbooked: fold_bookings.unbooked,
    ev.HandedOff: _handed_off,
    ev.HandOffEnded: _hand_off_ended,
    ev.GraphFailed: _failed,
}
