"""Recipes: what is read, what is refused, and the schedules that follow from them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.train.config import Recipe, TrainConfig
from pagoda.train.optimizer import learning_rate_at

MODEL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def recipe(**sections: object) -> Recipe:
    return Recipe.from_dict({"model": MODEL, "sources": [{"path": "a.txt"}], **sections}, Path())


def test_model_takes_vocabulary_and_context_from_the_other_sections() -> None:
    made = recipe(tokenizer={"vocab_size": 300}, train={"length_schedule": [[0.0, 128], [0.5, 256]]})
    assert (made.model.vocab_size, made.model.max_position_embeddings) == (300, 256)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"train": {"lerning_rate": 1.0}}, 'did you mean "learning_rate"'),
        ({"trian": {}}, 'did you mean "train"'),
        ({"train": {"optimizer": "adagrad"}}, "adamw, rmsprop, sgd"),
        ({"train": {"positions": "random"}}, "random_integers"),
        ({"train": {"positions": "random_floats", "position_range": 100}}, "position_range=100"),
        ({"train": {"position_range_schedule": [[0.0, 600], [0.5, 100]]}}, "position_range=100"),
        ({"train": {"position_range_schedule": [[0.1, 600]]}}, "the first from 0.0 on"),
        ({"train": {"position_range_schedule": [[0.0, 600], [0.6, 900], [0.5, 2000]]}}, "in order"),
        ({"train": {"position_range_schedule": [600, 900]}}, "pairs"),
        ({"train": {"length_schedule": []}}, "length_schedule=.*pairs"),
        ({"train": {"tokens_per_step": 1000}}, "multiple of micro_batch_tokens"),
        ({"train": {"length_schedule": [[0.0, 500], [0.5, 512]]}}, "must divide"),
        ({"model": {**MODEL, "coded": "int4"}}, "unknown key .coded."),
        ({"sources": []}, r"\[\[sources\]\]"),
        ({"sources": [{"path": "a", "start": 0.5, "stop": 0.5}]}, "in order"),
        ({"sources": [{"path": "a", "kind": "poem"}]}, "text, dialogue"),
        ({"sources": [{"epochs": 1.0}]}, "path"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_with_a_hint(sections: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(**sections)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[model\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        Recipe.from_file(path)
    with pytest.raises(ConfigError, match="cannot read"):
        Recipe.from_file(tmp_path / "absent.toml")


def test_learning_rate_warms_up_and_ends_at_its_minimum() -> None:
    config = TrainConfig(tokens=8192 * 100, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.1)
    rates = [learning_rate_at(step, config) for step in range(config.num_steps)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(rates) == 1.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


def test_sequences_grow_at_the_steps_that_the_schedule_names() -> None:
    config = TrainConfig(tokens=8192 * 10, length_schedule=((0.0, 128), (0.5, 256), (0.9, 512)))
    assert [config.length_at(step) for step in range(10)] == [128] * 5 + [256] * 4 + [512]


def test_the_range_of_positions_grows_at_the_steps_that_its_schedule_names() -> None:
    config = TrainConfig(tokens=8192 * 10, position_range_schedule=((0.0, 600), (0.5, 5000)))
    assert [config.position_range_at(step) for step in range(12)] == [600] * 5 + [5000] * 7
    assert TrainConfig(position_range=700).position_range_at(3) == 700
