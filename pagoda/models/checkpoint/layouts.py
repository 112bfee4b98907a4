"""What a directory or repository is where it is no checkpoint that can be read, told from names of files and tensors.

Off the token's path: asked once, before weights are read or fetched, so that nobody downloads forty gigabytes to learn
that they are 4-bit codes, and nobody looks for a fault in a checkpoint that is whole, but of another kind.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError

_CONVERT = (
    "get the safetensors files of the same model, or convert where you trust the source, with transformers: "
    "AutoModelForCausalLM.from_pretrained(directory).save_pretrained(new_directory)"
)
_LAYOUTS: tuple[tuple[str, str, str], ...] = (
    (
        "adapter_config.json",
        "a LoRA adapter",
        "which is no model by itself, and pagoda applies none: merge it into its base model with peft "
        "(merge_and_unload, then save_pretrained), or take a merged checkpoint",
    ),
    ("model_index.json", "a diffusers pipeline", "which makes images: take a causal language model"),
    (
        "*.gguf",
        "GGUF files",
        "of which one is the model: give its path, or the hub id with its quantisation, ID:Q4_K_M",
    ),
    ("*.exl2", "EXL2 weights", "which pagoda does not read: take the repository that they were made from"),
    (
        "params.json",
        "weights as Meta or Mistral AI lay them out",
        "which pagoda does not read: take the same model as transformers has it (its name mostly ends in -hf), or give "
        "the folder that holds config.json",
    ),
    (
        "consolidated*.safetensors",
        "weights as Mistral AI lays them out",
        "which pagoda does not read: take the same model as transformers has it, whose files are called model-*",
    ),
    ("*.nemo", "a NeMo archive", "which pagoda does not read: take the same model as transformers has it"),
    ("*.npz", "MLX weights", "which pagoda does not read: take the checkpoint that they were made from"),
    *(
        (pattern, "pickled weights only", f"and opening those can run code: {_CONVERT}")
        for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt")
    ),
    ("*.onnx", "an ONNX graph", f"which pagoda does not read: {_CONVERT}"),
    ("*.msgpack", "Flax weights", f"which pagoda does not read: {_CONVERT}"),
    ("*.h5", "TensorFlow weights", f"which pagoda does not read: {_CONVERT}"),
)
"""Pattern of a file's name, what it is, and what to take instead; what says most goes first."""
_QUANTISED_TENSORS: tuple[tuple[str, str], ...] = (
    ("qweight", "GPTQ or AWQ"),
    ("qzeros", "GPTQ or AWQ"),
    ("g_idx", "GPTQ"),
    ("weight_packed", "compressed-tensors"),
    ("weight_shape", "compressed-tensors"),
    ("weight_zero_point", "compressed-tensors"),
    ("weight_scale_inv", "FP8"),
    ("weight_scale_2", "NVFP4"),
    ("weight_scale", "FP8 or int8"),
    ("input_scale", "FP8"),
    ("act_scale", "FP8"),
    ("SCB", "bitsandbytes int8"),
    ("absmax", "bitsandbytes"),
    ("quant_map", "bitsandbytes"),
    ("bitsandbytes__*", "bitsandbytes 4-bit"),
    ("q_weight", "EXL2"),
    ("q_scale", "EXL2"),
    ("trellis", "EXL3"),
    ("*_blocks", "MXFP4"),
    ("*_scales", "MXFP4"),
    ("scales", "MLX or AWQ"),
    ("codebooks", "AQLM"),
    ("codes", "AQLM"),
    ("Qidxs", "QuIP#"),
    ("W_q", "HQQ"),
    ("k_scale", "scales of an FP8 KV cache"),
    ("v_scale", "scales of an FP8 KV cache"),
    ("kv_scale", "scales of an FP8 KV cache"),
)
"""Last part of a tensor's name -> the quantisation that stores it."""


def describe_layout(place: str | Path, names: Collection[str]) -> str | None:
    """What `place` holds and what to take instead, by its files' names; None where they say nothing."""
    for pattern, what, instead in _LAYOUTS:
        found = sorted(name for name in names if fnmatch(name, pattern))
        if found:
            shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            return f"{place} holds {what} ({shown}), {instead}"
    return None


def describe_directory(directory: Path) -> str | None:
    """As `describe_layout`, and of an adapter the model that it was made for."""
    if not directory.is_dir():
        return None
    told = describe_layout(directory, [file.name for file in directory.iterdir()])
    base = _base_of_adapter(directory / "adapter_config.json")
    return told if told is None or base is None else f"{told}. It was made for {base}"


def quantisation_of(names: Iterable[str]) -> tuple[str, str] | None:
    """`(a tensor's name, its quantisation)` where tensors' names tell one, which no dense checkpoint has."""
    for name in names:
        last = name.rpartition(".")[2]
        for pattern, quantisation in _QUANTISED_TENSORS:
            if fnmatch(last, pattern):
                return name, quantisation
    return None


def check_weights(directory: Path, matrices: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a directory holds weights; their headers alone are read.

    matrices: module -> (in_features, out_features), as the configuration has them
    Raises CheckpointError where files are missing or cut off, where a matrix of that name has another shape, or where
    only some layers have a matrix: that is no model of this configuration. Weights that families name otherwise, or
    that are quantised, are not compared.
    """
    shapes = _shapes(directory)
    if not shapes:
        return False
    for module, (inputs, outputs) in matrices.items():
        found = shapes.get(f"{module}.weight")
        if found not in (None, [outputs, inputs]):
            raise CheckpointError(
                f"{directory}: {module}.weight has the shape {found}, but config.json makes it [{outputs}, {inputs}]: "
                "they are of two models"
            )
    there = {module for module in matrices if f"{module}.weight" in shapes}
    kinds = {module.rpartition(".")[2] for module in there}
    missing = [module for module in matrices if module not in there and module.rpartition(".")[2] in kinds]
    if missing:
        raise CheckpointError(
            f"{directory} lacks {len(missing)} matrices that config.json speaks of, {missing[0]} among them: take the "
            "config.json of this model, or get its other files"
        )
    return True


def _shapes(directory: Path) -> dict[str, list[int]]:
    """Of every tensor in the safetensors files of a directory. Raises CheckpointError."""
    index = directory / "model.safetensors.index.json"
    whole = directory / "model.safetensors"
    named = [] if whole.exists() or not index.exists() else _object(index).get("weight_map", {}).values()
    for name in sorted(set(map(str, named))):
        if not (directory / name).is_file():
            raise CheckpointError(f"{directory} lacks {name}, which {index.name} speaks of: get the missing file")
    files = [whole] if whole.exists() else sorted(directory.glob("*.safetensors"))
    return {name: shape for file in files for name, shape in _header(file)}


def _header(file: Path) -> Iterator[tuple[str, list[int]]]:
    """(name, shape) of each tensor of a safetensors file. Raises CheckpointError where it is none, or cut off."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            entries = json.loads(opened.read(min(length, file.stat().st_size)))
        entries.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        shapes = [(name, list(entry["shape"])) for name, entry in entries.items()]
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} is no safetensors file, or is cut off: get it again") from error
    if file.stat().st_size < end:
        raise CheckpointError(f"{file} has {file.stat().st_size} bytes of {end}: get it again")
    yield from shapes


def _object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}): get it again") from error
    return found if isinstance(found, dict) else {}


def _base_of_adapter(file: Path) -> str | None:
    try:
        base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return str(base) if base else None
