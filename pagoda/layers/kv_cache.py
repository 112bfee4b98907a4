"""The tensors behind the block ids: keys and values of past tokens, in blocks of a few tokens.

On the token's path: written and read by attention in every layer. Which block belongs to whom is decided
in `engine/scheduling/block_pool`; here a block is only a place (PagedAttention, Kwon et al. 2023, arXiv 2309.06180).
"""

from __future__ import annotations

import math
import mmap

import torch

from pagoda.errors import ConfigError
from pagoda.kernels.interface import Kernels
from pagoda.kernels.kv_codes import MOST_HEAD_DIM, SCALE_BYTES


class KVCache:
    """One allocation `[num_layers, 2, num_blocks, num_kv_heads, block_size, head_dim]`; index 1 is K or V.

    dtype: the model's, or int8 for bytes with their scales behind them (`kernels/kv_codes`)
    first_layer: number of the layer that is the first one here, of a pipeline's stage
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_blocks: int,
        num_kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
        block_size: int,
        first_layer: int = 0,
    ) -> None:
        # A head's keys of one block lie together: attention reads them as one matrix [block_size, head_dim].
        if dtype == torch.int8 and head_dim > MOST_HEAD_DIM:
            raise ConfigError(
                f"kv_cache_dtype='int8' takes heads of up to {MOST_HEAD_DIM}, not of {head_dim}: leave it out"
            )
        width = head_dim + SCALE_BYTES if dtype == torch.int8 else head_dim
        shape = (num_layers, 2, num_blocks, num_kv_heads, block_size, width)
        self.tensor = _zeros(shape, dtype, device)
        self.block_size = block_size
        self.num_kv_heads = num_kv_heads
        self._first_layer = first_layer

    def layer(self, layer_idx: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Key and value caches of one layer, views `[num_blocks, num_kv_heads, block_size, head_dim]`."""
        tensor = self.tensor[layer_idx - self._first_layer]
        return tensor[0], tensor[1]

    def copy_blocks(self, pairs: tuple[tuple[int, int], ...], kernels: Kernels) -> None:
        """Copy blocks (source, destination) in every layer, for copy on write."""
        if pairs:
            kernels.copy_blocks(self.tensor, torch.tensor(pairs, device=self.tensor.device))

    @property
    def num_bytes(self) -> int:
        return self.tensor.numel() * self.tensor.element_size()


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros; on CPU from the system's zero pages, so that a block takes memory only once it is written."""
    num_bytes = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or num_bytes == 0:
        return torch.zeros(shape, dtype=dtype, device=device)
    # Mapped by ourselves: torch.zeros writes them, and numpy asks for pages of 2 MiB, one for each layer's keys and for
    # its values before the first token is through.
    mapped = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(mapped, dtype=torch.uint8).view(dtype).view(shape)
