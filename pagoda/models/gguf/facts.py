"""The metadata of one GGUF file, asked key by key, so that in the end it is known which of them nobody has read.

Under `architectures`. Numbers are checked when they are read, since a file may hold anything under any key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pagoda.errors import CheckpointError, UnknownArchitectureError
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.gguf.metadata import shortest

_BLOCK = re.compile(r"blk\.(\d+)\.")


class GGUFFacts:
    """What the file says of its own architecture; a `key` is one behind the architecture's name and a dot."""

    def __init__(self, file: GGUFFile) -> None:
        self.file = file
        self.architecture = architecture_of(file)
        self._read: set[str] = set()
        count = self.raw("block_count")
        if isinstance(count, np.ndarray):  # nothing can be told of every layer before it is known how many there are
            raise self.error("block_count", count.tolist(), "a whole number")
        self.num_layers = self.size("block_count")

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number, or a list that says the same of every layer. Raises CheckpointError; without a default, where
        there is none."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
            raise self.error(key, value, "a whole number")
        return value

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        if (value := self.whole(key, default)) < 1:
            raise self.error(key, value, "a whole number of at least 1")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """As `whole`, for any finite number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise self.error(key, value, "a number")
        return shortest(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """What stands under a key; of a list that has one value for every layer, that value."""
        value = self.raw(key, default)
        if not isinstance(value, np.ndarray):
            return value
        values = {*value.tolist()}
        if len(values) != 1 or len(value) < self.num_layers:
            raise self.error(key, value.tolist(), f"one value for all {self.num_layers} layers")
        return values.pop()

    def raw(self, key: str, default: Any = None) -> Any:
        """What stands under a key, lists as they are."""
        self._read.add(key)
        return self.file.metadata.get(f"{self.architecture}.{key}", default)

    def has(self, tensor: str) -> bool:
        return tensor in self.file.tensors

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Raises CheckpointError where there is no such tensor."""
        if tensor not in self.file.tensors:
            raise CheckpointError(
                f"{self.file.path} has no tensor {tensor}, which a model of the architecture {self.architecture!r} "
                f"needs: it holds a part of a model, or is damaged; take another file"
            )
        return self.file.tensors[tensor].shape

    def floats(self, tensor: str) -> list[float] | None:
        """The values of a small tensor; None where there is none. Raises CheckpointError where they are no F32."""
        if (found := self.file.tensors.get(tensor)) is None:
            return None
        if found.type.name != "F32" or len(found.shape) != 1:
            raise CheckpointError(
                f"{self.file.path} stores {tensor} as {found.type.name} {list(found.shape)}, but a row of F32 is "
                f"expected: convert the model again"
            )
        values = self.file.data(found).reshape(-1).view("<f4")
        return [shortest(value) for value in values.tolist()]

    @property
    def blocks(self) -> set[int]:
        """The numbers of the layers that tensors belong to."""
        return {int(found[1]) for name in self.file.tensors if (found := _BLOCK.match(name))}

    @property
    def unread(self) -> Mapping[str, Any]:
        """The keys that nobody has asked for, and their values."""
        prefix = f"{self.architecture}."
        keys = (key.removeprefix(prefix) for key in self.file.metadata if key.startswith(prefix))
        return {key: self.file.metadata[prefix + key] for key in keys if key not in self._read}

    def error(self, key: str, value: Any, expected: str) -> CheckpointError:
        shown = "nothing" if value is None else f"{value!r:.200}"
        return CheckpointError(
            f"{self.file.path} has {shown} under {self.architecture}.{key}, but {expected} is expected: take another "
            f"file of the model, or convert it again"
        )


_OTHER_FILES = {
    "adapter": "a LoRA adapter: merge it into its base model with llama.cpp's llama-export-lora, or take a merged file",
    "mmproj": "the projector of a model that sees or hears: give the language model that lies beside it",
    "imatrix": "a matrix of importance, from which others quantise: give the model that it was made of",
    "vocab": "a vocabulary alone: it can be named as a tokenizer, not as a model",
}
"""Values of `general.type` beside "model"."""


def architecture_of(file: GGUFFile) -> str:
    """`general.architecture`. Raises UnknownArchitectureError where there is none, and for what is no model."""
    kind, name = file.metadata.get("general.type", "model"), file.metadata.get("general.architecture")
    if kind in _OTHER_FILES:
        raise UnknownArchitectureError(f"{file.path} is {_OTHER_FILES[kind]}")
    if not isinstance(name, str) or not name:
        raise UnknownArchitectureError(
            f"{file.path} does not say its architecture (general.architecture is {name!r}): it is no model that can be "
            f"read, so take another file of it"
        )
    return name
