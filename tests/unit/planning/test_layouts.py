"""Layouts: what fits where, and that the cheapest one that meets a target is that."""

from __future__ import annotations

import shlex

import pytest

from pagoda.errors import ConfigError
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel
from pagoda.planning.devices import DeviceTable
from pagoda.planning.formats import FORMATS
from pagoda.planning.layouts import (
    Fleet,
    LatencyTarget,
    Layout,
    StepLimits,
    cheapest,
    device_memory,
    fastest,
    layouts,
    parallels,
    preset_named,
    serve_command,
)
from pagoda.planning.shapes import shape_of
from pagoda.planning.steady import RequestMix

ALL = [FORMATS[name] for name in ("bfloat16", "int8", "int4")]


def found(
    config: ModelConfig, table: DeviceTable, target: LatencyTarget, count: int = 4, device: str = "H100-80GB"
) -> list[Layout]:
    fleet = Fleet(table.device(device), count, table.program("vllm"))
    choices = parallels(config, count)
    return list(
        layouts(config, fleet, RequestMix(1024, 256, 64), target, formats=ALL, choices=choices, limits=StepLimits())
    )


def test_layouts_cut_heads_and_layers_evenly(config: ModelConfig) -> None:
    choices = parallels(config, 8)
    assert Parallel(8, 1) in choices
    assert Parallel(2, 4) in choices
    assert all(32 % c.tensor_parallel_size == 0 == 32 % c.pipeline_parallel_size for c in choices)
    assert all(choice.num_devices <= 8 for choice in choices)


def test_a_device_holds_its_share_of_weights_and_keys(config: ModelConfig, table: DeviceTable) -> None:
    shape, device = shape_of(config, FORMATS["bfloat16"]), table.device("H100-80GB")
    one, two, stages = (
        device_memory(shape, p, device, StepLimits()) for p in (Parallel(), Parallel(2), Parallel(1, 2))
    )
    assert one is not None
    assert two is not None
    assert stages is not None
    assert one.weights == config.weight_bytes(2)
    assert two.weights == pytest.approx(one.weights / 2, abs=1)
    assert one.weights / 2 < stages.weights < one.weights
    assert two.kv_bytes_per_token == stages.kv_bytes_per_token == one.kv_bytes_per_token / 2
    for memory in (one, two, stages):
        used = memory.weights + memory.activations + memory.kv_cache
        assert device.memory_bytes * 0.9 - 16 * memory.kv_bytes_per_token <= used <= device.memory_bytes * 0.9


def test_stages_that_differ_are_as_large_and_slow_as_the_largest(config: ModelConfig, table: DeviceTable) -> None:
    shape, device = shape_of(config, FORMATS["bfloat16"]), table.device("H100-80GB")
    uneven = device_memory(shape, Parallel(1, 3), device, StepLimits())  # 11, 11 and 10 layers
    assert uneven is not None
    assert uneven.kv_bytes_per_token == pytest.approx(shape.kv_bytes_per_token * 11 / 32)
    assert uneven.weights > (shape.layer_bytes * 11 + shape.head_bytes * 32) / 32 - 1


def test_a_path_with_spaces_stays_one_word(config: ModelConfig, table: DeviceTable) -> None:
    layout = found(config, table, LatencyTarget())[0]
    assert shlex.split(serve_command("my models/llama", layout, 1280))[2] == "my models/llama"


def test_what_does_not_fit_is_left_out(config: ModelConfig, table: DeviceTable) -> None:
    names = {
        (each.held.name, each.parallel.num_devices) for each in found(config, table, LatencyTarget(), 2, "L4-24GB")
    }
    assert ("bfloat16", 1) in names
    large = ModelConfig.from_dict({**dict(config.source or {}), "num_hidden_layers": 128})
    names = {(each.held.name, each.parallel.num_devices) for each in found(large, table, LatencyTarget(), 2, "L4-24GB")}
    assert ("bfloat16", 1) not in names
    assert ("bfloat16", 2) not in names
    assert ("int4", 1) in names


def test_the_cheapest_meets_the_target_on_fewest_devices(config: ModelConfig, table: DeviceTable) -> None:
    target = LatencyTarget(ttft_ms=500, tpot_ms=12, output_tokens_per_s=3000)
    every = found(config, table, target)
    best = cheapest(every)
    assert best is not None
    assert best.found.ttft_s <= 0.5
    assert best.found.tpot_s <= 0.012
    assert best.output_tokens_per_s >= 3000
    assert best.num_devices == min(each.num_devices for each in every)
    assert best.held.name == "bfloat16" or not any(
        each.held.name == "bfloat16" and each.num_devices == best.num_devices for each in every
    )
    free = fastest(found(config, table, LatencyTarget()))
    assert free is not None
    assert free.output_tokens_per_s > best.output_tokens_per_s


def test_nothing_meets_what_no_device_can(config: ModelConfig, table: DeviceTable) -> None:
    assert found(config, table, LatencyTarget(tpot_ms=0.1)) == []
    assert cheapest([]) is None
    with pytest.raises(ConfigError, match="target ttft_ms is 0"):
        LatencyTarget(ttft_ms=0)


def test_the_command_says_what_the_layout_is(config: ModelConfig, table: DeviceTable) -> None:
    every = found(config, table, LatencyTarget())
    layout = next(each for each in every if each.held.name == "int8" and each.parallel == Parallel(2, 2))
    words = serve_command("MODEL", layout, 1280).split()
    assert words[:3] == ["pagoda", "serve", "MODEL"]
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags == {
        "--dtype": "bfloat16",
        "--quantization": "int8",
        "--tensor-parallel-size": "2",
        "--pipeline-parallel-size": "2",
        "--max-model-len": "1280",
        "--max-num-seqs": str(layout.concurrency),
    }


def test_presets_have_names() -> None:
    assert preset_named("large").parallel.num_devices == 8
    with pytest.raises(ConfigError, match='did you mean "small"'):
        preset_named("smal")
