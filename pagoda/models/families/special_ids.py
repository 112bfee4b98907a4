"""Tokens that begin and end a text, where a family's `config.json` says nothing of them: transformers' defaults.

Under `family`, which completes a `config.json` by them. A test compares each with transformers' config class.
"""

from __future__ import annotations

from typing import Any

_BOS_AND_EOS: dict[str, tuple[int | None, int | list[int]]] = {
    **dict.fromkeys(
        ("llama", "mistral", "ministral", "mixtral", "granite", "granitemoe", "hunyuan_v1_dense", "helium"), (1, 2)
    ),
    **dict.fromkeys(("internlm2", "internlm3", "minicpm", "baichuan"), (1, 2)),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), (2, 1)),
    **dict.fromkeys(("smollm3", "arcee"), (128000, 128001)),
    **dict.fromkeys(("olmo", "olmo2", "olmo3", "olmoe"), (None, 50279)),
    **dict.fromkeys(("glm", "glm4"), (None, [151329, 151336, 151338])),
    **dict.fromkeys(("seed_oss", "exaone4"), (0, 2)),
    **dict.fromkeys(("cohere", "cohere2"), (5, 255001)),
    "phi3": (1, 32000),
    "stablelm": (0, 0),
    "nemotron": (2, 3),
    "exaone": (1, 361),
}


def special_ids(model_type: str) -> dict[str, Any]:
    """`bos_token_id` and `eos_token_id` of a family; {} where its config class has none."""
    if model_type not in _BOS_AND_EOS:
        return {}
    bos, eos = _BOS_AND_EOS[model_type]
    return {"bos_token_id": bos, "eos_token_id": eos}
