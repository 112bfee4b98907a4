"""The reader of passages: its numbers do not depend on what else is read, and its file is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multilingual_file import write_model
from pagoda.errors import ConfigError, MissingExtraError
from pagoda.minilm.multilingual import FILE, Multilingual, read_multilingual
from pagoda.rag.documents.document import Chunk
from pagoda.rag.embedding.bilingual import NAME
from pagoda.rag.inputs import reader_of
from pagoda.rag.retrieval import passage_reader
from pagoda.rag.retrieval.passage_reader import WEIGHTS, PassageReader, load_passage_reader

QUESTION = "怎么卸载"
TEXTS = ["打开设置，点击卸载。", "付款。", "怎么卸载？打开设置，点击删除应用，再点击卸载。" * 3]
CHARACTERS = sorted(set("".join([QUESTION, *TEXTS])))


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Multilingual:
    file = tmp_path_factory.mktemp("model") / FILE
    write_model(file, ["<s>", "<pad>", "</s>", "<unk>", "▁", *CHARACTERS, *"query:passage"[:5], "▁a"], {})
    return read_multilingual(file)


def passages(texts: list[str]) -> list[Chunk]:
    return [Chunk(str(at), "a.md", text, 0, len(text), 1, title="手册") for at, text in enumerate(texts)]


def packaged() -> dict[str, np.ndarray]:
    with np.load(WEIGHTS) as arrays:
        return dict(arrays)


def test_a_passage_has_the_same_odds_whatever_else_is_read(multilingual: Multilingual) -> None:
    reader = PassageReader(multilingual, packaged())
    together = reader.read(QUESTION, passages(TEXTS))
    assert together.shape == (3,)
    assert np.isfinite(together).all()
    alone = [PassageReader(multilingual, packaged()).read(QUESTION, passages([text]))[0] for text in TEXTS]
    again = reader.read(QUESTION, passages(TEXTS[::-1]))[::-1]
    # Products of bfloat16 in another order.
    assert np.allclose(together, alone, atol=0.015)
    assert np.allclose(together, again, atol=0.015)
    assert together.std() > 0.03


def test_what_was_learned_counts(multilingual: Multilingual) -> None:
    arrays = packaged()
    plain = {name: np.zeros_like(array) if name.endswith(".up") else array for name, array in arrays.items()}
    learned = PassageReader(multilingual, arrays).read(QUESTION, passages(TEXTS))
    assert not np.allclose(learned, PassageReader(multilingual, plain).read(QUESTION, passages(TEXTS)), atol=0.015)


def test_it_takes_chinese_questions_and_no_passages_at_all(multilingual: Multilingual) -> None:
    reader = PassageReader(multilingual, packaged())
    assert reader.takes("怎么卸载 pagoda？")
    assert not reader.takes("How do I remove pagoda?")
    assert reader.read(QUESTION, []).shape == (0,)


def test_texts_are_forgotten_at_some_point(multilingual: Multilingual, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage_reader, "MAX_PASSAGES", 2)
    reader = PassageReader(multilingual, packaged())
    first = reader.read(QUESTION, passages(TEXTS))
    assert len(reader._read) == 2
    assert np.allclose(first, reader.read(QUESTION, passages(TEXTS)), atol=0.015)


def test_only_the_bilingual_embedder_brings_a_reader(
    multilingual: Multilingual, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage_reader, "packaged_file", lambda *_: tmp_path / FILE)
    monkeypatch.setattr(passage_reader, "read_multilingual", lambda _: multilingual)
    load_passage_reader.cache_clear()

    class Embedder:
        name = NAME

    assert isinstance(reader_of(Embedder()), PassageReader)  # type: ignore[arg-type]
    Embedder.name = "all-MiniLM-L6-v2"
    assert reader_of(Embedder()) is None  # type: ignore[arg-type]
    load_passage_reader.cache_clear()


def test_a_broken_file_and_a_missing_package_are_told(
    multilingual: Multilingual, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage_reader, "packaged_file", lambda *_: tmp_path / FILE)
    monkeypatch.setattr(passage_reader, "read_multilingual", lambda _: multilingual)
    (tmp_path / "weights.npz").write_bytes(b"none")
    with pytest.raises(ConfigError, match="reinstall"):
        load_passage_reader(tmp_path / "weights.npz")
    np.savez(tmp_path / "weights.npz", head=np.zeros(3))
    with pytest.raises(ConfigError, match="reinstall"):
        load_passage_reader(tmp_path / "weights.npz")
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"bilingual"):
        load_passage_reader(tmp_path / "weights.npz")
