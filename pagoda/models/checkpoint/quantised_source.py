"""A checkpoint of quantised matrices as one of matrices: several stored tensors become one name.

Runs once before the first token, between the files (`reading`) and the network (`loading`). The names of a module's
tensors tell its layout; what they do not tell comes from `quantization_config`. A matrix is read and unpacked when it
is asked for, so no more than one is held twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint.quantised_layouts import (
    Parts,
    from_awq,
    from_float8,
    from_gptq,
    from_int_quantized,
    from_pack_quantized,
)
from pagoda.models.checkpoint.source import CheckpointSource, Stored
from pagoda.models.quantization_config import QuantizationConfig

_LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "qweight": ("qweight", "qzeros", "scales", "g_idx"),
    "weight_packed": ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx"),
    "weight_scale": ("weight", "weight_scale", "weight_zero_point"),
    "weight_scale_inv": ("weight", "weight_scale_inv"),
}
"""The tensor by which a layout is known -> all that it may have; what says most goes first."""
_UNREAD = ("input_scale", "input_zero_point", "output_scale", "act_scale", "weight_scale_2")
"""Of activations, which kernels scale as they come."""


class QuantisedSource:
    """`source` with `NAME.weight` for the tensors that store it; everything else goes through."""

    layouts = ()

    def __init__(self, source: CheckpointSource, config: QuantizationConfig) -> None:
        self._source, self._config = source, config
        self._parts: dict[str, dict[str, str]] = {}
        """Name of a matrix -> its parts by the last piece of their stored names."""
        for known_by, layout in _LAYOUTS.items():
            for stored in source.files:
                module, _, last = stored.rpartition(".")
                if last == known_by and f"{module}.weight" not in self._parts:
                    parts = {part: f"{module}.{part}" for part in layout}
                    self._parts[f"{module}.weight"] = {p: name for p, name in parts.items() if name in source.files}
        taken = {stored for parts in self._parts.values() for stored in parts.values()}
        self.files: dict[str, Path] = {
            stored: file
            for stored, file in source.files.items()
            if stored not in taken and not (stored.rpartition(".")[2] in _UNREAD and self._is_packed(stored))
        }
        self.files |= {name: source.files[next(iter(parts.values()))] for name, parts in self._parts.items()}
        for name in self._empty_biases():
            del self.files[name]

    def _empty_biases(self) -> list[str]:
        """AutoGPTQ gave every matrix a bias, of zeros where the model has none."""
        if self._config.method != "gptq":
            return []
        biases = [name for name in self.files if name.endswith(".bias") and self._is_packed(name)]
        return [name for name, bias in self._read_whole(biases) if not bias.any()]

    def _is_packed(self, stored: str) -> bool:
        return f"{stored.rpartition('.')[0]}.weight" in self._parts

    def stored_name(self, name: str) -> str:
        return next(iter(self._parts[name].values())) if name in self._parts else name

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        """In the order of the files: dense tensors as stored, FP8 widened to fp32."""
        wanted = list(names)
        yield from self._source.read([name for name in wanted if name not in self._parts])
        for name in sorted((name for name in wanted if name in self._parts), key=lambda name: str(self.files[name])):
            yield name, self._matrix(name)

    def _matrix(self, name: str) -> Stored:
        stored = self._parts[name]
        by_stored = dict(self._read_whole(stored.values()))
        parts = {part: by_stored[each] for part, each in stored.items()}
        try:
            return self._layout(parts)(parts)
        except (KeyError, RuntimeError, ValueError, CheckpointError) as error:
            shapes = ", ".join(f"{part} {list(tensor.shape)}" for part, tensor in parts.items())
            raise CheckpointError(
                f"{self.files[name]}: {name} cannot be made of {shapes} ({error}): check that config.json is of the "
                f"same model as the weights"
            ) from error

    def _read_whole(self, stored: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """Copies: what a source reads may lie in a map of the file."""
        for each, tensor in self._source.read(stored):
            assert isinstance(tensor, torch.Tensor), "files hold tensors"
            yield each, tensor.clone()

    def _layout(self, parts: Parts) -> Callable[[Parts], Stored]:
        if "qweight" in parts:
            if self._config.method == "awq":
                return from_awq
            bits, layout = self._config.groups[0].bits, self._config.layout
            return lambda parts: from_gptq(parts, bits, zeros_less_one=layout == "gptq")
        if "weight_packed" in parts:
            return from_pack_quantized
        return from_int_quantized if parts["weight"].dtype is torch.int8 else from_float8
