"""A domain: what a dialogue can be about, read from a file. The door to everything that is data here.

Stands beside the whole turn's path: the examples train the understanding, slots and intents shape events, state and
policy, queries become Cypher, templates become the reply. Nothing in code knows of restaurants; a second file is a
second domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pagoda.dialogue.domain import consistency, wording
from pagoda.dialogue.domain import file as domain_file
from pagoda.dialogue.domain.consistency import Problem
from pagoda.dialogue.domain.model import Column, Intent, Label, Slot, Words
from pagoda.dialogue.errors import DOMAIN_FILE, DomainError
from pagoda.errors import nearest
from pagoda.files.yaml_lines import LANGUAGES, Section, read_section

_FOLDER = Path(__file__).with_name("domains")
CITY, PHRASES = _FOLDER / "city.yaml", _FOLDER / "phrases.yaml"
# A file for another graph altogether is wrong in every line; nobody reads hundreds of them.
_MOST_TOLD = 20
ENTRIES = ("name", "languages", "labels", "slots", "intents", "templates", "name_endings", "general_words", "examples")


@dataclass(frozen=True)
class Domain:
    """Everything that a domain file says.

    templates: sentences by name and language
    name_endings, general_words: how names of places end, and what before such an ending makes none
    lines: line of the file by dotted path, for messages
    """

    name: str
    languages: tuple[str, ...]
    labels: Mapping[str, Label]
    slots: Mapping[str, Slot]
    intents: Mapping[str, Intent]
    templates: Mapping[str, Words] = field(default_factory=dict)
    name_endings: Words = field(default_factory=dict)
    general_words: Words = field(default_factory=dict)
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    _examples: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def load(cls, path: str | Path | None = None) -> Domain:
        """Reads a domain file, None for the shipped city. Templates that it lacks are the shipped ones.

        Raises DomainError with file, line, what was given and the nearest known name; MissingExtraError without PyYAML.
        """
        root, lines = read_section(Path(path) if path is not None else CITY, DOMAIN_FILE)
        root.only(ENTRIES)
        labels = domain_file.read_labels(root)
        slots = domain_file.read_slots(root, labels)
        intents = domain_file.read_intents(root, labels, slots)
        phrases, _ = read_section(PHRASES, DOMAIN_FILE)
        declared = cls(
            root.text("name"),
            _languages(root),
            labels,
            slots,
            intents,
            domain_file.read_templates(root),
            {**phrases.words("name_endings"), **root.words("name_endings")},
            {**phrases.words("general_words"), **root.words("general_words")},
            root.file,
            lines,
            tuple(domain_file.read_examples(root, intents)),
        )
        shipped = domain_file.read_templates(phrases)
        declared.refuse([*declared._problems(shipped)])
        templates = {name: {**shipped.get(name, {}), **declared.templates.get(name, {})} for name in shipped}
        return replace(declared, templates={**declared.templates, **templates})

    def with_file(self, path: str | Path) -> Domain:
        """With the intents of a further file that have no slots of their own, and their examples.

        For whoever joins another storey to a domain: its intents are of kind "elsewhere", or small talk.
        Raises DomainError as `load` does.
        """
        root, lines = read_section(Path(path), DOMAIN_FILE)
        root.only(("intents", "templates", "examples"))
        intents = {**self.intents, **domain_file.read_intents(root, self.labels, dict(self.slots))}
        joined = replace(
            self,
            intents=intents,
            templates={**self.templates, **domain_file.read_templates(root)},
            file=root.file,
            lines=lines,
            _examples=(*self._examples, *domain_file.read_examples(root, intents)),
        )
        joined.refuse([*joined._problems(self.templates)])
        return joined

    def _problems(self, shipped: Mapping[str, Words]) -> Iterator[Problem]:
        """Everything that can be told without a graph."""
        yield from consistency.problems(self.labels, self.slots, self.intents)
        yield from wording.problems(self.templates, shipped, self.slots, self.intents, self.languages)
        yield from wording.example_problems(self._examples, self.intents, self.languages)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raises DomainError with file, line and entry for each problem; does nothing where there is none."""
        told = [f"{self.file}:{self.line(place)}: {place} {problem}" for place, problem in problems[:_MOST_TOLD]]
        if len(problems) > _MOST_TOLD:
            told.append(f"{self.file}: and {len(problems) - _MOST_TOLD} more")
        if told:
            raise DomainError("\n".join(told))

    def examples(self, language: str | None = None) -> list[dict[str, Any]]:
        """{"text", "intent", "slots": [{"slot", "start", "end", "value"}]} of each training sentence.

        language: only those, None for all
        """
        return [
            {"text": each["text"], "intent": each["intent"], "slots": [dict(slot) for slot in each["slots"]]}
            for each in self._examples
            if language in (None, each["language"])
        ]

    def template(self, name: str, language: str) -> Sequence[str]:
        """The sentences to choose from, in the other language where there are none. Raises DomainError without any."""
        known = self.templates.get(name, {})
        sentences = known.get(language) or next(iter(known.values()), ())
        if not sentences:
            raise DomainError(f'{self.file} has no template "{name}": {nearest(name, self.templates)}')
        return sentences

    def intent_of_act(self, act: str) -> str:
        """The intent that stands for an act such as "cancel", "" where the domain has none."""
        return next((intent.name for intent in self.intents.values() if intent.act == act), "")

    def slots_booked_later(self, intent: Intent) -> frozenset[str]:
        """Slots of the intents that book what an intent finds."""
        bookings = (
            each for each in self.intents.values() if any(intent.name in held for held in each.from_result.values())
        )
        return frozenset(slot for booking in bookings for slot in booking.slots)

    def called(self, intent: Intent) -> tuple[str, ...]:
        """What people call that which an intent looks for or books, English words in the plural as well."""
        label = self.labels.get(intent.sought)
        if label is None:
            return ()
        words = [*label.title.values(), *(word for held in label.words.values() for word in held)]
        return tuple(dict.fromkeys((*words, *(f"{word}s" for word in words if word.isascii()))))

    def columns(self) -> dict[str, Column]:
        """All columns of all queries by name, the first of each name."""
        found: dict[str, Column] = {}
        for intent in self.intents.values():
            for column in intent.query.columns if intent.query else ():
                found.setdefault(column.name, column)
        return found

    def line(self, place: str) -> int:
        """The file's line of an entry by its dotted path, or of the nearest one above it that the file has."""
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        return self.lines.get(place, 1)


def _languages(root: Section) -> tuple[str, ...]:
    """Those that are listed, or all."""
    if "languages" not in root:
        return LANGUAGES
    given = root.texts("languages")
    for language in given:
        if language not in LANGUAGES:
            raise root.fail("languages", f'names "{language}": {nearest(language, LANGUAGES)}')
    if not given or len(set(given)) != len(given):
        raise root.fail("languages", f"is {list(given)}, expected each language once: [zh, en], [zh] or [en]")
    return given
