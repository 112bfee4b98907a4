"""What a network is built with: layers that already know their kernels and their ranks.

Off the token's path; used while a network comes into being. A network says which layers it has and of what size, the
kit decides everything that is the same for all of them, so that another kernel or another number of ranks changes no
network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from pagoda.distributed import ParallelGroup
from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels
from pagoda.layers.embedding import ParallelLMHead, VocabParallelEmbedding
from pagoda.layers.linear import ColumnParallelLinear, ReplicatedLinear, RowParallelLinear
from pagoda.layers.norm import PerHeadNorm, WholeWidthNorm, make_norm
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.layers.shares import Shares, divided, heads_divided


@dataclass(frozen=True)
class LayerKit:
    """Makes the layers of one network.

    norm_eps: what every norm adds to the mean square before the root
    norm_kind: name of the kind that all norms are of, one of `norm_kinds`
    num_blocks: into so many blocks of inputs row-parallel layers are cut, whatever the number of ranks; 0: as there are
        ranks
    leaves_open: whether `row` leaves its sum over ranks to whoever adds up several blocks and sums once
    """

    kernels: Kernels
    group: ParallelGroup
    norm_eps: float
    norm_kind: str = "rms_norm"
    num_blocks: int = 0
    leaves_open: bool = False

    def column(
        self, in_features: int, out_features: int, *, bias: bool, shares: Shares | None = None
    ) -> ColumnParallelLinear:
        """`[T, in] -> [T, out / ranks]`: opens a block; its outputs stay apart until `row` joins them."""
        shares = shares or divided(out_features, self.group, "output features", num_blocks=self.num_blocks)
        return ColumnParallelLinear(
            in_features, out_features, bias=bias, kernels=self.kernels, group=self.group, shares=shares
        )

    def row(
        self, in_features: int, out_features: int, *, bias: bool, shares: Shares | None = None
    ) -> RowParallelLinear:
        """`[T, in / ranks] -> [T, out]`: closes a block, with its one sum over ranks."""
        shares = shares or divided(in_features, self.group, "input features", num_blocks=self.num_blocks)
        return RowParallelLinear(
            in_features,
            out_features,
            bias=bias,
            kernels=self.kernels,
            group=self.group,
            shares=shares,
            leaves_open=self.leaves_open,
        )

    def heads(self, num_heads: int, num_kv_heads: int) -> tuple[Shares, Shares]:
        """Which query and which KV heads a rank holds. Raises ConfigError where they do not divide."""
        return heads_divided(num_heads, num_kv_heads, self.group, self.num_blocks)

    def replicated(self, in_features: int, out_features: int) -> ReplicatedLinear:
        """`[T, in] -> [T, out]`, whole on every rank."""
        return ReplicatedLinear(in_features, out_features, kernels=self.kernels)

    def with_open_sums(self) -> LayerKit:
        """The same kit, whose `row` gives `num_open_parts` parts of a sum side by side, `[T, parts * out]`."""
        return replace(self, leaves_open=True)

    @property
    def num_open_parts(self) -> int:
        """How many of the blocks are a rank's own."""
        return max(1, self.num_blocks // self.group.size)

    def embedding(self, vocab_size: int, hidden_size: int) -> VocabParallelEmbedding:
        """`input_ids [T] -> [T, hidden_size]`."""
        return VocabParallelEmbedding(vocab_size, hidden_size, kernels=self.kernels, group=self.group)

    def head(self, vocab_size: int, hidden_size: int) -> ParallelLMHead:
        """`[T, hidden_size] -> logits [T, vocab_size]`."""
        return ParallelLMHead(vocab_size, hidden_size, kernels=self.kernels, group=self.group)

    def norm(self, size: int) -> nn.Module:
        """`[..., size]` -> the same shape, normed over the last dimension."""
        return make_norm(size, self.norm_kind, self.norm_eps, self.kernels)

    def head_norm(self, heads: Shares, head_dim: int, span: str) -> nn.Module:
        """`[T, heads, head_dim]` -> the same shape, normed for attention, without a shift.

        heads: those that a rank holds
        span: "head" norms each head with one gain for all, "per_head" with a gain of its own, "width" all as one row
        Raises ConfigError for a kind that has no such span.
        """
        kind = replace(NORM_KINDS[self.norm_kind], has_bias=False)
        if span == "head":
            return make_norm(head_dim, kind, self.norm_eps, self.kernels)
        if not kind.is_plain:
            raise ConfigError(f"norm {self.norm_kind!r} norms heads one by one (qk_norm_span='head'), not by {span!r}")
        if span == "per_head":
            return PerHeadNorm(heads, head_dim, kind, self.norm_eps, self.kernels)
        return WholeWidthNorm(heads, head_dim, kind, self.norm_eps, self.kernels, self.group)
