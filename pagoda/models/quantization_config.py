"""What `config.json` says of quantised weights: by whom, in how many bits, and which matrices.

First station of loading, beside `config`: what is not read is refused here, before weights are. Which tensors make up a
matrix is told by their names (`checkpoint/quantised_source`); from here come only the facts that those do not tell, and
the bytes for `pagoda plan`. Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError, nearest

METHODS = ("gptq", "awq", "compressed-tensors", "fp8")
READ_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision")
_FLOAT_8 = 8
_REGEX = "re:"


@dataclass(frozen=True)
class QuantisedMatrices:
    """The matrices that are stored alike.

    targets: names of modules, `re:` patterns of them, or classes of modules; "Linear" is every one
    is_float: FP8, which is widened while it is read
    group_size: None is a whole row
    """

    bits: int
    group_size: int | None = None
    symmetric: bool = True
    is_float: bool = False
    targets: tuple[str, ...] = ("Linear",)


@dataclass(frozen=True)
class QuantizationConfig:
    """A checkpoint's `quantization_config`, as far as it is read.

    layout: how the tensors of `method` lie: "gptq" or "gptq_v2", "gemm", or a format of compressed-tensors
    ignored: modules that stay dense, as `targets` names them
    """

    method: str
    layout: str
    groups: tuple[QuantisedMatrices, ...]
    ignored: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> QuantizationConfig:
        """Of the object in config.json. Raises CheckpointError for what this version does not read."""
        method = raw.get("quant_method")
        try:
            return _READERS[method](raw) if method in _READERS else _refused(method)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"config.json has a quantization_config of {method!r} that cannot be read ({error!r:.100}): compare it "
                f"with the one that the model was published with"
            ) from error

    def of(self, module: str) -> QuantisedMatrices | None:
        """How the matrix of `module` is stored; None where it stays dense."""
        if any(_names(pattern, module) for pattern in self.ignored):
            return None
        return next((group for group in self.groups if any(_targets(each, module) for each in group.targets)), None)


def quantization_of(directory: Path) -> QuantizationConfig | None:
    """What a folder says of quantised weights: in config.json, or in a file of its own as older programs wrote it.

    None for dense weights, and where there is no such file to read. Raises CheckpointError for what is not read.
    """
    for name, key in _FILES.items():
        try:
            raw = json.loads((directory / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # `config` tells what is wrong with it
        found = raw.get(key) if key is not None and isinstance(raw, dict) else raw
        if isinstance(found, dict):
            return QuantizationConfig.from_dict(found if key else {"quant_method": _METHOD_OF_FILE[name], **found})
    return None


def _names(pattern: str, module: str) -> bool:
    if pattern.startswith(_REGEX):
        return re.match(pattern.removeprefix(_REGEX), module) is not None
    return module == pattern or module.endswith(f".{pattern}") or f".{pattern}." in f".{module}."


def _targets(target: str, module: str) -> bool:
    """A target may be a class of modules, too: of those there is one that has matrices here."""
    return target == "Linear" or _names(target, module)


def _of_gptq(raw: Mapping[str, Any]) -> QuantizationConfig:
    bits = _bits(raw["bits"], "gptq", (4, 8))
    if raw.get("dynamic"):
        raise CheckpointError("config.json has a gptq quantization with `dynamic` rules, which pagoda does not read")
    # Written under the first key until 2024, under the second since; and "gptq" is version 1 in both.
    layout = str(raw.get("checkpoint_format") or raw.get("format") or "gptq")
    if layout not in ("gptq", "gptq_v2"):
        raise CheckpointError(f"config.json has a gptq checkpoint_format={layout!r}; {nearest(layout, _GPTQ_LAYOUTS)}")
    group = QuantisedMatrices(bits, _group_size(raw.get("group_size")), bool(raw.get("sym", True)))
    head = () if raw.get("lm_head") else ("lm_head",)
    return QuantizationConfig("gptq", layout, (group,), head)


def _of_awq(raw: Mapping[str, Any]) -> QuantizationConfig:
    bits = _bits(raw.get("bits", raw.get("w_bit")), "awq", (4,))
    layout = str(raw.get("version", "gemm")).lower()
    if layout != "gemm":
        raise CheckpointError(f"config.json has an awq quantization of version={layout!r}, but only gemm is read")
    group_size = _group_size(raw.get("group_size", raw.get("q_group_size")))
    group = QuantisedMatrices(bits, group_size, not raw.get("zero_point", True))
    return QuantizationConfig("awq", layout, (group,), ("lm_head", *(raw.get("modules_to_not_convert") or ())))


def _of_fp8(raw: Mapping[str, Any]) -> QuantizationConfig:
    ignored = raw.get("modules_to_not_convert") or raw.get("ignored_layers") or ()
    group = QuantisedMatrices(_FLOAT_8, is_float=True)
    return QuantizationConfig("fp8", "float-quantized", (group,), ("lm_head", *ignored))


def _of_compressed_tensors(raw: Mapping[str, Any]) -> QuantizationConfig:
    layout = str(raw.get("format"))
    if layout not in READ_FORMATS:
        raise CheckpointError(
            f"config.json has compressed-tensors of format={layout!r}, but {', '.join(READ_FORMATS)} are read: take "
            f"the checkpoint that this one was made from"
        )
    if raw.get("sparsity_config") and raw["sparsity_config"].get("format", "dense") != "dense":
        raise CheckpointError("config.json has compressed-tensors with sparse weights, which pagoda does not read")
    groups = tuple(_of_group(group) for group in raw["config_groups"].values())
    return QuantizationConfig("compressed-tensors", layout, groups, tuple(raw.get("ignore") or ()))


def _of_group(raw: Mapping[str, Any]) -> QuantisedMatrices:
    weights = raw["weights"]
    if str(raw.get("format") or "pack-quantized") not in READ_FORMATS:
        raise CheckpointError(f"config.json has compressed-tensors of format={raw['format']!r}, which is not read")
    is_float = weights.get("type", "int") == "float"
    bits = _bits(weights["num_bits"], "compressed-tensors", (8,) if is_float else (4, 5, 6, 8))
    group_size = _group_size(weights.get("group_size")) if weights.get("strategy") == "group" else None
    symmetric = bool(weights.get("symmetric", True))
    return QuantisedMatrices(bits, group_size, symmetric, is_float, tuple(raw["targets"]))


def _bits(value: Any, method: str, known: Iterable[int]) -> int:
    if value not in known:
        raise CheckpointError(
            f"config.json has {method} weights of {value!r} bits, but {', '.join(map(str, known))} are read: take the "
            f"checkpoint that this one was made from, or another quantisation of it"
        )
    return int(value)


def _group_size(value: Any) -> int | None:
    """-1 is what GPTQ and AWQ write for a whole row."""
    return None if value in (None, -1) else int(value)


def _refused(method: Any) -> QuantizationConfig:
    raise CheckpointError(
        f"config.json has a quantization_config with quant_method={method!r}, but {', '.join(METHODS)} are read: take "
        f"the checkpoint that this one was made from; its name is mostly the same without -4bit, -bnb or the like"
    )


_METHOD_OF_FILE = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
_FILES: Mapping[str, str | None] = {"config.json": "quantization_config", **dict.fromkeys(_METHOD_OF_FILE)}
"""A file -> the key under which it tells of a quantisation; None where all of it does."""
_GPTQ_LAYOUTS = ("gptq", "gptq_v2")
_READERS = {"gptq": _of_gptq, "awq": _of_awq, "compressed-tensors": _of_compressed_tensors, "fp8": _of_fp8}
