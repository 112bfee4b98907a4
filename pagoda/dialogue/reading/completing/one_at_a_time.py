"""An Understander that reads one wish of a sentence, tells what else it wishes, and later reads what was put off.

First station of a turn, around the strategies: *sentence -> Understanding* -> events -> state -> policy -> Cypher ->
rows -> reply. A wish that waits is kept in the person's words: what "nearby" and "there" mean in it is known when it is
begun, as with the pending tasks of Bohus and Rudnicky 2009 (RavenClaw).
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.closed.assent import is_yes
from pagoda.dialogue.reading.closed.wishes import goes_on, things_of
from pagoda.dialogue.reading.completing.division import Divider, Division
from pagoda.dialogue.reading.completing.known import SURE
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.places import overlap
from pagoda.nlu.understanding import SlotValue, TurnContext, Understander, Understanding


class OneAtATime:
    """An Understander over another one."""

    def __init__(self, base: Understander, domain: Domain, linker: Linker) -> None:
        self._base, self._domain, self._divider = base, domain, Divider(domain, linker)

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """The first wish of a sentence, with the others in `further`; or what waits, where the person goes on to it."""
        context = context or TurnContext()
        if context.waiting and self._is_for_next(text, context):
            return self.waiting(next(iter(context.waiting)), context)
        read = self._first(text, context)
        intent, is_named = self._asked_for(read, context)
        return self._with_kept(read, intent, context, is_named=is_named) if intent else read

    def waiting(self, intent: str, context: TurnContext) -> Understanding:
        """The reading of a wish that waits."""
        others = {name: words for name, words in context.waiting.items() if name != intent}
        read = self._first(context.waiting[intent], replace(context, waiting=others), is_wish=True)
        return replace(read, intent=intent, confidence=1.0)

    def _is_for_next(self, text: str, context: TurnContext) -> bool:
        """Whether a sentence wants what waits; a yes may be for what was asked or read out."""
        return (context.is_idle and is_yes(text)) or (goes_on(text) and bool(context.is_idle or context.requested_slot))

    def _first(self, text: str, context: TurnContext, *, is_wish: bool = False) -> Understanding:
        """The first wish, with the others in `further`. is_wish: the text is known to wish something."""
        for division in self._divider.divisions(text):
            read = self._base.parse(division.first, context)
            if is_wish or self._is_whole(read, division, context):
                return replace(read, further=((self._intent(division), division.rest),))
        return self._with_lost(self._base.parse(text, context))

    def _with_lost(self, read: Understanding) -> Understanding:
        """What is named beside what is read and cannot be kept is to be said back."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or not intent.sought:
            return read
        known = (*read.slots, *read.unused)
        lost = [
            each for each in self._divider.joined(read.text, intent.sought) if not any(overlap(each, k) for k in known)
        ]
        told = (SlotValue("", read.text[each.start : each.end], each.start, each.end) for each in lost)
        return replace(read, unused=(*read.unused, *told))

    def _is_whole(self, read: Understanding, division: Division, context: TurnContext) -> bool:
        """Whether the first part says something by itself: a wish of another task, an answer, or a yes to a booking."""
        task, intent = self._domain.intents.get(context.intent), self._domain.intents.get(read.intent)
        is_booking = task is not None and task.kind == "book" and not context.requested_slot
        if is_booking and is_yes(division.first, things_of(self._domain)):
            return True
        if intent is None or intent.kind not in ("find", "book") or intent.sought == division.label:
            return False
        if read.slots and (intent is task or (intent.kind == "book" and read.confidence >= SURE)):
            return True
        return intent.sought in self._divider.wanted(division.first)

    def _intent(self, division: Division) -> str:
        """What the rest is for: as it is read, or the search for what it names, or a booking of it."""
        own = [each for each in self._domain.intents.values() if each.sought == division.label]
        if len(own) == 1:
            return own[0].name
        read = self._base.parse(division.rest, TurnContext())
        return max(own, key=lambda each: (each.name == read.intent, each.kind == "find")).name

    def _asked_for(self, read: Understanding, context: TurnContext) -> tuple[str, bool]:
        """Which of the wishes that wait a sentence is of, "" for none; whether it says what that one is about."""
        labels = {thing.label for thing in self._divider.things(read.text)} if context.waiting else set()
        named = [name for name in context.waiting if {self._domain.intents[name].sought} == labels]
        if read.intent in context.waiting and (read.intent in named or read.slots or read.confidence >= SURE):
            return read.intent, read.intent in named
        # "The film, please" is no question about one.
        return (named[0], True) if named and not read.slots and not read.acts else ("", False)

    def _with_kept(self, read: Understanding, intent: str, context: TurnContext, *, is_named: bool) -> Understanding:
        """A wish that waits is asked for in other words: what these leave open is as it was said before."""
        kept, said = self.waiting(intent, context), {slot.slot for slot in read.slots}
        slots = tuple(replace(slot, start=-1, end=-1) for slot in kept.slots if slot.slot not in said)
        sure = 1.0 if is_named else read.confidence
        further = (*read.further, *kept.further)
        return replace(read, intent=intent, confidence=sure, slots=(*read.slots, *slots), further=further)
