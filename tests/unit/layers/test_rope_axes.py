"""Positions of any kind: reals, several axes, layouts; every kind of frequencies under each; precision and autocast."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.kernels.select import KERNELS, NATIVE, native_is_built, select_kernels
from pagoda.layers import Rope, RotaryEmbedding
from pagoda.layers.rope_scaling import ROPE_KINDS

ORIGINAL = {"original_max_position_embeddings": 32}
HEAD_DIM = 16


def scaling(kind: str, num_pairs: int) -> dict[str, Any]:
    """Settings under which each kind differs from plain RoPE."""
    factors = [1.0 + 0.3 * index for index in range(num_pairs)]
    said: dict[str, dict[str, Any]] = {
        "default": {},
        "linear": {"factor": 4.0},
        "dynamic": {"factor": 2.0},
        "yarn": {"factor": 4.0, **ORIGINAL},
        "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **ORIGINAL},
        "longrope": {"short_factor": factors, "long_factor": [2 * each for each in factors], "factor": 4.0, **ORIGINAL},
        "frequency_factors": {"frequency_factors": factors},
    }
    return {"rope_type": kind, **said[kind]}


def rope(kind: str = "default", **settings: Any) -> Rope:
    spectra = settings.get("axes") or 1 if settings.get("layout", "shared") != "shared" else 1
    return Rope(HEAD_DIM, 10000.0, 64, scaling(kind, HEAD_DIM // 2 // spectra), **settings)


def angles(rotary: RotaryEmbedding, positions: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    cos, sin = rotary(positions, lengths)
    return torch.atan2(sin, cos)


def test_every_kind_is_tried() -> None:
    assert {scaling(kind, 8)["rope_type"] for kind in ROPE_KINDS} == {*ROPE_KINDS}


@pytest.mark.parametrize("kind", ROPE_KINDS)
def test_whole_numbers_turn_a_token_alike_as_integers_and_as_reals(kind: str) -> None:
    rotary, positions = RotaryEmbedding(rope(kind)), torch.arange(50)
    for dtype, tolerance in ((torch.float32, 0.0), (torch.float64, 3e-6)):
        for whole, real in zip(rotary(positions), rotary(positions.to(dtype)), strict=True):
            assert real.dtype == torch.float32
            torch.testing.assert_close(real, whole, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", ROPE_KINDS)
def test_equal_coordinates_under_a_shared_spectrum_are_the_positions_of_a_text(kind: str) -> None:
    positions = torch.arange(50)
    text = RotaryEmbedding(rope(kind))(positions)
    image = RotaryEmbedding(rope(kind, axes=3))(positions[:, None].expand(50, 3))
    assert all(torch.equal(one, other) for one, other in zip(text, image, strict=True))


@pytest.mark.parametrize("kind", ROPE_KINDS)
def test_axial_is_an_embedding_of_half_the_head_for_each_of_two_axes(kind: str) -> None:
    positions = torch.rand(40, 2) * 90
    lengths = torch.full((40,), 91)
    half = RotaryEmbedding(Rope(HEAD_DIM // 2, 10000.0, 64, scaling(kind, HEAD_DIM // 4)))
    parts = [half(positions[:, axis], lengths) for axis in range(2)]
    both = RotaryEmbedding(rope(kind, axes=2, layout="axial"))(positions, lengths)
    for index in range(2):
        assert torch.equal(both[index], torch.cat([part[index] for part in parts], dim=-1))


@pytest.mark.parametrize("kind", ROPE_KINDS)
def test_mixed_begins_as_axial_and_its_directions_learn(kind: str) -> None:
    positions = torch.rand(12, 2) * 90
    axial = RotaryEmbedding(rope(kind, axes=2, layout="axial"))(positions)
    mixed = RotaryEmbedding(rope(kind, axes=2, layout="mixed"))
    assert [name for name, _ in mixed.named_parameters()] == ["directions"]
    cos, sin = mixed(positions)
    torch.testing.assert_close((cos, sin), axial, atol=1e-5, rtol=0)
    (cos.sum() + sin.sum()).backward()
    assert mixed.directions is not None
    assert (mixed.directions.grad != 0).all()


def test_heads_with_directions_of_their_own_turn_by_them() -> None:
    rotary = RotaryEmbedding(rope(axes=2, layout="mixed", num_heads=3))
    positions, x = torch.rand(2, 5, 2), torch.randn(2, 5, 3, HEAD_DIM)
    turned = rotary.rotate(x, positions)
    assert rotary.directions is not None
    for head in range(3):
        one = RotaryEmbedding(rope(axes=2, layout="mixed"))
        one.directions = torch.nn.Parameter(rotary.directions[head])
        torch.testing.assert_close(turned[:, :, head], one.rotate(x[:, :, head : head + 1], positions)[:, :, 0])
    assert not torch.allclose(rotary.directions[0], rotary.directions[1])


@pytest.mark.parametrize("settings", [{}, {"axes": 2, "layout": "axial"}, {"axes": 2, "layout": "mixed"}])
def test_the_product_of_a_query_and_a_key_depends_on_their_distance_alone(settings: dict[str, Any]) -> None:
    """Real positions of 1e9, as Unix seconds are: fp64 keeps them, where fp32 has steps of 64."""
    rotary = RotaryEmbedding(rope(**settings))
    query, key = torch.randn(2, 7, 1, HEAD_DIM)
    shape = (7, settings["axes"]) if settings else (7,)
    near = torch.rand(shape, dtype=torch.float64) * 100

    def scores(positions: torch.Tensor) -> torch.Tensor:
        return (rotary.rotate(query, positions)[:, 0] @ rotary.rotate(key, positions)[:, 0].T).detach()

    torch.testing.assert_close(scores(near + 1.7e9), scores(near), atol=1e-5, rtol=0)
    assert (scores((near + 1.7e9).float()) - scores(near)).abs().max() > 0.1


def test_whole_numbers_that_fp32_cannot_tell_apart_are_told_apart_where_a_model_says_it_reaches_so_far() -> None:
    positions = torch.tensor([2**30, 2**30 + 1])
    far = RotaryEmbedding(Rope(4, max_position_embeddings=2**31))
    assert far(positions)[0][0, 0] != far(positions)[0][1, 0]


@pytest.mark.parametrize("settings", [{}, {"axes": 2, "layout": "mixed"}])
def test_neither_an_autocast_nor_a_model_of_few_bits_rounds_an_angle(settings: dict[str, Any]) -> None:
    rotary = RotaryEmbedding(rope("yarn", **settings))
    positions = torch.arange(300.0)[:, None].expand(300, 2) if settings else torch.arange(300)
    expected = rotary(positions)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(one, other) for one, other in zip(rotary(positions), expected, strict=True))
    rotary.to(torch.bfloat16)
    assert rotary.inv_freq.dtype == torch.float32
    assert all(torch.equal(one, other) for one, other in zip(rotary(positions), expected, strict=True))


def test_each_row_of_a_batch_is_a_sequence_as_long_as_its_own_largest_position() -> None:
    rotary = RotaryEmbedding(rope("dynamic"))
    positions = torch.stack([torch.arange(10), torch.arange(190, 200)])
    batch = rotary(positions)
    for row in range(2):
        assert all(torch.equal(part[row], one) for part, one in zip(batch, rotary(positions[row]), strict=True))


def test_rotating_a_batch_is_rotating_each_token_and_keeps_the_dtype() -> None:
    rotary = RotaryEmbedding(rope())
    x, positions = torch.randn(2, 5, 3, HEAD_DIM), torch.rand(2, 5) * 9
    turned = rotary.rotate(x, positions)
    pairs = torch.complex(x[..., :8].double(), x[..., 8:].double())
    expected = (
        pairs * torch.polar(torch.ones(1).double(), (positions[..., None] * rotary.inv_freq).double())[:, :, None]
    )
    torch.testing.assert_close(turned.double(), torch.cat([expected.real, expected.imag], -1), atol=2e-6, rtol=0)
    assert torch.equal(rotary.rotate(x, positions[0])[1], rotary.rotate(x[1:], positions[0])[0])
    assert rotary.rotate(x.bfloat16(), positions).dtype == torch.bfloat16


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_turn_heads_by_angles_of_their_own(name: str) -> None:
    if name == NATIVE and not native_is_built():
        pytest.skip("the kernels in C++ are not built")
    kernels = select_kernels(name)
    x, turns = torch.randn(4, 3, HEAD_DIM), torch.randn(4, 3, 6)
    expected = [kernels.apply_rotary(x[:, [head]], turns[:, head].cos(), turns[:, head].sin()) for head in range(3)]
    assert torch.equal(kernels.apply_rotary(x, turns.cos(), turns.sin()), torch.cat(expected, dim=1))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scaling": {"rope_type": "yern", "factor": 2.0}}, "'yern'.*did you mean \"yarn\""),
        ({"scaling": {"rope_type": "linear"}}, "needs factor"),
        ({"scaling": {"rope_type": "longrope", "short_factor": [1.0] * 3, "long_factor": [1.0] * 8}}, "list of 8"),
        ({"scaling": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, "beta=1"),
        ({"head_dim": 7}, "head_dim=7.*even"),
        ({"layout": "axial"}, "say how many coordinates"),
        ({"layout": "diagonal", "axes": 2}, "'diagonal'.*known"),
        ({"layout": "axial", "axes": 3}, "axes=3 and head_dim=16"),
        ({"axes": 2, "num_heads": 4}, "num_heads=4"),
        ({"theta": 0.0}, "theta=0.0.*above 0"),
        ({"theta": -10000.0, "axes": 2}, "theta=-10000.0.*above 0"),
        ({"theta": math.nan}, "theta=nan.*finite"),
        ({"theta": math.inf}, "theta=inf.*finite"),
        ({"theta": 1.0, "scaling": {"rope_type": "yarn", "factor": 2.0}}, "theta=1.0.*above 1"),
        ({"axes": 9}, "axes=9 and head_dim=16.*a pair or more"),
        ({"axes": 0}, "axes=0 and head_dim=16"),
        ({"axes": 1.5}, "axes=1.5"),
        ({"axes": 2, "layout": "mixed", "num_heads": 0}, "num_heads=0.*1 head or more"),
        ({"head_dim": 2, "scaling": {"rope_type": "dynamic", "factor": 2.0}}, "2 features.*4 features or more"),
        (
            {"axes": 8, "layout": "axial", "scaling": {"rope_type": "dynamic", "factor": 2.0}},
            "2 features for each axis.*'dynamic'",
        ),
    ],
)
def test_settings_that_no_rope_has_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"RotaryEmbedding was given .*{told}"):
        RotaryEmbedding(Rope(**{"head_dim": HEAD_DIM, **settings}))


def test_positions_of_another_number_of_axes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[5, 3\].*\[\.\.\., tokens, 2\]"):
        RotaryEmbedding(rope(axes=2))(torch.zeros(5, 3))


def test_a_plain_embedding_needs_its_head_size_alone() -> None:
    expected = torch.tensor([10000 ** (-2 * pair / 8) for pair in range(4)])
    torch.testing.assert_close(angles(RotaryEmbedding(Rope(8)), torch.tensor([1]))[0], expected)
    assert math.isclose(RotaryEmbedding(Rope(8)).attention_factor, 1.0)


def _yarn(theta: float, original: int) -> torch.Tensor:
    """By how much each pair is slowed down, `[8]`: 1 is not at all, 4 wholly."""
    said = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": original}
    return RotaryEmbedding(Rope(16, theta)).inv_freq / RotaryEmbedding(Rope(16, theta, scaling=said)).inv_freq


def test_yarn_slows_down_what_has_not_turned_in_training_where_few_positions_or_a_small_base_leave_no_range() -> None:
    # In 2 positions no pair turns once; the first, which the range begins with, stays as it is.
    torch.testing.assert_close(_yarn(10000.0, 2), torch.tensor([1.0] + [4.0] * 7))
    # At a base of 5 the slowest pair turns 2551 times in 65536 positions: every one stays.
    torch.testing.assert_close(_yarn(5.0, 65536), torch.ones(8))
    usual = _yarn(10000.0, 4096)
    assert (usual[:2] == 1).all()
    assert (usual[-1:] == 4).all()
