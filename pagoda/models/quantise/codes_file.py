"""Grouped codes of one layer in one file, so that an interrupted quantisation goes on where it stopped.

Beside the token's path, under `job`. Each matrix is a few tensors, NAME and the part; what is no tensor stands in the
file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pagoda.files.whole import write_whole
from pagoda.kernels.grouped_codes import Factors, GroupedCodes, TwoLevel


def write_codes(path: Path, codes: Mapping[str, GroupedCodes], facts: Mapping[str, float]) -> None:
    """`facts`: numbers that go with them."""
    tensors: dict[str, torch.Tensor] = {}
    described = {}
    for name, found in codes.items():
        tensors[f"{name}:codes"] = found.codes.contiguous()
        for part, factors in (("scales", found.scales), ("shifts", found.shifts)):
            if isinstance(factors, TwoLevel):
                tensors[f"{name}:{part}:codes"] = factors.codes.contiguous()
                tensors[f"{name}:{part}:steps"] = factors.steps.clone()  # of zero points the scales, which are there
            elif factors is not None:
                tensors[f"{name}:{part}"] = factors.contiguous()
        described[name] = {"bits": found.bits, "group_size": found.group_size, "zero": found.zero}
    metadata = {"matrices": json.dumps(described), "facts": json.dumps(dict(facts))}
    write_whole(path, lambda file: save_file(tensors, file, metadata=metadata))


def read_codes(path: Path) -> tuple[dict[str, GroupedCodes], dict[str, float]]:
    """What `write_codes` wrote."""
    codes: dict[str, GroupedCodes] = {}
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        there = set(file.keys())
        for name, described in json.loads(metadata["matrices"]).items():
            scales, shifts = (_factors(file, there, f"{name}:{part}") for part in ("scales", "shifts"))
            assert scales is not None, "whoever wrote codes wrote their scales"
            codes[name] = GroupedCodes(file.get_tensor(f"{name}:codes"), scales=scales, shifts=shifts, **described)
    return codes, json.loads(metadata["facts"])


def _factors(file: Any, there: set[str], name: str) -> Factors | None:
    if f"{name}:codes" in there:
        return TwoLevel(file.get_tensor(f"{name}:codes"), file.get_tensor(f"{name}:steps"))
    return file.get_tensor(name) if name in there else None
