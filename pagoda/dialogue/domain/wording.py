"""What a domain file gives people to read, and to learn from: templates, phrases, questions, examples, held together.

Stands before the turn's path, beside `consistency`. A template with a field that nobody fills would say less than it
means, and a sentence under two intents teaches neither; both are told before a person meets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pagoda.dialogue.domain.consistency import Problem
from pagoda.dialogue.domain.model import Intent, Slot, Words
from pagoda.errors import nearest
from pagoda.nlu.known_sentences import key_of

_FIELD = re.compile(r"\{(\w+)\}")
# Filled in every template: what the domain can do.
EVERYWHERE = ("tasks",)
_IN_A_PHRASE = ("value", "title")


def problems(
    own: Mapping[str, Words],
    shipped: Mapping[str, Words],
    slots: Mapping[str, Slot],
    intents: Mapping[str, Intent],
    languages: Sequence[str],
) -> Iterator[Problem]:
    """What is wrong with the words of a domain. own: its templates; shipped: those that every domain has."""
    yield from _of_templates(own, shipped, intents)
    asked = [(f"slots.{slot.name}.questions", slot.questions) for slot in slots.values()]
    asked += [
        (f"intents.{intent.name}.questions.{name}", words)
        for intent in intents.values()
        for name, words in intent.questions.items()
    ]
    for place, words in asked:
        for language, sentences in words.items():
            yield from (
                (f"{place}.{language}.{row}", f"{told}; a question has no fields")
                for row, text in enumerate(sentences)
                for told in _odd_fields(text, ())
            )
    for intent in intents.values():
        for column in intent.query.columns if intent.query else ():
            place = f"intents.{intent.name}.query.columns.{column.name}.phrase"
            for language, phrase in column.phrase.items():
                yield from ((f"{place}.{language}", told) for told in _odd_fields(phrase, _IN_A_PHRASE))
    yield from _silent(own, shipped, intents, languages)


def _of_templates(
    own: Mapping[str, Words], shipped: Mapping[str, Words], intents: Mapping[str, Intent]
) -> Iterator[Problem]:
    chats = [intent.name for intent in intents.values() if intent.kind == "chitchat"]
    known = [*shipped, *chats]
    for name, words in own.items():
        place = f"templates.{name}"
        if name not in known:
            yield place, f"is no template, nor an intent of kind chitchat: {nearest(name, known)}"
            continue
        sentences = [text for held in shipped.get(name, {}).values() for text in held]
        allowed = tuple(dict.fromkeys([*EVERYWHERE, *(field for text in sentences for field in _FIELD.findall(text))]))
        if not any(words.values()):
            yield place, "is empty: write a sentence, or leave the template out for the shipped one"
        for language, given in words.items():
            for row, text in enumerate(given):
                yield from ((f"{place}.{language}.{row}", told) for told in _odd_fields(text, allowed))


def _odd_fields(text: str, allowed: Sequence[str]) -> Iterator[str]:
    """What braces hold that nobody fills."""
    for name in _FIELD.findall(text):
        if name not in allowed:
            known = ", ".join(f"{{{each}}}" for each in allowed) or "none"
            yield f"has a field {{{name}}} that nobody fills; known here: {known}"
    if re.search(r"[{}]", _FIELD.sub("", text)):
        yield f"has a brace that encloses no field, as in {text:.60}: write {{name}} without spaces or signs"


def _silent(
    own: Mapping[str, Words], shipped: Mapping[str, Words], intents: Mapping[str, Intent], languages: Sequence[str]
) -> Iterator[Problem]:
    """Small talk that has no answer."""
    for intent in intents.values():
        if intent.kind == "chitchat" and not {**shipped.get(intent.name, {}), **own.get(intent.name, {})}:
            told = "is of kind chitchat and has no answer: write templates."
            yield f"intents.{intent.name}", f"{told}{intent.name}: {{{languages[0]}: ...}}"


def example_problems(
    examples: Iterable[Mapping[str, Any]], intents: Mapping[str, Intent], languages: Sequence[str]
) -> Iterator[Problem]:
    """What is wrong with the sentences to learn from: intents without any, and sentences that teach two things."""
    held = list(examples)
    spoken = {(each["intent"], each["language"]) for each in held}
    for intent, language in sorted(spoken):
        if language not in languages:
            told = f'is in "{language}", which languages does not list: add it there, or leave these sentences out'
            yield f"examples.{intent}.{language}", told
    for intent in intents.values():
        has = [language for language in languages if (intent.name, language) in spoken]
        if not has:
            yield f"intents.{intent.name}", f"has no examples: write some sentences under examples.{intent.name}"
        elif intent.kind in ("find", "book") and len(has) < len(languages):
            lacking = next(language for language in languages if language not in has)
            told = f'has no examples in "{lacking}", which languages lists: write some, or take {lacking} out of it'
            yield f"examples.{intent.name}", told
    yield from _twofold(held)


def _twofold(held: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    first: dict[str, Mapping[str, Any]] = {}
    for each in held:
        other = first.setdefault(key_of(each["text"]) or each["text"], each)
        if other["intent"] != each["intent"]:
            told = f'is "{each["text"]:.60}", which stands under {other["intent"]} too: a sentence has one intent'
            yield each["place"], told
