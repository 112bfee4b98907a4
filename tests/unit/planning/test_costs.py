"""Costs of steps, what is counted for them, and the steady state: directions and sums that must hold on any device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pagoda.errors import ConfigError
from pagoda.models.coded_weights import CodedWeights
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost, StepLoad, decode_load, prompt_load
from pagoda.planning.devices import DeviceTable, Overheads
from pagoda.planning.formats import FORMATS, format_named
from pagoda.planning.shapes import shape_of
from pagoda.planning.steady import RequestMix, expected


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_shape_counts_the_bytes_that_the_engine_counts(config: ModelConfig, name: str) -> None:
    held = FORMATS[name]
    shape = shape_of(config, held)
    assert shape.weight_bytes == config.weight_bytes(held.float_bytes)
    assert shape.kv_bytes_per_token == config.kv_bytes_per_token(held.float_bytes)
    assert shape.layer_weights + 2 * shape.head_weights + 65 * 4096 == config.num_parameters


def test_tied_embeddings_lie_in_memory_once(config: ModelConfig) -> None:
    tied = replace(config, tie_word_embeddings=True)
    assert shape_of(tied, FORMATS["bfloat16"]).weight_bytes == tied.weight_bytes(2)


def test_rounding_while_loading_halves_and_quarters_the_layers(config: ModelConfig) -> None:
    dense, int8, int4 = (shape_of(config, FORMATS[name]) for name in ("bfloat16", "int8", "int4"))
    assert dense.layer_bytes / int8.layer_bytes == pytest.approx(2, rel=0.01)
    assert dense.layer_bytes / int4.layer_bytes == pytest.approx(16 / 4.3125, rel=0.001)
    assert int8.head_bytes == int4.head_bytes == 128256 * (4096 + 2)


def test_a_quantised_checkpoint_is_counted_as_it_is_stored_and_nothing_else(config: ModelConfig) -> None:
    coded = replace(config, coded=CodedWeights(num_weights=sum(i * o for i, o in config.all_matrices), num_bytes=10**9))
    assert shape_of(coded, FORMATS["stored"]).weight_bytes == coded.weight_bytes(2)
    with pytest.raises(ConfigError, match="codes of few bits: give stored"):
        shape_of(coded, FORMATS["int4"])
    with pytest.raises(ConfigError, match="the checkpoint holds floats"):
        shape_of(config, FORMATS["stored"])
    with pytest.raises(ConfigError, match="read and widened"):
        format_named("fp8")
    with pytest.raises(ConfigError, match='did you mean "bfloat16"'):
        format_named("bfloat")


def test_a_decode_step_is_the_weights_and_a_prompt_is_the_products(cost: StepCost, table: DeviceTable) -> None:
    one, eight = cost.seconds(decode_load(1, 128)), cost.seconds(decode_load(8, 128))
    assert 15e9 / 3.35e12 < one < eight < 2 * one
    short, long = cost.seconds(prompt_load(2048)), cost.seconds(prompt_load(8192))
    assert 3.5 * short < long < 6 * short
    assert long > 2 * 7e9 * 8192 / table.device("H100-80GB").peaks["bfloat16"]


def test_a_step_is_linear_in_the_keys_that_it_reads(cost: StepCost) -> None:
    """Which is what lets the simulator take many steps at once."""
    each = sum(cost.seconds(StepLoad(4, 4, 4, 1000 + 4 * step, 0)) for step in range(9))
    assert 9 * cost.seconds(StepLoad(4, 4, 4, 1000 + 4 * 4, 0)) == pytest.approx(each, rel=1e-12)


def test_ranks_shorten_steps_less_than_their_number_and_stages_do_not(config: ModelConfig, table: DeviceTable) -> None:
    shape = shape_of(config, FORMATS["bfloat16"])
    device, overheads = table.device("H100-80GB"), table.program("vllm")
    one, ranks, stages = (
        StepCost(device, shape, parallel, overheads).seconds(prompt_load(8192))
        for parallel in (Parallel(), Parallel(4), Parallel(1, 4))
    )
    assert one / 4 < ranks < one
    assert stages > one
    full = [
        StepCost(device, shape, parallel, overheads).seconds(decode_load(256, 1024))
        for parallel in (Parallel(), Parallel(1, 4))
    ]
    assert full[1] < full[0], "many requests keep all stages busy"


def test_the_head_is_read_by_the_last_stage_alone(config: ModelConfig, table: DeviceTable) -> None:
    """And keeps the others waiting: with several parts under way it counts once for each."""
    device, nothing = replace(table.device("H100-80GB"), all_reduce=0.0, link=1e30), Overheads(0.0, 0.0, 0.0)
    whole = shape_of(config, FORMATS["bfloat16"])
    headless = replace(whole, head_bytes=0.0, head_weights=0)
    read_s = whole.head_bytes / (device.bandwidth * device.efficiency.bandwidth)
    for stages, requests in ((1, 1), (4, 1), (4, 4)):
        with_head, without = (
            StepCost(device, shape, Parallel(1, stages), nothing).seconds(decode_load(requests, 64))
            for shape in (whole, headless)
        )
        assert with_head - without == pytest.approx(min(stages, requests) * read_s, rel=0.02)


def test_of_experts_a_step_reads_those_that_its_tokens_go_through(config: ModelConfig) -> None:
    raw = {**dict(config.source or {}), "architectures": ["MixtralForCausalLM"], "num_local_experts": 8,
           "num_experts_per_tok": 2}  # fmt: skip
    shape = shape_of(ModelConfig.from_dict(raw), FORMATS["bfloat16"])
    assert shape.experts_touched(1) == pytest.approx(0.25)
    assert 0.25 < shape.experts_touched(2) < shape.experts_touched(64) <= 1
    assert shape.weight_bytes == ModelConfig.from_dict(raw).weight_bytes(2)


def test_more_users_wait_longer_and_get_more_together(cost: StepCost, table: DeviceTable) -> None:
    overheads = table.program("vllm")
    found = [expected(cost, overheads, RequestMix(1024, 256, users), 500_000, 8192) for users in (1, 8, 64)]
    assert found[0].ttft_s < found[1].ttft_s < found[2].ttft_s
    assert found[0].tpot_s < found[1].tpot_s < found[2].tpot_s
    assert found[0].output_tokens_per_s < found[1].output_tokens_per_s < found[2].output_tokens_per_s
    held = expected(cost, overheads, RequestMix(1024, 256, 64), 16 * 1152, 8192)
    assert held.num_running == pytest.approx(16)
    assert held.ttft_s > found[2].ttft_s
