"""Families whose MLPs are mixtures of experts: Mixtral, Qwen 2 and 3, OLMoE, Granite.

Mixtral (arXiv 2401.04088), Qwen2-MoE (2407.10671), Qwen3-MoE (2505.09388), OLMoE (2409.02060), Granite 3.0 MoE. The
rest of each is the dense family that it came from. `layers/moe` computes what ExpertsConfig says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pagoda.errors import CheckpointError
from pagoda.models.families.family import Facts, Family, Windows
from pagoda.models.families.weight_names import AS_NAMED, StackedExperts, WeightNames
from pagoda.models.families.windows import FULL, SLIDING, all_slide

_EXPERTS = frozenset({"num_experts", "num_local_experts", "moe_intermediate_size", "mlp_only_layers"})
"""The keys of experts that other families refuse."""


@dataclass(frozen=True)
class ExpertsConfig:
    """The mixtures of experts of one checkpoint.

    num_experts_per_tok:      experts that a token goes through, of `num_experts`
    intermediate_size:        inner width of each
    norm_topk_prob:           the weights of the chosen are scaled to a sum of 1
    shared_intermediate_size: inner width of one more expert that every token goes through; None where there is none
    sparse_layers:            whether a layer has experts, by layer; the others have an MLP
    """

    num_experts: int
    num_experts_per_tok: int
    intermediate_size: int
    norm_topk_prob: bool
    shared_intermediate_size: int | None
    sparse_layers: tuple[bool, ...]

    def matrices(self, hidden_size: int, num_experts: int) -> list[tuple[int, int]]:
        """(in_features, out_features) of so many experts of a layer, and of its shared one behind them."""
        inner, shared = self.intermediate_size, self.shared_intermediate_size
        widths = [inner] * num_experts + ([] if shared is None else [shared])
        return [size for width in widths for size in ((hidden_size, width), (hidden_size, width), (width, hidden_size))]

    def named_matrices(self, hidden_size: int) -> dict[str, tuple[int, int]]:
        """The same of all experts of a layer, by the names of their modules in it."""
        shared = [] if self.shared_intermediate_size is None else ["mlp.shared_expert"]
        owners = [*(f"mlp.experts.{expert_idx}" for expert_idx in range(self.num_experts)), *shared]
        names = [f"{owner}.{part}_proj" for owner in owners for part in ("gate", "up", "down")]
        return dict(zip(names, self.matrices(hidden_size, self.num_experts), strict=True))

    @property
    def num_gates(self) -> int:
        """Rows of a layer's router, and of the gate of its shared expert."""
        return self.num_experts + (self.shared_intermediate_size is not None)

    def __post_init__(self) -> None:
        if self.num_experts_per_tok > self.num_experts:
            raise CheckpointError(
                f"config.json has num_experts_per_tok={self.num_experts_per_tok} of {self.num_experts} experts: "
                "a token cannot go through more than there are"
            )


def experts_of(facts: Facts, *, renormalize: bool, sparse_layers: tuple[bool, ...] = ()) -> dict[str, Any]:
    """The switch `experts`, from a family's facts; every layer has experts where `sparse_layers` is not given.

    renormalize: what the family does where no `norm_topk_prob` is asked for
    """
    sparse_layers = sparse_layers or (True,) * facts["num_hidden_layers"]
    if not any(sparse_layers):
        return {}
    experts = ExpertsConfig(
        num_experts=facts["num_experts"],
        num_experts_per_tok=facts["num_experts_per_tok"],
        intermediate_size=facts.get("moe_intermediate_size") or facts["intermediate_size"],
        norm_topk_prob=renormalize,
        shared_intermediate_size=facts.get("shared_expert_intermediate_size") or None,
        sparse_layers=sparse_layers,
    )
    return {"experts": experts}


def _every_nth(facts: Facts) -> tuple[bool, ...]:
    """Qwen: each `decoder_sparse_step`-th layer, but for those of `mlp_only_layers`."""
    dense, step = facts.get("mlp_only_layers") or (), facts["decoder_sparse_step"]
    has_experts = bool(facts["num_experts"])
    return tuple(
        has_experts and index not in dense and (index + 1) % step == 0 for index in range(facts["num_hidden_layers"])
    )


def _gate_over_up(gate_up: str, down: str) -> StackedExperts:
    return StackedExperts(gate=gate_up, up=gate_up, down=down)


_STACKED = WeightNames(stacked_experts=_gate_over_up("mlp.experts.gate_up_proj", "mlp.experts.down_proj"))
"""As transformers 5 holds them in memory, and writes them where it is not asked for the older form."""

MIXTRAL = Family(
    "MixtralForCausalLM",
    "mixtral",
    differs="Mistral with experts instead of MLPs; their weights sum to 1",
    defaults={
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "num_key_value_heads": 8,
        "num_experts": 8,
        "num_experts_per_tok": 2,
    },
    aliases={"num_local_experts": "num_experts"},
    computes=_EXPERTS - {"moe_intermediate_size", "mlp_only_layers"},
    switches=lambda facts: experts_of(facts, renormalize=True),
    windows=all_slide,
    weights=WeightNames(
        renamed={".mlp.": ".block_sparse_moe.", ".gate_proj.": ".w1.", ".down_proj.": ".w2.", ".up_proj.": ".w3."}
    ),
    also_stored=(_STACKED,),
)


def _qwen2_moe(facts: Facts) -> dict[str, Any]:
    experts = experts_of(facts, renormalize=bool(facts["norm_topk_prob"]), sparse_layers=_every_nth(facts))
    return {"attention_bias": bool(facts["qkv_bias"]), "attention_output_bias": False, **experts}


def _window_in_use(facts: Facts) -> Any:
    """Qwen's windows are off unless `use_sliding_window` says otherwise, whatever `sliding_window` says."""
    return facts.get("sliding_window", 4096) if facts.get("use_sliding_window", False) else None


def _alternate_layers_slide(facts: Facts) -> Windows:
    """Qwen2-MoE: of the lower layers every other one, from the first on."""
    window = _window_in_use(facts)
    if not window:
        return None, ()
    lower = facts["max_window_layers"]
    derived = [SLIDING if index % 2 == 0 and index < lower else FULL for index in range(facts["num_hidden_layers"])]
    return window, tuple(facts.get("layer_types") or derived)


QWEN2_MOE = Family(
    "Qwen2MoeForCausalLM",
    "qwen2_moe",
    differs="Qwen2 with experts on all layers or some, and one that all tokens share, behind a gate of its own",
    defaults={
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "num_key_value_heads": 16,
        "qkv_bias": True,
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
    },
    aliases={"num_local_experts": "num_experts"},
    computes=_EXPERTS,
    switches=_qwen2_moe,
    windows=_alternate_layers_slide,
    also_stored=(_STACKED,),
)


def _qwen3_moe(facts: Facts) -> dict[str, Any]:
    experts = experts_of(facts, renormalize=bool(facts["norm_topk_prob"]), sparse_layers=_every_nth(facts))
    return {"qk_norm": True, **experts}


def _all_slide_if_used(facts: Facts) -> Windows:
    return all_slide({**facts, "sliding_window": _window_in_use(facts)})


QWEN3_MOE = Family(
    "Qwen3MoeForCausalLM",
    "qwen3_moe",
    differs="Qwen3 with experts on all layers or some",
    defaults={
        "max_position_embeddings": 32768,
        "num_key_value_heads": 4,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
    },
    aliases={"num_local_experts": "num_experts"},
    computes=_EXPERTS,
    switches=_qwen3_moe,
    windows=_all_slide_if_used,
    also_stored=(_STACKED,),
)


def _olmoe(facts: Facts) -> dict[str, Any]:
    experts = experts_of(facts, renormalize=bool(facts["norm_topk_prob"]))
    return {"qk_norm": True, "qk_norm_span": "width", **experts}


OLMOE = Family(
    "OlmoeForCausalLM",
    "olmoe",
    differs="experts on every layer; q and k are normed over all heads as one row",
    defaults={
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "norm_topk_prob": False,
    },
    aliases={"num_local_experts": "num_experts"},
    computes=_EXPERTS - {"moe_intermediate_size", "mlp_only_layers"},
    switches=_olmoe,
    weights=AS_NAMED,
    also_stored=(_STACKED,),
)


def _granite_moe(facts: Facts) -> dict[str, Any]:
    scales = {key: float(facts[key]) for key in ("embedding_multiplier", "residual_multiplier", "logits_scaling")}
    # A softmax over the chosen experts' scores: the same as over all of them, scaled to a sum of 1.
    experts = experts_of(facts, renormalize=True)
    return {"attention_scale": float(facts["attention_multiplier"]), **scales, **experts}


_GRANITE_MULTIPLIERS = ("embedding_multiplier", "residual_multiplier", "logits_scaling", "attention_multiplier")
GRANITE_MOE = Family(
    "GraniteMoeForCausalLM",
    "granitemoe",
    differs="Granite with experts on every layer; their weights sum to 1",
    defaults={**dict.fromkeys(_GRANITE_MULTIPLIERS, 1.0), "num_experts": 8, "num_experts_per_tok": 2},
    aliases={"num_local_experts": "num_experts"},
    computes=(_EXPERTS - {"moe_intermediate_size", "mlp_only_layers"}) | {*_GRANITE_MULTIPLIERS},
    switches=_granite_moe,
    weights=WeightNames(
        renamed={".mlp.gate.": ".block_sparse_moe.router.layer."},
        stacked_experts=_gate_over_up("block_sparse_moe.input_linear.weight", "block_sparse_moe.output_linear.weight"),
    ),
    also_stored=(
        WeightNames(
            renamed={".mlp.gate.": ".block_sparse_moe.router."},
            stacked_experts=_gate_over_up(
                "block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.experts.down_proj"
            ),
        ),
    ),
)
