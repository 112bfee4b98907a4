"""One rank: the model's weights, its part of the KV cache, and the sampler at its end.

On the token's path: `core.step` hands a plan and its rows over, `model_runner` computes logits, and plain tokens go
back. What leaves here holds no tensor, so that a worker may as well stand in another process or on another machine;
masks of grammars come with the rows and are applied here, where the logits are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import torch

from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.execution.model_runner import ModelOutput, ModelRunner
from pagoda.engine.execution.place import RankPlace
from pagoda.engine.execution.pooling import pool
from pagoda.engine.outputs import Logprob, SampledToken
from pagoda.engine.sampling.constraints import constraint_names, no_token_left
from pagoda.engine.sampling.logprobs import prompt_logprobs
from pagoda.engine.sampling.rows import SampleRow, ScoreRow, StepRows
from pagoda.engine.sampling.sampler import NO_TOKEN, Sampler, takes_the_best
from pagoda.engine.sampling.verifying import verified
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.hardware import return_freed_memory
from pagoda.kernels.interface import Kernels
from pagoda.layers.kv_cache import KVCache
from pagoda.models.balanced_keys import BalancedKeys
from pagoda.models.checkpoint.loading import Recode, load_weights
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import Checkpoint
from pagoda.models.joined import join_layers
from pagoda.models.llama import LlamaForCausalLM


class Worker:
    """Executes plans on one device. Holds nothing of a request between two steps but its blocks in the cache."""

    def __init__(self, runner: ModelRunner) -> None:
        self.runner = runner
        self.sampler = Sampler()

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        config: ModelConfig,
        plan: MemoryPlan,
        dtype: torch.dtype,
        device: torch.device,
        kernels: Kernels,
        recode: Recode | None = None,
        place: RankPlace | None = None,
    ) -> Worker:
        """Read the weights of a checkpoint and take the memory of its KV cache. Raises CheckpointError.

        recode: see `load_weights`; place: which part of the model this worker has
        """
        place = place or RankPlace()
        with _default_dtype(dtype), torch.device(device):
            model = LlamaForCausalLM(config, kernels, place.group, place.stage, place.num_blocks)
        in_bytes = plan.kv_cache_dtype == "int8"
        load_weights(model, checkpoint, dtype=dtype, recode=recode, through=BalancedKeys if in_bytes else None)
        join_layers(model, kernels)
        return_freed_memory()
        kv_cache = KVCache(
            num_layers=len(model.model.own_layers),
            num_blocks=plan.num_blocks,
            num_kv_heads=model.num_kv_heads,
            head_dim=config.head_dim,
            dtype=torch.int8 if in_bytes else dtype,
            device=device,
            block_size=plan.block_size,
            first_layer=model.model.own_layers.start,
        )
        return cls(ModelRunner(model.requires_grad_(False).eval(), kv_cache, kernels, place))

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        """Run one step: the network over all its tokens, then what each row asks for."""
        computed = self.runner.execute(plan, best_only=wants_best_only(rows))
        assert computed is not None, "the worker of the last stage"
        tokens, errors = self._sample(plan, computed, rows.samples)
        pooled, pooled_so_far = pool(plan, computed.hidden_states, rows.pools) if rows.pools else ({}, {})
        return StepOutput(
            tokens=tokens,
            prompt_logprobs=_scored(plan, computed, rows.scores) if rows.scores else {},
            pooled=pooled,
            pooled_so_far=pooled_so_far,
            errors=errors,
        )

    def follow(self, plan: SchedulerOutput, *, best_only: bool) -> None:
        """Compute a step along with the rank that executes it: of another stage, or with other shares of the layers.

        best_only: what `wants_best_only` says of the step's rows
        """
        self.runner.execute(plan, best_only=best_only)

    def _sample(
        self, plan: SchedulerOutput, computed: ModelOutput, rows: Sequence[SampleRow]
    ) -> tuple[dict[str, tuple[SampledToken, ...]], dict[str, str]]:
        """The tokens of each request that has rows; or why there can be none."""
        if not rows:
            return {}, {}
        found = computed.logits if computed.best_tokens is None else computed.best_tokens
        assert found is not None, "logits or best tokens"
        if len(rows) < len(found):  # most steps sample everywhere: then they are taken as they lie
            found = found[_logit_rows(plan, rows)]
        if computed.best_tokens is None:
            sampled = self.sampler.sample(found, rows)
        else:
            sampled = [SampledToken(token_id, None) for token_id in found.tolist()]
        proposed = {entry.request_id: entry.proposed for entry in plan.scheduled if entry.num_proposed}
        tokens = verified(rows, sampled, proposed)
        errors = {}
        for row in rows:
            if row.request_id in tokens and tokens[row.request_id][0].token_id == NO_TOKEN:
                names = constraint_names(row.params, row.position)
                errors[row.request_id] = no_token_left(names, row.position)
                del tokens[row.request_id]
        return tokens, errors


def wants_best_only(rows: StepRows) -> bool:
    """Whether of a step's logits nothing but the largest is asked for."""
    return bool(rows.samples) and not rows.scores and all(map(takes_the_best, rows.samples))


def _logit_rows(plan: SchedulerOutput, rows: Sequence[SampleRow]) -> list[int]:
    """Of each row the place of its logits: after the last known token of its request, after the first proposed one, ...

    What else was asked for, a prompt's logits, comes before these.
    """
    ends = accumulate(entry.num_logits for entry in plan.scheduled)
    following = {
        entry.request_id: end - 1 - entry.num_proposed for entry, end in zip(plan.scheduled, ends, strict=True)
    }
    places = []
    for row in rows:
        places.append(following[row.request_id])
        following[row.request_id] += 1
    return places


def _scored(
    plan: SchedulerOutput, computed: ModelOutput, rows: Sequence[ScoreRow]
) -> dict[str, tuple[dict[int, Logprob], ...]]:
    """Log-probabilities of prompt tokens."""
    ends = _ends(plan, [entry.num_logits for entry in plan.scheduled])
    lengths = {entry.request_id: entry.num_logits for entry in plan.scheduled}
    scored = {}
    for row in rows:
        first = ends[row.request_id] - lengths[row.request_id] + row.first_row
        assert computed.logits is not None, "scores are asked for"
        logits = computed.logits[first : first + len(row.targets)]
        scored[row.request_id] = tuple(prompt_logprobs(logits, row.targets, row.num_logprobs))
    return scored


def _ends(plan: SchedulerOutput, counts: Sequence[int]) -> dict[str, int]:
    """Request id -> where its rows end, when each request of the plan has so many, back to back."""
    return dict(zip(plan.num_scheduled_tokens, accumulate(counts), strict=True))


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Parameters come into being in `dtype`, so that a model never takes the memory of its fp32 form."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
