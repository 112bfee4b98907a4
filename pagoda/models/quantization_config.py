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
from typing import Any, Protocol

from pagoda.errors import CheckpointError, nearest
from pagoda.models.coded_weights import CodedWeights

METHODS = ("gptq", "awq", "compressed-tensors", "fp8")
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
QUANTISED = ("quantization_config", "compression_config", "quantization", "dfloat11_config")
"""Keys of config.json that tell of a quantisation."""
QUANTISED_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
_METHOD_OF_FILE = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
READS_ONLY = (
    f"pagoda reads {', '.join(METHODS)} and the codes of GGUF files. Take the checkpoint that this one was made from: "
    f"its name is mostly the same without -GPTQ, -4bit or the like"
)
"""What is told of a checkpoint of another quantisation, however it was found to be one."""
READ_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision")
_FLOAT_8 = 8
_REGEX = "re:"


class Matrices(Protocol):
    """What a network's configuration says of its matrices."""

    @property
    def named_matrices(self) -> dict[str, tuple[int, int]]:
        """(in_features, out_features) of those in layers."""
        ...

    @property
    def hidden_size(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def tie_word_embeddings(self) -> bool: ...
    @property
    def has_head(self) -> bool: ...


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

    def num_bytes(self, in_features: int, out_features: int) -> int:
        """Of one matrix as it is stored: packed codes, scales of 16 bits and zero points."""
        groups = out_features * -(-in_features // (self.group_size or in_features))
        zero_bits = 0 if self.symmetric else groups * self.bits
        return -(-in_features * out_features * self.bits // 8) + 2 * groups + -(-zero_bits // 8)


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

    def coded(self, network: Matrices) -> CodedWeights:
        """What of a network's weights is stored in codes: FP8 is widened, and counts among floats."""
        ends = (EMBEDDING,) if network.tie_word_embeddings or not network.has_head else (EMBEDDING, HEAD)
        end = (network.hidden_size, network.vocab_size)
        num_weights = num_bytes = 0
        for module, (inputs, outputs) in {**network.named_matrices, **dict.fromkeys(ends, end)}.items():
            found = self.of(module)
            if found is not None and not found.is_float:
                num_weights += inputs * outputs
                num_bytes += found.num_bytes(inputs, outputs)
        return CodedWeights(num_weights, num_bytes)

    def of(self, module: str) -> QuantisedMatrices | None:
        """How the matrix of `module` is stored; None where it stays dense."""
        if any(_names(pattern, module) for pattern in self.ignored):
            return None
        return next((group for group in self.groups if any(_targets(each, module) for each in group.targets)), None)


def quantization_in(raw: Mapping[str, Any]) -> QuantizationConfig | None:
    """What a config.json says; None for dense weights. Raises CheckpointError for what is not read."""
    for key in QUANTISED:
        if settings := raw.get(key):
            if key == "quantization_config" and isinstance(settings, Mapping):
                return QuantizationConfig.from_dict(settings)
            raise CheckpointError(
                f"config.json has a {key} of {settings!r:.100}: the weights are quantised, and {READS_ONLY}"
            )
    return None


def quantization_beside(directory: Path) -> dict[str, Any]:
    """The `quantization_config` of a folder whose programs wrote it into a file of its own, as config.json has it.

    Raises CheckpointError for one that is not read.
    """
    for name in QUANTISED_FILES:
        if (directory / name).is_file():
            if (method := _METHOD_OF_FILE.get(name)) is None:
                raise CheckpointError(f"{directory} holds a {name}: the weights are quantised, and {READS_ONLY}")
            return {"quantization_config": {"quant_method": method, **_object_in(directory / name)}}
    return {}


def quantization_of(directory: Path) -> QuantizationConfig | None:
    """What a folder says of quantised weights, in either place. Raises CheckpointError for what is not read."""
    file = directory / "config.json"
    return quantization_in({**quantization_beside(directory), **(_object_in(file) if file.is_file() else {})})


def _object_in(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not valid JSON ({error}): download the file again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} holds a {type(found).__name__}, but a JSON object is expected")
    return found


def _names(pattern: str, module: str) -> bool:
    if pattern.startswith(_REGEX):
        return re.match(pattern.removeprefix(_REGEX), module) is not None
    return module == pattern or module.endswith(f".{pattern}") or f".{pattern}." in f".{module}."


def _targets(target: str, module: str) -> bool:
    """A target may be a class of modules, too: all but the embedding are of one."""
    return (target == "Linear" and module != EMBEDDING) or _names(target, module)


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
        f"config.json has a quantization_config with quant_method={method!r}: the weights are quantised, and "
        f"{READS_ONLY}"
    )


_GPTQ_LAYOUTS = ("gptq", "gptq_v2")
_READERS = {"gptq": _of_gptq, "awq": _of_awq, "compressed-tensors": _of_compressed_tensors, "fp8": _of_fp8}
