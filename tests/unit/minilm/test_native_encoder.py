"""MiniLM's layers over the native kernels: near torch's, the same bits in any company, threads that leave no trace."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pagoda.kernels.select import native_is_built
from pagoda.minilm import native_encoder as module
from pagoda.minilm.encoder import Encoder
from pagoda.minilm.native_encoder import NativeEncoder, native_encoder
from pagoda.minilm.package import packaged_folder, read_arrays, read_weights
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")

RNG = np.random.default_rng(0)
SHAPES = [(1, 2), (3, 9), (7, 30), (33, 17), (2, 256)]
BATCHES = [RNG.integers(1000, 30_000, shape) for shape in SHAPES]
# Of single pieces, of which random ones are the worst; with bfloat16 the wide products are in bytes.
LEAST_COSINE = {torch.float32: 0.999999, torch.bfloat16: 0.985}


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def encoder(request: pytest.FixtureRequest) -> NativeEncoder:
    return NativeEncoder(read_arrays(packaged_folder("a test", "all")), request.param)


@pytest.fixture(params=[1, 2], ids=["one thread", "two"])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_piece_is_what_torch_makes_of_it(encoder: NativeEncoder, num_threads: int) -> None:
    theirs = Encoder(read_weights(packaged_folder("a test", "all")))
    for ids, found in zip(BATCHES, encoder.read(BATCHES), strict=True):
        with torch.inference_mode():
            expected = theirs.run(theirs.embed(torch.from_numpy(ids)), None, range(NUM_LAYERS)).numpy()
        assert (found.shape, found.dtype) == ((*ids.shape, HIDDEN), np.float32)
        lengths = np.linalg.norm(found, axis=2) * np.linalg.norm(expected, axis=2)
        assert ((found * expected).sum(axis=2) / lengths).min() > LEAST_COSINE[encoder.dtype]


def test_a_text_has_the_same_bits_alone_and_among_others(encoder: NativeEncoder, num_threads: int) -> None:
    for ids, found in zip(BATCHES, encoder.read(BATCHES), strict=True):
        alone = np.concatenate(list(encoder.read([ids[row : row + 1] for row in range(len(ids))])))
        assert np.array_equal(found, alone)


def test_batches_come_in_their_order_however_many(encoder: NativeEncoder, num_threads: int) -> None:
    batches = [np.full((1, 2 + number % 5), 1000 + number) for number in range(40)]
    for ids, found in zip(batches, encoder.read(iter(batches)), strict=True):
        assert np.array_equal(found, next(encoder.read([ids])))


def test_threads_of_torch_are_as_they_were(encoder: NativeEncoder, num_threads: int) -> None:
    for _ in encoder.read(BATCHES[:2]):
        break
    assert torch.get_num_threads() == num_threads


@pytest.mark.parametrize(
    ("instruction_sets", "dtype"),
    [
        (["avx512_amx", "avx512_bf16", "avx2"], torch.bfloat16),
        (["avx512_bf16", "avx2"], torch.bfloat16),
        (["avx512", "avx2"], torch.float32),
        (["neon"], torch.float32),
    ],
    ids=["tiles", "bf16 products", "avx512 without", "neon"],
)
def test_bf16_is_for_machines_that_multiply_it(
    instruction_sets: list[str], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagoda.kernels.native.library.instruction_sets", lambda: instruction_sets)
    monkeypatch.setattr(module, "NativeEncoder", lambda weights, dtype, embed: dtype)
    assert native_encoder({}) is dtype


def test_without_the_library_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "native_is_built", lambda: False)
    assert native_encoder({}) is None
