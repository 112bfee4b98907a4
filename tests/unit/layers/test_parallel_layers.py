"""Parallel layers: at one rank bit for bit the plain ones, at two the same function, and so the whole network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional as F

from pagoda.distributed import ParallelGroup, SingleRank, TorchGroup
from pagoda.errors import CheckpointError, ConfigError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.kernels.select import native_is_built, select_kernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.embedding import ParallelLMHead, VocabParallelEmbedding
from pagoda.layers.kit import LayerKit
from pagoda.layers.linear import ColumnParallelLinear, ReplicatedLinear, RowParallelLinear
from pagoda.layers.shares import divided
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.coded_weights import CodedWeights
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from thread_ranks import on_ranks

KERNELS = ReferenceKernels()
TOKEN_IDS = [5, 300, 7, 160, 159, 161, 0, 319, 42, 99, 8, 12, 77]


@torch.no_grad()
def _fill(layer: nn.Module, **tensors: torch.Tensor) -> None:
    """As the loader does: every parameter takes its share of the full tensor."""
    for name, full in tensors.items():
        parameter = getattr(layer, name)
        parameter.weight_loader(parameter, full)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(16, 32)


@pytest.mark.parametrize("kind", [ColumnParallelLinear, RowParallelLinear])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_at_one_rank_is_f_linear_bit_for_bit(
    kind: type[ColumnParallelLinear], bias: bool, x: torch.Tensor
) -> None:
    layer = kind(32, 48, bias=bias, kernels=KERNELS, group=SingleRank())
    tensors = {"weight": torch.randn(48, 32)} | ({"bias": torch.randn(48)} if bias else {})
    _fill(layer, **tensors)
    assert torch.equal(layer(x), F.linear(x, tensors["weight"], tensors.get("bias")))


def test_embedding_and_head_at_one_rank_are_the_plain_ones_bit_for_bit(x: torch.Tensor) -> None:
    weight, token_ids = torch.randn(320, 32), torch.tensor(TOKEN_IDS)
    embedding = VocabParallelEmbedding(320, 32, kernels=KERNELS, group=SingleRank())
    head = ParallelLMHead(320, 32, kernels=KERNELS, group=SingleRank())
    _fill(embedding, weight=weight)
    _fill(head, weight=weight)
    assert torch.equal(embedding(token_ids), F.embedding(token_ids, weight))
    assert torch.equal(head(x), F.linear(x, weight))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_a_column_and_a_row_layer_over_ranks_make_one_mlp(size: int, bias: bool, x: torch.Tensor) -> None:
    up, down = torch.randn(64, 32), torch.randn(32, 64)
    up_bias, down_bias = (torch.randn(64), torch.randn(32)) if bias else (None, None)
    expected = F.linear(F.linear(x, up, up_bias), down, down_bias)

    def run(group: ParallelGroup) -> torch.Tensor:
        column = ColumnParallelLinear(32, 64, bias=bias, kernels=KERNELS, group=group)
        row = RowParallelLinear(64, 32, bias=bias, kernels=KERNELS, group=group)
        assert column.weight.shape == (64 // size, 32)
        assert row.weight.shape == (32, 64 // size)
        for layer, weight, shift in ((column, up, up_bias), (row, down, down_bias)):
            _fill(layer, weight=weight, **({} if shift is None else {"bias": shift}))
        return row(column(x)).detach()

    for output in on_ranks(size, run):
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 4])
def test_embedding_and_head_over_ranks_give_whole_rows_on_every_rank(size: int, x: torch.Tensor) -> None:
    weight, token_ids = torch.randn(320, 32), torch.tensor(TOKEN_IDS)

    def run(group: ParallelGroup) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = VocabParallelEmbedding(320, 32, kernels=KERNELS, group=group)
        head = ParallelLMHead(320, 32, kernels=KERNELS, group=group)
        _fill(embedding, weight=weight)
        _fill(head, weight=weight)
        return embedding(token_ids).detach(), head(x).detach()

    for embedded, logits in on_ranks(size, run):
        assert torch.equal(embedded, F.embedding(token_ids, weight))
        torch.testing.assert_close(logits, F.linear(x, weight), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def _logits(directory: Path, group: ParallelGroup | None = None) -> torch.Tensor:
    config = load_config(directory)
    model = LlamaForCausalLM(config, KERNELS, group)
    load_weights(model, directory)
    hidden_states = model(
        torch.tensor(TOKEN_IDS), torch.arange(len(TOKEN_IDS)), DenseAttention(1, config.layer_windows)
    )
    return model.compute_logits(hidden_states)


@pytest.mark.parametrize("shape", ["gqa", "qwen2", "qwen3, half the layers slide"])
def test_the_network_at_two_ranks_equals_the_network_at_one(shape: str, checkpoint: Callable[..., Path]) -> None:
    """Sums of partial products differ in their order alone: 1e-5 on logits of up to 8."""
    directory = checkpoint(shape)
    expected = _logits(directory)
    for logits in on_ranks(2, lambda group: _logits(directory, group)):
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


SIZES = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "head_dim": 8,
}
FAMILIES: dict[str, dict[str, object]] = {
    "Phi3ForCausalLM": {"partial_rotary_factor": 0.75},  # fused matrices
    "InternLM2ForCausalLM": {"bias": True},  # fused by KV head
    "Olmo2ForCausalLM": {},  # a norm over all ranks' heads
    "StableLmForCausalLM": {"qk_layernorm": True, "use_parallel_residual": True},  # gains of each head
    "CohereForCausalLM": {"use_qk_norm": True, "logit_scale": 1.0},  # the same, in neighbouring pairs
    "NemotronForCausalLM": {"mlp_bias": True, "attention_bias": True},
    "Gemma2ForCausalLM": {},
    "MiniCPMForCausalLM": {"dim_model_base": 256},
}


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_kind_of_layer_at_two_ranks_equals_it_at_one(architecture: str, tmp_path: Path) -> None:
    config = ModelConfig.from_dict({**SIZES, **FAMILIES[architecture], "architectures": [architecture]})
    model = LlamaForCausalLM(config, KERNELS)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.5 if parameter.dim() == 1 else 0.0, 0.3)
    save_checkpoint(model, config, tmp_path)
    expected = _logits(tmp_path)
    assert expected.abs().max() > 0.5
    for logits in on_ranks(2, lambda group: _logits(tmp_path, group)):
        torch.testing.assert_close(logits, expected, atol=3e-5, rtol=1e-5)  # sums of two halves, logits of some tens


def test_two_processes_over_torch_distributed_equal_one(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    directory = checkpoint("qwen2")
    multiprocessing.spawn(_rank, args=(2, directory, tmp_path), nprocs=2)
    for rank in range(2):
        logits = torch.load(tmp_path / f"rank{rank}.pt")
        torch.testing.assert_close(logits, _logits(directory), atol=1e-5, rtol=1e-5)


def _rank(rank: int, size: int, directory: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
    group = TorchGroup()
    assert (group.rank, group.size) == (rank, size)
    torch.save(_logits(directory, group), folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"num_attention_heads": 6, "num_key_value_heads": 2}, "6 attention heads"),
        ({"num_attention_heads": 12, "num_key_value_heads": 3}, "3 KV heads"),
        ({"num_key_value_heads": 4, "vocab_size": 3}, "3 vocabulary entries"),
        ({"num_key_value_heads": 4, "intermediate_size": 2}, "2 output features"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(settings: dict[str, int], what: str) -> None:
    sizes = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "head_dim": 8, "num_attention_heads": 4}
    config = ModelConfig(num_hidden_layers=1, **{**sizes, **settings})
    with pytest.raises(ConfigError, match=f"{what} cannot be split over tensor_parallel_size=4 ranks evenly"):
        on_ranks(4, lambda group: LlamaForCausalLM(config, KERNELS, group))


def _coded(out_features: int, in_features: int, group_size: int = 16) -> GroupedCodes:
    codes = torch.randint(0, 16, (out_features, in_features), dtype=torch.uint8)
    groups = out_features, in_features // group_size
    return GroupedCodes(codes, 4, group_size, torch.rand(groups), torch.rand(groups), zero=8)


@pytest.mark.parametrize("size", [1, 2])
def test_a_matrix_in_codes_is_adopted_whole_or_by_the_rank(size: int, x: torch.Tensor) -> None:
    up, down, vocabulary, token_ids = _coded(64, 32), _coded(32, 64), _coded(320, 32), torch.tensor(TOKEN_IDS)

    def run(group: ParallelGroup) -> list[torch.Tensor]:
        column = ColumnParallelLinear(32, 64, bias=False, kernels=KERNELS, group=group)
        row = RowParallelLinear(64, 32, bias=False, kernels=KERNELS, group=group)
        embedding = VocabParallelEmbedding(320, 32, kernels=KERNELS, group=group)
        head = ParallelLMHead(320, 32, kernels=KERNELS, group=group)
        for layer, codes in ((column, up), (row, down), (embedding, vocabulary), (head, vocabulary)):
            layer.adopt(codes)
        return [row(column(x)).detach(), embedding(token_ids).detach(), head(x).detach()]

    weight = vocabulary.dense()
    for mlp, embedded, logits in on_ranks(size, run):
        torch.testing.assert_close(mlp, F.linear(F.linear(x, up.dense()), down.dense()), atol=1e-2, rtol=1e-5)
        assert torch.equal(embedded, F.embedding(token_ids, weight))
        torch.testing.assert_close(logits, F.linear(x, weight), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("coded", ["floats", "codes", "codes in an order of their own"])
def test_sums_of_fixed_blocks_have_the_same_bits_on_any_number_of_ranks(coded: str, x: torch.Tensor) -> None:
    weight, bias, codes = torch.randn(24, 32), torch.randn(24), _coded(24, 32, 8)
    if coded == "codes in an order of their own":
        codes = replace(codes, order=torch.randperm(32))

    def run(group: ParallelGroup) -> torch.Tensor:
        kit = LayerKit(KERNELS, group, 1e-6, num_blocks=4)
        row = kit.row(32, 24, bias=True)
        _fill(row, weight=weight, bias=bias)
        if coded == "floats":
            row.finish_loading()
        else:
            row.adopt(codes)
        return row(row.shares.of_tensor(x, 1)).detach()

    (expected,) = on_ranks(1, run)
    whole = F.linear(x, weight if coded == "floats" else codes.dense(), bias)
    torch.testing.assert_close(expected, whole, atol=1e-4, rtol=1e-5)
    for size in (2, 4):
        for output in on_ranks(size, run):
            assert torch.equal(output, expected)


def test_shares_are_whole_units_as_equal_as_they_can_be() -> None:
    def ranges(total: int, size: int, **how: int) -> list[tuple[int, int]]:
        return [(each.start, each.length) for each in on_ranks(size, lambda group: divided(total, group, "x", **how))]

    assert ranges(12288, 4) == [(0, 3072), (3072, 3072), (6144, 3072), (9216, 3072)]
    assert ranges(11008, 4) == [(0, 2688), (2688, 2816), (5504, 2688), (8192, 2816)]  # groups of 128 stay whole
    assert ranges(10, 4, unit=1) == [(0, 2), (2, 3), (5, 2), (7, 3)]
    with pytest.raises(ConfigError, match=r"3 groups cannot be split over tensor_parallel_size=4 .*3 ranks fit"):
        on_ranks(4, lambda group: divided(48, group, "groups", unit=16))


def test_codes_of_another_shape_are_refused() -> None:
    layer = ColumnParallelLinear(32, 48, bias=False, kernels=KERNELS, group=SingleRank())
    with pytest.raises(CheckpointError, match=r"codes of the shape \[64, 32\], expected \[48, 32\]"):
        layer.adopt(_coded(64, 32))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("group_size", [48, 16, 12])
def test_groups_that_a_border_cuts_and_columns_in_an_order_of_their_own(
    group_size: int, ordered: bool, x: torch.Tensor
) -> None:
    up, down = torch.randn(48, 32), _coded(32, 48, group_size)
    if ordered:
        down = replace(down, order=torch.randperm(48))
    expected = F.linear(F.linear(x, up), down.dense())

    def run(group: ParallelGroup) -> torch.Tensor:
        column = ColumnParallelLinear(32, 48, bias=False, kernels=KERNELS, group=group)
        row = RowParallelLinear(48, 32, bias=False, kernels=KERNELS, group=group)
        _fill(column, weight=up)
        row.adopt(down)
        return row(column(x)).detach()

    for size in (2, 4):
        for output in on_ranks(size, run):
            torch.testing.assert_close(output, expected, atol=1e-3, rtol=1e-5)


def test_codes_take_what_the_configuration_says(checkpoint: Callable[..., Path]) -> None:
    config = load_config(checkpoint("qwen2"))
    coded = replace(config, coded=CodedWeights(num_weights=1000, num_bytes=600))
    assert config.weight_bytes(4) == 4 * config.num_parameters
    assert coded.weight_bytes(4) == 600 + 4 * (config.num_parameters - 1000)


@pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
@torch.no_grad()
def test_a_replicated_matrix_is_packed_once_and_not_at_every_product() -> None:
    """A router of experts is asked in every layer of every step."""
    layer = ReplicatedLinear(16, 4, kernels=select_kernels("native"))
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(3, 16)
    before = layer(x)
    layer.finish_loading()
    assert layer.weight is None
    assert torch.equal(layer(x), before)
