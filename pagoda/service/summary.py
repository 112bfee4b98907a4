"""What a person who takes over has to know: why, what was wanted, what stands, what was not understood, what was said.

After a turn that hands over: *session -> summary*. Nothing is made up: every line is a turn's own record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.sessions.store import HandOffRecord

_LAST = 6
"""Turns that a summary repeats."""
_NOT_UNDERSTOOD = ("out_of_scope", "unclear")


def summary_of(record: HandOffRecord, turns: Sequence[Mapping[str, Any]], domain: Domain) -> dict[str, Any]:
    """Of a conversation that waits. turns: all of the session, oldest first."""
    state: Mapping[str, Any] = turns[-1]["state"] if turns else {}
    intent = domain.intents.get(str(state.get("intent", "")))
    return {
        "reason": record.reason,
        "language": record.language,
        "sentence": record.text,
        "task": {} if intent is None else dict(intent.title),
        "slots": dict(state.get("slots", {})),
        "missing": list(state.get("missing", ())),
        "bookings": list(state.get("bookings", ())),
        "results": list(state.get("results", ())),
        "not_understood": [turn["user"] for turn in turns if _is_lost(turn)],
        "last": [{"user": turn["user"], "text": turn["text"]} for turn in turns[-_LAST:]],
        "turns": len(turns),
        "at": record.at,
    }


def _is_lost(turn: Mapping[str, Any]) -> bool:
    """Whether a sentence got no answer: nobody understood it, or the documents did not hold one."""
    if turn["source"] or turn["action"] not in ("say", "hand_off"):
        return False
    read = turn["understanding"] or {}
    return read.get("intent") in _NOT_UNDERSTOOD
