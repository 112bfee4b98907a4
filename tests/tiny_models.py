"""Tiny random checkpoints that transformers writes, and our network on them: for the tests of parity."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from pagoda.kernels.interface import Kernels
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.llama import LlamaForCausalLM

VOCAB_SIZE = 128
TOLERANCE = 1e-5
BASE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@dataclass(frozen=True)
class Case:
    """A configuration of `family`, as transformers' classes are called, and how long the tested sequence is."""

    family: str = "Llama"
    settings: dict[str, Any] = field(default_factory=dict)
    num_tokens: int = 40
    config_class: str = ""

    def config(self) -> transformers.PretrainedConfig:
        config_class = getattr(transformers, self.config_class or f"{self.family}Config")
        return config_class(**{**BASE, **self.settings})

    def build(self) -> transformers.PreTrainedModel:
        config = self.config()
        config._attn_implementation = "eager"
        model = getattr(transformers, f"{self.family}ForCausalLM")(config).eval()
        randomize(model)
        return model


def randomize(model: transformers.PreTrainedModel) -> None:
    """Logits of the order of one; biases and norms become random as well, around what transformers starts them at."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            start = 0 if model.config.model_type == "nemotron" else parameter.mean().round()  # it has gains of 1 + 1
            parameter.copy_(start + 0.2 * noise if "norm" in name else 0.15 * noise)


def load(directory: Path, kernels: Kernels | None = None) -> LlamaForCausalLM:
    ours = LlamaForCausalLM(load_config(directory), kernels or ReferenceKernels())
    load_weights(ours, directory)
    return ours


@torch.no_grad()
def logits(model: LlamaForCausalLM, token_ids: list[int], prompt_length: int | None = None) -> torch.Tensor:
    """Logits [T, vocab]. Tokens after the prompt are rotated by the length their sequence had when they came."""
    positions = torch.arange(len(token_ids))
    lengths = torch.clamp(positions + 1, min=prompt_length or len(token_ids))
    attention = DenseAttention(1, model.config.layer_windows)
    return model.compute_logits(model(torch.tensor(token_ids), positions, attention, lengths))


def greedy(model: LlamaForCausalLM, prompt: list[int], num_new_tokens: int) -> list[int]:
    token_ids = list(prompt)
    for _ in range(num_new_tokens):
        token_ids.append(int(logits(model, token_ids, len(prompt))[-1].argmax()))
        if token_ids[-1] == 2:
            break
    return token_ids


def token_ids_of(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB_SIZE, (length,), generator=generator).tolist()
