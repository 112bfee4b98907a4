"""The seam between the network and where keys and values live.

On the token's path: once in every decoder layer. `llama.py` calls `attend` and cannot tell whether it is
being trained (`DenseAttention`, whole sequences side by side) or serving (`PagedAttention`, one row per
scheduled token, the past in the paged cache).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch.nn import functional as F

from pagoda.kernels.interface import (
    AttentionMetadata,
    AttentionScores,
    AttentionShape,
    Decoder,
    Kernels,
    Rotation,
    StepPlan,
)
from pagoda.kernels.window import LayerWindow
from pagoda.layers.kv_cache import KVCache

LayerWindows = Sequence[LayerWindow]
"""By layer, what a token sees; None for all before it."""


class AttentionBackend(Protocol):
    """Causal attention for one forward pass.

    num_tokens: rows of the pass that are tokens, where those behind them are padding; None: all are
    """

    num_tokens: int | None

    def attend(
        self, layer_idx: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: AttentionScores
    ) -> torch.Tensor:
        """`query [T, heads, head_dim]`, `key` and `value [T, kv_heads, head_dim]` -> `[T, heads, head_dim]`."""
        ...


class DenseAttention:
    """`batch_size` sequences of equal length, back to back, nothing before them: training and scoring.

    is_causal: whether a token sees only those before it; if not, all of its sequence, and windows are none
    """

    num_tokens: int | None = None

    def __init__(self, batch_size: int, layer_windows: LayerWindows, is_causal: bool = True) -> None:
        self.batch_size = batch_size
        self.layer_windows = layer_windows
        self.is_causal = is_causal

    def from_first(self, positions: torch.Tensor) -> torch.Tensor:
        """`positions [T]`, each less that of the first token of its sequence: the distances that attention sees."""
        rows = positions.unflatten(0, (self.batch_size, -1))
        return (rows - rows[:, :1]).flatten()

    def attend(
        self, layer_idx: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: AttentionScores
    ) -> torch.Tensor:
        # Rows lie back to back; attention wants them apart: [T, heads, D] -> [batch, heads, length, D].
        query, key, value = (x.unflatten(0, (self.batch_size, -1)).transpose(1, 2) for x in (query, key, value))
        mask = None
        if self.is_causal:
            mask = self._window_mask(query.shape[2], self.layer_windows[layer_idx], query.device)
        elif scores.softcap is not None:
            mask = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool, device=query.device)
        if scores.softcap is not None:
            attended = _capped_attention(query, key, value, mask, scores)
        else:
            attended = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=mask,
                is_causal=self.is_causal and mask is None,
                scale=scores.scale,
                enable_gqa=True,  # fewer KV heads than heads
            )
        return attended.transpose(1, 2).flatten(0, 1)  # [T, heads, D] again

    @staticmethod
    def _window_mask(length: int, window: LayerWindow, device: torch.device) -> torch.Tensor | None:
        if window is None or window.first(length - 1) == 0:
            return None  # plainly causal, for which torch has a kernel that needs no mask
        position = torch.arange(length, device=device)
        query = position[:, None]  # rows; keys are columns
        return (position <= query) & window.sees(query, position)


class PagedAttention:
    """One step of the engine: store this step's K and V, then attend over the blocks of each request."""

    def __init__(
        self, kv_cache: KVCache, metadata: AttentionMetadata, kernels: Kernels, layer_windows: LayerWindows
    ) -> None:
        self.kv_cache = kv_cache
        self.metadata = metadata
        self.num_tokens: int | None = metadata.query_start_loc[-1]
        self.kernels = kernels
        self.layer_windows = layer_windows
        self._plans: dict[LayerWindow, StepPlan] = {}

    def attend(
        self, layer_idx: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: AttentionScores
    ) -> torch.Tensor:
        k_cache, v_cache = self.kv_cache.layer(layer_idx)  # [num_blocks, kv_heads, block_size, head_dim] each
        plan = self._plan(self.layer_windows[layer_idx], query.shape[1] // key.shape[1])
        # First stored, then read back through the blocks: a token sees itself and this step's others like all before.
        self.kernels.store_kv(key, value, k_cache, v_cache, plan)
        return self.kernels.paged_attention(query, k_cache, v_cache, plan, scores)

    def decode(
        self,
        decoder: Decoder,
        input_ids: torch.Tensor,
        positions: torch.Tensor | None,
        rotations: Mapping[str, Rotation],
        hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The network below its head at once, with this step's plans and cache."""
        plans = {window: self._plan(window, decoder.group) for window in decoder.windows}
        return decoder(input_ids, positions, rotations, plans, self.kv_cache.tensor, hidden_states)

    def _plan(self, window: LayerWindow, group: int) -> StepPlan:
        """The kernels' plan of this step, made once for all layers with the same window."""
        # Layers differ in nothing else that a plan depends on, so a model without windows needs one plan a step.
        if window not in self._plans:
            shape = AttentionShape(self.kv_cache.num_kv_heads, group, self.kv_cache.block_size, window)
            self._plans[window] = self.kernels.plan_attention(self.metadata, shape)
        return self._plans[window]


def _capped_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scores: AttentionScores
) -> torch.Tensor:
    """Attention with bounded scores (Gemma 2, arXiv 2408.00118, section 2), which torch has no function for.

    `query [batch, heads, length, D]`, `key` and `value [batch, kv_heads, length, D]` -> as `query`.
    """
    assert scores.softcap is not None
    length, group = query.shape[2], query.shape[1] // key.shape[1]
    if mask is None:
        mask = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    key, value = (x.repeat_interleave(group, dim=1) for x in (key, value))
    products = query @ key.transpose(2, 3) * (scores.scale / scores.softcap)  # [batch, heads, length, length]
    capped = (products.tanh() * scores.softcap).masked_fill(~mask, float("-inf"))
    return capped.float().softmax(-1).to(value.dtype) @ value
