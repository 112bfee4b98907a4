"""Quantised matrices to a folder that transformers and vLLM load: compressed-tensors, packed (W4A16 and its like).

Runs at the end of a quantisation. Tensors come one by one and go to a file whenever a shard is full, so a model larger
than memory can be written. config.json, which makes the folder a checkpoint, is written last.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pagoda.errors import CheckpointError
from pagoda.files.whole import write_whole
from pagoda.kernels.grouped_codes import GroupedCodes, TwoLevel
from pagoda.models.checkpoint.bit_packing import pack
from pagoda.models.checkpoint.loading import load_generation, load_tokenizer
from pagoda.models.checkpoint.reading import INDEX
from pagoda.models.checkpoint.saving import write_json
from pagoda.models.coded_weights import ALL_FLOATS
from pagoda.models.config import ModelConfig
from pagoda.models.families.weight_names import AS_NAMED
from pagoda.models.gguf.container import Checkpoint
from pagoda.models.quantization_config import QUANTISED
from pagoda.models.tokenizer.saving import save_tokenizer

Stored = Iterable[tuple[str, torch.Tensor | GroupedCodes]]
"""Every tensor of a network by its name."""
_HEAD, _EMBEDDING = "lm_head", "model.embed_tokens"
_SHARD_BYTES = 4 << 30
_BESIDE = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*",
           "generation_config.json")  # fmt: skip


def save_compressed_tensors(tensors: Stored, config: ModelConfig, directory: Path) -> None:
    """Write `model*.safetensors` and config.json with its quantization_config; dense floats in 16 bits.

    transformers (5.24) loads symmetric codes of every width, and fails over packed zero points and over a packed
    embedding; pagoda loads all of them.

    Raises CheckpointError for a family whose checkpoints fuse or rename matrices, and for codes of a table or with an
    order of their own, which the format does not hold.
    """
    check_writable(config)
    directory.mkdir(parents=True, exist_ok=True)
    schemes: dict[str, GroupedCodes] = {}
    written: dict[str, str] = {}
    shards: list[tuple[Path, list[str]]] = []
    for number, shard in enumerate(_shards(_packed(tensors, schemes))):
        path = directory / f"model-{number:05}.safetensors"
        write_whole(path, partial(save_file, shard, metadata={"format": "pt"}))
        shards.append((path, list(shard)))
    for number, (path, names) in enumerate(shards, 1):
        final = directory / f"model-{number:05}-of-{len(shards):05}.safetensors"
        path.replace(final)
        written |= dict.fromkeys(names, final.name)
    size = sum((directory / name).stat().st_size for name in {*written.values()})
    write_json(directory / INDEX, {"metadata": {"total_size": size}, "weight_map": written})
    quantization = _quantization_config(schemes)
    source = {key: value for key, value in config.source.items() if key not in QUANTISED} if config.source else None
    raw = replace(config, dtype="float16", coded=ALL_FLOATS, source=source).to_dict()
    write_json(directory / "config.json", {**raw, "quantization_config": quantization})


def copy_beside(checkpoint: Checkpoint, config: ModelConfig, directory: Path) -> None:
    """The tokenizer and the other files of a folder that are no weights; of a GGUF file the same, written anew."""
    if not isinstance(checkpoint, Path) or not checkpoint.is_dir():
        save_tokenizer(load_tokenizer(checkpoint), directory)
        settings = load_generation(checkpoint).to_dict()
        write_json(directory / "generation_config.json", {"bos_token_id": config.bos_token_id, **settings})
        return
    for pattern in _BESIDE:
        for file in checkpoint.glob(pattern):
            shutil.copyfile(file, directory / file.name)


def check_writable(config: ModelConfig) -> None:
    """Raises CheckpointError for a family whose checkpoints do not have the network's own matrices."""
    if config.family.weights is not AS_NAMED:
        raise CheckpointError(
            f"a quantised {config.architecture} cannot be written, since its checkpoints fuse or rename matrices: "
            f"families that are stored as Llama is go (Llama, Mistral, Qwen2, Qwen3 and others)"
        )


def _packed(tensors: Stored, schemes: dict[str, GroupedCodes]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that are stored, and into `schemes` a row of each module's codes, which says how all are stored."""
    for name, found in tensors:
        if isinstance(found, torch.Tensor):
            yield name, _in_sixteen_bits(found)
            continue
        schemes[name] = found.rows(slice(0, 1))
        module = name.removesuffix(".weight")
        for part, tensor in _parts(found).items():
            yield f"{module}.{part}", tensor


def _parts(found: GroupedCodes) -> dict[str, torch.Tensor]:
    """What the format stores for a matrix."""
    if found.values is not None or found.order is not None:
        raise CheckpointError("codes of a table, or with an order of their own, have no place in compressed-tensors")
    assert isinstance(found.scales, torch.Tensor)
    parts = {
        "weight_packed": pack(found.codes, found.bits),
        "weight_scale": _in_sixteen_bits(found.scales),
        "weight_shape": torch.tensor(list(found.shape), dtype=torch.int64),
    }
    if isinstance(found.shifts, TwoLevel):
        parts["weight_zero_point"] = pack(found.shifts.codes.T, found.bits).T
    return parts


def _in_sixteen_bits(tensor: torch.Tensor) -> torch.Tensor:
    """In fp16, or where it is beyond that in bf16: scales come rounded to one of the two."""
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.half()
    exact = torch.isfinite(half).all() and (half.float() != 0).eq(tensor != 0).all()
    return (half if exact else tensor.bfloat16()).contiguous()


def _shards(tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    for name, tensor in tensors:
        if shard and sum(each.nbytes for each in shard.values()) + tensor.nbytes > _SHARD_BYTES:
            yield shard
            shard = {}
        shard[name] = tensor.contiguous()
    yield shard


def _quantization_config(schemes: Mapping[str, GroupedCodes]) -> dict[str, Any]:
    """compressed-tensors' description: one group of modules for each scheme."""
    alike: dict[tuple[int, int | None, bool], list[str]] = defaultdict(list)
    for name, codes in schemes.items():
        group_size = None if codes.group_size == codes.shape[1] else codes.group_size
        alike[codes.bits, group_size, codes.shifts is None].append(name.removesuffix(".weight"))
    if len(alike) == 1:  # by the class of its modules, as most programs write it; an embedding is of another
        ((key, names),) = alike.items()
        alike[key] = ["Linear", *(name for name in names if name == _EMBEDDING)]
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            f"group_{number}": _group(key, targets) for number, (key, targets) in enumerate(alike.items())
        },
        "ignore": [] if {f"{_HEAD}.weight", f"{_EMBEDDING}.weight"} & schemes.keys() else [_HEAD],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def _group(key: tuple[int, int | None, bool], targets: list[str]) -> dict[str, Any]:
    bits, group_size, symmetric = key
    weights = {
        "num_bits": bits,
        "type": "int",
        "symmetric": symmetric,
        "strategy": "channel" if group_size is None else "group",
        "group_size": group_size,
        "dynamic": False,
        "actorder": None,
        "observer": "minmax",
    }
    return {"targets": targets, "weights": weights, "input_activations": None, "output_activations": None}
