"""The understanding of a domain: shipped where it fits, kept where it was learned, given where somebody trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pagoda.dialogue import learned
from pagoda.dialogue.assembly import lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import SHIPPED, mark_of, understanding_of
from pagoda.dialogue.reading.linking import Linker, Named, linked_labels
from pagoda.dialogue.slots.kinds import NodeValue, texts_of
from pagoda.errors import CheckpointError, ConfigError
from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.service.shipped import service_domain

SMALL = """name: small
languages: [zh]
labels: {{Book: {{key: id, names: {{zh: name}}}}}}
slots: {{book: {{type: name, labels: [Book]}}}}
intents:
  find:
    kind: find
    optional: [book]
    query: {{label: Book, filters: [{{slot: book, operator: node}}]}}
  greet: {{kind: chitchat}}
examples:
  find: {{zh: ['找[三体](book)', '有[史记](book)吗', '{more}']}}
  greet: {{zh: [你好, 您好]}}
"""


def city_lexicon() -> dict[str, list[str]]:
    """Of the shipped domain over the shipped city, without a server."""
    domain, tables = Domain.load(), {table.label: table for table in city().nodes}
    named = [
        Named(NodeValue(label, row["id"], row.get("name", ""), row.get("name_en", "")), texts_of(row.get("aliases")))
        for label in linked_labels(domain)
        for row in tables[label].rows
    ]
    return lexicon_of(domain, Linker(named))


@pytest.fixture(scope="module")
def lexicon() -> Mapping[str, Sequence[str]]:
    return city_lexicon()


def small(folder: Path, more: str = "借书") -> Domain:
    path = folder / "small.yaml"
    path.write_text(SMALL.format(more=more), encoding="utf-8")
    return Domain.load(path)


def test_the_shipped_files_fit_the_shipped_domains(lexicon: Mapping[str, Sequence[str]]) -> None:
    """Where this fails, examples or training have changed: python recipes/city_understanding.py"""
    marks = {mark_of(domain.examples(), lexicon) for domain in (Domain.load(), service_domain())}
    assert {place.name for place in SHIPPED.iterdir()} == marks, "run: python recipes/city_understanding.py"


def test_the_shipped_file_is_data_and_light() -> None:
    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    assert sum(file.stat().st_size for file in files) < 8_000_000


def test_the_shipped_domain_is_read_without_learning_and_reads_its_own_examples(
    tmp_path: Path, lexicon: Mapping[str, Sequence[str]]
) -> None:
    """Weights of other features than today's would be no better than chance."""
    domain, told = Domain.load(), list[str]()
    understanding = understanding_of(domain, lexicon, tmp_path, None, lambda what, done, total: told.append(what))
    assert not told
    assert not list(tmp_path.iterdir())
    asked = [example for example in domain.examples() if len(example["text"]) > 24][::9]
    right = sum(understanding.parse(example["text"]).intent == example["intent"] for example in asked)
    assert right / len(asked) > 0.95, (right, len(asked))


def test_what_was_learned_is_kept_and_other_names_change_nothing(tmp_path: Path) -> None:
    domain, told = small(tmp_path), list[str]()

    def read(names: list[str]) -> FastUnderstanding:
        told.clear()
        return understanding_of(domain, {"book": names}, tmp_path / "u", None, lambda what, *steps: told.append(what))

    assert read(["三体"]).parse("你好").intent == "greet"
    assert told
    read(["三体", "活着"])
    assert not told
    read([])  # without any names, other things are learned
    assert told


def test_other_examples_are_learned_anew(tmp_path: Path) -> None:
    marks = {mark_of(small(tmp_path, more).examples(), {"book": ["三体"]}) for more in ("借书", "还书")}
    assert len(marks) == 2


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_file_is_learned_again(tmp_path: Path, damage: str) -> None:
    domain, told = small(tmp_path), list[str]()
    understanding_of(domain, {"book": ["三体"]}, tmp_path / "u")
    tensors = next((tmp_path / "u").rglob("*.safetensors"))
    tensors.write_bytes(tensors.read_bytes()[:-9] if damage == "cut" else b"")
    again = understanding_of(domain, {"book": ["三体"]}, tmp_path / "u", None, lambda what, *steps: told.append(what))
    assert told
    assert again.parse("你好").intent == "greet"


def test_what_somebody_trained_is_used_if_it_speaks_of_the_domain(tmp_path: Path) -> None:
    domain = small(tmp_path)
    examples = [{"text": text, "intent": intent} for intent, text in (("find", "找书"), ("greet", "你好呀"))] * 3
    FastUnderstanding.train(examples).save(tmp_path / "mine")
    given = understanding_of(domain, {"book": ["三体"]}, tmp_path / "u", tmp_path / "mine")
    assert given.parse("你好呀").intent == "greet"
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    ("example", "told"),
    [
        (
            {"text": "找书", "intent": "fnid"},
            'trained for intents that domain "small" lacks, such as "fnid": did you mean',
        ),
        (
            {"text": "找书", "intent": "find", "slots": [{"slot": "bok", "start": 1, "end": 2}]},
            'trained for slots that domain "small" lacks, such as "bok": did you mean "book"',
        ),
        ({"text": "找书", "slots": [{"slot": "book", "start": 1, "end": 2}]}, "was trained without intents"),
    ],
)
def test_what_was_trained_for_another_domain_is_refused(tmp_path: Path, example: dict[str, object], told: str) -> None:
    FastUnderstanding.train([example]).save(tmp_path / "mine")
    with pytest.raises(ConfigError, match=told):
        understanding_of(small(tmp_path), {}, tmp_path / "u", tmp_path / "mine")


def test_a_folder_without_an_understanding_is_an_error_and_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no trained understanding"):
        understanding_of(small(tmp_path), {}, tmp_path / "u", tmp_path / "nothing")


def test_another_learner_learns_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = small(tmp_path).examples()
    before = mark_of(examples, {})
    monkeypatch.setattr(learned, "LEARNER", learned.LEARNER + 1)
    assert mark_of(examples, {}) != before
    assert json.dumps(examples)
