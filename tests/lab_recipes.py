"""The smallest recipe of the laboratory that tests need: two norms and two rates on a task, one step each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pagoda.lab.recipe import LabRecipe

MODEL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def raw(**changes: Any) -> dict[str, Any]:
    """Two norms and two rates on a task, one step each."""
    recipe = {
        "lab": {"seeds": [0, 1], "compare": "norm", "against": "rms_norm", "metric": "accuracy"},
        "task": {"name": "even_pairs", "sequences": 4, "longest": 4, "test_to": 8, "lengths": 2, "strings": 4},
        "model": MODEL,
        "train": {"tokens": 64, "precision": "fp32", "warmup_steps": 1, "save_every": 1},
        "axes": {
            "norm": {"rms_norm": {"model": {"norm": "rms_norm"}}, "none": {"model": {"norm": "none"}}},
            "rate": {"1e-3": {"train": {"learning_rate": 1e-3}}, "1e-2": {"train": {"learning_rate": 1e-2}}},
        },
    }
    return recipe | changes


def made(*, quick: bool = False, **changes: Any) -> LabRecipe:
    return LabRecipe.from_dict(raw(**changes), "made", (Path(),), quick=quick)
