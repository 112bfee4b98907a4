"""The tensors of a GGUF file, one by one: matrices in their codes, all others as floats.

Runs once before the first token, under `loading`: a file's table says how each tensor is stored, `kernels` say what its
blocks mean, and compute in the codes or widen them. The bytes of a tensor are read before they are decoded, and the
file is asked whether it is still the one that was opened: one that is written to meanwhile ends in an error, not in
half of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from pagoda.kernels.reference.blocks import codes_of_rows, decode_rows
from pagoda.models.checkpoint.source import Stored
from pagoda.models.gguf.architectures import layouts_of_file
from pagoda.models.gguf.container import GGUFFile, GGUFTensor
from pagoda.models.gguf.tensor_names import NOT_WEIGHTS


class GGUFSource:
    """An opened file as a CheckpointSource, under the names that it has for its tensors."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file
        self.layouts = layouts_of_file(file)
        self.files: Mapping[str, Path] = {
            name: file.path_of(tensor) for name, tensor in file.tensors.items() if name not in NOT_WEIGHTS
        }

    def stored_name(self, name: str) -> str:
        return name

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        """In the order of the file, of the shape that the table has; floats are float32."""
        tensors = [self._file.tensors[name] for name in names]
        # One memory for all: a new one for each would be cleared by the system first, which takes longer than reading.
        buffer = np.empty(
            max((tensor.num_bytes for tensor in tensors if not tensor.type.is_float), default=0), np.uint8
        )
        for tensor in sorted(tensors, key=lambda tensor: (tensor.part, tensor.start)):
            yield tensor.name, self._decoded(tensor, None if tensor.type.is_float else buffer)

    def _decoded(self, tensor: GGUFTensor, buffer: np.ndarray | None) -> Stored:
        rows = torch.from_numpy(self._file.data(tensor, buffer))
        if tensor.is_coded:
            return codes_of_rows(rows, tensor.type)
        return decode_rows(rows, tensor.type).view(tensor.shape)
