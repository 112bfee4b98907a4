"""Experts that a GGUF file has in one stack, in codes of few bits: they stay codes, each with its own expert."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import gguf
import pytest
import torch

from family_cases import CASES
from gguf_files import write_gguf
from pagoda.errors import CheckpointError
from pagoda.kernels.native.operations import NativeKernels
from pagoda.layers.mlp import GatedMLP
from pagoda.layers.moe import SparseMoE
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.checkpoint.reading import open_checkpoint
from pagoda.models.checkpoint.translating import Translation
from pagoda.models.llama import LlamaDecoderLayer, LlamaForCausalLM
from tiny_models import Case, load, logits, token_ids_of

FILES = {
    "llama": Case("Mixtral", {"num_local_experts": 4}),
    "qwen2moe": Case(
        "Qwen2Moe", {**CASES["qwen2_moe"][0].settings, "mlp_only_layers": [], "moe_intermediate_size": 64}
    ),
    "qwen3moe": Case("Qwen3Moe", {**CASES["qwen3_moe"][0].settings, "moe_intermediate_size": 32}),
    "granitemoe": CASES["granitemoe"][0],
}
"""By architecture, models whose experts have whole groups of 32 inputs."""


def _file(arch: str, kind: str, folder: Path) -> Path:
    path = folder / f"{arch}-{kind}.gguf"
    write_gguf(FILES[arch].build(), path, arch, experts=gguf.GGMLQuantizationType[kind])
    return path


def _experts(network: LlamaForCausalLM) -> list[GatedMLP]:
    layers = [cast(LlamaDecoderLayer, network.model.layers[index]) for index in network.model.own_layers]
    return [cast(GatedMLP, expert) for layer in layers for expert in cast(SparseMoE, layer.mlp).experts]


@pytest.mark.parametrize("arch", list(FILES))
@torch.no_grad()
def test_each_expert_is_computed_in_its_own_codes(arch: str, tmp_path: Path) -> None:
    """`ReferenceKernels` widen the same codes to fp32: the definition of what is multiplied."""
    path = _file(arch, "Q8_0", tmp_path)
    ours, widened = load(path, NativeKernels(1)), load(path)
    for expert in _experts(ours):
        for matrix in (expert.gate_proj, expert.up_proj, expert.down_proj):
            assert matrix.weight is None, "widened"
    token_ids = token_ids_of(24)
    expected = logits(widened, token_ids)
    # Rows meet codes in 16 bits: what that rounds is a thousandth of a logit.
    torch.testing.assert_close(logits(ours, token_ids), expected, atol=2e-3 * float(expected.abs().max()), rtol=0)


def test_the_numbers_are_those_that_the_blocks_mean(tmp_path: Path) -> None:
    """Against the `gguf` package's own reading of a stack."""
    path = _file("qwen3moe", "Q4_0", tmp_path)
    stored = next(each for each in gguf.GGUFReader(path).tensors if each.name == "blk.1.ffn_down_exps.weight")
    meant = torch.from_numpy(gguf.quants.dequantize(stored.data, stored.tensor_type))
    layer = cast(LlamaDecoderLayer, load(path).model.layers[1])
    for expert, expected in zip(cast(SparseMoE, layer.mlp).experts, meant, strict=True):
        assert torch.equal(cast(torch.Tensor, cast(GatedMLP, expert).down_proj.weight), expected)


def test_memory_is_planned_for_codes(tmp_path: Path) -> None:
    """A stack counts with the bytes that it has in the file."""
    config = load_config(_file("llama", "Q4_0", tmp_path))
    experts = 3 * 4 * 3 * 64 * 96  # layers, experts, matrices
    assert (config.coded.num_weights, config.coded.num_bytes) == (experts, experts // 32 * 18)


def test_a_stack_of_another_number_of_experts_is_refused(tmp_path: Path) -> None:
    path = _file("llama", "Q8_0", tmp_path)
    config = load_config(path, {"num_local_experts": 5})
    name = "model.layers.0.mlp.experts.4.up_proj.weight"
    [(_, stored)] = (source := open_checkpoint(path)).read(["blk.0.ffn_up_exps.weight"])
    with pytest.raises(CheckpointError, match=r"ffn_up_exps.weight has the shape \[384, 64\], but 5 experts"):
        Translation(config, [name], source.layouts[0]).to_network(name, [stored])
