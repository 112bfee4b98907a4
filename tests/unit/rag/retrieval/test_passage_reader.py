"""The reader of passages: its numbers do not depend on what else is read, and its file is checked."""

from __future__ import annotations

import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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


def test_no_more_bytes_are_kept_than_may_be_and_no_question(
    multilingual: Multilingual, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = PassageReader(multilingual, packaged())
    first = reader.read(QUESTION, passages(TEXTS))
    # What has been asked is rarely asked again.
    assert len(reader._kept) == len(TEXTS)
    sizes = [hidden.nbytes for hidden in reader._kept.values()]
    monkeypatch.setattr(passage_reader, "MOST_BYTES", sum(sizes) - 1)
    bounded = PassageReader(multilingual, packaged())
    bounded.read(QUESTION, passages(TEXTS))
    assert 0 < sum(hidden.nbytes for hidden in bounded._kept.values()) < sum(sizes)
    assert np.allclose(first, bounded.read(QUESTION, passages(TEXTS)), atol=0.015)


class Slow(OrderedDict[str, Any]):
    """Lets other threads in between a look and what follows it."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        time.sleep(0)
        return found


def test_threads_share_it(multilingual: Multilingual, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PassageReader(multilingual, packaged())
    hidden = torch.zeros(4, 384)
    # The network is not what threads meet in.
    monkeypatch.setattr(reader, "_lower", lambda new, _: {text: hidden.clone() for text in new})
    monkeypatch.setattr(reader, "_kept", Slow())
    monkeypatch.setattr(passage_reader, "MOST_BYTES", 3 * hidden.nbytes)

    def many(seed: int) -> int:
        chance = np.random.default_rng(seed)
        return sum(len(reader._below(list(chance.permutation(CHARACTERS)[:8]))) for _ in range(100))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(many, range(8))) == [100 * 8] * 8
    assert len(reader._kept) == 3


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
