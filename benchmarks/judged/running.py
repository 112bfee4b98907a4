"""Runs the judged conversations through a dialogue, a fresh session each, and judges every turn.

Along a turn's path from outside: a sentence in, a turn out. A sentence that answers a question waits until that
question is open, and a yes until what is read out is what was meant; where the dialogue asks for what no sentence of
the conversation says, the conversation's sheet answers, and that turn is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from judged.expected import Expected
from judged.labels import Conversation, Judged, Label, label_of
from judged.observed import Seen
from judged.rules import Fault, Verdict, agrees, judge
from judged.town import Town

Talk = Callable[[str], Seen]
"""A sentence of one session to what was seen of its turn. May raise."""
SHEETS: Mapping[str, Mapping[str, str]] = {
    "zh": {"location": "鹿鸣区", "cuisine": "*", "genre": "*", "name": "青瓦小馆"},
    "en": {"location": "Luming", "cuisine": "*", "genre": "*", "name": "Red_Lantern_Restaurant"},
}
_ANY = {"zh": "都行", "en": "any"}
MAX_ANSWERS = 3


@dataclass(frozen=True)
class Ruled:
    """One turn of a conversation and its verdict, None where it was skipped. answers: said for the person before it."""

    conversation: Conversation
    turn: Judged
    text: str
    reply: str
    verdict: Verdict | None
    answers: tuple[str, ...] = ()
    seen: Seen = field(default_factory=Seen)


class Run:
    """One conversation under way."""

    def __init__(self, conversation: Conversation, texts: Sequence[str], talk: Talk, town: Town) -> None:
        self._conversation, self._talk, self._town = conversation, talk, town
        self._left = list(zip(conversation.turns, texts, strict=True))
        self._seen, self._expected = Seen(), Expected()
        self._sheet = {**SHEETS[conversation.language], **conversation.sheet}
        self._answers: list[str] = []

    def turns(self) -> Iterator[Ruled]:
        """Every turn, in the order in which they were said; those that found no question open last."""
        waiting: list[tuple[Judged, str]] = []
        while self._left:
            turn, text = self._next()
            if not self._is_said(turn.label):
                waiting.append((turn, text))
                continue
            yield self._said(turn, text)
        for turn, text in waiting:
            yield Ruled(self._conversation, turn, text, "", None)

    def _next(self) -> tuple[Judged, str]:
        """The next sentence; of several answers that follow each other, the one whose question is open."""
        self._prepare(self._left[0][0])
        answers = 0
        while answers < len(self._left) and self._left[answers][0].label.after not in ("", "confirm", "book"):
            answers += 1
        fitting = (at for at in range(answers) if self._is_open(self._left[at][0].label.after))
        return self._left.pop(next(fitting, 0))

    def _prepare(self, turn: Judged) -> None:
        """Answer questions that stand between the person and this sentence, where the sheet knows the answer."""
        label, self._answers = turn.label, []
        is_about_found = any(asked.of != "booked" for asked in label.asked) or label.act in ("more", "pick")
        for _ in range(MAX_ANSWERS):
            slot = self._seen.open
            is_waiting = label.after not in ("", slot) or (is_about_found and not label.wants)
            if not is_waiting or slot not in self._sheet or any(want.slot == slot for want in label.wants):
                return
            self._answer(slot)

    def _answer(self, slot: str) -> None:
        value = self._sheet[slot]
        said = _ANY[self._conversation.language] if value == "*" else value.replace("_", " ")
        self._answers.append(said)
        want = label_of(f"{slot}={value}", self._town).wants[0]
        self._seen, self._expected = self._talk(said), self._expected.answered(want)

    def _is_said(self, label: Label) -> bool:
        """Whether the person would say this here: an answer to its question, a yes to what was meant."""
        if label.after and not self._is_open(label.after):
            return False
        is_yes = label.act == "yes" and label.after == "confirm"
        return not is_yes or agrees(self._town, self._seen, self._expected)

    def _is_open(self, after: str) -> bool:
        return after == self._seen.open or (after == "book" and self._seen.task.startswith("book"))

    def _said(self, turn: Judged, text: str) -> Ruled:
        before, expected = self._seen, self._expected
        try:
            self._seen = self._talk(text)
        except Exception as error:  # whatever it is, the next sentence is said all the same
            fault = Fault(f"crashed: {type(error).__name__}", is_silent=True)
            verdict = Verdict("wrong in silence", (fault,), expected.after(turn.label))
        else:
            verdict = judge(self._town, text, turn.label, before, self._seen, expected)
        self._expected = verdict.after
        return Ruled(self._conversation, turn, text, self._seen.text, verdict, tuple(self._answers), self._seen)
