"""From `speculative_config` to a Speculator: find and check the draft model, load it, measure what rows cost.

Off the token's path; runs once, when `build` has planned the memory and loaded the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from pagoda.engine.args import EngineArgs
from pagoda.engine.execution.executor import Executor
from pagoda.engine.execution.memory_plan import MemoryPlan
from pagoda.engine.execution.worker import Worker
from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.speculation.draft import DraftLimits, DraftModelProposer
from pagoda.engine.speculation.ngram import NgramProposer
from pagoda.engine.speculation.speculator import Prices, Speculator
from pagoda.engine.speculation.step_costs import StepCosts, measured
from pagoda.engine.speculative_config import SpeculativeConfig
from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels
from pagoda.models.checkpoint.hub import HubOptions, resolve_config, resolve_model
from pagoda.models.checkpoint.loading import has_vocabulary, load_config, load_tokenizer
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import Checkpoint, GGUFFile, opened
from pagoda.models.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class DraftModel:
    """A draft model before its weights are read."""

    name: str
    checkpoint: Checkpoint
    config: ModelConfig

    @classmethod
    def find(cls, args: EngineArgs) -> Self | None:
        """The one that `args` names, fetched if it has to be; None where none is named. Raises CheckpointError."""
        wish = args.speculative_config
        if not isinstance(wish, SpeculativeConfig) or wish.method != "draft_model":
            return None
        assert wish.model is not None, "checked by the config"
        where: HubOptions = {"revision": wish.revision, "cache_dir": args.download_dir, "token": args.hf_token}
        checkpoint = opened(resolve_config(wish.model, **where))
        config = load_config(checkpoint)
        path = resolve_model(wish.model, **where)
        return cls(str(wish.model), checkpoint if isinstance(checkpoint, GGUFFile) else path, config)

    def check(self, config: ModelConfig, tokenizer: Tokenizer | None) -> None:
        """Raises ConfigError where the draft's tokens are not those of the model with this config and tokenizer."""
        has_own = has_vocabulary(self.checkpoint)
        if tokenizer is not None and has_own:
            mine, its = _vocabulary(tokenizer), _vocabulary(load_tokenizer(self.checkpoint))
            if mine != its:
                piece = min(piece for piece in mine.keys() | its.keys() if mine.get(piece) != its.get(piece))
                raise ConfigError(
                    f"speculative_config's model {self.name} has another tokenizer, where {piece!r} is token "
                    f"{its.get(piece)} and not {mine.get(piece)}: take a smaller model of the same family"
                )
        elif self.config.vocab_size != config.vocab_size:
            raise ConfigError(
                f"speculative_config's model {self.name} has {self.config.vocab_size} tokens, but the model has "
                f"{config.vocab_size}, and there are no tokenizers to compare: take a smaller one of the same family"
            )


def _vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    return tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)


@dataclass(frozen=True)
class TargetModel:
    """The model that is proposed for, as far as it is built."""

    executor: Executor
    config: ModelConfig
    memory_plan: MemoryPlan
    dtype: torch.dtype
    device: torch.device
    kernels: Kernels

    def max_num_tokens(self, args: EngineArgs) -> int:
        """Of a sequence that is computed in one step, and fits into the KV cache."""
        plan = self.memory_plan
        return min(plan.max_model_len, args.resolve_max_num_batched_tokens(plan.max_model_len), plan.num_tokens)


def build_speculator(args: EngineArgs, target: TargetModel, draft: DraftModel | None) -> Speculator | None:
    """What `args` ask for; None where they do not. Raises CheckpointError where the draft's weights cannot be read."""
    wish = args.speculative_config
    if not isinstance(wish, SpeculativeConfig):
        return None
    step = _costs(args, target, target.executor, target.config)
    if draft is None:
        return Speculator(NgramProposer(*wish.lookup), Prices(step=step, most=wish.num_speculative_tokens))
    plan = target.memory_plan
    worker = Worker.load(draft.checkpoint, draft.config, plan, target.dtype, target.device, target.kernels)
    limits = DraftLimits(
        max_model_len=min(plan.max_model_len, draft.config.max_position_embeddings),
        max_num_batched_tokens=args.resolve_max_num_batched_tokens(plan.max_model_len),
        vocab_size=draft.config.vocab_size,
        target_vocab_size=target.config.vocab_size,
    )
    cache_config = CacheConfig(num_blocks=plan.num_blocks, block_size=plan.block_size)
    costs = _costs(args, target, worker, draft.config)
    proposer = DraftModelProposer(worker, cache_config, limits)
    return Speculator(proposer, Prices(step=step, draft=costs, most=wish.num_speculative_tokens))


def _costs(args: EngineArgs, target: TargetModel, executor: Executor, config: ModelConfig) -> StepCosts:
    return measured(
        executor,
        max_num_tokens=min(target.max_num_tokens(args), config.max_position_embeddings),
        block_size=target.memory_plan.block_size,
        vocab_size=config.vocab_size,
    )
