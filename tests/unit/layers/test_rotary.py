"""Rotary frequencies of every kind at values worked out by hand, and what depends on a sequence's length."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pagoda.errors import CheckpointError
from pagoda.layers.rope_scaling import ROPE_KINDS, Rope, RopeKind
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.config import ModelConfig

LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 2.0],
    "long_factor": [4.0, 8.0],
    "original_max_position_embeddings": 32,
    "factor": 4.0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def _rotary(scaling: dict[str, Any] | None, head_dim: int = 4, theta: float = 10000.0) -> RotaryEmbedding:
    return RotaryEmbedding(Rope(head_dim, theta, 64, scaling or {}))


def _frequencies(rotary: RotaryEmbedding, length: int) -> torch.Tensor:
    """What a token at position 1 of a sequence so long is rotated by."""
    cos, sin = rotary(torch.tensor([1]), torch.tensor([length]))
    return torch.atan2(sin, cos)[0]


@pytest.mark.parametrize(
    ("scaling", "length", "expected"),
    [
        (None, 1, [1.0, 0.01]),
        (None, 10_000, [1.0, 0.01]),
        ({"rope_type": "linear", "factor": 4.0}, 1, [0.25, 0.0025]),
        ({"rope_type": "dynamic", "factor": 2.0}, 64, [1.0, 0.01]),
        # At twice the limit the base grows by (2 * 2 - 1) ** (4 / 2) = 9.
        ({"rope_type": "dynamic", "factor": 2.0}, 128, [1.0, 1 / 300]),
        (LONGROPE, 32, [1.0, 0.005]),
        (LONGROPE, 33, [0.25, 0.00125]),
    ],
)
def test_frequencies_are_those_of_the_formula(
    scaling: dict[str, Any] | None, length: int, expected: list[float]
) -> None:
    torch.testing.assert_close(_frequencies(_rotary(scaling), length), torch.tensor(expected), atol=0, rtol=1e-5)


def test_llama3_keeps_short_wavelengths_and_divides_long_ones() -> None:
    plain = _rotary(None, 128, 500000.0).inv_freq
    scaled = _rotary(LLAMA3, 128, 500000.0).inv_freq
    wavelength = 2 * math.pi / plain
    short, long = wavelength < 8192 / 4, wavelength > 8192 / 1
    assert torch.equal(scaled[short], plain[short])
    torch.testing.assert_close(scaled[long], plain[long] / 8)
    between = ~short & ~long
    assert between.any()
    assert ((scaled[between] < plain[between]) & (scaled[between] > plain[between] / 8)).all()


def test_yarn_keeps_what_turns_often_and_interpolates_what_turns_less_than_once() -> None:
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    plain, scaled = _rotary(None, 64).inv_freq, _rotary(scaling, 64).inv_freq
    turns = 64 * plain / (2 * math.pi)  # within the original length
    torch.testing.assert_close(scaled[0], plain[0])
    torch.testing.assert_close(scaled[turns < 0.5], plain[turns < 0.5] / 4)
    assert ((scaled <= plain) & (scaled >= plain / 4 * (1 - 1e-6))).all()


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        (None, 1.0),
        ({"rope_type": "linear", "factor": 4.0}, 1.0),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}, 0.1 * math.log(4) + 1),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "attention_factor": 1.5}, 1.5),
        ({"rope_type": "yarn", "original_max_position_embeddings": 32}, 0.1 * math.log(2) + 1),
        (LONGROPE, math.sqrt(1 + math.log(4) / math.log(32))),
        ({**LONGROPE, "factor": 1.0}, 1.0),
    ],
)
def test_cosines_and_sines_carry_the_attention_factor(scaling: dict[str, Any] | None, expected: float) -> None:
    cos, sin = _rotary(scaling)(torch.tensor([0, 5]), torch.tensor([6, 6]))
    torch.testing.assert_close(cos.square() + sin.square(), torch.full((2, 2), expected**2))


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope"])
def test_each_token_is_rotated_by_the_length_of_its_own_sequence(rope_type: str) -> None:
    rotary = _rotary(LONGROPE if rope_type == "longrope" else {"rope_type": "dynamic", "factor": 2.0})
    assert rotary.depends_on_length
    positions, lengths = torch.tensor([3, 3, 3, 3]), torch.tensor([4, 200, 4, 90])
    together = rotary(positions, lengths)
    for row, length in enumerate(lengths):
        alone = rotary(positions[row : row + 1], length[None])
        assert all(torch.equal(part[row], single[0]) for part, single in zip(together, alone, strict=True))
    assert not torch.equal(together[0][0], together[0][1])


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope"])
def test_without_lengths_the_positions_are_one_sequence(rope_type: str) -> None:
    rotary = _rotary(LONGROPE if rope_type == "longrope" else {"rope_type": "dynamic", "factor": 2.0})
    positions = torch.arange(100)
    for given, derived in zip(rotary(positions, torch.full((100,), 100)), rotary(positions), strict=True):
        assert torch.equal(given, derived)


def test_other_kinds_pay_no_regard_to_lengths() -> None:
    rotary = _rotary(LLAMA3)
    assert not rotary.depends_on_length
    positions = torch.arange(10)
    for plain, given in zip(rotary(positions), rotary(positions, torch.full((10,), 9999)), strict=True):
        assert torch.equal(plain, given)


@pytest.mark.parametrize("num_threads", [1, 3, 7])
@pytest.mark.parametrize("head_dim", [10, 100, 128])
def test_a_tokens_rotation_has_the_same_bits_wherever_it_stands_in_the_step(head_dim: int, num_threads: int) -> None:
    """Of a large step, which threads share out, every 16 tokens are computed by themselves."""
    rotary = _rotary({"rope_type": "dynamic", "factor": 4.0}, head_dim)
    lengths = torch.arange(1, 4097)
    torch.set_num_threads(num_threads)
    try:
        whole = rotary(lengths - 1, lengths)
        for tile in lengths.split(16):
            part = rotary(tile - 1, tile)
            assert all(torch.equal(one, all_rows[tile - 1]) for one, all_rows in zip(part, whole, strict=True))
    finally:
        torch.set_num_threads(1)


def test_a_new_kind_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    doubled = RopeKind(lambda rope, exponents: rope.scaling["by"] / rope.theta**exponents, required=("by",))
    monkeypatch.setitem(ROPE_KINDS, "multiplied", doubled)
    scaling = {"rope_type": "multiplied", "by": 2.0}
    config = ModelConfig(head_dim=4, hidden_size=8, num_attention_heads=2, num_key_value_heads=1, rope_scaling=scaling)
    torch.testing.assert_close(_frequencies(RotaryEmbedding(config.rope), 1), torch.tensor([2.0, 0.02]))
    with pytest.raises(CheckpointError, match="needs by"):
        ModelConfig(rope_scaling={"rope_type": "multiplied"})
