"""The tensors that a checkpoint stores, by name: safetensors files, whole or sharded, or one llama2.c file.

Runs once before the first token, under `loading`. Files are memory-mapped and tensors read one by one, so that whoever
reads them needs the memory of one. Pickled weights are refused: unpickling runs whatever code the file holds.
safetensors holds only numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.llama2c import load_llama2c

_INDEX = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LFS_POINTER = b"version https://git-lfs"


def iterate_weights(directory: str | Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a checkpoint directory or a llama2.c `.bin` file, as stored, one at a time.

    Raises CheckpointError when a file is missing, cut short or pickled.
    """
    sources = tensor_sources(Path(directory))
    for name, _, tensor in sources.read(sources.files):
        yield name, tensor


class _SafetensorsFiles:
    """Tensors of a directory by name. `files` maps each name to its file."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def read(self, names: Mapping[str, Path]) -> Iterator[tuple[str, Path, torch.Tensor]]:
        """Name, file and tensor, file by file."""
        for file in sorted(set(names.values())):
            with _open(file) as reader:
                for name in (name for name, holder in names.items() if holder == file):
                    yield name, file, _get_tensor(reader, name, file)


class _Llama2cFile:
    """The same for a llama2.c file."""

    def __init__(self, path: Path) -> None:
        self._tensors = load_llama2c(path)[1]
        self.files = dict.fromkeys(self._tensors, path)

    def read(self, names: Mapping[str, Path]) -> Iterator[tuple[str, Path, torch.Tensor]]:
        for name, file in names.items():
            yield name, file, self._tensors[name]


def tensor_sources(path: Path) -> _SafetensorsFiles | _Llama2cFile:
    if path.is_file():
        return _Llama2cFile(path)
    if (path / _INDEX).is_file():
        return _SafetensorsFiles(_read_index(path / _INDEX))
    if (path / SINGLE_FILE).is_file():
        with _open(path / SINGLE_FILE) as reader:
            return _SafetensorsFiles(dict.fromkeys(reader.keys(), path / SINGLE_FILE))
    pickled = sorted(file.name for pattern in _PICKLED for file in path.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{path} holds pickled weights only ({', '.join(pickled[:3])}), and opening those can run code: get the "
            f"safetensors files of the same model, or convert where you trust the source, with transformers: "
            f"AutoModelForCausalLM.from_pretrained(directory).save_pretrained(new_directory)"
        )
    raise CheckpointError(f"{path} holds no weights: expected {SINGLE_FILE}, or {_INDEX} and its shards")


def _read_index(path: Path) -> dict[str, Path]:
    """Tensor names to shards. A shard's name may not leave the directory."""
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = {str(name): path.parent / str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors index ({error!r}): download it again") from error
    for shard in sorted(set(files.values())):
        if shard.parent != path.parent or shard.suffix != ".safetensors":
            raise CheckpointError(f"{path} names {shard}, expected a .safetensors file of the same directory")
        if not shard.is_file():
            raise CheckpointError(f"{path.name} names {shard.name}, which {path.parent} lacks: download that file")
    return files


def _open(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(_describe_damage(file, error)) from error


def _describe_damage(file: Path, error: Exception) -> str:
    """Says what is wrong with a file that safetensors refuses."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        header = opened.read(min(int.from_bytes(start, "little"), size))
    if start == _LFS_POINTER[:8]:
        return f"{file} is a git-lfs pointer, not the weights: run git lfs pull"
    try:
        ends = [entry["data_offsets"][1] for key, entry in json.loads(header).items() if key != "__metadata__"]
        promised = 8 + len(header) + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{file} ({size} bytes) is not a readable safetensors file ({error}): download it again"
    return f"{file} has {size} bytes, its header promises {promised}: it was cut short; delete it and download it again"


def _get_tensor(reader: Any, name: str, file: Path) -> torch.Tensor:
    try:
        return reader.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{file} has no readable tensor {name!r} ({error}): download it again") from error
