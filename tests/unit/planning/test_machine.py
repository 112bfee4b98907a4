"""This machine as a device: what is measured is a device like any other. Figures are not judged: it may be busy."""

from __future__ import annotations

import pytest

from pagoda.kernels import machine_limits
from pagoda.models.config import ModelConfig
from pagoda.planning import machine
from pagoda.planning.costs import Parallel, StepCost, decode_load
from pagoda.planning.formats import FORMATS
from pagoda.planning.machine import measured_machine, part_of
from pagoda.planning.shapes import shape_of


def test_this_machine_is_measured_and_answers_for_every_format(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_limits, "BUFFER_BYTES", 1 << 20)
    monkeypatch.setattr(machine_limits, "_SIZE", 128)
    monkeypatch.setattr(machine, "_SIZE", 128)
    monkeypatch.setattr(machine, "_BEYOND_CACHES", (256, 128))
    device, overheads = measured_machine()
    assert device.name.startswith("cpu (")
    assert device.memory_bytes > 0
    assert device.bandwidth > 1e6
    assert min(device.peaks.values()) > 1e6
    assert overheads.step >= 0 <= overheads.sequence
    for name in ("float32", "bfloat16", "int8", "int4"):
        cost = StepCost(device, shape_of(config, FORMATS[name]), Parallel(), overheads)
        assert 0 < cost.seconds(decode_load(1, 100)) < cost.seconds(decode_load(8, 100))
    half, shape = part_of(device, 2), shape_of(config, FORMATS["bfloat16"])
    assert half.memory_bytes == device.memory_bytes // 2
    whole_s, divided_s = (
        StepCost(each, shape, parallel, overheads).seconds(decode_load(1, 100))
        for each, parallel in ((device, Parallel()), (half, Parallel(2)))
    )
    assert divided_s > whole_s, "ranks of one machine bring nothing and have to meet"
    assert part_of(device, 1) is device
