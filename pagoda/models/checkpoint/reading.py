"""The tensors that a checkpoint stores, by name: safetensors files, whole or sharded, a GGUF or a llama2.c file.

Runs once before the first token, under `loading`. Files are memory-mapped and tensors read one by one, so that whoever
reads them needs the memory of one. Pickled weights are refused: unpickling runs whatever code the file holds.
safetensors holds only numbers.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import mmap
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.gguf_source import GGUFSource
from pagoda.models.checkpoint.layouts import describe_directory
from pagoda.models.checkpoint.llama2c import Llama2cSource
from pagoda.models.checkpoint.quantised_source import QuantisedSource
from pagoda.models.checkpoint.source import CheckpointSource, Stored
from pagoda.models.gguf.container import Checkpoint, GGUFFile, opened
from pagoda.models.quantization_config import quantization_of

INDEX = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
_OTHER_COPIES = ("consolidated*", "adapter_model*")
_LFS_POINTER = b"version https://git-lfs"


def iterate_weights(directory: str | Path) -> Iterator[tuple[str, Stored]]:
    """Names and tensors of a checkpoint directory or a llama2.c `.bin` file, as stored, one at a time.

    Raises CheckpointError when a file is missing, cut short or pickled.
    """
    source = open_checkpoint(Path(directory))
    yield from source.read(source.files)


class SafetensorsSource:
    """The safetensors files of a directory; `files` maps each name to its file."""

    layouts = ()

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def stored_name(self, name: str) -> str:
        return name

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """File by file, so that each is opened once."""
        by_file = sorted(names, key=lambda name: self.files[name])
        for file, of_file in itertools.groupby(by_file, key=lambda name: self.files[name]):
            with _open(file) as reader:
                for name in of_file:
                    tensor = _get_tensor(reader, name, file)
                    yield name, tensor
                    _give_back(tensor)


def open_checkpoint(checkpoint: Checkpoint) -> CheckpointSource:
    """The source for a directory, a GGUF or a llama2.c file. Raises CheckpointError where there are no weights.

    The whole file goes before an index, which may be left over from before the shards were merged (as in transformers);
    shards without an index are read as they are (as in vLLM).
    """
    path = opened(checkpoint)
    if isinstance(path, GGUFFile):
        return GGUFSource(path)
    if path.is_file():
        return Llama2cSource(path)
    source, quantization = _safetensors(path), quantization_of(path)
    return source if quantization is None else QuantisedSource(source, quantization)


def _safetensors(path: Path) -> SafetensorsSource:
    if (path / SINGLE_FILE).is_file():
        return SafetensorsSource(_names_of([path / SINGLE_FILE]))
    if (path / INDEX).is_file():
        return SafetensorsSource(_read_index(path / INDEX))
    shards = [file for file in sorted(path.glob("*.safetensors")) if not any(map(file.match, _OTHER_COPIES))]
    if shards:
        return SafetensorsSource(_names_of(shards))
    told = describe_directory(path)
    raise CheckpointError(told or f"{path} holds no weights: expected {SINGLE_FILE}, or {INDEX} and its shards")


def _names_of(files: Iterable[Path]) -> dict[str, Path]:
    """Tensor names to the files that hold them."""
    found: dict[str, Path] = {}
    for file in files:
        with _open(file) as reader:
            for name in list(reader.keys()):
                if name in found:
                    raise CheckpointError(
                        f"{found[name].name} and {file.name} in {file.parent} both hold the tensor {name}: they are of "
                        f"two checkpoints, so take one away, or bring the {INDEX} that says which is meant"
                    )
                found[name] = file
    return found


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


def _give_back(tensor: torch.Tensor) -> None:
    """The pages of the map that held `tensor`, which was read: else they count as ours until the file is closed.

    Whoever reads it again gets them from the file once more.
    """
    if sys.platform != "linux":
        return
    page = mmap.PAGESIZE
    first = -(-tensor.data_ptr() // page) * page  # whole pages only: the others hold a neighbour's numbers, too
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - first
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
