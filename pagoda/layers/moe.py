"""A mixture of experts: many MLPs, of which each token goes through a few.

On the token's path: in place of the MLP of a decoder layer. A router scores all experts, the `top_k` best get the
token, and their outputs are added, weighted by the router's probabilities (Shazeer et al. 2017, arXiv 1701.06538,
section 2; Switch Transformer, Fedus et al. 2021, arXiv 2101.03961; Mixtral, Jiang et al. 2024, arXiv 2401.04088,
section 2.1). So a model holds many parameters and a token pays for few. No expert has a capacity here: none is ever
full, and no token is dropped.

Tokens are grouped by expert, so that each expert reads its matrices once and multiplies all of its tokens at once. What
a token gets still depends on that token alone: an expert's rows are padded to the height that products are exact at,
and a token's outputs are added in the order of the experts' numbers, one after the other, in fp32.

Ranks divide every expert by its inner width, like any MLP: each rank computes a part of all experts, and one sum over
ranks joins them. What an expert is, an MLP of the network, is said by whoever builds the block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.nn import functional as F

from pagoda.distributed import tree_sum
from pagoda.layers.kit import LayerKit


class SparseMoE(nn.Module):
    """`sum over the chosen experts of weight * expert(x)`, and `sigmoid(gate(x)) * shared(x)` where one is shared.

    experts: each `[n, hidden_size] -> [n, hidden_size]`, built with `kit.with_open_sums()`, so that a rank may have
        several parts of each side by side
    shared_expert: one more, which every token goes through (DeepSeekMoE, Dai et al. 2024, arXiv 2401.06066, section
        3.2), behind a gate of its own (Qwen2-MoE, arXiv 2407.10671)
    top_k: how many experts a token goes through
    renormalize: scale the weights of the chosen to a sum of 1; they are probabilities among all experts otherwise
    """

    def __init__(
        self,
        kit: LayerKit,
        hidden_size: int,
        experts: Iterable[nn.Module],
        *,
        shared_expert: nn.Module | None = None,
        top_k: int,
        renormalize: bool,
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.gate = kit.replicated(hidden_size, len(self.experts))
        self.shared_expert = shared_expert
        self.shared_expert_gate = None if shared_expert is None else kit.replicated(hidden_size, 1)
        self.top_k, self.renormalize = top_k, renormalize
        self.group, self.row_multiple = kit.group, kit.kernels.row_multiple
        self.num_parts, self.has_fixed_parts = kit.num_open_parts, kit.num_blocks > 0

    def forward(self, hidden_states: torch.Tensor, num_tokens: int | None = None) -> torch.Tensor:
        """`[T, hidden_size]` -> the same shape and dtype.

        num_tokens: rows that are tokens; those behind them are padding, for which no expert is read
        """
        weights, chosen = self.route(hidden_states)
        width = hidden_states.shape[1]
        output = hidden_states.new_zeros(len(hidden_states), self.num_parts * width, dtype=torch.float32)
        for expert_idx, rows, of_rows in _by_expert(weights[:num_tokens], chosen[:num_tokens], len(self.experts)):
            padding = -len(rows) % self.row_multiple
            computed = self.experts[expert_idx](F.pad(hidden_states[rows], (0, 0, 0, padding)))[: len(rows)]
            # No row stands twice among an expert's, so nothing hangs on the order inside this sum.
            output.index_add_(0, rows, computed.float() * of_rows[:, None])
        if self.shared_expert is not None and self.shared_expert_gate is not None:
            # A sigmoid by torch.exp, as `silu_and_mul` has it: the fused one rounds by where a row stands.
            share = 1.0 / (1.0 + torch.exp(-self.shared_expert_gate(hidden_states).float()))  # [T, 1]
            output = output + share * self.shared_expert(hidden_states).float()
        # What each rank has is a part of every row: [T, hidden_size] of partial sums -> [T, hidden_size].
        summed = tree_sum(output.split(width, dim=1))
        if self.has_fixed_parts:  # rounded once, however many ranks there are
            return self.group.all_reduce(summed).to(hidden_states.dtype)
        return self.group.all_reduce(summed.to(hidden_states.dtype))

    def route(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`[T, hidden_size]` -> weights fp32 and numbers int64 of the chosen experts, `[T, top_k]` each."""
        probabilities = torch.softmax(self.gate(hidden_states).float(), dim=-1)  # [T, experts]
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        return (weights / weights.sum(-1, keepdim=True) if self.renormalize else weights), chosen


def _by_expert(
    weights: torch.Tensor, chosen: torch.Tensor, num_experts: int
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """`[T, top_k]` each -> of every expert that was chosen: its number, its rows of T and their weights, `[n]` each."""
    order = chosen.flatten().argsort(stable=True)  # expert by expert, and an expert's tokens as they came
    counts = torch.bincount(chosen.flatten(), minlength=num_experts).tolist()
    rows = (order // chosen.shape[1]).split(counts)
    of_rows = weights.flatten()[order].split(counts)
    return ((idx, rows[idx], of_rows[idx]) for idx, count in enumerate(counts) if count)
