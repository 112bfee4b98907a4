"""A GGUF file: one file that holds a model's configuration, its tokenizer and its weights.

First station of loading, where users bring llama.cpp's files: `architectures` reads the configuration from here,
`tokenizer/gguf_vocabulary` the tokenizer, `checkpoint/gguf_source` the weights. The format is defined in `docs/gguf.md`
of ggml (github.com/ggml-org/ggml): magic, version, counts, metadata, a table of tensors, then the tensors, each at a
multiple of `general.alignment`. Large models come in parts, each a file of this format, of which the first holds the
metadata. Files are memory-mapped: opening one reads its header alone. Imports no torch.
"""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pagoda.errors import CheckpointError
from pagoda.kernels.block_types import BLOCK_TYPES, BlockType, name_of
from pagoda.models.gguf.metadata import BrokenHeaderError, HeaderReader, Value

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_LFS_POINTER = b"version https://git-lfs"
_PART = re.compile(r"(.*)-(\d{5})(-of-(\d{5})\.gguf)", re.DOTALL | re.IGNORECASE)
_MAX_DIMS = 4
_SHORTEST_ENTRY = 24  # of the tables: a key and a value, or a tensor without dimensions
_AGAIN = "download it again"


@dataclass(frozen=True)
class GGUFTensor:
    """One row of a file's table.

    shape: in torch's order, outputs before inputs (the file has them the other way round)
    start: its first byte in the file `part`
    """

    name: str
    shape: tuple[int, ...]
    type: BlockType
    start: int
    part: int = 0

    @property
    def num_weights(self) -> int:
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        return self.type.row_bytes(self.num_weights)

    @property
    def is_coded(self) -> bool:
        """Whether it is a matrix whose weights share scales, or a stack of such matrices, one for each expert."""
        return len(self.shape) in (2, 3) and not self.type.is_float

    @property
    def row_bytes(self) -> int:
        return self.type.row_bytes(self.shape[-1] if self.shape else 1)


class MappedFile:
    """One file in memory, as it is when it is opened: one that changes meanwhile is refused, not read half and half."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            self._state = self._stat()
            if self.num_bytes == 0:
                raise CheckpointError(f"{path} is empty: {_AGAIN}")
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror or error})") from error

    @property
    def num_bytes(self) -> int:
        return self._state[0]

    def _stat(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raises CheckpointError where the file is no longer the one that was opened.

        Asked before bytes are touched: those that were cut off since would end the process, not raise an error.
        """
        if self._stat() != self._state:
            raise CheckpointError(
                f"{self.path} changed while it was read (from {self._state[0]} to {self._stat()[0]} bytes): wait until "
                f"whatever writes it is done, then start again"
            )

    def bytes(self, start: int, num_bytes: int) -> np.ndarray:
        """uint8 [num_bytes], a view of the map."""
        self.check()
        return np.frombuffer(self._map, np.uint8, num_bytes, start)

    def read_into(self, start: int, to: np.ndarray) -> None:
        """Bytes from `start` on into `to` (uint8), past the map: what is read once need not stay in memory."""
        self._file.seek(start)
        self._file.readinto(to.data)  # one that was cut short meanwhile is told by the check
        self.check()

    def view(self) -> memoryview:
        return memoryview(self._map)


class GGUFFile:
    """An opened file, with the other parts of its set where it is the first of one.

    metadata: as the first part has it; texts that are no UTF-8 hold lone surrogates
    tensors:  of all parts, by name, in the order of the files
    """

    def __init__(self, path: Path, files: list[MappedFile], metadata: Mapping[str, Value], tensors: list[GGUFTensor]):
        self.path = path
        self.metadata = metadata
        self.tensors = {tensor.name: tensor for tensor in tensors}
        self._files = files

    @classmethod
    def open(cls, path: str | Path) -> GGUFFile:
        """Reads the header. Raises CheckpointError for what is no GGUF file, is damaged, or has types that are not
        read."""
        path = Path(path)
        files = [MappedFile(path)]
        metadata, tensors = _read_header(files[0], part=0)
        for part, other in enumerate(_other_parts(path, metadata), start=1):
            files.append(MappedFile(other))
            own, more = _read_header(files[part], part)
            _check_part(own, metadata, part, other)
            tensors += more
        _check_table(path, metadata, tensors)
        return cls(path, files, metadata, tensors)

    @property
    def paths(self) -> list[Path]:
        """The files of the set, in order."""
        return [file.path for file in self._files]

    @property
    def num_bytes(self) -> int:
        """Of all files together."""
        return sum(file.num_bytes for file in self._files)

    def path_of(self, tensor: GGUFTensor) -> Path:
        return self._files[tensor.part].path

    def data(self, tensor: GGUFTensor, buffer: np.ndarray | None = None) -> np.ndarray:
        """The stored bytes of a tensor, uint8 [rows, bytes of a row].

        buffer: uint8, whose first bytes are written over in place of memory of their own, if that is enough
        Raises CheckpointError where the file has changed since it was opened.
        """
        if buffer is None or len(buffer) < tensor.num_bytes:
            buffer = np.empty(tensor.num_bytes, np.uint8)
        stored = buffer[: tensor.num_bytes]
        self._files[tensor.part].read_into(tensor.start, stored)
        return stored.reshape(-1, tensor.row_bytes)

    def head(self) -> bytes:
        """The first file's bytes before its table of tensors: counts and metadata."""
        file = self._files[0]
        reader = HeaderReader(file.view(), len(_MAGIC) + 12)
        for _ in range(reader.u64()):
            reader.text()
            reader.value()
        return bytes(file.bytes(0, reader.position))


Checkpoint = str | Path | GGUFFile
"""A checkpoint by its path, or a GGUF file that was opened already."""


def opened(checkpoint: Checkpoint) -> Path | GGUFFile:
    """A GGUF file opened, any other checkpoint as its path; what is opened stays so.

    Its header holds a vocabulary and takes a while to read: who asks several things of one file opens it once.
    """
    if isinstance(checkpoint, GGUFFile):
        return checkpoint
    path = Path(checkpoint)
    return GGUFFile.open(path) if path.is_file() and is_gguf(path) else path


def is_gguf(path: Path) -> bool:
    """Whether a path is such a file by its name or, under another name, by its first bytes."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class PartName(NamedTuple):
    """A file's name as one of a set: what all begin with, its number from 1 on, what all end in, how many there are."""

    stem: str
    number: int
    ending: str
    num_parts: int


def part_name(name: str) -> PartName | None:
    """None for a file that is no part.

    >>> part_name("m-00002-of-00003.gguf")
    PartName(stem='m', number=2, ending='-of-00003.gguf', num_parts=3)
    """
    found = _PART.fullmatch(name)
    return None if found is None else PartName(found[1], int(found[2]), found[3], int(found[4]))


def part_names(name: str) -> list[str]:
    """The names of all files of the set that the file `name` belongs to, itself alone where it is no part.

    >>> part_names("m-00002-of-00002.gguf")
    ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf']
    """
    if (part := part_name(name)) is None:
        return [name]
    return [f"{part.stem}-{number:05d}{part.ending}" for number in range(1, part.num_parts + 1)]


def _read_header(file: MappedFile, part: int) -> tuple[dict[str, Value], list[GGUFTensor]]:
    try:
        return _parse(file, part)
    except BrokenHeaderError as error:
        raise CheckpointError(
            f"{file.path} ({file.num_bytes} bytes) is not a readable GGUF file: {error}; {_AGAIN}"
        ) from None


def _parse(file: MappedFile, part: int) -> tuple[dict[str, Value], list[GGUFTensor]]:
    data = file.view()
    _check_magic(bytes(data[:64]), file.path)
    reader = HeaderReader(data, len(_MAGIC))
    _check_version(reader.u32(), file.path)
    num_tensors, num_keys = reader.u64(), reader.u64()
    reader.require(_SHORTEST_ENTRY * num_tensors)
    metadata: dict[str, Value] = {}
    for _ in range(num_keys):
        key = reader.text()
        if key in metadata:
            raise BrokenHeaderError(f"the key {key!r} stands in it twice")
        metadata[key] = reader.value()
    rows = [_read_row(reader) for _ in range(num_tensors)]
    alignment = _alignment(metadata)
    start = -(-reader.position // alignment) * alignment
    _check_types(rows, file.path)
    return metadata, [_tensor(row, start, alignment, part, file) for row in rows]


def _check_magic(start: bytes, path: Path) -> None:
    if start[:4] == _MAGIC:
        return
    if start.startswith(_LFS_POINTER):
        raise CheckpointError(f"{path} is a git-lfs pointer, not the model: run git lfs pull")
    raise CheckpointError(
        f"{path} is no GGUF file: it begins with {start[:4]!r}, and {_MAGIC!r} is expected. Older files of llama.cpp "
        f"(GGML, GGJT) have to be converted from the original model again"
    )


def _check_version(version: int, path: Path) -> None:
    if version in _VERSIONS:
        return
    if version & 0xFFFF == 0:
        raise CheckpointError(f"{path} is a big-endian GGUF file: take the little-endian one of the same model")
    raise CheckpointError(
        f"{path} is of GGUF version {version}, read are {' and '.join(map(str, _VERSIONS))}: convert the model again"
    )


_Row = tuple[str, tuple[int, ...], int, int]


def _read_row(reader: HeaderReader) -> _Row:
    """Name, shape as the file has it, number of the type, place behind the table."""
    name, num_dims = reader.text(), reader.u32()
    if num_dims > _MAX_DIMS:
        raise BrokenHeaderError(f"the tensor {name!r} has {num_dims} dimensions, at most {_MAX_DIMS} are expected")
    return name, tuple(reader.u64() for _ in range(num_dims)), reader.u32(), reader.u64()


def _alignment(metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 8 or alignment & (alignment - 1):
        raise BrokenHeaderError(f"general.alignment is {alignment!r}, a power of two from 8 on is expected")
    return alignment


def _check_types(rows: list[_Row], path: Path) -> None:
    unread = [row for row in rows if row[2] not in BLOCK_TYPES]
    if unread:
        name, _, number, _ = unread[0]
        known = ", ".join(each.name for each in BLOCK_TYPES.values())
        raise CheckpointError(
            f"{path} stores {len(unread)} of its {len(rows)} tensors in types that pagoda does not read ({name} is "
            f"{name_of(number)}): take a file of the same model in one of {known}"
        )


def _tensor(row: _Row, start: int, alignment: int, part: int, file: MappedFile) -> GGUFTensor:
    """A row of the table, once it is sound. Raises BrokenHeaderError."""
    name, dims, number, offset = row
    tensor = GGUFTensor(name, dims[::-1], BLOCK_TYPES[number], start + offset, part)
    shown = f"the tensor {name!r} ({tensor.type.name} {list(tensor.shape)})"
    if not dims or 0 in dims:
        raise BrokenHeaderError(f"{shown} holds nothing")
    if dims[0] % tensor.type.block_size:
        raise BrokenHeaderError(
            f"{shown} has rows of {dims[0]}, which are not whole blocks of {tensor.type.block_size}"
        )
    if offset % alignment:
        raise BrokenHeaderError(f"{shown} lies at {offset}, which is no multiple of the alignment {alignment}")
    if tensor.start + tensor.num_bytes > file.num_bytes:
        raise BrokenHeaderError(
            f"{shown} ends at byte {tensor.start + tensor.num_bytes}, behind the end: the file was cut short"
        )
    return tensor


def _other_parts(path: Path, metadata: Mapping[str, Value]) -> list[Path]:
    """The files beside the first one of a set. Raises CheckpointError where one is missing."""
    count = metadata.get("split.count", 1)
    if type(count) is not int or count <= 1:
        return []
    names = part_names(path.name)
    if len(names) != count:
        raise CheckpointError(
            f"{path} is one of {count} parts, so its name should end in -00001-of-{count:05d}{SUFFIX}: give the parts "
            f"the names that they were published under"
        )
    if metadata.get("split.no", 0) != 0 or path.name != names[0]:
        raise CheckpointError(
            f"{path} is part {metadata.get('split.no', 0) + 1} of {count}: give the first, {names[0]}"
        )
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{path} is one of {count} parts, and {path.parent} lacks {', '.join(missing[:3])}"
            f"{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}: download all of them"
        )
    return [path.parent / name for name in names[1:]]


def _check_part(own: Mapping[str, Value], first: Mapping[str, Value], part: int, path: Path) -> None:
    for key, expected in (("split.no", part), ("split.count", first.get("split.count"))):
        if own.get(key) != expected:
            raise CheckpointError(
                f"{path} has {key}={own.get(key)!r}, and {expected!r} is expected: it is of another set; {_AGAIN}"
            )


def _check_table(path: Path, metadata: Mapping[str, Value], tensors: list[GGUFTensor]) -> None:
    """Every name once, no byte twice, and as many tensors as the first part promises."""
    promised = metadata.get("split.tensors.count", len(tensors))
    if promised != len(tensors):
        raise CheckpointError(f"the parts of {path} hold {len(tensors)} tensors, {promised} are promised: {_AGAIN}")
    for before, after in _neighbours(tensors):
        if before.start + before.num_bytes > after.start:
            raise CheckpointError(
                f"{path} is damaged: its tensors {before.name!r} and {after.name!r} overlap; {_AGAIN}"
            )
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise CheckpointError(f"{path} holds the tensor {tensor.name!r} twice: {_AGAIN}")
        names.add(tensor.name)


def _neighbours(tensors: list[GGUFTensor]) -> Iterator[tuple[GGUFTensor, GGUFTensor]]:
    ordered = sorted(tensors, key=lambda tensor: (tensor.part, tensor.start))
    return ((before, after) for before, after in pairwise(ordered) if before.part == after.part)
