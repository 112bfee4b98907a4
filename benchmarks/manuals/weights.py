"""The small files of weights that ship beside the readers, written in one form by whatever fits them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write_weights(path: Path, about: str, weights: Mapping[str, float], **numbers: float) -> None:
    """Four digits of each weight. about: of what, and fitted by what; numbers: what stands beside them, by name"""
    told = {"about": about, **numbers, "weights": {name: round(value, 4) for name, value in weights.items()}}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")
