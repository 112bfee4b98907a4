"""An encoder's kernels against torch, on every instruction set: products of bytes, attention over a text, norms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from pagoda.kernels.select import native_is_built

if not native_is_built():
    pytest.skip("no compiler, no library", allow_module_level=True)

from pagoda.kernels.native import library
from pagoda.kernels.native.encoder import ByteWeight, EncoderKernels

DTYPES = [torch.float32, torch.bfloat16]
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


@pytest.fixture(params=library.instruction_sets())
def kernels(request: pytest.FixtureRequest) -> EncoderKernels:
    return EncoderKernels(request.param)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 16, 32), (5, 384, 96), (13, 64, 32), (24, 48, 64)])
def test_a_product_is_that_of_the_rounded_factors(
    kernels: EncoderKernels, dtype: torch.dtype, rows: int, inputs: int, outputs: int
) -> None:
    x, weight, bias = random(rows, inputs, dtype=dtype), random(outputs, inputs), random(outputs)
    scales = weight.abs().amax(1) / 127
    of_row = x.float().abs().amax(1, keepdim=True) / 127
    whole = (x.float() / of_row).round() @ (weight / scales[:, None]).round().T
    expected = whole * of_row * scales + bias
    packed = ByteWeight.of(weight, bias)
    assert torch.allclose(kernels.linear(x, packed, torch.float32), expected, atol=2e-4, rtol=1e-5)
    assert torch.allclose(kernels.linear(x, packed, torch.float32, gelu=True), F.gelu(expected), atol=3e-4, rtol=1e-4)
    assert torch.equal(kernels.linear(x, packed, torch.bfloat16), kernels.linear(x, packed, torch.float32).bfloat16())


def test_a_row_has_the_same_bits_in_any_company_and_zeros_give_the_bias(kernels: EncoderKernels) -> None:
    x, packed = random(29, 64), ByteWeight.of(random(32, 64), random(32))
    x[7] = 0
    found = kernels.linear(x, packed, torch.float32)
    assert all(torch.equal(found[row], kernels.linear(x[row : row + 1], packed, torch.float32)[0]) for row in range(29))
    assert torch.equal(found[7], packed.bias)


def test_whole_numbers_have_the_same_bits_in_tiles_and_in_vectors() -> None:
    wide = [name for name in library.instruction_sets() if name.startswith("avx512")]
    if len(wide) < 2:
        pytest.skip("needs two instruction sets of vectors of 16")
    for inputs in (48, 384):
        x, packed = random(37, inputs), ByteWeight.of(random(96, inputs), random(96))
        first, *others = (EncoderKernels(name).linear(x, packed, torch.float32, gelu=True) for name in wide)
        assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_with_what_is_no_number_gives_none_and_leaves_the_others_alone(
    kernels: EncoderKernels, bad: float
) -> None:
    x, packed = random(5, 64), ByteWeight.of(random(32, 64), random(32))
    right = kernels.linear(x, packed, torch.float32)
    x[2, 40] = bad
    found = kernels.linear(x, packed, torch.float32)
    assert found[2].isnan().all()
    assert torch.equal(found[[0, 1, 3, 4]], right[[0, 1, 3, 4]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("texts", "length", "heads", "width"), [(1, 1, 1, 16), (3, 7, 2, 64), (2, 33, 12, 384)])
def test_every_piece_of_a_text_looks_at_all_of_it(
    kernels: EncoderKernels, dtype: torch.dtype, texts: int, length: int, heads: int, width: int
) -> None:
    told = random(texts * length, 3 * width, dtype=dtype)
    parts = told.float().view(texts, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(-1, width)
    found = kernels.attend(told, texts, heads)
    assert torch.allclose(found.float(), expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    alone = torch.cat([kernels.attend(told[at : at + length], 1, heads) for at in range(0, len(told), length)])
    assert torch.equal(found, alone)


def test_large_scores_leave_numbers(kernels: EncoderKernels) -> None:
    told = random(5, 48) * 1e4
    assert kernels.attend(told, 1, 1).isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_added_is_normalised_where_it_lies(kernels: EncoderKernels, dtype: torch.dtype) -> None:
    x, added, gain, bias = random(3, 48), random(3, 48, dtype=dtype), random(48), random(48)
    expected = F.layer_norm(x + added.float(), (48,), gain, bias, 1e-12)
    narrow = torch.empty(3, 48, dtype=torch.bfloat16)
    kernels.add_and_normalise(x, added, gain, bias, 1e-12, narrow)
    assert torch.allclose(x, expected, atol=2e-5, rtol=2e-5)
    assert torch.equal(narrow, x.bfloat16())


def test_shapes_that_fill_no_vector_are_refused() -> None:
    kernels, packed = EncoderKernels(), ByteWeight.of(random(32, 64), random(32))
    with pytest.raises(ValueError, match=r"\[33, 64\]"):
        ByteWeight.of(random(33, 64), random(33))
    with pytest.raises(ValueError, match=r"expected \[rows, 64\]"):
        kernels.linear(random(2, 63), packed, torch.float32)
    with pytest.raises(ValueError, match="heads of 16s"):
        kernels.attend(random(2, 3 * 24), 1, 1)
    with pytest.raises(ValueError, match="expected alike"):
        kernels.add_and_normalise(random(2, 48), random(3, 48), random(48), random(48), 1e-12)


def test_gelu_is_torchs_over_its_whole_range() -> None:
    """One input, one output: x by 1, whose bytes are whole numbers that need no rounding."""
    x = torch.arange(-127, 128, dtype=torch.float32) / 16
    given = torch.zeros(len(x), 16)
    given[:, 0] = x
    # The largest of each row decides its scale: 127 steps of 1/16.
    given[:, 1] = 127 / 16
    weight = torch.zeros(32, 16)
    weight[:, 0] = 1
    found = EncoderKernels().linear(given, ByteWeight.of(weight, torch.zeros(32)), torch.float32, gelu=True)
    assert math.isclose(float((found[:, 0] - F.gelu(x)).abs().max()), 0, abs_tol=1e-5)
