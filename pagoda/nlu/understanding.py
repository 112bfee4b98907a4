"""What understanding a sentence gives, whoever does it: one result type for every strategy.

The face of the room: *sentence -> Understanding*. Whoever wants sentences read asks an `Understander`: the fast one of
this room (`fast_understanding`), or any other behind the same protocol, such as a language model. A context, where
there is one, is what a conversation knows before the sentence. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pagoda.language import Language

OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True)
class SlotValue:
    """A slot's value as the person said it. start, end: characters of the text, -1 where it is no stretch of it."""

    slot: str
    value: str
    start: int = -1
    end: int = -1
    confidence: float = 1.0


@dataclass(frozen=True)
class Act:
    """Something said beside intent and slots. kind: "any" and "unset" are of a slot, "request" of a property.

    "more" wants further results; "bookings" is about what was agreed upon before, its value what is wanted of it
    "order" puts first what has the "lowest" or "highest" value of the property `slot`
    """

    kind: Literal["any", "unset", "request", "confirm", "deny", "choose", "correct", "more", "bookings", "order"]
    slot: str = ""
    value: str = ""


@dataclass(frozen=True)
class TurnContext:
    """What is known before a sentence: an answer to a question binds to the requested slot first.

    results: names of the results that were shown last, in order
    slots: slots that already have a value
    waiting: words of wishes that were put off, by intent, the next one first; is_idle: nothing else is asked or open
    """

    intent: str = ""
    requested_slot: str = ""
    results: tuple[str, ...] = ()
    slots: Mapping[str, str] = field(default_factory=dict)
    language: Language | None = None
    waiting: Mapping[str, str] = field(default_factory=dict)
    is_idle: bool = False


@dataclass(frozen=True)
class Understanding:
    """One reading of a sentence.

    confidence: calibrated probability that `intent` is right; candidates: (intent, confidence), best first
    route: which way it was read, such as "intent_first" or "model"
    unused: values of slots that the intent does not have; unknown: what is a name for certain and nobody knows
    further: (intent, words) of what the sentence wishes besides; `text` is then the part that was read
    """

    text: str
    language: Language
    intent: str
    confidence: float
    slots: tuple[SlotValue, ...] = ()
    acts: tuple[Act, ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    route: str = ""
    unused: tuple[SlotValue, ...] = ()
    unknown: tuple[str, ...] = ()
    further: tuple[tuple[str, str], ...] = ()


class Understander(Protocol):
    """Reads sentences; the same sentence in the same context always gets the same reading."""

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """Raises InvalidRequestError for a text without a word."""
        ...
