"""The network at positions that are real numbers: integers stay what they are, and only distances count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pagoda
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.llama import LlamaForCausalLM

TOKEN_IDS = torch.randint(0, 8192, (40,), generator=torch.Generator().manual_seed(0))  # two sequences of 20


@pytest.fixture(scope="module")
def builtin() -> LlamaForCausalLM:
    folder = Path(pagoda.__file__).parent / "builtin"
    model = LlamaForCausalLM(load_config(folder), ReferenceKernels())
    load_weights(model, folder, dtype=torch.float32)
    return model.requires_grad_(False)


def logits(model: LlamaForCausalLM, positions: torch.Tensor) -> torch.Tensor:
    attention = DenseAttention(2, model.config.layer_windows)
    return model.compute_logits(model(TOKEN_IDS, positions, attention))


def test_shifting_all_positions_of_a_sequence_moves_no_logit(builtin: LlamaForCausalLM) -> None:
    """By numbers that are no multiple of anything, another for each sequence; by Unix seconds as well."""
    # In steps of 1/1024, which float64 has beside Unix seconds, too.
    reals = (torch.randint(0, 60 * 1024, (2, 20)).double() / 1024).sort().values.flatten()
    still = logits(builtin, reals)
    assert still.abs().max() > 5
    for shift in ([0.37, -41.9], [123456.789, 1.7e9]):
        moved = reals + torch.tensor(shift, dtype=torch.float64).repeat_interleave(20)
        torch.testing.assert_close(logits(builtin, moved), still, atol=1e-5, rtol=0)
    assert (logits(builtin, reals * 1.5) - still).abs().max() > 0.1


def test_whole_numbers_are_the_same_positions_as_integers_and_as_reals(builtin: LlamaForCausalLM) -> None:
    integers = torch.arange(20).repeat(2)
    torch.testing.assert_close(logits(builtin, integers.double()), logits(builtin, integers), atol=1e-4, rtol=0)
