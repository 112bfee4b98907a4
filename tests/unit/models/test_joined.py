"""The layers of a plain network in one call: the same bits as one by one, and only where the network is plain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pagoda.kernels.interface import AttentionMetadata, Kernels
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.kernels.select import native_is_built
from pagoda.layers.attention import PagedAttention
from pagoda.layers.kv_cache import KVCache
from pagoda.layers.linear import ParallelLinear
from pagoda.models.config import ModelConfig
from pagoda.models.families.experts import ExpertsConfig
from pagoda.models.joined import is_plain, join_layers
from pagoda.models.llama import LlamaForCausalLM

BASE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
PLAIN: dict[str, dict[str, Any]] = {
    "llama": {},
    "every head its own": {"num_key_value_heads": 6},
    "one for all, odd sizes": {"num_key_value_heads": 1, "hidden_size": 50, "intermediate_size": 77, "head_dim": 10},
    "biases, as in qwen2": {"attention_bias": True, "attention_output_bias": True, "mlp_bias": True},
    "norms of heads, as in qwen3": {"qk_norm": True},
    "some slide": {"sliding_window": 9, "layer_types": ("full_attention", "sliding_attention", "full_attention")},
    "chunks": {"attention_chunk_size": 7},
    "chunks, and windows over their borders": {"attention_chunk_size": 6, "sliding_window": 3},
    "some do not rotate": {"rotating_layers": (True, False, True)},
    "half a head rotates": {"rotary_dim": 8},
    "one matrix for both ends": {"tie_word_embeddings": True},
    "rotations of the sequence's own": {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    "bounded scores": {"attn_logit_softcapping": 5.0, "attention_scale": 0.3},
}
OTHER: dict[str, dict[str, Any]] = {
    "another norm": {"norm": "layer_norm"},
    "norms behind": {"norm_placement": "post"},
    "another activation": {"hidden_act": "gelu"},
    "no gate": {"mlp_gated": False, "hidden_act": "relu"},
    "a share of each block": {"residual_multiplier": 0.5},
    "bounded projections": {"clip_qkv": 1.0},
    "norms of all heads as one": {"qk_norm": True, "qk_norm_span": "width"},
    "norms behind the rotation": {"qk_norm": True, "qk_norm_after_rope": True},
    "embeddings at another scale": {"embedding_multiplier": 8.0},
    "experts": {"experts": ExpertsConfig(4, 2, 16, True, None, (True, True, True))},
}
needs_library = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")


def _kernels(num_threads: int) -> Kernels:
    from pagoda.kernels.native.operations import NativeKernels

    return NativeKernels(num_threads)


def _network(config: ModelConfig, dtype: torch.dtype, kernels: Kernels) -> LlamaForCausalLM:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        network = LlamaForCausalLM(config, kernels)
    finally:
        torch.set_default_dtype(before)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for layer in network.modules():
        if isinstance(layer, ParallelLinear):
            layer.finish_loading()
    network.finish_loading()
    return network.requires_grad_(False).eval()


def _steps(network: LlamaForCausalLM, kernels: Kernels, dtype: torch.dtype) -> list[torch.Tensor]:
    """Hidden states of a prompt of 20 and one of 3, then of two tokens more of the first and one of the second."""
    config = network.config
    cache = KVCache(
        num_layers=config.num_hidden_layers,
        num_blocks=8,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        dtype=dtype,
        device=torch.device("cpu"),
        block_size=8,
    )
    tables = torch.tensor([[5, 2, 7], [1, 0, 0]])
    outputs = []
    for places in ([range(20), range(3)], [range(20, 22), range(3, 4)]):
        positions = torch.tensor([position for row in places for position in row])
        slots = [int(tables[r, p // 8]) * 8 + p % 8 for r, row in enumerate(places) for p in row]
        metadata = AttentionMetadata(
            query_start_loc=(0, len(places[0]), len(positions)),
            seq_lens=tuple(row.stop for row in places),
            block_tables=tables,
            slot_mapping=torch.tensor(slots),
        )
        attention = PagedAttention(cache, metadata, kernels, config.layer_windows)
        outputs.append(network(positions * 7 % config.vocab_size, positions, attention))
    return outputs


@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("changes", PLAIN.values(), ids=list(PLAIN))
def test_joined_layers_give_the_bits_of_the_layers_one_by_one(
    changes: dict[str, Any], num_threads: int, dtype: torch.dtype
) -> None:
    config, kernels = ModelConfig(**{**BASE, **changes}), _kernels(num_threads)
    network = _network(config, dtype, kernels)
    apart = _steps(network, kernels, dtype)
    join_layers(network, kernels)
    assert network.model.decoder is not None
    joined = _steps(network, kernels, dtype)
    assert all(torch.isfinite(states).all() and states.abs().max() > 0 for states in apart)
    assert [torch.equal(one, other) for one, other in zip(apart, joined, strict=True)] == [True, True]


@needs_library
@pytest.mark.parametrize("changes", OTHER.values(), ids=list(OTHER))
def test_what_is_not_plain_goes_layer_by_layer(changes: dict[str, Any]) -> None:
    config, kernels = ModelConfig(**{**BASE, **changes}), _kernels(1)
    assert not is_plain(config)
    network = _network(config, torch.float32, kernels)
    join_layers(network, kernels)
    assert network.model.decoder is None


def test_the_reference_joins_nothing() -> None:
    kernels = ReferenceKernels()
    network = _network(ModelConfig(**BASE), torch.float32, kernels)
    join_layers(network, kernels)
    assert network.model.decoder is None


@needs_library
def test_a_token_beyond_the_vocabulary_is_refused() -> None:
    config, kernels = ModelConfig(**BASE), _kernels(1)
    network = _network(config, torch.float32, kernels)
    join_layers(network, kernels)
    network.config = replace(config, vocab_size=1000)  # so that ids run past the embedding
    with pytest.raises(IndexError, match="of 96"):
        _steps(network, kernels, torch.float32)
