"""The architectures of GGUF files that are read, with the switches that such files can say: for tests of parity."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers

from family_cases import CASES, HEAD, LOCAL, REWRITTEN
from gguf_files import write_gguf
from llama_cases import CASES as LLAMA_CASES
from llama_cases import ORIGINAL, rope
from tiny_models import Case

_LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_GEMMA = {**HEAD, **LOCAL, "query_pre_attn_scalar": 16}


@dataclass(frozen=True)
class GGUFCase:
    """A model as transformers has it (of "llama" any that computes the same); extra: keys of the architecture that its configuration does not say."""

    case: Case
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path, arch: str) -> transformers.PreTrainedModel:
        theirs = self.case.build()
        write_gguf(theirs, path, arch, **self.extra)
        return theirs


def _of(*cases: Case) -> tuple[GGUFCase, ...]:
    return tuple(map(GGUFCase, cases))


GGUF_CASES: dict[str, tuple[GGUFCase, ...]] = {
    "llama": _of(
        LLAMA_CASES["head_dim 24"],
        LLAMA_CASES["attention bias"],
        LLAMA_CASES["mlp bias"],
        LLAMA_CASES["tied embeddings"],
        LLAMA_CASES["linear"],
        LLAMA_CASES["yarn, attention_factor"],
        LLAMA_CASES["yarn, betas"],
        LLAMA_CASES["llama3"],
        Case(settings={**rope("llama3", **_LLAMA3, original_max_position_embeddings=8192), "head_dim": 64}),
        LLAMA_CASES["mistral without a window"],
        CASES["mixtral"][0],
        LLAMA_CASES["qwen2"],
    ),
    "mistral3": _of(LLAMA_CASES["mistral without a window"]),
    "qwen2": _of(LLAMA_CASES["qwen2, tied"], LLAMA_CASES["qwen2 with yarn"]),
    "qwen3": _of(LLAMA_CASES["qwen3, own head_dim"], LLAMA_CASES["qwen3 with attention bias"]),
    "qwen2moe": _of(Case("Qwen2Moe", {**CASES["qwen2_moe"][0].settings, "mlp_only_layers": []})),
    "qwen3moe": _of(CASES["qwen3_moe"][0]),
    "phi3": _of(*CASES["phi3"][1:3], *CASES["phi3"][4:]),
    "gemma": _of(CASES["gemma"][0]),
    "gemma2": _of(Case("Gemma2", _GEMMA), Case("Gemma2", {**_GEMMA, "attn_logit_softcapping": 2.0})),
    "gemma3": _of(
        Case("Gemma3", {**_GEMMA, "num_hidden_layers": 7}, config_class="Gemma3TextConfig"),
        Case(
            "Gemma3",
            {**_GEMMA, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "final_logit_softcapping": 3.0},
            num_tokens=100,
            config_class="Gemma3TextConfig",
        ),
    ),
    "smollm3": _of(CASES["smollm3"][0]),
    "olmo": _of(CASES["olmo"][0], Case("Olmo", {"clip_qkv": 0.5, "tie_word_embeddings": True})),
    "olmo2": _of(*CASES["olmo2"], *CASES["olmo3"]),
    "olmoe": _of(CASES["olmoe"][0]),
    "granite": _of(*CASES["granite"]),
    "granitemoe": _of(*CASES["granitemoe"]),
    "chatglm": _of(Case("Glm", {**HEAD, "rms_norm_eps": 1e-5})),
    "glm4": _of(*CASES["glm4"]),
    "stablelm": _of(*CASES["stablelm"]),
    "nemotron": _of(CASES["nemotron"][0]),
    "arcee": _of(CASES["arcee"][0]),
    "seed_oss": _of(*CASES["seed_oss"]),
    "hunyuan-dense": _of(CASES["hunyuan_v1_dense"][0], CASES["hunyuan_v1_dense"][2]),
    "exaone": _of(*CASES["exaone"], Case(settings=rope("llama3", **_LLAMA3, **ORIGINAL), config_class="ExaoneConfig")),
    "exaone4": _of(*CASES["exaone4"]),
    "internlm2": _of(REWRITTEN["internlm2"][0].case),
    "minicpm": tuple(GGUFCase(each.case, {"attention__scale": None}) for each in REWRITTEN["minicpm"]),
    "baichuan": _of(REWRITTEN["baichuan"][0].case),
    "command-r": _of(*CASES["cohere"]),
    "cohere2": _of(*CASES["cohere2"]),
}
"""By `general.architecture`."""
