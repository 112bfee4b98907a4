"""Every kind of norm against its formula in fp64, gradients included; what training tells them; bits in a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.layers import NORM_KINDS, LayerNorm, RMSNorm, ScheduledRMSNorm, make_norm
from pagoda.layers.norm import Norm
from pagoda.layers.norm_kinds import NormKind

EPS, SIZE = 1e-3, 40
Formula = Callable[[torch.Tensor, Norm], torch.Tensor]


def _rms(x: torch.Tensor, share: float = 1.0) -> torch.Tensor:
    return (x[..., : math.ceil(SIZE * share)].square().mean(-1, keepdim=True) + EPS).sqrt()


def _layer(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + EPS).sqrt()


FORMULAS: dict[str, Formula] = {
    "rms_norm": lambda x, norm: x / _rms(x) * norm.weight,
    "rms_norm_wide": lambda x, norm: x / _rms(x) * norm.weight,
    "rms_norm_1p": lambda x, norm: x / _rms(x) * (1 + norm.weight),
    # 6.25 % of 40 values are 2.5: three are measured.
    "rms_norm_partial": lambda x, norm: x / (x[..., :3].square().mean(-1, keepdim=True) + EPS).sqrt() * norm.weight,
    "rms_norm_adaptive": lambda x, norm: x / _rms(x) * _rms(x) ** norm.exponent * norm.weight,
    "rms_norm_scheduled": lambda x, norm: x / _rms(x) * norm.weight * (0.5 + 0.5 * norm.progress),
    "layer_norm": lambda x, norm: _layer(x) * norm.weight + norm.bias,
    "layer_norm_no_bias": lambda x, norm: _layer(x) * norm.weight,
    "layer_norm_plain": lambda x, norm: _layer(x),
    "layer_norm_1p": lambda x, norm: _layer(x) * (1 + norm.weight) + norm.bias,
    "none": lambda x, norm: x,
}


def _random(kind: str) -> Norm:
    norm = make_norm(SIZE, kind, EPS)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(0.4 + 0.3 * torch.rand(parameter.shape))
    return norm


@pytest.mark.parametrize("kind", NORM_KINDS)
def test_a_norm_and_its_gradients_are_those_of_the_formula(kind: str) -> None:
    torch.manual_seed(0)
    norm, x = _random(kind), torch.randn(5, SIZE, requires_grad=True)
    wide, exact = _random(kind).double(), x.detach().double().requires_grad_()
    wide.load_state_dict(norm.state_dict())
    weights = torch.randn(5, SIZE)
    output, expected = norm(x), FORMULAS[kind](exact, wide)
    torch.testing.assert_close(output.double(), expected, atol=2e-6, rtol=1e-6)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), exact.grad, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(norm.parameters(), wide.parameters(), strict=True):
        if ours.requires_grad:
            assert ours.grad is not None
            torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", NORM_KINDS)
def test_a_norm_has_the_numbers_that_its_kind_counts_and_begins_with_gain_one(kind: str) -> None:
    norm = make_norm(SIZE, kind)
    assert sum(parameter.numel() for parameter in norm.parameters()) == NORM_KINDS[kind].num_parameters(SIZE)
    x = torch.randn(3, SIZE)
    plain = x if kind == "none" else (_layer(x) if NORM_KINDS[kind].centred else x / _rms(x, NORM_KINDS[kind].share))
    torch.testing.assert_close(norm(x).detach(), plain, atol=0.05, rtol=0.05)  # another eps
    assert norm.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", NORM_KINDS)
def test_a_rows_bits_are_the_same_wherever_it_stands(kind: str) -> None:
    norm, rows = _random(kind), torch.randn(1024, SIZE)
    whole = norm(rows)
    for first in range(0, 1024, 16):
        assert torch.equal(norm(rows[first : first + 16]), whole[first : first + 16])


def test_a_gain_that_follows_training_is_the_weight_at_its_end() -> None:
    norm, x = ScheduledRMSNorm(SIZE), torch.randn(3, SIZE)
    plain = RMSNorm(SIZE)(x)
    assert torch.equal(norm(x), plain)
    norm.follow(0.0)
    torch.testing.assert_close(norm(x), plain / 2)
    norm.follow(1.0)
    assert torch.equal(norm(x), plain)
    assert not norm.progress.requires_grad


def test_a_class_by_itself_is_its_usual_kind() -> None:
    assert (RMSNorm(4).bias, LayerNorm(4).bias is None) == (None, False)


def test_an_unknown_kind_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"'layernorm'.*did you mean"):
        make_norm(4, "layernorm")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"share": 0.0, "is_wide": True}, "share=0.0"),
        ({"share": 1.5, "is_wide": True}, "share=1.5"),
        ({"share": math.nan}, "share=nan"),
        ({"has_weight": False}, "has_weight=False.*a RMSNorm has a weight"),
        ({"has_bias": True}, "has_bias=True.*no bias"),
        ({"has_bias": True, "is_wide": True}, "has_bias=True.*no bias"),
        ({"offset": 1.0}, "offset=1.0.*is_wide"),
        ({"offset": 1.0, "centred": True, "is_wide": True, "has_weight": False}, "offset=1.0.*has_weight"),
        ({"centred": True, "share": 0.5, "is_wide": True}, "centred=True with share=0.5"),
        ({"follows": "rms", "share": 0.5}, "follows='rms'.*whole rows"),
        ({"follows": "training", "centred": True}, "follows='training'.*whole rows"),
        ({"follows": "loss"}, "follows='loss'"),
        ({"has_scale": False}, "has_scale=False"),
    ],
)
def test_a_kind_that_no_norm_computes_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"make_norm was given a kind with .*{told}"):
        make_norm(4, NormKind(**fields))


def test_a_kind_of_ones_own_is_computed_as_its_fields_say() -> None:
    x = torch.randn(3, SIZE)
    norm = make_norm(SIZE, NormKind(is_wide=True, share=0.5, offset=1.0), EPS)
    torch.testing.assert_close(norm(x).detach(), x / _rms(x, 0.5))
