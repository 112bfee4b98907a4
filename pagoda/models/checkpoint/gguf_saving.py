"""Quantised matrices back into a GGUF file: the one they came from, with other blocks in it.

Runs at the end of a quantisation. Metadata, tokenizer and chat template are the source's, byte for byte, and so is
every tensor that was not quantised; so only a `.gguf` can be written from a `.gguf`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.block_types import BlockType
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.saving import write_whole
from pagoda.models.checkpoint.translating import Translation
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.architectures import layouts_of_file
from pagoda.models.gguf.block_encoding import encoded
from pagoda.models.gguf.container import GGUFFile, GGUFTensor

Types = Mapping[str, BlockType]
"""By the network's name of a matrix, how it is to be stored."""
CodesOf = Callable[[str], GroupedCodes]
"""The codes of a matrix by the same."""
_FILE_TYPES = {"Q4_0": 2, "Q8_0": 7, "Q5_0": 8}
_FILE_TYPE = b"general.file_type"


def save_gguf(source: GGUFFile, config: ModelConfig, types: Types, codes_of: CodesOf, path: Path) -> None:
    """Write `source` with the matrices of `types` as the codes that `codes_of` has for them.

    Raises CheckpointError for a source in several files, and where it stores one of these matrices with others.
    """
    plan = _Replacing(source, config, types)
    write_whole(path, lambda temporary: _write(temporary, plan, codes_of))


class _Replacing:
    """Which of a file's tensors are replaced, and by what."""

    def __init__(self, source: GGUFFile, config: ModelConfig, types: Types) -> None:
        if len(source.paths) > 1:
            raise CheckpointError(f"{source.path} is one of {len(source.paths)} files: merge them into one first")
        candidates = [Translation(config, types, names) for names in layouts_of_file(source)]
        self.source, self.types = source, types
        self.translation = max(candidates, key=lambda each: sum(name in source.tensors for name in each.parts))
        self.names: dict[str, str] = {}
        for stored, parts in self.translation.parts.items():
            if len(parts) > 1 or stored not in source.tensors:
                raise CheckpointError(f"{source.path} does not hold {', '.join(parts)} as a tensor each: name a folder")
            self.names[stored] = parts[0]

    def type_of(self, tensor: GGUFTensor) -> BlockType:
        return self.types[self.names[tensor.name]] if tensor.name in self.names else tensor.type

    def num_bytes(self, tensor: GGUFTensor) -> int:
        return self.type_of(tensor).row_bytes(tensor.num_weights)

    def data(self, tensor: GGUFTensor, codes_of: CodesOf) -> bytes:
        if tensor.name not in self.names:
            return self.source.data(tensor).tobytes()
        name = self.names[tensor.name]
        codes = codes_of(name)
        rows = self.translation.rows_in_checkpoint(name, torch.arange(codes.shape[0]))
        return encoded(codes.rows(rows)).tobytes()


def _write(path: Path, plan: _Replacing, codes_of: CodesOf) -> None:
    tensors = list(plan.source.tensors.values())
    alignment = int(plan.source.metadata.get("general.alignment", 32))
    with path.open("wb") as file:
        file.write(_head(plan))
        start = 0
        for tensor in tensors:
            file.write(_row(tensor, plan.type_of(tensor), start))
            start += -(-plan.num_bytes(tensor) // alignment) * alignment
        _pad(file, alignment)
        for tensor in tensors:
            file.write(plan.data(tensor, codes_of))
            _pad(file, alignment)


def _head(plan: _Replacing) -> bytes:
    """Everything before the table of tensors, with the file's type as it is now."""
    head = bytearray(plan.source.head())
    place = head.find(struct.pack("<Q", len(_FILE_TYPE)) + _FILE_TYPE)
    if place >= 0 and plan.names:
        names = [plan.types[name].name for name in plan.names.values()]
        most = max(set(names), key=names.count)
        struct.pack_into("<I", head, place + 8 + len(_FILE_TYPE) + 4, _FILE_TYPES[most])
    return bytes(head)


def _row(tensor: GGUFTensor, stored: BlockType, start: int) -> bytes:
    name = tensor.name.encode("utf-8", "surrogateescape")
    dims = tensor.shape[::-1]
    return b"".join(_pieces(name, dims, stored.number, start))


def _pieces(name: bytes, dims: tuple[int, ...], number: int, start: int) -> Iterator[bytes]:
    yield struct.pack("<Q", len(name)) + name
    yield struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
    yield struct.pack("<IQ", number, start)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(b"\0" * (-file.tell() % alignment))
