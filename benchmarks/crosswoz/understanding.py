"""Reads a sentence's dialogue acts: what is informed, requested, selected or merely said.

First station of a turn: *sentence -> acts* -> belief state (`tracking`) -> query -> reply. Values are found by
lexicon and by rules for quantities, and a linear head tells which slot of which domain each fills, if any; a second
head reads the acts that have no value in the sentence. Acts are CrossWOZ's (Zhu et al. 2020, arXiv 2002.11893). For
Chinese; character n-grams, no embedding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from crosswoz.context import ActContext, ActTurn
from crosswoz.features import ActFeatures, Sentence
from crosswoz.head import HashedHead, HeadSettings
from crosswoz.ontology import FLAG, ActOntology, DialogueAct, Slot
from crosswoz.selection import with_domains, without_domains
from crosswoz.values import Mention, ValueFinder, known_values
from pagoda.errors import InvalidRequestError

_MIN_TURNS = 2
"""An act without a value is learnt where this many turns have it."""
_THRESHOLD = -0.5
"""Log-odds from which an act counts. Below 0: rare acts are learnt with too low a chance, and most are rare."""
_FORMAT = 2
ValueLabel = tuple[str, str, str]
"""(act, domain, slot) of a value in the sentence; a flag's slot without its value."""


class ActUnderstanding:
    """A trained reader. `train` makes one, `save` and `load` keep it."""

    def __init__(
        self,
        ontology: ActOntology,
        known: dict[Slot, list[str]],
        plain_labels: Sequence[DialogueAct],
        value_labels: Sequence[ValueLabel],
        heads: tuple[HashedHead, HashedHead],
    ) -> None:
        self._ontology, self._known = ontology, known
        self._finder, self._features = ValueFinder(ontology, known), ActFeatures(ontology)
        self._plain_labels, self._value_labels = list(plain_labels), list(value_labels)
        self._plain_head, self._value_head = heads

    @classmethod
    def train(
        cls, turns: Iterable[ActTurn], lexicon: ActOntology, settings: HeadSettings | None = None
    ) -> ActUnderstanding:
        """From the user's turns of dialogues, each in its context (`context.act_turns` makes them).

        lexicon: the ontology with the values of the databases

        Raises InvalidRequestError where there is no turn with an act.
        """
        given = list(turns)
        if not any(turn.acts for turn in given):
            raise InvalidRequestError(f"{len(given)} turns without a single act: give turns with their acts")
        known = known_values(lexicon, (act for turn in given for act in turn.acts))
        examples = _Examples(lexicon, ValueFinder(lexicon, known), given)
        heads = (
            HashedHead.train(
                examples.plain_bags, examples.plain_targets, _factors(examples.plain_labels), None, settings
            ),
            HashedHead.train(
                examples.value_bags,
                examples.value_targets,
                _factors(examples.value_labels),
                examples.value_allowed,
                settings,
            ),
        )
        return cls(lexicon, known, examples.plain_labels, examples.value_labels, heads)

    @property
    def ontology(self) -> ActOntology:
        """What its acts are made of."""
        return self._ontology

    def parse(self, text: str, context: ActContext | None = None) -> list[DialogueAct]:
        """The acts, sorted; the same text in the same context gives the same acts."""
        before = context or ActContext()
        mentions = self._finder.find(text)
        sentence = self._features.sentence(text, mentions, before)
        found = set(self._without_value(sentence, before))
        for index in range(len(mentions)):
            found.update(self._of_mention(sentence, mentions, index, before))
        return sorted(with_domains(self._ontology, sorted(found), before))

    def _without_value(self, sentence: Sentence, context: ActContext) -> Iterable[DialogueAct]:
        scores = self._plain_head.scores(self._features.of_sentence(sentence, context))
        return (self._plain_labels[index] for index in np.flatnonzero(scores > _THRESHOLD))

    def _of_mention(
        self, sentence: Sentence, mentions: Sequence[Mention], index: int, context: ActContext
    ) -> Iterable[DialogueAct]:
        scores = self._value_head.scores(self._features.of_mention(sentence, mentions, index, context))
        domains: dict[str, str] = {}
        for label in sorted(np.flatnonzero(scores > _THRESHOLD), key=lambda label: -scores[label]):
            act = act_of(self._ontology, self._value_labels[label], mentions[index])
            # Four stars are of the hotel or of the restaurant, never of both.
            if act is None or (mentions[index].quantity and domains.setdefault(act[0], act[1]) != act[1]):
                continue
            yield act

    def save(self, folder: str | Path) -> None:
        """Weights as safetensors, the rest as JSON; never pickle."""
        from safetensors.numpy import save_file

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for name, head in (("plain", self._plain_head), ("value", self._value_head)):
            tensors[f"{name}.keys"], tensors[f"{name}.weights"] = head.keys, head.weights
        save_file(tensors, path / "acts.safetensors")
        described = {
            "format": _FORMAT,
            "ontology": self._ontology.to_dict(),
            "known": [[*slot, values] for slot, values in self._known.items()],
            "plain_labels": self._plain_labels,
            "value_labels": self._value_labels,
        }
        (path / "acts.json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> ActUnderstanding:
        """What `save` wrote. Raises InvalidRequestError for a folder that holds none."""
        from safetensors.numpy import load_file

        path = Path(folder)
        try:
            described = json.loads((path / "acts.json").read_text(encoding="utf-8"))
            tensors = load_file(path / "acts.safetensors")
            if described["format"] != _FORMAT:
                raise ValueError(f"format {described['format']}")
            return cls(
                ActOntology.from_dict(described["ontology"]),
                {(domain, slot): values for domain, slot, values in described["known"]},
                [tuple(label) for label in described["plain_labels"]],
                [tuple(label) for label in described["value_labels"]],
                (_head(tensors, "plain"), _head(tensors, "value")),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidRequestError(
                f"{path} holds no reader of acts that this version can load: train one and save it there"
            ) from error


def act_of(ontology: ActOntology, label: ValueLabel, mention: Mention) -> DialogueAct | None:
    """The act that a mention is under a label; None where the mention cannot fill the slot."""
    act, domain, slot = label
    value = mention.values.get((domain, slot))
    if value is None:
        return None
    if slot not in ontology.flags:
        return act, domain, slot, value
    return act, domain, slot + FLAG + value, ontology.flags[slot] if act == ontology.inform else ""


def _factors(labels: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """What labels share: the slot whatever its domain, the domain whatever its slot."""
    return [
        [f"slot {label[0]} {label[2]} {label[3:]}", f"domain {label[0]} {label[1]}", f"act {label[0]} {label[2]}"]
        for label in labels
    ]


def _head(tensors: dict[str, np.ndarray], name: str) -> HashedHead:
    return HashedHead(tensors[f"{name}.keys"], tensors[f"{name}.weights"])


class _Examples:
    """Bags and targets of both heads.

    An act is learnt as a value's where a mention of its sentence gives it, and as one without a value otherwise.
    """

    def __init__(self, ontology: ActOntology, finder: ValueFinder, turns: Sequence[ActTurn]) -> None:
        self._ontology, self._features = ontology, ActFeatures(ontology)
        found = [finder.find(turn.text) for turn in turns]
        self.value_labels = self._labels_of_values(turns, found)
        plain = [
            self._without_value(without_domains(ontology, turn.acts), mentions)
            for turn, mentions in zip(turns, found, strict=True)
        ]
        counts = Counter(act for acts in plain for act in set(acts))
        self.plain_labels = sorted(act for act, count in counts.items() if count >= _MIN_TURNS)
        self.plain_targets = _matrix([[act in acts for act in self.plain_labels] for acts in plain])
        self.plain_bags: list[list[str]] = []
        self.value_bags: list[list[str]] = []
        targets: list[list[bool]] = []
        allowed: list[list[bool]] = []
        for turn, mentions in zip(turns, found, strict=True):
            self._add_bags(turn, mentions)
            for mention in mentions:
                acts = [act_of(ontology, label, mention) for label in self.value_labels]
                targets.append([act in turn.acts for act in acts])
                allowed.append([act is not None for act in acts])
        self.value_targets, self.value_allowed = _matrix(targets), _matrix(allowed)

    def _add_bags(self, turn: ActTurn, mentions: Sequence[Mention]) -> None:
        sentence = self._features.sentence(turn.text, mentions, turn.context)
        self.plain_bags.append(self._features.of_sentence(sentence, turn.context))
        for index in range(len(mentions)):
            self.value_bags.append(self._features.of_mention(sentence, mentions, index, turn.context))

    def _labels_of_values(self, turns: Sequence[ActTurn], found: Sequence[Sequence[Mention]]) -> list[ValueLabel]:
        labels = {
            (act, domain, self._ontology.base(slot))
            for turn, mentions in zip(turns, found, strict=True)
            for act, domain, slot, value in turn.acts
            if any(
                mention.values.get((domain, self._ontology.base(slot)))
                == self._ontology.value((act, domain, slot, value))
                for mention in mentions
            )
        }
        return sorted(labels)

    def _without_value(self, acts: Sequence[DialogueAct], mentions: Sequence[Mention]) -> list[DialogueAct]:
        given = {act_of(self._ontology, label, mention) for label in self.value_labels for mention in mentions}
        takes_value = {(act, domain, slot) for act, domain, slot in self.value_labels}
        return [
            act for act in acts if act not in given and (act[0], act[1], self._ontology.base(act[2])) not in takes_value
        ]


def _matrix(rows: Sequence[Sequence[bool]]) -> np.ndarray:
    """bool [examples, labels]"""
    return np.array(rows, bool) if rows else np.zeros((0, 0), bool)
