"""The files of sentence-transformers beside a checkpoint: what is read of them, and what is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.errors import CheckpointError, InvalidParameterError
from pagoda.models.embedder import EmbedderConfig

OLD = "sentence_transformers.models."
KINDS_BY_AGE = {
    "old": [OLD + "Transformer", OLD + "Pooling", OLD + "Normalize"],
    "new": [
        "sentence_transformers.base.modules.transformer.Transformer",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "sentence_transformers.sentence_transformer.modules.normalize.Normalize",
    ],
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(kinds, **files)`: a directory with these modules; a file's content, by the name that stands for it."""

    def make(kinds: list[str] = KINDS_BY_AGE["old"], **files: Any) -> Path:
        folders = ["", "1_Pooling", "2_Normalize", "3_More"]
        modules = [
            {"idx": index, "name": str(index), "path": folders[index], "type": kind} for index, kind in enumerate(kinds)
        ]
        contents = {
            "modules.json": files.get("modules", modules),
            "1_Pooling/config.json": files.get("pooling", {"pooling_mode_lasttoken": True}),
            "2_Normalize/config.json": files.get("normalize"),
            "config_sentence_transformers.json": files.get("prompts"),
            "sentence_bert_config.json": files.get("transformer"),
        }
        for name, content in contents.items():
            if content is not None:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                text = content if isinstance(content, str) else json.dumps(content)
                (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return make


def test_without_modules_a_vector_is_the_last_tokens_state_of_length_one(tmp_path: Path) -> None:
    assert EmbedderConfig.from_directory(tmp_path) == EmbedderConfig("last", normalize=True, is_declared=False)


@pytest.mark.parametrize("kinds", KINDS_BY_AGE.values(), ids=KINDS_BY_AGE)
@pytest.mark.parametrize("has_normalize", [False, True])
def test_modules_of_every_age_are_known(kinds: list[str], has_normalize: bool, write: Write) -> None:
    config = EmbedderConfig.from_directory(write(kinds if has_normalize else kinds[:2]))
    assert (config.is_declared, config.pooling, config.normalize) == (True, "last", has_normalize)


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True, "word_embedding_dimension": 64, "include_prompt": True}, "mean"),
        ({"pooling_mode_lasttoken": True, "include_prompt": False}, "last"),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, "cls"),
        ({"word_embedding_dimension": 64}, "mean"),
        ({}, "mean"),
    ],
)
def test_the_pooling_is_the_one_that_its_file_says(said: dict[str, Any], pooling: str, write: Write) -> None:
    assert EmbedderConfig.from_directory(write(pooling=said)).pooling == pooling


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"pooling": {"pooling_mode": "weightedmean"}}, "weightedmean"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "max"),
        ({"pooling": {"pooling_mode_mean_sqrt_len_tokens": True}}, "mean_sqrt_len_tokens"),
        ({"pooling": {"pooling_mode": ["mean", "max"]}}, "max"),
        ({"pooling": {"pooling_mode_cls_token": True, "pooling_mode_lasttoken": True}}, "lasttoken"),
        ({"pooling": {"pooling_mode": "median"}}, "median"),
        ({"pooling": {"pooling_mode": {"mean": 1}}}, "pooling_mode"),
        ({"pooling": {"include_prompt": False}, "prompts": {"prompts": {"query": "q: "}}}, "include_prompt"),
        ({"kinds": [OLD + "Transformer", OLD + "Pooling", OLD + "Dense"]}, "Dense"),
        ({"kinds": [OLD + "Transformer", OLD + "Pooling", OLD + "Normalize", OLD + "Dense"]}, "Dense"),
        ({"kinds": [OLD + "Transformer", OLD + "WeightedLayerPooling", OLD + "Pooling"]}, "WeightedLayerPooling"),
        ({"kinds": [OLD + "WordEmbeddings", OLD + "Pooling"]}, "WordEmbeddings"),
        ({"kinds": [OLD + "Transformer"]}, "Transformer"),
        ({"kinds": [OLD + "Pooling", OLD + "Transformer"]}, "Pooling, Transformer"),
        ({"kinds": []}, "none"),
        ({"kinds": ["custom_st.Transformer", OLD + "Pooling"]}, "custom_st"),
        ({"kinds": ["pylate.models.Transformer", OLD + "Pooling"]}, "pylate"),
        ({"normalize": {"module_input_name": "token_embeddings"}}, "token_embeddings"),
        ({"prompts": {"model_type": "SparseEncoder"}}, "SparseEncoder"),
        ({"prompts": {"model_type": "CrossEncoder"}}, "CrossEncoder"),
        ({"transformer": {"transformer_task": "fill-mask"}}, "fill-mask"),
        ({"transformer": {"modality_config": {"text": {"method": "get_text_features"}}}}, "get_text_features"),
        ({"transformer": {"module_output_name": "pooler_output"}}, "pooler_output"),
        ({"transformer": {"query_expansion": {"length": 32}}}, "query_expansion"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(files: dict[str, Any], told: str, write: Write) -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        EmbedderConfig.from_directory(write(**files))
    assert ".json" in str(caught.value)
    assert "pagoda computes" in str(caught.value)


def test_a_network_in_a_folder_of_its_own_is_refused_by_that_folder(write: Write) -> None:
    modules = [{"path": "0_Transformer", "type": OLD + "Transformer"}, {"path": "1_Pooling", "type": OLD + "Pooling"}]
    with pytest.raises(CheckpointError, match="0_Transformer"):
        EmbedderConfig.from_directory(write(modules=modules))


@pytest.mark.parametrize(
    "files",
    [
        {"modules": {}},
        {"modules": "nothing"},
        {"modules": [1]},
        {"modules": [{"path": ""}]},
        {"modules": [{"type": OLD + "Transformer", "path": ""}, {"type": OLD + "Pooling", "path": "../1_Pooling"}]},
        {"modules": [{"type": OLD + "Transformer", "path": ""}, {"type": OLD + "Pooling", "path": "absent"}]},
        {"pooling": "{"},
        {"pooling": []},
        {"prompts": {"prompts": ["q: "]}},
        {"prompts": {"prompts": {"query": 1}}},
        {"prompts": {"prompts": {"query": "q: "}, "default_prompt_name": "passage"}},
        {"transformer": {"max_seq_length": "512"}},
        {"transformer": {"max_seq_length": 0}},
        {"transformer": {"max_seq_length": True}},
        {"transformer": {"modality_config": ["text"]}},
        {"transformer": {"modality_config": {"text": "forward"}}},
    ],
)
def test_a_broken_file_is_an_error_that_names_it(files: dict[str, Any], write: Write) -> None:
    with pytest.raises(CheckpointError, match=r"\.json"):
        EmbedderConfig.from_directory(write(**files))


def test_lengths_and_case_are_read(write: Write) -> None:
    config = EmbedderConfig.from_directory(write(transformer={"max_seq_length": 512, "do_lower_case": True}))
    assert (config.max_seq_length, config.text("Ärger IN Köln")) == (512, "ärger in köln")


def test_prompts_stand_before_texts(write: Write) -> None:
    prompts = {"prompts": {"query": "Query: ", "plain": None}, "default_prompt_name": "query"}
    config = EmbedderConfig.from_directory(write(prompts=prompts))
    assert config.text("a") == "Query: a"
    assert config.text("a", "query") == "Query: a"
    assert config.text("a", "plain") == "a"
    assert config.text("a", "document") == "a"
    with pytest.raises(InvalidParameterError, match="did you mean") as caught:
        config.text("a", "qeury")
    assert caught.value.param == "prompt_name"


def test_no_prompt_stands_there_unasked_where_none_is_the_default(write: Write) -> None:
    assert EmbedderConfig.from_directory(write(prompts={"prompts": {"query": "Query: "}})).text("a") == "a"
    with pytest.raises(InvalidParameterError, match="prompt_name"):
        EmbedderConfig().text("a", "query")
