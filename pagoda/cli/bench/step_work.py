"""What one step of the engine has to read and to compute, counted from `config.json`.

Off the token's path; `roofline.py` and the benchmarks ask it how fast a step could be. The model is that of Williams,
Waterman and Patterson (Roofline, CACM 2009): a step takes at least as long as its bytes take at the memory's bandwidth,
and at least as long as its operations take at the peak of the cores. Reads from caches count as free, and so does what
is written: the limit is one that no engine gets under. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.models.config import ModelConfig


@dataclass(frozen=True)
class StepWork:
    """bytes_read: weights once, and the keys and values that are there already; flops: of products and attention."""

    bytes_read: int
    flops: int

    def seconds_at(self, bytes_per_s: float, flops_per_s: float) -> float:
        """The shortest time on a machine of these limits."""
        return max(self.bytes_read / bytes_per_s, self.flops / flops_per_s)


def work_of(config: ModelConfig, dtype_bytes: int, *, rows: int, new_tokens: int = 1, depth: int = 0) -> StepWork:
    """Of a step in which each of `rows` requests, `depth` tokens long, gets `new_tokens` more and samples one."""
    tokens = rows * new_tokens
    matrices, head = _active_matrices(config), config.vocab_size * config.hidden_size * config.has_head
    seen = rows * sum(_positions_seen(config, depth + new) for new in range(1, new_tokens + 1))
    attention = 4 * config.num_attention_heads * config.head_dim * seen
    kv_bytes = (
        config.kv_bytes_per_token(dtype_bytes) * rows * _positions_seen(config, depth) // config.num_hidden_layers
    )
    return StepWork(
        bytes_read=_weight_bytes_read(config, dtype_bytes) + kv_bytes,
        flops=2 * tokens * matrices + 2 * rows * head + attention,
    )


def _weight_bytes_read(config: ModelConfig, dtype_bytes: int) -> int:
    """Of a step's weights, what it cannot do without: of experts, those of one token."""
    each = config.weight_bytes(dtype_bytes) / config.num_parameters
    of_embedding = config.vocab_size * config.hidden_size * each
    # Of an embedding that is no head only the tokens' own rows are read, which are next to nothing.
    unread = of_embedding * (not config.tie_word_embeddings or not config.has_head)
    idle = (_all_matrices(config) - _active_matrices(config)) * each
    return config.weight_bytes(dtype_bytes) - round(unread + idle)


def _active_matrices(config: ModelConfig) -> int:
    """Numbers in the layers' matrices that one token goes through."""
    return _all_matrices(config) - (config.num_parameters - config.num_active_parameters)


def _all_matrices(config: ModelConfig) -> int:
    return sum(inputs * outputs for inputs, outputs in config.all_matrices)


def _positions_seen(config: ModelConfig, length: int) -> int:
    """Positions that the last of `length` tokens sees, over all layers: a window sees no more than its own width."""
    firsts = (0 if window is None else window.first(length - 1) for window in config.layer_windows)
    return sum(length - first for first in firsts)
