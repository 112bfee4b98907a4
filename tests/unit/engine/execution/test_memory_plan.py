"""The memory plan: what fits, worked out by hand, and the sentences for what does not."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from pagoda.engine.execution.memory_plan import GIB, CacheWish, MemoryPlan, plan_memory
from pagoda.errors import InsufficientMemoryError
from pagoda.hardware import available_memory_bytes, bound_product_caches, has_bf16
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.kv_cache import KVCache
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

CONFIG = ModelConfig(
    vocab_size=320,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
)
KV_BYTES = 2 * 2 * 2 * 16 * 4  # K and V, layers, KV heads, head_dim, fp32
WEIGHT_BYTES = CONFIG.num_parameters * 4


def _plan(budget_bytes: int = GIB, **settings: Any) -> MemoryPlan:
    names = {"block_size": "block_size", "kv_cache_bytes": "num_bytes", "num_blocks": "num_blocks", "kv_dtype": "dtype"}
    wish = {"block_size": 16, **{ours: settings.pop(name) for name, ours in names.items() if name in settings}}
    given = {"dtype": "float32", "max_model_len": 100, "max_num_seqs": 8, **settings}
    return plan_memory(CONFIG, budget_bytes=budget_bytes, cache=CacheWish(**wish), **given)


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"tie_word_embeddings": True},
        {"attention_bias": True},
        {"attention_bias": True, "attention_output_bias": True, "mlp_bias": True},
        {"qk_norm": True, "head_dim": 24},
        {"qk_norm": True, "qk_norm_span": "per_head", "norm": "layer_norm"},
        {"qk_norm": True, "qk_norm_span": "width", "norm_placement": "post"},
        {"norm": "layer_norm_plain", "norm_placement": "sandwich"},
        {"norm": "layer_norm_1p", "norm_placement": "parallel", "mlp_gated": False, "mlp_bias": True},
        {"norm": "rms_norm_1p", "norm_placement": "sandwich", "mlp_gated": False},
        {"num_key_value_heads": 1},
    ],
)
def test_the_weights_and_the_cache_take_what_the_plan_says(switches: dict[str, Any]) -> None:
    config = replace(CONFIG, **switches)
    model = LlamaForCausalLM(config, ReferenceKernels())
    assert config.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    cache = KVCache(
        num_layers=2,
        num_blocks=3,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        block_size=16,
    )
    assert cache.num_bytes == 3 * 16 * config.kv_bytes_per_token(2)


def test_the_cache_holds_as_many_blocks_as_can_ever_be_used() -> None:
    plan = _plan()
    assert plan.num_blocks == 8 * 7  # 8 requests of 100 tokens, 7 blocks each
    assert plan.kv_bytes_per_token == KV_BYTES
    assert plan.weight_bytes == WEIGHT_BYTES
    assert plan.num_tokens == 56 * 16
    assert plan.kv_cache_bytes == 56 * 16 * KV_BYTES
    assert plan.num_requests(100) == 8
    assert plan.num_requests(17) == 28


def test_a_small_budget_is_divided_into_weights_and_what_is_left() -> None:
    block_bytes = 16 * KV_BYTES
    assert _plan(WEIGHT_BYTES + 10 * block_bytes).num_blocks == 10
    assert _plan(WEIGHT_BYTES + 11 * block_bytes - 1).num_blocks == 10


def test_half_the_bytes_a_number_hold_twice_the_tokens() -> None:
    budget = WEIGHT_BYTES // 2 + 20 * 16 * KV_BYTES
    assert _plan(budget, dtype="bfloat16").num_blocks == 40


def test_the_operator_may_set_the_cache_by_bytes_or_by_blocks() -> None:
    assert _plan(kv_cache_bytes=9 * 16 * KV_BYTES + 5).num_blocks == 9
    assert _plan(num_blocks=3).num_blocks == 3
    in_bytes = _plan(kv_dtype="int8", dtype="bfloat16")  # 16 numbers and a scale
    assert in_bytes.kv_bytes_per_token == 2 * 2 * 2 * (16 + 2)
    assert _plan(num_blocks=3, kv_cache_bytes=1 << 20).num_blocks == 3
    assert _plan(num_blocks=5, block_size=32).num_tokens == 160


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget_bytes": WEIGHT_BYTES}, "the weights take 0.00 GiB in float32, but the memory budget is 0.00 GiB"),
        ({"budget_bytes": WEIGHT_BYTES + 16 * KV_BYTES}, "would hold 16 tokens, but max_model_len is 100: lower"),
        (
            {"num_blocks": 1 << 40},
            "1099511627776 KV blocks of 8192 bytes were asked for, but the memory budget of 1.00",
        ),
        ({"kv_cache_bytes": 2 * GIB}, "leaves room for"),
    ],
)
def test_what_does_not_fit_is_told_with_figures_and_a_remedy(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InsufficientMemoryError) as caught:
        _plan(**settings)
    assert said in str(caught.value)
    assert "raise the budget (kv_cache_memory_fraction on CPU" in str(caught.value)


@pytest.mark.parametrize("settings", [{"num_blocks": 0}, {"kv_cache_bytes": 100}])
def test_less_than_one_block_is_told_by_its_size(settings: dict[str, Any]) -> None:
    with pytest.raises(InsufficientMemoryError, match="less than one block, which takes 8192 bytes"):
        _plan(**settings)


def test_this_machine_has_some_memory_left_and_less_than_a_petabyte() -> None:
    assert 1 << 20 < available_memory_bytes() < 1 << 50


_MANY_PRODUCTS = """
import ctypes, sys
import torch
from pagoda.hardware import bound_product_caches

class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "a", "b", "c", "d", "e", "f", "in_use", "free", "top")]

def in_use() -> int:
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    return libc.mallinfo2().in_use

bound_product_caches()
weight = torch.ones(512, 256, dtype=torch.bfloat16)
before = 0
for rows in range(16, 16 * 400, 16):
    torch.nn.functional.linear(torch.ones(rows, 256, dtype=torch.bfloat16), weight)
    before = before or (in_use() if rows == 16 * 100 else 0)
sys.exit(in_use() - before > 8 << 20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library does not count its memory")
@pytest.mark.skipif(not has_bf16("cpu"), reason="torch keeps ready products only where bf16 is multiplied in hardware")
def test_products_of_ever_new_sizes_leave_no_memory_behind() -> None:
    ended = subprocess.run([sys.executable, "-c", _MANY_PRODUCTS], check=False)
    assert ended.returncode == 0


def test_what_the_operator_set_for_the_caches_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    bound_product_caches()
    assert os.environ["LRU_CACHE_CAPACITY"] == "7"
    assert 0 < int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) < 1024
