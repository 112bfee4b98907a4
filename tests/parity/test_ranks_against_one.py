"""Every family over several ranks against one: tensor parallel, in stages, and both, with the engine's own kernels.

Ranks are threads here, over the same memory and with the same calls as between processes. Logits agree to 1e-5, greedy
ids are equal; with sums of fixed blocks the logits have the same bits over 1, 2 and 4 ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from family_cases import CASES, REWRITTEN
from llama_cases import CASES as LLAMA_CASES
from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.worker import Worker
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.select import native_is_built, select_kernels
from pagoda.layers.linear import RowParallelLinear
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.parallel import num_fixed_blocks
from pagoda.models.quantise.on_load import RoundedOnLoad
from thread_ranks import Divided, ThreadWorkers, plan_of
from tiny_models import Case, token_ids_of

pytestmark = pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
NAMES = ("llama", "multi-query", "tied embeddings", "mistral with a window", "qwen2", "qwen3", "dynamic, beyond")
FAMILIES: dict[str, tuple[Case, ...]] = {
    **{name: (LLAMA_CASES[name],) for name in NAMES},
    **{name: cases[:1] for name, cases in CASES.items()},
    # Gains of each head, and a gate that all tokens share.
    "stablelm, normed": CASES["stablelm"][2:],
    "cohere, normed": CASES["cohere"][1:],
    "one expert for all": CASES["qwen2_moe"][1:2],
}
DIVIDED = [Divided(2), Divided(4), Divided(1, 3), Divided(2, 2)]


def _loading(
    directory: Path,
    cache: str = "auto",
    recode: str | None = None,
    kernels_name: str = "native",
    dtype: torch.dtype = torch.float32,
) -> Callable[[RankPlace], Worker]:
    config = load_config(directory)
    plan = MemoryPlan(0, 0, 16, 48, 192, cache)

    def load(place: RankPlace) -> Worker:
        kernels, device = select_kernels(kernels_name), torch.device("cpu")
        rounded = None if recode is None else RoundedOnLoad(recode, config)
        return Worker.load(directory, config, plan, dtype, device, kernels, rounded, place)

    return load


def _computed(load: Callable[[RankPlace], Worker], divided: Divided, num_tokens: int) -> tuple[torch.Tensor, list[int]]:
    """Logits of two prompts in one step, and greedy ids behind the first."""
    workers = ThreadWorkers(load, divided)
    tokens, other = token_ids_of(num_tokens), token_ids_of(70, seed=3)
    logits = workers.compute(plan_of([(tokens, 0), (other, 0)])).logits
    assert logits is not None
    ids = [*tokens, int(logits[len(tokens) - 1].argmax())]
    for _ in range(3):
        best = workers.compute(plan_of([(ids, len(ids) - 1)]), best_only=True).best_tokens
        assert best is not None
        ids.append(int(best[0]))
    return logits, ids[num_tokens:]


def _check(
    load: Callable[[RankPlace], Worker], num_tokens: int, divided: list[Divided] = DIVIDED, of_largest: float = 0.0
) -> None:
    """of_largest: by how much of the largest logit others may differ; 0: by 1e-5 of each"""
    expected, ids = _computed(load, Divided(), num_tokens)
    assert expected.abs().max() > 0.5, "logits too small to tell right from wrong"
    for each in divided:
        logits, found = _computed(load, each, num_tokens)
        atol = of_largest * float(expected.abs().max()) or 2e-5
        told = f"{each}: differs by {float((logits - expected).abs().max()):.2e}"
        torch.testing.assert_close(logits, expected, atol=atol, rtol=1e-5, msg=told)
        assert found == ids, each


def _fixed(load: Callable[[RankPlace], Worker], num_blocks: int, num_tokens: int) -> None:
    """With fixed sums the logits of 1, 2 and 4 ranks, and of two stages, are equal to the last bit."""
    expected, _ = _computed(load, Divided(num_blocks=num_blocks), num_tokens)
    for each in (Divided(2, 1, num_blocks), Divided(4, 1, num_blocks), Divided(2, 2, num_blocks)):
        if num_blocks % each.tensor == 0:
            assert torch.equal(_computed(load, each, num_tokens)[0], expected), each


@pytest.mark.parametrize("name", FAMILIES)
def test_ranks_compute_what_one_computes(name: str, tmp_path: Path) -> None:
    case = FAMILIES[name][0]
    case.build().save_pretrained(tmp_path)
    _check(_loading(tmp_path), case.num_tokens)
    _fixed(_loading(tmp_path), num_fixed_blocks(load_config(tmp_path)), case.num_tokens)


@pytest.mark.parametrize("name", REWRITTEN)
def test_checkpoints_of_other_layouts_too(name: str, tmp_path: Path) -> None:
    REWRITTEN[name][0].write(tmp_path)
    _check(_loading(tmp_path), 40, [Divided(4), Divided(1, 3), Divided(2, 2)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_in_one_call_have_the_bits_of_one_by_one_on_ranks_too(dtype: torch.dtype, tmp_path: Path) -> None:
    Case(settings={"attention_bias": True, "mlp_bias": True}).build().save_pretrained(tmp_path)
    plan = plan_of([(token_ids_of(40), 0), (token_ids_of(70, seed=3), 0)])
    for divided in (Divided(2), Divided(4), Divided(2, 2)):
        workers = ThreadWorkers(_loading(tmp_path, dtype=dtype), divided)
        joined = workers.compute(plan).logits
        for worker in workers.workers:
            assert worker.runner.model.model.decoder is not None
            worker.runner.model.model.decoder = None
        one_by_one = workers.compute(plan).logits
        assert joined is not None
        assert one_by_one is not None
        assert torch.equal(joined, one_by_one), divided


WIDE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 512, "head_dim": 32}


# What multiplies codes is rounded to 16 bits, and keys to 8: there a sum's last bit may turn a rounding.
BY_CODES, BY_BYTES = 2e-4, 5e-3


@pytest.mark.parametrize("recode", ["int8", "int4"])
@pytest.mark.parametrize("settings", [{}, {"num_key_value_heads": 1, "intermediate_size": 352}])
def test_matrices_in_codes_too(recode: str, settings: dict[str, Any], tmp_path: Path) -> None:
    Case(settings={**WIDE, **settings}).build().save_pretrained(tmp_path)
    _check(_loading(tmp_path, recode=recode), 40, [Divided(4), Divided(2, 2)], BY_CODES)
    _fixed(_loading(tmp_path, recode=recode), 4, 40)
    # The same numbers without that rounding.
    _check(_loading(tmp_path, recode=recode, kernels_name="torch-reference"), 40, [Divided(2), Divided(4)])


def test_columns_in_an_order_of_their_own_in_some_matrices_alone(tmp_path: Path) -> None:
    Case(settings=WIDE).build().save_pretrained(tmp_path)
    config = load_config(tmp_path)
    rounded = RoundedOnLoad("int8", config)

    def recode(layer: torch.nn.Module, weight: torch.Tensor) -> torch.Tensor | GroupedCodes:
        if not isinstance(layer, RowParallelLinear):
            return rounded(layer, weight)
        order = torch.randperm(weight.shape[1], generator=torch.Generator().manual_seed(0))
        codes = rounded(layer, weight[:, order])
        assert isinstance(codes, GroupedCodes)
        return replace(codes, order=order)

    def load(place: RankPlace) -> Worker:
        plan, kernels = MemoryPlan(0, 0, 16, 48, 192, "auto"), select_kernels("native")
        return Worker.load(tmp_path, config, plan, torch.float32, torch.device("cpu"), kernels, recode, place)

    _check(load, 40, [Divided(2), Divided(2, 2)], BY_CODES)


def test_experts_in_codes_and_keys_in_bytes_too(tmp_path: Path) -> None:
    settings = {**CASES["qwen3_moe"][0].settings, **WIDE, "moe_intermediate_size": 256}
    Case("Qwen3Moe", settings).build().save_pretrained(tmp_path)
    load = _loading(tmp_path, "int8", "int8")
    _check(load, 40, [Divided(2), Divided(1, 3)], BY_BYTES)
    _fixed(load, 4, 40)
