"""The bytes of a GGUF header as values: numbers, texts and lists of them.

First station of reading a `.gguf` file, under `container`. The format is defined in `docs/gguf.md` of ggml
(github.com/ggml-org/ggml): little-endian, a length before every text and list, a number for every type. Each count is
held against the bytes that are left before anything of its size is made, so a broken file costs one error, no memory.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

Value = Any
"""bool, int, float, str, a numpy array of numbers, a list of str, or a list of such lists."""

_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "|b1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_SCALARS = {kind: np.dtype(code) for kind, code in _NUMBERS.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_MAX_DEPTH = 4


class BrokenHeaderError(Exception):
    """What is wrong and at which byte; `container` says in which file."""


class HeaderReader:
    """Reads values one after another from `data`, the start of a file."""

    def __init__(self, data: memoryview, position: int = 0) -> None:
        self._data = data
        self.position = position

    def u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def text(self) -> str:
        """Bytes that are no UTF-8 become lone surrogates, as Python has them in file names."""
        return str(self._take(self.u64()), "utf-8", "surrogateescape")

    def value(self, depth: int = 0) -> Value:
        """One value, after the number of its type."""
        return self._of_kind(self.u32(), depth)

    def _of_kind(self, kind: int, depth: int) -> Value:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._list(depth)
        if kind not in _SCALARS:
            raise BrokenHeaderError(f"a value of type {kind} at byte {self.position - 4}, known are 0 to 12")
        return np.frombuffer(self._take(_SCALARS[kind].itemsize), _SCALARS[kind])[0].item()

    def _list(self, depth: int) -> Value:
        kind, count = self.u32(), self.u64()
        if kind in _SCALARS:
            return np.frombuffer(self._take(count * _SCALARS[kind].itemsize), _SCALARS[kind]).copy()
        # A text takes 8 bytes at least, a list 12.
        self.require(8 * count)
        if kind == _STRING:
            return self._texts(count)
        if depth == _MAX_DEPTH:
            raise BrokenHeaderError(f"lists within lists, more than {_MAX_DEPTH} deep, at byte {self.position}")
        return [self._of_kind(kind, depth + 1) for _ in range(count)]

    def _texts(self, count: int) -> list[str]:
        """As `text`, in one loop: a vocabulary has some 150,000 of them, and as many merges."""
        data, position, end, unpack = self._data, self.position, len(self._data), _U64.unpack_from
        texts = []
        for _ in range(count):
            if position + 8 > end or (stop := position + 8 + unpack(data, position)[0]) > end:
                raise BrokenHeaderError(f"a text that begins at byte {position} does not end in the file")
            texts.append(str(data[position + 8 : stop], "utf-8", "surrogateescape"))
            position = stop
        self.position = position
        return texts

    def require(self, num_bytes: int) -> None:
        """Raises BrokenHeaderError where less is left."""
        left = len(self._data) - self.position
        if num_bytes > left:
            raise BrokenHeaderError(f"{num_bytes} bytes are promised at byte {self.position}, {left} are left")

    def _take(self, num_bytes: int) -> memoryview:
        self.require(num_bytes)
        start = self.position
        self.position = start + num_bytes
        return self._data[start : self.position]


def shortest(value: Any) -> Any:
    """Of a float the shortest decimal that is the same number in fp32, which is what files hold: 0.7, not
    0.699999988079071. Anything else, and a float that fp32 does not have, stays as it is."""
    if not isinstance(value, float):
        return value
    narrow = np.float32(value)
    return float(str(narrow)) if float(narrow) == value else value
