"""Pooling of hidden states: each kind by its formula, and the same bits in whatever chunks a text is computed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from pagoda.engine.execution.pooling import pool
from pagoda.engine.sampling.rows import PoolRow
from pagoda.engine.scheduling.plan import SchedulerOutput
from pagoda.sampling_params import PoolingParams

PLAIN = PoolingParams(normalize=False)


def _plan(counts: dict[str, int]) -> SchedulerOutput:
    return SchedulerOutput(0, (), counts, sum(counts.values()), (), (), ())


def _embed(states: torch.Tensor, pooling: str, chunks: Sequence[int], params: PoolingParams = PLAIN) -> torch.Tensor:
    """Chunk by chunk, each in a step with another request before it and one behind it."""
    so_far: tuple[float, ...] = ()
    parts = states.split(list(chunks))
    for index, part in enumerate(parts):
        beside = torch.full((3, states.shape[1]), float("nan"))
        num_tokens = len(states) if index == len(parts) - 1 else None
        row = PoolRow("b", params, pooling, so_far, num_tokens)
        plan = _plan({"a": 3, "b": len(part), "c": 3})
        complete, more = pool(plan, torch.cat((beside.to(states), part, beside.to(states))), [row])
        if num_tokens is not None:
            assert more == {}
            return torch.tensor(complete["b"])
        assert complete == {}
        so_far = more["b"]
    raise AssertionError("no chunk at all")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_each_kind_is_its_formula_in_any_chunks(pooling: str, dtype: torch.dtype) -> None:
    states = torch.randn(101, 48, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = {"mean": states.double().mean(0), "cls": states[0].double(), "last": states[-1].double()}[pooling]
    whole = _embed(states, pooling, [101])
    torch.testing.assert_close(whole.double(), expected, atol=1e-6, rtol=1e-6)
    for chunks in ([1] * 101, [100, 1], [1, 100], [16, 16, 16, 16, 37], [50, 51]):
        if pooling != "last":
            assert torch.equal(_embed(states, pooling, chunks), whole)


def test_a_vector_is_cut_before_it_is_scaled() -> None:
    states = torch.tensor([[3.0, 4.0, 12.0]])
    cut = _embed(states, "last", [1], PoolingParams(normalize=True, dimensions=2))
    torch.testing.assert_close(cut, torch.tensor([0.6, 0.8]))
    assert _embed(states, "mean", [1], PoolingParams(normalize=False, dimensions=1)).tolist() == [3.0]


def test_a_mean_of_many_equal_tokens_is_that_token() -> None:
    """fp32 would have lost the fourth digit of a sum of so many."""
    states = torch.full((20_000, 2), 0.1)
    assert _embed(states, "mean", [20_000]).tolist() == torch.tensor([0.1, 0.1]).tolist()
