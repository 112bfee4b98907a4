"""Three ways to make one reading of a sentence: intent first, slots first, and a hybrid that chooses between them.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Behind
each stands any `Understander` that tells every intent it considers and every slot it finds; a strategy decides which
of them are believed, so all three cost one call of it and give the same type.

- intent first: the likeliest intent stands, and slots that it does not have are dropped (the pipeline of ATIS-style
  systems; Tur & De Mori 2011, "Spoken Language Understanding", ch. 3).
- slots first: slots vote for intents by Bayes' rule: prior of the reading times what each intent's frame makes of the
  slots found and of the required ones missing (frames as in GUS, Bobrow et al. 1977).
- hybrid: plain sentences intent first; those with many slots, several clauses, words that point back, or two intents
  close together go slots first, or to a language model where there is one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pagoda.errors import ConfigError, nearest
from pagoda.nlu.understanding import OUT_OF_SCOPE, TurnContext, Understander, Understanding

logger = logging.getLogger(__name__)

Strategy = Literal["intent_first", "slots_first", "hybrid"]
STRATEGIES: tuple[Strategy, ...] = ("intent_first", "slots_first", "hybrid")
NO_CONTEXT = TurnContext()
_SLOT_IN_FRAME, _SLOT_OUTSIDE = 0.9, 0.02
_REQUIRED_MISSING = 0.7
# An intent that the classifier ruled out may still win by its slots, but not by one of them alone.
_LEAST_PRIOR = 0.01
_CONJUNCTIONS = r"(?:\b(?:and then|but|also|because|so that)\b|然后|还有|而且|并且|但是|不过|另外|顺便)"
_CLAUSE_ENDS = re.compile(rf"[,;.!?，；。！？]+\s*{_CONJUNCTIONS}?(?=\s*\S)|{_CONJUNCTIONS}")
_POINTS_BACK = re.compile(
    r"\b(?:it|its|that one|this one|the same|there|them|those|the (?:first|second|third|last|other)(?: one)?)\b"
    r"|它|那家|这家|那个|这个|那里|刚才|第[一二三四五六七八九十\d]+[家个部间]|同样|上面",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Frame:
    """An intent as the strategies see it: the slots that it needs and those that it takes besides."""

    intent: str
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    @property
    def slots(self) -> frozenset[str]:
        """All slots of the intent."""
        return self.required | self.optional


Frames = Mapping[str, Frame]


@dataclass(frozen=True)
class Complexity:
    """What makes a sentence hard to read. margin: between the two likeliest intents, 1 where there is one only."""

    num_slots: int
    num_clauses: int
    points_back: bool
    margin: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Those that count as hard, in words of the log."""
        found = {
            f"{self.num_slots} slots": self.num_slots >= 4,
            f"{self.num_clauses} clauses": self.num_clauses >= 3,
            "points back": self.points_back,
            f"margin {self.margin:.2f}": self.margin < 0.2,
        }
        return tuple(reason for reason, is_hard in found.items() if is_hard)


def by_intent(reading: Understanding, frames: Frames, context: TurnContext = NO_CONTEXT) -> Understanding:
    """The reading with the slots of its intent only; an intent without slots leaves those of the task under way."""
    frame = frames.get(reading.intent)
    if frame is None or not frame.slots:
        frame = frames.get(context.intent)
    if frame is None:
        return replace(reading, route="intent_first")
    kept = tuple(slot for slot in reading.slots if slot.slot in frame.slots)
    unused = tuple(slot for slot in reading.unused if slot.slot not in frame.slots)
    return replace(reading, slots=kept, unused=unused, route="intent_first")


def by_slots(reading: Understanding, frames: Frames, context: TurnContext = NO_CONTEXT) -> Understanding:
    """The reading with the intent that its slots speak for. Without slots it stays as it is."""
    found = frozenset(slot.slot for slot in reading.slots)
    if not found:
        return replace(reading, route="slots_first")
    priors = dict(reading.candidates) | {reading.intent: reading.confidence}
    filled = found | frozenset(context.slots)
    weights = {
        intent: max(prior, _LEAST_PRIOR) * _likelihood(frames.get(intent), found, filled)
        for intent, prior in priors.items()
    }
    total = sum(weights.values())
    ranked = sorted(((intent, weight / total) for intent, weight in weights.items()), key=lambda pair: -pair[1])
    intent, confidence = ranked[0]
    chosen = replace(reading, intent=intent, confidence=confidence, candidates=tuple(ranked))
    return replace(by_intent(chosen, frames, context), route="slots_first")


def complexity_of(reading: Understanding) -> Complexity:
    """How hard a sentence is, as far as its reading tells.

    >>> complexity_of(Understanding("那家便宜吗，近不近，好吃吗", "zh", "ask", 0.9)).reasons
    ('3 clauses', 'points back')
    """
    confidences = sorted((confidence for _, confidence in reading.candidates), reverse=True)
    margin = confidences[0] - confidences[1] if len(confidences) > 1 else 1.0
    return Complexity(
        num_slots=len(reading.slots),
        num_clauses=len(_CLAUSE_ENDS.findall(reading.text)) + 1,
        points_back=_POINTS_BACK.search(reading.text) is not None,
        margin=margin,
    )


class IntentFirst:
    """The default: the likeliest intent, then its slots."""

    def __init__(self, base: Understander, frames: Frames) -> None:
        self._base, self._frames = base, frames

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """See `by_intent`."""
        return _routed(by_intent, self._base.parse(text, context), self._frames, context)


class SlotsFirst:
    """All slots, then the intent that they fit."""

    def __init__(self, base: Understander, frames: Frames) -> None:
        self._base, self._frames = base, frames

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """See `by_slots`."""
        return _routed(by_slots, self._base.parse(text, context), self._frames, context)


class Hybrid:
    """Chooses by the sentence. model: reads the hard ones, if there is one; otherwise they go slots first.

    The route is logged with its reasons, and stands in the reading: "hybrid/intent_first", "hybrid/slots_first" or
    "hybrid/model".
    """

    def __init__(self, base: Understander, frames: Frames, model: Understander | None = None) -> None:
        self._base, self._frames, self._model = base, frames, model

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """One reading; the base reads every sentence, the model only hard ones."""
        reading = self._base.parse(text, context)
        reasons = complexity_of(reading).reasons
        chosen = self._chosen(reading, reasons, context)
        logger.debug("hybrid took %s: %s", chosen.route, ", ".join(reasons) or "nothing hard")
        return replace(chosen, route=f"hybrid/{chosen.route}")

    def _chosen(self, reading: Understanding, reasons: tuple[str, ...], context: TurnContext | None) -> Understanding:
        if not reasons:
            return _routed(by_intent, reading, self._frames, context)
        if self._model is not None:
            return _routed(by_intent, self._model.parse(reading.text, context), self._frames, context)
        return _routed(by_slots, reading, self._frames, context)


def make_strategy(
    name: str, base: Understander, frames: Frames, *, model: Understander | None = None
) -> IntentFirst | SlotsFirst | Hybrid:
    """A strategy by its name. model: for the hybrid's hard sentences. Raises ConfigError for an unknown name."""
    if name == "intent_first":
        return IntentFirst(base, frames)
    if name == "slots_first":
        return SlotsFirst(base, frames)
    if name == "hybrid":
        return Hybrid(base, frames, model)
    raise ConfigError(f"strategy is {name!r}: {nearest(name, STRATEGIES)}")


def _routed(
    decide: Callable[[Understanding, Frames, TurnContext], Understanding],
    reading: Understanding,
    frames: Frames,
    context: TurnContext | None,
) -> Understanding:
    """The decision, with the route of whoever read the sentence in front where that is worth telling."""
    decided = decide(reading, frames, context or NO_CONTEXT)
    if reading.route.startswith("model"):
        return replace(decided, route=f"{reading.route}/{decided.route}")
    return decided


def _likelihood(frame: Frame | None, found: frozenset[str], filled: frozenset[str]) -> float:
    """P(these slots | intent), slots taken as independent. found: in the sentence; filled: or before it."""
    if frame is None or frame.intent == OUT_OF_SCOPE:
        return _SLOT_OUTSIDE ** len(found)
    inside = len(found & frame.slots)
    missing = len(frame.required - filled)
    return _SLOT_IN_FRAME**inside * _SLOT_OUTSIDE ** (len(found) - inside) * _REQUIRED_MISSING**missing
