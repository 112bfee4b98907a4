"""Networks that read opinions: what they take a text as, one tuner for both, and files that name what they need."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from multilingual_file import write_model
from pagoda.errors import CheckpointError, MissingExtraError
from pagoda.minilm.multilingual import FILE, UNKNOWN
from pagoda.opinions import sentiment
from pagoda.opinions.reading import model_files
from pagoda.opinions.reading.confidence import Confidence
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.networks import of_multilingual
from pagoda.opinions.reading.networks.of_minilm import minilm
from pagoda.opinions.reading.networks.of_multilingual import PACKAGE, MultilingualE5, multilingual_e5
from pagoda.opinions.reading.networks.tuning import passes
from pagoda.opinions.sentiment import SentimentModel

PIECES = [
    "<s>", "<pad>", "</s>", "<unk>", "▁", "股价", "大", "涨", "跌", "今日", "，", "▁pro", "fit", "▁up", "<mask>",
]  # fmt: skip
ROWS = [
    {"text": f"{name}今日股价{word}", "label": label, "target": name}
    for name in ("远山", "海门", "青石", "白河")
    for word, label in (("大涨", "up"), ("涨", "up"), ("大跌", "down"), ("跌", "down"))
]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network of random weights in the package's place, so that none need be installed."""
    write_model(tmp_path / FILE, PIECES, {})
    monkeypatch.setattr(of_multilingual, "packaged_file", lambda *_: tmp_path / FILE)
    multilingual_e5.cache_clear()
    yield
    multilingual_e5.cache_clear()


@pytest.mark.usefixtures("made")
def test_a_text_is_cut_between_signs_and_words_are_found_again() -> None:
    text = "远山股价大涨，海门 profit up"
    pieced = multilingual_e5().pieced(Marked(text, ((0, 2),), ((7, 9),)))
    mask = PIECES.index("<mask>")
    told = [PIECES[piece] for piece in pieced.ids]
    assert told == ["<s>", "<mask>", "▁", "股价", "大", "涨", "，", "<unk>", "▁pro", "fit", "▁up", "</s>"]
    assert (pieced.ids[1], pieced.ids[7], pieced.asked) == (mask, UNKNOWN, [1])
    assert [text[slice(*word.at)] for word in pieced.words] == ["股价", "大", "涨", "，", "profit", "up"]
    assert [(word.first, word.last) for word in pieced.words] == [(2, 4), (4, 5), (5, 6), (6, 7), (8, 10), (10, 11)]


@pytest.mark.usefixtures("made")
def test_traditional_characters_are_read_as_simplified_and_long_texts_are_cut() -> None:
    network = multilingual_e5()
    assert network.pieced(Marked("股價大漲")).ids == network.pieced(Marked("股价大涨")).ids
    pieced = network.pieced(Marked("大涨" * 400))
    assert len(pieced.ids) == 128 + 3  # and the marks of start and end, and of a first piece
    assert pieced.words[-1].last == len(pieced.ids) - 1


def test_minilm_takes_signs_and_whole_words() -> None:
    text = "Alder Holdings' unprofitability grew, Birch fell"
    pieced = minilm().pieced(Marked(text, ((0, 14),), ((38, 43),)))
    assert (pieced.ids[0], pieced.ids[1], pieced.ids[-1], pieced.asked) == (101, 103, 102, [1])
    assert [text[slice(*word.at)] for word in pieced.words] == ["'", "unprofitability", "grew", ",", "fell"]
    word = pieced.words[1]
    assert word.last - word.first > 1
    assert pieced.words[-1].last == len(pieced.ids) - 1


@pytest.mark.parametrize(("batches", "expected"), [(1, 10), (55, 4), (104, 4), (330, 3), (400, 2), (5000, 1)])
def test_passes_are_fewer_the_more_there_is_to_learn(batches: int, expected: int) -> None:
    assert passes(MultilingualE5.schedule, batches) == expected


@pytest.mark.usefixtures("made")
def test_chinese_is_tuned_written_and_read_again(tmp_path: Path) -> None:
    model = SentimentModel.train(ROWS, encoder="multilingual")
    assert next(iter(model.parts.values())).version.startswith("multilingual-zh-")
    model.save(tmp_path / "model")
    described = json.loads((tmp_path / "model" / "sentiment.json").read_text())
    assert described["parts"]["zh"]["encoder"] == "multilingual"
    texts = [Marked("远山今日股价大涨", ((0, 2),)), Marked("远山股价跌，今日大跌")]
    expected = model.probabilities(texts)
    assert SentimentModel.load(tmp_path / "model").probabilities(texts) == pytest.approx(expected, abs=0.01)
    assert np.array_equal(model.probabilities(texts[:1]), expected[:1])
    again = SentimentModel.train(ROWS, encoder="multilingual")
    assert np.array_equal(again.probabilities(texts), expected)


@pytest.mark.usefixtures("made")
def test_lower_layers_stay_as_they_were_published() -> None:
    (part,) = SentimentModel.train(ROWS, encoder="multilingual").parts.values()
    _, tensors = part.model.stored()  # type: ignore[attr-defined]
    tuned = {int(name.split(".")[2]) for name in tensors if name.startswith("multilingual:")}
    assert tuned == set(range(multilingual_e5().schedule.lowest, 12))


@pytest.mark.usefixtures("made")
def test_a_file_whose_network_is_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SentimentModel.train(ROWS, encoder="multilingual").save(tmp_path / "model")
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    multilingual_e5.cache_clear()
    with pytest.raises(MissingExtraError, match=r"Chinese texts by a network.*\[bilingual\]"):
        SentimentModel.load(tmp_path / "model")
    with pytest.raises(MissingExtraError, match=r"\[bilingual\]"):
        SentimentModel.train(ROWS, encoder="multilingual")


@pytest.mark.parametrize(
    ("text", "count", "is_installed", "told"),
    [
        ("股价大涨", 300, True, "multilingual-zh"),
        ("股价大涨", 299, True, "grams-zh"),
        ("股价大涨", 300, False, "grams-zh"),
        ("profit rose", 300, True, "minilm-en"),
    ],
)
def test_the_network_is_chosen_by_language_count_and_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, text: str, count: int, is_installed: bool, told: str
) -> None:
    monkeypatch.setattr(sentiment, "is_installed", lambda: is_installed)
    monkeypatch.setattr(sentiment, "train_mixed", lambda *_: (None, Confidence()))
    rows = [{"text": text, "label": number % 2} for number in range(count)]
    (part,) = SentimentModel.train(rows).parts.values()
    assert part.version.startswith(told)


def test_a_file_with_an_encoder_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    SentimentModel.train(ROWS, encoder="none").save(tmp_path / "model")
    described = tmp_path / "model" / "sentiment.json"
    described.write_text(described.read_text().replace('"encoder": null', '"encoder": "bert"'))
    with pytest.raises(CheckpointError, match="names an encoder 'bert'"):
        SentimentModel.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("part", "changed"),
    [("encoder", "multilingual"), ("encoder", None), ("grams", "gone"), ("share", "much"), ("temperature", None)],
)
def test_a_file_that_does_not_fit_its_tensors_is_refused(tmp_path: Path, part: str, changed: str | None) -> None:
    """The network as published, with the head of another, would answer without a sign that something is wrong."""
    folder = tmp_path / "model"
    shutil.copytree(model_files.SHIPPED, folder)
    described = json.loads((folder / model_files.NAME).read_text("utf-8"))
    fields = described["parts"]["en"]
    described["parts"]["en"] = {**fields, part: changed}
    (folder / model_files.NAME).write_text(json.dumps(described), "utf-8")
    with pytest.raises(CheckpointError):
        SentimentModel.load(folder)


def test_a_file_without_parts_is_refused(tmp_path: Path) -> None:
    SentimentModel.train(ROWS, encoder="none").save(tmp_path / "model")
    described = tmp_path / "model" / model_files.NAME
    told = json.loads(described.read_text("utf-8"))
    del told["parts"]
    described.write_text(json.dumps(told), "utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        SentimentModel.load(tmp_path / "model")


@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason=f"{PACKAGE} (extra bilingual) is not installed")
def test_words_that_no_row_had_are_read_as_their_like() -> None:
    seen = [("股价大涨", 1), ("业绩大增", 1), ("利润增长", 1), ("股价大跌", 0), ("业绩下滑", 0), ("利润减少", 0)]
    rows = [{"text": f"{day}月{word}", "label": label} for word, label in seen for day in range(1, 9)]
    model = SentimentModel.train(rows, encoder="multilingual")
    assert [each.label for each in model.predict(["行情红火飙升", "惨淡亏损暴雷"])] == [1, 0]
