"""A network quantised layer by layer, each layer seeing what the quantised layers before it make of the texts.

Beside the token's path; run by `job`. Three streams of activations go through the network side by side: calibration
texts through the quantised layers, and texts to measure on through the source's and through the quantised ones. So one
walk over the checkpoint, one layer at a time in memory, quantises the model and says what that cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.layers.linear import ParallelLinear
from pagoda.models.quantise.gptq import Compensation, gptq, output_error
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import Scheme
from pagoda.models.quantise.streamed import StreamedNetwork, layer_name, matrices_of, run_layer, weight_of

METHODS = ("rtn", "gptq")
Plan = Mapping[str, Scheme]
"""The scheme of each matrix by the name of its module; what is not named stays as floats."""


@dataclass
class Streams:
    """Activations between two layers, each `[texts, length, hidden_size]` in fp32."""

    calibration: torch.Tensor
    source: torch.Tensor
    quantised: torch.Tensor


@dataclass(frozen=True)
class LayerOutcome:
    """A layer that was quantised.

    codes: by the name of the module
    errors: by the same, the squared error of its outputs over their square; of rounding alone where nothing was
        calibrated, the weights' own
    drift: the squared distance of the two measured streams behind it, over the square of the source's
    """

    codes: dict[str, GroupedCodes]
    errors: dict[str, float]
    drift: float


class InputMoments:
    """Second moments of whatever goes into some modules while it watches them (GPTQ's paper, section 3.1).

    Queries, keys and values have the same inputs, and so have gate and up: one sum serves them all.

    into_stream: modules whose outputs are added to the stream between the layers, by their names. What reads the stream
        divides it by its size first, so an error counts there in relation to that, and tokens are weighed so: a text's
        first token, whose stream is a hundred times as large as the others' in many models, else outweighs all of them
    """

    def __init__(self, into_stream: Collection[str] = ()) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, float] = {}
        self._first: dict[str, str] = {}
        self._last: tuple[torch.Tensor, str] | None = None
        self._into_stream = into_stream
        self._waiting: list[tuple[str, torch.Tensor]] = []

    def behind(self, stream: torch.Tensor) -> None:
        """Tell the stream `[..., hidden_size]` behind the layer that all tokens since the last call went through."""
        weights = 1 / stream.flatten(0, -2).square().mean(-1).clamp_min(1e-12)
        for name, x in self._waiting:
            # Of an expert nobody knows here which tokens reached it.
            self._sum(name, x, weights if len(x) == len(weights) else torch.ones(len(x)))
        self._waiting.clear()

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
            if name in self._into_stream:
                self._waiting.append((name, x))
            else:
                self._sum(name, x, None)
        self._last = (x, self._first[name])

    def _sum(self, name: str, x: torch.Tensor, weights: torch.Tensor | None) -> None:
        if name not in self._sums:
            self._sums[name] = torch.zeros(x.shape[-1], x.shape[-1])
            self._counts[name] = 0
        self._sums[name].addmm_((x if weights is None else x * weights[:, None]).T, x)
        self._counts[name] += len(x) if weights is None else float(weights.sum())


def quantise_layer(network: StreamedNetwork, layer_idx: int, streams: Streams, plan: Plan, method: str) -> LayerOutcome:
    """Quantise the matrices of a layer that the plan names, and move all streams behind it.

    method: "gptq" or "rtn"; a matrix that no calibration token reaches is rounded in either
    """
    with network.layer(layer_idx) as layer, torch.no_grad():
        run_layer(network, layer, streams.source, layer_idx)
        matrices = {
            name: module for name, module in matrices_of(layer).items() if f"{layer_name(layer_idx)}.{name}" in plan
        }
        schemes = {name: plan[f"{layer_name(layer_idx)}.{name}"] for name in matrices}
        moments = _moments(network, layer, streams.calibration, layer_idx, matrices)
        codes, errors = _quantised(matrices, schemes, moments, method)
        for name, found in codes.items():
            weight_of(matrices[name]).copy_(found.dense())
        for stream in (streams.calibration, streams.quantised):
            run_layer(network, layer, stream, layer_idx)
    prefix = layer_name(layer_idx)
    return LayerOutcome(
        codes={f"{prefix}.{name}": found for name, found in codes.items()},
        errors={f"{prefix}.{name}": error for name, error in errors.items()},
        drift=_relative_square(streams.quantised - streams.source, streams.source),
    )


def _moments(
    network: StreamedNetwork,
    layer: nn.Module,
    calibration: torch.Tensor,
    layer_idx: int,
    matrices: Mapping[str, nn.Module],
) -> InputMoments:
    adds_as_it_is = network.config.norm_placement in ("pre", "parallel")
    moments = InputMoments([name for name in matrices if adds_as_it_is and name.endswith(("o_proj", "down_proj"))])
    with moments.watching(matrices):
        for _, computed in network.through(layer, calibration, layer_idx):
            moments.behind(computed)
    return moments


def _quantised(
    matrices: Mapping[str, ParallelLinear], schemes: Mapping[str, Scheme], moments: InputMoments, method: str
) -> tuple[dict[str, GroupedCodes], dict[str, float]]:
    """Codes and relative errors by name; matrices of the same inputs and scheme are quantised as one."""
    codes: dict[str, GroupedCodes] = {}
    errors: dict[str, float] = {}
    for names, hessian in moments.groups(list(matrices)):
        weights = {name: weight_of(matrices[name]) for name in names}
        codes |= _of_same_inputs(
            weights, {name: schemes[name] for name in names}, hessian if method == "gptq" else None
        )
        for name in names:
            errors[name] = relative_error(weights[name], codes[name], hessian)
    return codes, errors


def _of_same_inputs(
    weights: Mapping[str, torch.Tensor], schemes: Mapping[str, Scheme], hessian: torch.Tensor | None
) -> dict[str, GroupedCodes]:
    if hessian is None:
        return {name: round_to_nearest(weight, schemes[name]) for name, weight in weights.items()}
    compensation = Compensation(hessian)
    by_scheme: dict[Scheme, list[str]] = defaultdict(list)
    for name in weights:
        by_scheme[schemes[name]].append(name)
    codes: dict[str, GroupedCodes] = {}
    for scheme, names in by_scheme.items():
        together = gptq(torch.cat([weights[name] for name in names]), compensation, scheme)
        start = 0
        for name in names:
            codes[name] = together.rows(slice(start, start + len(weights[name])))
            start += len(weights[name])
    return codes


def relative_error(weight: torch.Tensor, codes: GroupedCodes, hessian: torch.Tensor | None) -> float:
    """Of a matrix's outputs, or without their inputs' moment of its weights: squared error over square."""
    difference = codes.dense() - weight
    if hessian is None:
        return _relative_square(difference, weight)
    return output_error(difference, hessian) / max(output_error(weight, hessian), 1e-30)


def _relative_square(difference: torch.Tensor, whole: torch.Tensor) -> float:
    return float(difference.double().square().sum() / whole.double().square().sum().clamp_min(1e-30))
