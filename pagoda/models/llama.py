"""The Llama network, one definition for training and serving.

On the token's path: `model_runner` calls `forward`, which goes through every layer, then `compute_logits`.
Llama (Touvron et al. 2023, arXiv 2302.13971) is a pre-norm decoder: RMSNorm (arXiv 1910.07467), rotary
positions (2104.09864), grouped-query attention (2305.13245), SwiGLU (2002.05202). All other families are the
same network with other switches in ModelConfig; `families` says which. Modules are named after the keys of
Llama's checkpoints, so that loading is strict and what we train loads in transformers.

Shapes: T is the number of tokens in the pass, requests (or training sequences) back to back.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from pagoda.distributed import ParallelGroup, PipelineStage, SingleRank
from pagoda.kernels.interface import AttentionScores, Decoder, Kernels, Rotation
from pagoda.layers.attention import AttentionBackend, DenseAttention, PagedAttention
from pagoda.layers.embedding import VocabParallelEmbedding
from pagoda.layers.kit import LayerKit
from pagoda.layers.mlp import GatedMLP, PlainMLP
from pagoda.layers.moe import SparseMoE
from pagoda.layers.norm import Norm
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.config import ModelConfig
from pagoda.models.families.experts import ExpertsConfig


class LlamaAttention(nn.Module):
    """Grouped-query attention; multi-head and multi-query attention are its two ends."""

    def __init__(self, config: ModelConfig, layer_idx: int, kit: LayerKit) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.kernels = kit.kernels
        self.scores = AttentionScores(
            config.head_dim**-0.5 if config.attention_scale is None else config.attention_scale,
            config.attn_logit_softcapping,
        )
        self.clip = config.clip_qkv
        self.norms_after_rope = config.qk_norm_after_rope
        # A rank holds whole heads, and the KV heads that they read.
        heads, kv_heads = kit.heads(config.num_attention_heads, config.num_key_value_heads)
        self.num_heads, self.num_kv_heads = heads.length, kv_heads.length
        query, kv = heads.times(config.head_dim), kv_heads.times(config.head_dim)
        self.q_proj = kit.column(config.hidden_size, query.total, bias=config.attention_bias, shares=query)
        self.k_proj = kit.column(config.hidden_size, kv.total, bias=config.attention_bias, shares=kv)
        self.v_proj = kit.column(config.hidden_size, kv.total, bias=config.attention_bias, shares=kv)
        self.o_proj = kit.row(query.total, config.hidden_size, bias=config.attention_output_bias, shares=query)
        # Normed queries and keys bound the logits of attention: the rotation keeps a head's length.
        self.q_norm, self.k_norm = (
            kit.head_norm(own, config.head_dim, config.qk_norm_span) if config.qk_norm else nn.Identity()
            for own in (heads, kv_heads)
        )

    def forward(
        self, hidden_states: torch.Tensor, rotation: Rotation | None, attention: AttentionBackend
    ) -> torch.Tensor:
        query = self._placed(self._heads(self.q_proj(hidden_states)), self.q_norm, rotation)  # [T, heads, head_dim]
        key = self._placed(self._heads(self.k_proj(hidden_states)), self.k_norm, rotation)  # [T, kv_heads, head_dim]
        value = self._heads(self.v_proj(hidden_states))  # [T, kv_heads, head_dim]
        # The one place where tokens meet: whether their past lies beside them or in a cache is not known here.
        attended = attention.attend(self.layer_idx, query, key, value, self.scores)  # [T, heads, head_dim]
        return self.o_proj(attended.flatten(1))  # [T, hidden_size]

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        """`[T, heads * head_dim] -> [T, heads, head_dim]`, of this rank's heads."""
        if self.clip is not None:
            projected = projected.clamp(-self.clip, self.clip)
        return projected.unflatten(-1, (-1, self.head_dim))

    def _placed(self, heads: torch.Tensor, norm: nn.Module, rotation: Rotation | None) -> torch.Tensor:
        """Queries or keys at their positions: the product of two depends on how far apart they are."""
        if not self.norms_after_rope:
            heads = norm(heads)
        if rotation is not None:
            heads = self.kernels.apply_rotary(heads, *rotation)
        return norm(heads) if self.norms_after_rope else heads


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each of which adds to the residual stream.

    Llama norms a copy of the stream on its way into a block. Others norm what comes out of it (OLMo 2), or both
    (Gemma 2, GLM-4).
    """

    def __init__(self, config: ModelConfig, layer_idx: int, kit: LayerKit) -> None:
        super().__init__()
        norms_before, norms_after = config.norm_placement != "post", config.norm_placement in ("post", "sandwich")
        self.residual_multiplier = config.residual_multiplier
        self.input_layernorm = kit.norm(config.hidden_size) if norms_before else nn.Identity()
        self.self_attn = LlamaAttention(config, layer_idx, kit)
        self.post_self_attn_layernorm = kit.norm(config.hidden_size) if norms_after else nn.Identity()
        # Before the MLP, whatever its name says: so Llama's checkpoints call it.
        self.post_attention_layernorm = kit.norm(config.hidden_size) if norms_before else nn.Identity()
        self.mlp = make_mlp(config, layer_idx, kit)
        self.post_mlp_layernorm = kit.norm(config.hidden_size) if norms_after else nn.Identity()

    def forward(
        self, hidden_states: torch.Tensor, rotation: Rotation | None, attention: AttentionBackend
    ) -> torch.Tensor:
        # [T, hidden_size] throughout. The stream itself is never normed, only added to: gradients pass it unchanged.
        attended = self.self_attn(self.input_layernorm(hidden_states), rotation, attention)
        hidden_states = self._add(hidden_states, self.post_self_attn_layernorm(attended))
        computed = run_mlp(self.mlp, self.post_attention_layernorm(hidden_states), attention)
        return self._add(hidden_states, self.post_mlp_layernorm(computed))

    def _add(self, hidden_states: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        if self.residual_multiplier != 1.0:
            update = update * self.residual_multiplier
        return hidden_states + update


class ParallelDecoderLayer(nn.Module):
    """Attention and MLP side by side on the same normed copy (GPT-J, Wang & Komatsuzaki 2021)."""

    def __init__(self, config: ModelConfig, layer_idx: int, kit: LayerKit) -> None:
        super().__init__()
        self.input_layernorm = kit.norm(config.hidden_size)
        self.self_attn = LlamaAttention(config, layer_idx, kit)
        self.mlp = make_mlp(config, layer_idx, kit)

    def forward(
        self, hidden_states: torch.Tensor, rotation: Rotation | None, attention: AttentionBackend
    ) -> torch.Tensor:
        normed = self.input_layernorm(hidden_states)
        return hidden_states + self.self_attn(normed, rotation, attention) + run_mlp(self.mlp, normed, attention)


def make_mlp(config: ModelConfig, layer_idx: int, kit: LayerKit) -> nn.Module:
    """`[T, hidden_size] -> [T, hidden_size]`, each token by itself."""
    if config.experts is not None and config.experts.sparse_layers[layer_idx]:
        return make_moe(config, config.experts, kit)
    kind = GatedMLP if config.mlp_gated else PlainMLP
    return kind(config.hidden_size, config.intermediate_size, config.hidden_act, kit, bias=config.mlp_bias)


def make_moe(config: ModelConfig, experts: ExpertsConfig, kit: LayerKit) -> SparseMoE:
    """The same by a mixture of experts, each an MLP with a gate."""

    def expert(intermediate_size: int) -> GatedMLP:
        return GatedMLP(config.hidden_size, intermediate_size, config.hidden_act, kit.with_open_sums(), bias=False)

    return SparseMoE(
        kit,
        config.hidden_size,
        [expert(experts.intermediate_size) for _ in range(experts.num_experts)],
        shared_expert=None if experts.shared_intermediate_size is None else expert(experts.shared_intermediate_size),
        top_k=experts.num_experts_per_tok,
        renormalize=experts.norm_topk_prob,
    )


def run_mlp(mlp: nn.Module, hidden_states: torch.Tensor, attention: AttentionBackend) -> torch.Tensor:
    """An MLP computes padding along with the rest, but experts would be read for it that no token needs."""
    return mlp(hidden_states, attention.num_tokens) if isinstance(mlp, SparseMoE) else mlp(hidden_states)


class LlamaModel(nn.Module):
    """Embedding, decoder layers and the final norm; of a pipeline's stage its own of these.

    own_layers: numbers of the layers that are here; all others are empty places, so that names are those of the whole
    """

    def __init__(self, config: ModelConfig, kit: LayerKit, stage: PipelineStage) -> None:
        super().__init__()
        # The head of a last stage may be the embedding's matrix.
        embeds = stage.is_first or (stage.is_last and config.has_head and config.tie_word_embeddings)
        # An empty place is never asked for anything.
        self.embed_tokens = cast(
            VocabParallelEmbedding, kit.embedding(config.vocab_size, config.hidden_size) if embeds else nn.Identity()
        )
        # A buffer, so that it has the model's dtype: in bf16 the root of 3072 is 55.5, as Gemma was trained.
        self.has_multiplier = config.embedding_multiplier != 1.0
        self.register_buffer("embedding_multiplier", torch.tensor(config.embedding_multiplier), persistent=False)
        self.rotary = RotaryEmbedding(config.rope)
        self.sliding_rotary = None if config.sliding_rope is None else RotaryEmbedding(config.sliding_rope)
        self.layer_ropes = config.layer_ropes
        layer = ParallelDecoderLayer if config.norm_placement == "parallel" else LlamaDecoderLayer
        self.own_layers = stage.layers(config.num_hidden_layers)
        self.layers = nn.ModuleList(
            layer(config, layer_idx, kit) if layer_idx in self.own_layers else nn.Identity()
            for layer_idx in range(config.num_hidden_layers)
        )
        self.norm = kit.norm(config.hidden_size) if stage.is_last else nn.Identity()
        self.decoder: Decoder | None = None  # all of this in one call; see `joined`

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: AttentionBackend,
        sequence_lengths: torch.Tensor | None,
        hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if self.decoder is not None and isinstance(attention, PagedAttention):
            if hidden_states is None and not self.decoder.embeds:
                hidden_states = self.embedded(input_ids)
            return self._joined(self.decoder, input_ids, positions, attention, sequence_lengths, hidden_states)
        if hidden_states is None:
            hidden_states = self.embedded(input_ids)
        if isinstance(attention, DenseAttention) and not self._depends_on_length:
            # Whole sequences: nothing was rotated before, only distances count, and small numbers have more digits.
            positions = attention.from_first(positions)
        rotations = self.rotations(positions, sequence_lengths)  # once for all layers
        for layer_idx in self.own_layers:
            rope = self.layer_ropes[layer_idx]
            rotation = None if rope is None else rotations[rope]
            hidden_states = self.layers[layer_idx](hidden_states, rotation, attention)
        assert hidden_states is not None
        return self.norm(hidden_states)  # the stream grows with depth: the head wants it at one scale

    def embedded(self, input_ids: torch.Tensor) -> torch.Tensor:
        """What the first layer gets, `[T] -> [T, hidden_size]`."""
        hidden_states = self.embed_tokens(input_ids)
        return hidden_states * self.embedding_multiplier if self.has_multiplier else hidden_states

    def _joined(
        self,
        decoder: Decoder,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: PagedAttention,
        sequence_lengths: torch.Tensor | None,
        hidden_states: torch.Tensor | None,
    ) -> torch.Tensor:
        """All that `forward` says in one call; where it can be, rotations are looked up and not computed."""
        if self._depends_on_length:
            rotations = self.rotations(positions, sequence_lengths)
            return attention.decode(decoder, input_ids, None, rotations, hidden_states)
        length = max(attention.metadata.seq_lens)
        tables = {name: rope.table(length) for name, rope in self._ropes.items()}
        return attention.decode(decoder, input_ids, positions, tables, hidden_states)

    @property
    def _depends_on_length(self) -> bool:
        return any(rope.depends_on_length for rope in self._ropes.values())

    @property
    def _ropes(self) -> dict[str, RotaryEmbedding]:
        """By the names that `layer_ropes` has for them."""
        ropes = {"rope": self.rotary}
        return ropes if self.sliding_rotary is None else {**ropes, "sliding_rope": self.sliding_rotary}

    def rotations(self, positions: torch.Tensor, sequence_lengths: torch.Tensor | None) -> dict[str, Rotation]:
        """Of this pass's tokens; layers without RoPE have no name, and find none."""
        return {name: rope(positions, sequence_lengths) for name, rope in self._ropes.items()}


class LlamaForCausalLM(nn.Module):
    """The whole network.

    kernels: what does the work
    group: the ranks that it is sharded over; None is one rank
    stage: the part of the layers that is here; None is all of them
    num_blocks: for logits that have the same bits for any number of ranks that divides it; 0: see `LayerKit`
    """

    def __init__(
        self,
        config: ModelConfig,
        kernels: Kernels,
        group: ParallelGroup | None = None,
        stage: PipelineStage | None = None,
        num_blocks: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.group, self.stage, self._kernels = group or SingleRank(), stage or PipelineStage(), kernels
        self.dtype = torch.get_default_dtype()  # of hidden states, as of the parameters when they came into being
        kit = LayerKit(kernels, self.group, config.rms_norm_eps, config.norm, num_blocks)
        self.model = LlamaModel(config, kit, self.stage)
        has_head = config.has_head and self.stage.is_last
        self.lm_head = kit.head(config.vocab_size, config.hidden_size) if has_head else None
        if self.lm_head is not None and config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight  # one parameter under two names, trained by both

    @property
    def num_kv_heads(self) -> int:
        """Those of this rank, in every layer."""
        layer = cast(LlamaDecoderLayer, self.model.layers[self.model.own_layers.start])
        return layer.self_attn.num_kv_heads

    def parameter_names(self) -> list[str]:
        """Of the whole network, whatever part of it is here."""
        whole = self
        if self.stage.count > 1:
            with torch.device("meta"):  # no memory is taken
                whole = LlamaForCausalLM(self.config, self._kernels)
        return [name for name, _ in whole.named_parameters(remove_duplicate=False)]

    def finish_loading(self) -> None:
        """The parameters are filled, the head is laid out: a tied matrix is held once."""
        if self.lm_head is not None and self.lm_head.packed is not None and self.config.tie_word_embeddings:
            self.model.embed_tokens.share(self.lm_head.packed)

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention: AttentionBackend,
        sequence_lengths: torch.Tensor | None = None,
        hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`input_ids [T]`, `positions [T]` -> hidden states `[T, hidden_size]` after the final norm.

        `positions` may be reals where sequences are whole (`DenseAttention`).
        `sequence_lengths [T]` matters to dynamic NTK and LongRoPE only; see `layers/rotary`.
        `hidden_states [T, hidden_size]` are those of the stage before, and may be written over; a stage that is not the
        last gives its own, for the next one.
        """
        return self.model(input_ids, positions, attention, sequence_lengths, hidden_states)

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`[T, hidden_size] -> [T, vocab_size]`, in the model's dtype. Apart, since few rows of a step need it."""
        assert self.lm_head is not None, "a network without a head is asked for hidden states only"
        return self.scaled(self.lm_head(hidden_states))

    def compute_some_logits(self, hidden: torch.Tensor, own: torch.Tensor, rivals: torch.Tensor) -> torch.Tensor:
        """`hidden [T, hidden_size]`, tokens `own [T]` and `rivals [n]` -> `[T, 1 + n]`: of each row's own, then of all.

        A rival that is a row's own is -inf there: it has its place already. Trains a large vocabulary, on one rank.
        """
        head = self.lm_head.weight if self.lm_head is not None else None
        assert head is not None, "a network without a head, or with a packed one, is not trained"
        first = (hidden * F.embedding(own, head)).sum(-1, keepdim=True)
        others = self.scaled(hidden @ F.embedding(rivals, head).T)
        return torch.cat((self.scaled(first), others.masked_fill(rivals == own[:, None], -torch.inf)), 1)

    def scaled(self, products: torch.Tensor) -> torch.Tensor:
        """Products with the head's matrix `[T, vocab_size]` as the family's logits."""
        logits = products
        if self.config.logits_scaling != 1.0:
            logits = logits / self.config.logits_scaling
        if (bound := self.config.final_logit_softcapping) is not None:
            logits = (logits / bound).tanh() * bound
        return logits

    def best_tokens(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`compute_logits(hidden_states).argmax(-1)`, `[T]` int64, without the logits where the kernels need none."""
        config, head = self.config, self.lm_head
        is_plain = config.logits_scaling == 1.0 and config.final_logit_softcapping is None
        if head is None or not is_plain:
            return self.compute_logits(hidden_states).argmax(-1)
        return head.best(hidden_states)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Random weights for training: normal, the layers that write to the residual stream scaled down by depth.

        GPT-2's scheme (Radford et al. 2019, section 2.3), which keeps the stream's variance independent of depth.
        """
        generator = torch.Generator().manual_seed(seed)  # on the CPU: the same weights on every device
        std = self.config.initializer_range
        norms = [module for module in self.modules() if isinstance(module, Norm)]
        in_norms = {id(parameter) for norm in norms for parameter in norm.parameters()}
        for norm in norms:
            norm.initialize()
        for name, parameter in self.named_parameters():
            if id(parameter) in in_norms:
                continue
            if parameter.dim() == 1:
                parameter.fill_(0.0)
                continue
            # o_proj and down_proj write to the stream: 2 * num_layers of them add up.
            is_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            depth = (2 * self.config.num_hidden_layers) ** -0.5 if is_residual else 1.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std * depth)
