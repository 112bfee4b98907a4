"""Recipes of the laboratory: axes are crossed, quick editions change what they say, mistakes are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab_recipes import made, raw
from pagoda.errors import ConfigError
from pagoda.lab.recipe import LabRecipe, arm_name, shipped

LAB = {"compare": "norm", "against": "rms_norm", "metric": "accuracy"}
BOTH = raw()["axes"]
RANDOM = {"tokens": 64, "positions": "random_floats"}


def test_every_choice_of_one_axis_meets_every_choice_of_the_others() -> None:
    assert [arm_name(arm) for arm in made().arms()] == [
        "rms_norm, 1e-3",
        "rms_norm, 1e-2",
        "none, 1e-3",
        "none, 1e-2",
    ]


def test_an_arm_changes_what_its_choices_say_and_nothing_else() -> None:
    recipe = made()
    one, _ = recipe.training({"norm": "rms_norm", "rate": "1e-3"}, 7)
    other, _ = recipe.training({"norm": "none", "rate": "1e-2"}, 7)
    assert (one.model.norm, one.train.learning_rate, one.train.seed) == ("rms_norm", 1e-3, 7)
    assert (other.model.norm, other.train.learning_rate, other.train.seed) == ("none", 1e-2, 7)
    assert one.model.hidden_size == other.model.hidden_size == 16


def test_a_quick_edition_changes_tables_key_by_key() -> None:
    quick = {"lab": {"seeds": [5]}, "train": {"tokens": 32}}
    slow, fast = made(quick=False), made(quick=True)
    assert slow.lab.seeds == (0, 1)
    assert fast.lab.seeds == (0, 1), "without a table [quick] both editions are the same"
    changed = LabRecipe.from_dict(raw() | {"quick": quick}, "made", (Path(),), quick=True)
    assert changed.lab.seeds == (5,)
    assert changed.lab.compare == "norm"
    assert changed.training(changed.arms()[0], 5)[0].train.tokens == 32
    assert changed.fingerprint() != slow.fingerprint()


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("quick", [False, True])
def test_recipes_that_ship_are_sound(name: str, quick: bool) -> None:
    recipe = LabRecipe.open(name, quick=quick)
    for arm in recipe.arms():
        training, task = recipe.training(arm, 0)
        assert task is not None or all(training.locate(source).is_file() for source in training.sources)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lab": {"compare": "norms", "against": "rms_norm"}}, 'did you mean "norm"'),
        ({"lab": {"compare": "norm", "against": "rms"}}, "no choice of norm"),
        ({"lab": {"compare": "norm", "against": "none", "best_of": "rates"}}, "no axis"),
        ({"lab": {"compare": "norm", "against": "none", "metric": "bleu"}}, "loss, accuracy"),
        ({"lab": {"compare": "norm", "against": "none", "seeds": []}}, "seeds is empty"),
        ({"axes": {}}, "varies nothing"),
        ({"axes": {"norm": {"none": {"modle": {}}}}, "lab": {"compare": "norm", "against": "none"}}, '"model"'),
        ({"task": {"name": "even_pear"}}, '"even_pairs"'),
        ({"task": {"longest": 40, "test_to": 40}}, "more than longest=40"),
        ({"labs": {}}, "unknown key 'labs'"),
        ({"lab": LAB | {"seeds": [0, 0]}}, "lab.seeds=.*different"),
        ({"lab": LAB | {"seeds": [-1]}}, "lab.seeds=.*0 or more"),
        ({"lab": LAB | {"seeds": 3}}, "lab.seeds=3.*a list"),
        ({"lab": LAB | {"seeds": [0.5]}}, "lab.seeds=.*whole"),
        ({"lab": LAB | {"seconds": -1.0}}, "lab.seconds=-1.0"),
        ({"lab": LAB | {"compare": 3}}, "lab.compare=3.*text"),
        ({"task": {"strings": 0}}, "task.strings=0"),
        ({"task": {"sequences": "many"}}, "task.sequences='many'"),
        ({"train": {"tokens": "many"}}, "train.tokens='many'"),
        ({"train": {"tokens": 0}}, "train.tokens=0"),
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate='fast'"),
        ({"axes": {"norm": {}}}, "axes.norm.* is empty"),
        ({"axes": {"norm": {"none": 3}}}, "axes.norm.*NAME.CHOICE"),
        ({"axes": {"norm": {"none": {"train": 3}, "rms_norm": {}}}}, "axes.norm.none.train=3.*table"),
        ({"lab": 3}, "lab=3, but a table"),
        ({"train": 3}, "train=3, but a table"),
        ({"train": {"seed": 3}}, r"\[train\] sets train.seed"),
        ({"train": {"beta1": "low"}}, "train.beta1='low'"),
        ({"tokenizer": {"vocab_size": 0}}, "tokenizer.vocab_size=0"),
        ({"timing": {"widths": []}}, "timing.widths is empty"),
        ({"timing": {"rounds": 3}}, "timing.rounds=3.*6"),
        ({"timing": {"widths": [100]}}, "100.*multiples of 64"),
        (
            {"task": {"longest": 40, "test_to": 80}, "train": RANDOM | {"position_range": 159}},
            "position_range=159.*160",
        ),
        ({"train": {"tokens_per_step": 64}}, r"\[train\] sets train.tokens_per_step, which a \[task\]"),
        ({"axes": BOTH | {"size": {"s": {"model": {"vocab_size": 9}}}}}, r"axes.size\] sets model.vocab_size"),
        ({"axes": BOTH | {"size": {"s": {"train": {"micro_batch_tokens": 9}}}}}, "sets train.micro_batch_tokens"),
        ({"axes": BOTH | {"size": {"s": {"train": {"length_schedule": [[0.0, 9]]}}}}}, "sets train.length_schedule"),
        ({"axes": BOTH | {"seed": {"s": {"train": {"seed": 9}}}}}, "sets train.seed"),
        ({"axes": BOTH | {"other": {"s": {"model": {"norm": "none"}}}}}, "both set model.norm"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_with_a_hint(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**changes)


def test_a_name_that_is_no_recipe_lists_those_that_ship() -> None:
    with pytest.raises(ConfigError, match="lengths"):
        LabRecipe.open("length")
