"""A quantised model as a GGUF file: of another GGUF file, or of a folder.

Runs at the end of a quantisation. Of a GGUF file metadata, tokenizer and chat template are the source's, byte for byte,
and so is every tensor that was not quantised. Of a folder all of that is written anew: metadata by
`gguf/config_writing` and `tokenizer/gguf_writing`, tensors under ggml's names and with rows in its order. Whether the
format can say what the model is shows before the work begins: a draft of the file, all header and no weights, is read
back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import torch

from pagoda.errors import CheckpointError
from pagoda.files.whole import write_whole
from pagoda.kernels.block_types import BY_NAME, BlockType
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.translating import Translation
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.architectures import ARCHITECTURES, layouts_of_file
from pagoda.models.gguf.block_encoding import encoded
from pagoda.models.gguf.config_writing import architecture_name, check_said, factor_tensors, metadata_of
from pagoda.models.gguf.container import GGUFFile, GGUFTensor
from pagoda.models.gguf.header_writing import header, table_row
from pagoda.models.gguf.metadata import Value
from pagoda.models.gguf.model_config import load_gguf_config
from pagoda.models.gguf.tensor_names import layouts_of

Types = Mapping[str, BlockType]
"""By the network's name of a matrix, how it is to be stored."""
CodesOf = Callable[[str], GroupedCodes]
"""The codes of a matrix by the same."""
FloatsOf = Callable[[str], torch.Tensor]
"""A tensor of the network, in fp32."""
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q5_0": 8, "Q4_K": 15, "Q5_K": 17, "Q6_K": 18, "BF16": 32}
_FILE_TYPE = "general.file_type"
_ALIGNMENT = 32


@dataclass(frozen=True)
class OutgoingTensor:
    """One tensor of a file that is written; its bytes are asked for when it is its turn."""

    name: str
    shape: tuple[int, ...]
    type: BlockType
    data: Callable[[], bytes]

    @property
    def num_bytes(self) -> int:
        rows = self.shape[-1] if self.shape else 1
        return self.type.row_bytes(rows) * (int(np.prod(self.shape)) // rows)


class GGUFCopy:
    """A GGUF file with other blocks in it. matrices: what will be replaced, by the network's names.

    Raises CheckpointError for a source in several files, and where it stores one of these matrices with others.
    """

    def __init__(self, source: GGUFFile, config: ModelConfig, matrices: Iterable[str]) -> None:
        if len(source.paths) > 1:
            raise CheckpointError(f"{source.path} is one of {len(source.paths)} files: merge them into one first")
        names = list(matrices)
        candidates = [Translation(config, names, layout) for layout in layouts_of_file(source)]
        self.translation = max(candidates, key=lambda each: sum(name in source.tensors for name in each.parts))
        self.source = source
        self.names: dict[str, str] = {}
        for stored, parts in self.translation.parts.items():
            if len(parts) > 1 or stored not in source.tensors:
                raise CheckpointError(f"{source.path} does not hold {', '.join(parts)} as a tensor each: name a folder")
            self.names[stored] = parts[0]

    def save(self, types: Types, codes_of: CodesOf, path: Path) -> None:
        """Write the source with the matrices of `types` as the codes that `codes_of` has for them."""
        outgoing = [self._outgoing(tensor, types, codes_of) for tensor in self.source.tensors.values()]
        head = _with_file_type(self.source.head(), types)
        alignment = int(self.source.metadata.get("general.alignment", _ALIGNMENT))
        write_whole(path, lambda temporary: _write(temporary, head, outgoing, alignment))

    def _outgoing(self, tensor: GGUFTensor, types: Types, codes_of: CodesOf) -> OutgoingTensor:
        name = self.names.get(tensor.name, "")
        if name in types:
            data = _coded(self.translation, name, codes_of)
            return OutgoingTensor(tensor.name, tensor.shape, types[name], data)
        return OutgoingTensor(tensor.name, tensor.shape, tensor.type, lambda: self.source.data(tensor).tobytes())


class GGUFDraft:
    """A GGUF file of a model that has none, checked before it is written.

    shapes: of every tensor of the network, by its names; tokens: the metadata of the tokenizer and of sampling
    floats_of: those that are not written in codes

    Raises CheckpointError where the format cannot say what the model is.
    """

    def __init__(
        self, config: ModelConfig, shapes: Mapping[str, Sequence[int]], tokens: Mapping[str, Value], floats_of: FloatsOf
    ) -> None:
        self.config, self.shapes, self.floats_of = config, shapes, floats_of
        self.metadata = {**metadata_of(config), "general.type": "model", **tokens}
        layouts = layouts_of(ARCHITECTURES[architecture_name(config)].names)
        self.translation = Translation(config, shapes, layouts[0])
        for stored, parts in self.translation.parts.items():
            if len(parts) > 1 or any(len(self.translation.sources[part]) > 1 for part in parts):
                raise CheckpointError(
                    f"a GGUF file of {config.architecture} holds {', '.join(parts[:3])} and others as one tensor "
                    f"({stored}), whose parts may have other bits: name a folder"
                )
        self._check()

    def save(self, types: Types, codes_of: CodesOf, path: Path) -> None:
        """Write the matrices of `types` in codes, all others as floats.

        Raises CheckpointError for numbers that 16 bits do not hold.
        """
        tensors = self._tensors(types, codes_of)
        write_whole(path, lambda temporary: _write(temporary, self._head(tensors), tensors, _ALIGNMENT))

    def _check(self) -> None:
        """Read back a file of this header that has holes for weights."""
        tensors = self._tensors({}, None)
        with TemporaryDirectory() as directory:
            path = Path(directory) / "draft.gguf"
            _write(path, self._head(tensors), tensors, _ALIGNMENT, holes=self.translation.parts)
            check_said(self.config, load_gguf_config(GGUFFile.open(path)))

    def _head(self, tensors: Sequence[OutgoingTensor]) -> bytes:
        file_type = _FILE_TYPES[_most([each.type for each in tensors if len(each.shape) > 1])]
        said = {**self.metadata, _FILE_TYPE: file_type, "general.quantization_version": 2}
        return header(said, len(tensors))

    def _tensors(self, types: Types, codes_of: CodesOf | None) -> list[OutgoingTensor]:
        found = [
            OutgoingTensor(name, values.shape, BY_NAME["F32"], values.tobytes)
            for name, values in factor_tensors(self.config).items()
        ]
        for name, shape in self.shapes.items():
            if codes_of is not None and name in types:
                kind, data = types[name], _coded(self.translation, name, codes_of)
            else:
                kind = self._float_type(name, shape)
                data = self._floats(name, kind)
            found.append(OutgoingTensor(self.translation.sources[name][0], tuple(shape), kind, data))
        return found

    def _float_type(self, name: str, shape: Sequence[int]) -> BlockType:
        if len(shape) < 2 or name.endswith("norm.weight"):
            return BY_NAME["F32"]
        return BY_NAME["BF16" if self.config.dtype == "bfloat16" else "F16"]

    def _floats(self, name: str, kind: BlockType) -> Callable[[], bytes]:
        def data() -> bytes:
            tensor = self.translation.stored_floats(name, self.floats_of(name))
            if kind.name == "F32":
                return tensor.numpy().tobytes()
            short = tensor.to(torch.bfloat16 if kind.name == "BF16" else torch.float16)
            if not torch.isfinite(short).all():
                raise CheckpointError(f"{name} holds numbers that are none in {kind.name}: the model is damaged")
            return short.contiguous().view(torch.int16).numpy().tobytes()

        return data


def _coded(translation: Translation, name: str, codes_of: CodesOf) -> Callable[[], bytes]:
    def data() -> bytes:
        codes = codes_of(name)
        return encoded(codes.rows(translation.rows_in_checkpoint(name, torch.arange(codes.shape[0])))).tobytes()

    return data


def _write(
    path: Path, head: bytes, tensors: Sequence[OutgoingTensor], alignment: int, holes: Iterable[str] = ()
) -> None:
    """holes: names of tensors whose places are left empty."""
    empty = set(holes)
    with path.open("wb") as file:
        file.write(head)
        start = 0
        for tensor in tensors:
            file.write(table_row(tensor.name, tensor.shape, tensor.type.number, start))
            start += -(-tensor.num_bytes // alignment) * alignment
        _pad(file, alignment)
        for tensor in tensors:
            if tensor.name in empty:
                file.truncate(file.seek(tensor.num_bytes, 1))
            else:
                file.write(tensor.data())
            _pad(file, alignment)


def _with_file_type(head: bytes, types: Types) -> bytes:
    """A source's head, with the file's type as it is now."""
    changed, key = bytearray(head), _FILE_TYPE.encode()
    place = changed.find(struct.pack("<Q", len(key)) + key)
    if place >= 0 and types:
        struct.pack_into("<I", changed, place + 8 + len(key) + 4, _FILE_TYPES[_most(types.values())])
    return bytes(changed)


def _most(types: Iterable[BlockType]) -> str:
    """The name of the type that most matrices have."""
    names = [each.name for each in types]
    return max(set(names), key=names.count)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(b"\0" * (-file.tell() % alignment))
