"""What events do to what cannot be undone by saying so: bookings read out, agreed upon, written, changed and undone.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. One rule
for both writing and undoing: a yes counts only in the turn right behind the read-out, within the minutes that the
domain gives it, and for that turn alone. Whatever comes between makes the dialogue read out anew.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold_slots import about, noted, without
from pagoda.dialogue.state.model import BookingRecord, ReadOut, State, Task, Withdrawal
from pagoda.dialogue.state.tasks import left_for_another, memories, missing_slots, row_of, uncovered


def aged(state: State) -> State:
    """A new turn begins: a yes of the one before is over, and so is an undoing that was not asked about in it."""
    if state.task is not None and state.task.stage == "confirmed":
        state = replace(state, task=replace(state.task, stage="confirming"))
    held = state.withdrawal
    if held is None or held.read_out is None or held.read_out.turn != state.turn:
        return replace(state, withdrawal=None)
    return replace(state, withdrawal=replace(held, is_confirmed=False))


def confirmed(state: State, event: ev.Confirmed, domain: Domain) -> State:
    """A yes, to what was read out right before it."""
    state = noted(state, is_confirmed=True)
    held = state.withdrawal
    if held is not None:
        record = state.booking(held.id)
        is_meant = record is not None and _is_fresh(held.read_out, state, _patience(record.intent, domain))
        return replace(state, withdrawal=replace(held, is_confirmed=True)) if is_meant else state
    task = state.task
    if (
        task is None
        or task.stage != "confirming"
        or not _is_fresh(task.read_out, state, _patience(task.intent, domain))
    ):
        return state
    return replace(state, task=replace(task, stage="confirmed"))


def _patience(intent: str, domain: Domain) -> int:
    booking = domain.intents[intent].booking
    return booking.confirm_within if booking is not None else 0


def _is_fresh(read_out: ReadOut | None, state: State, minutes: int) -> bool:
    """Whether something was read out in the turn before this one, and not longer ago than that."""
    if read_out is None or read_out.turn != state.turn - 1:
        return False
    if not minutes or not read_out.at or not state.now:
        return True
    passed = datetime.fromisoformat(state.now) - datetime.fromisoformat(read_out.at)
    # A clock that went back is no reason to wait.
    return passed.total_seconds() <= 60 * minutes


def denied(state: State, event: ev.Denied, domain: Domain) -> State:
    """A no: to an undoing, to what was read out, or to all nodes that were proposed."""
    state = noted(state, is_denied=True)
    if state.withdrawal is not None:
        return noted(replace(state, withdrawal=None), is_withdrawal_denied=True)
    task, question = state.task, state.question
    if task is None:
        return state
    if question is not None and question.choices and question.slot in task.doubts:
        return replace(state, task=replace(task, doubts=without(task.doubts, question.slot)), question=None)
    if task.stage in ("confirming", "confirmed"):
        return replace(state, task=replace(task, stage="collecting", read_out=None))
    return state


def proposed(state: State, event: ev.Proposed, domain: Domain) -> State:
    """A whole booking was read out."""
    task = state.task
    if task is None or domain.intents[task.intent].kind != "book" or missing_slots(task, domain):
        return state
    read = replace(task, stage="confirming", read_out=ReadOut(state.turn, state.now))
    booking = domain.intents[task.intent].booking
    state = about(state, task.values.get(booking.target) if booking is not None else None, domain)
    return replace(state, task=read, question=None)


def booked(state: State, event: ev.Booked, domain: Domain) -> State:
    """A booking was written, or one was changed; the task is over."""
    task = state.task
    is_new = task is not None and task.replaces != event.id
    # A log that is replayed, or written twice, must not book twice.
    if task is None or task.stage != "confirmed" or (is_new and state.booking(event.id) is not None):
        return state
    record = BookingRecord(event.id, task.intent, task.number, task.values)
    bookings = (*(held for held in state.bookings if held.id != event.id), record)
    return uncovered(replace(state, task=None, bookings=bookings, memory={**state.memory, **memories(task)}))


def asked_for_bookings(state: State, event: ev.AskedForBookings, domain: Domain) -> State:
    """To be told."""
    return replace(noted(state, wants_bookings=True), num_misses=0)


def asked_to_cancel(state: State, event: ev.AskedToCancel, domain: Domain) -> State:
    """One of this conversation's own is to be undone; other people's are not known here."""
    if not state.bookings or (event.id and state.booking(event.id) is None):
        return state
    return replace(state, withdrawal=Withdrawal(event.id), num_misses=0)


def is_asked_which(state: State) -> bool:
    """Whether it was asked which booking is to be undone."""
    return state.withdrawal is not None and not state.withdrawal.id


def chosen(state: State, index: int) -> State:
    """Which booking is to be undone; of a change the event AskedToChange tells."""
    row = row_of(index, len(state.bookings))
    if row is None:
        return noted(state, is_choice_unknown=True)
    return replace(state, withdrawal=Withdrawal(state.bookings[row].id))


def proposed_to_cancel(state: State, event: ev.ProposedToCancel, domain: Domain) -> State:
    """It was read out what would be undone, or asked which."""
    held = state.withdrawal
    if held is None or held.id != event.id:
        return state
    return replace(state, withdrawal=replace(held, read_out=ReadOut(state.turn, state.now)))


def unbooked(state: State, event: ev.Unbooked, domain: Domain) -> State:
    """A booking is no more. Only the one that was agreed upon."""
    held = state.withdrawal
    if held is None or not held.is_confirmed or held.id != event.id:
        return state
    kept = tuple(booking for booking in state.bookings if booking.id != event.id)
    return replace(state, withdrawal=None, bookings=kept)


def asked_to_change(state: State, event: ev.AskedToChange, domain: Domain) -> State:
    """The booking becomes a task again, with its values, that will replace it; of several it is asked which."""
    if not event.id and len(state.bookings) > 1:
        return replace(state, withdrawal=Withdrawal(said=event.said), num_misses=0)
    record = state.booking(event.id)
    if record is None or (state.task is not None and state.task.replaces == event.id):
        return state
    number = state.num_tasks + 1
    task = Task(number, record.intent, record.values, dict.fromkeys(record.values, state.turn), replaces=record.id)
    state = replace(left_for_another(state), question=None, num_tasks=number, task=task, num_misses=0)
    state = replace(state, withdrawal=None)
    return noted(replace(state, handed_off=""), is_switched=True)
