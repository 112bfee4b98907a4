"""A reader of sentences with what rules and the graph know besides: small words, names of nodes, answers.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. A trained
reader generalises; it need not learn what is certain. The stations of `completing` follow each other here: names and
declared words, amounts, the task that all this is of, and what is left over.
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.acts import acts_of
from pagoda.dialogue.reading.completing.amounts import Amounts
from pagoda.dialogue.reading.completing.foreign import Foreign
from pagoda.dialogue.reading.completing.known import SURE, Known
from pagoda.dialogue.reading.completing.names import Names
from pagoda.dialogue.reading.completing.remainder import Remainder
from pagoda.dialogue.reading.completing.tasks import Tasks
from pagoda.dialogue.reading.completing.vocabulary import Vocabulary
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.superlatives import superlatives
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.dialogue.slots.said import folded
from pagoda.errors import InvalidRequestError
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understander, Understanding

_SHORT = 2


class Complemented:
    """An Understander over another one.

    values: what it reads is there for whoever makes events of its readings; None for a reader of its own
    """

    def __init__(self, base: Understander, domain: Domain, linker: Linker, values: SlotReader | None = None) -> None:
        self._base, self._domain = base, domain
        self._known = Known(domain, linker, values or SlotReader(domain))
        self._names, self._amounts = Names(self._known), Amounts(self._known)
        vocabulary = Vocabulary(domain)
        self._tasks, self._remainder = Tasks(self._known, self._names), Remainder(self._known, vocabulary)
        self._foreign = Foreign(self._known, vocabulary)

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """The base's reading, completed. A text without a word is out of scope, not an error."""
        context = context or TurnContext()
        read = self._base_reading(text, context)
        plain = folded(read.text).lower()
        best = superlatives(plain, self._domain)
        read = self._tasks.certain(replace(read, slots=self._names.without_titles(read, best)), plain)
        read = self._tasks.under_way(read, context, plain, best)
        named = self._names.with_declared(self._names.with_names(read, context, plain), read, plain, best)
        slots = self._amounts.with_answer(self._amounts.over(named, read, context), read, context)
        read, slots = self._tasks.answering(read, slots, context, plain)
        acts = read.acts or acts_of(text, self._domain, context)
        acts = (*acts, *(Act("order", each.column, each.end_wanted) for each in best))
        read = self._tasks.of_values(self._settled(replace(read, slots=slots, acts=acts), context))
        return self._remainder.of(self._foreign.told(read, context), plain, best)

    def counts(self, slot: str, words: str) -> bool:
        """Whether words are a value of a slot: a name that the graph knows, or what can be read as its quantity."""
        return self._known.counts(slot, words)

    def _base_reading(self, text: str, context: TurnContext) -> Understanding:
        try:
            read = self._base.parse(text, context)
        except InvalidRequestError:
            read = Understanding(text, context.language or "en", OUT_OF_SCOPE, 1.0, route="rules")
        # "ok" is said in every language.
        if sum(character.isalpha() for character in text) <= _SHORT and text.isascii() and context.language is not None:
            read = replace(read, language=context.language)
        return read

    def _settled(self, read: Understanding, context: TurnContext) -> Understanding:
        """A slot has a value or does not matter, not both; a sentence that is for somebody else has few values."""
        said = {slot.slot for slot in read.slots if self._known.is_value(slot)}
        acts = tuple(act for act in read.acts if act.kind != "any" or act.slot not in said)
        dismissed = {act.slot for act in acts if act.kind == "any"}
        slots = tuple(slot for slot in read.slots if slot.slot not in dismissed)
        if read.intent == OUT_OF_SCOPE:
            slots = tuple(slot for slot in slots if self._is_known(slot, read, context))
        return replace(read, slots=slots, acts=acts)

    def _is_known(self, found: SlotValue, read: Understanding, context: TurnContext) -> bool:
        """Whether words of a sentence that is for somebody else are a value all the same, or may be an odd answer."""
        if found.slot == context.requested_slot and read.confidence < SURE:
            return True
        return self._known.counts(found.slot, found.value)
