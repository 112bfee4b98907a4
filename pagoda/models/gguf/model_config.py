"""A GGUF file's configuration as the one frozen record that everything is sized from.

First station of loading a `.gguf`, asked by `checkpoint/loading` and, without torch, by `pagoda plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pagoda.errors import CheckpointError
from pagoda.models.coded_weights import CodedWeights
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.architectures import config_of
from pagoda.models.gguf.container import GGUFFile


def load_gguf_config(file: GGUFFile, overrides: Mapping[str, Any] | None = None) -> ModelConfig:
    """overrides: keys and values in place of those of the `config.json` that the file amounts to.

    Raises CheckpointError.
    """
    raw = config_of(file)
    try:
        config = ModelConfig.from_dict({**raw, **(overrides or {})})
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}, read as the config.json that it amounts to: {error}") from error
    coded = [tensor for tensor in file.tensors.values() if tensor.is_coded]
    return replace(
        config, coded=CodedWeights(sum(each.num_weights for each in coded), sum(each.num_bytes for each in coded))
    )
