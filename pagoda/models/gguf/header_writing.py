"""Values as the bytes of a GGUF header: the other way round than `metadata`.

Off the token's path, when a model is written as a GGUF file. The format is `docs/gguf.md` of ggml
(github.com/ggml-org/ggml): little-endian, every text and list after its length, every value after the number of its
type. Files are of version 3, the one that every program of these years reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pagoda.models.gguf.metadata import Value

_MAGIC, _VERSION = b"GGUF", 3
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY, _U64 = 4, 5, 6, 7, 8, 9, 10
_OF_DTYPES = {
    "uint8": 0,
    "int8": 1,
    "uint16": 2,
    "int16": 3,
    "uint32": _U32,
    "int32": _I32,
    "float32": _F32,
    "bool": _BOOL,
}


def header(metadata: Mapping[str, Value], num_tensors: int) -> bytes:
    """Everything before the table of tensors. A list of Python's holds texts; numbers stand in arrays of numpy."""
    parts = [_MAGIC, struct.pack("<IQQ", _VERSION, num_tensors, len(metadata))]
    for key, value in metadata.items():
        parts.append(_text(key))
        parts.extend(_value(value))
    return b"".join(parts)


def table_row(name: str, shape: tuple[int, ...], type_number: int, start: int) -> bytes:
    """What the table says of a tensor. shape: as torch has it; start: counted from the first tensor's first byte."""
    dims = shape[::-1]
    return _text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_number, start)


def _value(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield struct.pack("<I", _STRING) + _text(value)
    elif isinstance(value, bool):
        yield struct.pack("<I?", _BOOL, value)
    elif isinstance(value, int):
        if value < 0:
            yield struct.pack("<Ii", _I32, value)
        else:
            wide = value >= 1 << 32
            yield struct.pack("<IQ" if wide else "<II", _U64 if wide else _U32, value)
    elif isinstance(value, float):
        yield struct.pack("<If", _F32, value)
    elif isinstance(value, np.ndarray):
        yield struct.pack("<IIQ", _ARRAY, _OF_DTYPES[value.dtype.name], len(value))
        yield value.astype(value.dtype.newbyteorder("<")).tobytes()
    else:
        yield struct.pack("<IIQ", _ARRAY, _STRING, len(value))
        yield from map(_text, value)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data
