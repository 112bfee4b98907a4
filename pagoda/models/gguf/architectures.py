"""The architectures of GGUF files: what each file's metadata and tensors amount to as a `config.json`.

First station of loading a `.gguf`, as `config.json` is that of a directory: `config_of` gives what transformers would
have written for the same model, and `ModelConfig.from_dict` reads it like any other. One record an architecture, for
those whose family this version computes; keys are llama.cpp's (`gguf-py/gguf/constants.py`), and what they mean is what
its converter writes them from and its graphs do with them. Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pagoda.errors import CheckpointError, UnknownArchitectureError
from pagoda.models.families.family import Family
from pagoda.models.families.table import BY_TYPE
from pagoda.models.families.weight_names import WeightNames
from pagoda.models.families.windows import FULL, SLIDING
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.gguf.facts import GGUFFacts, architecture_of
from pagoda.models.gguf.keys import check_unread
from pagoda.models.gguf.positions import rope_of
from pagoda.models.gguf.tensor_names import (
    HALVES,
    PAIRS,
    layouts_of,
    with_gate_in_up,
    with_norm_behind_attention,
)

logger = logging.getLogger(__name__)

Config = dict[str, Any]


def nothing_else(_: GGUFFacts, __: int) -> Config:
    return {}


@dataclass(frozen=True)
class Architecture:
    """One value of `general.architecture`.

    family:  the `model_type` that it is, or how a file tells it
    names:   how its tensors are laid out
    differs: the keys of config.json that are its own, from the facts and the size of a head
    slides:  whether its layers may have windows
    """

    family: str | Callable[[GGUFFacts], str]
    names: WeightNames = HALVES
    differs: Callable[[GGUFFacts, int], Config] = nothing_else
    slides: bool = False

    def family_of(self, facts: GGUFFacts) -> Family:
        return BY_TYPE[self.family if isinstance(self.family, str) else self.family(facts)]


def _llama(facts: GGUFFacts) -> str:
    """Files of several families that compute the same are called `llama`."""
    if facts.whole("expert_count", 0):
        return "mixtral"
    if facts.whole("attention.sliding_window", 0):
        return "mistral"
    has_bias = [facts.has(f"blk.0.{name}.bias") for name in ("attn_q", "attn_output")]
    return "internlm3" if has_bias == [True, False] else "llama"


def _mixture(facts: GGUFFacts, _: int) -> Config:
    if not facts.whole("expert_count", 0):
        return {}
    if not facts.flag("expert_weights_norm", True):
        raise facts.error("expert_weights_norm", False, "true for this architecture")
    return {"num_experts": facts.whole("expert_count"), "num_experts_per_tok": facts.whole("expert_used_count")}


def _renormalized(default: bool) -> Callable[[GGUFFacts, int], Config]:
    """Experts whose weights are scaled to a sum of 1 where the file says so, or is silent and `default` says so."""

    def differs(facts: GGUFFacts, _: int) -> Config:
        return {
            "num_experts": facts.whole("expert_count"),
            "num_experts_per_tok": facts.whole("expert_used_count"),
            "norm_topk_prob": facts.flag("expert_weights_norm", default),
        }

    return differs


def _qwen_moe(default: bool) -> Callable[[GGUFFacts, int], Config]:
    def differs(facts: GGUFFacts, head_dim: int) -> Config:
        sparse = [facts.has(f"blk.{index}.ffn_gate_inp.weight") for index in range(facts.num_layers)]
        first = sparse.index(True) if True in sparse else 0
        experts = {
            **_renormalized(default)(facts, head_dim),
            "moe_intermediate_size": facts.shape(f"blk.{first}.ffn_down_exps.weight")[-1],
            "mlp_only_layers": [index for index, is_sparse in enumerate(sparse) if not is_sparse],
        }
        facts.raw("expert_feed_forward_length")  # as the tensors have it
        if facts.whole("expert_shared_feed_forward_length", 0):
            experts["shared_expert_intermediate_size"] = facts.whole("expert_shared_feed_forward_length")
        return experts

    return differs


def _qwen2_moe(facts: GGUFFacts, head_dim: int) -> Config:
    return {**_qwen_moe(False)(facts, head_dim), "qkv_bias": _has_qkv_bias(facts)}


def _bounds(facts: GGUFFacts, *keys: str) -> Config:
    """Soft bounds of scores and logits; 0 is none."""
    return {key: value or None for key in keys if (value := facts.number(key, -1.0)) >= 0}


def _query_scalar(facts: GGUFFacts, head_dim: int, wide: int) -> Config:
    """The largest of Gemma, which has `wide` layers, scales scores by the width that a head would have had."""
    if scale := facts.number("attention.scale", 0.0):
        return {"query_pre_attn_scalar": scale**-2}
    narrow = facts.whole("embedding_length") // facts.whole("attention.head_count")
    return {"query_pre_attn_scalar": narrow if facts.num_layers == wide else head_dim}


def _gemma2(facts: GGUFFacts, head_dim: int) -> Config:
    bounds = _bounds(facts, "attn_logit_softcapping", "final_logit_softcapping")
    return {**_query_scalar(facts, head_dim, wide=46), **bounds}


def _gemma3(facts: GGUFFacts, head_dim: int) -> Config:
    local = facts.number("rope.freq_base_swa", 10000.0)
    bounds = _bounds(facts, "final_logit_softcapping")
    return {**_query_scalar(facts, head_dim, wide=62), **bounds, "rope_local_base_freq": local}


def _granite(facts: GGUFFacts, head_dim: int) -> Config:
    """A scale of 0 is none."""
    if not facts.flag("rope.scaling.finetuned", True):
        raise facts.error("rope.scaling.finetuned", False, "true (a Granite with RoPE)")
    return {
        "attention_multiplier": facts.number("attention.scale", 0.0) or head_dim**-0.5,
        "embedding_multiplier": facts.number("embedding_scale", 0.0) or 1.0,
        "residual_multiplier": facts.number("residual_scale", 0.0) or 1.0,
        "logits_scaling": facts.number("logit_scale", 0.0) or 1.0,
    }


def _granite_moe(facts: GGUFFacts, head_dim: int) -> Config:
    return {**_granite(facts, head_dim), **_mixture(facts, head_dim)}


def _minicpm(facts: GGUFFacts, _: int) -> Config:
    """Files that are silent are older than the keys, and of the models that had these scales."""
    width, num_layers = facts.whole("embedding_length"), facts.num_layers
    depth = facts.number("residual_scale", 0.0) * num_layers**0.5
    base = width / facts.number("logit_scale", width / 256)
    return {
        "scale_emb": facts.number("embedding_scale", 12.0),
        "scale_depth": round(depth, 6) or 1.4,
        "dim_model_base": round(base, 3),
    }


def _cohere(facts: GGUFFacts, _: int) -> Config:
    return {"logit_scale": facts.number("logit_scale", 0.0) or 1.0}


def _command_r(facts: GGUFFacts, head_dim: int) -> Config:
    return {**_cohere(facts, head_dim), "use_qk_norm": facts.has("blk.0.attn_q_norm.weight")}


def _stablelm(facts: GGUFFacts, _: int) -> Config:
    # The key says true of models that have a norm before their MLP as well; tensors do not err.
    facts.raw("use_parallel_residual")
    return {
        "use_parallel_residual": not facts.has("blk.0.ffn_norm.weight"),
        "qk_layernorm": facts.has("blk.0.attn_q_norm.weight"),
    }


def _baichuan(facts: GGUFFacts, _: int) -> Config:
    if facts.num_layers == 40:
        raise CheckpointError(
            f"{facts.file.path} is a Baichuan 13B, which has ALiBi instead of RoPE, and pagoda does not compute that: "
            f"take a 7B"
        )
    return {}


def _olmo(facts: GGUFFacts, _: int) -> Config:
    bound = facts.number("attention.clamp_kqv", 0.0)
    return {"clip_qkv": bound} if bound else {}


def _seed(facts: GGUFFacts, _: int) -> Config:
    return {"attention_out_bias": facts.has("blk.0.attn_output.bias")}


def _olmo_with_windows(facts: GGUFFacts) -> str:
    return "olmo3" if facts.whole("attention.sliding_window", 0) else "olmo2"


_PHI = with_gate_in_up(HALVES)
_GLM = with_gate_in_up(PAIRS)
ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(_llama, PAIRS, _mixture, slides=True),
    "mistral3": Architecture("mistral", PAIRS, slides=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "qwen2moe": Architecture("qwen2_moe", HALVES, _qwen2_moe),
    "qwen3moe": Architecture("qwen3_moe", HALVES, _qwen_moe(True)),
    "phi3": Architecture("phi3", _PHI, slides=True),
    "gemma": Architecture("gemma"),
    "gemma2": Architecture("gemma2", HALVES, _gemma2, slides=True),
    "gemma3": Architecture("gemma3_text", HALVES, _gemma3, slides=True),
    "smollm3": Architecture("smollm3", PAIRS),
    "olmo": Architecture("olmo", PAIRS, _olmo),
    "olmo2": Architecture(_olmo_with_windows, HALVES, slides=True),
    "olmoe": Architecture("olmoe", HALVES, _renormalized(False)),
    "granite": Architecture("granite", PAIRS, _granite),
    "granitemoe": Architecture("granitemoe", PAIRS, _granite_moe),
    "chatglm": Architecture("glm", _GLM),
    "glm4": Architecture("glm4", _GLM),
    "stablelm": Architecture("stablelm", HALVES, _stablelm),
    "nemotron": Architecture("nemotron"),
    "arcee": Architecture("arcee", PAIRS),
    "seed_oss": Architecture("seed_oss", with_norm_behind_attention(HALVES), _seed),
    "hunyuan-dense": Architecture("hunyuan_v1_dense"),
    "exaone": Architecture("exaone"),
    "exaone4": Architecture("exaone4", slides=True),
    "internlm2": Architecture("internlm2", PAIRS),
    "minicpm": Architecture("minicpm", PAIRS, _minicpm),
    "baichuan": Architecture("baichuan", PAIRS, _baichuan),
    "command-r": Architecture("cohere", PAIRS, _command_r),
    "cohere2": Architecture("cohere2", PAIRS, _cohere, slides=True),
}
"""By `general.architecture`."""


def record_of(file: GGUFFile) -> Architecture:
    """Raises UnknownArchitectureError."""
    name = architecture_of(file)
    if name not in ARCHITECTURES:
        raise UnknownArchitectureError(
            f"{file.path} is of the architecture {name!r}, which pagoda does not read from GGUF files: it reads "
            f"{', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[name]


def layouts_of_file(file: GGUFFile) -> tuple[WeightNames, ...]:
    """How the file's tensors may be named and laid out. Raises UnknownArchitectureError."""
    return layouts_of(record_of(file).names)


def config_of(file: GGUFFile) -> Config:
    """The `config.json` that a file amounts to.

    Raises UnknownArchitectureError, or CheckpointError where a key is missing, holds what no such key can, says
    something about the computation that this network does not do, or contradicts the shapes of the tensors. A key that
    nobody here knows is told.
    """
    record, facts = record_of(file), GGUFFacts(file)
    family = record.family_of(facts)
    width, num_heads = facts.size("embedding_length"), facts.size("attention.head_count")
    head_dim = facts.size("attention.key_length", width // num_heads)
    if (value_dim := facts.whole("attention.value_length", head_dim)) != head_dim:
        raise facts.error("attention.value_length", value_dim, f"{head_dim}, as in attention.key_length,")
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": facts.shape("token_embd.weight")[0],
        "hidden_size": width,
        "intermediate_size": facts.size("feed_forward_length"),
        "num_hidden_layers": facts.num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": facts.size("attention.head_count_kv", num_heads),
        "head_dim": head_dim,
        "max_position_embeddings": facts.size("context_length"),
        "rms_norm_eps": _eps(facts),
        "tie_word_embeddings": not facts.has("output.weight"),
        "attention_bias": _has_qkv_bias(facts),
        "mlp_bias": facts.has("blk.0.ffn_down.bias"),
        **_token_ids(file),
        **rope_of(facts, head_dim),
        **(_windows(facts) if record.slides else {}),
        **record.differs(facts, head_dim),
        "torch_dtype": _dtype(file),
    }
    _check_shapes(facts, config)
    if unknown := check_unread(facts, config):
        logger.warning("%s has keys that pagoda does not know and leaves out: %s", file.path, ", ".join(unknown))
    return _spelled(config, family)


def _has_qkv_bias(facts: GGUFFacts) -> bool:
    return facts.has("blk.0.attn_q.bias") or facts.has("blk.0.attn_qkv.bias")


def _eps(facts: GGUFFacts) -> float:
    keys = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
    said = [value for key in keys if (value := facts.number(key, 0.0))]
    if not said:
        raise facts.error(keys[0], None, "a number above 0")
    return said[0]


def _windows(facts: GGUFFacts) -> Config:
    window = facts.whole("attention.sliding_window", 0) or None
    pattern = facts.raw("attention.sliding_window_pattern")
    if pattern is None or window is None:
        return {"sliding_window": window}
    if isinstance(pattern, int):  # all but each so many-th slide
        slides = [index % pattern < pattern - 1 if pattern else True for index in range(facts.num_layers)]
    else:
        slides = [bool(each) for each in list(pattern)[: facts.num_layers]]
    return {"sliding_window": window, "layer_types": [SLIDING if each else FULL for each in slides]}


def _token_ids(file: GGUFFile) -> Config:
    """Of begin and end. What ends a turn, or waits for a tool, ends an answer as well."""
    bos, *ends = (file.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot", "eom"))
    eos = [*dict.fromkeys(token_id for token_id in ends if token_id is not None)]
    return {"bos_token_id": bos, "eos_token_id": eos[0] if len(eos) == 1 else eos or None}


def _dtype(file: GGUFFile) -> str:
    """Of the matrices, where they are floats; codes do not say what they were made from, which is mostly bfloat16."""
    types = {tensor.type.name for tensor in file.tensors.values() if len(tensor.shape) > 1} - {"F32"}
    return "float32" if not types else "float16" if types == {"F16"} else "bfloat16"


def _check_shapes(facts: GGUFFacts, config: Config) -> None:
    """Metadata that contradict tensors are of another model, whichever of the two is meant."""
    width, heads, head_dim = (config[key] for key in ("hidden_size", "num_attention_heads", "head_dim"))
    vocab_size = facts.whole("vocab_size", config["vocab_size"])
    rows = {
        "token_embd.weight": ("vocab_size", (vocab_size, width)),
        "output_norm.weight": ("embedding_length", (width,)),
        "blk.0.attn_q.weight": ("attention.head_count", (heads * head_dim, width)),
        "blk.0.attn_k.weight": ("attention.head_count_kv", (config["num_key_value_heads"] * head_dim, width)),
        "blk.0.ffn_down.weight": ("feed_forward_length", (width, config["intermediate_size"])),
    }
    for name, (key, expected) in rows.items():
        if facts.has(name) and (found := facts.shape(name)) != expected:
            raise CheckpointError(
                f"{facts.file.path} holds {name} of the shape {list(found)}, but by its own metadata ({key} and "
                f"others) {list(expected)} is expected: it was put together from two models; take another file"
            )
    if facts.blocks != (expected_blocks := {*range(facts.num_layers)}):
        differing = sorted(facts.blocks ^ expected_blocks)
        raise CheckpointError(
            f"{facts.file.path} has {facts.architecture}.block_count={facts.num_layers}, but its tensors are of "
            f"{len(facts.blocks)} layers (differing: {', '.join(map(str, differing[:5]))}): take another file"
        )


def _spelled(config: Config, family: Family) -> Config:
    """Under the family's own names for keys, so that transformers reads what is saved of it."""
    theirs = {ours: name for name, ours in family.aliases.items()}
    return {theirs.get(key, key): value for key, value in config.items()}
