"""Floats rounded to few bits while they are loaded: `quantization="int8"` or `"int4"`, no text needed.

Runs once before the first token, between a checkpoint's tensors and the layers that adopt them. int8 loses next to
nothing; int4 is rounding without compensation, for which `pagoda quantize` does better. The head, and the embedding
with it, is int8 in both: it is what 4 bits hurt most.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.errors import ConfigError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.layers.embedding import ParallelLMHead, VocabParallelEmbedding
from pagoda.layers.linear import ParallelLinear
from pagoda.models.coded_weights import ALL_FLOATS, CodedWeights
from pagoda.models.config import ModelConfig
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import INT8, PRESETS, Scheme


class RoundedOnLoad:
    """What `load_weights` is given to make codes of the floats of layers.

    name: of PRESETS. Raises ConfigError for a checkpoint that has codes already.
    """

    def __init__(self, name: str, config: ModelConfig) -> None:
        if config.coded != ALL_FLOATS:
            raise ConfigError(
                f"quantization={name!r}, but the checkpoint is quantised already: leave it out, or take the checkpoint "
                f"that this one was made from"
            )
        self.scheme: Scheme = PRESETS[name]

    def __call__(self, layer: nn.Module, weight: torch.Tensor) -> torch.Tensor | GroupedCodes:
        """`weight [out, in]` as `layer` is to have it; routers stay floats."""
        if isinstance(layer, ParallelLMHead | VocabParallelEmbedding):
            return round_to_nearest(weight, INT8, search=False)
        if not isinstance(layer, ParallelLinear):
            return weight
        # A range of 256 steps needs no cutting.
        return round_to_nearest(weight, self.scheme, search=self.scheme.bits < INT8.bits)

    def coded(self, config: ModelConfig) -> CodedWeights:
        """What of the weights will be codes, and their bytes."""
        end = (config.hidden_size, config.vocab_size)
        ends = [end] if config.tie_word_embeddings or not config.has_head else [end, end]
        num_bytes = sum(self.scheme.num_bytes(*size) for size in config.all_matrices)
        num_bytes += sum(INT8.num_bytes(*size) for size in ends)
        return CodedWeights(sum(rows * columns for rows, columns in [*config.all_matrices, *ends]), num_bytes)
