"""What to do next, as a pure function of the state: ask, look up, tell, read out, book, speak or hand over.

Fifth station of a turn: sentence -> understanding -> events -> state -> *policy* -> Cypher -> rows -> reply. The caller
carries an action out, adds the event that tells of it and asks again until the action is one that ends the turn:

    action         the caller ...                                                      event             ends the turn
    Ask            asks; with needs_choices, first reads choices out of the graph      Asked             yes
    LookUp         runs compile_query, relaxing while nothing is found, shows rows     Offered           yes
    Tell           runs compile_property for one node                                  Told              yes
    Confirm        reads the booking out, or asks for a time when the place is open    Proposed          yes
    Book           runs compile_booking, or compile_change where it replaces one       Booked            no: see `after`
    Show           tells more of the result that was chosen                            -                 yes
    TellBookings   tells what was booked in this conversation                          -                 yes
    AskWhich       asks which booking is to be undone, or changed                      ProposedToCancel  yes
    ConfirmCancel  reads out the booking that is to be undone                          ProposedToCancel  yes
    Unbook         runs compile_cancellation                                           Unbooked          no: see `after`
    Say            says a template                                                     -                 yes
    HandOff        records that a person takes over                                    HandedOff         yes

Behind a Tell, a TellBookings or a Say comes what is pending, if anything: a question (event Repeated), or a booking
read out anew (Proposed, ProposedToCancel), for only what was said last can be answered.

Rules: one question for each missing slot, at most twice, then choices from the graph, then a person; a booking is read
out before it is written or undone. Form filling after Bobrow et al. 1977 (GUS) and Bohus and Rudnicky 2009 (RavenClaw).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.kinds import Anything, NodeValue, Value, When
from pagoda.dialogue.slots.readings import Why
from pagoda.dialogue.state.actions import (
    Action,
    Ask,
    AskReason,
    AskWhich,
    Book,
    Confirm,
    ConfirmCancel,
    HandOff,
    LookUp,
    Pending,
    Say,
    Show,
    Tell,
    TellBookings,
    Unbook,
)
from pagoda.dialogue.state.events import EVERYTHING, UNCLEAR
from pagoda.dialogue.state.model import AskedColumn, Rejection, State, Task
from pagoda.dialogue.state.tasks import missing_slots, row_of
from pagoda.nlu.understanding import OUT_OF_SCOPE

MAX_QUESTIONS, MAX_MISSES = 2, 3
_REASONS: Mapping[Why, AskReason] = {
    "": "invalid",
    "partial": "partial",
    "ambiguous": "several",
    "past": "over",
    "limits": "limits",
}


def next_action(state: State, domain: Domain) -> Action:
    """The one thing to do in this state."""
    if state.failure:
        return Say("apology", _irreversible(state, domain))
    return (
        _about_person(state, domain)
        or _about_bookings(state, domain)
        or _about_result(state, domain)
        or _about_talk(state, domain)
        or _about_task(state, domain)
        or Say("fallback")
    )


def after(state: State, domain: Domain) -> Pending | None:
    """What to add to the reply once a task is done: the question of the task that was left open for it."""
    if not state.this_turn.is_resumed:
        return None
    return open_question(state, domain)


def open_question(state: State, domain: Domain) -> Pending | None:
    """What the dialogue waits for: a yes to what was read out, or a slot of the active task; None for nothing."""
    task = state.task
    if task is None or state.withdrawal is not None:
        return _irreversible(state, domain)
    for slot, candidates in task.doubts.items():
        return Ask(slot, max(1, task.times_asked.get(slot, 0)), candidates, reason="ambiguous")
    missing = missing_slots(task, domain)
    if not missing or task.stage == "offered":
        # What another storey proposed without being told the slots is results all the same.
        return _irreversible(state, domain)
    asked = state.question
    choices = asked.choices if asked is not None and asked.slot == missing[0] else ()
    return Ask(missing[0], max(1, task.times_asked.get(missing[0], 0)), choices)


def _irreversible(state: State, domain: Domain) -> Pending | None:
    """What was read out last and waits for a yes, or the time of it that is over by now."""
    held, task = state.withdrawal, state.task
    if held is not None:
        return ConfirmCancel(held.id) if held.id else None
    if task is None or task.read_out is None or task.stage not in ("confirming", "confirmed"):
        return None
    action = _about_booking(replace(task, stage="confirming"), state, domain)
    return action if isinstance(action, Ask | Confirm) else None


def _about_person(state: State, domain: Domain) -> Action | None:
    """Whether a person is to take over, or has; what the machine can do meanwhile, it does."""
    intent = domain.intents.get(state.this_turn.intent)
    if intent is not None and intent.act == "hand_off" and not state.handed_off:
        return HandOff("asked_for")
    if state.this_turn.is_hand_off_ended:
        return Say("hand_off_ended")
    if state.handed_off:
        return None if _is_doable(state) else Say("handed_off")
    return HandOff("not_understood") if state.num_misses >= MAX_MISSES else None


def _is_doable(state: State) -> bool:
    """Whether something was said that needs no person."""
    turn = state.this_turn
    did = turn.is_switched or turn.is_informed or turn.changed or turn.is_chosen or turn.requested or turn.wants_more
    answers = (turn.is_confirmed or turn.is_denied) and (state.task is not None or state.withdrawal is not None)
    asks = turn.other or turn.unbookable or turn.is_cancelled or turn.wants_bookings
    return bool(did or answers or asks or state.withdrawal or _has_trouble(state.task))


def _about_bookings(state: State, domain: Domain) -> Action | None:
    """Bookings that were written: told, undone, or kept after all."""
    turn, held = state.this_turn, state.withdrawal
    if turn.is_choice_unknown and held is not None:
        return AskWhich(held.said is not None)
    if turn.wants_bookings:
        return TellBookings(open_question(state, domain))
    if turn.is_withdrawal_denied:
        return Say("kept", open_question(state, domain))
    if held is None or turn.requested:
        return None
    if not held.id:
        return AskWhich(held.said is not None)
    return Unbook(held.id) if held.is_confirmed else ConfirmCancel(held.id)


def _about_result(state: State, domain: Domain) -> Action | None:
    """A property that was asked for, further results, or a result that was chosen."""
    turn, source, task = state.this_turn, state.task_with_results, state.task
    if turn.is_choice_unknown:
        has_list = source is not None or (state.question is not None and bool(state.question.choices))
        return Say("no_such_choice" if has_list else "nothing_to_ask", open_question(state, domain))
    if turn.requested:
        return _asked_properties(state, domain)
    is_own = source is not None and task is not None and source.number == task.number
    if source is None or not is_own or turn.changed:
        return None
    if turn.wants_more and source.stage == "offered":
        kept = {slot: value for slot, value in _filters(source).items() if slot not in source.relaxed}
        passed = source.skipped + len(source.results)
        return LookUp(source.intent, kept, skip=passed, order=source.order, columns=source.columns)
    if turn.is_chosen and source.chosen_result is not None:
        return Show(source.intent, source.chosen_result)
    return None


def _asked_properties(state: State, domain: Domain) -> Action:
    """The columns that were asked for, of the node that is meant, and what was wished besides."""
    requests, pending = state.this_turn.requested, _besides(state, domain)
    row, source = requests[0].row, state.task_with_results
    if row is not None and source is not None and row_of(row, len(source.results)) is None:
        return Say("no_such_choice", pending)
    node = _meant(state, requests[0], domain)
    if node is None:
        is_listed = source is not None and not _found_nothing(state.task)
        return Say("which_result" if is_listed else "nothing_to_ask", pending)
    intent = _teller(node, domain)
    if any(each.column == EVERYTHING for each in requests) and intent:
        return Show(intent, node, pending)
    query = domain.intents[intent].query if intent else None
    known = [each for each in requests if query is not None and query.column(each.column) is not None]
    if not known:
        return Say("property_unknown", pending)
    asked = tuple((each.column, each.value) for each in known if each.value is not None)
    return Tell(intent, tuple(dict.fromkeys(each.column for each in known)), node, pending, asked)


def _besides(state: State, domain: Domain) -> Pending | None:
    """What waits for an answer; or a search that the same sentence changed, which is done as well."""
    open_now = open_question(state, domain)
    turn, task = state.this_turn, state.task
    if open_now is not None or task is None or not (turn.changed or turn.is_switched):
        return open_now
    action = _about_task(state, domain)
    return action if isinstance(action, Ask | Confirm | LookUp) else None


def _found_nothing(task: Task | None) -> bool:
    return task is not None and task.stage == "offered" and not task.results


def _meant(state: State, request: AskedColumn, domain: Domain) -> NodeValue | None:
    """The node that is asked about: named, by its number, talked of, the only one of a list, or booked last."""
    source = state.task_with_results
    if request.node is not None:
        return request.node
    if request.row is not None and source is not None:
        return source.results[request.row]
    if state.topic is not None or _found_nothing(state.task):
        return state.topic
    if source is not None:
        return source.chosen_result
    booked = state.bookings[-1] if state.bookings else None
    return _target(booked.intent, booked.values, domain) if booked is not None else None


def _teller(node: NodeValue, domain: Domain) -> str:
    """The intent whose query looks for nodes like this one, "" for none."""
    return next((each.name for each in domain.intents.values() if each.query and each.query.label == node.label), "")


def _target(intent: str, values: Mapping[str, Value], domain: Domain) -> NodeValue | None:
    """The node that a booking is for."""
    booking = domain.intents[intent].booking
    value = values.get(booking.target) if booking is not None else None
    return value if isinstance(value, NodeValue) else None


def _about_talk(state: State, domain: Domain) -> Action | None:
    """Greetings, thanks, help, a task given up, and sentences that are not for us."""
    turn, task = state.this_turn, state.task
    if turn.is_nothing_cancelled:
        return Say("nothing_to_cancel")
    if turn.is_cancelled:
        return Say("cancelled_but_booked" if state.bookings else "cancelled", after(state, domain))
    if turn.is_switched or turn.changed or turn.is_chosen or turn.other or _has_trouble(task):
        return None
    if turn.unbookable and (task is None or not turn.is_informed):
        return Say("not_bookable", open_question(state, domain))
    waits = task is not None and task.stage == "confirming" and task.read_out is not None
    if turn.intent == OUT_OF_SCOPE:
        return Say("not_a_yes" if waits else "out_of_scope", open_question(state, domain))
    if turn.intent == UNCLEAR:
        return Say("not_a_yes" if waits else "unclear", open_question(state, domain))
    intent = domain.intents.get(turn.intent)
    if intent is not None and (intent.kind == "chitchat" or intent.act == "help"):
        return Say(intent.name, open_question(state, domain))
    if turn.is_denied and task is not None:
        is_booking = domain.intents[task.intent].kind == "book" and not missing_slots(task, domain)
        return Say("ask_change") if is_booking or task.stage == "offered" else None
    if waits and not turn.is_confirmed and not turn.is_informed:
        return Say("not_a_yes", open_question(state, domain))
    return None


def _has_trouble(task: Task | None) -> bool:
    return task is not None and bool(task.rejected or task.doubts)


def _about_task(state: State, domain: Domain) -> Action | None:
    task = state.task
    if task is None:
        return None
    intent = domain.intents[task.intent]
    turn = state.this_turn
    question = _about_trouble(task, intent, domain) or _about_other(task, turn.other) or _about_missing(task, domain)
    if question is not None:
        return question
    if intent.kind == "book":
        return _about_booking(task, state, domain)
    # What is asked for twice is answered twice.
    if task.stage == "offered" and not (turn.changed or turn.is_switched or turn.is_informed):
        return Say("anything_else")
    return LookUp(task.intent, _filters(task), order=task.order, columns=task.columns)


def _about_trouble(task: Task, intent: Intent, domain: Domain) -> Action | None:
    """Words that may mean several nodes, or nothing: ask about them, whether the slot is required or not."""
    for slot, candidates in task.doubts.items():
        return _limited(Ask(slot, task.times_asked.get(slot, 0) + 1, candidates, reason="ambiguous"))
    for slot, rejection in task.rejected.items():
        if not _is_only_told(task, intent, slot, domain):
            return _limited(_ask_again(slot, rejection, task.times_asked.get(slot, 0) + 1))
    return None


def _about_other(task: Task, slot: str) -> Action | None:
    """A slot that another value is wanted of is asked for."""
    attempt = task.times_asked.get(slot, 0) + 1
    return _limited(Ask(slot, attempt, (), attempt > MAX_QUESTIONS)) if slot else None


def _ask_again(slot: str, rejection: Rejection, attempt: int) -> Ask:
    """What was wrong with the words, and the question; a moment that is over comes with the next such one to choose."""
    surface = rejection.leftover if rejection.why == "partial" else rejection.surface
    if rejection.why == "past" and rejection.instead is not None:
        return Ask(slot, attempt, (rejection.instead,), reason="over", surface=surface)
    reason = _REASONS[rejection.why]
    return Ask(slot, attempt, (), attempt > MAX_QUESTIONS, reason, surface, rejection.instead)


def _is_only_told(task: Task, intent: Intent, slot: str, domain: Domain) -> bool:
    """A name that the graph does not have need not hold up a search that does without it: the reply says so."""
    is_free = slot not in task.values and slot not in missing_slots(task, domain)
    return intent.kind == "find" and domain.slots[slot].type == "name" and is_free


def _about_missing(task: Task, domain: Domain) -> Action | None:
    for slot in missing_slots(task, domain):
        attempt = task.times_asked.get(slot, 0) + 1
        return _limited(Ask(slot, attempt, (), attempt > MAX_QUESTIONS))
    return None


def _limited(ask: Ask) -> Action:
    """Asked twice, then with choices, then no more."""
    return ask if ask.attempt <= MAX_QUESTIONS + 1 else HandOff(f"slot:{ask.slot}")


def _about_booking(task: Task, state: State, domain: Domain) -> Action:
    """Written upon a yes, read out before; a change that changes nothing is asked what to change."""
    for slot, value in task.values.items():
        if isinstance(value, When) and state.now and (value.end or value.start) < state.now[: len(value.start)]:
            return _limited(Ask(slot, task.times_asked.get(slot, 0) + 1, reason="past"))
    values, replaced = _filters(task), state.booking(task.replaces)
    if task.stage == "confirmed":
        return Book(task.intent, values, task.number, task.replaces)
    if replaced is not None and replaced.values == task.values:
        return Say("ask_change")
    return Confirm(task.intent, values, task.replaces)


def _filters(task: Task) -> dict[str, Value]:
    return {slot: value for slot, value in task.values.items() if not isinstance(value, Anything)}
