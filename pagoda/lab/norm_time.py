"""What RMSNorm saves of LayerNorm's time, with kernels of equal quality: alone, and within a whole step of training.

Beside the experiments. torch has a fused LayerNorm for CPUs and none of RMSNorm (pytorch issue 157345), so that
whoever takes both from torch compares two programs, not two formulas. Here both are written in the same single
operations, or both are one loop in C++: ours for RMSNorm, torch's for LayerNorm.

Variants take turns within a round, and a round gives one ratio: what the machine does beside it slows down both. What
is counted is time of the processor, on one thread, so that waiting for it counts for nothing, and of a round each
variant's fastest repeat, since one that was interrupted finds its caches cold. Reported are the median ratio and its
interval by order statistics, which supposes nothing of the distribution.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.kernels.select import NATIVE, native_is_built, select_kernels
from pagoda.lab.recipe import TimingConfig
from pagoda.lab.runner import write_json
from pagoda.layers.attention import DenseAttention
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

Timed = Callable[[], object]
_EPS = 1e-6
_STEP_LENGTH, _STEP_REPEATS = 128, 2
_KEPT_BYTES = 30 * 2**20
_NORMS = {"RMSNorm": "rms_norm", "LayerNorm": "layer_norm", "no norm": "none"}


class EqualKernels(ReferenceKernels):
    """LayerNorm in the same single operations as the reference's RMSNorm: two more, for the mean and for the bias."""

    def layer_norm(
        self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        """`[..., size]` -> the same shape, in fp32."""
        wide = x.float()
        centred = wide - wide.mean(-1, keepdim=True)
        normed = centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + eps)
        if weight is not None:
            normed = weight * normed
        return normed if bias is None else normed + bias


def measured_once(config: TimingConfig, path: Path) -> list[dict[str, Any]]:
    """`measure`, or what it found before, from `path`."""
    if path.is_file():
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return found
    rows = measure(config)
    write_json(path, rows)
    return rows


def measure(config: TimingConfig) -> list[dict[str, Any]]:
    """A row for each width and way: `ratio` of RMSNorm's time to LayerNorm's with `low` and `high`.

    Rows of a whole step also have `share`: LayerNorm's part of its time, by the time of a step without norms.
    """
    found = []
    with _one_thread():
        _keep_memory()
        for width in config.widths:
            for what, pair in _norm_pairs(width, config.rows).items():
                ratios = _ratios(pair, config)
                found.append({"width": width, "what": what, **_median(ratios)})
        # Whole steps last: what they leave of memory slows down some sizes of what comes after.
        found += [_step_row(width, config) for width in config.widths]
    return sorted(found, key=lambda row: row["width"])


def _norm_pairs(width: int, rows: int) -> dict[str, dict[str, Timed]]:
    generator = torch.Generator().manual_seed(width)
    x, gradient = (torch.randn(rows, width, generator=generator) for _ in range(2))
    x_trained = x.clone().requires_grad_()
    weight, bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
    equal = EqualKernels()

    def trained(norm: Callable[[torch.Tensor], torch.Tensor]) -> Timed:
        return lambda: norm(x_trained).backward(gradient)

    def rms(given: torch.Tensor) -> torch.Tensor:
        return equal.rms_norm(given, weight, _EPS)

    def layer(given: torch.Tensor) -> torch.Tensor:
        return equal.layer_norm(given, weight, bias, _EPS)

    def torch_rms(given: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(given, (width,), weight, _EPS)

    def torch_layer(given: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(given, (width,), weight, bias, _EPS)

    pairs: dict[str, dict[str, Timed]] = {
        "norm, forward, single operations": _untrained(rms, layer, x),
        "norm, forward and backward, single operations": {"RMSNorm": trained(rms), "LayerNorm": trained(layer)},
        "norm, forward, as torch has them": _untrained(torch_rms, torch_layer, x),
        "norm, forward and backward, as torch has them": {
            "RMSNorm": trained(torch_rms), "LayerNorm": trained(torch_layer),
        },
    }  # fmt: skip
    if native_is_built():
        fused = select_kernels(NATIVE)
        pairs["norm, forward, one loop in C++ each"] = _untrained(
            lambda given: fused.rms_norm(given, weight, _EPS), torch_layer, x
        )
    return pairs


def _untrained(
    rms: Callable[[torch.Tensor], torch.Tensor], layer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> dict[str, Timed]:
    return {"RMSNorm": torch.no_grad()(lambda: rms(x)), "LayerNorm": torch.no_grad()(lambda: layer(x))}


def _step_row(width: int, config: TimingConfig) -> dict[str, Any]:
    steps = {name: _step(width, config.rows, norm) for name, norm in _NORMS.items()}
    times = [_round(steps, _STEP_REPEATS) for _ in range(config.step_rounds)]
    ratios = [each["RMSNorm"] / each["LayerNorm"] for each in times]
    without = _median([each["no norm"] / each["LayerNorm"] for each in times])
    row = {"width": width, "what": "whole step of training, single operations", **_median(ratios)}
    return row | {"share": 1 - without["ratio"], "share_low": 1 - without["high"], "share_high": 1 - without["low"]}


def _step(width: int, rows: int, norm: str) -> Timed:
    """Forward, backward and AdamW of one layer of a Llama: norms and matrices in the proportion of a deep one."""
    config = ModelConfig(
        vocab_size=256, hidden_size=width, intermediate_size=8 * width // 3 // 16 * 16, num_hidden_layers=1,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, head_dim=64, norm=norm,
    )  # fmt: skip
    model = LlamaForCausalLM(config, EqualKernels())
    model.initialize(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.arange(rows) % 256
    positions = torch.arange(rows) % _STEP_LENGTH
    attention = DenseAttention(max(1, rows // _STEP_LENGTH), config.layer_windows)

    def step() -> None:
        loss = F.cross_entropy(model.compute_logits(model(ids, positions, attention)), ids)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _ratios(variants: Mapping[str, Timed], config: TimingConfig) -> list[float]:
    times = [_round(variants, config.repeats) for _ in range(config.rounds)]
    return [each["RMSNorm"] / each["LayerNorm"] for each in times]


def _round(variants: Mapping[str, Timed], repeats: int) -> dict[str, float]:
    """All variants in turn, `repeats` times: seconds of the processor that each one's fastest took."""
    times = dict.fromkeys(variants, math.inf)
    for repeat in range(repeats):
        for name, run in list(variants.items())[:: 1 if repeat % 2 else -1]:  # whoever is first finds other caches
            began = time.process_time()
            run()
            times[name] = min(times[name], time.process_time() - began)
    return times


def _median(values: list[float]) -> dict[str, float]:
    """Median and its 95 % interval by order statistics; of few values their range."""
    ordered, count = sorted(values), len(values)
    reach = math.ceil(0.98 * math.sqrt(count))
    low, high = max(0, count // 2 - reach), min(count - 1, (count - 1) // 2 + reach)
    middle = (ordered[count // 2] + ordered[(count - 1) // 2]) / 2
    return {"ratio": middle, "low": ordered[low], "high": ordered[high]}


def _keep_memory() -> None:
    """Let the C library keep what is freed: else tensors of some sizes are fetched from the system anew each time.

    glibc asks the system for every block above a threshold, which a freed block of that size raises (mallopt(3)).
    """
    torch.ones(_KEPT_BYTES // 4)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
