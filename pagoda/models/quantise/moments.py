"""What goes into the matrices of a layer: the second moments that GPTQ compensates by.

Beside the token's path, under `layerwise`: a layer is run over the calibration texts once, and each matrix's inputs are
summed as x x^T (Frantar et al. 2022, arXiv 2210.17323, section 3.1). Queries, keys and values have the same inputs, and
so have gate and up: one sum serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn


class InputMoments:
    """Sums over whatever goes through some modules while it watches them."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._last: tuple[torch.Tensor, str] | None = None

    @contextmanager
    def watching(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Sum the inputs of `modules` until the block ends."""
        hooks = [module.register_forward_pre_hook(partial(self._add, name)) for name, module in modules.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._last = None

    def groups(self, names: list[str]) -> list[tuple[list[str], torch.Tensor | None]]:
        """`names` by their inputs, with the mean of x x^T `[in, in]`; None for what no token went through."""
        together: dict[str, list[str]] = {}
        for name in names:
            together.setdefault(self._first.get(name, name), []).append(name)
        return [(members, self._mean(first)) for first, members in together.items()]

    def _mean(self, first: str) -> torch.Tensor | None:
        return self._sums[first] / self._counts[first] if self._counts.get(first) else None

    def _add(self, name: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        x = arguments[0]
        if name not in self._first:
            # The very tensor that another module got just before: both get the same ones always.
            self._first[name] = self._last[1] if self._last is not None and self._last[0] is x else name
        if self._first[name] == name:
            if name not in self._sums:
                self._sums[name] = torch.zeros(x.shape[-1], x.shape[-1])
                self._counts[name] = 0
            self._sums[name].addmm_(x.T, x)
            self._counts[name] += len(x)
        self._last = (x, self._first[name])
