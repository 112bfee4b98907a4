"""How much fits: weights, KV cache and requests, counted from `config.json` before anything is loaded.

Off the token's path: asked once at start, and by `pagoda plan`. Pure arithmetic over ModelConfig; imports no
torch. The block is PagedAttention's unit (Kwon et al. 2023, arXiv 2309.06180).
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.errors import InsufficientMemoryError
from pagoda.models.config import ModelConfig

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
KV_CACHE_DTYPES = ("auto", "int8")
"""As the weights' floats, or whole numbers of one byte with their scales."""
GIB = 1 << 30
_REMEDY = "raise the budget (kv_cache_memory_fraction on CPU, gpu_memory_utilization on GPU) or take a smaller model"


@dataclass(frozen=True)
class MemoryPlan:
    """Sizes in bytes, counts in blocks and tokens."""

    weight_bytes: int
    kv_bytes_per_token: int
    block_size: int
    num_blocks: int
    max_model_len: int
    kv_cache_dtype: str = "auto"

    @property
    def num_tokens(self) -> int:
        """Tokens that the KV cache holds."""
        return self.num_blocks * self.block_size

    @property
    def kv_cache_bytes(self) -> int:
        return self.num_tokens * self.kv_bytes_per_token

    def num_requests(self, num_tokens: int) -> int:
        """Requests of `num_tokens` each, prompt and output, that the KV cache holds at once."""
        return self.num_blocks // -(-num_tokens // self.block_size)


@dataclass(frozen=True)
class CacheWish:
    """What an operator says of the KV cache.

    block_size: tokens of a block; num_bytes: its share of memory, num_blocks: its size, instead of what is left
    dtype: one of KV_CACHE_DTYPES
    num_copies: ranks that hold the same keys and values, where there are more ranks than KV heads
    """

    block_size: int
    num_bytes: int | None = None
    num_blocks: int | None = None
    dtype: str = "auto"
    num_copies: int = 1


def plan_memory(
    config: ModelConfig,
    *,
    dtype: str,
    budget_bytes: int,
    max_model_len: int,
    max_num_seqs: int,
    cache: CacheWish,
    draft: ModelConfig | None = None,
) -> MemoryPlan:
    """Divide `budget_bytes` into weights and as many KV blocks as are left, or as can ever be used.

    draft: a model that proposes tokens; its weights count to the weights, and its keys and values to each block.
    Raises InsufficientMemoryError where the weights, the blocks that were asked for, or those of one longest request do
    not fit.
    """
    models = [config] if draft is None else [config, draft]
    weight_bytes = sum(model.weight_bytes(DTYPE_BYTES[dtype]) for model in models)
    number_bytes = 1 if cache.dtype == "int8" else DTYPE_BYTES[dtype]
    kv_bytes = sum(model.kv_bytes_per_token(number_bytes) for model in models[1:])
    kv_bytes += config.kv_bytes_per_token(number_bytes) * cache.num_copies
    block_size = cache.block_size
    blocks_of_one = -(-max_model_len // block_size)
    left = budget_bytes - weight_bytes
    if left <= 0:
        raise InsufficientMemoryError(
            f"the weights take {weight_bytes / GIB:.2f} GiB in {dtype}, but the memory budget is "
            f"{budget_bytes / GIB:.2f} GiB: {_REMEDY}"
        )
    affordable = left // (kv_bytes * block_size)
    asked = cache.num_blocks
    if asked is None and cache.num_bytes is not None:
        asked = cache.num_bytes // (kv_bytes * block_size)
    if asked is not None and asked < 1:
        raise InsufficientMemoryError(
            f"the KV cache is to have less than one block, which takes {kv_bytes * block_size} bytes: give "
            f"kv_cache_memory_bytes or num_gpu_blocks_override room for that at least"
        )
    if asked is not None and asked > affordable:
        raise InsufficientMemoryError(
            f"{asked} KV blocks of {kv_bytes * block_size} bytes were asked for, but the memory budget of "
            f"{budget_bytes / GIB:.2f} GiB leaves room for {affordable}: {_REMEDY}"
        )
    chosen = min(affordable, blocks_of_one * max_num_seqs) if asked is None else asked
    if asked is None and chosen < blocks_of_one:
        raise InsufficientMemoryError(
            f"the KV cache would hold {chosen * block_size} tokens, but max_model_len is {max_model_len}: "
            f"lower max_model_len, or {_REMEDY}"
        )
    return MemoryPlan(weight_bytes, kv_bytes, block_size, chosen, max_model_len, cache.dtype)
