"""The mixture of experts against a loop over tokens that does nothing clever, on one rank and on two."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pagoda.distributed import ParallelGroup, SingleRank
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.kit import LayerKit
from pagoda.layers.linear import set_weight_loader
from pagoda.layers.moe import SparseMoE
from thread_ranks import ThreadGroup, on_ranks

HIDDEN, INNER = 24, 32


class _Expert(nn.Module):
    """SwiGLU, as the network has it."""

    def __init__(self, kit: LayerKit) -> None:
        super().__init__()
        self.gate_proj = kit.column(HIDDEN, INNER, bias=False)
        self.up_proj = kit.column(HIDDEN, INNER, bias=False)
        self.down_proj = kit.row(INNER, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def _moe(
    num_experts: int,
    top_k: int,
    *,
    renormalize: bool = True,
    shared: bool = False,
    group: ParallelGroup | None = None,
    fill: bool = True,
) -> SparseMoE:
    kit = LayerKit(ReferenceKernels(), group or SingleRank(), 1e-6)
    experts = [_Expert(kit.with_open_sums()) for _ in range(num_experts)]
    shared_expert = _Expert(kit.with_open_sums()) if shared else None
    moe = SparseMoE(kit, HIDDEN, experts, shared_expert=shared_expert, top_k=top_k, renormalize=renormalize)
    if fill:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in moe.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return moe


def _naive(moe: SparseMoE, x: torch.Tensor) -> torch.Tensor:
    rows = []
    for token in x:
        scores = torch.softmax(F.linear(token, moe.gate.weight), dim=0)
        chosen = sorted(range(len(scores)), key=lambda index: -scores.tolist()[index])[: moe.top_k]
        total = sum(scores[index] for index in chosen) if moe.renormalize else 1.0
        row = sum(scores[index] / total * _expert(moe.experts[index], token) for index in sorted(chosen))
        if moe.shared_expert is not None and moe.shared_expert_gate is not None:
            row = row + torch.sigmoid(F.linear(token, moe.shared_expert_gate.weight)) * _expert(
                moe.shared_expert, token
            )
        rows.append(row)
    return torch.stack(rows)


def _expert(expert: nn.Module, token: torch.Tensor) -> torch.Tensor:
    weights = dict(expert.named_parameters())
    gate, up = (F.linear(token, weights[f"{name}_proj.weight"]) for name in ("gate", "up"))
    return F.linear(F.silu(gate) * up, weights["down_proj.weight"])


def _tokens(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("renormalize", [False, True])
@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (4, 1), (4, 2), (5, 3), (8, 8), (60, 4)])
def test_it_is_the_weighted_sum_of_the_chosen_experts(
    num_experts: int, top_k: int, renormalize: bool, shared: bool
) -> None:
    moe = _moe(num_experts, top_k, renormalize=renormalize, shared=shared)
    x = _tokens(48)
    torch.testing.assert_close(moe(x), _naive(moe, x), atol=1e-5, rtol=1e-5)


def test_the_weights_of_the_chosen_sum_to_one_only_where_they_are_renormalized() -> None:
    x = _tokens(16)
    one, other = (_moe(6, 2, renormalize=renormalize).route(x)[0].sum(-1) for renormalize in (True, False))
    torch.testing.assert_close(one, torch.ones(16))
    assert (other < 0.99).any()


def test_experts_that_no_token_chose_are_not_run_and_one_may_get_all() -> None:
    moe = _moe(4, 1)
    with torch.no_grad():
        moe.gate.weight.zero_()
        moe.gate.weight[2, 0] = 100.0
    run: list[tuple[int, int]] = []
    for number, expert in enumerate(moe.experts):
        expert.register_forward_hook(lambda _, given, __, number=number: run.append((number, len(given[0]))))
    x = _tokens(40)
    x[:, 0] = 1.0
    torch.testing.assert_close(moe(x), _naive(moe, x), atol=1e-5, rtol=1e-5)
    assert run == [(2, 48)], "40 rows and their padding, once"


def test_no_expert_is_run_for_padding() -> None:
    moe = _moe(6, 2)
    run: list[int] = []
    for number, expert in enumerate(moe.experts):
        expert.register_forward_hook(lambda *_, number=number: run.append(number))
    x = _tokens(16)
    expected = moe(x)
    run.clear()
    actual = moe(x, 1)
    assert sorted(run) == sorted(moe.route(x)[1][0].tolist())
    assert torch.equal(actual[0], expected[0])
    assert not actual[1:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("num_threads", [1, 3])
@torch.no_grad()
def test_a_tokens_output_has_the_same_bits_whoever_is_beside_it(
    num_threads: int, shared: bool, dtype: torch.dtype
) -> None:
    moe = _moe(7, 3, shared=shared).to(dtype)
    x = _tokens(640).to(dtype)
    torch.set_num_threads(num_threads)
    try:
        among_all = moe(x)
        for size in (16, 48, 160):
            for part, expected in zip(x.split(size), among_all.split(size), strict=True):
                assert torch.equal(moe(part), expected)
        shuffled = torch.randperm(640, generator=torch.Generator().manual_seed(2))
        assert torch.equal(moe(x[shuffled]), among_all[shuffled])
    finally:
        torch.set_num_threads(1)


@torch.no_grad()
def test_a_token_that_is_not_a_number_harms_no_other() -> None:
    moe = _moe(4, 2, shared=True)
    x = _tokens(32)
    expected = moe(x)
    x[5] = float("nan")
    actual = moe(x)
    assert actual[5].isnan().all()
    kept = [row for row in range(32) if row != 5]
    assert torch.equal(actual[kept], expected[kept])


def test_gradients_are_those_of_the_loop() -> None:
    moe = _moe(5, 2, shared=True)
    x = _tokens(16)
    gradients = []
    for computed in (moe(x), _naive(moe, x)):
        gradients.append(torch.autograd.grad(computed.pow(2).sum(), list(moe.parameters()), allow_unused=True))
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shared", [False, True])
def test_two_ranks_hold_half_of_every_expert_and_sum_once(shared: bool) -> None:
    whole = _moe(5, 2, shared=shared)
    x = _tokens(32)

    def run(group: ThreadGroup) -> torch.Tensor:
        moe = _moe(5, 2, shared=shared, group=group, fill=False)
        full = dict(whole.named_parameters())
        with torch.no_grad():
            for name, parameter in moe.named_parameters():
                if not hasattr(parameter, "weight_loader"):
                    set_weight_loader(parameter, None, 0)
                parameter.weight_loader(parameter, full[name])
            computed = moe(x)
        assert moe.experts[0].down_proj.weight.shape == (HIDDEN, INNER // 2)
        assert group.num_sums == 1
        return computed

    with torch.no_grad():
        expected = whole(x)
    for computed in on_ranks(2, run):
        torch.testing.assert_close(computed, expected, atol=1e-5, rtol=1e-5)
