"""What a checkpoint is to whoever loads it: named tensors, and how their matrices are stored.

Runs once before the first token, between the files (`reading`, `llama2c`) and the network (`loading`). A file format
of another layout or with other names is one more class with this face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.families.weight_names import WeightNames

Stored = torch.Tensor | GroupedCodes
"""What a checkpoint has under one name: numbers, or a matrix in codes."""


def check_finite(stored: Stored, name: str, file: Path) -> None:
    """Raises CheckpointError where a tensor, or a factor of its codes, holds what is no finite number."""
    held = stored.row_tensors if isinstance(stored, GroupedCodes) else [stored]
    for tensor in held:
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # Both ends tell it in a fiftieth of the time that a look at each number takes: a NaN comes through to them.
        if not all(end.isfinite() for end in tensor.aminmax()):
            raise CheckpointError(
                f"{file}: tensor {name} holds {int((~tensor.isfinite()).sum())} numbers that are not finite (NaN or "
                f"infinity): the file is damaged, or went wrong when it was made; fetch it again"
            )


def as_floats(stored: Stored) -> torch.Tensor:
    """The numbers, of codes those that they mean."""
    return stored.dense() if isinstance(stored, GroupedCodes) else stored


class CheckpointSource(Protocol):
    """An opened checkpoint."""

    @property
    def layouts(self) -> Sequence[WeightNames]:
        """The ways in which its format names and lays out tensors; empty where the model's family says that."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """The file of each tensor, under the name that the model has for it, whatever the file calls it."""
        ...

    def stored_name(self, name: str) -> str:
        """What the file calls a tensor, for messages."""
        ...

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        """Name and what it holds, one at a time, in the order that files are best read in. Raises CheckpointError."""
        ...


class SourceInFront:
    """A source in front of another, which reads the same tensors in a way of its own: its classes have `read`.

    source: what it reads from
    """

    def __init__(self, source: CheckpointSource) -> None:
        self._source = source

    @property
    def layouts(self) -> Sequence[WeightNames]:
        return self._source.layouts

    @property
    def files(self) -> Mapping[str, Path]:
        return self._source.files

    def stored_name(self, name: str) -> str:
        return self._source.stored_name(name)
