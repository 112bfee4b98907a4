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


def test_kernels_that_multiply_faster_than_torch_give_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_limits, "_torch_product", lambda dtype: 5.0)
    monkeypatch.setattr(machine_limits, "_rate", lambda product: 7.0)
    assert machine_limits.product_peak(torch.float32, ReferenceKernels()) == 7.0
    assert machine_limits.product_peak(torch.float32) == 5.0


def test_products_of_every_dtype_have_a_peak() -> None:
    kernels = ReferenceKernels()
    peaks = [machine_limits.product_peak(dtype, kernels) for dtype in (torch.float32, torch.bfloat16, torch.int8)]
    assert min(peaks) > 0


def test_the_buffer_is_far_larger_than_a_cache_and_was_written() -> None:
    buffer = machine_limits.reading_buffer()
    assert buffer.nbytes == machine_limits.BUFFER_BYTES
    assert bool((buffer == 1).all())
