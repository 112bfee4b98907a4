"""Which task a sentence is of, where names, values and the question that is open say more than how it looks.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A trained
reader sees one sentence; what only one task can take, what is under way and what was asked outweigh a reading that is
not sure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.acts import words_of
from pagoda.dialogue.reading.completing.known import SURE, Known
from pagoda.dialogue.reading.completing.names import Names
from pagoda.dialogue.reading.follow_ups import is_follow_up, is_small
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.reading.questions.forms import seeks
from pagoda.dialogue.reading.superlatives import Superlative
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding

_MOSTLY = 0.5
"""A sentence of which values are this share says little else."""
_NOUN_BEHIND = re.compile(r"\s+([a-z]+)")
_GENERIC = re.compile(
    r"foods?|places?|cuisines?|kitchens?|dish(?:es)?|meals?|spots?|rooms?|shows?|for|with|tonight|tomorrow|today"
)
_WHICH = ("哪一个", "哪一家", "哪一部", "哪个", "哪家", "哪间", "哪部", "哪", "which", "who", "where")


class Tasks:
    """Finds the task that a sentence is of."""

    def __init__(self, known: Known, names: Names) -> None:
        self._known, self._domain, self._names = known, known.domain, names

    def certain(self, read: Understanding, plain: str) -> Understanding:
        """What only one task is about outweighs a reading that is not sure: 酒店, or a name that only one can take."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or not intent.sought or read.confidence >= SURE:
            return read
        told = {self._domain.intents[name].sought: name for name in self._takers_named(plain)}
        told = {**{label: self._likeliest(label, read) for label in self._called(plain)}, **told}
        if len(told) != 1 or intent.sought in told:
            return read
        (better,) = told.values()
        others = tuple(pair for pair in read.candidates if pair[0] != better)
        return replace(read, intent=better, confidence=SURE, candidates=((better, SURE), *others))

    def _takers_named(self, plain: str) -> set[str]:
        """Intents that alone can take a name of the graph that stands in a text, such as a cuisine."""
        return {name for _, _, name in names_of_one_task(self._domain, self._known.linker, plain)}

    def _called(self, plain: str) -> set[str]:
        """Labels of what is looked for or booked that stand in a text by what people call them."""
        wishes = (intent for intent in self._domain.intents.values() if intent.sought)
        return {each.sought for each in wishes if any(mentions(plain, word) for word in self._domain.called(each))}

    def _likeliest(self, label: str, read: Understanding) -> str:
        """Of the intents that are about a label the one that the reading holds for likeliest, else the first search."""
        own = [each for each in self._domain.intents.values() if each.sought == label]
        chances = dict(read.candidates)
        return max(own, key=lambda each: (chances.get(each.name, 0.0), each.kind == "find")).name

    def of_values(self, read: Understanding) -> Understanding:
        """Another storey's sentence with values that a search takes is that search: "recommend a cheap hotel"."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or intent.kind != "elsewhere":
            return read
        told = {found.slot for found in read.slots if self._known.counts(found.slot, found.value)}
        likeliest = sorted(read.candidates, key=lambda pair: -pair[1])
        searches = [self._domain.intents[name] for name, _ in likeliest if name in self._domain.intents]
        searches += self._domain.intents.values()
        better = next((each for each in searches if each.kind == "find" and told and told <= set(each.slots)), None)
        return read if better is None else _of(better, read)

    def under_way(
        self, read: Understanding, context: TurnContext, plain: str, best: Sequence[Superlative]
    ) -> Understanding:
        """A sentence of nothing but values that this task takes is about it, whatever task it looks like by itself."""
        task, other = self._domain.intents.get(context.intent), self._domain.intents.get(read.intent)
        if task is not None and task.query is not None and self._is_about(task, read, best):
            return _of(task, read)
        is_wish = read.intent == OUT_OF_SCOPE or (other is not None and other.kind in ("find", "book"))
        if task is None or not is_wish or task.name == read.intent:
            return read
        slots = self._names.with_names(replace(read, intent=task.name), context, plain)
        words = (word for name in task.slots for word in words_of(self._domain, name))
        if not {slot.slot for slot in slots} <= set(task.slots) or not is_follow_up(read.text, slots, words):
            return read
        return replace(_of(task, read), slots=slots)

    def answering(
        self, read: Understanding, slots: tuple[SlotValue, ...], context: TurnContext, plain: str
    ) -> tuple[Understanding, tuple[SlotValue, ...]]:
        """A sentence with the quantity that was asked for is of the task that asks, whatever else it looks like.

        Save where it names what only another task is about, or gives up this one, or calls for a person. Without a
        question, one of little else than quantities is of the task under way, where it is of no other task.
        """
        task, other = self._domain.intents.get(context.intent), self._domain.intents.get(read.intent)
        if task is None or other is task:
            return read, slots
        told = [found for found in slots if found.slot in task.slots and not self._domain.slots[found.slot].labels]
        is_answer = any(found.slot == context.requested_slot for found in told)
        is_mostly = sum(len(found.value) for found in told) >= _MOSTLY * len(read.text.strip())
        is_wish = other is not None and other.kind in ("find", "book")
        if is_wish and self._is_unnamed(read, slots, context, plain):
            is_answer = True
        if not is_answer and not (is_mostly and told and not is_wish):
            return read, slots
        if other is not None and (other.act in ("cancel", "hand_off") or self._is_told(other, task, slots, plain)):
            return read, slots
        own = tuple(found for found in slots if found.slot in task.slots)
        read = replace(_of(task, read), slots=own)
        return read, self._names.with_names(read, context, plain)

    def _is_unnamed(self, read: Understanding, slots: Sequence[SlotValue], context: TurnContext, plain: str) -> bool:
        """Whether a reading is of another task by nothing but values that this one takes as well, and asked for where
        the reading is sure."""
        own, said = self._domain.intents[context.intent].slots, {found.slot for found in slots}
        is_own = bool(said) and said <= set(own) and (read.confidence < SURE or context.requested_slot in said)
        return is_own and not self._called(plain) and not self._takers_named(plain)

    def _is_about(self, task: Intent, read: Understanding, best: Sequence[Superlative]) -> bool:
        """Whether a superlative is of what was shown last: nothing else is said, or nothing that is another search."""
        other = self._domain.intents.get(read.intent)
        if not best or read.slots:
            return False
        said = [SlotValue("", read.text[each.start : each.end], each.start, each.end) for each in best]
        words = [*_WHICH, *(word for name in task.slots for word in words_of(self._domain, name))]
        return other is None or other.query is None or is_follow_up(read.text, said, words)

    def _is_told(self, intent: Intent, task: Intent, slots: Sequence[SlotValue], plain: str) -> bool:
        """Whether a sentence names what an intent looks for, or a node that it takes and the task does not.

        "Big Italian family here of seven!" looks for nothing, and names a family.
        """
        called = self._domain.called(intent)
        if any(mentions(plain, title) for title in called):
            return True
        foreign = (found for found in slots if found.slot in intent.slots and found.slot not in task.slots)
        return any(
            self._known.linker.link(each.value, self._domain.slots[each.slot].labels).how == "exact"
            and (seeks(plain, called) or not _is_of_a_noun(plain, each))
            for each in foreign
        )


def _is_of_a_noun(plain: str, found: SlotValue) -> bool:
    """Whether an English name stands before another noun, as in "an Italian family", and so is no name of a wish."""
    behind = _NOUN_BEHIND.match(plain, found.end) if found.start >= 0 else None
    return behind is not None and not is_small(behind[1]) and _GENERIC.fullmatch(behind[1]) is None


def _of(task: Intent, read: Understanding) -> Understanding:
    """The reading as one of this task, for sure."""
    return replace(read, intent=task.name, confidence=SURE, candidates=((task.name, SURE),))


def names_of_one_task(
    domain: Domain, linker: Linker, plain: str, *, are_features: bool = True
) -> list[tuple[int, int, str]]:
    """(start, end, intent) of names of the graph in a text that one intent alone can take, such as a cuisine.

    are_features: also names of a slot that holds several at once, such as facilities
    """
    labels = {label: set[str]() for slot in domain.slots.values() for label in slot.labels}
    for intent in domain.intents.values():
        for slot in (domain.slots[name] for name in intent.slots):
            for label in slot.labels:
                labels[label].add(intent.name)
    features = {label for slot in domain.slots.values() if slot.many for label in slot.labels}
    telling = [label for label in labels if len(labels[label]) == 1 and (are_features or label not in features)]
    return [(start, end, next(iter(labels[node.label]))) for start, end, node in linker.find(plain, telling)]
