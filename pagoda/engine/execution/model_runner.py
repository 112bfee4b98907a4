"""One step's plan turned into tensors, run through the network, and into logits.

On the token's path: between the scheduler's message and the sampler. The runner owns weights and KV
tensors and nothing else that it could not make anew: what it needs to know of a request stands in the message, so any
rank can run any step, and a recorded message replays it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pagoda.engine.execution.step_inputs import StepInputMaker
from pagoda.engine.scheduling.plan import SchedulerOutput
from pagoda.kernels.interface import Kernels
from pagoda.layers.attention import PagedAttention
from pagoda.layers.kv_cache import KVCache
from pagoda.models.llama import LlamaForCausalLM


@dataclass(frozen=True)
class ModelOutput:
    """What a step computed, rows in the order of the plan.

    hidden_states: [total_num_scheduled_tokens, hidden_size], after the final norm
    logits: [n, vocab_size]; for each request the rows of its last `num_logits` tokens, requests back to back; or, where
        the best token of each was asked for and nothing else,
    best_tokens: [n] int64, their arg-max
    """

    hidden_states: torch.Tensor
    logits: torch.Tensor | None
    best_tokens: torch.Tensor | None = None


class ModelRunner:
    """Runs plans on one device. The cache and the model must live there already."""

    def __init__(self, model: LlamaForCausalLM, kv_cache: KVCache, kernels: Kernels) -> None:
        self.model = model
        self.kv_cache = kv_cache
        self.kernels = kernels
        self.device = kv_cache.tensor.device
        self._layer_windows = model.config.layer_windows
        self._inputs = StepInputMaker(
            kv_cache.block_size,
            kernels.row_multiple,
            self.device,
            with_lengths=model.model.rotary.depends_on_length,
        )

    @torch.inference_mode()
    def execute(self, plan: SchedulerOutput, *, best_only: bool = False) -> ModelOutput:
        """Run one step: copy the blocks that are about to be written by two, then the forward pass.

        best_only: no logits are looked at, but for the token that has the largest
        """
        self.kv_cache.copy_blocks(plan.blocks_to_copy, self.kernels)
        inputs = self._inputs.make(plan.scheduled)
        attention = PagedAttention(self.kv_cache, inputs.metadata, self.kernels, self._layer_windows)
        hidden_states = self.model(inputs.input_ids, inputs.positions, attention, inputs.sequence_lengths)
        num_tokens = plan.total_num_scheduled_tokens
        wanted, num_wanted = self._wanted(hidden_states, inputs.logit_rows, num_tokens)
        if best_only:
            return ModelOutput(hidden_states[:num_tokens], None, self.model.best_tokens(wanted)[:num_wanted])
        if not num_wanted:  # embeddings, and chunks with more to come
            return ModelOutput(hidden_states[:num_tokens], hidden_states.new_empty(0, self.model.config.vocab_size))
        return ModelOutput(hidden_states[:num_tokens], self.model.compute_logits(wanted)[:num_wanted])

    def _wanted(self, hidden_states: torch.Tensor, rows: list[int] | None, num_tokens: int) -> tuple[torch.Tensor, int]:
        """The rows whose logits are wanted, most steps want all, filled up for the kernels; and how many they are."""
        if rows is None:
            return hidden_states, num_tokens
        return F.pad(hidden_states[rows], (0, 0, 0, -len(rows) % self.kernels.row_multiple)), len(rows)
