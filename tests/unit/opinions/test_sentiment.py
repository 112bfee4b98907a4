"""Training, saving and reading what a text says, of itself and of one company in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pagoda.errors import CheckpointError, ConfigError, InvalidParameterError
from pagoda.opinions import SentimentModel
from pagoda.opinions.sentiment import TargetSentiment
from pagoda.opinions.story import Mention

UP = ("股价大涨", "业绩预增", "利好消息", "主力拉升", "强势涨停", "净利增长")
DOWN = ("股价大跌", "业绩预亏", "利空消息", "主力出货", "开盘跌停", "净利下滑")
NAMES = ("远山", "海门", "青石", "白河", "东林", "北湖", "长桥", "金沙")
CHINESE = [
    {"text": f"{name}今日{word}，盘后公告", "label": label}
    for label, words in (("up", UP), ("down", DOWN))
    for word in words
    for name in NAMES
]
ENGLISH = [
    {"text": f"{name} {word} after {when}", "label": label}
    for label, words in (
        (1, ("profit rose", "shares soared", "raised its dividend")),
        (0, ("sales fell", "went bankrupt")),
    )
    for word in words
    for name in ("Alder", "Birch", "Cedar", "Elm")
    for when in ("the report", "a long year")
]


@pytest.fixture(scope="module")
def chinese() -> SentimentModel:
    return SentimentModel.train(CHINESE)


@pytest.fixture(scope="module")
def english() -> SentimentModel:
    return SentimentModel.train(ENGLISH)


def test_chinese_is_learned_and_probabilities_are_some(chinese: SentimentModel) -> None:
    up, down = chinese.predict(["南山股价大涨", "南山净利下滑"])
    assert (up.label, down.label) == ("up", "down")
    assert up.probability > 0.5
    assert sum(up.probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_labels_stay_what_they_were_and_the_same_rows_give_the_same_model(english: SentimentModel) -> None:
    texts = ["Maple profit rose after the report", "Maple went bankrupt"]
    assert [each.label for each in english.predict(texts)] == [1, 0]
    again = SentimentModel.train(ENGLISH)
    assert np.array_equal(again.probabilities(texts), english.probabilities(texts))


def test_a_text_is_read_alike_whatever_stands_beside_it(english: SentimentModel) -> None:
    alone = english.probabilities(["Maple profit rose"])[0]
    beside = english.probabilities(
        ["Maple profit rose", "A much longer sentence about sales that fell and fell again"]
    )[0]
    assert np.array_equal(alone, beside)


def test_what_was_saved_reads_the_same(tmp_path: Path, chinese: SentimentModel, english: SentimentModel) -> None:
    for model, text in ((chinese, "南山股价大涨"), (english, "Maple sales fell")):
        model.save(tmp_path / "model")
        loaded = SentimentModel.load(tmp_path / "model")
        assert loaded.labels == model.labels
        assert loaded.predict([text])[0].probability == pytest.approx(model.predict([text])[0].probability, abs=0.01)


def test_chinese_says_the_same_to_the_bit_after_a_file_and_in_traditional_characters(
    tmp_path: Path, chinese: SentimentModel
) -> None:
    chinese.save(tmp_path / "model")
    texts = ["南山股价大涨，今日", "南山净利下滑", "盘后公告什么"]
    expected = chinese.probabilities(texts)
    assert np.array_equal(SentimentModel.load(tmp_path / "model").probabilities(texts), expected)
    assert np.array_equal(chinese.probabilities(["南山股價大漲，今日"]), chinese.probabilities(texts[:1]))


def test_a_damaged_or_missing_model_is_refused(tmp_path: Path, chinese: SentimentModel) -> None:
    with pytest.raises(CheckpointError, match=r"sentiment\.json is missing"):
        SentimentModel.load(tmp_path)
    chinese.save(tmp_path / "model")
    file = tmp_path / "model" / "zh.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="train the model again"):
        SentimentModel.load(tmp_path / "model")
    described = tmp_path / "model" / "sentiment.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        SentimentModel.load(tmp_path / "model")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        chinese.save(tmp_path / "else")


def test_an_encoder_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="'bert', expected one of auto, minilm, multilingual, none"):
        SentimentModel.train(CHINESE, encoder="bert")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "0 different labels"),
        ([{"text": "a", "label": "x"}], "1 different labels"),
        ([{"text": "a"}], "row 0 is no"),
        ([{"text": "", "label": "x"}], "row 0 has text ''"),
        ([{"text": "a", "label": 1.5}], "label 1.5"),
        ([{"text": "a b", "label": "x", "target": "c"}], "'c' does not stand in its text"),
    ],
)
def test_bad_rows_are_refused_by_their_number(rows: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        SentimentModel.train(rows)


def test_word_lists_stand_in_and_say_so() -> None:
    text = "远山能源股价大涨，青石矿业净利下滑"
    mentions = [[Mention("far", 0, 4, "远山能源", 1.0)], [Mention("stone", 9, 13, "青石矿业", 1.0)]]
    far, stone = TargetSentiment().predict([(text, each) for each in mentions], mentions[::-1])
    assert (far.label, stone.label) == ("positive", "negative")
    assert far.model_version == stone.model_version == "lexicon-1"
    assert [word.text for word in far.words] == ["大涨"]
    assert all(text[word.start : word.end] == word.text for word in (*far.words, *stone.words))


def test_a_negation_turns_a_word_around() -> None:
    texts = ["公司未违约", "公司违约", "No growth at Alder", "Growth at Alder"]
    labels = [each.label for each in TargetSentiment().predict([(text, ()) for text in texts])]
    assert labels == ["positive", "negative", "negative", "positive"]


def test_a_model_of_other_labels_is_no_model_of_companies(chinese: SentimentModel) -> None:
    with pytest.raises(InvalidParameterError, match="labels among positive, neutral, negative; this one has down, up"):
        TargetSentiment(chinese)
