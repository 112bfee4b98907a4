"""The machine's limits are those of its fastest pass, and of whoever multiplies faster."""

from __future__ import annotations

import pytest
import torch

from pagoda.kernels import machine_limits
from pagoda.kernels.reference.operations import ReferenceKernels


def test_limits_are_those_of_the_fastest_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 11.0, 20.0, 24.0, 30.0, 38.0])
    monkeypatch.setattr(machine_limits.time, "perf_counter", lambda: next(clock))
    assert machine_limits.read_bandwidth(torch.ones(64, dtype=torch.int64)) == 512.0


def test_the_peak_is_that_of_whoever_multiplies_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([5.0, 7.0, 9.0, 4.0, 3.0])
    monkeypatch.setattr(machine_limits, "_rate", lambda product: next(rates))
    both = machine_limits.ProductPeak(torch.float32, ReferenceKernels())
    assert (both.measure(), both.measure()) == (7.0, 9.0)
    assert machine_limits.ProductPeak(torch.float32).measure() == 3.0


def test_what_is_timed_are_products_by_torch_and_by_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(machine_limits, "_rate", lambda product: computed.append(product()) or 1.0)
    for dtype in (torch.float32, torch.bfloat16, torch.int8):
        machine_limits.ProductPeak(dtype, ReferenceKernels()).measure()
    assert [(len(output), output[0, 0].item()) for output in computed] == [
        (256, 512.0), (256, 512.0), (256, 512.0), (256, 512.0), (256, 2048),
    ]  # fmt: skip


def test_the_buffer_is_far_larger_than_a_cache_and_was_written() -> None:
    buffer = machine_limits.reading_buffer()
    assert buffer.nbytes == machine_limits.BUFFER_BYTES
    assert bool((buffer == 1).all())
