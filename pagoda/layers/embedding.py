"""Token embedding and output head, split over ranks by vocabulary.

On the token's path: first and last stop inside the network. Each rank holds a contiguous range of the
vocabulary; ids of other ranks embed to zero and the sum over ranks fills them in, logits are gathered
(Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3).
"""

from __future__ import annotations

import torch

from pagoda.distributed import ParallelGroup
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.interface import Kernels, Matrix
from pagoda.layers.linear import ColumnParallelLinear, PackedLayer, set_weight_loader
from pagoda.layers.shares import divided


class VocabParallelEmbedding(PackedLayer):
    """`input_ids [T] -> [T, hidden_size]`."""

    def __init__(self, vocab_size: int, hidden_size: int, *, kernels: Kernels, group: ParallelGroup) -> None:
        shares = divided(vocab_size, group, "vocabulary entries")
        super().__init__(hidden_size, shares.length, kernels)
        self.group, self.shares = group, shares
        assert self.weight is not None
        set_weight_loader(self.weight, shares, 0)

    def finish_loading(self) -> None:
        """Rows are read as checkpoints have them: nothing to lay out."""

    def _take(self, codes: GroupedCodes) -> None:
        super()._take(self.shares.of_codes(codes, 0))

    def share(self, packed: Matrix) -> None:
        """Read rows of `packed`, what the kernels made of a head with the same weights, and give up the own copy."""
        self._hold(packed)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        if self.group.size == 1:
            return self._rows(input_ids)
        local_ids = input_ids - self.shares.start  # [T], row of this rank's shard
        is_local = (local_ids >= 0) & (local_ids < self.shares.length)
        # Another rank's id reads row 0 here and is zeroed: exactly one rank adds something to each token's sum.
        embedded = self._rows(local_ids.where(is_local, 0))  # [T, hidden_size]
        return self.group.all_reduce(embedded.masked_fill(~is_local[:, None], 0))

    def _rows(self, ids: torch.Tensor) -> torch.Tensor:
        return self.kernels.take_rows(self.matrix, ids)


class ParallelLMHead(ColumnParallelLinear):
    """`hidden_states [T, hidden_size] -> logits [T, vocab_size]`, gathered on every rank."""

    def __init__(self, vocab_size: int, hidden_size: int, *, kernels: Kernels, group: ParallelGroup) -> None:
        shares = divided(vocab_size, group, "vocabulary entries")
        super().__init__(hidden_size, vocab_size, bias=False, kernels=kernels, group=group, shares=shares)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        logits = self.multiply(hidden_states, None)  # [T, vocab_size / size] of each rank
        # side by side in the order of the ranks: [T, vocab_size]
        return logits if self.group.size == 1 else self.group.all_gather(logits, self.shares.widths)

    def best(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`forward(hidden_states).argmax(-1)`, `[T]` int64, of which ranks exchange no more than their own best."""
        if self.group.size == 1 and self.packed is not None:
            return self.kernels.linear_argmax(hidden_states, self.packed)
        values, ids = self.multiply(hidden_states, None).max(dim=-1, keepdim=True)
        if self.group.size == 1:
            return ids[:, 0]
        ones = (1,) * self.group.size
        values = self.group.all_gather(values, ones)  # [T, size]
        ids = self.group.all_gather(ids + self.shares.start, ones)
        return ids.gather(1, values.argmax(-1, keepdim=True))[:, 0]  # of equal ones the first, as in one rank
