"""What was said and is for later: what only a booking can use, "for four tonight at seven", and a second wish.

Fourth station of a turn: sentence -> understanding -> events -> *state* -> policy -> Cypher -> rows -> reply. It is
kept until a booking begins, read out there like all else, and gone once it was used, grew too old or was given up with
its search. Information that comes before it is asked for: over-answering, in Bobrow et al. 1977 (GUS).
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.state.fold_slots import informed, noted
from pagoda.dialogue.state.model import Remembered, State


def deferred(state: State, event: ev.Deferred, domain: Domain) -> State:
    """A value is kept for a booking of what the task under way looks for, where one takes it."""
    task = state.task
    if task is None or not accepts(domain.slots[event.slot], event.value):
        return state
    if event.slot not in domain.slots_booked_later(domain.intents[task.intent]):
        return state
    held = Remembered(event.value, task.intent, task.number, state.turn)
    state = replace(state, later={**state.later, event.slot: held}, num_misses=0)
    return noted(state, deferred=(*state.this_turn.deferred, event.surface))


def due(state: State, intent: Intent, domain: Domain) -> State:
    """A task has begun: what was kept for it fills its slots, and is kept no more."""
    for slot, held in state.later.items():
        expires_after = domain.slots[slot].expires_after
        is_old = expires_after > 0 and state.turn - held.turn > expires_after
        if slot in intent.slots and not is_old:
            state = informed(state, ev.Informed(slot, held.value), domain)
    return replace(state, later={slot: held for slot, held in state.later.items() if slot not in intent.slots})


def forgotten(state: State, task: int) -> State:
    """What was said within a task that is given up."""
    return replace(state, later={slot: held for slot, held in state.later.items() if held.task != task})


def put_off(state: State, event: ev.PutOff, domain: Domain) -> State:
    """A wish waits for its turn; the last of its kind counts."""
    intent = domain.intents.get(event.intent)
    if intent is None or intent.kind not in ("find", "book"):
        return state
    state = replace(state, waiting={**state.waiting, event.intent: event.text})
    return noted(state, put_off=(*state.this_turn.put_off, event.intent))


def begun(state: State, intent: str) -> State:
    """A sentence is of this intent: what waited for it waits no more, for it was read with it."""
    return replace(state, waiting={name: words for name, words in state.waiting.items() if name != intent})
