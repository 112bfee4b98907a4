"""One step's plan turned into tensors, run through the network, and into logits.

On the token's path: between the scheduler's message and the sampler. The runner owns weights and KV
tensors and nothing else: what it needs to know of a request stands in the message, so any rank can run any
step, and a recorded message replays it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
from pagoda.kernels.interface import AttentionMetadata, Kernels
from pagoda.layers.attention import PagedAttention
from pagoda.layers.kv_cache import KVCache
from pagoda.models.llama import LlamaForCausalLM


@dataclass(frozen=True)
class ModelOutput:
    """What a step computed, rows in the order of the plan.

    hidden_states: [total_num_scheduled_tokens, hidden_size], after the final norm
    logits: [n, vocab_size]; for each request the rows of its last `num_logits` tokens, requests back to back
    """

    hidden_states: torch.Tensor
    logits: torch.Tensor


class ModelRunner:
    """Runs plans on one device. The cache and the model must live there already."""

    def __init__(self, model: LlamaForCausalLM, kv_cache: KVCache, kernels: Kernels) -> None:
        self.model = model
        self.kv_cache = kv_cache
        self.kernels = kernels
        self.device = kv_cache.tensor.device
        self._layer_windows = model.config.layer_windows

    @torch.inference_mode()
    def execute(self, plan: SchedulerOutput) -> ModelOutput:
        """Run one step: copy the blocks that are about to be written by two, then the forward pass."""
        self.kv_cache.copy_blocks(plan.blocks_to_copy, self.kernels)
        scheduled = plan.scheduled
        input_ids = self._pad([token_id for entry in scheduled for token_id in entry.token_ids], 0)
        positions = self._pad([position for entry in scheduled for position in _positions(entry)], 0)
        lengths = None
        if self.model.model.rotary.depends_on_length:
            lengths = self._pad([length for entry in scheduled for length in _sequence_lengths(entry)], 1)
        metadata = self._metadata(scheduled)
        attention = PagedAttention(self.kv_cache, metadata, self.kernels, self._layer_windows)
        hidden_states = self.model(input_ids, positions, attention, lengths)
        return ModelOutput(hidden_states[: plan.total_num_scheduled_tokens], self._logits(hidden_states, scheduled))

    def _pad(self, values: list[int], filler: int) -> torch.Tensor:
        """As int64 on the device, filled up to a multiple of the rows that the kernels take."""
        return torch.tensor(values + [filler] * (-len(values) % self.kernels.row_multiple), device=self.device)

    def _metadata(self, scheduled: tuple[ScheduledRequest, ...]) -> AttentionMetadata:
        starts = [0]
        for entry in scheduled:
            starts.append(starts[-1] + len(entry.token_ids))
        width = max(len(entry.block_ids) for entry in scheduled)
        tables = [[*entry.block_ids, *([0] * (width - len(entry.block_ids)))] for entry in scheduled]
        return AttentionMetadata(
            query_start_loc=tuple(starts),
            seq_lens=tuple(entry.num_computed_tokens + len(entry.token_ids) for entry in scheduled),
            block_tables=torch.tensor(tables, device=self.device),
            slot_mapping=self._pad([slot for entry in scheduled for slot in self._slots(entry)], -1),
        )

    def _slots(self, entry: ScheduledRequest) -> list[int]:
        size = self.kv_cache.block_size
        return [entry.block_ids[position // size] * size + position % size for position in _positions(entry)]

    def _logits(self, hidden_states: torch.Tensor, scheduled: tuple[ScheduledRequest, ...]) -> torch.Tensor:
        rows: list[int] = []
        end = 0
        for entry in scheduled:
            end += len(entry.token_ids)
            rows.extend(range(end - entry.num_logits, end))
        if not rows:  # embeddings, and chunks with more to come
            return hidden_states.new_empty(0, self.model.config.vocab_size)
        wanted = hidden_states[rows]
        padded = F.pad(wanted, (0, 0, 0, -len(rows) % self.kernels.row_multiple))
        return self.model.compute_logits(padded)[: len(rows)]


def _positions(entry: ScheduledRequest) -> range:
    return range(entry.num_computed_tokens, entry.num_computed_tokens + len(entry.token_ids))


def _sequence_lengths(entry: ScheduledRequest) -> list[int]:
    """How long the sequence was when each token came in: the whole prompt came at once, outputs one by one."""
    return [max(entry.num_prompt_tokens, position + 1) for position in _positions(entry)]
