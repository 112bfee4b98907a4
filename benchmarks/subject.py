"""The model that a benchmark runs: a checkpoint, or random weights of a known shape, where only speed matters."""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import torch

from pagoda import LLM
from pagoda.engine.args import BUILTIN_MODEL
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.checkpoint.hub import resolve_model
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

SHAPES = {
    "builtin": ModelConfig(
        vocab_size=8192,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        dtype="float32",
    )
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark of the engine has."""
    parser.add_argument("--model", help="directory, hub id or short name; by default the built-in model")
    parser.add_argument("--random-shape", choices=SHAPES, help="instead of a model: random weights of this shape")
    parser.add_argument("--dtype", default="auto", help="of weights and KV cache")
    parser.add_argument("--kernels", default="auto", help="as the engine's option has it")
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it takes")


def config(arguments: argparse.Namespace) -> ModelConfig:
    """What the model is, before it is loaded."""
    if arguments.random_shape is not None:
        return SHAPES[arguments.random_shape]
    return load_config(resolve_model(arguments.model or BUILTIN_MODEL))


def load(arguments: argparse.Namespace, **engine_args: Any) -> LLM:
    """The model that was asked for, in an engine without prefix cache, so that no run profits from one before it."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = {
        "dtype": arguments.dtype,
        "kernels": arguments.kernels,
        "enable_prefix_caching": False,
        **engine_args,
    }
    if arguments.random_shape is None:
        return LLM(arguments.model, **settings)
    with tempfile.TemporaryDirectory(prefix=f"random-{arguments.random_shape}-") as directory:
        model = LlamaForCausalLM(config(arguments), ReferenceKernels())
        model.initialize(0)
        save_checkpoint(model, model.config, directory)
        return LLM(directory, **settings)


def describe(llm: LLM) -> str:
    """Size, dtype and kernels, for the line under a table."""
    parts = llm.llm_engine.parts
    return f"{parts.config.num_parameters / 1e6:.1f}M parameters in {parts.dtype}, {parts.kernels.name} kernels"
