"""A reader of sentences with what rules and the graph know besides: small words, names of nodes, answers.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A trained
reader generalises; it need not learn what is certain. Names of nodes are found by looking them up, yes and no and "the
second one" by rules, and the answer to a question is first tried as that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import AMOUNT_TYPES, NUMBER_TYPES, Intent, Slot
from pagoda.dialogue.reading.acts import acts_of, is_named, words_of
from pagoda.dialogue.reading.declared import amounts_in, declared_in, is_one_more, is_wished
from pagoda.dialogue.reading.follow_ups import is_follow_up, is_small
from pagoda.dialogue.reading.leftovers import unknown_names, unread_superlatives
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.places import Placed, mentions, overlap
from pagoda.dialogue.reading.superlatives import Superlative, superlatives
from pagoda.dialogue.slots.kinds import Range, When
from pagoda.dialogue.slots.quantities import Quantity, quantities_in
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.slots.said import folded
from pagoda.errors import InvalidRequestError
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understander, Understanding

# A sentence of which values are this share says little else.
_SURE, MOSTLY = 0.9, 0.5
_SHORT = 2
_WHICH = ("哪一个", "哪一家", "哪一部", "哪个", "哪家", "哪间", "哪部", "哪", "which", "who", "where")
_OWN = re.compile(r"(?:my|our|your|his|her|their)\b|我的|我们的", re.IGNORECASE)
_DIGITS = frozenset("0123456789.〇零一二两三四五六七八九十百千万")


class Complemented:
    """An Understander over another one.

    values: what it reads is there for whoever makes events of its readings; None for a reader of its own
    """

    def __init__(self, base: Understander, domain: Domain, linker: Linker, values: SlotReader | None = None) -> None:
        self._base, self._domain, self._linker = base, domain, linker
        self._values = values or SlotReader(domain)
        told = (each["text"] for each in domain.examples() if each["intent"] != OUT_OF_SCOPE)
        known = linker.names({label for slot in domain.slots.values() for label in slot.labels})
        self._seen = "\n".join((domain.name, *told, *known)).lower()

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """The base's reading, completed. A text without a word is out of scope, not an error."""
        context = context or TurnContext()
        read = self._base_reading(text, context)
        # "ok" is said in every language.
        if sum(character.isalpha() for character in text) <= _SHORT and text.isascii() and context.language is not None:
            read = replace(read, language=context.language)
        plain = folded(read.text).lower()
        best = superlatives(plain, self._domain)
        read = self._with_certain_intent(replace(read, slots=self._without_titles(read, best)), plain)
        read = self._with_task_under_way(read, context, plain, best)
        named = self._with_declared(self._with_names(read, context, plain), read, plain, best)
        slots = self._with_answer(self._with_times(named, read, context), read, context)
        read, slots = self._as_answer(read, slots, context, plain)
        acts = read.acts or acts_of(text, self._domain, context)
        acts = (*acts, *(Act("order", each.column, each.end_wanted) for each in best))
        said = {slot.slot for slot in slots if self._is_value(slot)}
        kept = tuple(act for act in acts if act.kind != "any" or act.slot not in said)
        dismissed = {act.slot for act in kept if act.kind == "any"}
        slots = tuple(slot for slot in slots if slot.slot not in dismissed)
        if read.intent == OUT_OF_SCOPE:
            slots = tuple(slot for slot in slots if self._is_known(slot, read, context))
        return self._with_leftovers(replace(read, slots=slots, acts=kept), plain, best)

    def counts(self, slot: str, words: str) -> bool:
        """Whether words are a value of a slot: a name that the graph knows, or what can be read as its quantity."""
        declared = self._domain.slots.get(slot)
        if declared is not None and declared.type == "name":
            return self._linker.link(words, declared.labels).node is not None
        return self._is_value(SlotValue(slot, words))

    def _base_reading(self, text: str, context: TurnContext) -> Understanding:
        try:
            return self._base.parse(text, context)
        except InvalidRequestError:
            return Understanding(text, context.language or "en", OUT_OF_SCOPE, 1.0, route="rules")

    def _is_known(self, found: SlotValue, read: Understanding, context: TurnContext) -> bool:
        """Whether words of a sentence that is for somebody else are a value all the same, or may be an odd answer."""
        slot = self._domain.slots.get(found.slot)
        if found.slot == context.requested_slot and read.confidence < _SURE:
            return True
        if slot is None or slot.type != "name":
            return self._is_value(found)
        return self._linker.link(found.value, slot.labels).node is not None

    def _without_titles(self, read: Understanding, best: Sequence[Superlative]) -> tuple[SlotValue, ...]:
        """Without what only names a slot, as in "what is its rating", is part of a superlative or a name by chance."""
        return tuple(
            found
            for value in read.slots
            if not any(overlap(value, each) for each in best) and not self._is_chance(value)
            for found in self._names_in(value)
            if found.slot not in self._domain.slots
            or self._values.heard(found.slot, found.value).said.is_any
            or self._is_value(found)
            or not is_named(found.value, found.slot, self._domain)
        )

    def _is_chance(self, found: SlotValue) -> bool:
        """Whether small words are taken for a name, as a dish may be called 没有, or something that somebody has."""
        slot = self._domain.slots.get(found.slot)
        if slot is None or not slot.labels:
            return False
        is_own = _OWN.match(found.value) is not None and self._linker.link(found.value, slot.labels).how == "unknown"
        return is_own or is_small(found.value)

    def _names_in(self, found: SlotValue) -> tuple[SlotValue, ...]:
        """The names that stand in words that are no name as a whole, as in "anything but Korean"."""
        slot = self._domain.slots.get(found.slot)
        if slot is None or not slot.labels or found.start < 0:
            return (found,)
        if self._linker.link(found.value, slot.labels).how in ("exact", "alias"):
            return (found,)
        inside = self._linker.find(folded(found.value).lower(), slot.labels)
        return tuple(
            replace(found, value=found.value[start:end], start=found.start + start, end=found.start + end)
            for start, end, _ in inside
        ) or (found,)

    def _is_value(self, found: SlotValue) -> bool:
        """Whether the words are a value of their slot, or a try at one, and not its name ("the price") or "any"."""
        slot = self._domain.slots.get(found.slot)
        if slot is None:
            return False
        heard = self._values.heard(slot.name, found.value)
        if slot.type in (*NUMBER_TYPES, "time") and isinstance(heard.value, When | int | Range):
            return True  # "Any time after seven" says which.
        return not heard.said.is_any and (slot.type == "name" or heard.reading.is_meant)

    def _with_certain_intent(self, read: Understanding, plain: str) -> Understanding:
        """A name of the graph that only one task can take, such as a cuisine, outweighs a reading that is not sure."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or intent.kind != "find" or read.confidence >= _SURE:
            return read
        labels = {label: set[str]() for slot in self._domain.slots.values() for label in slot.labels}
        for other in self._domain.intents.values():
            for label in {label for name in other.slots for label in self._domain.slots[name].labels}:
                labels[label].add(other.name)
        telling = [label for label, takers in labels.items() if len(takers) == 1]
        named = {next(iter(labels[node.label])) for _, _, node in self._linker.find(plain, telling)}
        if len(named) != 1 or read.intent in named:
            return read
        (better,) = named
        others = tuple(pair for pair in read.candidates if pair[0] != better)
        return replace(read, intent=better, confidence=_SURE, candidates=((better, _SURE), *others))

    def _with_task_under_way(
        self, read: Understanding, context: TurnContext, plain: str, best: Sequence[Superlative]
    ) -> Understanding:
        """A sentence of nothing but values that this task takes is about it, whatever task it looks like by itself."""
        task, other = self._domain.intents.get(context.intent), self._domain.intents.get(read.intent)
        if task is not None and task.query is not None and self._is_about(task, read, best):
            return replace(read, intent=task.name, confidence=_SURE, candidates=((task.name, _SURE),))
        is_wish = read.intent == OUT_OF_SCOPE or (other is not None and other.kind in ("find", "book"))
        if task is None or not is_wish or task.name == read.intent:
            return read
        slots = self._with_names(replace(read, intent=task.name), context, plain)
        words = (word for name in task.slots for word in words_of(self._domain, name))
        if not {slot.slot for slot in slots} <= set(task.slots) or not is_follow_up(read.text, slots, words):
            return read
        return replace(read, intent=task.name, confidence=_SURE, slots=slots, candidates=((task.name, _SURE),))

    def _is_about(self, task: Intent, read: Understanding, best: Sequence[Superlative]) -> bool:
        """Whether a superlative is of what was shown last: nothing else is said, or nothing that is another search."""
        other = self._domain.intents.get(read.intent)
        if not best or read.slots:
            return False
        said = [SlotValue("", read.text[each.start : each.end], each.start, each.end) for each in best]
        words = [*_WHICH, *(word for name in task.slots for word in words_of(self._domain, name))]
        return other is None or other.query is None or is_follow_up(read.text, said, words)

    def _with_times(
        self, slots: tuple[SlotValue, ...], read: Understanding, context: TurnContext
    ) -> tuple[SlotValue, ...]:
        """Quantities as rules find them, by units, slots' words and the question that is open; where rules find none,
        those of the base, with all of their digits."""
        names = [(found.start, found.end) for found in slots if self._is_certain(found, read, context)]
        open_slots = self._quantity_slots(read, context)
        found = [
            quantity
            for quantity in quantities_in(folded(read.text), open_slots, context.requested_slot, context.slots, names)
            if self._counts(quantity, context)
        ]
        told = {quantity.slot for quantity in found}
        kept = [
            self._whole(other, read.text)
            for other in slots
            if (other.start, other.end) in names
            or (other.slot not in told and not any(overlap(other, quantity) for quantity in found))
        ]
        kept += [self._widened(quantity, slots, found, read.text) for quantity in found]
        return tuple(sorted(kept, key=lambda each: each.start))

    def _counts(self, found: Quantity, context: TurnContext) -> bool:
        """A number beyond the limits of a slot that nobody asked about is of something else: 评价1000条."""
        reading = self._values.heard(found.slot, found.words).reading
        is_sought = found.slot == context.requested_slot or self._domain.slots[found.slot].type in ("time", "people")
        return reading.is_meant and (is_sought or reading.why != "limits")

    def _is_certain(self, found: SlotValue, read: Understanding, context: TurnContext) -> bool:
        """Whether words are a name that the graph knows; the whole answer to "how many?" is a number all the same."""
        slot = self._domain.slots.get(found.slot)
        if slot is None or not slot.labels or found.start < 0:
            return False
        asked = self._domain.slots.get(context.requested_slot)
        if asked is not None and not asked.labels and found.value.strip() == read.text.strip():
            return False
        return self._linker.link(found.value, slot.labels).how in ("exact", "alias")

    def _quantity_slots(self, read: Understanding, context: TurnContext) -> list[Slot]:
        """Slots of the task that asks, whatever the sentence looks like, and those of what it looks like."""
        own = self._domain.intents.get(context.intent) if context.requested_slot else None
        names = [*(own.slots if own is not None else ()), *(slot.name for slot in self._open_slots(read, context))]
        return [self._domain.slots[name] for name in dict.fromkeys(names)]

    def _widened(self, found: Quantity, slots: Sequence[SlotValue], others: Sequence[Quantity], text: str) -> SlotValue:
        """With the words that the base takes for part of it: what no rule reads makes the value partial."""
        start, end = found.start, found.end
        for other in slots:
            is_beside = all(each is found or not overlap(other, each) for each in others)
            if other.slot == found.slot and overlap(other, found) and is_beside:
                start, end = min(start, other.start), max(end, other.end)
        if (start, end) == (found.start, found.end) or text[found.start : found.end].strip() != found.words:
            return SlotValue(found.slot, found.words, found.start, found.end)
        return SlotValue(found.slot, text[start:end], start, end)

    def _whole(self, found: SlotValue, text: str) -> SlotValue:
        """A tagger may cut 二十元 in two."""
        slot, start = self._domain.slots.get(found.slot), found.start
        if slot is None or slot.labels or start < 0 or found.value[:1] not in _DIGITS:
            return found
        while start > 0 and text[start - 1] in _DIGITS:
            start -= 1
        return replace(found, value=text[start : found.end], start=start)

    def _with_names(self, read: Understanding, context: TurnContext, plain: str) -> tuple[SlotValue, ...]:
        """Names of the graph that the base passed over, for slots of the intent, or of the task under way."""
        slots = list(read.slots)
        for slot in self._open_slots(read, context):
            for start, end, _ in self._linker.find(plain, slot.labels) if slot.labels else ():
                taken = any(start < other.end and other.start < end for other in slots)
                new = SlotValue(slot.name, read.text[start:end], start, end)
                if not taken and not is_small(new.value) and (slot.many or is_one_more(plain, new, slots)):
                    slots.append(new)
        return tuple(sorted(slots, key=lambda found: found.start))

    def _with_declared(
        self, slots: tuple[SlotValue, ...], read: Understanding, plain: str, best: Sequence[Superlative]
    ) -> tuple[SlotValue, ...]:
        """Words of bands and choices that the base passed over or cut short, for slots of the intent."""
        intent = self._domain.intents.get(read.intent)
        found = list(slots)
        for slot in (self._domain.slots[name] for name in intent.slots) if intent is not None else ():
            for start, end in declared_in(slot, plain):
                new = SlotValue(slot.name, read.text[start:end], start, end)
                cut = [other for other in found if overlap(new, other)]
                is_longer = all(self._gives_way(other, new) for other in cut)
                others = [other for other in found if other not in cut]
                if is_longer and not any(overlap(new, each) for each in best) and is_one_more(plain, new, others):
                    found = [*others, new]
        return tuple(sorted(found, key=lambda each: each.start))

    def _gives_way(self, found: SlotValue, declared: SlotValue) -> bool:
        """Whether a reading gives way to a declared word: a shorter one of its slot, or a name that nobody knows."""
        slot = self._domain.slots.get(found.slot)
        if found.slot == declared.slot:
            return len(found.value) < len(declared.value)
        return slot is not None and bool(slot.labels) and self._linker.link(found.value, slot.labels).how == "unknown"

    def _with_leftovers(self, read: Understanding, plain: str, best: Sequence[Superlative]) -> Understanding:
        """With what is certain to be a wish and cannot be one here: a value that only another search has a slot for, an
        amount of money that no slot took, an order that no column gives, a name that nobody knows."""
        intent = self._domain.intents.get(read.intent)
        if intent is None or intent.kind not in ("find", "book"):
            return read
        query = intent.query
        used: list[Placed] = [found for found in read.slots if found.slot in intent.slots]
        used += [each for each in best if query is not None and query.column(each.column) is not None]
        unused: list[SlotValue] = []
        for found in self._unusable(read, intent, plain) if query is not None else ():
            if not any(overlap(found, other) for other in (*used, *unused)):
                unused.append(found)
        places = unknown_names(read.text, self._is_seen, is_booking=intent.kind == "book")
        names = [SlotValue("", read.text[start:end], start, end) for start, end in places]
        unknown = [name.value for name in names if not any(overlap(name, other) for other in (*used, *unused))]
        unused.sort(key=lambda found: found.start)
        return replace(read, unused=tuple(unused), unknown=tuple(dict.fromkeys(unknown)))

    def _unusable(self, read: Understanding, intent: Intent, plain: str) -> Iterator[SlotValue]:
        """What a search may be unable to use, the most certain first."""
        yield from (found for found in read.slots if self._is_foreign_number(found, intent))
        yield from self._foreign_names(intent, read.text, plain)
        yield from amounts_in(read.text)
        yield from (SlotValue("", read.text[a:b], a, b) for a, b in unread_superlatives(read.text))

    def _is_seen(self, words: str) -> bool:
        """Whether words stand in an example or are part of a name of the graph."""
        return words.lower() in self._seen

    def _foreign_names(self, intent: Intent, text: str, plain: str) -> Iterator[SlotValue]:
        """Names of labels that only slots of other intents look in."""
        own = {label for name in intent.slots for label in self._domain.slots[name].labels}
        for slot in self._domain.slots.values():
            labels = [label for label in slot.labels if label not in own]
            for start, end, _ in self._linker.find(plain, labels):
                if end - start > 1 and is_wished(text, start, end):
                    yield SlotValue(slot.name, text[start:end], start, end)

    def _is_foreign_number(self, found: SlotValue, intent: Intent) -> bool:
        """A price, a rating and the like that only other searches take; a booking may still take the rest."""
        slot = self._domain.slots.get(found.slot)
        is_number = slot is not None and slot.type in (*AMOUNT_TYPES, "choice")
        return is_number and found.slot not in intent.slots and self._is_value(found)

    def _with_answer(
        self, slots: tuple[SlotValue, ...], read: Understanding, context: TurnContext
    ) -> tuple[SlotValue, ...]:
        """The whole sentence as the value that was asked for, where nothing else was found in it."""
        slot = self._domain.slots.get(context.requested_slot)
        if slot is None or slot.labels or any(found.slot == slot.name or found.start >= 0 for found in slots):
            return slots
        heard = self._values.heard(slot.name, read.text)
        if heard.said.is_any or heard.value is None:
            return slots
        return (*slots, SlotValue(slot.name, read.text, 0, len(read.text)))

    def _as_answer(
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
        is_mostly = sum(len(found.value) for found in told) >= MOSTLY * len(read.text.strip())
        if not is_answer and not (is_mostly and told and (other is None or other.kind not in ("find", "book"))):
            return read, slots
        if other is not None and (other.act in ("cancel", "hand_off") or self._is_told(other, task, slots, plain)):
            return read, slots
        own = tuple(found for found in slots if found.slot in task.slots)
        read = replace(read, intent=task.name, confidence=_SURE, slots=own, candidates=((task.name, _SURE),))
        return read, self._with_names(read, context, plain)

    def _is_told(self, intent: Intent, task: Intent, slots: Sequence[SlotValue], plain: str) -> bool:
        """Whether a sentence names what an intent looks for, or a node that it takes and the task does not."""
        titles = self._domain.labels[intent.query.label].title.values() if intent.query is not None else ()
        if any(mentions(plain, title) for title in titles if title):
            return True
        foreign = (found for found in slots if found.slot in intent.slots and found.slot not in task.slots)
        return any(
            self._linker.link(each.value, self._domain.slots[each.slot].labels).how == "exact" for each in foreign
        )

    def _open_slots(self, read: Understanding, context: TurnContext) -> tuple[Slot, ...]:
        intent = self._domain.intents.get(read.intent)
        if intent is None or not intent.slots:
            intent = self._domain.intents.get(context.intent)
        if intent is None:
            return ()
        names = sorted(intent.slots, key=lambda name: name != context.requested_slot)
        return tuple(self._domain.slots[name] for name in names)
