"""Conversations are run as a person would have them: answers wait for their question, the sheet fills the gaps."""

from __future__ import annotations

from dataclasses import replace

from judged.labels import Conversation, Judged, label_of
from judged.observed import Seen
from judged.running import Run
from judged.table import as_json, failing, tables
from judged.town import Town


class Desk:
    """Asks for the slots of its list in turn, whatever is said, and holds nothing."""

    def __init__(self, *slots: str) -> None:
        self.slots, self.heard = list(slots), list[str]()

    def __call__(self, text: str) -> Seen:
        self.heard.append(text)
        slot = self.slots.pop(0) if self.slots else ""
        return Seen(text=f"{slot}?", task="book_restaurant", action="ask", detail="missing", asks=slot, open=slot)


def conversation(town: Town, *turns: tuple[str, str], language: str = "en") -> Conversation:
    judged = [Judged("0", text, label_of(label, town)) for text, label in turns]
    return Conversation("made-1", language, "develop", tuple(judged))


def said(town: Town, held: Conversation, desk: Desk) -> list[str]:
    ruled = list(Run(held, [turn.text for turn in held.turns], desk, town).turns())
    assert sorted(each.text for each in ruled) == sorted(turn.text for turn in held.turns)
    return desk.heard


def test_answers_are_given_to_the_question_that_is_open(town: Town) -> None:
    held = conversation(
        town,
        ("book", "B"),
        ("at 7", ". asked:time time=T19:00"),
        ("four", ". asked:people people=4"),
        ("bye", "thanks"),
    )
    assert said(town, held, Desk("people", "time", "", "")) == ["book", "four", "at 7", "bye"]


def test_an_answer_whose_question_never_comes_is_skipped(town: Town) -> None:
    held = conversation(town, ("book", "B"), ("four", ". asked:people people=4"), ("bye", "thanks"))
    desk = Desk("time", "time")
    ruled = list(Run(held, [turn.text for turn in held.turns], desk, town).turns())
    assert desk.heard == ["book", "bye"]
    assert [each.text for each in ruled if each.verdict is None] == ["four"]


def test_the_sheet_answers_what_the_person_never_says(town: Town) -> None:
    held = conversation(town, ("find", "R"), ("the phone?", ". ?phone@shown"))
    assert said(town, held, Desk("location", "cuisine", "", "")) == ["find", "Luming", "any", "the phone?"]


def test_a_crash_is_a_silent_fault_and_the_conversation_goes_on(town: Town) -> None:
    def crash(text: str) -> Seen:
        raise RuntimeError(text)

    held = conversation(town, ("find", "R"), ("bye", "thanks"))
    ruled = list(Run(held, ["find", "bye"], crash, town).turns())
    assert [each.verdict.grade for each in ruled if each.verdict] == ["wrong in silence"] * 2


def test_tables_tell_shares_kinds_and_failing_turns(town: Town) -> None:
    held = conversation(town, ("cheap Thai food", "R cuisine=Thai price=cheap"), ("bye", "thanks"))
    ruled = list(Run(held, ["cheap Thai food", "bye"], Desk("location", ""), town).turns())
    told = tables(ruled)
    assert "| English | 1 | 2 | 0 |" in told
    assert "wrong in silence, by kind" in told
    assert "cheap Thai food" in "\n".join(failing(ruled))
    assert {each["grade"] for each in as_json(ruled)} <= {"right", "acceptable", "wrong", "wrong in silence"}


def test_nobody_says_yes_to_what_was_not_meant(town: Town) -> None:
    class ReadsOut(Desk):
        def __call__(self, text: str) -> Seen:
            values = {"people": 14}
            return replace(super().__call__(text), action="confirm", open="confirm", values=values)

    held = conversation(town, ("a table for 4", "B people=4"), ("yes", "yes asked:confirm"))
    assert said(town, held, ReadsOut()) == ["a table for 4"]
