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
from pagoda.layers.embedding import ParallelLMHead, VocabParallelEmbedding
from pagoda.layers.linear import ColumnParallelLinear, RowParallelLinear, shard_size
from pagoda.layers.norm import RMSNorm
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.config import ModelConfig

Rotation = tuple[torch.Tensor, torch.Tensor]  # cos and sin, each [T, head_dim / 2]


class LlamaAttention(nn.Module):
    """Grouped-query attention; multi-head and multi-query attention are its two ends."""

    def __init__(self, config: ModelConfig, layer_idx: int, kernels: Kernels, group: ParallelGroup) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.kernels = kernels
        shard_size(config.num_key_value_heads, group, "KV heads")
        query_size = config.num_attention_heads * config.head_dim
        kv_size = config.num_key_value_heads * config.head_dim
        bias, hidden_size = config.attention_bias, config.hidden_size
        self.q_proj = ColumnParallelLinear(hidden_size, query_size, bias=bias, kernels=kernels, group=group)
        self.k_proj = ColumnParallelLinear(hidden_size, kv_size, bias=bias, kernels=kernels, group=group)
        self.v_proj = ColumnParallelLinear(hidden_size, kv_size, bias=bias, kernels=kernels, group=group)
        self.o_proj = RowParallelLinear(
            query_size, hidden_size, bias=config.attention_output_bias, kernels=kernels, group=group
        )
        if config.qk_norm:
            self.q_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps, kernels)
            self.k_norm: nn.Module = RMSNorm(config.head_dim, config.rms_norm_eps, kernels)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def forward(self, hidden_states: torch.Tensor, rotation: Rotation, attention: AttentionBackend) -> torch.Tensor:
        query = self.q_norm(self._heads(self.q_proj(hidden_states)))
        key = self.k_norm(self._heads(self.k_proj(hidden_states)))
        value = self._heads(self.v_proj(hidden_states))
        query = self.kernels.apply_rotary(query, *rotation)
        key = self.kernels.apply_rotary(key, *rotation)
        attended = attention.attend(self.layer_idx, query, key, value)
        return self.o_proj(attended.flatten(1))

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (-1, self.head_dim))


class LlamaMLP(nn.Module):
    """SwiGLU: `down(silu(gate(x)) * up(x))`."""

    def __init__(self, config: ModelConfig, kernels: Kernels, group: ParallelGroup) -> None:
        super().__init__()
        self.kernels = kernels
        hidden_size, intermediate_size, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj = ColumnParallelLinear(hidden_size, intermediate_size, bias=bias, kernels=kernels, group=group)
        self.up_proj = ColumnParallelLinear(hidden_size, intermediate_size, bias=bias, kernels=kernels, group=group)
        self.down_proj = RowParallelLinear(intermediate_size, hidden_size, bias=bias, kernels=kernels, group=group)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        gated = self.kernels.silu_and_mul(self.gate_proj(hidden_states), self.up_proj(hidden_states))
        return self.down_proj(gated)


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each on a normed copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer_idx: int, kernels: Kernels, group: ParallelGroup) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        self.self_attn = LlamaAttention(config, layer_idx, kernels, group)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        self.mlp = LlamaMLP(config, kernels, group)

    def forward(self, hidden_states: torch.Tensor, rotation: Rotation, attention: AttentionBackend) -> torch.Tensor:
        hidden_states = hidden_states + self.self_attn(self.input_layernorm(hidden_states), rotation, attention)
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class LlamaModel(nn.Module):
    """Embedding, decoder layers and the final norm."""

    def __init__(self, config: ModelConfig, kernels: Kernels, group: ParallelGroup) -> None:
        super().__init__()
        self.embed_tokens = VocabParallelEmbedding(config.vocab_size, config.hidden_size, group=group)
        self.rotary = RotaryEmbedding(
            config.head_dim, config.rope_theta, config.max_position_embeddings, config.rope_scaling
        )
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, layer_idx, kernels, group) for layer_idx in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: AttentionBackend,
        sequence_lengths: torch.Tensor | None,
    ) -> torch.Tensor:
        hidden_states = self.embed_tokens(input_ids)
        rotation = self.rotary(positions, sequence_lengths)
        for layer in self.layers:
            hidden_states = layer(hidden_states, rotation, attention)
        return self.norm(hidden_states)


class LlamaForCausalLM(nn.Module):
    """The whole network. `group` shards it over ranks; `kernels` does the work."""

    def __init__(self, config: ModelConfig, kernels: Kernels, group: ParallelGroup | None = None) -> None:
        super().__init__()
        group = group or SingleRank()
        self.config = config
        self.model = LlamaModel(config, kernels, group)
        self.lm_head = ParallelLMHead(config.vocab_size, config.hidden_size, kernels=kernels, group=group)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

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
        """`[T, hidden_size] -> [T, vocab_size]`, in the model's dtype."""
        return self.lm_head(hidden_states)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Random weights for training: normal, the layers that write to the residual stream scaled down by depth.

        GPT-2's scheme (Radford et al. 2019, section 2.3), which keeps the stream's variance independent of depth.
        """
        generator = torch.Generator().manual_seed(seed)
        std = self.config.initializer_range
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
                continue
            is_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            depth = (2 * self.config.num_hidden_layers) ** -0.5 if is_residual else 1.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std * depth)
