"""Matrices in whole numbers: bounds of the error, the search for scales, GPTQ against rounding, bytes."""

from __future__ import annotations

import pytest
import torch

from pagoda.errors import CheckpointError, ConfigError
from pagoda.kernels.grouped_codes import TwoLevel
from pagoda.models.quantise.gptq import Compensation, gptq, output_error
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import BITS, Scheme

SCHEMES = [Scheme(bits, size, symmetric) for bits in BITS for size in (32, 128, None) for symmetric in (True, False)]


def _weight(outputs: int = 24, inputs: int = 256) -> torch.Tensor:
    """Rows of different width, off centre, with a few weights far out."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(outputs, inputs, generator=generator) * torch.logspace(-3, 0, outputs)[:, None]
    weight[:, ::37] *= 4
    return weight + 0.2 * weight.abs().mean(1, keepdim=True)


def _inputs(num_tokens: int, inputs: int = 256) -> torch.Tensor:
    """Of unequal strength and in few directions, as a network's are."""
    generator = torch.Generator().manual_seed(4)
    mixing = torch.randn(inputs, inputs, generator=generator) * torch.logspace(0, -2, inputs)[:, None]
    return torch.randn(num_tokens, inputs, generator=generator) @ mixing


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_every_weight_is_within_half_a_step_where_nothing_is_cut(scheme: Scheme) -> None:
    weight = _weight()
    codes = round_to_nearest(weight, scheme, search=False)
    size = scheme.group_size or weight.shape[1]
    step = codes.scales.repeat_interleave(size, 1)  # type: ignore[union-attr]
    # Of a zero point half a step more; of a scale of 16 bits a part in 256 of what it reaches.
    slack = (0.5 + (not scheme.symmetric) * 0.5 + (1 << scheme.bits) / 256) * step + 1e-7
    assert ((codes.dense() - weight).abs() <= slack).all()
    assert int(codes.codes.max()) <= scheme.highest
    assert (codes.group_size, codes.bits) == (size, scheme.bits)
    assert isinstance(codes.shifts, TwoLevel) != scheme.symmetric


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_searched_scale_is_never_worse(scheme: Scheme) -> None:
    weight = _weight()
    plain, searched = (round_to_nearest(weight, scheme, search=search).dense() - weight for search in (False, True))
    assert (searched.square().sum(1) <= plain.square().sum(1)).all()
    if scheme.bits == 4:
        assert searched.square().sum() < 0.95 * plain.square().sum()


def test_zero_stays_zero_and_tiny_weights_keep_their_size() -> None:
    weight = torch.zeros(3, 64)
    weight[1] = 1e-7 * torch.arange(-32, 32)
    weight[2] = 5.0
    for scheme in (Scheme(4, 32), Scheme(4, 32, symmetric=True), Scheme(8, None, symmetric=True)):
        dense = round_to_nearest(weight, scheme).dense()
        assert (dense[0] == 0).all()
        assert torch.allclose(dense[1], weight[1], atol=3e-7)
        assert torch.allclose(dense[2], weight[2], rtol=0.08)


def test_a_group_that_the_inputs_do_not_fill_gives_way_to_a_smaller_one() -> None:
    assert round_to_nearest(torch.randn(4, 576), Scheme(4, 128)).group_size == 64
    assert round_to_nearest(torch.randn(4, 96), Scheme(4, 64)).group_size == 32
    assert round_to_nearest(torch.randn(4, 40), Scheme(4, 64)).group_size == 40


@pytest.mark.parametrize("scheme", [Scheme(4, 32), Scheme(4, 128, symmetric=True), Scheme(4, None)], ids=str)
def test_gptq_loses_less_of_the_outputs_than_rounding(scheme: Scheme) -> None:
    weight, x = _weight(), _inputs(600)
    hessian = x.T @ x / len(x)
    rounded = output_error(round_to_nearest(weight, scheme).dense() - weight, hessian)
    compensated = output_error(gptq(weight, Compensation(hessian), scheme).dense() - weight, hessian)
    assert compensated < 0.5 * rounded
    unseen = _inputs(900)[600:]
    outputs = [(unseen @ (make.dense() - weight).T).square().sum() for make in (
        round_to_nearest(weight, scheme), gptq(weight, Compensation(hessian), scheme)
    )]  # fmt: skip
    assert outputs[1] < 0.6 * outputs[0]


def test_gptq_is_the_formula_of_the_paper() -> None:
    """Against the algorithm written out: the inverse is updated by elimination, no factor, no blocks, no order."""
    weight, scheme = _weight(6, 192), Scheme(4, 64)
    x = _inputs(400)[:, :192]
    compensation = Compensation(x.T @ x / len(x))
    got = gptq(weight, compensation, scheme)
    hessian = (x.T @ x / len(x)).double()
    mean = hessian.diagonal().mean()
    hessian = hessian / mean + 0.01 * torch.eye(192)
    left = sorted(range(192), key=lambda i: -float(hessian[i, i]))
    moved = weight.double().clone()
    codes = torch.zeros(6, 192)
    while left:
        first = left[0]
        inverse = torch.linalg.inv(hessian[left][:, left])
        scale, zero = got.scales[:, first // 64].double(), got.shifts.codes[:, first // 64].double()  # type: ignore[union-attr]
        codes[:, first] = torch.round(moved[:, first] / scale + zero).clamp(0, 15)
        error = moved[:, first] - (codes[:, first] - zero) * scale
        moved[:, left] -= error[:, None] * (inverse[0] / inverse[0, 0])
        left = left[1:]
    assert (codes == got.codes).float().mean() > 0.99  # a tie that fp32 rounds otherwise moves what is behind it


def test_matrices_with_the_same_inputs_may_be_one() -> None:
    weight, x = _weight(), _inputs(300)
    compensation = Compensation(x.T @ x)
    together = gptq(weight, compensation, Scheme(4, 64))
    apart = gptq(weight[:9], compensation, Scheme(4, 64))
    assert torch.equal(together.codes[:9], apart.codes)


def test_inputs_of_few_directions_and_none_are_damped() -> None:
    weight = _weight()
    few = _inputs(7)
    hessian = few.T @ few / 7
    hessian[:, 5] = hessian[5] = 0  # an input that is never on
    for moment in (hessian, hessian * 1e-12, torch.zeros(256, 256), torch.ones(256, 256)):
        codes = gptq(weight, Compensation(moment), Scheme(4, 64))
        assert torch.isfinite(codes.dense()).all()
        assert (codes.dense() - weight).abs().max() < weight.abs().max()
    nearest = round_to_nearest(weight, Scheme(4, 64))
    assert torch.equal(gptq(weight, Compensation(torch.zeros(256, 256)), Scheme(4, 64)).codes, nearest.codes)


def test_a_matrix_with_no_factor_in_fp32_gets_one_in_fp64() -> None:
    generator = torch.Generator().manual_seed(5)
    basis = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64))[0]
    hessian = basis @ torch.diag(torch.logspace(3, -6, 64, dtype=torch.float64)) @ basis.T
    in_fp32 = (hessian / hessian.diagonal().mean()).float() + 1e-8 * torch.eye(64)
    assert torch.linalg.cholesky_ex(in_fp32).info > 0
    factor = Compensation(hessian, damping=1e-8).factor
    assert torch.isfinite(factor).all()


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        Compensation(torch.full((4, 4), float("nan")))


def test_bytes_are_those_of_the_parts() -> None:
    assert Scheme(4, 64).num_bytes(128, 10) == 640 + 10 + 40  # codes, zero points of 4 bits, scales
    assert Scheme(8, None, symmetric=True).num_bytes(100, 10) == 1000 + 20
    assert Scheme(5, 32, symmetric=True).num_bytes(64, 3) == 120 + 12
    assert Scheme(4, 128).num_bytes(576, 2) == Scheme(4, 64).num_bytes(576, 2)


@pytest.mark.parametrize(("bits", "size"), [(3, 64), (4, 16), (4, 0)])
def test_sizes_that_no_kernel_has_are_refused(bits: int, size: int) -> None:
    with pytest.raises(ConfigError, match="is expected"):
        Scheme(bits, size)
