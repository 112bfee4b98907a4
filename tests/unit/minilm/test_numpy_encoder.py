"""MiniLM's layers in numpy say what the same layers in torch say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pagoda.minilm.encoder import Encoder
from pagoda.minilm.numpy_encoder import NumpyEncoder, gelu
from pagoda.minilm.package import packaged_folder, read_arrays, read_weights
from pagoda.minilm.shape import NUM_LAYERS

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def encoder() -> NumpyEncoder:
    return NumpyEncoder(read_arrays(packaged_folder("a test", "all")))


@pytest.mark.parametrize("shape", [(1, 2), (3, 9), (2, 256)])
@pytest.mark.parametrize("with_types", [False, True])
def test_the_layers_are_those_in_torch(encoder: NumpyEncoder, shape: tuple[int, int], with_types: bool) -> None:
    ids = RNG.integers(1000, 30_000, shape)
    types = (np.arange(shape[1]) > shape[1] // 2).astype(np.int64)[None].repeat(shape[0], 0) if with_types else None
    theirs = Encoder(read_weights(packaged_folder("a test", "all")))
    with torch.inference_mode():
        told = None if types is None else torch.from_numpy(types)
        expected = theirs.run(theirs.embed(torch.from_numpy(ids), told), None, range(NUM_LAYERS)).numpy()
    np.testing.assert_allclose(encoder.run(encoder.embed(ids, types), range(NUM_LAYERS)), expected, atol=1e-4)


def test_what_is_given_to_the_layers_stays_as_it_is(encoder: NumpyEncoder) -> None:
    hidden = encoder.embed(np.array([[101, 2040, 102]]))
    before = hidden.copy()
    first = encoder.run(hidden, range(2))
    assert np.array_equal(hidden, before)
    assert np.array_equal(encoder.run(encoder.run(hidden, [0]), [1]), first)


@pytest.mark.parametrize("size", [1, 16_384, 40_000], ids=["one", "a block", "several blocks"])
def test_gelu_is_exact_to_floating_point(size: int) -> None:
    values = np.linspace(-12, 12, size, dtype=np.float32)
    expected = [x * 0.5 * math.erfc(-x / math.sqrt(2)) for x in values.tolist()]
    np.testing.assert_allclose(gelu(values.copy()), expected, atol=1e-6)


def test_weights_are_held_once_and_tensors_are_the_callers_own() -> None:
    folder = packaged_folder("a test", "all")
    first, again, name = read_arrays(folder), read_arrays(folder), "embeddings.word_embeddings.weight"
    assert first is not again
    assert np.shares_memory(first[name], again[name])
    tensor = read_weights(folder)[name]
    tensor.zero_()
    assert first[name].any()
