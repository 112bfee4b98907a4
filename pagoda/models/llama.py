"""The Llama network, one definition for training and serving.

On the token's path: `model_runner` calls `forward`, which goes through every layer, then `compute_logits`.
Llama (Touvron et al. 2023, arXiv 2302.13971) is a pre-norm decoder: RMSNorm (arXiv 1910.07467), rotary
positions (2104.09864), grouped-query attention (2305.13245), SwiGLU (2002.05202). Mistral, Qwen2 and Qwen3
are the same network with other switches in ModelConfig. Modules are named after the checkpoint's keys, so
that loading is strict and what we train loads in transformers.

Shapes: T is the number of tokens in the pass, requests (or training sequences) back to back.
"""

from __future__ import annotations

import torch
from torch import nn

from pagoda.distributed import ParallelGroup, SingleRank
from pagoda.kernels.interface import Kernels
from pagoda.layers.attention import AttentionBackend
from pagoda.layers.kit import LayerKit
from pagoda.layers.linear import shard_size
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.layers.weights.format import WeightFormat
from pagoda.models.config import ModelConfig

Rotation = tuple[torch.Tensor, torch.Tensor]  # cos and sin, each [T, head_dim / 2]


class LlamaAttention(nn.Module):
    """Grouped-query attention; multi-head and multi-query attention are its two ends."""

    def __init__(self, config: ModelConfig, layer_idx: int, kit: LayerKit) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.kernels = kit.kernels
        # A rank holds whole heads; there are never more KV heads than query heads, so these bound the ranks.
        shard_size(config.num_key_value_heads, kit.group, "KV heads")
        query_size = config.num_attention_heads * config.head_dim
        kv_size = config.num_key_value_heads * config.head_dim
        self.q_proj = kit.column(config.hidden_size, query_size, bias=config.attention_bias)
        self.k_proj = kit.column(config.hidden_size, kv_size, bias=config.attention_bias)
        self.v_proj = kit.column(config.hidden_size, kv_size, bias=config.attention_bias)
        self.o_proj = kit.row(query_size, config.hidden_size, bias=config.attention_output_bias)
        # Qwen3 norms each head, which bounds the logits of attention: the rotation keeps a head's length.
        self.q_norm = kit.norm(config.head_dim) if config.qk_norm else nn.Identity()
        self.k_norm = kit.norm(config.head_dim) if config.qk_norm else nn.Identity()

    def forward(self, hidden_states: torch.Tensor, rotation: Rotation, attention: AttentionBackend) -> torch.Tensor:
        query = self.q_norm(self._heads(self.q_proj(hidden_states)))  # [T, heads, head_dim]
        key = self.k_norm(self._heads(self.k_proj(hidden_states)))  # [T, kv_heads, head_dim]
        value = self._heads(self.v_proj(hidden_states))  # [T, kv_heads, head_dim]
        # The product of a rotated query and key depends on the distance of their positions; values carry none.
        query = self.kernels.apply_rotary(query, *rotation)
        key = self.kernels.apply_rotary(key, *rotation)
        # The one place where tokens meet: whether their past lies beside them or in a cache is not known here.
        attended = attention.attend(self.layer_idx, query, key, value)  # [T, heads, head_dim]
        return self.o_proj(attended.flatten(1))  # [T, hidden_size]

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        """`[T, heads * head_dim] -> [T, heads, head_dim]`, of this rank's heads."""
        return projected.unflatten(-1, (-1, self.head_dim))


class LlamaMLP(nn.Module):
    """SwiGLU: `down(silu(gate(x)) * up(x))`."""

    def __init__(self, config: ModelConfig, kit: LayerKit) -> None:
        super().__init__()
        self.kernels = kit.kernels
        self.gate_proj = kit.column(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.up_proj = kit.column(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = kit.row(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        # [T, intermediate_size / ranks]: each rank multiplies its own columns, so gate and up need no exchange.
        gated = self.kernels.silu_and_mul(self.gate_proj(hidden_states), self.up_proj(hidden_states))
        return self.down_proj(gated)  # [T, hidden_size]


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each on a normed copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer_idx: int, kit: LayerKit) -> None:
        super().__init__()
        self.input_layernorm = kit.norm(config.hidden_size)
        self.self_attn = LlamaAttention(config, layer_idx, kit)
        self.post_attention_layernorm = kit.norm(config.hidden_size)
        self.mlp = LlamaMLP(config, kit)

    def forward(self, hidden_states: torch.Tensor, rotation: Rotation, attention: AttentionBackend) -> torch.Tensor:
        # [T, hidden_size] throughout. The stream itself is never normed, only added to: gradients pass it unchanged.
        hidden_states = hidden_states + self.self_attn(self.input_layernorm(hidden_states), rotation, attention)
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class LlamaModel(nn.Module):
    """Embedding, decoder layers and the final norm."""

    def __init__(self, config: ModelConfig, kit: LayerKit) -> None:
        super().__init__()
        self.embed_tokens = kit.embedding(config.vocab_size, config.hidden_size)
        self.rotary = RotaryEmbedding(config.rope)
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, layer_idx, kit) for layer_idx in range(config.num_hidden_layers)
        )
        self.norm = kit.norm(config.hidden_size)

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: AttentionBackend,
        sequence_lengths: torch.Tensor | None,
    ) -> torch.Tensor:
        hidden_states = self.embed_tokens(input_ids)  # [T] -> [T, hidden_size]
        rotation = self.rotary(positions, sequence_lengths)  # once for all layers
        for layer in self.layers:
            hidden_states = layer(hidden_states, rotation, attention)
        return self.norm(hidden_states)  # the stream grows with depth: the head wants it at one scale


class LlamaForCausalLM(nn.Module):
    """The whole network.

    kernels: what does the work
    group: the ranks that it is sharded over; None is one rank
    weight_format: how its matrices are stored; None is as the checkpoint of `config` has them
    """

    def __init__(
        self,
        config: ModelConfig,
        kernels: Kernels,
        group: ParallelGroup | None = None,
        weight_format: WeightFormat | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        kit = LayerKit(kernels, group or SingleRank(), weight_format or config.weight_format, config.rms_norm_eps)
        self.model = LlamaModel(config, kit)
        self.lm_head = kit.head(config.vocab_size, config.hidden_size)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight  # one parameter under two names, trained by both

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: AttentionBackend,
        sequence_lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`input_ids [T]`, `positions [T]` -> hidden states `[T, hidden_size]` after the final norm.

        `sequence_lengths [T]` matters to dynamic NTK and LongRoPE only; see `layers/rotary`.
        """
        return self.model(input_ids, positions, attention, sequence_lengths)

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[T, hidden_size] -> [T, vocab_size]`, in the model's dtype. Apart, since few rows of a step need it."""
        return self.lm_head(hidden_states)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Random weights for training: normal, the layers that write to the residual stream scaled down by depth.

        GPT-2's scheme (Radford et al. 2019, section 2.3), which keeps the stream's variance independent of depth.
        """
        generator = torch.Generator().manual_seed(seed)  # on the CPU: the same weights on every device
        std = self.config.initializer_range
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
                continue
            # o_proj and down_proj write to the stream: 2 * num_layers of them add up.
            is_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            depth = (2 * self.config.num_hidden_layers) ** -0.5 if is_residual else 1.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std * depth)
