"""Matrices in codes: the native kernels against what the codes mean, for every type of GGUF files and for other groups.

In each instruction set that this machine runs, on one thread and on three.
"""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.kernels.block_types import BLOCK_TYPES, BY_NAME
from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel
from pagoda.kernels.reference.blocks import codes_of_rows, decode_rows
from pagoda.kernels.select import native_is_built

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
if native_is_built():
    from pagoda.kernels.native import library
    from pagoda.kernels.native.operations import NativeKernels

    SETS = library.instruction_sets()
else:
    SETS = []

CODED = [each.name for each in BLOCK_TYPES.values() if not each.is_float]
ROWS = (1, 2, 3, 4, 5, 8, 12, 13, 40)
ERROR = {torch.bfloat16: 3e-3, torch.float32: 1e-4}
"""Of the sum of all products' sizes: rows become whole numbers of 16 bits, and bf16 results are rounded."""


@pytest.fixture(scope="module", params=[(name, threads) for name in SETS for threads in (1, 3)], ids=str)
def native(request: pytest.FixtureRequest) -> NativeKernels:
    name, threads = request.param
    return NativeKernels(threads, name)


def rows_of_file(name: str, rows: int, blocks_in_row: int) -> torch.Tensor:
    """uint8 [rows, bytes of a row]: codes at random, with scales of half precision that are numbers of a usual size."""
    generator = np.random.default_rng(len(name))
    block = BY_NAME[name]
    data = generator.integers(0, 256, (rows * blocks_in_row, block.block_bytes), dtype=np.uint8)
    if name == "MXFP4":
        data[:, 0] = generator.integers(118, 130, len(data))
    else:  # every half of a block has the exponent of numbers between 1/32 and 1: codes become others, scales numbers
        offsets = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2)}
        for offset in offsets.get(name, (208,) if name == "Q6_K" else (0,)):
            data[:, offset + 1] = data[:, offset + 1] & 0x83 | 0x2C
    return torch.from_numpy(data.reshape(rows, -1))


def check(native: NativeKernels, codes: GroupedCodes, dtype: torch.dtype) -> None:
    weight, packed = codes.dense(), native.pack_codes(codes, dtype)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(max(ROWS), weight.shape[1], generator=generator).to(dtype)
    x[1] *= 1000
    bias = torch.randn(len(weight), generator=generator).to(dtype)
    whole = native.linear(x, packed, bias)
    exact = x.double() @ weight.double().T + bias.double()
    size = x.double().abs() @ weight.double().abs().T + bias.double().abs() + 1e-6
    assert ((whole.double() - exact).abs() / size).max() < ERROR[dtype]
    for rows in ROWS:
        assert torch.equal(native.linear(x[:rows], packed, bias), whole[:rows])
    assert torch.equal(native.linear_argmax(x, packed), native.linear(x, packed, None).argmax(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("name", CODED)
def test_every_type_of_files_is_multiplied_as_it_is_decoded(
    native: NativeKernels, name: str, dtype: torch.dtype
) -> None:
    data = rows_of_file(name, 70, 512 // BY_NAME[name].block_size)
    codes = codes_of_rows(data, BY_NAME[name])
    assert torch.equal(codes.dense(), decode_rows(data, BY_NAME[name]))
    check(native, codes, dtype)
    rows = torch.tensor([0, 69, 33, 32, 5])
    taken = native.take_rows(native.pack_codes(codes, dtype), rows)
    assert torch.equal(taken, codes.dense().to(dtype)[rows])


@pytest.mark.parametrize("name", CODED)
def test_codes_are_kept_in_little_more_bits_than_the_file_has(name: str) -> None:
    data = rows_of_file(name, 64, 4096 // BY_NAME[name].block_size)
    packed = NativeKernels(1).pack_codes(codes_of_rows(data, BY_NAME[name]), torch.bfloat16)
    widened = {"Q2_K": 5.3, "Q3_K": 4.6, "MXFP4": 5.0, "Q6_K": 6.5625, "IQ4_XS": 4.3125}
    assert 8 * packed.data.numel() / (64 * 4096) <= widened.get(name, BY_NAME[name].bits + 0.13)


def random_codes(bits: int, group_size: int, shifts: str, depth: int, outputs: int) -> GroupedCodes:
    generator = torch.Generator().manual_seed(bits + group_size)
    groups = depth // group_size

    def numbers(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) + 0.1

    def whole(most: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, most, shape, generator=generator, dtype=torch.uint8)

    scales = numbers(outputs, groups).half().float() if shifts != "floats" else numbers(outputs, groups)
    subtracted = {
        "none": None,
        "zeros": TwoLevel(whole(1 << bits, outputs, groups), scales),
        "floats": numbers(outputs, groups),
    }[shifts]
    return GroupedCodes(
        whole(1 << bits if bits < 8 else 255, outputs, depth),
        bits,
        group_size,
        scales,
        subtracted,
        zero=1 << (bits - 1) if shifts == "none" else 0,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize(
    ("bits", "group_size", "shifts", "depth"),
    [(4, 128, "zeros", 384), (4, 64, "none", 320), (8, 96, "floats", 288), (8, 77, "none", 77), (8, 200, "none", 200)],
)
def test_groups_of_other_formats(
    native: NativeKernels, bits: int, group_size: int, shifts: str, depth: int, dtype: torch.dtype
) -> None:
    check(native, random_codes(bits, group_size, shifts, depth, 45), dtype)


def test_columns_in_an_order_of_their_own_meet_their_inputs(native: NativeKernels) -> None:
    codes = random_codes(4, 32, "zeros", 128, 40)
    order = torch.randperm(128, generator=torch.Generator().manual_seed(3))
    ordered = GroupedCodes(codes.codes, 4, 32, codes.scales, codes.shifts, order=order)
    assert torch.equal(ordered.dense()[:, order], codes.dense())
    check(native, ordered, torch.float32)


def test_groups_that_the_library_does_not_have_are_widened() -> None:
    check(NativeKernels(1), random_codes(4, 8, "none", 64, 33), torch.float32)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_what_is_no_number_stays_none_and_in_its_row(native: NativeKernels, value: float, dtype: torch.dtype) -> None:
    codes = random_codes(4, 32, "none", 64, 33)
    packed = native.pack_codes(codes, dtype)
    x = torch.randn(3, 64).to(dtype)
    expected = native.linear(x, packed, None)
    x[1, 40] = value
    output = native.linear(x, packed, None)
    assert output[1].isnan().all()
    assert torch.equal(output[[0, 2]], expected[[0, 2]])


def test_rows_of_nothing_and_of_next_to_nothing(native: NativeKernels) -> None:
    packed = native.pack_codes(random_codes(8, 32, "none", 64, 33), torch.float32)
    tiny = torch.full((2, 64), 1e-38)
    tiny[0] = 0
    assert native.linear(tiny, packed, None).abs().max() < 1e-30


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 100), st.sampled_from([32, 64, 96, 256]), st.sampled_from([4, 8]))
def test_a_row_has_the_same_bits_in_any_company(rows: int, outputs: int, depth: int, bits: int) -> None:
    codes = random_codes(bits, 32, "zeros", depth, outputs)
    x = torch.randn(rows, depth, generator=torch.Generator().manual_seed(rows)).bfloat16()
    one, three = NativeKernels(1), NativeKernels(3)
    together = one.linear(x, one.pack_codes(codes, torch.bfloat16), None)
    packed = three.pack_codes(codes, torch.bfloat16)
    assert torch.equal(three.linear(x, packed, None), together)
    alone = torch.cat([three.linear(row[None], packed, None) for row in x])
    assert torch.equal(alone, together)


def test_what_the_gguf_package_writes_is_multiplied() -> None:
    """Weights and blocks by another hand: the product is that of the decoded blocks."""
    weights = np.random.default_rng(1).normal(0, 0.05, (96, 256)).astype(np.float32)
    native = NativeKernels(1)
    x = torch.randn(5, 256)
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4"):
        data = gguf.quants.quantize(weights, gguf.GGMLQuantizationType[name])
        meant = torch.from_numpy(gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name]))
        packed = native.pack_codes(codes_of_rows(torch.from_numpy(data), BY_NAME[name]), torch.float32)
        torch.testing.assert_close(native.linear(x, packed, None), x @ meant.T, atol=2e-3, rtol=1e-3)
