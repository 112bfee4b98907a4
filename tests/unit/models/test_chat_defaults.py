"""What a person who talks gets where neither they nor the checkpoint say anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.models.chat_defaults import ChatDefaults
from pagoda.models.checkpoint.loading import load_card
from pagoda.models.model_card import ModelCard

ENGLISH = ModelCard(("en",))


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "min_p"])
def test_a_checkpoint_that_says_how_to_draw_is_left_alone(name: str) -> None:
    assert ChatDefaults.of({name: 0.5}, 135_000_000, True, ENGLISH) == ChatDefaults()


def test_the_smaller_the_calmer_and_the_smallest_are_told_how_to_answer() -> None:
    large, small, tiny = (ChatDefaults.of({}, number, True, ENGLISH) for number in (8e9, 5e8, 135e6))
    assert large.sampling == {"temperature": 0.7, "top_p": 0.95}
    assert small.sampling == tiny.sampling == {"temperature": 0.2, "top_p": 0.9}
    assert (large.system, small.system) == ("", "")
    assert tiny.system.startswith("You ")


def test_nothing_is_told_in_english_to_a_model_that_is_not_said_to_speak_it() -> None:
    for card in (None, ModelCard(), ModelCard(("zh",))):
        assert ChatDefaults.of({}, 135_000_000, True, card).system == ""


def test_what_goes_on_with_a_text_is_not_drawn_close_to_repeating_itself() -> None:
    assert ChatDefaults.of({}, 135_000_000, False, ENGLISH) == ChatDefaults({"temperature": 0.7, "top_p": 0.95})


@pytest.mark.parametrize(
    ("head", "card"),
    [
        ("language: en", ModelCard(("en",))),
        ("language: [EN, zh, no]", ModelCard(("en", "zh"))),  # YAML's "no" is no text
        ("language:\n- code\n- en", ModelCard(("en",), is_for_code=True)),
        ("tags: [chat, code]", ModelCard((), is_for_code=True)),
        ("language: [en", ModelCard()),
        ("- a list", ModelCard()),
    ],
)
def test_the_head_of_a_readme_tells_languages_and_one_that_is_broken_is_passed_over(
    head: str, card: ModelCard, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\n# A model\n", encoding="utf-8")
    assert load_card(tmp_path, "a-model") == card


@pytest.mark.parametrize(
    ("name", "is_for_code"),
    [
        ("Qwen2.5-Coder-0.5B", True),
        ("CodeLlama-7b-hf", True),
        ("starcoder2-3b", True),
        ("granite-3b-code-instruct", True),
        ("mimi-codec", False),
        ("an-encoder", False),
        ("decoder-only", False),
        ("SmolLM2-135M-Instruct", False),
    ],
)
def test_models_of_code_are_known_by_a_word_of_their_name(name: str, is_for_code: bool, tmp_path: Path) -> None:
    assert load_card(tmp_path, name).is_for_code is is_for_code


@pytest.mark.real_model
def test_a_gguf_file_tells_what_its_authors_wrote(smollm2: Path, qwen_coder: Path) -> None:
    assert load_card(smollm2, "x") == ModelCard(("en",))
    assert load_card(qwen_coder, "x") == ModelCard((), is_for_code=True)
