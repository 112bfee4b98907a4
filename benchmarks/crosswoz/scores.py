"""How well acts and belief states of whole dialogues are read, by the definitions of CrossWOZ.

Beside a turn's path, for benchmarks and tests. Acts: micro F1 over exact tuples. States: joint goal accuracy, the share
of system turns whose whole state is right (Zhu et al. 2020, arXiv 2002.11893, section 5.3).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crosswoz.context import ActContext, acts_of
from crosswoz.ontology import DialogueAct
from crosswoz.tracking import ActTracker, Belief
from crosswoz.understanding import ActUnderstanding

Dialogue = Mapping[str, Any]
"""{"turns": [{"role": "usr" | "sys", "text", "acts", "state" on the system's}]}"""


@dataclass(frozen=True)
class ActScore:
    """Counts of acts over many turns; seconds: of each sentence's reading."""

    num_right: int
    num_found: int
    num_gold: int
    seconds: tuple[float, ...] = field(default=(), repr=False)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over all acts, 0 where nothing is right."""
        return 2 * self.num_right / (self.num_found + self.num_gold) if self.num_right else 0.0

    def __add__(self, other: ActScore) -> ActScore:
        return ActScore(
            self.num_right + other.num_right,
            self.num_found + other.num_found,
            self.num_gold + other.num_gold,
            self.seconds + other.seconds,
        )


def read_dialogue(reader: ActUnderstanding, dialogue: Dialogue) -> tuple[list[tuple[DialogueAct, ...]], ActScore]:
    """The acts read of each user's turn, and their score.

    The reader hears what it would in service: its own reading of earlier turns, and the system's acts, which are known.
    """
    context = ActContext()
    found: tuple[DialogueAct, ...] = ()
    readings = []
    score = ActScore(0, 0, 0)
    for turn in dialogue["turns"]:
        acts = acts_of(turn)
        if turn["role"] != "usr":
            context = context.after(reader.ontology, found, acts)
            continue
        began = time.perf_counter()
        found = tuple(reader.parse(turn["text"], context))
        took = time.perf_counter() - began
        readings.append(found)
        score += ActScore(len({*found} & {*acts}), len({*found}), len({*acts}), (took,))
    return readings, score


def state_hits(
    tracker: ActTracker,
    dialogue: Dialogue,
    user_acts: Sequence[Sequence[DialogueAct]] | None = None,
    *,
    from_annotated: bool = False,
) -> Iterator[bool]:
    """For each system turn, whether the whole state is right: every domain, slot and value, no more and no less.

    user_acts: as read, None for the annotated ones
    from_annotated: every turn starts from the annotated state of the turn before, as RuleDST is measured; otherwise the
        tracker starts from nothing and goes on from its own states to the end of the dialogue
    """
    belief = Belief()
    heard: tuple[DialogueAct, ...] = ()
    before: tuple[DialogueAct, ...] = ()
    text = ""
    readings = iter(user_acts if user_acts is not None else ())
    for turn in dialogue["turns"]:
        if turn["role"] == "usr":
            heard, text = acts_of(turn) if user_acts is None else tuple(next(readings)), turn["text"]
            continue
        belief = tracker.update(belief, before, heard, text)
        before, annotated = acts_of(turn), tracker.belief(turn["state"], belief)
        yield _comparable(belief) == _comparable(annotated)
        belief = annotated if from_annotated else belief


def share(hits: Iterable[bool]) -> float:
    """Joint goal accuracy; 0 of no turns."""
    counted = list(hits)
    return sum(counted) / len(counted) if counted else 0.0


def _comparable(belief: Belief) -> dict[tuple[str, str], frozenset[str]]:
    """Lists in any order; what holds nothing is not held."""
    return {slot: frozenset(values) for slot, values in belief.slots.items() if any(values)}
