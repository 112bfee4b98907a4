"""The judge: one turn that was seen, held against what it should have come to. Pure functions, no model, no graph.

After a turn's path. A turn is *right*; or *acceptable*: it asks, or says that it did not understand, and nothing is
lost; or *wrong*, where the person can hear it; or *wrong in silence*: a wish is gone from the state and nobody said so,
a value stands there that was not said and is not read out, a booking was written without a yes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from judged.expected import Expected
from judged.labels import Asked, Label, Want
from judged.meaning import Free, Moment, Nodes, holds, is_part, leaves, words_of
from judged.observed import Seen
from judged.town import Town

TODAY = "2026-11-28"
_VAGUE = ("fallback", "not_understood", "unclear", "not_a_yes")
"""Templates that say that a sentence was not understood."""
Grade = Literal["right", "acceptable", "wrong", "wrong in silence"]
GRADES: tuple[Grade, ...] = ("right", "acceptable", "wrong", "wrong in silence")
_DECLINES = re.compile(
    r"抱歉|没有资料|这里没有|没有.{0,6}信息|无法|不能|不支持|不提供|帮不上|查不到|用不上|不知道|没法|"
    r"sorry|cannot|can't|can not|no information|unable|do not know|don't know|do not have|don't have|"
    r"could not use|that I know of",
    re.IGNORECASE,
)
_NOT_UNDERSTOOD = re.compile(
    r"没听懂|没听明白|没明白|没有听懂|不太明白|没太明白|不确定您|没能理解|"
    r"make sense of|did not understand|didn't understand|not sure what|did not get|not sure I understood",
    re.IGNORECASE,
)
_NO_MORE = re.compile(
    r"没有更多|没有别的|就这些|都在这|no more|nothing else|those are all|that is all|that's all", re.IGNORECASE
)


@dataclass(frozen=True)
class Fault:
    """kind: for the table; slot or words that it is about; is_silent: the person cannot hear it."""

    kind: str
    about: str = ""
    is_silent: bool = False


@dataclass(frozen=True)
class Verdict:
    """grade, and why; after: the expected state, with what was told to be unusable let go."""

    grade: Grade
    faults: tuple[Fault, ...]
    after: Expected
    note: str = ""


@dataclass(frozen=True)
class Case:
    """All that one verdict rests on."""

    town: Town
    text: str
    label: Label
    expected: Expected
    before: Seen
    now: Seen

    @property
    def remark(self) -> str:
        """The reply without the rows that it lists."""
        listed = [name for key in self.now.results for name in self.town.names(key)]
        return self.now.remark(listed) if self.now.action == "query" else self.now.text

    def says(self, words: Sequence[str]) -> bool:
        """Whether the reply, rows apart, has one of the words."""
        said = self.remark.casefold()
        return any(_has(said, word.casefold()) for word in words)

    @property
    def is_not_understood(self) -> bool:
        """The reply says that the whole sentence was not understood."""
        return self.now.detail in _VAGUE or bool(_NOT_UNDERSTOOD.search(self.now.text) and not self.now.quoted)


def judge(town: Town, text: str, label: Label, before: Seen, now: Seen, expected: Expected) -> Verdict:
    """The verdict on one turn. before, now: as seen after the turn before and after this one; expected: before it."""
    case = Case(town, text, label, expected.after(label), before, now)
    told = frozenset(_told(case))
    state_faults = [] if case.is_not_understood else [*_lost(case, told), *_taken(case, told)]
    faults = [*_booked(case), *state_faults]
    grade, kind = _reply(case)
    if kind:
        faults.append(Fault(kind))
    after = case.expected.waived(told if not case.is_not_understood else told | _said(label))
    after = after.lost(frozenset(fault.about for fault in faults if fault.kind.startswith("lost")))
    if now.bookings != before.bookings:
        after = after.ended()
    return Verdict(_graded(grade, faults, case, told), tuple(faults), after, f"{now.action} {now.detail}".strip())


def agrees(town: Town, seen: Seen, expected: Expected) -> bool:
    """Whether the state is what the person said: only then would a yes be said to it."""
    case = Case(town, "", Label(), expected, seen, seen)
    return all(want.is_optional or _is_held(case, want, seen) for want in expected.wants.values())


def _graded(reply: Grade, faults: Sequence[Fault], case: Case, told: frozenset[str]) -> Grade:
    if any(fault.is_silent for fault in faults):
        return "wrong in silence"
    if faults:
        return "wrong"
    usable = {slot for slot in told if case.town.knows(case.expected.task, slot)}
    return "acceptable" if reply == "right" and usable & _said(case.label) else reply


def _said(label: Label) -> frozenset[str]:
    return frozenset(want.slot for want in label.wants)


def _has(text: str, word: str) -> bool:
    """Whole words in Latin letters and digits, any stretch of others."""
    if re.fullmatch(r"[\w .:,'-]+", word, re.ASCII):
        return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w]|\.\d)", text, re.ASCII) is not None
    return word in text


# The state


def _is_held(case: Case, want: Want, seen: Seen) -> bool:
    value, task = seen.values.get(want.slot), seen.task or case.expected.task
    if any(holds(each, value, case.town, task, want.slot, TODAY) for each in want.meanings):
        return True
    shut = [each for each in want.meanings if isinstance(each, Nodes) and each.mode == "none"]
    return any(_is_shut_out(seen, each.keys) for each in shut)


def _is_shut_out(seen: Seen, keys: frozenset[str]) -> bool:
    """Nodes to be left out may stand anywhere in the task, under a name that says so."""
    task = json.loads(seen.task_json) if seen.task_json else None
    return keys <= {leaf for leaf, is_out in leaves(task) if is_out}


def _told(case: Case) -> Iterator[str]:
    """Slots whose wish is not in the state, and the reply says so: it asks for them, or names them as unusable."""
    for slot, want in case.expected.wants.items():
        if want.is_optional or _is_held(case, want, case.now):
            continue
        words = [word for each in want.meanings for word in words_of(each, case.town, slot)]
        is_asked = case.now.asks == slot and slot in _said(case.label)
        is_taken = case.now.values.get(slot) not in (None, case.before.values.get(slot))
        is_named = slot in _said(case.label) and not is_taken and case.now.action != "confirm" and case.says(words)
        is_named = is_named or (slot in _said(case.label) and _is_quoted(case, words))
        if is_asked or is_named or _is_doubted(case, slot):
            yield slot


def _is_quoted(case: Case, words: Sequence[str]) -> bool:
    """Whether the reply sets one of the words, out of the sentence, in quotation marks."""
    quoted = [each.casefold() for each in case.now.quoted if each in case.text]
    return any(_has(each, word.casefold()) for each in quoted for word in words)


def _is_doubted(case: Case, slot: str) -> bool:
    return case.now.action == "ask" and case.now.asks == slot and case.now.detail in ("invalid", "ambiguous", "closed")


def _lost(case: Case, told: frozenset[str]) -> Iterator[Fault]:
    """Wishes that are gone without a word, and words that no slot takes."""
    label, now = case.label, case.now
    for slot, want in case.expected.wants.items():
        if slot not in _bound(case) or want.is_optional or slot in told or _is_held(case, want, now):
            continue
        fault = _missing(case, slot, want)
        yield replace(fault, is_silent=False) if _is_refusal(case) and slot in _said(label) else fault
    for words in label.unusable:
        if not case.says(_parts(words)) and not _DECLINES.search(case.remark) and not case.is_not_understood:
            yield Fault("unusable words not said back", words, is_silent=True)


def _bound(case: Case) -> frozenset[str]:
    """Slots whose wishes this turn may not lose: with a wish all of them, with a question those that were held."""
    if any(not want.is_optional for want in case.label.wants):
        return frozenset(case.expected.wants)
    is_other = case.label.act not in ("", "oos") or case.now.task != case.expected.task
    return frozenset() if is_other else _firm(case) - case.expected.missing


def _firm(case: Case) -> frozenset[str]:
    """Slots with a value; that a question brings one where none mattered, or one more, takes nothing away."""
    wants = case.expected.wants.values()
    return frozenset(
        want.slot for want in wants if not isinstance(want.meanings[0], Free) and not _is_within(case, want)
    )


def _is_within(case: Case, want: Want) -> bool:
    held = {leaf for leaf, is_out in leaves(case.now.values.get(want.slot)) if not is_out}
    nodes = [each.keys for each in want.meanings if isinstance(each, Nodes) and each.mode == "all"]
    return want.slot not in _said(case.label) and any(keys <= held for keys in nodes)


def _parts(words: str) -> list[str]:
    return [words, *(part for part in words.split() if len(part) > 3)]


def _missing(case: Case, slot: str, want: Want) -> Fault:
    """Why a wish is not held."""
    value, before = case.now.values.get(slot), case.before.values.get(slot)
    if slot in case.expected.missing:
        return Fault("still missing from a turn before", slot, is_silent=True)
    if slot not in _said(case.label):
        return Fault("lost later: vanished", slot, is_silent=True)
    if not case.town.knows(case.expected.task, slot):
        return Fault("lost: no such slot for the task, not said", slot, is_silent=True)
    if case.now.task != case.expected.task:
        return Fault(
            f"lost: other task ({case.now.task or 'none'} for {case.expected.task or 'none'})",
            slot,
            is_silent=True,
        )
    if value is None:
        return Fault(f"lost: {_shape(want)}", slot, is_silent=True)
    if value == before:
        return Fault(f"lost: not changed to {_shape(want)}", slot, is_silent=not _reads_out(case, slot, value))
    return Fault(f"lost: other value than {_shape(want)}", slot, is_silent=not _reads_out(case, slot, value))


def _is_refusal(case: Case) -> bool:
    return case.now.action == "hand_off" or case.now.detail == "out_of_scope"


def _shape(want: Want) -> str:
    """What kind of value, for the table."""
    first = want.meanings[0]
    name = type(first).__name__.casefold()
    if isinstance(first, Nodes):
        several = "" if len(first.keys) == 1 and first.mode == "all" else f" ({first.mode} of {len(first.keys)})"
        return f"{want.slot}{several}"
    if isinstance(first, Moment):
        day, _, clock = first.text.partition("T")
        return f"{want.slot} ({'day and hour' if day and clock else 'day' if day else 'hour'})"
    return f"{want.slot} ({name})"


def _taken(case: Case, told: frozenset[str]) -> Iterator[Fault]:
    """Values that nobody said."""
    for slot, value in case.now.values.items():
        want = case.expected.wants.get(slot)
        is_free = want is not None and isinstance(want.meanings[0], Free) and slot not in _said(case.label)
        if want is not None and not want.is_optional and slot not in told and not is_free:
            continue
        if value == case.before.values.get(slot) and case.now.task == case.before.task:
            continue
        if not _may_stand(case, slot, value):
            yield Fault(f"taken: {slot} that was not said", slot, is_silent=not _reads_out(case, slot, value))


def _may_stand(case: Case, slot: str, value: Any) -> bool:
    if value == {"any": True}:
        return True
    keys = {leaf for leaf, _ in leaves(value)}
    if slot == "name" and keys <= {*case.now.results, *case.before.results}:
        return True
    if case.label.asked and all(_is_in_words(case, key) for key in keys):
        return True
    ever = [each for each in case.expected.ever.get(slot, ()) if not isinstance(each, Free)]
    return any(
        holds(each, value, case.town, case.now.task, slot, TODAY) or is_part(each, value, TODAY) for each in ever
    )


def _is_in_words(case: Case, key: Any) -> bool:
    """Whether the sentence names that node: a question after it may be taken for a wish."""
    said = case.text.casefold()
    return key in case.town and any(_has(said, word.casefold()) for word in case.town.spellings(key))


def _reads_out(case: Case, slot: str, value: Any) -> bool:
    """Whether the reply says the value that it took."""
    words: list[str] = []
    for leaf, _ in leaves(value):
        if isinstance(leaf, str) and leaf in case.town:
            words += case.town.names(leaf)
        elif isinstance(leaf, str) and "T" in leaf:
            words.append(leaf.split("T")[1])
        elif isinstance(leaf, bool | str):
            words += [str(leaf), *case.town.band_words(slot, str(leaf))]
        else:
            words.append(f"{leaf:g}")
    return bool(words) and case.says(words)


def _booked(case: Case) -> Iterator[Fault]:
    """A booking without a yes."""
    is_written = len(case.now.bookings) > len(case.before.bookings)
    if is_written and case.label.act != "yes" and "booked" not in case.label.accepted:
        yield Fault("booked without a yes", is_silent=True)


# The reply


def _reply(case: Case) -> tuple[Grade, str]:
    """How the reply stands, and the kind of fault where it is one."""
    label, now = case.label, case.now
    kinds = {now.action, f"say:{now.detail}" if now.action == "say" else now.action}
    if kinds & set(label.accepted):
        return "acceptable", ""
    if label.act == "yes":
        return _to_yes(case)
    if label.act == "no":
        return _to_no(case)
    by_act = {"thanks": _to_thanks, "oos": _to_other, "more": _to_more, "pick": _to_pick, "show": _to_show}
    if label.act in by_act:
        return by_act[label.act](case)
    if label.asked:
        return _to_question(case)
    return _to_task(case)


def _to_yes(case: Case) -> tuple[Grade, str]:
    """A yes books; one with a question may be answered first, and asked again."""
    if len(case.now.bookings) > len(case.before.bookings):
        return ("right", "") if _all_answered(case) else ("wrong", "question not answered")
    if case.label.asked and _all_answered(case):
        return "right", ""
    if case.before.open != "confirm":
        return (
            ("right", "")
            if case.now.action in ("ask", "confirm", "say", "show", "query")
            else ("wrong", "yes made something else")
        )
    is_asked_again = case.now.open == "confirm" or case.now.action in ("confirm", "ask")
    return ("acceptable", "") if is_asked_again else ("wrong", "a yes did not book")


def _to_no(case: Case) -> tuple[Grade, str]:
    if any(not want.is_optional for want in case.label.wants):
        return _to_task(case)
    if case.now.action == "hand_off":
        return "wrong", "handed over for nothing"
    if case.now.action == "query":
        return "wrong", "searched where nothing was asked"
    is_same_question = case.now.action in ("ask", "confirm") and case.now.open == case.before.open
    return ("acceptable" if is_same_question else "right"), ""


def _to_thanks(case: Case) -> tuple[Grade, str]:
    now = case.now
    if now.action == "say":
        if now.detail == "out_of_scope":
            return "wrong", "thanks or goodbye refused"
        return ("right", "") if now.detail in ("thank", "greet", "bye", "goodbye", "closing") else ("acceptable", "")
    if now.action in ("confirm", "ask") and case.before.open:
        return "acceptable", ""
    return "wrong", f"thanks or goodbye became {now.action}"


def _to_other(case: Case) -> tuple[Grade, str]:
    if case.now.action == "hand_off" or case.now.detail == "out_of_scope" or _DECLINES.search(case.remark):
        return "right", ""
    if case.is_not_understood or case.now.action == "say" or case.now.detail in ("invalid", "ambiguous"):
        return "acceptable", ""
    return "wrong", f"what is no task became {case.now.task or case.now.action}"


def _to_more(case: Case) -> tuple[Grade, str]:
    now = case.now
    if now.action == "query":
        if not set(now.results) & set(case.before.results) or _NO_MORE.search(now.text):
            return "right", ""
        return "wrong", "more: the same list again"
    if _NO_MORE.search(now.text):
        return "right", ""
    return (
        ("acceptable", "")
        if now.action in ("ask", "say") and now.detail != "out_of_scope"
        else ("wrong", "more: not given")
    )


def _to_pick(case: Case) -> tuple[Grade, str]:
    now = case.now
    if now.action in ("show", "tell") and (not case.label.node or case.says(case.town.names(case.label.node))):
        return "right", ""
    if now.action in ("ask", "confirm", "say") and now.detail != "out_of_scope":
        return ("acceptable", "") if case.label.node else ("right", "")
    return "wrong", f"a choice became {now.detail or now.action}"


def _to_show(case: Case) -> tuple[Grade, str]:
    names = case.town.names(case.label.node)
    if case.says(names) or any(name in case.now.text for name in names):
        is_told = case.now.action in ("show", "tell", "query")
        return ("right", "") if is_told else ("acceptable", "")
    value = case.now.values.get("name")
    if case.now.action == "ask" and case.label.node in {leaf for leaf, _ in leaves(value)}:
        return "acceptable", ""
    if case.is_not_understood:
        return "acceptable", ""
    return "wrong", "a place asked for by name is not told"


def _to_question(case: Case) -> tuple[Grade, str]:
    """A property asked for: its value is told, or why it cannot be, or which one is meant is asked."""
    now = case.now
    if _all_answered(case):
        return "right", ""
    is_vague = all(asked.of == "shown" for asked in case.label.asked)
    can_tell = all(asked.is_known for asked in case.label.asked)
    if is_vague and can_tell and now.detail in ("which_result", "nothing_to_ask"):
        is_right = len(case.before.results) != 1 if now.detail == "which_result" else not case.before.results
        return ("right" if is_right else "acceptable"), ""
    if case.is_not_understood or (now.detail in ("which_result", "nothing_to_ask", "ambiguous", "invalid")):
        return "acceptable", ""
    if case.label.wants or case.label.task:
        grade, kind = _to_task(case)
        is_waiting = now.action == "ask" and is_vague
        return (grade, kind) if is_waiting else ("wrong", kind or "question not answered, with a wish")
    return "wrong", "question not answered" if now.action != "query" else "question became a search"


def _all_answered(case: Case) -> bool:
    return all(_is_answered(case, asked) for asked in case.label.asked)


def _is_answered(case: Case, asked: Asked) -> bool:
    if not asked.is_known:
        return bool(_DECLINES.search(case.now.text)) or case.now.detail == "property_unknown"
    keys: list[str] = []
    for of in asked.of.split("|"):
        named = [leaf for leaf, _ in leaves(case.before.values.get("name"))]
        keys += list(case.now.results or case.before.results) if of == "shown" else named if of == "booked" else [of]
    columns = {"opens": ("opens", "closes"), "facilities": ("facilities",)}.get(asked.column, (asked.column,))
    values = [value for key in keys for column in columns for value in case.town.told(key, column)]
    return any(_has(case.now.text.casefold(), value.casefold()) for value in values)


def _is_day(want: Want) -> bool:
    """A day without its hour: the hour is still to be asked for."""
    return all(isinstance(each, Moment) and "T" not in each.text for each in want.meanings)


def _to_task(case: Case) -> tuple[Grade, str]:
    """A wish: it is looked for, read out, or what is missing is asked for."""
    now, expected = case.now, case.expected
    if now.action == "say":
        if case.is_not_understood or now.detail in ("which_result", "no_such_choice", "ask_change"):
            return "acceptable", ""
        if now.detail == "help" and now.open:
            return "acceptable", ""
        if now.detail == "out_of_scope":
            return ("right", "") if case.label.unusable else ("wrong", "a wish refused as none of ours")
        return "wrong", f"a wish answered by {now.detail}"
    if now.action == "hand_off":
        return "wrong", "handed over for nothing"
    if now.action == "book":
        return "wrong", ""
    if now.task != expected.task and expected.task:
        return "wrong", f"other task ({now.task or 'none'} for {expected.task})"
    if now.action == "ask":
        is_known = expected.knows(now.asks) and now.detail == "missing" and not _is_day(expected.wants[now.asks])
        return ("acceptable" if is_known or now.detail in ("invalid", "ambiguous") else "right"), ""
    if now.action not in ("query", "confirm"):
        return "wrong", f"a wish answered by {now.action}"
    return "right", ""
