"""A model of 8 billion weights by its configuration, and a device."""

from __future__ import annotations

import pytest

from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost
from pagoda.planning.devices import DeviceTable
from pagoda.planning.formats import FORMATS
from pagoda.planning.shapes import shape_of

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return ModelConfig.from_dict(dict(LLAMA_8B))


@pytest.fixture(scope="session")
def table() -> DeviceTable:
    return DeviceTable.load()


@pytest.fixture(scope="session")
def cost(config: ModelConfig, table: DeviceTable) -> StepCost:
    shape = shape_of(config, FORMATS["bfloat16"])
    return StepCost(table.device("H100-80GB"), shape, Parallel(), table.program("vllm"))
