"""The joint reader: an answer in other words beats what only speaks of the subject, and both forms see the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.minilm.package import packaged_folder, read_arrays
from pagoda.rag.documents.document import Chunk
from pagoda.rag.extractive.english.joint_reader import (
    BEFORE,
    BEHIND,
    LENGTH,
    SLACK,
    WEIGHTS,
    above,
    load_joint_reader,
    parts_of,
    whole_passage,
)
from pagoda.rag.extractive.english.reader_input import ReaderTokenizer
from pagoda.rag.extractive.english.reader_weights import JOINT_HEADS, pack, read_file, unpack

# Sentences of the SRD 5.1 (CC BY 4.0), of restic's documentation (BSD-2-Clause) and of Based Cooking (Unlicense).
PETRIFIED = "A petrified creature is transformed into a solid inanimate substance. Its weight grows. It stops aging."
PRONE = "A prone creature's only movement option is to crawl, unless it stands up and thereby ends the condition."
RESTIC = "Restoring symbolic links on Windows is only possible when the user is running as administrator."
BREAD = "Eat within 3 days as it will probably be going stale around then."


def chunk(text: str, source: str = "conditions.md", title: str = "Conditions") -> Chunk:
    return Chunk("c", source, text, 0, len(text), 1, title=title)


@pytest.mark.parametrize("file", ["", ".", "/", ".."])
def test_what_has_no_name_of_a_file_has_its_headings_alone_above(file: str) -> None:
    assert above(chunk(BREAD, file)).split() == ["Conditions"]


@pytest.fixture(scope="module")
def tokenizer() -> ReaderTokenizer:
    return ReaderTokenizer(packaged_folder("a test", "rag"))


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("does someone turned to stone still get older?", PETRIFIED, PRONE),
        ("how can I move while lying on the ground?", PRONE, PETRIFIED),
        ("for how long can you keep the loaf", BREAD, RESTIC),
    ],
)
def test_a_passage_that_answers_in_other_words_is_more_likely(question: str, right: str, wrong: str) -> None:
    reader = load_joint_reader()
    assert reader.log_odds(question, chunk(right)) > reader.log_odds(question, chunk(wrong))


def test_what_stands_above_the_passage_is_read_with_it() -> None:
    reader, question = load_joint_reader(), "how long does the sourdough keep?"
    named, other = chunk(BREAD, "sourdough.md", "Sourdough"), chunk(BREAD, "links.md", "Symbolic links")
    assert above(named) == "sourdough Sourdough "
    assert reader.log_odds(question, named) > reader.log_odds(question, other)


def test_a_long_passage_is_read_in_parts_that_overlap_below_its_headings(tokenizer: ReaderTokenizer) -> None:
    passage = chunk(" ".join([PETRIFIED, PRONE, RESTIC, BREAD] * 3))
    whole = whole_passage(tokenizer, "how?", passage)
    parts = parts_of(whole, passage)
    assert len(parts) > 1
    assert all(len(part.window.offsets) <= LENGTH + SLACK + BEFORE + BEHIND for part in parts)
    head = int((whole.window.offsets[:, 0] < len(above(passage))).sum())
    covered = {tuple(pair) for part in parts for pair in part.window.offsets.tolist()}
    assert covered == {tuple(pair) for pair in whole.window.offsets.tolist()}
    for one, two in itertools.pairwise(parts):
        assert one.window.ids[: one.window.first + head].tolist() == two.window.ids[: two.window.first + head].tolist()
        assert one.window.offsets[-1, 1] > two.window.offsets[head, 0]
    assert parts[0].told.startswith("A petrified creature")
    assert parts_of(whole_passage(tokenizer, "how?", chunk(BREAD)), chunk(BREAD))[0].told == BREAD


def test_a_long_passage_counts_by_its_likeliest_part(tokenizer: ReaderTokenizer) -> None:
    reader, question = load_joint_reader(), "for how long can you keep the loaf"
    passage = chunk(" ".join([PRONE, RESTIC] * 5 + [BREAD]))
    windows = [part.window for part in parts_of(whole_passage(tokenizer, question, passage), passage)]
    each = [reader.of_window(window) for window in windows]
    assert len(each) > 1
    assert reader.log_odds(question, passage) == max(each) > min(each)


def test_other_passages_between_change_nothing() -> None:
    reader, asked = load_joint_reader(), "for how long can you keep the loaf"
    first = reader.log_odds(asked, chunk(BREAD))
    reader.log_odds(asked, chunk(RESTIC * 20))
    assert reader.log_odds(asked, chunk(BREAD)) == first


def test_a_question_or_a_passage_without_words_has_a_number() -> None:
    reader = load_joint_reader()
    assert np.isfinite(reader.log_odds("?", chunk(BREAD)))
    assert np.isfinite(reader.log_odds("how long?", chunk("---", "a.md", "")))


def test_reading_and_training_see_the_same_log_odds(tokenizer: ReaderTokenizer) -> None:
    from pagoda.rag.extractive.english.reader_network import JointNetwork

    minilm = read_arrays(packaged_folder("a test", "rag"))
    trained = unpack(read_file(WEIGHTS), minilm, WEIGHTS, JOINT_HEADS)
    network = JointNetwork(packaged_folder("a test", "rag"))
    with torch.no_grad():
        for name, value in network.shipped().items():
            value.copy_(torch.from_numpy(trained[name]))
    question, passage = "for how long can you keep the loaf", chunk(BREAD)
    window = whole_passage(tokenizer, question, passage).window
    length = len(window.ids)
    # Padded, as in a batch of longer ones.
    parts = [torch.from_numpy(part) for part in (window.ids, window.types, window.features)]
    padded = [torch.cat([part, torch.zeros((9, *part.shape[1:]), dtype=part.dtype)])[None] for part in parts]
    mask = (torch.arange(length + 9) < length)[None, None, None]
    expected = float(network.log_odds(*padded, mask).detach())
    assert load_joint_reader().log_odds(question, passage) == pytest.approx(expected, abs=1e-3)


def test_every_weight_that_ships_is_learned(tokenizer: ReaderTokenizer) -> None:
    from pagoda.rag.extractive.english.reader_network import JointNetwork

    network = JointNetwork(packaged_folder("a test", "rag"))
    window = whole_passage(tokenizer, "How long does it keep?", chunk(BREAD)).window
    parts = [torch.from_numpy(part)[None] for part in (window.ids, window.types, window.features)]
    network.log_odds(*parts, torch.ones(1, 1, 1, len(window.ids), dtype=torch.bool)).sum().backward()
    for name, value in network.shipped().items():
        assert value.grad is not None, name
        assert value.grad.abs().max() > 0 or name.endswith("key.bias"), name


@pytest.mark.parametrize("content", [None, b"PK\x03\x04 not a zip"])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "joint.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="reinstall pagoda"):
        load_joint_reader(path)


def test_weights_of_the_reader_of_spans_are_refused(tmp_path: Path) -> None:
    minilm = read_arrays(packaged_folder("a test", "rag"))
    arrays = pack(unpack(read_file(WEIGHTS), minilm, WEIGHTS, JOINT_HEADS), minilm)
    np.savez(tmp_path / "joint.npz", **{name: value for name, value in arrays.items() if name != "answers.weight"})
    with pytest.raises(ConfigError, match=r"answers\.weight has shape None"):
        load_joint_reader(tmp_path / "joint.npz")
