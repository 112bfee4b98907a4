"""One step's plan turned into tensors, run through the network, and into logits.

On the token's path: between the scheduler's message and the sampler. The runner owns weights and KV
tensors and nothing else that it could not make anew: what it needs to know of a request stands in the message, so any
rank can run any step, and a recorded message replays it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pagoda.engine.execution.micro_batches import micro_batches
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.step_inputs import StepInputMaker, StepInputs, logit_rows
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
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
    """Runs plans on one device. The cache and the model must live there already.

    place: which part of the model this is
    """

    def __init__(
        self, model: LlamaForCausalLM, kv_cache: KVCache, kernels: Kernels, place: RankPlace | None = None
    ) -> None:
        self.model = model
        self.kv_cache = kv_cache
        self.kernels = kernels
        self.device = kv_cache.tensor.device
        self.place = place or RankPlace()
        self._layer_windows = model.config.layer_windows
        self._makers: list[StepInputMaker] = []  # one for each part of a step

    @torch.inference_mode()
    def execute(self, plan: SchedulerOutput, *, best_only: bool = False) -> ModelOutput | None:
        """Run one step: copy the blocks that are about to be written by two, then the forward pass.

        best_only: no logits are looked at, but for the token that has the largest
        None where another stage has the end of the model.
        """
        self.kv_cache.copy_blocks(plan.blocks_to_copy, self.kernels)
        if self.place.stage.count > 1:
            hidden_states, rows = self._as_stage(plan), logit_rows(plan.scheduled, plan.total_num_scheduled_tokens)
        else:
            inputs = self._inputs(0, plan.scheduled)
            hidden_states, rows = self._forward(inputs), inputs.logit_rows
        if hidden_states is None:
            return None
        num_tokens = plan.total_num_scheduled_tokens
        wanted, num_wanted = self._wanted(hidden_states, rows, num_tokens)
        if best_only:
            return ModelOutput(hidden_states[:num_tokens], None, self.model.best_tokens(wanted)[:num_wanted])
        if not num_wanted:  # embeddings, and chunks with more to come
            return ModelOutput(hidden_states[:num_tokens], hidden_states.new_empty(0, self.model.config.vocab_size))
        return ModelOutput(hidden_states[:num_tokens], self.model.compute_logits(wanted)[:num_wanted])

    def _inputs(self, part: int, scheduled: Sequence[ScheduledRequest]) -> StepInputs:
        while part >= len(self._makers):
            multiple, with_lengths = self.kernels.row_multiple, self.model.model.rotary.depends_on_length
            maker = StepInputMaker(self.kv_cache.block_size, multiple, self.device, with_lengths=with_lengths)
            self._makers.append(maker)
        return self._makers[part].make(scheduled)

    def _forward(self, inputs: StepInputs, hidden_states: torch.Tensor | None = None) -> torch.Tensor:
        attention = PagedAttention(self.kv_cache, inputs.metadata, self.kernels, self._layer_windows)
        ids, lengths = inputs.input_ids, inputs.sequence_lengths
        computed: torch.Tensor = self.model(ids, inputs.positions, attention, lengths, hidden_states)
        return computed

    def _as_stage(self, plan: SchedulerOutput) -> torch.Tensor | None:
        """Hidden states of the step's tokens, filled up for the kernels; None where the next stage has got them."""
        before, after = self.place.before, self.place.after
        computed = []
        for part, scheduled in enumerate(micro_batches(plan.scheduled, self.place.stage.count)):
            inputs = self._inputs(part, scheduled)
            shape = len(inputs.input_ids), self.model.config.hidden_size
            received = None
            if before is not None:
                received = before.receive(torch.empty(shape, dtype=self.model.dtype, device=self.device))
            hidden_states = self._forward(inputs, received)
            if after is not None:
                after.send(hidden_states)
            else:
                computed.append(hidden_states[: sum(len(entry.token_ids) for entry in scheduled)])
        if after is not None:
            return None
        whole = torch.cat(computed)
        return F.pad(whole, (0, 0, 0, -len(whole) % self.kernels.row_multiple))

    def _wanted(self, hidden_states: torch.Tensor, rows: list[int] | None, num_tokens: int) -> tuple[torch.Tensor, int]:
        """The rows whose logits are wanted, most steps want all, filled up for the kernels; and how many they are."""
        if rows is None:
            return hidden_states, num_tokens
        return F.pad(hidden_states[rows], (0, 0, 0, -len(rows) % self.kernels.row_multiple)), len(rows)
