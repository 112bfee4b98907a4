"""The page of a simulation: its spans hold all that the steps did, and its data cannot end the page."""

from __future__ import annotations

import json

import pytest

from pagoda.balancing import round_robin
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.loadtest.workload import Lengths
from pagoda.planning.costs import StepCost
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.timeline import MAX_BINS, timeline
from pagoda.planning.simulation.workload import synthetic


@pytest.fixture(scope="module")
def found(cost: StepCost) -> Simulation:
    load = synthetic(80, 5.0, Lengths.parse("50-600", "input"), Lengths.parse("1-80", "output"))
    installation = Installation(
        scheduler_config=SchedulerConfig(max_model_len=2048),
        cache_config=CacheConfig(num_blocks=4000, block_size=16, enable_prefix_caching=False),
        cost=cost,
        route=round_robin,
        num_replicas=2,
    )
    return simulate(load, installation, keep_steps=True)


def data_of(page: str) -> dict[str, list[list[list[float]]]]:
    return json.loads(page.split("const data = ")[1].split(";\n")[0])  # type: ignore[no-any-return]


def test_spans_hold_every_token_of_the_prompts(found: Simulation) -> None:
    data = data_of(timeline(found, "title", {}))
    width = found.duration_s / MAX_BINS
    for records, bins in zip(found.records, data["replicas"], strict=True):
        told = sum(tokens_per_s * width for _, tokens_per_s, *_ in bins)
        assert told == pytest.approx(sum(record.num_prompt_tokens for record in records), rel=1e-3)
    assert len(data["requests"]) == 80
    assert all(arrival <= first <= end for arrival, first, end in data["requests"])


def test_a_title_cannot_end_the_page(found: Simulation) -> None:
    page = timeline(found, "</script><b>", {"name": "</script>"})
    assert page.count("</script>") == 1
    assert data_of(page)["title"] == "</script><b>"
