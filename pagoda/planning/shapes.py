"""What of a model a step's time and a device's memory depend on: sizes, counted from `config.json` and a format.

Beside the token's path, between `models/config` and `costs`. A step reads every matrix of the layers once, of a mixture
of experts those that any of its tokens goes through, and the head; it reads only single rows of the embedding.
Attention is counted as if every layer saw everything: of windows that slide it is an upper bound. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.models.quantise.scheme import PRESETS
from pagoda.planning.formats import STORED, WeightFormat


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a model in one format; `_weights` are numbers, `_bytes` what they take.

    layer: matrices that every token goes through, of all layers; expert: of all experts of all layers
    head: 0 where no logits are computed; unread: embedding, norms and biases, that take memory and next to no time
    products: as WeightFormat has it
    """

    num_layers: int
    hidden_size: int
    inner_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    layer_weights: int
    layer_bytes: float
    head_weights: int
    head_bytes: float
    unread_bytes: float
    kv_bytes_per_token: int
    products: str
    expert_weights: int = 0
    expert_bytes: float = 0.0
    num_experts: int = 0
    num_experts_per_tok: int = 0

    @property
    def weight_bytes(self) -> float:
        """All that is loaded."""
        return self.layer_bytes + self.expert_bytes + self.head_bytes + self.unread_bytes

    def experts_touched(self, num_tokens: float) -> float:
        """Share of the experts that a step of so many tokens reads, where each token draws its own ones."""
        if not self.num_experts:
            return 0.0
        missed = 1 - self.num_experts_per_tok / self.num_experts
        return 1 - float(missed**num_tokens)


def shape_of(config: ModelConfig, held: WeightFormat, kv_cache_dtype: str = "auto") -> ModelShape:
    """Raises ConfigError where the checkpoint holds floats and "stored" is asked for, or codes and anything else."""
    coded = config.coded != ALL_FLOATS
    if coded != (held.name == STORED):
        have, give = ("codes of few bits", STORED) if coded else ("floats", "bfloat16, float32, int8 or int4")
        raise ConfigError(f"format is {held.name!r}, but the checkpoint holds {have}: give {give}")
    matrices = {name: inputs * outputs for name, (inputs, outputs) in config.named_matrices.items()}
    experts = {name for name in matrices if ".mlp.experts." in name}
    each = _bytes_of(config, held)
    head = config.vocab_size * config.hidden_size if config.has_head else 0
    head_bytes = _head_bytes(config, held, each)
    num_weights, num_expert = sum(matrices.values()), sum(matrices[name] for name in experts)
    total = _total_bytes(config, held, each, head_bytes)
    layer_bytes, expert_bytes = each * (num_weights - num_expert), each * num_expert
    return ModelShape(
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        inner_size=config.intermediate_size,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        vocab_size=config.vocab_size,
        layer_weights=num_weights - num_expert,
        layer_bytes=layer_bytes,
        head_weights=head,
        head_bytes=head_bytes,
        unread_bytes=max(total - layer_bytes - expert_bytes - head_bytes, 0.0),
        kv_bytes_per_token=config.kv_bytes_per_token(1 if kv_cache_dtype == "int8" else held.float_bytes),
        products=held.products,
        expert_weights=num_expert,
        expert_bytes=expert_bytes,
        num_experts=0 if config.experts is None else config.experts.num_experts,
        num_experts_per_tok=0 if config.experts is None else config.experts.num_experts_per_tok,
    )


def _bytes_of(config: ModelConfig, held: WeightFormat) -> float:
    """Bytes of one weight of the layers' matrices, on average."""
    if held.weight_bytes is not None:
        return held.weight_bytes
    sizes = config.all_matrices
    if held.scheme is not None:
        scheme = held.scheme
        return sum(scheme.num_bytes(*size) for size in sizes) / sum(inputs * outputs for inputs, outputs in sizes)
    return config.coded.num_bytes / config.coded.num_weights


def _head_bytes(config: ModelConfig, held: WeightFormat, each: float) -> float:
    """The head is one of the coded matrices of a file, and int8 where weights are rounded while they are loaded."""
    num_weights = config.vocab_size * config.hidden_size
    if not config.has_head:
        return 0.0
    if held.scheme is not None:
        return float(PRESETS["int8"].num_bytes(config.hidden_size, config.vocab_size))
    return num_weights * (each if held.name == STORED else max(each, 2.0))


def _total_bytes(config: ModelConfig, held: WeightFormat, each: float, head_bytes: float) -> float:
    """All weights: what the engine's own plan counts, wherever the engine holds the format."""
    if held.name == STORED:
        return float(config.weight_bytes(held.float_bytes))
    in_layers = sum(inputs * outputs for inputs, outputs in config.all_matrices)
    head = config.vocab_size * config.hidden_size if config.has_head else 0
    tied = config.tie_word_embeddings and config.has_head
    others = config.num_parameters - in_layers - (head if tied or config.has_head else 0)
    return each * in_layers + head_bytes + others * held.float_bytes
