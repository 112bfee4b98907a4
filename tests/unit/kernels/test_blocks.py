"""Blocks of GGML: every type decoded as the `gguf` package does it, bit for bit."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from pagoda.kernels.block_types import BLOCK_TYPES, BY_NAME, UNREAD, name_of
from pagoda.kernels.reference import blocks
from pagoda.kernels.reference.blocks import decode_rows

_READ = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"}
_READ |= {"IQ4_XS", "MXFP4"}


def _random(name: str, rows: int, blocks_in_row: int, seed: int) -> np.ndarray:
    """uint8 [rows, bytes of a row]: every bit at random, so scales are also infinite, denormal or no number."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (rows, blocks_in_row * BY_NAME[name].block_bytes), dtype=np.uint8)


def _bits(values: np.ndarray) -> np.ndarray:
    """The bits of floats, those that are no number as one: which of them a product makes is the processor's choice."""
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.uint32)


@pytest.mark.parametrize("name", sorted(_READ))
def test_random_blocks_are_decoded_bit_for_bit(name: str) -> None:
    for seed in range(3):
        data = _random(name, rows=64, blocks_in_row=7, seed=seed)
        with np.errstate(all="ignore"):
            expected = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])
        decoded = decode_rows(torch.from_numpy(data), BY_NAME[name]).numpy()
        assert decoded.dtype == np.float32
        assert decoded.shape == (64, 7 * BY_NAME[name].block_size)
        np.testing.assert_array_equal(_bits(decoded), _bits(np.ascontiguousarray(expected)))


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "MXFP4"])
def test_what_the_gguf_package_writes_comes_back(name: str) -> None:
    """Plausible weights, written by the package's encoder: near to what they were."""
    weights = np.random.default_rng(0).normal(0, 0.05, (8, 96)).astype(np.float32)
    data = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[name])
    decoded = decode_rows(torch.from_numpy(data), BY_NAME[name]).numpy()
    worst = {"MXFP4": 0.05, "Q4_0": 0.02, "Q4_1": 0.02, "Q5_0": 0.01, "Q5_1": 0.01, "Q8_0": 1e-3, "BF16": 1e-3}[name]
    assert np.abs(decoded - weights).max() < worst


@pytest.mark.parametrize("name", sorted(_READ))
def test_rows_are_decoded_alike_however_many_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = torch.from_numpy(_random(name, rows=9, blocks_in_row=2, seed=5))
    whole = decode_rows(data, BY_NAME[name])
    monkeypatch.setattr(blocks, "_CHUNK_WEIGHTS", 256)
    one_by_one = decode_rows(data, BY_NAME[name])
    np.testing.assert_array_equal(_bits(whole.numpy()), _bits(one_by_one.numpy()))


def test_the_table_agrees_with_the_gguf_package() -> None:
    assert {each.name for each in BLOCK_TYPES.values()} == _READ
    for each in BLOCK_TYPES.values():
        theirs = gguf.GGMLQuantizationType[each.name]
        assert (each.number, (each.block_size, each.block_bytes)) == (theirs.value, gguf.GGML_QUANT_SIZES[theirs])
    for number, name in UNREAD.items():
        if number in {kind.value for kind in gguf.GGMLQuantizationType}:
            assert gguf.GGMLQuantizationType(number).name == name
    assert {kind.value for kind in gguf.GGMLQuantizationType} <= {*BLOCK_TYPES, *UNREAD}
    assert (name_of(12), name_of(9), name_of(99)) == ("Q4_K", "Q8_1", "number 99")


def test_sizes_of_a_type() -> None:
    assert BY_NAME["Q4_K"].bits == 4.5
    assert BY_NAME["Q4_K"].row_bytes(512) == 288
    assert BY_NAME["F16"].is_float
    assert not BY_NAME["Q8_0"].is_float
