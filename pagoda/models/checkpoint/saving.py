"""A trained module to a directory that transformers and this package load.

Runs at the end of a training, or at a checkpoint of it. A file appears under its name only once it is complete, so that
a kill in between leaves the old one or none.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from pagoda.files.whole import write_text_whole, write_whole
from pagoda.models.checkpoint.reading import SINGLE_FILE
from pagoda.models.checkpoint.translating import Translation
from pagoda.models.config import ModelConfig
from pagoda.models.families.weight_names import AS_NAMED
from pagoda.models.generation_config import GenerationDefaults


def save_checkpoint(
    model: nn.Module,
    config: ModelConfig,
    directory: str | Path,
    *,
    generation: GenerationDefaults | None = None,
) -> None:
    """Writes config.json, generation_config.json and model.safetensors, which transformers loads as well.

    Each file appears under its name only when it is complete. Tied weights are written once. The dtype in config.json
    is that of the weights. The module must hold whole tensors (one rank). Raises CheckpointError where no config.json
    of the architecture can say what `config` does.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    raw = replace(config, dtype=dtype).to_dict()
    if config.family.weights is not AS_NAMED:
        tensors = Translation(config, tensors).to_checkpoint(tensors)
    generation = generation or GenerationDefaults(eos_token_ids=config.eos_token_ids)
    settings = {"bos_token_id": config.bos_token_id, **generation.to_dict()}
    write_whole(directory / SINGLE_FILE, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    write_json(directory / "generation_config.json", {k: v for k, v in settings.items() if v is not None})
    write_json(directory / "config.json", raw)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """As a person can read it, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_text_whole(path, text)
