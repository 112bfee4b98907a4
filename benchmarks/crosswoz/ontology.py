"""What the dialogue acts and belief states of a data set are made of, as data: domains, slots, lexicon.

Stands before the first station of a turn: *ontology* -> acts of a sentence -> belief state. Read from a YAML file and
from the records of databases, so that the readers of acts (`understanding`) and the tracker (`tracking`) know
no domain by name. Acts are CrossWOZ's (Zhu et al. 2020, arXiv 2002.11893): (act, domain, slot, value).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pagoda.dialogue.errors import DomainError
from pagoda.errors import MissingExtraError

DialogueAct = tuple[str, str, str, str]
"""(act, domain, slot, value); a flag's slot is "slot-value"."""
Slot = tuple[str, str]
"""(domain, slot)"""
FLAG = "-"


@dataclass(frozen=True)
class QuantityFormat:
    """units: groups of spellings, the canonical one first; range: with {low}, {high} and {unit}"""

    units: tuple[tuple[str, ...], ...]
    range: str


@dataclass(frozen=True)
class ActOntology:
    """See examples/crosswoz/acts.yaml for what each field means.

    domains: {domain: words that speak of it}
    relations: {slot: domain that it leads to}; places: {domain: slots that hold names of entities}
    lists: slots of several values; flags: {slot: the value that says yes}
    lexicon: {(domain, slot): values}; aliases: {slot: {value: further words}}
    state_values: {slot: {value in acts: value in states}}; numbers: {slot: {value: the number that it means}}
    question_words: parts of a sentence that asks; search_words: of one that looks for an entity
    """

    domains: Mapping[str, tuple[str, ...]]
    name: str
    select_act: str
    select_slot: str
    inform: str = "Inform"
    request: str = "Request"
    nothing_found: str = "NoOffer"
    offer_acts: tuple[str, ...] = ("Inform", "Recommend")
    relations: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quantities: Mapping[str, QuantityFormat] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    state_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    question_words: tuple[str, ...] = ()
    search_words: tuple[str, ...] = ()
    lexicon: Mapping[Slot, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> ActOntology:
        """From a YAML file. Raises DomainError for a file that cannot be read or lacks a part, MissingExtraError."""
        try:
            import yaml
        except ModuleNotFoundError as error:
            raise MissingExtraError("reading an ontology needs PyYAML", "dialogue") from error
        try:
            return cls.from_dict(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DomainError(f"{path} cannot be read as YAML: name the file of an ontology of acts") from error

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ActOntology:
        """From what YAML or `to_dict` gives. Raises DomainError for what is missing or of another shape."""
        try:
            return cls(
                domains={name: tuple(words) for name, words in given["domains"].items()},
                name=given["name"],
                select_act=given["select"]["act"],
                select_slot=given["select"]["slot"],
                inform=given.get("inform", "Inform"),
                request=given.get("request", "Request"),
                nothing_found=given.get("nothing_found", "NoOffer"),
                offer_acts=tuple(given.get("offer_acts", ("Inform", "Recommend"))),
                relations=dict(given.get("relations", {})),
                places={domain: tuple(slots) for domain, slots in given.get("places", {}).items()},
                lists=tuple(given.get("lists", ())),
                flags=dict(given.get("flags", {})),
                listed={domain: tuple(slots) for domain, slots in given.get("lexicon", {}).items()},
                quantities={slot: _quantity(form) for slot, form in given.get("quantities", {}).items()},
                aliases={slot: _tuples(words) for slot, words in given.get("aliases", {}).items()},
                state_values={slot: dict(values) for slot, values in given.get("state_values", {}).items()},
                numbers={slot: dict(values) for slot, values in given.get("numbers", {}).items()},
                question_words=tuple(given.get("question_words", ())),
                search_words=tuple(given.get("search_words", ())),
                lexicon={(domain, slot): tuple(values) for domain, slot, values in given.get("values", ())},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DomainError(
                f"this is no ontology of acts ({type(error).__name__}: {error}): it needs domains, name and select, "
                "and may have relations, places, lists, flags, lexicon, quantities, aliases and state_values"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """JSON's types; `from_dict` reads it."""
        plain = asdict(replace(self, lexicon={}))
        plain["select"] = {"act": plain.pop("select_act"), "slot": plain.pop("select_slot")}
        plain["lexicon"] = plain.pop("listed")
        plain["values"] = [[domain, slot, list(values)] for (domain, slot), values in self.lexicon.items()]
        return plain

    def with_records(self, domain: str, records: Iterable[Mapping[str, Any]]) -> ActOntology:
        """With the values of the domain's `lexicon` slots that these records hold. Raises DomainError for an unknown
        domain."""
        if domain not in self.domains:
            raise DomainError(f"{domain!r} is no domain of this ontology: it has {', '.join(self.domains)}")
        rows = list(records)
        found = {
            (domain, slot): tuple(sorted({value for row in rows for value in _texts(row.get(slot))}))
            for slot in self.listed.get(domain, ())
        }
        return replace(self, lexicon={**self.lexicon, **found})

    def with_databases(self, records: Mapping[str, Iterable[Mapping[str, Any]]]) -> ActOntology:
        """With the values of every database, {domain: records}. Raises DomainError for an unknown domain."""
        whole = self
        for domain, rows in records.items():
            whole = whole.with_records(domain, rows)
        return whole

    def holders(self, domain: str, slot: str) -> list[Slot]:
        """Slots that a lexicon value of this slot may fill: its own and, for a name, those of places."""
        further = (
            [(other, place) for other, slots in self.places.items() for place in slots] if slot == self.name else []
        )
        return [(domain, slot), *further]

    def only_asks(self, text: str) -> bool:
        """Whether a sentence asks and looks for nothing: "is it five stars?", not "which has five stars?" """
        asks, searches = (any(word in text for word in words) for words in (self.question_words, self.search_words))
        return asks and not searches

    def relation_to(self, domain: str) -> str:
        """The slot that leads to a domain, "" where none does."""
        return next((slot for slot, target in self.relations.items() if target == domain), "")

    def base(self, slot: str) -> str:
        """The slot of a state that an act's slot belongs to: a flag's without its value."""
        head, found, _ = slot.partition(FLAG)
        return head if found and head in self.flags else slot

    def in_state(self, slot: str, value: str) -> str:
        """How a state writes what an act says."""
        return self.state_values.get(slot, {}).get(value, value)

    def value(self, act: DialogueAct) -> str:
        """What an act says of its slot: a flag's value stands in the slot."""
        return act[2].partition(FLAG)[2] if self.base(act[2]) != act[2] else act[3]


def _quantity(form: Mapping[str, Any]) -> QuantityFormat:
    return QuantityFormat(tuple(tuple(group) for group in form["units"]), form["range"])


def _tuples(words: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {value: tuple(further) for value, further in words.items()}


def _texts(value: object) -> list[str]:
    """The texts of a property: itself, or what its list holds."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]
