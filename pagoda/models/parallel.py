"""Over how many ranks a model can be divided: asked before anything is loaded.

Off the token's path. Ranks hold whole heads, stages whole layers. Imports no torch.
"""

from __future__ import annotations

from pagoda.errors import ConfigError
from pagoda.models.config import ModelConfig

_MOST_BLOCKS = 4
_MOST_RANKS = 64
"""That meet in one segment of shared memory: `csrc/ranks.cpp`."""


def num_fixed_blocks(config: ModelConfig) -> int:
    """Blocks that sums over inputs are cut into where logits are to have the same bits over 1, 2 and 4 ranks."""
    return next(blocks for blocks in (_MOST_BLOCKS, 2, 1) if config.num_attention_heads % blocks == 0)


def tensor_parallel_sizes(config: ModelConfig) -> list[int]:
    """Numbers of ranks that the heads divide over, KV heads once or several times each."""
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    experts = config.experts
    inner = [config.intermediate_size] if experts is None else [experts.intermediate_size]
    if experts is not None and experts.shared_intermediate_size is not None:
        inner.append(experts.shared_intermediate_size)
    if experts is not None and not all(experts.sparse_layers):
        inner.append(config.intermediate_size)
    most = min(config.vocab_size, *inner)
    return [
        size
        for size in range(1, min(heads, _MOST_RANKS) + 1)
        if heads % size == 0 and (kv_heads % size == 0 or size % kv_heads == 0) and size <= most
    ]


def check_ranks(config: ModelConfig, *, tensor: int, pipeline: int, fixed_blocks: int = 0) -> None:
    """Raises ConfigError, saying what would fit, where a model cannot be divided over so many ranks and stages.

    fixed_blocks: of `num_fixed_blocks`, where sums are to be the same for any number of ranks; 0 where not
    """
    if tensor not in (fits := tensor_parallel_sizes(config)):
        raise ConfigError(
            f"tensor_parallel_size={tensor}, but {config.num_attention_heads} attention heads with "
            f"{config.num_key_value_heads} KV heads divide over {_listed(fits)} ranks: take one of these"
        )
    if fixed_blocks and fixed_blocks % tensor:
        fits = [size for size in fits if fixed_blocks % size == 0]
        raise ConfigError(
            f"tensor_parallel_size={tensor} with fixed_reduction_tree, which adds up {fixed_blocks} blocks: "
            f"take {_listed(fits)} ranks, or leave it out"
        )
    if pipeline > config.num_hidden_layers:
        raise ConfigError(
            f"pipeline_parallel_size={pipeline}, but the model has {config.num_hidden_layers} layers: take at most as "
            f"many stages"
        )


def _listed(sizes: list[int]) -> str:
    return " or ".join([", ".join(map(str, sizes[:-1])), str(sizes[-1])] if len(sizes) > 1 else [str(sizes[0])])
