"""Labels agree with rules: a dialogue that does what the labels say is right in every turn, a deaf one is not."""

from __future__ import annotations

from typing import Any

import pytest
from judged.expected import Expected
from judged.labels import Conversation, Judged, Label, read
from judged.meaning import Around, Count, Free, Meaning, Moment, Nodes, Numbers
from judged.observed import Seen
from judged.rules import TODAY
from judged.running import Run
from judged.town import Town

RESULT = "restaurant-001"


def as_value(meaning: Meaning) -> Any:
    """What a state would hold for it."""
    match meaning:
        case Nodes(keys, mode):
            nodes = [{"node": ["", key, "", ""]} for key in sorted(keys)]
            return {"not": nodes} if mode == "none" else {"either": nodes} if mode == "either" else nodes
        case Numbers(low, high, bands):
            return (
                [{"band": name} for name in bands]
                if len(bands) > 1
                else {"band": bands[0]}
                if bands
                else {"range": [low, high]}
            )
        case Around(number) | Count(number):
            return number
        case Moment(text):
            day, _, clock = text.partition("T")
            return {"when": [f"{day or TODAY}T{clock}", ""] if clock else [f"{day}T00:00", f"{day}T23:59"]}
        case Free():
            return {"any": True}
    raise AssertionError(meaning)


class Oracle:
    """Knows each sentence's label and those to come."""

    def __init__(self, town: Town, turns: tuple[Judged, ...]) -> None:
        self._town, self._turns, self._at = town, turns, 0
        self._expected, self._bookings = Expected(), 0

    def __call__(self, text: str) -> Seen:
        label = self._turns[self._at].label
        self._at += 1
        self._expected = self._expected.after(label)
        if label.act == "yes" and label.after:
            self._bookings, self._expected = self._bookings + 1, self._expected.ended()
            return Seen(text=self._told(label, text), action="book", bookings=self._written)
        follow = self._turns[self._at].label.after if self._at < len(self._turns) else ""
        wants = self._expected.wants.values()
        values = {"name": {"node": ["", RESULT, "", ""]}} if self._expected.task.startswith("book") else {}
        return Seen(
            text=self._told(label, text),
            task="book_restaurant" if follow in ("confirm", "book") else self._expected.task,
            values=values | {want.slot: as_value(want.meanings[0]) for want in wants},
            action="show" if label.act in ("show", "pick") or label.asked else self._action(label),
            detail={"thanks": "thank", "oos": "out_of_scope"}.get(label.act, "thank" if label.act == "no" else ""),
            open=follow if follow != "book" else "",
            results=(RESULT if values else f"{self._kind}-00{1 + self._at % 2}",),
            bookings=self._written,
        )

    @property
    def _kind(self) -> str:
        return {"find_hotel": "hotel", "find_film": "film"}.get(self._expected.task, "restaurant")

    @property
    def _written(self) -> tuple[str, ...]:
        return tuple(map(str, range(self._bookings)))

    def _action(self, label: Label) -> str:
        if label.act in ("thanks", "oos") or (label.act in ("no", "yes") and not label.wants):
            return "say"
        return "confirm" if self._expected.task.startswith("book") else "query"

    def _told(self, label: Label, text: str) -> str:
        """All that the city knows, and that the rest is not known."""
        kinds = ("restaurant", "hotel", "film")
        known = [f"{kind}-00{number}" for kind in kinds for number in (1, 2)]
        named = [key for each in self._expected.ever.get("name", ()) if isinstance(each, Nodes) for key in each.keys]
        keys = [*known, *named, label.node, *(key for each in label.asked for key in each.of.split("|"))]
        held = [key for key in keys if key in self._town]
        told = [word for key in held for each in label.asked for word in self._town.told(key, each.column)]
        words = [*told, *(name for key in held for name in self._town.names(key) if label.node)]
        return f"Sorry, I have no information. {'; '.join(words)} {text}"


@pytest.fixture(scope="module")
def conversations(town: Town) -> list[Conversation]:
    return read(town)


def test_who_does_what_the_labels_say_is_right(town: Town, conversations: list[Conversation]) -> None:
    for conversation in conversations:
        oracle = Oracle(town, conversation.turns)
        texts = [turn.text or f"sentence {turn.line}" for turn in conversation.turns]
        for ruled in Run(conversation, texts, oracle, town).turns():
            where = f"{conversation.name}, line {ruled.turn.line}"
            assert ruled.verdict is not None, f"{where} was never said"
            assert ruled.verdict.grade in ("right", "acceptable"), f"{where}: {ruled.verdict.faults}"


def test_who_hears_nothing_loses_in_silence(town: Town, conversations: list[Conversation]) -> None:
    deaf = Seen(text="Here you are.", task="find_restaurant", action="query", results=(RESULT,))
    silent = num = 0
    for conversation in conversations:
        texts = [turn.text or "sentence" for turn in conversation.turns]
        for ruled in Run(conversation, texts, lambda _: deaf, town).turns():
            if ruled.verdict is not None and any(not want.is_optional for want in ruled.turn.label.wants):
                is_free = all(isinstance(each, Free) for want in ruled.turn.label.wants for each in want.meanings)
                num, silent = num + (not is_free), silent + (ruled.verdict.grade == "wrong in silence" and not is_free)
    assert silent == num > 0
