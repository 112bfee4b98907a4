"""Perplexity by position, also where training never was: for each kind of RoPE, of one checkpoint on one text.

Beside the experiments. Windows of the text that are several times as long as the model's own length are read as one
sequence each; what a token costs is averaged over the tokens of a stretch of positions. A kind that depends on the
length of the sequence gets what it would have in generation: a token's own position + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.checkpoint.loading import load_weights
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.tokenizer.tokenizer import Tokenizer

_STRETCHES_OF_LENGTH = 8
"""Into so many stretches the model's own length is cut."""


@dataclass(frozen=True)
class PerplexityByPosition:
    """`perplexities[i]` is that of positions `starts[i]` to `starts[i + 1]`, for one kind of RoPE."""

    kind: str
    starts: tuple[int, ...]
    perplexities: tuple[float, ...]


def scalings(factor: float, length: int) -> dict[str, dict[str, Any] | None]:
    """The kinds that need no searched numbers, each reaching `factor` times `length`."""
    original = {"factor": factor, "original_max_position_embeddings": length}
    return {
        "default": None,
        "linear": {"rope_type": "linear", "factor": factor},
        "dynamic": {"rope_type": "dynamic", "factor": factor},
        "yarn": {"rope_type": "yarn", **original},
        "llama3": {"rope_type": "llama3", **original, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    }


@torch.no_grad()
def perplexity_by_position(
    directory: Path, text: str, *, factor: int = 4, windows: int = 4
) -> list[PerplexityByPosition]:
    """For each kind of `scalings`. Raises ConfigError for too short a text, and a checkpoint with a kind of its own."""
    config = ModelConfig.from_directory(directory)
    if config.rope_scaling is not None:
        raise ConfigError(f"{directory} has a RoPE of its own kind: give a checkpoint whose rope_scaling is null")
    length = config.max_position_embeddings
    pieces = _windows(Tokenizer.from_directory(directory).encode(text), factor * length, windows)
    model = LlamaForCausalLM(config, ReferenceKernels())
    load_weights(model, directory, dtype=torch.float32)
    found = []
    for kind, scaling in scalings(float(factor), length).items():
        model.model.rotary = RotaryEmbedding(replace(config, rope_scaling=scaling).rope)
        costs = torch.stack([_costs(model, piece) for piece in pieces]).mean(0)  # [length of a window]
        stretch = length // _STRETCHES_OF_LENGTH
        means = [float(part.mean()) for part in costs.split(stretch)]
        starts = tuple(range(0, len(costs), stretch))
        found.append(PerplexityByPosition(kind, starts, tuple(math.exp(mean) for mean in means)))
    return found


def draw_perplexities(found: Sequence[PerplexityByPosition], length: int, path: Path) -> Path:
    """A line for each kind, and where the model's own length ends. Raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing perplexity by position", "train") from error
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for each in found:
        axis.plot(each.starts, each.perplexities, marker="o", markersize=3, label=each.kind)
    axis.axvline(length, color="0.6", linestyle="--", label="length of training")
    axis.set_yscale("log")
    axis.set_xlabel("position")
    axis.set_ylabel("perplexity")
    axis.legend(fontsize="small")
    figure.savefig(path, dpi=100)
    return path


def _windows(ids: list[int], length: int, count: int) -> list[torch.Tensor]:
    """`[length + 1]` each, spread over the text."""
    if len(ids) <= length:
        raise ConfigError(
            f"the text has {len(ids)} tokens, but {length + 1} are needed for one window: give a longer text or a "
            "smaller --factor"
        )
    count = min(count, (len(ids) - 1) // length)
    starts = [round(i * (len(ids) - length - 1) / max(1, count - 1)) for i in range(count)]
    return [torch.tensor(ids[start : start + length + 1]) for start in starts]


def _costs(model: LlamaForCausalLM, piece: torch.Tensor) -> torch.Tensor:
    """Nats of every token after those before it."""
    ids, targets = piece[:-1], piece[1:]
    positions = torch.arange(len(ids))
    hidden = model(ids, positions, DenseAttention(1, model.config.layer_windows), positions + 1)
    return F.cross_entropy(model.compute_logits(hidden).float(), targets, reduction="none")
