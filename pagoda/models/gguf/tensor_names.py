"""What GGUF files call the network's tensors, and how they lay them out.

Beside `architectures`: its records choose among these, and `checkpoint/translating` reads by them. One table of names
serves all architectures, as in llama.cpp (`gguf-py/gguf/tensor_mapping.py`): files differ in which rows stand together.
Everything that is undone here is an order or a division of rows, so that it can be done to block codes as well; gains
of norms, which are floats always, are the exception.
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.models.families.weight_names import GATE_UP, QKV, Fused, StackedExperts, WeightNames

ROPE_FACTORS, LONG_FACTORS, SHORT_FACTORS = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
NOT_WEIGHTS = frozenset({ROPE_FACTORS, LONG_FACTORS, SHORT_FACTORS})
"""Tensors that hold settings of RoPE, which `positions` reads: they are no weights."""
_RENAMED = {
    "model.embed_tokens.": "token_embd.",
    "model.norm.": "output_norm.",
    "lm_head.": "output.",
    "model.layers.": "blk.",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_self_attn_layernorm": "post_attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "post_mlp_layernorm": "post_ffw_norm",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.gate.": "ffn_gate_inp.",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_EXPERTS = StackedExperts("ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight")

HALVES = WeightNames(renamed=_RENAMED, stacked_experts=_EXPERTS, has_whole_gains=True)
"""RoPE turns the halves of a head, as it does here: rows stand as in the original model."""
PAIRS = replace(HALVES, has_neighbouring_pairs=True)
"""RoPE turns neighbours: rows of q and k were put into that order, or the original model has it."""


def with_gate_in_up(names: WeightNames) -> WeightNames:
    """The same with gate over up in one matrix, which is called `ffn_up`."""
    return replace(names, fused=(*names.fused, GATE_UP))


def with_norm_behind_attention(names: WeightNames) -> WeightNames:
    """The same for a norm before the MLP that is called as if it stood behind attention."""
    return replace(names, renamed={**names.renamed, "post_attention_layernorm": "post_attention_norm"})


def layouts_of(names: WeightNames) -> tuple[WeightNames, ...]:
    """The ways in which files of one architecture come: q, k and v apart, or joined where the converter was told to."""
    return names, replace(names, fused=(*names.fused, Fused("self_attn.qkv_proj", QKV)))
