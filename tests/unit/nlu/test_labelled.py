"""Examples are checked where they come in, and divided without losing a rare intent."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.errors import ConfigError
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.known_sentences import known_sentences
from pagoda.nlu.labelled import Labelled, folds, hold_out, read_examples
from pagoda.nlu.understanding import OUT_OF_SCOPE


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"intent": "greet"}, "text"),
        ({"text": " \n", "intent": "greet"}, "at least one word"),
        ({"text": "hi", "intent": 3}, '"intent" is 3'),
        ({"text": "hi", "slots": [{"slot": "name", "start": 0}]}, '"end"'),
        ({"text": "hi", "slots": [{"slot": "name", "start": 0, "end": 9}]}, "2 characters"),
        ({"text": "hi Ann", "slots": [{"slot": "name", "start": 3, "end": 6, "value": "Bob"}]}, "'Ann'"),
    ],
)
def test_a_malformed_example_is_named_with_what_is_wrong(example: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="example 1") as caught:
        read_examples([{"text": "hello", "intent": "greet"}, example])
    assert said in str(caught.value)


def test_examples_without_any_label_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to learn"):
        read_examples([{"text": "hello"}])


@pytest.mark.parametrize("name", ["oos", "out_of_scope", "out-of-scope"])
def test_out_of_scope_has_one_name(name: str) -> None:
    assert read_examples([{"text": "hm", "intent": name}])[0].intent == OUT_OF_SCOPE


def test_holding_out_takes_nothing_from_rare_intents_and_loses_nothing() -> None:
    examples = [Labelled(f"a {n}", "often") for n in range(200)] + [Labelled(f"b {n}", "rare") for n in range(7)]
    kept, held = hold_out(examples, 0.1, 1000, seed=3)
    assert sorted(one.text for one in kept + held) == sorted(one.text for one in examples)
    assert {one.intent for one in held} == {"often"}
    assert 15 <= len(held) <= 25
    assert hold_out(examples, 0.1, 1000, seed=3) == (kept, held)


def test_each_intent_is_spread_over_the_folds() -> None:
    examples = [Labelled(f"s {n}", "ab"[n % 2]) for n in range(16)]
    fold = folds(examples, 4, seed=0)
    for intent in "ab":
        assert sorted(f for f, one in zip(fold, examples, strict=True) if one.intent == intent) == [
            0,
            0,
            1,
            1,
            2,
            2,
            3,
            3,
        ]


def test_an_example_is_not_shown_a_value_that_only_it_supplied() -> None:
    once, twice = Labelled("to new york", spans=(("city", 3, 11),)), Labelled("to paris", spans=(("city", 3, 8),))
    known = Gazetteer.of([once, twice, twice])
    assert known.flags(["to", "new", "york"]) == [[], ["gBcity"], ["gEcity", "gincity"]]
    assert known.flags(["to", "new", "york"], without=once) == [[], [], []]
    assert known.flags(["to", "paris"], without=twice) == [[], ["gScity"]]


def test_the_longest_known_value_counts_and_the_lexicon_supplies_more() -> None:
    known = Gazetteer.of([], {"city": ["York", "New York City"], "dish": ["york pudding"]})
    assert known.flags(["new", "york", "city"]) == [["gBcity"], ["gIcity", "gincity"], ["gEcity", "gincity"]]
    assert known.flags(["york", "pudding"]) == [["gBdish", "gScity"], ["gEdish", "gindish"]]
    assert Gazetteer.from_json(known.to_json()).flags(["york"]) == [["gScity"]]


def test_a_short_sentence_with_two_intents_is_not_remembered() -> None:
    examples = [
        Labelled("Hi!", "greet"),
        Labelled("ok", "confirm"),
        Labelled("OK.", "thank"),
        Labelled("x" * 40, "greet"),
    ]
    assert known_sentences(examples) == {"hi": "greet"}
