"""Our checkpoints into the Keras Llama: folders of safetensors, GGUF and llama2.c files, the built-in model.

Reading is that of `models/checkpoint`, names, layouts, codes and strictness included: the network that it fills lies on
the meta device and has no memory, and each tensor goes on into the Keras variable of its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pagoda.keras.llama import LlamaCausalLM
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.source import CheckpointSource, SourceInFront, Stored, as_floats
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

BUILTIN = "builtin"


def load_model(checkpoint: str | Path, **kwargs: Any) -> LlamaCausalLM:
    """The model of a checkpoint folder or file, or of the name "builtin", with its weights.

    kwargs: what `LlamaCausalLM` takes besides (`dtype`, `name`). Raises CheckpointError, or ConfigError for a network
    that Keras's is not.
    """
    path = Path(__file__).parents[1] / BUILTIN if checkpoint == BUILTIN else Path(checkpoint)
    model = LlamaCausalLM(load_config(path), **kwargs)
    model.build()
    load_checkpoint(model, path)
    return model


def load_checkpoint(model: LlamaCausalLM, path: Path) -> None:
    """Fill a built `model` from the checkpoint at `path`. Raises CheckpointError."""
    with torch.device("meta"):
        network = LlamaForCausalLM(model.model_config, ReferenceKernels())
    places = _places(model)
    for name, parameter in network.named_parameters():
        parameter.weight_loader = _loader(*places.pop(name))  # type: ignore[attr-defined]
    assert not places, f"variables that no tensor fills: {sorted(places)}"
    load_weights(network, path, dtype=torch.float32, through=_Dense)


def _loader(variable: Any, is_matrix: bool) -> Callable[[nn.Parameter, torch.Tensor], None]:
    def load(_: nn.Parameter, tensor: torch.Tensor) -> None:
        if tuple(tensor.shape) != tuple(variable.shape)[:: -1 if is_matrix else 1]:
            raise ValueError(f"the Keras variable {variable.path} has the shape {tuple(variable.shape)}")
        array = tensor.detach().float().cpu().numpy()
        variable.assign(array.T if is_matrix else array)

    return load


def _places(model: LlamaCausalLM) -> dict[str, tuple[Any, bool]]:
    """The network's names of tensors -> the variable of each, and whether it lies the other way round `[in, out]`."""
    places: dict[str, tuple[Any, bool]] = {
        "model.embed_tokens.weight": (model.embed_tokens.embeddings, False),
        "model.norm.weight": (model.norm.scale, False),
    }
    if model.lm_head is not None:
        places["lm_head.weight"] = (model.lm_head.kernel, True)
    for index, layer in enumerate(model.decoder_layers):
        prefix = f"model.layers.{index}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            places[f"{prefix}.{name}.weight"] = (getattr(layer, name).scale, False)
        for name in ("q_norm", "k_norm"):
            if (norm := getattr(layer.self_attn, name)) is not None:
                places[f"{prefix}.self_attn.{name}.weight"] = (norm.scale, False)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            places |= _of_dense(f"{prefix}.self_attn.{name}", getattr(layer.self_attn, name))
        for name in ("gate_proj", "up_proj", "down_proj"):
            places |= _of_dense(f"{prefix}.mlp.{name}", getattr(layer, name))
    return places


def _of_dense(name: str, dense: Any) -> dict[str, tuple[Any, bool]]:
    bias = {f"{name}.bias": (dense.bias, False)} if dense.use_bias else {}
    return {f"{name}.weight": (dense.kernel, True), **bias}


class _Dense(SourceInFront):
    """A source whose codes of few bits come as the numbers that they mean: Keras multiplies in floats."""

    def __init__(self, source: CheckpointSource, _: ModelConfig) -> None:
        super().__init__(source)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        for name, stored in self._source.read(names):
            yield name, as_floats(stored)
