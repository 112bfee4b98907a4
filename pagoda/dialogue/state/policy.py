"""What to do next, as a pure function of the state: ask, look up, tell, read out, book, speak or hand over.

Fifth station of a turn: sentence -> understanding -> events -> state -> *policy* -> Cypher -> rows -> reply. The caller
carries an action out, adds the event that tells of it and asks again until the action is one that ends the turn:

    action     the caller ...                                                          event       ends the turn
    Ask        asks; with needs_choices, first reads choices out of the graph          Asked       yes
    LookUp     runs compile_query, relaxing while nothing is found, shows the rows     Offered     yes
    Tell       runs compile_property for one result                                    Told        yes
    Confirm    reads the booking out, or asks for a time when the place is open        Proposed    yes
    Book       runs compile_booking with booking_key(session, task_number)             Booked      no: then see `after`
    Show       tells more of the result that was chosen                                -           yes
    Say        says a template, then repeats the question that is open, if any         -           yes
    HandOff    records that a person takes over                                        HandedOff   yes

Rules: one question for each missing slot, at most twice, then choices from the graph, then a person; a booking is read
out before it is written. Form filling after Bobrow et al. 1977 (GUS) and Bohus and Rudnicky 2009 (RavenClaw).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent, Order
from pagoda.dialogue.slots.kinds import Anything, NodeValue, Value
from pagoda.dialogue.state.fold import missing_slots
from pagoda.dialogue.state.model import State, Task
from pagoda.nlu.understanding import OUT_OF_SCOPE

MAX_QUESTIONS, MAX_MISSES = 2, 3


@dataclass(frozen=True)
class Ask:
    """Ask for a slot. attempt: from 1; choices: answers to offer; needs_choices: read them out of the graph first.

    reason: "missing"; "invalid", with the words that could not be read as surface; "ambiguous", with the nodes that
    were meant perhaps as choices; "closed", with the opening hours as surface
    """

    slot: str
    attempt: int = 1
    choices: tuple[Value, ...] = ()
    needs_choices: bool = False
    reason: Literal["missing", "invalid", "ambiguous", "closed"] = "missing"
    surface: str = ""


@dataclass(frozen=True)
class LookUp:
    """Look for what fits. filters: values by slot, those that do not matter left out; order: what comes first."""

    intent: str
    filters: Mapping[str, Value]
    order: Order | None = None


@dataclass(frozen=True)
class Tell:
    """Tell a column of a result. intent: whose query has the column."""

    intent: str
    column: str
    result: NodeValue


@dataclass(frozen=True)
class Show:
    """Tell all of the result that was chosen."""

    intent: str
    result: NodeValue


@dataclass(frozen=True)
class Confirm:
    """Read a booking out and wait for a yes."""

    intent: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Book:
    """Write a booking. task_number: together with the session the source of its idempotency key."""

    intent: str
    values: Mapping[str, Value]
    task_number: int


@dataclass(frozen=True)
class Say:
    """Say a template of the domain. ask: the question that is still open, to be repeated without counting again."""

    template: str
    ask: Ask | None = None


@dataclass(frozen=True)
class HandOff:
    """A person takes over. reason: "asked_for", "not_understood" or "slot:<name>"."""

    reason: str


Action = Ask | LookUp | Tell | Show | Confirm | Book | Say | HandOff


def next_action(state: State, domain: Domain) -> Action:
    """The one thing to do in this state."""
    about_failure = _after_failure(state)
    if about_failure is not None:
        return about_failure
    return (
        _about_person(state, domain)
        or _about_result(state, domain)
        or _about_talk(state, domain)
        or _about_task(state, domain)
        or Say("fallback")
    )


def after(state: State, domain: Domain) -> Ask | None:
    """What to add to the reply once a task is done: the question of the task that was left open for it."""
    if not state.this_turn.is_resumed:
        return None
    return open_question(state, domain)


def open_question(state: State, domain: Domain) -> Ask | None:
    """The question that the active task waits for, None where it waits for none."""
    if state.task is None:
        return None
    missing = missing_slots(state.task, domain)
    return Ask(missing[0], max(1, state.task.times_asked.get(missing[0], 0))) if missing else None


def _after_failure(state: State) -> Action | None:
    return Say("apology") if state.failure else None


def _about_person(state: State, domain: Domain) -> Action | None:
    """Whether a person is to take over, or has."""
    intent = domain.intents.get(state.this_turn.intent)
    if intent is not None and intent.act == "hand_off" and not state.handed_off:
        return HandOff("asked_for")
    if state.handed_off and not state.this_turn.is_switched:
        return Say("handed_off")
    return HandOff("not_understood") if state.num_misses >= MAX_MISSES else None


def _about_result(state: State, domain: Domain) -> Action | None:
    """A property that was asked for, or a result that was chosen."""
    turn, source = state.this_turn, state.task_with_results
    if turn.is_choice_unknown:
        has_list = source is not None or (state.question is not None and bool(state.question.choices))
        return Say("no_such_choice" if has_list else "nothing_to_ask", open_question(state, domain))
    if turn.requested is not None:
        return _asked_property(state, turn.requested, domain)
    is_own = source is not None and state.task is not None and source.number == state.task.number
    if turn.is_chosen and is_own and source is not None and source.chosen_result is not None and not turn.changed:
        return Show(source.intent, source.chosen_result)
    return None


def _asked_property(state: State, requested: tuple[str, int | None], domain: Domain) -> Action | None:
    column, row = requested
    source = state.task_with_results
    if source is None:
        return Say("nothing_to_ask", open_question(state, domain))
    query = domain.intents[source.intent].query
    if query is None or query.column(column) is None:
        return Say("property_unknown", open_question(state, domain))
    if row is not None and not -len(source.results) <= row < len(source.results):
        return Say("no_such_choice", open_question(state, domain))
    result = source.results[row] if row is not None else source.chosen_result
    return Tell(source.intent, column, result) if result is not None else Say("which_result")


def _about_talk(state: State, domain: Domain) -> Action | None:
    """Greetings, thanks, help, a task given up, and sentences that are not for us."""
    turn = state.this_turn
    if turn.is_cancelled:
        return Say("nothing_to_cancel") if turn.is_nothing_cancelled else Say("cancelled", after(state, domain))
    if turn.is_switched or turn.changed or turn.is_chosen or _has_trouble(state.task):
        return None
    if turn.intent == OUT_OF_SCOPE:
        return Say("out_of_scope", open_question(state, domain))
    intent = domain.intents.get(turn.intent)
    if intent is not None and (intent.kind == "chitchat" or intent.act == "help"):
        return Say(intent.name, open_question(state, domain))
    if turn.is_denied and state.task is not None:
        is_booking = domain.intents[state.task.intent].kind == "book" and not missing_slots(state.task, domain)
        return Say("ask_change") if is_booking or state.task.stage == "offered" else None
    return None


def _has_trouble(task: Task | None) -> bool:
    return task is not None and bool(task.rejected or task.doubts)


def _about_task(state: State, domain: Domain) -> Action | None:
    task = state.task
    if task is None:
        return None
    intent = domain.intents[task.intent]
    question = _about_trouble(task, intent, domain) or _about_missing(task, domain)
    if question is not None:
        return question
    if intent.kind == "book":
        return _about_booking(task)
    if task.stage == "offered" and not state.this_turn.changed and not state.this_turn.is_switched:
        return Say("anything_else")
    return LookUp(task.intent, _filters(task), task.order)


def _about_trouble(task: Task, intent: Intent, domain: Domain) -> Action | None:
    """Words that may mean several nodes, or nothing: ask about them, whether the slot is required or not."""
    for slot, candidates in task.doubts.items():
        return _limited(task, Ask(slot, task.times_asked.get(slot, 0) + 1, candidates, reason="ambiguous"))
    for slot, surface in task.rejected.items():
        if _is_only_told(task, intent, slot, domain):
            continue
        attempt = task.times_asked.get(slot, 0) + 1
        return _limited(task, Ask(slot, attempt, (), attempt > MAX_QUESTIONS, "invalid", surface))
    return None


def _is_only_told(task: Task, intent: Intent, slot: str, domain: Domain) -> bool:
    """A name that the graph does not have need not hold up a search that does without it: the reply says so."""
    is_free = slot not in task.values and slot not in missing_slots(task, domain)
    return intent.kind == "find" and domain.slots[slot].type == "name" and is_free


def _about_missing(task: Task, domain: Domain) -> Action | None:
    for slot in missing_slots(task, domain):
        attempt = task.times_asked.get(slot, 0) + 1
        return _limited(task, Ask(slot, attempt, (), attempt > MAX_QUESTIONS))
    return None


def _limited(task: Task, ask: Ask) -> Action:
    """Asked twice, then with choices, then no more."""
    return ask if ask.attempt <= MAX_QUESTIONS + 1 else HandOff(f"slot:{ask.slot}")


def _about_booking(task: Task) -> Action:
    values = _filters(task)
    return Book(task.intent, values, task.number) if task.stage == "confirmed" else Confirm(task.intent, values)


def _filters(task: Task) -> dict[str, Value]:
    return {slot: value for slot, value in task.values.items() if not isinstance(value, Anything)}
