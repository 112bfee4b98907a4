"""Small models that the tests of files build, save and compare."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM


@pytest.fixture
def small_config() -> ModelConfig:
    """Of the models that `build` makes."""
    return ModelConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        max_position_embeddings=32,
        bos_token_id=1,
        eos_token_ids=(2,),
    )


@pytest.fixture
def build(small_config: ModelConfig) -> Callable[..., LlamaForCausalLM]:
    """`build(config, seed)`: a model with random weights, or with NaN where nothing has been loaded yet."""

    def make(config: ModelConfig = small_config, seed: int | None = None) -> LlamaForCausalLM:
        model = LlamaForCausalLM(config, ReferenceKernels())
        if seed is not None:
            model.initialize(seed)
            return model
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(float("nan"))
        return model

    return make


@pytest.fixture
def assert_equal_weights() -> Callable[[nn.Module, nn.Module], None]:
    """`assert_equal_weights(left, right)`: bit for bit."""

    def check(left: nn.Module, right: nn.Module) -> None:
        others = dict(right.named_parameters())
        for name, parameter in left.named_parameters():
            assert torch.equal(parameter, others[name]), name

    return check
